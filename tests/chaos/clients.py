"""Clients that record their requests and the answers in a history for the checker.

The history has one JSON object on each line. `call` and `ret` are nanoseconds of one clock. `ret` is absent if the
connection was lost before the answer. Then the request may have been done or not.

Registers come in pairs, which multis write together: `/r3-7` is the pair of `/r3-7-a` and `/r3-7-b`.
"""

import json
import random
import threading
import time

from harness.client import Closed, Timeout
from harness.load import Session, SessionLost
from harness.protocol import OPEN_ACL, error_name
from harness.servers import wait_until

# The pairs in use at a time, and how long they are used: the checker's work grows fast with the age of a register.
PAIRS = 4
NODES = ("a", "b")
GENERATION_S = 5.0
# Both are longer than the longest pause of a member, so that a client that waits for it may still get its answer.
SESSION_MS = 12000
REPLY_S = 8.0
# The time limit for creating each of the nodes that all clients need.
PREPARE_S = 60.0
PAUSE_S = 0.005
EPHEMERALS = 3
# The sequential nodes that a client keeps. It deletes older ones, so that the tree stays small in a long run.
SEQUENTIAL = 40
# The session has expired, or has moved.
SESSION_ERRORS = (-112, -118)
OPERATIONS = ("set",) * 6 + ("read",) * 5 + ("sync read",) * 5 + ("multi",) * 4 + (
    "create", "create", "delete", "sequence", "sequence", "ephemeral", "own")


class History:
    """The file of the history. Several threads may write to it."""

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


def sub_request(part):
    """Returns (name, record) of a part of a multi."""
    path = part["k"]
    if part["op"] == "create":
        return "create", {"path": path, "data": part["value"].encode(), "acl": OPEN_ACL, "flags": 0}
    if part["op"] == "set":
        return "setData", {"path": path, "data": part["value"].encode(), "version": part["version"]}
    return part["op"], {"path": path, "version": part["version"]}


class Client:
    """One client. It has one session at a time, on any member, and sends one request at a time."""

    def __init__(self, number, addresses, seed):
        self.number, self.history = number, None
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
        pair = f"/r{self.random.randrange(PAIRS)}-{generation}"
        key = f"{pair}-{self.random.choice(NODES)}"
        value = f"{self.number}.{self.count}"
        operation = self.random.choice(OPERATIONS)
        if operation == "set":
            version = self.some_version(key)
            self.ask("set", key, "setData", {"data": value.encode(), "version": version},
                     value=value, version=version)
        elif operation == "read":
            self.ask("read", key, "getData", {"watch": False})
        elif operation == "sync read":
            self.sync_read(key)
        elif operation == "multi":
            self.multi(pair, value)
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

    def some_version(self, key):
        """Returns the last known version of the node, or -1, which stands for any version."""
        return self.versions.get(key, 0) if self.random.random() < 0.6 else -1

    def ask(self, name, key, request, fields, call=None, **said):
        """Sends one request and records it. Returns (error, answer).

        Raises Closed if the connection is lost or the session is over.
        """
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
        if error in SESSION_ERRORS:
            self.session.drop()
            raise Closed
        return error, answer

    def multi(self, pair, value):
        """Sends a multi of two or three operations on both nodes of a pair, and records it."""
        parts, requests = [], []
        for number in range(self.random.choice((2, 2, 3))):
            key = f"{pair}-{self.random.choice(NODES) if number > 1 else NODES[number]}"
            name = self.random.choice(("set", "set", "set", "create", "delete", "check"))
            part = {"op": name, "k": key}
            if name in ("set", "create"):
                part["value"] = f"{value}.{number}"
            if name != "create":
                part["version"] = self.some_version(key)
            parts.append(part)
            requests.append(sub_request(part))
        entry = {"c": self.number, "s": f"{self.session.id:x}", "op": "multi", "k": pair,
                 "call": time.monotonic_ns()}
        try:
            error, results, zxid = self.session.multi(requests)
        except Closed:
            self.unknown += 1
            self.history.add(**entry, ops=parts)
            raise
        entry["ret"] = time.monotonic_ns()
        self.answered += 1
        entry["err"], entry["z"] = error_name(error), zxid
        for part, (kind, result) in zip(parts, results or ()):
            self.note_result(part, kind, result)
        # The header does not say which part has failed.
        failed = [part["err"] for part in parts if part.get("err", "OK") != "OK"]
        if not error and failed:
            entry["err"] = next((name for name in failed if name != "RUNTIMEINCONSISTENCY"), failed[0])
        self.history.add(**entry, ops=parts)
        if error in SESSION_ERRORS:
            self.session.drop()
            raise Closed

    def note_result(self, part, kind, result):
        part["err"] = error_name(result[1]) if kind == "error" else "OK"
        if kind == "setData":
            stat = result["stat"]
            part["rver"], part["mz"] = stat["version"], stat["mzxid"]
            self.versions[part["k"]] = stat["version"]
        elif kind == "create":
            self.versions[part["k"]] = 0

    def sync_read(self, key):
        """Sends a sync and then a read, and records them as one operation, which must see all earlier writes."""
        call = time.monotonic_ns()
        error, _, _ = self.session.send("sync", path="/")
        if not error:
            self.ask("sync read", key, "getData", {"watch": False}, call=call)

    def make_sequence(self, value):
        if len(self.sequence) >= SEQUENTIAL:
            path, _ = self.sequence.pop(0)
            error, _ = self.ask("remove sequence", path, "delete", {"version": 0})
            if error and error not in SESSION_ERRORS:
                self.history.add(op="violation", c=self.number, k=path,
                                 what=f"acknowledged, and cannot be deleted: {error_name(error)}")
            return
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
        """Checks that an ephemeral node of this client exists as long as its session."""
        for path in self.ephemerals[:1]:
            owner = self.session.id
            error, answer = self.ask("own", path, "exists", {"watch": False})
            if error == 0 and answer["stat"]["ephemeralOwner"] == owner:
                continue
            # The session may have ended just now. Then no write on it succeeds.
            error, _ = self.ask("set", "/alive", "setData", {"data": b"", "version": -1}, value="")
            if error == 0 and self.session.id == owner:
                self.history.add(op="violation", c=self.number, k=path,
                                 what=f"gone while its session {owner:x} lives: {answer}")


class Clients:
    """All clients, each in its own thread."""

    def __init__(self, count, addresses, seed):
        self.clients = [Client(i, addresses, seed * 100 + i) for i in range(count)]
        self.stopping = threading.Event()
        self.errors = []
        self.threads = []

    def move(self, addresses):
        """Lets all clients use these addresses when they connect the next time."""
        for client in self.clients:
            client.session.addresses = addresses

    def start(self, history):
        for client in self.clients:
            client.history = history
        self.prepare()
        started = time.monotonic()
        self.threads = [threading.Thread(target=self._run, args=(client, started))
                        for client in self.clients]
        for thread in self.threads:
            thread.start()

    def prepare(self):
        session = self.clients[0].session
        for path in ("/sequence", "/ephemeral", "/alive"):
            wait_until(f"{path} is there", lambda path=path: self.created(session, path), PREPARE_S)

    @staticmethod
    def created(session, path):
        """Creates a node. Returns False if the connection was lost."""
        try:
            if session.connection is None:
                session.connect()
            error, _, _ = session.send("create", path=path, data=b"", acl=OPEN_ACL, flags=0)
        except (Closed, Timeout, OSError, SessionLost):
            return False
        # An earlier attempt may have created it before its connection was lost.
        if error_name(error) not in ("OK", "NODEEXISTS"):
            raise AssertionError(f"create {path}: {error_name(error)}")
        return True

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
        """Closes all sessions that have not ended yet."""
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
