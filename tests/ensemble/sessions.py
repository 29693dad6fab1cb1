#!/usr/bin/env python3
"""Tests what clients see of an ensemble: sessions that move, outlive a leader or expire, local sessions, members that
are behind, and members that are cut off.

    sessions.py --members ours,ours,ours,ours:observer
    sessions.py --members java:3.9.5,java:3.9.5,java:3.9.5 moved    one of them, to test the tests
    sessions.py --list

Scenarios with the same settings share an ensemble. Logs stay in tests/.peers/work/sessions.
"""

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from harness.client import Closed, Connection, Timeout, four_letter_word  # noqa: E402
from harness.ensemble import (  # noqa: E402
    Ensemble, all_at_once, close, compare_trees, end_on_signals, parse_members,
)
from harness.jute import encode  # noqa: E402
from harness.protocol import OPEN_ACL, OPS, error_name  # noqa: E402
from harness.servers import require, wait_until, work_root  # noqa: E402

EPHEMERAL = 1
NO_NODE, SESSION_MOVED, NOT_READ_ONLY, EPHEMERAL_ON_LOCAL = -101, -118, -119, -120
DEADLINE_S = 60.0
# The time from the end of a session's timeout until the leader expires it, and what a busy machine adds.
EXPIRY_SLACK_S = 60.0


class Wrong(AssertionError):
    """The ensemble has done something that it must not do."""


def check(condition, text):
    if not condition:
        raise Wrong(text)


def create(session, path, flags=0, data=b""):
    return session.ok("create", path=path, data=data, acl=OPEN_ACL, flags=flags)["path"]


def owner_of(member, path):
    """Returns the session that owns the node, as a member shows it after a sync, or None if there is no such node."""
    session = member.connect()
    try:
        session.ok("sync", path=path)
        error, answer = session.call("exists", path=path, watch=False)
        return None if error == NO_NODE else answer["stat"]["ephemeralOwner"]
    finally:
        close(session)


def attach(member, session, **fields):
    """Connects to a member with an existing session. Returns the connection, or None if the session is over."""
    connection = Connection(member.port, member.host)
    connection.connect(timeout_ms=session.timeout_ms, session_id=session.session_id,
                       password=session.password, **fields)
    if not connection.established:
        connection.close()
        return None
    return connection


def attach_somewhere(members, session):
    """Tries one member after the other, as clients do, until one takes the session. Returns (member, connection)."""
    taken = []

    def try_all():
        for member in members:
            if not member.running():
                continue
            try:
                connection = attach(member, session)
            except (Closed, Timeout, OSError):
                continue
            check(connection is not None, f"{member} says that session {session.session_id:#x} is over")
            taken.append((member, connection))
            return True
        return False

    wait_until("a member takes the session", try_all, DEADLINE_S)
    return taken[0]


def refused(member, **fields):
    """Returns True if the member closes the connection without an answer, False if it gives a session, and else its
    answer as text."""
    connection = Connection(member.port, member.host)
    try:
        answer = connection.connect(timeout_ms=10000, **fields)
    except Closed:
        return True
    connection.close()
    return f"{answer}" if not connection.established else False


def metric(member, name):
    for line in four_letter_word(member.port, "mntr", host=member.host).splitlines():
        key, _, value = line.partition("\t")
        if key == f"zk_{name}":
            return int(float(value))
    return None


# --- the scenarios ---


def moved(ensemble):
    """A session moves from each member to each other one. Its ephemeral nodes stay, and it can write there. Its old
    connection cannot write any more and is closed."""
    count = 0
    for old_member in ensemble.members:
        for new_member in ensemble.members:
            if new_member is old_member:
                continue
            count += 1
            path = f"/moved-{count}"
            old = old_member.connect()
            create(old, path, EPHEMERAL)
            where = f"from {old_member} to {new_member}"
            new = attach(new_member, old)
            check(new is not None, f"{where}: the session is over")
            check(new.session_id == old.session_id, f"{where}: it is another session")
            create(new, f"{path}-new", EPHEMERAL)
            old.send_request(old.next_xid(), OPS["create"][0], encode(
                "CreateRequest", {"path": f"{path}-old", "data": b"", "acl": OPEN_ACL, "flags": 0}))
            try:
                header, _ = old.reply(old.xid)
                check(header["err"] == SESSION_MOVED,
                      f"{where}: the old connection gets {error_name(header['err'])}")
                old.receive()
                raise Wrong(f"{where}: the old connection stays")
            except Closed:
                pass
            check(owner_of(new_member, f"{path}-old") is None, f"{where}: the old one has written")
            for name in (path, f"{path}-new"):
                for member in (old_member, new_member):
                    owner = owner_of(member, name)
                    check(owner == new.session_id, f"{where}: {member} shows {owner} for {name}")
            new.call("closeSession")
            new.close()
            for name in (path, f"{path}-new"):
                check(owner_of(old_member, name) is None, f"{where}: {name} is left")
    compare_trees(ensemble)
    return f"{count} moves"


def wrong_password(ensemble):
    """No member lets a client with a wrong password take over a session. The session lives on."""
    for old_member in ensemble.members:
        session = old_member.connect()
        path = create(session, f"/mine-{old_member.sid}", EPHEMERAL)
        for member in ensemble.members:
            thief = Connection(member.port, member.host)
            answer = thief.connect(timeout_ms=10000, session_id=session.session_id, password=b"x" * 16)
            check(not thief.established, f"{member} gives the session away: {answer}")
            thief.close()
        check(owner_of(old_member, path) == session.session_id, f"{path} is gone")
        session = attach(old_member, session)
        check(session is not None, f"the session on {old_member} is over")
        close(session)


def leader_dies(ensemble):
    """Sessions on every member outlive the leader, with their ephemeral nodes. A watch that is set again reports what
    has changed meanwhile."""
    leader = ensemble.wait_leader()
    # These sessions send nothing until there is another leader.
    sessions = [member.connect(timeout_ms=600000) for member in ensemble.members]
    for number, session in enumerate(sessions):
        create(session, f"/e-{number}", EPHEMERAL)
        create(session, f"/watched-{number}")
        session.ok("getData", path=f"/watched-{number}", watch=True)
    seen = leader.zxid()
    leader.kill()
    others = [member for member in ensemble.members if member is not leader]
    ensemble.wait_leader(other_than=leader)
    ensemble.wait_serving(others)
    writer = others[0].connect()
    for number in range(len(sessions)):
        writer.ok("setData", path=f"/watched-{number}", data=b"changed", version=0)
    after = []
    for number, session in enumerate(sessions):
        session.close()
        home = ensemble.members[number]
        member, new = attach_somewhere([home, *others], session)
        new.ok("setWatches", relativeZxid=seen, data=[f"/watched-{number}"], exist=[],
               child=[])
        event = new.next_event()
        check((event["type"], event["path"]) == (3, f"/watched-{number}"), f"{member}: {event}")
        after.append(new)
    # A new watch reports later changes.
    for number, session in enumerate(after):
        session.ok("getData", path=f"/watched-{number}", watch=True)
        writer.ok("setData", path=f"/watched-{number}", data=b"again", version=1)
        event = session.next_event()
        check(event["path"] == f"/watched-{number}", f"{event}")
    leader.start()
    ensemble.wait_serving()
    for number, session in enumerate(after):
        for member in ensemble.members:
            owner = owner_of(member, f"/e-{number}")
            check(owner == session.session_id, f"{member} shows {owner} for /e-{number}")
        close(session)
    for number in range(len(after)):
        check(owner_of(leader, f"/e-{number}") is None, f"/e-{number} is left")
    close(writer)
    compare_trees(ensemble)


def expiry(ensemble):
    """A session whose member dies, and that does not move, expires by the leader's clock: not before its timeout, and
    soon after it. A session that moves lives on."""
    timeout_s = 12.0
    leader = ensemble.wait_leader()
    victims = [ensemble.wait_follower()]
    victims += [member for member in ensemble.members if member.observer][:1]
    # All victims at once, so that the timeout passes for them at the same time.
    over = []
    for victim in victims:
        # The leader starts to count later than this.
        began = time.monotonic()
        lost = victim.connect(timeout_ms=int(timeout_s * 1000))
        kept = victim.connect(timeout_ms=int(timeout_s * 1000))
        create(lost, f"/lost-{victim.sid}", EPHEMERAL)
        create(kept, f"/kept-{victim.sid}", EPHEMERAL)
        watcher = leader.connect()
        watcher.ok("exists", path=f"/lost-{victim.sid}", watch=True)
        lost.ok("ping")
        victim.kill()
        new = attach(leader, kept)
        check(new is not None, "a session is over at once when its member dies")
        over.append((victim, began, lost, new, watcher))
    took = {}

    def gone():
        for victim, began, _, new, watcher in over:
            new.ok("ping")
            watcher.ok("ping")
            if watcher.events:
                took.setdefault(victim, time.monotonic() - began)
        return len(took) == len(over)
    wait_until("the sessions expire", gone, timeout_s + EXPIRY_SLACK_S)
    for victim, _, lost, new, watcher in over:
        check(took[victim] >= timeout_s,
              f"the session has expired after {took[victim]:.1f} s of {timeout_s} s")
        event = watcher.next_event()
        check(event["type"] == 2, f"{event}")
        check(attach(leader, lost) is None, "an expired session is taken back")
        check(owner_of(leader, f"/kept-{victim.sid}") == new.session_id, "the other one is gone, too")
    for victim in victims:
        victim.start()
    ensemble.wait_serving()
    for victim, _, lost, new, watcher in over:
        check(attach(victim, lost) is None, f"{victim} takes an expired session back")
        close(new)
        close(watcher)
    compare_trees(ensemble)


def newer_zxid(ensemble):
    """A member refuses a client that has seen a newer zxid than the member has, and accepts one that has not."""
    for member in ensemble.members:
        session = member.connect()
        create(session, f"/seen-{member.sid}")
        close(session)
        compare_trees(ensemble)
        newest = ensemble.wait_leader().zxid()
        check(refused(member, last_zxid=newest + 1000) is True, f"{member} takes who has seen the future")
        # An existing session is refused in the same way, and lives on.
        session = member.connect()
        connection = Connection(member.port, member.host)
        try:
            connection.connect(timeout_ms=10000, session_id=session.session_id,
                               password=session.password, last_zxid=newest + 1000)
            raise Wrong(f"{member} takes a session that has seen the future")
        except Closed:
            pass
        session.ok("exists", path="/", watch=False)
        close(session)
        close(member.connect(last_zxid=newest))


def cut_off(ensemble):
    """A member that is cut off serves only read-only clients, and only if that is enabled. It refuses a client that has
    seen a newer zxid. When the other members are back, all clients are served again."""
    reader, silent = ensemble.members[0], ensemble.members[1]
    # Without `silent`, every majority needs `reader`, so `reader` has on its disk what is acknowledged.
    silent.kill()
    ensemble.wait_serving([member for member in ensemble.members if member is not silent])
    first = reader.connect()
    create(first, "/old")
    create(first, "/old-e", EPHEMERAL)
    silent.start()
    ensemble.wait_serving()
    compare_trees(ensemble)
    others = [member for member in ensemble.members if member is not reader]
    reader.kill()
    later = ensemble.wait_leader().connect()
    create(later, "/new")
    newest = ensemble.wait_leader().zxid()
    close(later)
    all_at_once(*[member.kill for member in others])
    reader.start()

    def word(member):
        try:
            return four_letter_word(member.port, "isro", host=member.host)
        except OSError:
            return None
    wait_until(f"{reader} serves reads", lambda: word(reader) == "ro", DEADLINE_S)
    session = Connection(reader.port, reader.host)
    answer = session.connect(timeout_ms=10000, read_only=True)
    check(session.established and answer["readOnly"] is True, f"{answer}")
    session.ok("getData", path="/old", watch=True)
    error, _ = session.call("getData", path="/new", watch=False)
    check(error == NO_NODE, f"a member that was not there has /new: {error_name(error)}")
    for name, fields in (("setData", {"path": "/old", "data": b"x", "version": -1}),
                         ("create", {"path": "/c", "data": b"", "acl": OPEN_ACL, "flags": 0}),
                         ("delete", {"path": "/old", "version": -1})):
        error, _ = session.call(name, **fields)
        check(error == NOT_READ_ONLY, f"{name} on a read-only member: {error_name(error)}")
    error, _ = session.multi([("delete", {"path": "/old", "version": -1})])
    check(error == NOT_READ_ONLY, f"multi on a read-only member: {error_name(error)}")
    check(refused(reader, read_only=False) is True, "it takes one who wants to write")
    check(refused(reader, read_only=None) is True, "it takes one who cannot know that it is read-only")
    check(refused(reader, read_only=True, last_zxid=newest) is True, "it takes one who has seen more")
    back = attach_or_none(reader, first, read_only=True)
    check(back is None, "it gives a global session back")
    # A member without read-only mode serves no client.
    reader.kill()
    silent.start()
    wait_until(f"{silent} listens", lambda: word(silent) == "null", DEADLINE_S)
    for read_only in (True, False, None):
        check(refused(silent, read_only=read_only) is True, f"{silent} serves, cut off")
    # Together, they have a majority.
    reader.start()
    for member in others:
        if not member.running():
            member.start()
    ensemble.wait_serving()
    again = Connection(reader.port, reader.host)
    answer = again.connect(timeout_ms=10000, read_only=True, last_zxid=newest)
    check(again.established and answer["readOnly"] is False, f"{answer}")
    again.ok("setData", path="/new", data=b"x", version=0)
    close(again)
    compare_trees(ensemble)


def attach_or_none(member, session, **fields):
    try:
        return attach(member, session, **fields)
    except Closed:
        return None


def local(ensemble):
    """Sessions are local to their member until they need to be global. Then the leader knows them, and they can own
    ephemeral nodes and move."""
    leader = ensemble.wait_leader()
    before = metric(leader, "global_sessions")
    for member in ensemble.members:
        session = member.connect()
        check(metric(member, "local_sessions") >= 1, f"{member} has no local session")
        check(metric(leader, "global_sessions") == before, f"{leader} counts a local session of {member}")
        create(session, f"/by-local-{member.sid}")
        for other in ensemble.members:
            if other is not member:
                check(attach_or_none(other, session) is None, f"{other} knows a local session of {member}")
        session.ok("exists", path="/", watch=False)
        create(session, f"/upgraded-{member.sid}", EPHEMERAL)
        wait_until("the leader counts it", lambda: metric(leader, "global_sessions") == before + 1, 20)
        for other in ensemble.members:
            owner = owner_of(other, f"/upgraded-{member.sid}")
            check(owner == session.session_id, f"{other} shows {owner}")
        if member is not ensemble.members[0]:
            new = attach(ensemble.members[0], session)
            check(new is not None, f"the session of {member} cannot move after its upgrade")
            session = new
        close(session)
        wait_until("it is over", lambda: metric(leader, "global_sessions") == before, 20)
        check(owner_of(leader, f"/upgraded-{member.sid}") is None, "its ephemeral is left")
    compare_trees(ensemble)


def local_only(ensemble):
    """Local sessions that cannot be upgraded own no ephemeral nodes."""
    for member in ensemble.members:
        session = member.connect()
        error, _ = session.call("create", path="/e", data=b"", acl=OPEN_ACL, flags=EPHEMERAL)
        check(error == EPHEMERAL_ON_LOCAL, f"{member}: {error_name(error)}")
        create(session, f"/p-{member.sid}")
        close(session)
    compare_trees(ensemble)


LOCAL = {"localSessionsEnabled": "true"}
UPGRADING = {**LOCAL, "localSessionsUpgradingEnabled": "true"}
# Scenarios with the same settings are next to each other, because they share an ensemble.
SCENARIOS = {f.__name__: (f, settings) for f, settings in (
    (moved, {}), (wrong_password, {}), (newer_zxid, {}), (expiry, {}), (leader_dies, {}),
    (local, UPGRADING), (cut_off, UPGRADING), (local_only, LOCAL),
)}


def run(text, names):
    """Runs scenarios on the members of a list. Returns the number of failures."""
    members = parse_members(text)
    failed = 0
    ensemble, settings_now = None, None
    for name in names:
        function, settings = SCENARIOS[name]
        started = time.monotonic()
        try:
            if ensemble is None or settings != settings_now:
                if ensemble:
                    ensemble.__exit__()
                root = work_root() / "sessions" / text.replace(":", "-").replace(",", "_") / name
                ensemble = Ensemble(members, root, settings)
                ensemble.members[0].properties["readonlymode.enabled"] = "true"
                ensemble.start()
                settings_now = settings
            note = function(ensemble)
            verdict = "PASS"
        except Exception as error:  # A scenario that fails must not hide the other results.
            verdict, note = "FAIL", f"{type(error).__name__}: {error}"
            failed += 1
            if ensemble:
                ensemble.__exit__()
            ensemble = None
        print(f"{verdict} sessions/{name} {text} ({time.monotonic() - started:.1f} s)"
              f"{f': {note}' if note else ''}", flush=True)
    if ensemble:
        ensemble.__exit__()
    return failed


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", action="append", default=[], metavar="LIST")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("scenarios", nargs="*")
    arguments = parser.parse_args()
    if arguments.list:
        for name, (function, _) in SCENARIOS.items():
            print(f"{name:18} {' '.join(function.__doc__.split())}")
        return 0
    unknown = set(arguments.scenarios) - set(SCENARIOS)
    if unknown:
        sys.exit(f"no such scenario: {', '.join(sorted(unknown))}")
    if not arguments.members:
        sys.exit("which members? see --help")
    end_on_signals()
    require(*{kind for text in arguments.members for kind, _ in parse_members(text)})
    failed = sum(run(text, arguments.scenarios or SCENARIOS) for text in arguments.members)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
