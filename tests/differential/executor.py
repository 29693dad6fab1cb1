"""Runs a scenario against one server and records what the server sends."""

import re
import struct
import time

import fourletter
import script
from harness import protocol
from harness.client import Closed, Connection, Timeout, four_letter_word
from harness.jute import encode
from harness.servers import wait_until
from transcript import Normaliser

# How long an await step waits for its events, and a closed step for the end of its connection.
AWAIT_S = 60.0
CLOSED_S = 60.0
# How long the leader may take to apply what its learner has applied.
APPLIED_S = 60.0
# A server may leave a connection without an answer. After this time, it is asked again.
ASK_S = 5.0
# After this many steps without an answer, the run ends, because the server will not answer the others either.
MAX_WAITS = 3
_ZXID = re.compile(r"zx:-?\d+")
CODES = {"multi": protocol.MULTI, "multiRead": protocol.MULTI_READ, "close": -11}


def xid_of(payload):
    return struct.unpack(">i", payload[:4])[0] if len(payload) >= 4 else None


class Client:
    """A named connection of a scenario."""

    def __init__(self, name, connection):
        self.name = name
        self.connection = connection
        # The verbs of the requests in flight, by xid.
        self.verbs = {}
        # The number of pings without an answer.
        self.pings = 0
        # Events that the next await step records.
        self.held = []
        # Only a part of a frame has been sent. The ping of a fence would become the rest of it.
        self.partial = False

    @property
    def alive(self):
        return not self.connection.closed

    def ping(self):
        self.connection.send_request(protocol.PING_XID, protocol.OPS["ping"][0], b"")
        self.pings += 1


class Executor:
    """One run. `run` returns the transcript, a list of (title of the step, lines)."""

    def __init__(self, server, normaliser=None, leader=None):
        """With a `leader`, which is another member, each step waits until the leader has applied what `server` has."""
        self.server = server
        self.leader = leader
        self.clients = {}
        # The last session of every name, also if it has ended: (id, password).
        self.sessions = {}
        self.normaliser = normaliser or Normaliser()
        self.lines = []

    def run(self, scenario):
        transcript, waits = [], 0
        for step in scenario.steps:
            self.lines = []
            if waits == MAX_WAITS:
                break
            inner = "".join(f" | {child.text}" for child in step.children)
            try:
                self.step(step)
            except Timeout as error:
                self.lines.append(f"{step.client} TIMEOUT: {error}")
                waits += 1
            except ConnectionError as error:
                self.lines.append(f"{step.client} {type(error).__name__}")
            transcript.append((f"{scenario.name}:{step.line} {step.text}{inner}", self.lines))
        for client in self.clients.values():
            client.connection.close()
        if scenario.zxids_free:
            return [(title, [_ZXID.sub("zx", line) for line in lines]) for title, lines in transcript]
        return transcript

    def step(self, step):
        if step.client == "-":
            word = script.body([step.verb, *step.args]) if ":" in step.verb else step.verb.encode()
            self.server.wait_at_rest()
            answer = four_letter_word(self.server.port, word)
            name = word[:4].decode("latin-1")
            self.lines += fourletter.lines(name, answer, self.normaliser, step.flags)
            return
        if step.verb in ("open", "socket"):
            old = self.clients.get(step.client)
            if old is not None and old.alive:
                self.note(old, "was still open")
                old.connection.close()
            self.clients[step.client] = Client(step.client, Connection(self.server.port))
        if step.client not in self.clients:
            raise script.ScriptError(f"line {step.line}: {step.client} is not open")
        client = self.clients[step.client]
        getattr(self, "do_" + step.verb, self.do_request)(client, step)
        if "closed" in step.flags:
            self.do_closed(client, step)
        self.fence(hold="late" in step.flags)
        if "unordered" in step.flags:
            self.lines.sort()
        if self.leader:
            wait_until("the leader has applied the step", lambda: self.leader.zxid() >= self.normaliser.zxid, APPLIED_S)

    def note(self, client, line):
        self.lines.append(f"{client.name} {line}")

    # Connections

    def do_open(self, client, step):
        """Connects and sends a ConnectRequest."""
        options = step.options
        session_id, password = 0, bytes(16)
        if "attach" in options:
            session_id, password = self.sessions[options["attach"]]
        if "session" in options:
            session_id = int(options["session"], 0)
        if "password" in options:
            password = script.data(options["password"])
        try:
            answer = client.connection.connect(
                timeout_ms=int(options.get("timeout", "300000")),
                session_id=session_id, password=password,
                last_zxid=script.zxid(options.get("last", "0"), self.normaliser.zxid),
                read_only=None if "old" in step.args else "ro" in step.args,
                version=int(options.get("version", "0")),
            )
        except Closed:
            self.note(client, "closed without an answer")
            return
        self.note(client, self.normaliser.connected(answer, password))
        if client.connection.established:
            self.sessions[client.name] = (answer["sessionId"], answer["passwd"])
        else:
            self.do_closed(client, step)

    def do_socket(self, client, step):
        """Connects without sending anything."""

    def do_bytes(self, client, step):
        """Sends bytes that need not be a whole frame."""
        client.connection.send(script.body(step.args))
        client.partial = True

    def do_whole(self, client, step):
        """Reads the reply to the request of that xid, which the bytes sent before have completed."""
        xid = int(step.args[0])
        client.partial = False
        client.verbs[xid] = step.options.get("as")
        self.replies(client, [xid])

    def do_frame(self, client, step):
        client.connection.send_frame(script.body(step.args))

    def do_receive(self, client, step):
        """Records the next frame in hexadecimal digits."""
        try:
            self.note(client, f"frame {client.connection.receive().hex()}")
        except Closed:
            self.note(client, "closed")

    def do_drop(self, client, step):
        """Closes the socket without closing the session, and waits until the server has noticed."""
        port = client.connection.socket.getsockname()[1]
        client.connection.close()

        def is_gone():
            try:
                return f":{port}[" not in four_letter_word(self.server.port, "cons", ASK_S)
            except OSError:
                return False
        wait_until("the end of a connection", is_gone, CLOSED_S)

    def do_closed(self, client, step):
        """Waits for the server to close the connection."""
        deadline = time.monotonic() + CLOSED_S
        while client.alive:
            try:
                payload = client.connection.receive(max(0.0, deadline - time.monotonic()))
            except Closed:
                self.note(client, "closed")
            except Timeout:
                self.note(client, "STILL OPEN")
                return
            else:
                self.note(client, self.normaliser.frame(payload, client.verbs))

    # Requests

    def prepare(self, client, step):
        """Returns (xid of the reply, bytes of the frame) of one request."""
        now = self.normaliser.zxid
        xid = protocol.SPECIAL_XIDS.get(step.verb)
        if "xid" in step.options:
            xid = int(step.options["xid"])
        elif xid is None:
            xid = client.connection.next_xid()
        verb = step.options.get("as") if step.verb == "raw" else step.verb
        if step.verb == "raw":
            code, payload = int(step.args[0]), script.body(step.args[1:])
        elif step.verb in CODES:
            code, payload = CODES[step.verb], b""
            if step.verb != "close":
                payload = protocol.multi_body([
                    (child.verb, script.request(child, now) if child.verb in protocol.OPS else {})
                    for child in step.children])
        else:
            code, kind, _ = protocol.OPS[step.verb]
            payload = encode(kind, script.request(step, now))
        client.verbs[xid] = verb
        frame = encode("RequestHeader", {"xid": xid, "type": code}) + payload
        return int(step.options.get("reply", xid)), struct.pack(">i", len(frame)) + frame

    def do_request(self, client, step):
        xid, frame = self.prepare(client, step)
        client.connection.send(frame)
        self.replies(client, [xid])

    def do_pipeline(self, client, step):
        """Sends all requests in one write, and records the replies in the order in which they come."""
        prepared = [self.prepare(client, child) for child in step.children]
        client.connection.send(b"".join(frame for _, frame in prepared))
        self.replies(client, [xid for xid, _ in prepared])

    def replies(self, client, xids):
        """Reads until every request has its reply, or the connection is closed."""
        missing = list(xids)
        while missing:
            try:
                payload = client.connection.receive()
            except Closed:
                self.note(client, "closed")
                return
            self.note(client, self.normaliser.frame(payload, client.verbs))
            if xid_of(payload) in missing:
                missing.remove(xid_of(payload))

    def do_close(self, client, step):
        self.do_request(client, step)
        self.do_closed(client, step)

    def do_await(self, client, step):
        """Waits for the given number of events. Keeps every session alive meanwhile."""
        wanted, deadline = int(step.args[0]), time.monotonic() + AWAIT_S
        wanted -= len(client.held)
        for line in client.held:
            self.note(client, line)
        client.held = []
        while wanted > 0:
            try:
                payload = client.connection.receive(0.2)
            except Timeout:
                if time.monotonic() > deadline:
                    raise
                for other in self.established():
                    other.ping()
                continue
            except Closed:
                self.note(client, "closed")
                return
            if xid_of(payload) == protocol.PING_XID:
                client.pings -= 1
            else:
                self.note(client, self.normaliser.frame(payload, client.verbs))
                wanted -= 1

    # Synchronisation

    def established(self):
        clients = self.clients.values()
        return [c for c in clients if c.alive and c.connection.established and not c.partial]

    def fence(self, hold=False):
        """Sends a ping on every connection and reads up to its answer.

        The server has queued the events of finished requests before that answer, so they appear in the step that caused
        them. With `hold`, what comes is kept for an await step, because it may come now or later: the server acts at
        its own time, for example when a session expires.
        """
        for client in self.established():
            client.ping()
            while client.pings:
                try:
                    payload = client.connection.receive()
                except Closed:
                    self.note(client, "closed")
                    break
                line = self.normaliser.frame(payload, client.verbs)
                if xid_of(payload) == protocol.PING_XID:
                    client.pings -= 1
                elif hold:
                    client.held.append(line)
                else:
                    self.note(client, line)
