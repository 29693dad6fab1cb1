"""Honest clients, which write, and record what was acknowledged and how long each answer took.

A client has its own nodes and sends one request at a time. At the end, every node must be as its last acknowledged
request has left it. If a connection was lost before the answer, the node may also be as that request would leave it.
"""

import http.client
import os
import random
import threading
import time

from harness.client import Closed, Connection, Timeout, four_letter_word
from harness.load import Session, SessionLost
from harness.protocol import OPEN_ACL, error_name

# An answer that takes longer than this is a failure, if the run is not told otherwise.
ANSWER_S = 1.0
# After this time, a client does not wait any longer.
GIVEN_UP_S = 15.0
SESSION_MS = 20000
PAUSE_S = 0.03
# The nodes that a client keeps. It deletes older ones, so that the tree stays small in a long run.
NODES = 150
# The number of deleted nodes that must still be missing at the end.
DELETED = 2000
# The pause between two newcomers.
NEWCOMER_S = 0.1
# The machine has paused if a thread that sleeps for TICK_S wakes more than STOOD_S too late. Its disk has paused if it
# takes longer than SYNC_STOOD_S to sync a small file.
TICK_S, STOOD_S = 0.02, 0.05
SYNC_EVERY_S, SYNC_STOOD_S = 0.25, 0.25

SESSION_ERRORS = (-112, -118)


class Pauses:
    """Records when the machine or its disk paused, because no server can answer then."""

    def __init__(self, directory):
        self.directory = directory
        self.stopping = threading.Event()
        self.found = {"processor": [], "disk": []}
        self.threads = [threading.Thread(target=self._processor), threading.Thread(target=self._disk)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def _processor(self):
        while not self.stopping.is_set():
            before = time.monotonic()
            time.sleep(TICK_S)
            now = time.monotonic()
            if now - before > TICK_S + STOOD_S:
                self.found["processor"].append((before + TICK_S, now))

    def _disk(self):
        with open(self.directory / "disk-watch", "wb", buffering=0) as file:
            while not self.stopping.wait(SYNC_EVERY_S):
                before = time.monotonic()
                file.seek(0)
                file.write(bytes(4096))
                os.fsync(file.fileno())
                now = time.monotonic()
                if now - before > SYNC_STOOD_S:
                    self.found["disk"].append((before, now))

    def within(self, start, end):
        """Returns for how many seconds between these two times the machine or its disk paused."""
        pieces = sorted((max(a, start), min(b, end)) for found in self.found.values() for a, b in found
                        if a < end and b > start)
        total, at = 0.0, start
        for a, b in pieces:
            total += max(0.0, b - max(a, at))
            at = max(at, b)
        return total

    def text(self):
        return ", ".join(f"the {what} stood {len(found)} times, {sum(b - a for a, b in found):.1f} s in all, "
                         f"{max((b - a for a, b in found), default=0):.2f} s at most"
                         for what, found in self.found.items())


class Answers:
    """Records how long answers took, and which requests failed. Several threads may write."""

    def __init__(self, limit_s=ANSWER_S):
        self.limit_s = limit_s
        self.lock = threading.Lock()
        self.lengths = []
        # (start, end, what was asked, name of the member).
        self.slow, self.failed = [], []

    def add(self, start, what, whom, error=None):
        end = time.monotonic()
        with self.lock:
            self.lengths.append(end - start)
            if error is not None:
                self.failed.append((start, end, f"{what}: {error}", whom))
            elif end - start > self.limit_s:
                self.slow.append((start, end, what, whom))

    def too_slow(self, pauses):
        """Returns the answers that took too long even without the pauses of the machine, and how long they took."""
        found = []
        for start, end, what, whom in self.slow:
            took = end - start - pauses.within(start, end)
            if took > self.limit_s:
                found.append((start, end, f"{what} took {took:.2f} s ({end - start:.2f} s with pauses)", whom))
        return found

    def text(self):
        if not self.lengths:
            return "no answers"
        ordered = sorted(self.lengths)
        half, most = ordered[len(ordered) // 2], ordered[len(ordered) * 999 // 1000]
        return (f"{len(ordered)} answers, half within {half * 1000:.1f} ms, 99.9% within {most * 1000:.0f} ms, "
                f"the slowest {ordered[-1] * 1000:.0f} ms")


class Client:
    """Writes and reads on one session."""

    def __init__(self, number, name, address, seed, answers, stop):
        self.root, self.name = f"/soak-{number}", name
        self.random = random.Random(seed)
        self.session = Session([address], seed, SESSION_MS, GIVEN_UP_S)
        self.answers, self.stop = answers, stop
        # path -> the data that the node may have. None means that it may be missing.
        self.expected = {}
        self.live, self.deleted = [], []
        self.count, self.acknowledged, self.lost = 0, 0, 0
        self.last_zxid = 0
        self.errors = []

    def prepare(self):
        self.session.connect()
        self.write({self.root: b""}, "create", path=self.root, data=b"", acl=OPEN_ACL, flags=0)
        self.write({self.counter(): b"0"}, "create", path=self.counter(), data=b"0", acl=OPEN_ACL, flags=0)

    def counter(self):
        return f"{self.root}/counter"

    def run(self):
        try:
            while not self.stop.is_set():
                try:
                    if self.session.connection is None:
                        self.reconnect()
                    else:
                        self.step()
                except Closed:
                    self.lost += 1
                except SessionLost:
                    self.answers.add(time.monotonic(), "a session", self.name, "has ended before its time")
                self.stop.wait(PAUSE_S * 2 * self.random.random())
        except BaseException as error:  # Shown by `run.py`.
            self.errors.append(f"{self.root} at {self.name}: {type(error).__name__}: {error}")

    def reconnect(self):
        start = time.monotonic()
        self.session.connect(self.stop.is_set)
        self.answers.add(start, "connecting again", self.name)

    def ask(self, what, function):
        """Calls a function that sends a request, and records how long that takes. Returns the function's result."""
        start = time.monotonic()
        try:
            answer = function()
        except Closed:
            self.answers.add(start, what, self.name, "the connection was lost")
            raise
        self.answers.add(start, what, self.name)
        if answer[0] in SESSION_ERRORS:
            self.session.drop()
            raise SessionLost
        return answer

    def write(self, becomes, what, **fields):
        """Sends a write and returns its answer. `becomes` is what the write makes of nodes: path -> data, or None for a
        deleted node."""
        send = (lambda: self.session.multi(fields["parts"])) if what == "multi" else (
            lambda: self.session.send(what, **fields))
        try:
            error, answer, zxid = self.ask(what, send)
        except (Closed, SessionLost):
            for path, data in becomes.items():
                self.expected[path] = self.expected.get(path, {None}) | {data}
                if path in self.live:
                    self.live.remove(path)
            raise
        if error or (what == "multi" and any(kind == "error" for kind, _ in answer)):
            raise AssertionError(f"{what} {fields}: {error_name(error)} {answer}")
        if zxid <= self.last_zxid:
            raise AssertionError(f"{what} {fields}: zxid {zxid:#x} after {self.last_zxid:#x}")
        self.last_zxid = zxid
        self.acknowledged += 1
        for path, data in becomes.items():
            self.expected[path] = {data}
        return answer

    def step(self):
        self.count += 1
        data = b"%d of " % self.count + self.root.encode() + b"." * self.random.randrange(300)
        choice = self.random.random()
        if len(self.live) > NODES:
            self.delete(self.live[0])
        elif choice < 0.3:
            path = f"{self.root}/n{self.count}"
            self.write({path: data}, "create", path=path, data=data, acl=OPEN_ACL, flags=0)
            self.live.append(path)
        elif choice < 0.4:
            self.sequential(data)
        elif choice < 0.6 and self.live:
            path = self.random.choice(self.live)
            self.write({path: data}, "setData", path=path, data=data, version=-1)
        elif choice < 0.7:
            self.multi(data)
        else:
            self.read(choice < 0.8)

    def delete(self, path):
        self.write({path: None}, "delete", path=path, version=-1)
        self.live.remove(path)
        self.deleted.append(path)
        if len(self.deleted) > DELETED:
            self.expected.pop(self.deleted.pop(0))

    def sequential(self, data):
        answer = self.write({}, "create", path=f"{self.root}/s-", data=data, acl=OPEN_ACL, flags=2)
        path = answer["path"]
        if path in self.expected:
            raise AssertionError(f"{path} was given twice")
        self.expected[path] = {data}
        self.live.append(path)

    def multi(self, data):
        path, number = f"{self.root}/m{self.count}", b"%d" % self.count
        self.write({path: data, self.counter(): number}, "multi", parts=[
            ("create", {"path": path, "data": data, "acl": OPEN_ACL, "flags": 0}),
            ("setData", {"path": self.counter(), "data": number, "version": -1})])
        self.live.append(path)

    def read(self, after_sync):
        """Reads one of the client's nodes, which must show the client's writes, on its session even without a sync."""
        if after_sync:
            self.ask("sync", lambda: self.session.send("sync", path="/"))
        path = self.random.choice([*self.live, self.counter()])
        error, answer, _ = self.ask("getData", lambda: self.session.send("getData", path=path, watch=False))
        found = None if error else answer["data"]
        if found not in self.expected[path]:
            raise AssertionError(f"{path} is {found!r}, not {self.expected[path]} ({error_name(error)})")

    def check(self, tree):
        """Returns texts about what is wrong in a tree, which is a result of `harness.ensemble.tree_of`."""
        wrong = []
        for path, allowed in self.expected.items():
            found = tree[path][0] if path in tree else None
            if found not in allowed:
                wrong.append(f"{path} is {found!r}, not {allowed}")
        return wrong


class Newcomers:
    """Connects anew to each port that serves new clients, on one member after the other."""

    def __init__(self, members, answers, stop):
        self.answers, self.stop = answers, stop
        self.visits = [(what, member, visit) for member in members for what, visit in (
            ("a new session", self.session), ("ruok", self.word), ("the AdminServer", self.admin),
            ("the metrics", self.metrics))]
        self.errors = []

    def run(self):
        try:
            while not self.stop.is_set():
                for what, member, visit in self.visits:
                    self.visit(what, member, visit)
                    if self.stop.wait(NEWCOMER_S):
                        break
        except BaseException as error:  # Shown by `run.py`.
            self.errors.append(f"a newcomer: {type(error).__name__}: {error}")

    def visit(self, what, member, visit):
        start = time.monotonic()
        try:
            visit(member)
            error = None
        except (OSError, Closed, Timeout, EOFError, http.client.HTTPException, AssertionError) as failure:
            error = f"{type(failure).__name__}: {failure}"
        self.answers.add(start, what, member.title, error)

    @staticmethod
    def session(member):
        connection = Connection(member.port, member.host)
        try:
            connection.connect(SESSION_MS)
            assert connection.established, "no session is given"
            connection.ok("exists", path="/", watch=False)
            connection.call("closeSession")
        finally:
            connection.close()

    @staticmethod
    def word(member):
        answer = four_letter_word(member.port, "ruok", GIVEN_UP_S, member.host)
        assert answer == "imok", f"the answer is {answer!r}"

    @staticmethod
    def get(host, port, path):
        connection = http.client.HTTPConnection(host, port, timeout=GIVEN_UP_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200 and body, f"{path}: {answer.status}"
        finally:
            connection.close()

    @staticmethod
    def admin(member):
        Newcomers.get(member.host, member.settings["admin.serverPort"], "/commands/ruok")

    @staticmethod
    def metrics(member):
        Newcomers.get(member.host, member.settings["metricsProvider.httpPort"], "/metrics")
