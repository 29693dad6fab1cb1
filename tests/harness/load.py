"""Writers that work while members stop and start, and that record what was acknowledged.

A writer has its own nodes and sends one request at a time. At the end, its nodes must show every acknowledged request.
A request whose connection was lost before the answer may have been done or not.
"""

import random
import threading
import time

from . import protocol
from .client import Closed, Connection, Timeout
from .jute import encode
from .protocol import OPEN_ACL, error_name
from .servers import wait_until

RECONNECT_PAUSE_S = 0.05
# The pause between two requests. It keeps the trees small, because large trees take long to compare.
PAUSE_S = 0.01
REPLY_S = 10.0
SESSION_MS = 20000


class SessionLost(Exception):
    """The session has ended, and its ephemeral nodes are deleted."""


class Session:
    """A session that moves from member to member, as a real client's session does.

    `addresses` are (host, port) pairs. Only one thread may use a session.
    """

    def __init__(self, addresses, seed=0, timeout_ms=SESSION_MS, reply_s=REPLY_S):
        self.addresses, self.random, self.timeout_ms = list(addresses), random.Random(seed), timeout_ms
        self.reply_s = reply_s
        self.connection = None
        self.id, self.password, self.last_zxid = 0, bytes(16), 0
        self.address = None
        self.moves = 0

    def connect_once(self, address):
        """Connects to one address. Returns None if there is no answer. Raises SessionLost if the session is over."""
        connection = None
        try:
            connection = Connection(address[1], address[0])
            answer = connection.connect(self.timeout_ms, self.id, self.password, self.last_zxid)
        except (Closed, Timeout, OSError, EOFError):
            if connection:
                connection.close()
            return None
        if not connection.established:
            connection.close()
            self.id, self.password = 0, bytes(16)
            raise SessionLost
        self.id, self.password = answer["sessionId"], answer["passwd"]
        self.address = address
        self.moves += 1
        return connection

    def connect(self, until=None):
        """Tries random addresses until one answers. Returns False if the function `until` returns true before."""
        while until is None or not until():
            self.connection = self.connect_once(self.random.choice(self.addresses))
            if self.connection:
                return True
            time.sleep(RECONNECT_PAUSE_S)
        return False

    def send(self, name, **fields):
        """Like `Connection.call`, with the zxid of the reply: returns (error, record, zxid).

        Without a reply, closes the connection and raises Closed.
        """
        code, request, response = protocol.OPS[name]
        error, reader, zxid = self._exchange(
            code, encode(request, fields), protocol.SPECIAL_XIDS.get(name))
        return error, reader.value(response) if error == 0 else None, zxid

    def multi(self, operations):
        """Like `Connection.multi`, with the zxid of the reply: returns (error, results, zxid)."""
        error, reader, zxid = self._exchange(protocol.MULTI, protocol.multi_body(operations))
        return error, protocol.multi_results(reader) if error == 0 else None, zxid

    def _exchange(self, code, body, xid=None):
        connection = self.connection
        if connection is None:
            raise Closed
        xid = xid or connection.next_xid()
        try:
            connection.send_request(xid, code, body)
            while True:
                header, reader = protocol.parse_reply(connection.receive(self.reply_s))
                if header["xid"] == xid:
                    break
        except (Closed, Timeout, OSError, EOFError):
            self.drop()
            raise Closed from None
        if header["zxid"] > 0:
            self.last_zxid = max(self.last_zxid, header["zxid"])
        return header["err"], reader, header["zxid"]

    def drop(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def close(self):
        """Closes the session and the connection. Returns False if no server has confirmed it."""
        try:
            self.send("closeSession")
            return True
        except Closed:
            return False
        finally:
            self.drop()


class Writer:
    """A writer with one session. It creates nodes, and counts in one of them."""

    def __init__(self, name, addresses, seed):
        self.root = f"/{name}"
        self.session = Session(addresses, seed)
        self.random = random.Random(seed)
        self.acknowledged, self.unknown, self.sequence = {}, {}, {}
        self.count, self.counted, self.asked = 0, 0, 0
        self.answers, self.lost = 0, 0
        self.longest_pause_s = 0.0
        self.last_zxid = 0

    def prepare(self):
        self.session.connect()
        for path in (self.root, f"{self.root}/counter", f"{self.root}/seq"):
            error, _, _ = self.session.send(
                "create", path=path, data=b"0", acl=OPEN_ACL, flags=0)
            if error:
                raise AssertionError(f"create {path}: {error_name(error)}")

    def run(self, stop):
        """Writes until `stop`, an Event, is set."""
        answered = time.monotonic()
        while not stop.is_set():
            try:
                if self.session.connection is None and not self.session.connect(stop.is_set):
                    break
                self.step()
                self.answers += 1
                now = time.monotonic()
                stop.wait(PAUSE_S)
                self.longest_pause_s = max(self.longest_pause_s, now - answered)
                answered = now
            except Closed:
                self.lost += 1
            except SessionLost:
                raise AssertionError(f"{self.root}: its session has ended within the timeout") from None

    def write(self, name, **fields):
        error, answer, zxid = self.session.send(name, **fields)
        if zxid <= self.last_zxid:
            raise AssertionError(f"{name} {fields}: zxid {zxid:#x} after {self.last_zxid:#x}")
        self.last_zxid = zxid
        return error, answer

    def step(self):
        self.count += 1
        choice = self.random.random()
        if choice < 0.4:
            path = f"{self.root}/n{self.count}"
            data = b"%d of " % self.count + self.root.encode() + b"." * self.random.randrange(200)
            self.unknown[path] = data
            error, _ = self.write("create", path=path, data=data, acl=OPEN_ACL, flags=0)
            self.expect_ok(error, path)
            self.acknowledged[path] = self.unknown.pop(path)
        elif choice < 0.6:
            data = b"%d" % self.count
            error, answer = self.write(
                "create", path=f"{self.root}/seq/s-", data=data, acl=OPEN_ACL, flags=2)
            self.expect_ok(error, "s-")
            if answer["path"] in self.sequence:
                raise AssertionError(f"{answer['path']} was given twice")
            if self.sequence and answer["path"] < max(self.sequence):
                raise AssertionError(f"{answer['path']} after {max(self.sequence)}")
            self.sequence[answer["path"]] = data
        else:
            self.asked = self.count
            error, _ = self.write("setData", path=f"{self.root}/counter", data=b"%d" % self.count,
                                  version=-1)
            self.expect_ok(error, "counter")
            self.counted = self.asked

    def expect_ok(self, error, path):
        if error:
            raise AssertionError(f"{self.root} {path}: {error_name(error)}")

    def check(self, tree):
        """Checks the writer's nodes in `tree`, which is a result of `tree_of`."""
        for path, data in {**self.acknowledged, **self.sequence}.items():
            if path not in tree:
                raise AssertionError(f"{path} was acknowledged and is missing")
            if tree[path][0] != data:
                raise AssertionError(f"{path} is {tree[path][0]!r}, not {data!r}")
        seq, unknown = f"{self.root}/seq/", self.unknown
        for path in tree:
            if path.startswith(f"{self.root}/n") and path not in self.acknowledged:
                if tree[path][0] != unknown.get(path):
                    raise AssertionError(f"{path} is {tree[path][0]!r}: nobody wrote that")
            if path.startswith(seq) and path not in self.sequence and not self.lost:
                raise AssertionError(f"{path} is there: nobody was told")
        counter = int(tree[f"{self.root}/counter"][0])
        if not self.counted <= counter <= self.asked:
            raise AssertionError(
                f"{self.root}/counter is {counter}; {self.counted} was acknowledged, {self.asked} sent")


class Load:
    """Several writers, each in its own thread. They work inside a `with` statement; call `check(tree)` after it."""

    def __init__(self, addresses, writers=3, seed=1, name="load"):
        self.writers = [Writer(f"{name}-{i}", addresses, seed * 1000 + i) for i in range(writers)]
        self.stopping = threading.Event()
        self.errors = []
        self.threads = []

    def start(self):
        for writer in self.writers:
            writer.prepare()
        self.threads = [threading.Thread(target=self._run, args=(writer,)) for writer in self.writers]
        for thread in self.threads:
            thread.start()
        return self

    def _run(self, writer):
        try:
            writer.run(self.stopping)
        except BaseException as error:  # Raised by `stop`.
            self.errors.append(error)

    def answers(self):
        return sum(writer.answers for writer in self.writers)

    def lost(self):
        return sum(writer.lost for writer in self.writers)

    def longest_pause_s(self):
        return max(writer.longest_pause_s for writer in self.writers)

    def wait_answers(self, more, deadline_s=120.0):
        """Waits until `more` more requests are answered."""
        wanted = self.answers() + more

        def enough():
            if self.errors:
                raise self.errors[0]
            return self.answers() >= wanted
        wait_until(f"{more} more requests are answered", enough, deadline_s)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        for writer in self.writers:
            writer.session.close()
        if self.errors:
            raise self.errors[0]

    def check(self, tree):
        for writer in self.writers:
            writer.check(tree)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.stopping.set()
            for thread in self.threads:
                thread.join()
