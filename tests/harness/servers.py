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


# Below those that systems give to outgoing connections: none takes a port while its server is down.
PORTS = range(10240, 32768)


def free_port(given=set()):
    """A port that nobody listens on. Each is given once."""
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
    """Our server's binary."""
    if "ZOOKEEPER_BIN" in os.environ:
        return Path(os.environ["ZOOKEEPER_BIN"])
    return Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target")) / "release" / "zookeeper"


def wait_until(what, condition, deadline_s):
    """Polls `condition` until it gives something true, which is returned."""
    deadline = time.monotonic() + deadline_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {deadline_s:g} s")
        time.sleep(0.02)


class StartFailed(Exception):
    """The process ended, or did not serve in time. The message holds the end of its log."""


class Server:
    """One server process on one data directory, standalone unless `settings` say otherwise.

    `settings` are lines of zoo.cfg (None leaves a default out), `properties` Java's -D flags.
    """

    def __init__(self, kind, workdir, settings=None, properties=None):
        self.kind = kind
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
        """(command line, additions to the environment)."""
        flags = [f"-D{key}={value}" for key, value in self.properties.items()]
        if self.java_version:
            script = TESTS / "peers" / "java_server.sh"
            line = [str(script), self.java_version, str(self.cfg), str(self.log)]
            return line, {"JVMFLAGS": " ".join(flags)}
        return [str(binary()), *flags, "server", str(self.cfg)], {}

    def start(self, wait=True):
        self.data.mkdir(exist_ok=True)
        lines = [f"{key}={value}\n" for key, value in self.settings.items() if value is not None]
        self.cfg.write_text("".join(lines))
        command, environment = self.command()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.workdir,
                env={**os.environ, **environment}, start_new_session=True,
            )
        if wait:
            self.wait_serving()
        return self

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
            # A Java server that starts may leave a connection without an answer: another is asked then.
            return "Mode: " in four_letter_word(self.port, "srvr", START_REPLY_S)
        except OSError:
            return False

    def wait_exit(self, deadline_s=START_DEADLINE_S):
        """The exit code of a server that is expected to end by itself."""
        return self.process.wait(deadline_s)

    def stop(self):
        """SIGTERM, as an operator would."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.kill()
                raise TimeoutError(f"{self.kind} does not end on SIGTERM: {self.log}") from None

    def kill(self):
        """SIGKILL: no chance to write anything more."""
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
    """An empty directory at `path`."""
    path = Path(path)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def work_root():
    """Where data directories, logs and transcripts go: they stay for a look after a failure. Each
    checkout has its own, also when several share an installation of the peers."""
    root = Path(os.environ.get("TESTS_WORK_DIR", TESTS / ".peers" / "work"))
    root.mkdir(parents=True, exist_ok=True)
    return root


def require(*kinds):
    """Ends the program when a server of these kinds cannot be started at all."""
    for kind in kinds:
        if kind.startswith("java:"):
            if not (PEERS / "java" / kind.split(":", 1)[1] / ".complete").exists():
                sys.exit(f"{kind} is not installed: run tests/peers/install.sh")
        elif not binary().exists():
            sys.exit(f"{binary()} does not exist: cargo build --release")
