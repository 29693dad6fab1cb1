"""Names and numbers of the client protocol."""

from .jute import Reader, Writer

# name: (opcode, request record, response record)
OPS = {
    "create": (1, "CreateRequest", "PathOnly"),
    "delete": (2, "PathVersion", "Empty"),
    "exists": (3, "PathWatch", "StatOnly"),
    "getData": (4, "PathWatch", "DataStat"),
    "setData": (5, "SetDataRequest", "StatOnly"),
    "getACL": (6, "PathOnly", "AclStat"),
    "setACL": (7, "SetACLRequest", "StatOnly"),
    "getChildren": (8, "PathWatch", "Children"),
    "sync": (9, "PathOnly", "PathOnly"),
    "ping": (11, "Empty", "Empty"),
    "getChildren2": (12, "PathWatch", "ChildrenStat"),
    "check": (13, "PathVersion", "Empty"),
    "create2": (15, "CreateRequest", "PathStat"),
    "reconfig": (16, "ReconfigRequest", "DataStat"),
    "checkWatches": (17, "PathType", "Empty"),
    "removeWatches": (18, "PathType", "Empty"),
    "createContainer": (19, "CreateRequest", "PathStat"),
    "createTTL": (21, "CreateTTLRequest", "PathStat"),
    "auth": (100, "AuthPacket", "Empty"),
    "setWatches": (101, "SetWatches", "Empty"),
    "sasl": (102, "SaslToken", "SaslToken"),
    "getEphemerals": (103, "PathOnly", "Ephemerals"),
    "getAllChildrenNumber": (104, "PathOnly", "Number"),
    "setWatches2": (105, "SetWatches2", "Empty"),
    "addWatch": (106, "AddWatchRequest", "ErrorOnly"),
    "whoAmI": (107, "Empty", "WhoAmI"),
    "closeSession": (-11, "Empty", "Empty"),
}
MULTI, MULTI_READ, ERROR = 14, 22, -1
BY_CODE = {code: name for name, (code, _, _) in OPS.items()}

EVENT_XID, PING_XID, AUTH_XID, SET_WATCHES_XID = -1, -2, -4, -8
SPECIAL_XIDS = {
    "ping": PING_XID, "auth": AUTH_XID, "setWatches": SET_WATCHES_XID, "setWatches2": SET_WATCHES_XID,
}

ERRORS = {
    0: "OK", -1: "SYSTEMERROR", -2: "RUNTIMEINCONSISTENCY", -3: "DATAINCONSISTENCY",
    -5: "MARSHALLINGERROR", -6: "UNIMPLEMENTED", -7: "OPERATIONTIMEOUT", -8: "BADARGUMENTS",
    -13: "NEWCONFIGNOQUORUM", -14: "RECONFIGINPROGRESS", -100: "APIERROR", -101: "NONODE",
    -102: "NOAUTH", -103: "BADVERSION", -108: "NOCHILDRENFOREPHEMERALS", -110: "NODEEXISTS",
    -111: "NOTEMPTY", -112: "SESSIONEXPIRED", -114: "INVALIDACL", -115: "AUTHFAILED",
    -118: "SESSIONMOVED", -119: "NOTREADONLY", -120: "EPHEMERALONLOCALSESSION", -121: "NOWATCHER",
    -123: "RECONFIGDISABLED", -124: "SESSIONCLOSEDREQUIRESASLAUTH", -125: "QUOTAEXCEEDED",
    -127: "THROTTLEDOP",
}
EVENTS = {
    -1: "None", 1: "NodeCreated", 2: "NodeDeleted", 3: "NodeDataChanged", 4: "NodeChildrenChanged",
}
STATES = {0: "Disconnected", 3: "SyncConnected", 4: "AuthFailed", 5: "ConnectedReadOnly"}

PERMS = {"r": 1, "w": 2, "c": 4, "d": 8, "a": 16}
CREATE_MODES = {
    "persistent": 0, "ephemeral": 1, "sequential": 2, "ephemeral_sequential": 3, "container": 4,
    "ttl": 5, "ttl_sequential": 6,
}
END_OF_MULTI = {"type": -1, "done": True, "err": -1}


def acl_entry(scheme, who, perms=31):
    return {"perms": perms, "id": {"scheme": scheme, "id": who}}


OPEN_ACL = [acl_entry("world", "anyone")]


def error_name(code):
    return ERRORS.get(code, f"error{code}")


def session_password(session_id):
    """Returns a session's password: 16 bytes that java.util.Random makes from the id, the same on every server."""
    mask = (1 << 48) - 1
    state = ((session_id ^ 0xB3415C00) ^ 0x5DEECE66D) & mask
    out = b""
    for _ in range(4):
        state = (state * 0x5DEECE66D + 0xB) & mask
        out += (state >> 16 & 0xFFFFFFFF).to_bytes(4, "little")
    return out


def multi_body(operations):
    """Returns the body of a multi of (name, record) pairs. `name` may be a number: a type that no multi knows."""
    writer = Writer()
    for name, record in operations:
        code, kind = OPS[name][:2] if name in OPS else (int(name), "Empty")
        writer.value("MultiHeader", {"type": code, "done": False, "err": -1})
        writer.value(kind, record)
    writer.value("MultiHeader", END_OF_MULTI)
    return bytes(writer.out)


def multi_results(reader):
    """Returns the results in a multi's reply: (name, record) for each result, ("error", (code in the header, code in
    the body)) for each error, and ("end", header) last."""
    results = []
    while True:
        header = reader.value("MultiHeader")
        if header["done"]:
            results.append(("end", header))
            return results
        if header["type"] == ERROR:
            results.append(("error", (header["err"], reader.int())))
        else:
            name = BY_CODE.get(header["type"], str(header["type"]))
            results.append((name, reader.value(OPS[name][2] if name in OPS else "Empty")))


def parse_reply(payload):
    """Returns (ReplyHeader, Reader that continues behind it)."""
    reader = Reader(payload)
    return reader.value("ReplyHeader"), reader
