"""The scenarios, which an ensemble of any members must pass. Each function takes an ensemble that serves, and raises
AssertionError, StartFailed or TimeoutError if it fails. It may return a note for the output.

A scenario leaves the ensemble as it found it: all members run, with the same tree. `short` takes an ensemble that was
not started.
"""

import time
from pathlib import Path

from harness.client import Closed, Timeout, four_letter_word
from harness.disks import Disk, build_library, logs
from harness.ensemble import (
    CATCH_UP_LOGS, JOIN_DEADLINE_S, all_at_once, close, compare_trees, is_34, leaders_tree,
)
from harness.jute import encode
from harness.load import Load, Session
from harness.protocol import OPEN_ACL, acl_entry, error_name
from harness.servers import wait_until

# More transactions than a leader keeps in memory. A learner that lacks this many gets a snapshot, unless the leader
# reads the transactions from its log.
MORE_THAN_COMMITTED_LOG = 620
KILLS = 3


def everywhere(ensemble):
    """Returns a session on each member."""
    return [member.connect() for member in ensemble.members]


def make(connection, path, data=b"", flags=0):
    return connection.ok("create", path=path, data=data, acl=OPEN_ACL, flags=flags)["path"]


def read(connection, path):
    connection.ok("sync", path=path)
    error, answer = connection.call("getData", path=path, watch=False)
    return None if error else answer["data"]


def unique(name, used={}):
    used[name] = used.get(name, 0) + 1
    return f"/{name}{used[name]}"


def roles(ensemble):
    """Waits until one voter leads, the other voters follow and the observers observe."""
    for member in ensemble.members:
        wanted = ("observer",) if member.observer else ("leader", "follower")
        member.wait_mode(*wanted)
    ensemble.wait_leader()


def serves(ensemble):
    """What is written through each member is read through every other one. Watches, ACLs, multis, versions, sequential
    nodes and containers work through all members."""
    roles(ensemble)
    sessions = everywhere(ensemble)
    for member, session in zip(ensemble.members, sessions):
        path = unique("through")
        for other in sessions:
            error, _ = other.call("exists", path=path, watch=True)
            if error != -101:
                raise AssertionError(f"exists {path}: {error_name(error)}")
        make(session, path, b"by %d" % member.sid)
        for other, other_member in zip(sessions, ensemble.members):
            event = other.next_event()
            if (event["type"], event["path"]) != (1, path):
                raise AssertionError(f"{other_member}: {event} of {path}")
            if read(other, path) != b"by %d" % member.sid:
                raise AssertionError(f"{other_member} does not show what {member} has written")
        make(session, f"{path}/acl")
        acl = [acl_entry("world", "anyone", 17), acl_entry("ip", "127.0.0.1")]
        session.ok("setACL", path=f"{path}/acl", acl=acl, version=0)
        error, results = session.multi([
            ("setData", {"path": path, "data": b"multi", "version": 0}),
            ("create", {"path": f"{path}/m", "data": b"m", "acl": OPEN_ACL, "flags": 0}),
            ("check", {"path": f"{path}/m", "version": 0}),
        ])
        if error or any(name == "error" for name, _ in results):
            raise AssertionError(f"multi through {member}: {error} {results}")
        error, _ = session.multi([
            ("delete", {"path": f"{path}/m", "version": -1}),
            ("check", {"path": path, "version": 77}),
        ])
        for other in sessions:
            if read(other, f"{path}/m") is None:
                raise AssertionError(f"a half of a multi is done: {error}")
        error, _ = session.call("setData", path=path, data=b"", version=0)
        if error != -103:
            raise AssertionError(f"setData of an old version: {error_name(error)}")
        names = [make(session, f"{path}/s-", flags=2) for _ in range(3)]
        if names != sorted(names):
            raise AssertionError(f"sequential nodes are {names}")
    all_modes(ensemble, sessions)
    for session in sessions:
        close(session)
    compare_trees(ensemble)


def all_modes(ensemble, sessions):
    """Creates a container through each session, unless there is a member of 3.4, which cannot read containers."""
    if any(is_34(member.kind) for member in ensemble.members):
        return
    for session in sessions:
        path = unique("box")
        session.ok("createContainer", path=path, data=b"", acl=OPEN_ACL, flags=4)
        session.ok("create2", path=f"{path}/x", data=b"", acl=OPEN_ACL, flags=0)


def ephemerals(ensemble):
    """Every member shows ephemeral nodes. They live as long as their session, also if it moves to another member, and
    are deleted when it is closed or expires."""
    sessions = everywhere(ensemble)
    for member in ensemble.members:
        path = unique("eph")
        owner = Session([(member.host, member.port)])
        owner.connect()
        owner.send("create", path=path, data=b"", acl=OPEN_ACL, flags=1)
        expect_everywhere(sessions, path, True)
        owner.drop()
        owner.addresses = [a for a in ensemble.addresses() if a[1] != member.port]
        owner.connect()
        error, answer, _ = owner.send("exists", path=path, watch=False)
        if error or answer["stat"]["ephemeralOwner"] != owner.id:
            raise AssertionError(f"{path} after its session has moved: {error} {answer}")
        if not owner.close():
            raise AssertionError("closeSession has no answer")
        expect_everywhere(sessions, path, False)
    # The leader expires a session that sends nothing, on whichever member it was.
    paths, forgotten = [], []
    for member in ensemble.members:
        lost = member.connect(timeout_ms=10000)
        paths.append(make(lost, unique("expiring"), flags=1))
        forgotten.append(lost)
    for lost in forgotten:
        lost.close()

    def gone():
        for session in sessions:
            session.call("ping")
        return all(read(session, path) is None for session in sessions for path in paths)
    wait_until(f"{paths} expire", gone, 60)
    for session in sessions:
        close(session)
    compare_trees(ensemble)


def expect_everywhere(sessions, path, there):
    for session in sessions:
        if (read(session, path) is not None) != there:
            raise AssertionError(f"{path} is {'not there' if there else 'still there'}")


def checked(ensemble, load):
    """Checks after a load that all trees are the same and hold what was acknowledged."""
    compare_trees(ensemble)
    load.check(leaders_tree(ensemble))


def killed(ensemble, choose, name):
    """Kills a member with `kill -9` under load, several times. `choose` returns the next one. Returns a note."""
    with Load(ensemble.addresses(), name=unique(name)[1:]) as load:
        for _ in range(KILLS):
            load.wait_answers(100)
            victim = choose(ensemble)
            victim.kill()
            if len([m for m in ensemble.voters if m.running()]) >= ensemble.majority():
                ensemble.wait_leader(deadline_s=60)
                load.wait_answers(50)
            victim.start()
            ensemble.wait_serving()
        load.wait_answers(50)
    checked(ensemble, load)
    return f"{load.answers()} answers, {load.lost()} lost, longest pause {load.longest_pause_s():.1f} s"


def leader_killed(ensemble):
    """The leader is killed under load. Another member leads, and nothing that was acknowledged is lost."""
    return killed(ensemble, lambda e: e.wait_leader(), "lk")


def follower_killed(ensemble):
    """A follower is killed under load."""
    return killed(ensemble, lambda e: e.wait_follower(), "fk")


def all_killed(ensemble):
    """All members are killed at once under load."""
    with Load(ensemble.addresses(), name=unique("ak")[1:]) as load:
        load.wait_answers(200)
        for member in ensemble.members:
            member.process.kill()
        for member in ensemble.members:
            member.kill()
            member.start()
        ensemble.wait_serving()
        load.wait_answers(50)
    checked(ensemble, load)


def write_some(ensemble, count):
    connection = ensemble.wait_leader().connect()
    root = make(connection, unique("some"))
    for _ in range(count):
        make(connection, f"{root}/n-", b"x" * 100, 2)
    close(connection)


def catch_up(ensemble, member, way):
    """Starts a member and checks that it catches up in this way: DIFF, SNAP or TRUNC."""
    member.start()
    ensemble.wait_serving()
    expect_way(member, way)
    compare_trees(ensemble)


def ways_of(member):
    """Returns the ways in which the member has caught up since its start, the first way first."""
    log = member.log_text()
    found = {name: log.find(words) for name, words in CATCH_UP_LOGS.items()}
    return sorted((name for name in found if found[name] >= 0), key=found.get)


def expect_way(member, way):
    """Checks the first way in which the member caught up. A member that loses its leader later catches up again."""
    if ways_of(member)[:1] != [way]:
        raise AssertionError(f"{member} has caught up by {ways_of(member)}, not by {way}")


def laggards(ensemble):
    """Returns a follower, and an observer if there is one."""
    observers = [member for member in ensemble.members if member.observer]
    return [ensemble.wait_follower(), *observers[:1]]


def diff(ensemble):
    """A learner that lacks a few transactions gets only these."""
    # The transactions that the leader keeps in memory must reach back to one that all members have.
    write_some(ensemble, 5)
    compare_trees(ensemble)
    for member in laggards(ensemble):
        member.stop()
        write_some(ensemble, 50)
        catch_up(ensemble, member, "DIFF")


def snap(ensemble):
    """A learner that lacks more transactions than the leader keeps in memory gets a snapshot."""
    for member in laggards(ensemble):
        member.stop()
        write_some(ensemble, MORE_THAN_COMMITTED_LOG)
        catch_up(ensemble, member, "SNAP")


ATTEMPTS = 4
# The number of proposals that only the leader logs.
LOST = 5


def stands(member):
    """Returns whether all threads of a paused member have stopped."""
    threads = Path(f"/proc/{member.process.pid}/task").glob("*/stat")
    try:
        return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in threads)
    except OSError:  # A thread has just ended.
        return False


def logged(member, path):
    """Returns how often the member's newest log contains a path."""
    return logs(member)[0].read_bytes().count(path.encode())


def lose_proposals(ensemble):
    """Kills the leader after it has logged proposals that no other member has.

    Returns the leader, and the node below which the proposals create nodes.
    """
    leader = ensemble.wait_leader()
    # The session must exist already, because a new one would need the quorum.
    connection = leader.connect()
    root = make(connection, unique("lost"))
    compare_trees(ensemble)
    others = [member for member in ensemble.members if member is not leader]
    # The connections of paused members stay open, so the leader still leads until syncLimit is over.
    for member in others:
        member.pause()
    wait_until("all others stand", lambda: all(map(stands, others)), JOIN_DEADLINE_S)
    path = f"{root}/lost-"
    for _ in range(LOST):
        connection.send_request(connection.next_xid(), 1, encoded_create(path))
    wait_until("the leader has logged them", lambda: logged(leader, path) == LOST, JOIN_DEADLINE_S)
    leader.kill()
    connection.close()
    # The proposals that they were sent but have not read are lost with their processes.
    for member in others:
        member.kill()
        member.start()
    ensemble.wait_serving(others)
    return leader, root


def left_of(member, root):
    session = member.connect()
    left = session.ok("getChildren", path=root, watch=False)["children"]
    close(session)
    return left


def trunc(ensemble):
    """A leader that was killed with proposals that no other member has must truncate its log when it comes back."""
    for _ in range(ATTEMPTS):
        leader, root = lose_proposals(ensemble)
        leader.start()
        ensemble.wait_serving()
        left = left_of(leader, root)
        compare_trees(ensemble)
        if CATCH_UP_LOGS["TRUNC"] in leader.log_text():
            if left:
                raise AssertionError(f"truncated, and {left} are there")
            return
    raise AssertionError(f"no TRUNC in {ATTEMPTS} attempts")


def other_history(ensemble):
    """Like trunc, but the other members have written more meanwhile. Java's leader then sends a snapshot."""
    leader, root = lose_proposals(ensemble)
    write_some(ensemble, 20)
    leader.start()
    ensemble.wait_serving()
    left = left_of(leader, root)
    if left:
        raise AssertionError(f"{left} were never committed, and are there")
    compare_trees(ensemble)


def encoded_create(path):
    return encode("CreateRequest", {"path": path, "data": b"", "acl": OPEN_ACL, "flags": 2})


def minority_refuses(ensemble):
    """Without a majority no member serves. With a majority, all serve again."""
    leader = ensemble.wait_leader()
    downed = [member for member in ensemble.voters if member is not leader]
    downed = downed[: len(ensemble.voters) - ensemble.majority() + 1]
    all_at_once(*[member.kill for member in downed])
    left = [member for member in ensemble.members if member.running()]

    def silent(member):
        try:
            text = four_letter_word(member.port, "srvr", host=member.host)
        except OSError:
            return False
        return "not currently serving requests" in text
    for member in left:
        wait_until(f"{member} says that it serves nobody without a majority",
                   lambda: silent(member), JOIN_DEADLINE_S)
    for member in downed:
        member.start()
    ensemble.wait_serving()
    write_some(ensemble, 5)
    compare_trees(ensemble)


def paused_leader(ensemble):
    """A leader that was paused until another one led does not answer a sync that came meanwhile, or it shows what was
    written through the other one. (Java's leader answers with old data. That is printed, but is no failure.)"""
    leader = ensemble.wait_leader()
    connection = leader.connect()
    path = make(connection, unique("paused"), b"old")
    leader.pause()
    other = ensemble.wait_leader(other_than=leader).connect()
    other.ok("setData", path=path, data=b"new", version=0)
    close(other)
    connection.send_request(connection.next_xid(), 9, encode("PathOnly", {"path": path}))
    xid = connection.next_xid()
    connection.send_request(xid, 4, encode("PathWatch", {"path": path, "watch": False}))
    leader.resume()
    try:
        header, reader = connection.reply(xid)
        shown = reader.value("DataStat")["data"] if header["err"] == 0 else None
    except (Closed, Timeout):
        shown = None
    connection.close()
    ensemble.wait_serving()
    compare_trees(ensemble)
    if shown != b"old":
        return "no old answer"
    if leader.kind == "ours":
        raise AssertionError("who leads no more has answered a sync, with old data behind it")
    return "old data behind a sync"


SLOW_MS, WRITES = 2000, 12


def slow_disk(ensemble):
    """A follower whose disk is slow answers its clients as soon as the other members have their writes, and does not
    lose its leader."""
    member = ensemble.wait_follower()
    library = build_library(member.workdir)
    if library is None:
        return "not tried: no C compiler"
    disk = Disk(member, library, may_mount=False)
    member.stop()
    member.start()
    ensemble.wait_serving()
    session = member.connect()
    path = make(session, unique("slow"))
    looked = member.log_text().count("- LOOKING")
    disk.delay(SLOW_MS)
    try:
        took = []
        for version in range(WRITES):
            started = time.monotonic()
            session.ok("setData", path=path, data=b"x", version=version)
            took.append(time.monotonic() - started)
    finally:
        disk.heal()
    close(session)
    median_ms = sorted(took)[WRITES // 2] * 1000
    if median_ms > SLOW_MS / 2:
        raise AssertionError(f"a write takes {median_ms:.0f} ms where an fsync takes {SLOW_MS} ms")
    if member.log_text().count("- LOOKING") != looked:
        raise AssertionError(f"{member} has lost its leader")
    compare_trees(ensemble)
    return f"a write takes {median_ms:.0f} ms"


def long_end(ensemble):
    """A session ends whose ephemeral nodes have paths that are together longer than a transaction may be. All members
    delete the nodes, and a member that was killed comes back. (Java's leader logs a transaction that no member can
    read, and its ensemble ends.)"""
    leader = ensemble.wait_leader()
    if leader.kind.startswith("java"):
        return f"not with {leader.kind} as leader"
    root = unique("long")
    session = leader.connect()
    make(session, root)
    for number in range(3):
        make(session, f"{root}/{number}")
        make(session, f"{root}/{number}/" + "x" * 900_000, flags=1)
    close(session)
    make(leader.connect(), f"{root}/after")
    for member in ensemble.members:
        reader = member.connect()
        for number in range(3):
            reader.ok("sync", path=root)
            children = reader.ok("getChildren", path=f"{root}/{number}", watch=False)["children"]
            if children:
                raise AssertionError(f"{member} has {len(children)} nodes of the session below {root}/{number}")
        close(reader)
    killed_one = ensemble.followers()[0]
    killed_one.kill()
    make(leader.connect(), f"{root}/without")
    killed_one.start()
    ensemble.wait_serving()
    compare_trees(ensemble)
    return f"{killed_one} is back"


def short(ensemble):
    """A short mixture, for many lists of members: members that start later get a tree from the leader, a script runs on
    every member, the leader is killed with `kill -9` under load and comes back, and the script runs again."""
    leader = ensemble.voters[-1]
    owners = []

    def populate():
        if ensemble.wait_leader() is not leader:
            raise AssertionError(f"{leader} should lead")
        write_some(ensemble, 20)
        # This session sends nothing until the other members have started.
        owners.append(leader.connect(timeout_ms=600000))
        make(owners[0], "/short-e", b"e", 1)
        make(owners[0], "/short-acl")
        acl = [acl_entry("world", "anyone", 17), acl_entry("ip", "127.0.0.1")]
        owners[0].ok("setACL", path="/short-acl", acl=acl, version=0)

    for member in ensemble.start(before_the_rest=populate):
        expect_way(member, "SNAP")
    sessions = everywhere(ensemble)
    expect_everywhere(sessions, "/short-e", True)
    close(owners[0])
    expect_everywhere(sessions, "/short-e", False)
    for session in sessions:
        close(session)
    serves(ensemble)
    with Load(ensemble.addresses(), name="short") as load:
        load.wait_answers(50)
        leader.kill()
        ensemble.wait_leader(deadline_s=60)
        load.wait_answers(50)
        leader.start()
        ensemble.wait_serving()
        load.wait_answers(20)
    checked(ensemble, load)
    serves(ensemble)
    long_end(ensemble)
    ways = ways_of(leader)
    return (f"{ensemble.wait_leader()} leads, the old leader is back by {' '.join(ways)}, "
            f"{load.answers()} answers, longest pause {load.longest_pause_s():.1f} s")


SCENARIOS = {f.__name__: f for f in (
    serves, ephemerals, diff, snap, trunc, other_history, follower_killed, leader_killed,
    minority_refuses, all_killed, paused_leader, slow_disk, long_end, short,
)}
