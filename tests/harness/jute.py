"""Jute, ZooKeeper's serialization. Only the tests use this codec, so that a fault in the server's own codec cannot hide
in them. A line of `RECORDS` describes a record, and a dict holds its values."""

import struct


class Writer:
    """Appends values in jute's binary form."""

    def __init__(self):
        self.out = bytearray()

    def byte(self, value):
        self.out += struct.pack(">b", value)

    def boolean(self, value):
        self.out.append(1 if value else 0)

    def int(self, value):
        self.out += struct.pack(">i", value)

    def long(self, value):
        self.out += struct.pack(">q", value)

    def buffer(self, value):
        """Appends bytes, or jute's null for None."""
        if value is None:
            self.int(-1)
        else:
            self.int(len(value))
            self.out += value

    def ustring(self, value):
        """Appends text, bytes as they are, or jute's null for None."""
        self.buffer(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value)

    def value(self, kind, value):
        """Appends a value of the jute type `kind`, which may be a record or a vector."""
        if kind.startswith("vector<"):
            if value is None:
                self.int(-1)
                return
            self.int(len(value))
            for element in value:
                self.value(kind[7:-1], element)
        elif kind in RECORDS:
            for name, field_kind in RECORDS[kind]:
                self.value(field_kind, value[name])
        else:
            getattr(self, kind)(value)


class Reader:
    """Reads values from bytes, one after the other. Raises EOFError if the bytes end too early."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise EOFError(f"{count} bytes wanted, {len(self.data) - self.at} left")
        piece = self.data[self.at : self.at + count]
        self.at += count
        return piece

    def rest(self):
        return self.data[self.at :]

    def byte(self):
        return struct.unpack(">b", self.take(1))[0]

    def boolean(self):
        return self.take(1) != b"\0"

    def int(self):
        return struct.unpack(">i", self.take(4))[0]

    def long(self):
        return struct.unpack(">q", self.take(8))[0]

    def buffer(self):
        length = self.int()
        return None if length == -1 else bytes(self.take(length))

    def ustring(self):
        raw = self.buffer()
        return None if raw is None else raw.decode("utf-8", "surrogatepass")

    def value(self, kind):
        if kind.startswith("vector<"):
            count = self.int()
            return None if count == -1 else [self.value(kind[7:-1]) for _ in range(count)]
        if kind in RECORDS:
            return {name: self.value(field_kind) for name, field_kind in RECORDS[kind]}
        return getattr(self, kind)()


def _parse(text):
    records = {}
    for line in text.strip().replace("\\\n", " ").splitlines():
        name, *fields = line.split()
        records[name] = [tuple(field.split(":", 1)) for field in fields]
    return records


# Requests and responses with the same fields share one description.
RECORDS = _parse(
    """
Id scheme:ustring id:ustring
ACL perms:int id:Id
Stat czxid:long mzxid:long ctime:long mtime:long version:int cversion:int aversion:int \\
    ephemeralOwner:long dataLength:int numChildren:int pzxid:long
StatPersisted czxid:long mzxid:long ctime:long mtime:long version:int cversion:int aversion:int \\
    ephemeralOwner:long pzxid:long
ClientInfo authScheme:ustring user:ustring
ConnectRequest protocolVersion:int lastZxidSeen:long timeOut:int sessionId:long passwd:buffer
ConnectResponse protocolVersion:int timeOut:int sessionId:long passwd:buffer
RequestHeader xid:int type:int
ReplyHeader xid:int zxid:long err:int
WatcherEvent type:int state:int path:ustring
MultiHeader type:int done:boolean err:int
Empty
PathOnly path:ustring
PathWatch path:ustring watch:boolean
PathVersion path:ustring version:int
PathType path:ustring type:int
CreateRequest path:ustring data:buffer acl:vector<ACL> flags:int
CreateTTLRequest path:ustring data:buffer acl:vector<ACL> flags:int ttl:long
SetDataRequest path:ustring data:buffer version:int
SetACLRequest path:ustring acl:vector<ACL> version:int
ReconfigRequest joiningServers:ustring leavingServers:ustring newMembers:ustring curConfigId:long
AuthPacket type:int scheme:ustring auth:buffer
SetWatches relativeZxid:long data:vector<ustring> exist:vector<ustring> child:vector<ustring>
SetWatches2 relativeZxid:long data:vector<ustring> exist:vector<ustring> child:vector<ustring> \\
    persistent:vector<ustring> recursive:vector<ustring>
AddWatchRequest path:ustring mode:int
SaslToken token:buffer
StatOnly stat:Stat
PathStat path:ustring stat:Stat
DataStat data:buffer stat:Stat
AclStat acl:vector<ACL> stat:Stat
Children children:vector<ustring>
ChildrenStat children:vector<ustring> stat:Stat
ErrorOnly error:int
Number number:int
Ephemerals ephemerals:vector<ustring>
WhoAmI clientInfo:vector<ClientInfo>
FileHeader magic:int version:int dbid:long
TxnHeader clientId:long cxid:int zxid:long time:long type:int
"""
)


def encode(kind, value):
    """Returns the bytes of one record."""
    writer = Writer()
    writer.value(kind, value)
    return bytes(writer.out)
