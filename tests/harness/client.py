"""A connection to a server's client port: frames in and out with a deadline, nothing hidden."""

import socket
import struct
import time

from . import protocol
from .jute import Reader, encode

REPLY_DEADLINE_S = 20.0


class Closed(Exception):
    """The server closed the connection."""


class Timeout(Exception):
    """Nothing came before the deadline."""


class Connection:
    """One TCP connection. Not for several threads."""

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
        # Events that came while a reply was awaited.
        self.events = []

    def send(self, data):
        """Sends bytes. That the server has closed shows when its answer is read."""
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
        """The payload of the next frame."""
        deadline = time.monotonic() + deadline_s
        while len(self.buffered) < 4:
            self._fill(deadline)
        (length,) = struct.unpack(">i", self.buffered[:4])
        if length < 0:
            raise ValueError(f"the server sent a frame of length {length}")
        # Taken together, so that a deadline between length and payload loses nothing.
        return self.read(4 + length, deadline)[4:]

    def connect(self, timeout_ms=30000, session_id=0, password=bytes(16), last_zxid=0,
                read_only=False, version=0):
        """Sends a ConnectRequest (read_only=None: the old form without that byte), reads the answer.

        In the answer, `readOnly` is None when the byte is missing. Closed: there was no answer.
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

    # What follows is the easy way, for tests that are not about the protocol.

    def call(self, name, **fields):
        """Sends one request, waits for its reply, keeps events: (error code, record or None)."""
        code, request, response = protocol.OPS[name]
        xid = protocol.SPECIAL_XIDS.get(name) or self.next_xid()
        self.send_request(xid, code, encode(request, fields))
        header, reader = self.reply(xid)
        return header["err"], reader.value(response) if header["err"] == 0 else None

    def multi(self, operations):
        """As `call`: (error code, results)."""
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
        """The oldest event of a watch that was not taken yet."""
        while not self.events:
            header, reader = protocol.parse_reply(self.receive())
            if header["xid"] == protocol.EVENT_XID:
                self.events.append(reader.value("WatcherEvent"))
        return self.events.pop(0)

    def ok(self, name, **fields):
        """As `call`, where an error is a fault of the test."""
        error, record = self.call(name, **fields)
        if error:
            raise AssertionError(f"{name} {fields}: {protocol.error_name(error)}")
        return record


def four_letter_word(port, word, deadline_s=REPLY_DEADLINE_S, host="127.0.0.1"):
    """The answer to a four-letter word, up to the server's closing. OSError: nobody listens."""
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
