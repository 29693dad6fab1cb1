"""Starts, stops, kills and replaces the members of an ensemble, and compares their trees.

A member is written `KIND` or `KIND:observer`, with a KIND of `servers.py`: `ours`, `java:3.4.14`,
`java:3.9.5:observer`. Server ids count from 1 in the order of the list, so that the last voter leads when an ensemble
starts with empty data (see `Ensemble.start`).
"""

import atexit
import signal
import sys
import threading

from .client import Closed, Connection, Timeout, four_letter_word
from .jute import encode
from .protocol import OPS
from .servers import Server, StartFailed, free_port, fresh_dir, wait_until

JOIN_DEADLINE_S = 60.0
# A starting Java server may leave a connection without an answer. After this time, it is asked on another connection.
MODE_S = 5.0
TICK_MS = 1000
# Long enough that no session expires while a busy machine delays a test. Tests of expiry set their own timeouts.
SESSION_MS = 60000

# Learners of every release log these words when the leader has decided how they catch up.
CATCH_UP_LOGS = {
    "DIFF": "Getting a diff from the leader",
    "SNAP": "Getting a snapshot from leader",
    "TRUNC": "Truncating log to get in sync with the leader",
}


# Words that must not be in a log of our server.
BAD_WORDS = ("panicked", "Severe unrecoverable error", "Digests are not matching")
# Words that must not be in a log of Java's server, unless it got a snapshot. A snapshot may hold changes that are
# committed later, and then the digests of the transactions up to these changes differ.
BAD_JAVA_WORDS = ("Digests are not matching",)


def parse_member(text):
    """Returns (kind, whether the member is an observer)."""
    kind, observer = (text[: -len(":observer")], True) if text.endswith(":observer") else (text, False)
    if kind != "ours" and not kind.startswith("java:"):
        raise SystemExit(f"{text}: a member is `ours` or `java:VERSION`, with `:observer` perhaps")
    return kind, observer


def parse_members(text):
    """Parses a list of members as on a command line, separated by commas."""
    return [parse_member(member.strip()) for member in text.split(",")]


def end_on_signals():
    """Makes SIGTERM end the program in order, as SIGINT does, so that its servers are killed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def is_34(kind):
    return kind.startswith("java:3.4.")


class Member(Server):
    """One member. `host` is the address at which the other members and the clients reach it."""

    def __init__(self, sid, kind, observer, workdir, host="127.0.0.1", settings=None,
                 properties=None):
        self.sid, self.observer, self.host = sid, observer, host
        self.quorum_port, self.election_port = free_port(), free_port()
        # Words in front of the command, for example to start it in a network namespace, and additional variables of
        # its environment.
        self.prefix, self.environment = [], {}
        self.paused = False
        # USER:PASSWORD, as which connections of this harness authenticate.
        self.user = None
        self.starts = 0
        # (kind, log file) of each start.
        self.logs = []
        # Called with the member before each start.
        self.before_start = lambda member: None
        # Whether zoo.cfg is only written if there is none, because the member changes it itself.
        self.keeps_cfg = False
        flags = {"zookeeper.snapshot.trust.empty": "true", **(properties or {})}
        super().__init__(kind, workdir, {
            # The limits are long, so that no member loses its leader when the machine pauses for some seconds. The
            # others notice a killed member at once, because its sockets are closed.
            "tickTime": TICK_MS, "initLimit": 20, "syncLimit": 10, "maxSessionTimeout": 600000,
            "clientPortAddress": host, "maxClientCnxns": 0, **(settings or {}),
            **({"peerType": "observer"} if observer else {}),
        }, flags)
        # One after the other: threads for the first clients, selectors alone, selectors with workers.
        self.has_selectors_only = sid % 3 != 1
        self.has_workers = sid % 3 == 0
        # The client ports on which the member may listen, the newest first: a configuration may move it.
        self.ports = [self.port]

    def line(self):
        role = ":observer" if self.observer else ""
        return f"{self.host}:{self.quorum_port}:{self.election_port}{role}"

    def command(self):
        line, environment = super().command()
        return [*self.prefix, *line], {**environment, **self.environment}

    def start(self, wait=False):
        self.before_start(self)
        self.data.mkdir(exist_ok=True)
        (self.data / "myid").write_text(f"{self.sid}\n")
        self.paused = False
        self.starts += 1
        # Java's logger overwrites its file, so each start has its own file.
        self.log = self.workdir / f"server-{self.starts}.log"
        self.logs.append((self.kind, self.log))
        if not self.keeps_cfg or not self.cfg.exists():
            return super().start(wait)
        self.launch()
        if wait:
            self.wait_serving()
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def mode(self):
        """Returns the mode in `srvr`, such as `leader` or `observer`, or None if the member does not serve."""
        if not self.running() or self.paused:
            return None
        answer = self.answer("srvr")
        for line in answer.splitlines():
            if line.startswith("Mode: "):
                return line[6:].strip()
        return None

    def answer(self, word, deadline_s=MODE_S):
        """Returns the answer to a four-letter word, or an empty text if there is none. Notes the port that answers."""
        for port in self.ports:
            try:
                answer = four_letter_word(port, word, deadline_s, self.host)
            except OSError:
                continue
            self.port = port
            return answer
        return ""

    def zxid(self):
        answer = four_letter_word(self.port, "srvr", host=self.host)
        return int(next(l for l in answer.splitlines() if l.startswith("Zxid: "))[6:], 16)

    def wait_mode(self, *wanted, deadline_s=JOIN_DEADLINE_S):
        """Waits until the member serves in one of these modes."""
        wait_until(f"{self} is {' or '.join(wanted)}", lambda: self.mode() in wanted, deadline_s)

    def serving(self):
        """Returns whether the member serves in its role. Raises StartFailed if its process has ended."""
        if not self.running():
            raise StartFailed(f"{self} ended with {self.process.returncode}\n{self.log_tail()}")
        # A voter that has not joined yet may be in read-only mode (`readonlymode.enabled`).
        return self.mode() in (("observer",) if self.observer else ("leader", "follower"))

    def pause(self):
        """Pauses the member with SIGSTOP. Its connections stay open, but nothing answers."""
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        if self.running():
            self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def kill(self):
        super().kill()
        self.paused = False

    def connection(self):
        """Returns a connection to the client port, without a session."""
        return Connection(self.port, self.host)

    def connect(self, timeout_ms=SESSION_MS, **fields):
        """Returns a connection with a new session. Raises Closed if the member refuses the session."""
        connection = self.connection()
        answer = connection.connect(timeout_ms=timeout_ms, **fields)
        if not connection.established:
            connection.close()
            raise Closed(f"{self} refuses the session: {answer}")
        if self.user:
            connection.ok("auth", type=0, scheme="digest", auth=self.user)
        return connection

    def log_text(self):
        """Returns what the member has logged since its last start."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def check_logs(self):
        for kind, log in self.logs:
            text = log.read_text(errors="replace") if log.exists() else ""
            has_snapshot = CATCH_UP_LOGS["SNAP"] in text
            bad_words = BAD_WORDS if kind == "ours" else () if has_snapshot else BAD_JAVA_WORDS
            for words in bad_words:
                if words in text:
                    raise AssertionError(f"{self} has logged {words!r}: {log}")

    def __str__(self):
        role = " (observer)" if self.observer else ""
        return f"member {self.sid} {self.kind}{role}"


class Ensemble:
    """Members on one machine. A `with` statement kills those that run at its end."""

    def __init__(self, members, workdir, settings=None, properties=None, hosts=None):
        workdir = fresh_dir(workdir)
        self.members = [
            Member(sid, kind, observer, workdir / f"member-{sid}",
                   hosts[sid - 1] if hosts else "127.0.0.1", settings, properties)
            for sid, (kind, observer) in enumerate(members, 1)
        ]
        self.write_lines()
        # No member outlives the program, even if it exits outside of a `with` statement.
        atexit.register(self.__exit__)

    def write_lines(self):
        for member in self.members:
            for other in self.members:
                member.settings[f"server.{other.sid}"] = other.line()

    @property
    def voters(self):
        return [member for member in self.members if not member.observer]

    def majority(self):
        return len(self.voters) // 2 + 1

    def start(self, before_the_rest=None):
        """Starts all members, so that the last voter leads.

        A majority that ends with the last voter starts first. Then the function `before_the_rest` is called, and the
        other members start. Returns these other members.
        """
        first = self.voters[-self.majority():]
        for member in first:
            member.start()
        self.wait_serving(first)
        if before_the_rest:
            before_the_rest()
        rest = [member for member in self.members if member not in first]
        for member in rest:
            member.start()
        self.wait_serving()
        return rest

    def check_logs(self):
        """Raises AssertionError if a member has logged words that must not be in its log."""
        for member in self.members:
            member.check_logs()

    def wait_serving(self, members=None, deadline_s=JOIN_DEADLINE_S):
        """Waits until these members, or all, serve, and until the ensemble has a leader."""
        members = self.members if members is None else members
        for member in members:
            try:
                wait_until(f"{member} serves", member.serving, deadline_s)
            except TimeoutError as error:
                raise StartFailed(f"{error}\n{self.log_tails()}") from None
        wait_until("there is a leader", self.leader, deadline_s)

    def leader(self):
        """Returns the member that leads, or None if there is no leader or more than one."""
        leaders = [member for member in self.members if member.mode() == "leader"]
        return leaders[0] if len(leaders) == 1 else None

    def wait_leader(self, other_than=None, deadline_s=JOIN_DEADLINE_S):
        def look():
            leader = self.leader()
            return leader if leader is not other_than else None
        try:
            return wait_until("there is a leader", look, deadline_s)
        except TimeoutError as error:
            raise StartFailed(f"{error}\n{self.log_tails()}") from None

    def followers(self):
        return [member for member in self.members if member.mode() == "follower"]

    def wait_follower(self, deadline_s=JOIN_DEADLINE_S):
        """Waits for a follower, and returns the first one."""
        return wait_until("there is a follower", self.followers, deadline_s)[0]

    def addresses(self):
        return [(member.host, port) for member in self.members for port in member.ports]

    def replace(self, member, kind, data="keep"):
        """Stops a member and starts a server of another kind in its place.

        The new server gets the old data, or with `data="fresh"` none.
        """
        member.stop()
        member.kind = kind
        if data == "fresh":
            fresh_dir(member.data)
        member.start()
        self.wait_serving()

    def log_tails(self, lines=15):
        return "\n".join(f"--- {member}: {member.log}\n{member.log_tail(lines)}"
                         for member in self.members)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self.members:
            member.kill()


# --- the same tree everywhere ---

# Trees are compared without this node: its content differs between releases, and clients keep no data below it.
OWN = "/zookeeper"
NO_NODE = -101


# The number of nodes that are read at once.
BATCH = 200


def tree_of(connection):
    """Returns path -> (data, stat, ACL) of all nodes on the session's server after a sync, without `/zookeeper`."""
    connection.ok("sync", path="/")
    tree, todo = {}, ["/"]
    while todo:
        batch, todo = todo[:BATCH], todo[BATCH:]
        for path, children, node in look_at(connection, batch):
            tree[path] = node
            below = (f"{path.rstrip('/')}/{name}" for name in children)
            todo += [child for child in below if child != OWN]
    return tree


def look_at(connection, paths):
    """Yields (path, names of children, node) of the nodes that exist. All requests are sent together."""
    questions = ("getData", "getChildren2", "getACL")
    asked = []
    out = b""
    for path in paths:
        for name in questions:
            code, request, _ = OPS[name]
            xid = connection.next_xid()
            frame = encode("RequestHeader", {"xid": xid, "type": code}) + encode(
                request, {"path": path, "watch": False})
            out += len(frame).to_bytes(4, "big") + frame
            asked.append((path, name, xid))
    connection.send(out)
    found = []
    for path, name, xid in asked:
        header, reader = connection.reply(xid)
        # An ephemeral node or a container may be deleted at any time.
        if header["err"] not in (0, NO_NODE):
            raise AssertionError(f"{name} {path}: error {header['err']}")
        found.append(None if header["err"] else reader.value(OPS[name][2]))
    for path, data, children, acl in zip(paths, found[::3], found[1::3], found[2::3]):
        if data and children and acl:
            entries = sorted((e["perms"], e["id"]["scheme"], e["id"]["id"]) for e in acl["acl"])
            yield path, children["children"], (data["data"], data["stat"], entries)


def tree_at(member):
    """Returns the tree that a server shows, on a connection of its own."""
    connection = member.connect()
    try:
        return tree_of(connection)
    finally:
        close(connection)


def leaders_tree(ensemble, deadline_s=JOIN_DEADLINE_S):
    """Returns the leader's tree after a sync. Tries again if the leader does not answer, as it may have lost its
    followers."""
    def look():
        try:
            return tree_at(ensemble.wait_leader())
        except (Closed, Timeout, OSError):
            return None

    return wait_until("the leader shows its tree", look, deadline_s)


def describe(node):
    data, stat, acl = node
    shown = data if data is None or len(data) < 60 else data[:60] + b".."
    return f"{shown!r} {stat} {acl}"


def tree_differences(left, right):
    """Returns the differences between two trees as texts."""
    out = [f"{path} is only on the first" for path in sorted(left.keys() - right.keys())]
    out += [f"{path} is only on the second" for path in sorted(right.keys() - left.keys())]
    for path in sorted(left.keys() & right.keys()):
        if left[path] != right[path]:
            out.append(f"{path}:\n    {describe(left[path])}\n    {describe(right[path])}")
    return out


def compare_trees(ensemble, deadline_s=JOIN_DEADLINE_S):
    """Checks that all running members show the same tree. Returns the number of its nodes.

    Compares again until the deadline, because a node may be created or deleted between two reads (a session expires),
    and a member may be losing its leader. Raises AssertionError if the differences last.
    """
    members = [member for member in ensemble.members if member.running()]

    found = []

    def same():
        try:
            trees = [tree_at(member) for member in members]
        except (Closed, Timeout, OSError) as error:
            found[:] = [f"{type(error).__name__}: {error}"]
            return None
        found[:] = [f"{members[0]} and {member}: {difference}"
                    for member, tree in zip(members[1:], trees[1:])
                    for difference in tree_differences(trees[0], tree)]
        return None if found else len(trees[0])

    try:
        return wait_until("all members show the same tree", same, deadline_s)
    except TimeoutError as error:
        text = "\n".join(found[:10])
        raise AssertionError(f"{error}: {len(found)} differences\n{text}") from None


def close(connection):
    """Closes the session, if that is still possible, and the connection."""
    try:
        connection.call("closeSession")
    except (Closed, Timeout, OSError, EOFError):
        pass
    connection.close()


def all_at_once(*tasks):
    """Runs the functions in parallel and waits for all of them. Raises the first error."""
    errors = []

    def run(task):
        try:
            task()
        except BaseException as error:  # Raised below.
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
