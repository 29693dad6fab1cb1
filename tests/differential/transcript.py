"""Turns what a server sends into lines that are equal for two servers that behave alike.

Session ids become S1, S2, ... in the order in which they were created. Times become words such as `now` or `ctime`.
Lists whose order in Java depends on a hash table are sorted. Zxids stay, as `zx:N`, and compare.py compares them.
"""

import json
import re
import time

from harness import protocol

# Servers use this machine's clock. The slack is for the time between two readings of it.
CLOCK_SLACK_MS = 2000
# A number is a port only behind a colon, as in an address, or behind a word such as `clientPort`. Any other number may
# equal a port by chance.
PORT = re.compile(r"(?i)(?:(?<=:)|(?<=port=)|(?<=port found: ))\d{4,5}\b")


class Normaliser:
    """The ids and times of one run against one server.

    In an ensemble, which may have started long ago, `base` is subtracted from zxids, and `ports` has the names that are
    shown instead of ports.
    """

    def __init__(self, base=0, ports=None, started_ms=None):
        self.base, self.ports = base, ports or {}
        self.sessions = {}
        self.newest_session = None
        self.zxid = 0
        self.started_ms = time.time() * 1000 if started_ms is None else started_ms

    def seen_zxid(self, zxid):
        self.zxid = max(self.zxid, zxid)
        return self.zx(zxid)

    def zx(self, zxid):
        """Returns a zxid as it is shown. 0 and -1 have a meaning of their own, and stay."""
        return f"zx:{zxid if zxid in (0, -1) else zxid - self.base}"

    def name_ports(self, text):
        """Returns the text with names in the place of ports."""
        if not self.ports:
            return text
        return PORT.sub(lambda found: self.ports.get(found[0], found[0]), text)

    def session(self, session_id):
        if session_id == 0:
            return "0"
        return self.sessions.get(session_id, f"unknown-session:{session_id:#x}")

    def new_session(self, session_id):
        """Names a session that a server has just created. Returns the name, and how the id follows the one before."""
        if session_id in self.sessions:
            return self.sessions[session_id] + " (again)"
        name = self.sessions[session_id] = f"S{len(self.sessions) + 1}"
        if self.newest_session is None:
            how = f"first, sid {session_id >> 56}"
        else:
            how = f"+{session_id - self.newest_session}"
        self.newest_session = session_id
        return f"{name} (new, {how})"

    def when(self, ms):
        if ms == 0:
            return "0"
        if self.started_ms - CLOCK_SLACK_MS <= ms <= time.time() * 1000 + CLOCK_SLACK_MS:
            return "now"
        return f"bad-time:{ms}"

    def stat(self, stat):
        ctime, mtime = self.when(stat["ctime"]), self.when(stat["mtime"])
        later = stat["mtime"] - stat["ctime"]
        if stat["version"] == 0 and stat["ctime"]:
            mtime = "ctime" if later == 0 else f"not-ctime:{later}"
        elif later < 0:
            mtime = "before-ctime"
        owner = stat["ephemeralOwner"]
        owner = self.session(owner) if owner >= 0 else f"{owner & (1 << 64) - 1:#x}"
        return (
            f"stat(c={self.zx(stat['czxid'])} m={self.zx(stat['mzxid'])} "
            f"p={self.zx(stat['pzxid'])} "
            f"ctime={ctime} mtime={mtime} v={stat['version']} cv={stat['cversion']} "
            f"av={stat['aversion']} owner={owner} len={stat['dataLength']} "
            f"kids={stat['numChildren']})"
        )

    def record(self, record):
        """Returns a response record as text, field by field."""
        parts = []
        for name, value in record.items():
            if name == "stat":
                parts.append(self.stat(value))
            elif name == "acl" and value is not None:
                parts.append(f"acl={acl(value)}")
            elif name in ("children", "ephemerals") and value is not None:
                parts.append(f"{name}={json.dumps(sorted(value))}")
            elif name == "clientInfo" and value is not None:
                users = (f"{text(one['authScheme'])}:{text(one['user'])}" for one in value)
                parts.append(f"clientInfo={sorted(users)}")
            elif isinstance(value, (bytes, type(None))):
                parts.append(f"{name}={show(value, self.name_ports)}")
            else:
                parts.append(f"{name}={text(value) if isinstance(value, str) else value}")
        return " ".join(parts)

    def event(self, header, reader):
        event = reader.value("WatcherEvent")
        kind = protocol.EVENTS.get(event["type"], event["type"])
        state = protocol.STATES.get(event["state"], event["state"])
        err = "" if header["err"] == 0 else f" err={header['err']}"
        zxid = self.seen_zxid(header["zxid"])
        return f"event {zxid}{err} {kind} {state} {text(event['path'])}{leftover(reader)}"

    def multi(self, reader):
        parts = []
        for name, result in protocol.multi_results(reader):
            if name == "end":
                parts.append("end" if result == protocol.END_OF_MULTI else f"odd-end={result}")
            elif name == "error":
                header, body = result
                odd = "" if header == body else f"/{body}"
                parts.append(f"error:{protocol.error_name(header)}{odd}")
            else:
                parts.append(f"{name}:({self.record(result)})")
        return "; ".join(parts)

    def reply(self, header, reader, verb):
        error = protocol.error_name(header["err"])
        line = f"reply xid={header['xid']} {self.seen_zxid(header['zxid'])} {error}"
        if header["err"] == 0:
            try:
                if verb in ("multi", "multiRead"):
                    line += " " + self.multi(reader)
                elif verb in protocol.OPS:
                    line += " " + self.record(reader.value(protocol.OPS[verb][2]))
            except EOFError as early:
                line += f" short-body ({early})"
        return line.rstrip() + leftover(reader)

    def frame(self, payload, verb_of_xid):
        """Returns one frame as text. `verb_of_xid` has the verb of the request that a reply belongs to."""
        try:
            header, reader = protocol.parse_reply(payload)
            if header["xid"] == protocol.EVENT_XID:
                return self.event(header, reader)
        except EOFError:
            return f"short-frame {payload.hex()}"
        return self.reply(header, reader, verb_of_xid.get(header["xid"]))

    def connected(self, answer, password_sent):
        """Returns a ConnectResponse as text."""
        session_id, password = answer["sessionId"], answer["passwd"]
        if session_id and password == protocol.session_password(session_id):
            password = "derived"
        elif password == password_sent and any(password):
            password = "as sent"
        else:
            password = show(password)
        name = "0" if session_id == 0 else self.new_session(session_id)
        read_only = {None: "absent", True: "yes", False: "no"}[answer["readOnly"]]
        rest = "" if not answer["rest"] else f" rest={answer['rest'].hex()}"
        return (
            f"connected version={answer['protocolVersion']} timeout={answer['timeOut']} "
            f"session={name} password={password} readOnly={read_only}{rest}"
        )


def leftover(reader):
    rest = reader.rest()
    return "" if not rest else f" leftover={rest.hex()}"


def text(value):
    return "null" if value is None else json.dumps(value)


def acl(entries):
    return "[" + ", ".join(
        f"{text(e['id']['scheme'])}:{text(e['id']['id'])}:{e['perms']}" for e in entries) + "]"


def show(value, name_ports=str):
    """Returns bytes as text if they are text, else in hexadecimal digits. Shows only the length and a checksum of long
    data, unless it is a configuration."""
    if value is None:
        return "null"
    if len(value) > 200 and not value.startswith(b"server."):
        return f"<{len(value)} bytes, sum {sum(value)}>"
    if all(32 <= byte < 127 or byte == 10 for byte in value):
        return json.dumps(name_ports(value.decode("ascii")))
    return "hex:" + value.hex()
