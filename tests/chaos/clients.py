"""Clients that write down what they ask and what they are told, for the checker.

The history has one JSON object a line. `call` and `ret` are nanoseconds of one clock; `ret` is absent
when the connection was lost before the answer: then nobody knows whether it was done.
"""

import json
import random
import threading
import time

from harness.client import Closed
from harness.load import Session, SessionLost
from harness.protocol import OPEN_ACL, error_name

# Registers that are in use at a time, and how long: a checker's work grows fast with a register's age.
REGISTERS = 5
GENERATION_S = 5.0
# Longer than any fault: who waits for a member that is paused may be answered by it afterwards.
SESSION_MS = 12000
REPLY_S = 8.0
PAUSE_S = 0.005
EPHEMERALS = 3
OPERATIONS = ("set",) * 6 + ("read",) * 5 + ("sync read",) * 5 + (
    "create", "create", "delete", "sequence", "sequence", "ephemeral", "own")


class History:
    """The file. Several threads write."""

    def __init__(self, path):
        self.file = open(path, "w")
        self.lock = threading.Lock()
        self.lines = 0

    def add(self, **fields):
        line = json.dumps(fields, separators=(",", ":"))
        with self.lock:
            self.file.write(line + "\n")
            self.lines += 1

    def close(self):
        self.file.close()


class Client:
    """One client: a session at a time, on any member, one request at a time."""

    def __init__(self, number, addresses, seed, history):
        self.number, self.history = number, history
        self.random = random.Random(seed)
        self.session = Session(addresses, seed, SESSION_MS, REPLY_S)
        self.versions, self.ephemerals = {}, []
        self.count, self.answered, self.unknown, self.lost_sessions = 0, 0, 0, 0
        self.sequence = []

    def run(self, started, stop):
        while not stop.is_set():
            try:
                if self.session.connection is None and not self.session.connect(stop.is_set):
                    break
                self.step(started)
            except Closed:
                continue
            except SessionLost:
                self.lost_sessions += 1
                self.ephemerals.clear()
            stop.wait(PAUSE_S * 2 * self.random.random())

    def step(self, started):
        self.count += 1
        generation = int((time.monotonic() - started) / GENERATION_S)
        key = f"/r{self.random.randrange(REGISTERS)}-{generation}"
        value = f"{self.number}.{self.count}"
        operation = self.random.choice(OPERATIONS)
        if operation == "set":
            # A version that was right a moment ago, or any.
            version = self.versions.get(key, 0) if self.random.random() < 0.6 else -1
            self.ask("set", key, "setData", {"data": value.encode(), "version": version},
                     value=value, version=version)
        elif operation == "read":
            self.ask("read", key, "getData", {"watch": False})
        elif operation == "sync read":
            self.sync_read(key)
        elif operation == "create":
            self.ask("create", key, "create",
                     {"data": value.encode(), "acl": OPEN_ACL, "flags": 0}, value=value)
        elif operation == "delete":
            version = self.versions.get(key, 0)
            self.ask("delete", key, "delete", {"version": version}, version=version)
        elif operation == "sequence":
            self.make_sequence(value)
        elif operation == "ephemeral":
            self.make_ephemeral(value)
        else:
            self.look_at_own()

    def ask(self, name, key, request, fields, call=None, **said):
        """One operation, written down; (error, answer)."""
        entry = {"c": self.number, "s": f"{self.session.id:x}", "op": name, "k": key, **said,
                 "call": call or time.monotonic_ns()}
        try:
            error, answer, zxid = self.session.send(request, path=key, **fields)
        except Closed:
            self.unknown += 1
            self.history.add(**entry)
            raise
        entry["ret"] = time.monotonic_ns()
        self.answered += 1
        entry["err"], entry["z"] = error_name(error), zxid
        if not error:
            stat = answer.get("stat")
            if stat:
                entry["rver"], entry["mz"] = stat["version"], stat["mzxid"]
                self.versions[key] = stat["version"]
            elif name == "create":
                self.versions[key] = 0
            if answer.get("data") is not None:
                entry["rv"] = answer["data"].decode()
            if "path" in answer:
                entry["path"] = answer["path"]
        self.history.add(**entry)
        if error in (-112, -118):
            self.session.drop()
            raise Closed
        return error, answer

    def sync_read(self, key):
        """A sync and a read behind it: one operation, which must see all that was done before it."""
        call = time.monotonic_ns()
        error, _, _ = self.session.send("sync", path="/")
        if not error:
            self.ask("sync read", key, "getData", {"watch": False}, call=call)

    def make_sequence(self, value):
        error, answer = self.ask("sequence", "/sequence/n-", "create",
                                 {"data": value.encode(), "acl": OPEN_ACL, "flags": 2}, value=value)
        if not error:
            self.sequence.append((answer["path"], value))

    def make_ephemeral(self, value):
        if len(self.ephemerals) >= EPHEMERALS:
            path = self.ephemerals.pop(0)
            self.ask("remove ephemeral", path, "delete", {"version": -1})
            return
        path = f"/ephemeral/{value}"
        error, _ = self.ask("ephemeral", path, "create",
                            {"data": b"", "acl": OPEN_ACL, "flags": 1})
        if not error:
            self.ephemerals.append(path)

    def look_at_own(self):
        """An ephemeral node of one's own is there while the session is."""
        for path in self.ephemerals[:1]:
            owner = self.session.id
            error, answer = self.ask("own", path, "exists", {"watch": False})
            if error == 0 and answer["stat"]["ephemeralOwner"] == owner:
                continue
            # Its session may have come to its end just now: then no write succeeds.
            error, _ = self.ask("set", "/alive", "setData", {"data": b"", "version": -1}, value="")
            if error == 0 and self.session.id == owner:
                self.history.add(op="violation", c=self.number, k=path,
                                 what=f"gone while its session {owner:x} lives: {answer}")


class Clients:
    """All of them, each in a thread."""

    def __init__(self, count, addresses, seed, history):
        self.clients = [Client(i, addresses, seed * 100 + i, history) for i in range(count)]
        self.stopping = threading.Event()
        self.errors = []
        self.threads = []

    def start(self):
        self.prepare()
        started = time.monotonic()
        self.threads = [threading.Thread(target=self._run, args=(client, started))
                        for client in self.clients]
        for thread in self.threads:
            thread.start()

    def prepare(self):
        session = self.clients[0].session
        session.connect()
        for path in ("/sequence", "/ephemeral", "/alive"):
            error, _, _ = session.send("create", path=path, data=b"", acl=OPEN_ACL, flags=0)
            if error:
                raise AssertionError(f"create {path}: {error_name(error)}")

    def _run(self, client, started):
        try:
            client.run(started, self.stopping)
        except BaseException as error:  # Raised by `stop`.
            self.errors.append(error)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def close_sessions(self):
        """Every session ends in order, if it has not ended already."""
        for client in self.clients:
            while True:
                try:
                    if client.session.connection is None:
                        client.session.connect()
                    if client.session.close():
                        break
                except SessionLost:
                    break

    def total(self, what):
        return sum(getattr(client, what) for client in self.clients)
