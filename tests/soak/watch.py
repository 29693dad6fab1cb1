"""The limits of a server, and a watch over what it uses: a cgroup for memory, open files, threads."""

import csv
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

FILES = 1024
MIB = 1 << 20
MEMORY_MIB = 512
EVERY_S = 1.0

CGROUPS = Path("/sys/fs/cgroup")
# (directory, file of the limit) of cgroups of version 2 and 1.
HIERARCHIES = ((CGROUPS, "memory.max"), (CGROUPS / "memory", "memory.limit_in_bytes"))
PROBE_MIB = 32


class Cage:
    """A cgroup that kills a process that takes more memory."""

    def __init__(self, name, mib):
        parent, limit = next((parent, limit) for parent, limit in HIERARCHIES
                             if "memory" in controllers(parent))
        self.directory = parent / name
        self.directory.mkdir()
        try:
            (self.directory / limit).write_text(str(mib * MIB))
            # Without this, memory above the limit is swapped out where there is swap.
            swap = self.directory / "memory.swap.max"
            if swap.exists():
                swap.write_text("0")
        except OSError:
            self.close()
            raise

    def enter(self):
        """Returns the words in front of a command that run it in this cgroup."""
        return ["sh", "-c", f'echo $$ >{self.directory}/cgroup.procs && exec "$0" "$@"']

    def close(self):
        try:
            self.directory.rmdir()
        except OSError:
            pass


def controllers(parent):
    if parent.name == "memory":
        return "memory" if (parent / "cgroup.procs").exists() else ""
    file = parent / "cgroup.subtree_control"
    return file.read_text().split() if file.exists() else ""


def cages():
    """Returns whether cgroups can be created and enforce their limit."""
    try:
        cage = Cage(f"zookeeper-soak-{os.getpid()}-probe", PROBE_MIB)
    except (OSError, StopIteration):
        return False
    try:
        greedy = f"bytearray({4 * PROBE_MIB * MIB})"
        done = subprocess.run([*cage.enter(), sys.executable, "-c", greedy], stderr=subprocess.DEVNULL)
        return done.returncode != 0
    finally:
        cage.close()


def limited_files():
    """Returns the words in front of a command that set its soft and hard limit of open files."""
    return ["sh", "-c", f'ulimit -Sn {FILES} && ulimit -Hn {FILES} && exec "$0" "$@"']


@dataclass
class Taken:
    """What a process uses now."""
    files: int
    threads: int
    mib: float
    most_mib: float

    @classmethod
    def by(cls, pid):
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                     if ":" in line)
        kib = {key: int(lines[key].split()[0]) for key in ("VmRSS", "VmHWM")}
        return cls(len(os.listdir(f"/proc/{pid}/fd")), int(lines["Threads"]), kib["VmRSS"] / 1024,
                   kib["VmHWM"] / 1024)

    def __str__(self):
        return f"{self.files} files, {self.threads} threads, {self.mib:.0f} MiB"


class Watch:
    """Records every second what all members use. Stops the run if a member has ended or uses too much memory."""

    def __init__(self, members, file, stop, mind_memory):
        # With `mind_memory`, no cgroup limits the members to `MEMORY_MIB`, so it is checked here.
        self.members, self.file, self.stop, self.mind_memory = members, file, stop, mind_memory
        self.problems = []
        self.thread = threading.Thread(target=self._run)

    def start(self):
        self.thread.start()

    def join(self):
        self.thread.join()

    def _run(self):
        with open(self.file, "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("time", "member", "files", "threads", "MiB", "most MiB"))
            while not self.problems and not self.stop.wait(EVERY_S):
                for member in self.members:
                    self._look(member, rows)
                file.flush()
        if self.problems:
            self.stop.set()

    def _look(self, member, rows):
        now = time.monotonic()
        try:
            taken = Taken.by(member.process.pid)
        except (OSError, KeyError):
            taken = None
        code = member.process.poll()
        if code is not None:
            hint = " (killed: it took more memory than its cgroup has)" if code == -9 else ""
            self.problems.append((now, f"{member.title} has ended with {code}{hint}\n{member.log_tail(10)}"))
        elif taken:
            rows.writerow((f"{now:.1f}", member.title, taken.files, taken.threads, f"{taken.mib:.1f}",
                           f"{taken.most_mib:.1f}"))
            if self.mind_memory and taken.most_mib > MEMORY_MIB:
                self.problems.append((now, f"{member.title} takes {taken.most_mib:.0f} MiB"))
