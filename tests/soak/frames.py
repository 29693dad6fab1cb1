"""The bytes that hostile connections send: valid ones of each protocol, and functions that change them.

`random` is always a `random.Random`, so that a seed repeats the bytes.
"""

import struct

from harness.jute import encode
from harness.protocol import MULTI, MULTI_READ, OPEN_ACL, OPS, acl_entry, multi_body

# Hostile clients write below this node, apart from changed requests, which may write anywhere.
HOME = "/h"
# A large node that everyone may read.
BIG = "/big"
BIG_BYTES = 900_000
# Servers accept a frame of this size, which is near the limit.
MOST_OF_A_FRAME = 1_000_000

# Lengths, counts and versions that decoders often forget to check.
ODD_INTS = (0, 1, -1, -2, 2, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0xFFFFF, 0x100000, 0x1FFFFE, 0x1FFFFF,
            0x7FFFFFFE, 0x7FFFFFFF, -0x80000000, -0x7FFFFFFF)
# Bytes with a meaning in texts, paths and encodings.
ODD_BYTES = b"\0\1\n\x1f./=,\x7f\x80\xed\xf0\xff"
# The xids with a meaning of their own, and some others.
XIDS = (0, -1, -2, -4, -8, 1, 0x7FFFFFFF, -0x80000000)
# The types of the requests that write.
WRITES = (1, 2, 5, 7, 14, 15, 16, 19, 20, 21)
DELETE_CONTAINER, CREATE_SESSION, ERROR = 20, -10, -1


def framed(payload):
    return struct.pack(">i", len(payload)) + payload


def request(xid, code, body=b""):
    """Returns a request, without its frame's length."""
    return struct.pack(">ii", xid, code) + body


def named(xid, name, **fields):
    code, record, _ = OPS[name]
    return request(xid, code, encode(record, fields))


def connect(timeout_ms=4000, session=0, password=bytes(16), zxid=0):
    """Returns a ConnectRequest in its frame."""
    return framed(encode("ConnectRequest", {
        "protocolVersion": 0, "lastZxidSeen": zxid, "timeOut": timeout_ms, "sessionId": session,
        "passwd": password}) + b"\0")


def connects():
    """Returns ConnectRequests without their frames' lengths: valid ones, and some that no client sends."""
    frames = [connect(500), connect(500, 0x0123456789ABCDEF, b"7" * 16), connect(500, -1 << 63, None),
              connect(500, zxid=(1 << 63) - 1), connect(-1 << 31, zxid=-1 << 63), connect((1 << 31) - 1)]
    return [frame[4:] for frame in frames] + [frames[0][4:-1]]


def requests():
    """Returns requests of every operation, without their frames' lengths."""
    fields = {
        "path": f"{HOME}/a", "data": b"x" * 100, "acl": OPEN_ACL, "flags": 0, "ttl": 50, "version": -1,
        "watch": True, "type": 1, "mode": 1, "token": b"t" * 20, "relativeZxid": 1, "scheme": "digest",
        "auth": b"bob:secret", "joiningServers": "server.4=h:1:2;3", "leavingServers": None,
        "newMembers": None, "curConfigId": -1,
    }
    watched = ("data", "exist", "child", "persistent", "recursive")
    paths = {kind: [f"{HOME}/a", f"{HOME}/nope", "/"] for kind in watched}
    made = []

    def add(name, **changes):
        code, record, _ = OPS[name]
        made.append((code, encode(record, {**fields, **changes})))

    flags = {"createContainer": 4, "createTTL": 5}
    for name in OPS:
        add(name, **(paths if name.startswith("setWatches") else {"flags": flags.get(name, 0)}))
    for name in ("create", "create2"):
        for path, flags in (("", 0), ("/e", 1), ("/s", 0), ("/s/s-", 2), ("/s/e-", 3), ("/a/b", 0)):
            add(name, path=HOME + path, flags=flags)
    for acl in ([acl_entry("auth", "")], [acl_entry("ip", "127.0.0.1/8", 3)], None,
                [acl_entry("digest", "bob:nXbWUXCAE0PWj5E8XcFWRSzYn4c=")]):
        add("create", path=f"{HOME}/acl", acl=acl)
    add("delete", path=f"{HOME}/a/b")
    add("create", path=f"/zookeeper/quota{HOME}")
    add("create", path=f"/zookeeper/quota{HOME}/zookeeper_limits", data=b"count=9,bytes=99")
    some = {**fields, "watch": False}
    writes = [("create", {**some, "path": f"{HOME}/m"}), ("setData", {**some, "path": f"{HOME}/m"}),
              ("check", {**some, "path": f"{HOME}/m"}), ("delete", {**some, "path": f"{HOME}/m"})]
    made.append((MULTI, multi_body(writes)))
    made.append((MULTI, multi_body([*writes, ("check", {"path": f"{HOME}/nope", "version": 0})])))
    made.append((MULTI_READ, multi_body([("getData", some), ("getChildren", some)])))
    made.append((DELETE_CONTAINER, encode("PathOnly", some)))
    made.append((CREATE_SESSION, struct.pack(">i", 30000)))
    made.append((ERROR, struct.pack(">i", -101)))
    return [struct.pack(">ii", xid, code) + body for xid, (code, body) in enumerate(made, 1)]


# --- the valid bytes of other servers ---

FOLLOWER_INFO, OBSERVER_INFO = 11, 16
# No member has this id.
STRANGER = 99


def packet(kind, zxid=0, data=None):
    """Returns a QuorumPacket."""
    return struct.pack(">iq", kind, zxid) + (
        struct.pack(">i", -1) if data is None else framed(data)) + struct.pack(">i", -1)


def learner(kind=FOLLOWER_INFO, sid=STRANGER):
    """Returns the packets that a learner sends, from its greeting to the requests of its clients."""
    touched = struct.pack(">qi", 7, 30000)
    asked = struct.pack(">qii", 7, 1, 5) + encode("PathWatch", {"path": HOME, "watch": False})
    return [packet(kind, 0, struct.pack(">qiq", sid, 0x10000, 0)),
            packet(18, 1, struct.pack(">i", 1)),
            packet(3, 1 << 32), packet(3, 1 << 32), packet(5, 1 << 32, touched), packet(6, 0, touched),
            packet(1, 0, asked), packet(3, (1 << 32) + 1)]


def greeting(sid=STRANGER, address=b"127.0.0.1:1"):
    """Returns the first bytes of a connection to an election port."""
    return struct.pack(">qq", -65536, sid) + framed(address)


def notification(state=0, leader=STRANGER):
    """Returns a notification, which is a vote."""
    config = b"server.1=127.0.0.1:1:2:participant\nversion=0"
    return framed(struct.pack(">iqqqqi", state, leader, 0x700000009, 7, 7, 2) + framed(config))


def elector(sid=STRANGER):
    return [greeting(sid), *(notification(state) for state in range(4))]


# --- other protocols, four-letter words and commands ---

TLS_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(range(256)) * 2
OTHERS = (
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /commands/ruok HTTP/1.0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", TLS_HELLO, b"SSH-2.0-OpenSSH_9.6\r\n", b"EHLO x\r\n",
    b"*1\r\n$4\r\nPING\r\n", b"\xffSMBr" + bytes(40), b"\0" * 5000, b"\xff" * 5000,
)
WORDS = (b"ruok", b"mntr", b"srvr", b"stat", b"conf", b"cons", b"dump", b"envi", b"wchs", b"wchc",
         b"wchp", b"dirs", b"isro", b"gtmk", b"hash", b"lsnp", b"xxxx", b"ruo", b"RUOK", b"ruok\n",
         b"stmk", b"\0\0\0\0", b"srst", b"crst")
COMMANDS = ("ruok", "monitor", "connections", "dump", "watches_by_path", "watch_summary", "stats",
            "configuration", "environment", "nothing", "snapshot", "restore", "%2e%2e", "")


# --- functions that change valid bytes ---

def mutate(random, data, others):
    """Returns the bytes with one random change. `others` are more bytes of the same kind."""
    if not data:
        return random.randbytes(12)
    data = bytearray(data)
    at = random.randrange(len(data))
    choice = random.randrange(12)
    if choice < 2:
        for _ in range(random.randrange(1, 5)):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    elif choice == 2:
        data[at] = random.choice(ODD_BYTES)
    elif choice == 3:
        del data[at:]
    elif choice < 6:
        data[at:at + 4] = struct.pack(">i", random.choice(ODD_INTS))[:len(data) - at]
    elif choice == 6 and at + 4 <= len(data):
        # A number near the present one, such as a length that is slightly too long or too short.
        near = int.from_bytes(data[at:at + 4], "big") + random.choice((-2, -1, 1, 2, 100))
        data[at:at + 4] = (near & 0xFFFFFFFF).to_bytes(4, "big")
    elif choice == 7:
        data[at:at + 8] = random.randbytes(8)[:len(data) - at]
    elif choice == 8:
        other = random.choice(others)
        data[at:] = other[random.randrange(len(other)):]
    elif choice == 9:
        data[at:at] = random.randbytes(random.randrange(64))
    elif choice == 10:
        data[at:at] = data[at:at + random.randrange(1024)]
    else:
        del data[at:at + random.randrange(1, len(data) - at + 1)]
    return bytes(data)


def bad_request(random, good):
    """Returns a changed request, without its frame's length. The change is in its header, its body, or anywhere."""
    data = random.choice(good)
    choice = random.randrange(64)
    if choice < 4:
        return struct.pack(">i", random.choice(XIDS)) + data[4:]
    if choice < 9:
        code = random.choice(good)[4:8] if choice < 8 else random.randbytes(4)
        return data[:4] + code + data[8:]
    if choice == 9:
        return random.randbytes(random.randrange(200))
    # Most changes are behind the header, so that the decoder of the operation sees them.
    keep = 0 if choice == 10 else 8
    body = data[keep:]
    for _ in range(random.randrange(1, 4)):
        body = mutate(random, body, good)
    return data[:keep] + body


def misframed(random, payload):
    """Returns a frame with a wrong length."""
    own = len(payload)
    return struct.pack(">i", random.choice((own + 1, own - 1, -own, random.choice(ODD_INTS)))) + payload
