"""Fills a server with znodes of every kind that its version has, and reads what a server holds."""

import random
import re

from harness.client import Connection, four_letter_word
from harness.protocol import CREATE_MODES, OPEN_ACL, acl_entry

# Longer than any run, because the sessions that a phase leaves open must still exist on the next server.
SESSION_TIMEOUT_MS = 600000
# The digest of super:secret.
SUPER_DIGEST = "super:lK75jTNcA+U9vtVEw5vB51mj/w4="
BOB = acl_entry("digest", "bob:4rsXV9JgUbFl9ZE40xENilxlRV8=")
ACLS = (
    OPEN_ACL,
    [acl_entry("world", "anyone", 1), BOB],
    [acl_entry("ip", "127.0.0.1", 15), acl_entry("ip", "10.1.2.3", 31)],
    [BOB, acl_entry("digest", "zoë:" + "x" * 28, 1)],
    [acl_entry("auth", "", 31)],
)


def connect(port, session=None):
    """Returns a connection with all rights, those of bob included. With `session`, an (id, password), it continues that
    session."""
    connection = Connection(port)
    session_id, password = session or (0, bytes(16))
    answer = connection.connect(SESSION_TIMEOUT_MS, session_id, password)
    if not connection.established:
        raise AssertionError(f"session {session_id:#x} is not known any more: {answer}")
    for auth in (b"bob:builder", b"super:secret"):
        connection.ok("auth", type=0, scheme="digest", auth=auth)
    return connection


class Phase:
    """One round of changes, below a node of its own. It continues the sessions that the earlier rounds left open."""

    def __init__(self, number, port, version, sessions):
        self.root = f"/phase{number}"
        self.port = port
        self.version = version
        self.random = random.Random(number)
        # Sessions with ephemeral nodes that are not closed.
        self.stay = [connect(port, session) for session in sessions or (None, None)]
        self.main = connect(port)

    def sessions(self):
        return [(one.session_id, one.password) for one in self.stay]

    def create(self, path, data=b"", mode="persistent", acl=None, by=None, **more):
        by = by or self.main
        name = {"container": "createContainer", "ttl": "createTTL"}.get(mode, "create")
        return by.ok(name, path=path, data=data, acl=acl or OPEN_ACL, flags=CREATE_MODES[mode],
                     **more)["path"]

    def run(self):
        self.create(self.root, b"root of a phase")
        self.kinds()
        self.rights()
        self.transactions()
        self.changes(250)
        self.leave()
        self.main.ok("closeSession")
        return self

    def kinds(self):
        root = self.root
        self.create(f"{root}/null", None)
        self.create(f"{root}/empty", b"")
        self.create(f"{root}/large", bytes(range(256)) * 400)
        self.create(f"{root}/dé-日本 ~", "ünï".encode())
        for _ in range(3):
            self.create(f"{root}/seq-", b"s", "sequential")
        for index, session in enumerate(self.stay):
            self.create(f"{root}/eph{index}", b"e", "ephemeral", by=session)
            self.create(f"{root}/eph-seq-", b"e", "ephemeral_sequential", by=session)
            self.main.ok("setData", path=f"{root}/eph{index}", data=b"changed", version=0)
        if self.version >= (3, 5):
            self.main.ok("create2", path=f"{root}/two", data=b"2", acl=OPEN_ACL, flags=0)
            self.create(f"{root}/box", b"", "container")
            self.create(f"{root}/box/kid")
            self.create(f"{root}/never-used", b"", "container")
            self.create(f"{root}/ttl", b"t", "ttl", ttl=10**9)
            self.create(f"{root}/ttl/kid", b"")
        self.create(f"/zookeeper/quota{root}")
        for kind in ("limits", "stats"):
            self.create(f"/zookeeper/quota{root}/zookeeper_{kind}", b"count=5000,bytes=-1")

    def rights(self):
        for index, acl in enumerate(ACLS):
            path = self.create(f"{self.root}/acl{index}", b"a", acl=acl)
            self.main.ok("setACL", path=path, acl=ACLS[index - 1], version=0)
            self.main.ok("setACL", path=path, acl=acl, version=1)

    def transactions(self):
        def create(path):
            return ("create", {"path": path, "data": b"m", "acl": OPEN_ACL, "flags": 0})

        good = [
            create(f"{self.root}/multi"), create(f"{self.root}/multi/kid"),
            ("setData", {"path": f"{self.root}/multi", "data": b"n", "version": 0}),
            ("check", {"path": f"{self.root}/multi", "version": 1}),
            ("delete", {"path": f"{self.root}/multi/kid", "version": 0}),
        ]
        if self.version >= (3, 5):
            good.append(("create2", create(f"{self.root}/multi2")[1]))
        self.main.multi(good)
        self.main.multi([create(f"{self.root}/none"), create(f"{self.root}/multi")])
        self.main.multi([])
        # Requests that fail are in the log, too.
        self.main.call("delete", path=f"{self.root}/none", version=-1)
        self.main.call("create", path=self.root, data=b"", acl=OPEN_ACL, flags=0)

    def changes(self, count):
        """Creates, changes and deletes nodes at random. The choices depend only on the number of the phase."""
        paths = [self.create(f"{self.root}/random")]
        for number in range(count):
            choice = self.random.random()
            path = self.random.choice(paths)
            if choice < 0.5 or len(paths) < 5:
                new = f"{path}/{number}" if path.count("/") < 8 else f"{paths[0]}/{number}"
                paths.append(self.create(new, self.random.randbytes(self.random.randrange(300))))
            elif choice < 0.75:
                data = self.random.randbytes(self.random.randrange(2000))
                self.main.ok("setData", path=path, data=data, version=-1)
            elif choice < 0.85:
                acl = self.random.choice(ACLS)
                self.main.ok("setACL", path=path, acl=acl, version=-1)
            elif self.main.call("delete", path=path, version=-1)[0] == 0:
                paths.remove(path)

    def leave(self):
        """Opens a session with ephemeral nodes and closes it, so that its nodes are deleted."""
        gone = connect(self.port)
        for index in range(5):
            self.create(f"{self.root}/gone{index}", b"", "ephemeral", by=gone)
        gone.ok("closeSession")


def zxid(port):
    """Returns the last zxid. Needs no session, because a new session would use another zxid."""
    return int(re.search(r"Zxid: 0x([0-9a-f]+)", four_letter_word(port, "srvr"))[1], 16)


def sessions(port):
    """Returns the sessions of a server and their ephemeral nodes, as `dump` shows them: {session: [path]}."""
    answer = four_letter_word(port, "dump")
    if "Connections dump:" in answer:
        answer = answer[: answer.index("Connections dump:")]
    found, current = {}, None
    for line in answer.splitlines():
        if match := re.fullmatch(r"\s*(0x[0-9a-f]+):?", line):
            current = found.setdefault(int(match[1], 16), [])
        elif line.startswith("\t/") and current is not None:
            current.append(line.strip())
    return {session: sorted(paths) for session, paths in found.items()}


def tree(port):
    """Returns {path: (data, ACL, stat)} of every node."""
    connection, nodes, paths = connect(port), {}, ["/"]
    while paths:
        path = paths.pop()
        answer = connection.ok("getData", path=path, watch=False)
        acl = connection.ok("getACL", path=path)["acl"]
        names = connection.ok("getChildren", path=path, watch=False)["children"]
        nodes[path] = (answer["data"], acl, answer["stat"])
        paths += [f"{path.rstrip('/')}/{name}" for name in names]
    connection.ok("closeSession")
    return nodes


def metric(port, name):
    """Returns a value of mntr, or None."""
    match = re.search(rf"^{name}\t(\S+)$", four_letter_word(port, "mntr"), re.MULTILINE)
    return match and match[1]


class Holding:
    """What a server holds: its last zxid, its sessions and its tree."""

    def __init__(self, port, before_sessions=None):
        self.zxid = zxid(port)
        self.sessions = sessions(port) if before_sessions is None else before_sessions
        self.tree = tree(port)

    def differences(self, other):
        """Returns messages about what another server holds differently."""
        messages = []
        if self.zxid != other.zxid:
            messages.append(f"last zxid {self.zxid:#x} and {other.zxid:#x}")
        if self.sessions != other.sessions:
            messages.append(f"sessions {self.sessions} and {other.sessions}")
        return messages + tree_differences(self.tree, other.tree)


def tree_differences(left, right, ignore=()):
    """Returns messages about the nodes that differ, without the paths in `ignore`."""
    messages = []
    for path in sorted(set(left) | set(right)):
        if path in ignore or left.get(path) == right.get(path):
            continue
        a, b = left.get(path), right.get(path)
        if a is None or b is None:
            messages.append(f"{path} is only in the {'second' if a is None else 'first'} tree")
            continue
        for name, x, y in zip(("data", "ACL", "stat"), a, b):
            if x != y:
                if name == "stat":
                    x = {key: value for key, value in a[2].items() if value != b[2][key]}
                    y = {key: b[2][key] for key in x}
                messages.append(f"{path}: {name} {str(x)[:200]} and {str(y)[:200]}")
    return messages
