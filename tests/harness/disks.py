"""Disks that fail. A small file system for each member's data can be filled up. A library between a member and its
disk (`faulty_disk.c`) delays fsync or makes it fail, and records what a loss of power would leave.

Mounting needs a mount namespace (root, or user namespaces). The library needs a C compiler, and a server that is
linked dynamically, as Java and ours are.
"""

import errno
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MEGABYTES = 160
HEADER = 16
# The bytes that stay free on a full disk: too few for a preallocation of the log, perhaps enough for some transactions.
LEAST_FREE, MOST_FREE = 0, 40_000
KEPT_SNAPSHOTS = 4


def build_library(directory):
    """Builds the library. Returns its path, or None without a C compiler."""
    library = directory / "faulty_disk.so"
    try:
        subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", "-o", str(library),
                        str(HERE / "faulty_disk.c"), "-ldl", "-lpthread"], check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return library


def logs(member):
    """Returns the member's log files, the newest first."""
    found = (member.data / "version-2").glob("log.*")
    return sorted(found, key=lambda path: int(path.suffix[1:], 16), reverse=True)


def snapshots(member):
    found = (member.data / "version-2").glob("snapshot.*")
    return sorted(found, key=lambda path: int(path.suffix[1:], 16), reverse=True)


class Disk:
    """The disk of one member. The member must not run yet, because the library is loaded when it starts."""

    def __init__(self, member, library, may_mount):
        self.member, self.mounted = member, False
        self.controls = member.workdir / "disk"
        self.controls.mkdir(exist_ok=True)
        self.library = library
        if library:
            member.environment = {"LD_PRELOAD": str(library), "FAULTY_DISK": str(self.controls)}
        member.data.mkdir(exist_ok=True)
        if may_mount:
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(member.data)],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.mounted = done.returncode == 0

    @property
    def filler(self):
        return self.member.data / "filler"

    def fill(self, random):
        """Fills the disk with a file. Only a random, small number of bytes stays free."""
        free = random.randrange(LEAST_FREE, MOST_FREE)
        piece = b"\1" * (1 << 20)
        with open(self.filler, "ab", buffering=0) as filler:
            while len(piece) >= 4096:
                state = os.statvfs(self.member.data)
                if state.f_bavail * state.f_frsize < free + len(piece):
                    piece = piece[: len(piece) // 2]
                    continue
                try:
                    filler.write(piece)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    return

    def delay(self, delay_ms):
        """Makes every fsync take `delay_ms` longer."""
        self._do(f"delay {delay_ms}")

    def fail(self):
        """Makes every fsync fail with EIO."""
        self._do(f"fail {errno.EIO}")

    def _do(self, text):
        new = self.controls / "new"
        new.write_text(text)
        new.rename(self.controls / "do")

    def heal(self):
        (self.controls / "do").unlink(missing_ok=True)
        self.filler.unlink(missing_ok=True)

    def lose_power(self, random):
        """Removes from the logs what was not synced, or a part of it. Returns the number of bytes removed.

        The member must have been killed before.
        """
        lost = 0
        for log in logs(self.member)[:3]:
            noted = self.controls / f"{log.name}.synced"
            end = max(HEADER, int((noted.exists() and noted.read_text()) or 0))
            data = log.read_bytes()
            written = len(data.rstrip(b"\0"))
            if written <= end:
                continue
            kept = random.choice((end, random.randrange(end, written)))
            lost += written - kept
            log.write_bytes(data[:kept] + bytes(len(data) - kept))
        return lost

    def tidy(self):
        """Deletes old snapshots and logs, as an operator's purge does."""
        kept = snapshots(self.member)[:KEPT_SNAPSHOTS]
        if len(kept) < KEPT_SNAPSHOTS:
            return
        oldest = int(kept[-1].suffix[1:], 16)
        for snapshot in snapshots(self.member)[KEPT_SNAPSHOTS:]:
            snapshot.unlink(missing_ok=True)
        older = [log for log in logs(self.member) if int(log.suffix[1:], 16) <= oldest]
        for log in older[1:]:
            log.unlink(missing_ok=True)
            (self.controls / f"{log.name}.synced").unlink(missing_ok=True)

    def close(self):
        """Unmounts the file system and puts a copy of the data in its place, so that it can be inspected later.

        The member must have been killed before.
        """
        if not self.mounted:
            return
        self.heal()
        copy = Path(tempfile.mkdtemp(dir=self.member.workdir)) / "data"
        shutil.copytree(self.member.data, copy)
        subprocess.run(["umount", str(self.member.data)], check=True)
        self.mounted = False
        self.member.data.rmdir()
        copy.rename(self.member.data)
        copy.parent.rmdir()
