"""A raw client: a connection to a server's client port that sends and receives frames, with a deadline."""

import socket
import struct
import time

from . import protocol
from .jute import Reader, encode

REPLY_DEADLINE_S = 20.0


class Closed(Exception):
    """The server closed the connection."""


class Timeout(Exception):
    """The server sent nothing, or took nothing, before the deadline."""


class Connection:
    """One TCP connection. Only one thread may use it."""

    def __init__(self, port, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=REPLY_DEADLINE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffered = b""
        self.closed = False
        self.xid = 0
        self.session_id = 0
        self.password = bytes(16)
        self.timeout_ms = 0
        self.established = False
        # Events that came while a reply was awaited, oldest first.
        self.events = []

    def send(self, data):
        """Sends bytes. If the server has closed the connection, only reading the answer raises Closed."""
        try:
            self.socket.settimeout(REPLY_DEADLINE_S)
            self.socket.sendall(data)
        except socket.timeout:
            raise Timeout("the server takes no more bytes") from None
        except OSError:
            pass

    def send_frame(self, payload):
        self.send(struct.pack(">i", len(payload)) + payload)

    def read(self, count, deadline):
        while len(self.buffered) < count:
            self._fill(deadline)
        data, self.buffered = self.buffered[:count], self.buffered[count:]
        return data

    def _fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise Timeout("no reply in time")
        try:
            self.socket.settimeout(left)
            piece = self.socket.recv(1 << 16)
        except socket.timeout:
            raise Timeout("no reply in time") from None
        except OSError:
            piece = b""
        if not piece:
            self.close()
            raise Closed
        self.buffered += piece

    def receive(self, deadline_s=REPLY_DEADLINE_S):
        """Returns the payload of the next frame."""
        deadline = time.monotonic() + deadline_s
        while len(self.buffered) < 4:
            self._fill(deadline)
        (length,) = struct.unpack(">i", self.buffered[:4])
        if length < 0:
            raise ValueError(f"the server sent a frame of length {length}")
        # Length and payload are taken together, so that nothing is lost if the deadline passes between them.
        return self.read(4 + length, deadline)[4:]

    def connect(self, timeout_ms=30000, session_id=0, password=bytes(16), last_zxid=0,
                read_only=False, version=0):
        """Sends a ConnectRequest and returns the ConnectResponse. Raises Closed if there is no answer.

        `read_only=None` leaves the byte `readOnly` out, as old clients do. In the answer, `readOnly` is None if
        the server left the byte out, and `rest` holds the bytes behind it.
        """
        request = encode("ConnectRequest", {
            "protocolVersion": version, "lastZxidSeen": last_zxid, "timeOut": timeout_ms,
            "sessionId": session_id, "passwd": password,
        })
        if read_only is not None:
            request += b"\1" if read_only else b"\0"
        self.send_frame(request)
        reader = Reader(self.receive())
        answer = reader.value("ConnectResponse")
        rest = reader.rest()
        answer["readOnly"] = None if not rest else rest[0] != 0
        answer["rest"] = rest[1:]
        self.session_id, self.password = answer["sessionId"], answer["passwd"]
        self.timeout_ms = answer["timeOut"]
        self.established = answer["timeOut"] > 0
        return answer

    def next_xid(self):
        self.xid += 1
        return self.xid

    def send_request(self, xid, code, body):
        self.send_frame(encode("RequestHeader", {"xid": xid, "type": code}) + body)

    def close(self):
        self.closed = True
        self.socket.close()

    # The methods below are for tests that are not about the protocol itself.

    def call(self, name, **fields):
        """Sends one request and waits for its reply. Keeps the events that come before it.

        Returns (error code, record), where the record is None after an error.
        """
        code, request, response = protocol.OPS[name]
        xid = protocol.SPECIAL_XIDS.get(name) or self.next_xid()
        self.send_request(xid, code, encode(request, fields))
        header, reader = self.reply(xid)
        return header["err"], reader.value(response) if header["err"] == 0 else None

    def multi(self, operations):
        """Sends a multi, like `call`. Returns (error code, results), where the results are None after an error."""
        xid = self.next_xid()
        self.send_request(xid, protocol.MULTI, protocol.multi_body(operations))
        header, reader = self.reply(xid)
        return header["err"], protocol.multi_results(reader) if header["err"] == 0 else None

    def reply(self, xid):
        while True:
            header, reader = protocol.parse_reply(self.receive())
            if header["xid"] == xid:
                return header, reader
            if header["xid"] == protocol.EVENT_XID:
                self.events.append(reader.value("WatcherEvent"))

    def next_event(self):
        """Returns the oldest event that was not returned yet. Waits for one if there is none."""
        while not self.events:
            header, reader = protocol.parse_reply(self.receive())
            if header["xid"] == protocol.EVENT_XID:
                self.events.append(reader.value("WatcherEvent"))
        return self.events.pop(0)

    def ok(self, name, **fields):
        """Like `call`, but returns only the record, and raises AssertionError for an error."""
        error, record = self.call(name, **fields)
        if error:
            raise AssertionError(f"{name} {fields}: {protocol.error_name(error)}")
        return record


def four_letter_word(port, word, deadline_s=REPLY_DEADLINE_S, host="127.0.0.1"):
    """Sends a four-letter word. Returns the answer, up to the end of the connection.

    Raises OSError if no server listens or if none answers in time.
    """
    with socket.create_connection((host, port), timeout=deadline_s) as sock:
        sock.sendall(word if isinstance(word, bytes) else word.encode())
        out = b""
        while True:
            try:
                piece = sock.recv(1 << 16)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return out.decode("utf-8", "replace")
            out += piece
