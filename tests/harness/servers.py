"""Starts and stops servers: Java's of any installed version, and the one that this repository builds.

A kind names the server: `java:3.9.5`, or `ours` (the release binary; ZOOKEEPER_BIN overrides it).
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from .client import four_letter_word

TESTS = Path(__file__).resolve().parent.parent
REPO = TESTS.parent
PEERS = Path(os.environ.get("PEERS_DIR", TESTS / ".peers"))
START_DEADLINE_S = 60.0
START_REPLY_S = 3.0
STOP_DEADLINE_S = 20.0


# Below the ports that systems give to outgoing connections, so that none takes a server's port while the server is
# down.
PORTS = range(10240, 32768)


def free_port(given=set()):
    """Returns a port that nobody listens on. Never returns the same port twice."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in given:
            given.add(port)
            return port


def binary():
    """Returns the path of our server's binary."""
    if "ZOOKEEPER_BIN" in os.environ:
        return Path(os.environ["ZOOKEEPER_BIN"])
    return Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target")) / "release" / "zookeeper"


def wait_until(what, condition, deadline_s):
    """Calls `condition` until it returns something true, and returns that.

    Raises TimeoutError after the deadline. `what` names the condition in the message.
    """
    deadline = time.monotonic() + deadline_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {deadline_s:g} s")
        time.sleep(0.02)


class StartFailed(Exception):
    """The server ended or did not serve in time. The message holds the end of its log."""


class Server:
    """One server process on one data directory, standalone unless `settings` say otherwise.

    `settings` are lines of zoo.cfg; the value None removes a default. `properties` are Java's -D flags.
    """

    # How many of our servers were made.
    ours = 0

    def __init__(self, kind, workdir, settings=None, properties=None):
        self.kind = kind
        # Most tests have few clients, which our server gives threads. Every second one has selectors only, and half of
        # these leave the work to workers.
        Server.ours += self.java_version is None
        self.has_selectors_only = Server.ours % 2 == 0
        self.has_workers = Server.ours % 4 == 0
        self.workdir = Path(workdir)
        self.workdir.mkdir(parents=True, exist_ok=True)
        self.data = self.workdir / "data"
        self.properties = dict(properties or {})
        self.settings = {
            "dataDir": self.data, "clientPort": free_port(), "clientPortAddress": "127.0.0.1",
            "tickTime": 1000, "maxSessionTimeout": 600000, "admin.enableServer": "false",
            "4lw.commands.whitelist": "*",
        }
        self.settings.update(settings or {})
        self.port = int(self.settings["clientPort"])
        self.cfg = self.workdir / "zoo.cfg"
        self.log = self.workdir / "server.log"
        self.process = None

    @property
    def java_version(self):
        return self.kind.split(":", 1)[1] if self.kind.startswith("java:") else None

    def command(self):
        """Returns (command line, additional variables of the environment)."""
        flags = [f"-D{key}={value}" for key, value in self.properties.items()]
        if self.java_version:
            script = TESTS / "peers" / "java_server.sh"
            line = [str(script), self.java_version, str(self.cfg), str(self.log)]
            return line, {"JVMFLAGS": " ".join(flags)}
        if self.has_selectors_only:
            flags.insert(0, "-Dzookeeper.nio.maxReaderThreads=0")
        if self.has_workers:
            flags.insert(0, "-Dzookeeper.nio.numWorkerThreads=2")
        return [str(binary()), *flags, "server", str(self.cfg)], {}

    def start(self, wait=True):
        self.data.mkdir(exist_ok=True)
        lines = [f"{key}={value}\n" for key, value in self.settings.items() if value is not None]
        self.cfg.write_text("".join(lines))
        self.launch()
        if wait:
            self.wait_serving()
        return self

    def launch(self):
        """Starts the process with the zoo.cfg that is there."""
        command, environment = self.command()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.workdir,
                env={**os.environ, **environment}, start_new_session=True,
            )

    def wait_serving(self, deadline_s=START_DEADLINE_S):
        try:
            wait_until("serving", self._serving, deadline_s)
        except TimeoutError as error:
            self.kill()
            raise StartFailed(f"{self.kind}: {error}\n{self.log_tail()}") from None

    def _serving(self):
        if self.process.poll() is not None:
            code = self.process.returncode
            raise StartFailed(f"{self.kind} ended with {code}\n{self.log_tail()}")
        try:
            # A starting Java server may leave a connection without an answer. Then the next call opens another one.
            return "Mode: " in four_letter_word(self.port, "srvr", START_REPLY_S)
        except OSError:
            return False

    def wait_at_rest(self):
        """Waits until no thread of the server has anything to do. Java counts an answer as sent, and takes note that its
        connection is free, only some time after the client has the answer.
        """
        wait_until(f"{self.kind} has nothing to do", self._is_at_rest, START_DEADLINE_S)

    def _is_at_rest(self):
        first = self._switches()
        return first is not None and first == self._switches()

    def _switches(self):
        """Returns how often each thread gave a processor away, or None if one of them runs or waits for a processor."""
        switches = {}
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                lines = (thread / "status").read_text().splitlines()
            except OSError:
                # The thread has ended.
                return None
            status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            if status["State"].startswith("R"):
                return None
            switches[thread.name] = status["voluntary_ctxt_switches"], status["nonvoluntary_ctxt_switches"]
        return switches

    def wait_exit(self, deadline_s=START_DEADLINE_S):
        """Waits for a server that should end by itself. Returns its exit code."""
        return self.process.wait(deadline_s)

    def stop(self):
        """Stops the server with SIGTERM, as an operator does. Raises TimeoutError if it does not end."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.kill()
                raise TimeoutError(f"{self.kind} does not end on SIGTERM: {self.log}") from None

    def kill(self):
        """Kills the server with SIGKILL, so that it cannot write anything more."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def log_tail(self, lines=25):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def __enter__(self):
        return self.start() if self.process is None else self

    def __exit__(self, *_):
        self.kill()


def fresh_dir(path):
    """Creates an empty directory at `path`, in place of what is there. Returns its path."""
    path = Path(path)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def work_root():
    """Returns the directory for data directories, logs and transcripts. They stay there, so that a failure can be
    examined. Each checkout has its own directory, even if several share an installation of the peers."""
    root = Path(os.environ.get("TESTS_WORK_DIR", TESTS / ".peers" / "work"))
    root.mkdir(parents=True, exist_ok=True)
    return root


def require(*kinds):
    """Ends the program if a server of one of these kinds is not installed or not built."""
    for kind in kinds:
        if kind.startswith("java:"):
            if not (PEERS / "java" / kind.split(":", 1)[1] / ".complete").exists():
                sys.exit(f"{kind} is not installed: run tests/peers/install.sh")
        elif not binary().exists():
            sys.exit(f"{binary()} does not exist: cargo build --release")
