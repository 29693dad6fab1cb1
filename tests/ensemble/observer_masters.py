#!/usr/bin/env python3
"""Observers that follow followers (`observerMasterPort`), with servers of any kind on both sides.

    observer_masters.py                             ours with each Java version, as master and as observer
    observer_masters.py --versions 3.9.5            with one version
    observer_masters.py --members java:3.9.5,java:3.9.5,java:3.9.5:observer     one ensemble, to test the tests
    observer_masters.py --only fan_out              the packets of a leader with 20 observers, with and without masters
    observer_masters.py --only failover             how soon an observer follows the next master, ours and Java's

Every member has an address of its own (127.0.0.1, 127.0.0.2, ...), because all followers serve observers at the same
port. Prints PASS or FAIL for each ensemble. Data directories and logs stay in tests/.peers/work/observer_masters.
"""

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import scenarios  # noqa: E402
from harness.client import four_letter_word  # noqa: E402
from harness.ensemble import (  # noqa: E402
    Ensemble, close, compare_trees, end_on_signals, parse_members,
)
from harness.jute import encode  # noqa: E402
from harness.load import Load, Session  # noqa: E402
from harness.protocol import OPEN_ACL  # noqa: E402
from harness.servers import free_port, require, wait_until, work_root  # noqa: E402

# Java has had observer masters since 3.6.
VERSIONS = ("3.6.4", "3.7.2", "3.8.6", "3.9.5")
PROPERTIES = {"zookeeper.snapshotSizeFactor": "-1", "zookeeper.commitLogCount": "500",
              "zookeeper.extendedTypesEnabled": "true"}
DEADLINE_S = 60.0
# An observer that has lost its master tries the voters in turn. At the leader it tries five times, 0.1 s apart, and
# each try begins with an election.
NEXT_MASTER_S = 15.0
OBSERVERS = 20
WRITES = 500


def fleet(members, name, masters=True, properties=None):
    """Returns an ensemble whose observers follow followers, or with `masters=False` the leader."""
    members = parse_members(members) if isinstance(members, str) else members
    hosts = [f"127.0.0.{number}" for number in range(1, len(members) + 1)]
    settings = {"observerMasterPort": free_port()} if masters else {}
    return Ensemble(members, work_root() / "observer_masters" / name, settings=settings,
                    properties={**PROPERTIES, **(properties or {})}, hosts=hosts)


def values(member):
    """Returns the values that `mntr` shows, without the leading `zk_`, or {} if the member does not serve."""
    try:
        answer = four_letter_word(member.port, "mntr", host=member.host)
    except OSError:
        return {}
    lines = (line.split("\t", 1) for line in answer.splitlines() if line.startswith("zk_"))
    return {line[0][3:]: line[1] for line in lines if len(line) == 2}


def master_of(ensemble, observer):
    """Returns the follower that an observer follows, or None."""
    if observer.mode() != "observer":
        return None
    sid = int(values(observer).get("observer_master_id", "-1"))
    found = [member for member in ensemble.voters if member.sid == sid]
    return found[0] if found and found[0].mode() == "follower" else None


def observers_of(ensemble):
    return [member for member in ensemble.members if member.observer]


def wait_masters(ensemble, deadline_s=DEADLINE_S):
    """Waits until each running observer follows a follower."""
    for observer in observers_of(ensemble):
        if observer.running():
            wait_until(f"{observer} follows a follower", lambda: master_of(ensemble, observer), deadline_s)


def catches_up(ensemble):
    """An observer that lacks a few transactions gets a DIFF of its master, and one that lacks many a snapshot."""
    scenarios.write_some(ensemble, 5)
    compare_trees(ensemble)
    for count, way in ((50, "DIFF"), (scenarios.MORE_THAN_COMMITTED_LOG, "SNAP")):
        for observer in observers_of(ensemble):
            observer.stop()
            scenarios.write_some(ensemble, count)
            scenarios.catch_up(ensemble, observer, way)
            wait_masters(ensemble)


def sessions_move(ensemble):
    """A session with an ephemeral node moves to each member. It lives on at observers by what they pass on."""
    owner = Session([(member.host, member.port) for member in ensemble.members], timeout_ms=6000)
    owner.connect()
    path = scenarios.unique("moving")
    owner.send("create", path=path, data=b"", acl=OPEN_ACL, flags=1)
    for member in [*ensemble.members, *observers_of(ensemble)]:
        owner.drop()
        owner.addresses = [(member.host, member.port)]
        owner.connect()
        end = time.monotonic() + (8.0 if member.observer else 0.0)
        while True:
            error, answer, _ = owner.send("exists", path=path, watch=False)
            if error or answer["stat"]["ephemeralOwner"] != owner.id:
                raise AssertionError(f"{path} at {member}: {error} {answer}")
            if time.monotonic() > end:
                break
            time.sleep(0.5)
        error, _, _ = owner.send("setData", path=path, data=b"%d" % member.sid, version=-1)
        if error:
            raise AssertionError(f"setData {path} through {member}: {error}")
    if not owner.close():
        raise AssertionError("closeSession has no answer")
    scenarios.expect_everywhere(scenarios.everywhere(ensemble), path, False)


def members_die(ensemble):
    """The master of an observer is killed under load, and then the leader. Nothing that was acknowledged is lost, and
    the observers follow again. Returns a note."""
    times = []
    with Load(ensemble.addresses(), name=scenarios.unique("om")[1:]) as load:
        for role in ("master", "leader", "master"):
            load.wait_answers(100)
            observer = observers_of(ensemble)[0]
            master = wait_until("a master", lambda: master_of(ensemble, observer), DEADLINE_S)
            victim = master if role == "master" else ensemble.wait_leader()
            victim.kill()
            start = time.monotonic()
            ensemble.wait_leader()
            wait_masters(ensemble)
            times.append(f"{role} {time.monotonic() - start:.1f} s")
            load.wait_answers(50)
            victim.start()
            ensemble.wait_serving()
        load.wait_answers(50)
    scenarios.checked(ensemble, load)
    return f"{load.answers()} answers, {load.lost()} lost; followed again after {', '.join(times)}"


def works(members, name, steps):
    """Runs steps on one ensemble. Returns a note."""
    with fleet(members, name) as ensemble:
        ensemble.start()
        wait_masters(ensemble)
        notes = [step(ensemble) for step in steps]
        wait_masters(ensemble)
        compare_trees(ensemble)
        told = [int(values(member).get("synced_observers", "0")) for member in ensemble.voters]
        wait_until("the masters count their observers", lambda: sum(
            int(values(member).get("synced_observers", "0")) for member in ensemble.followers()
        ) == len(observers_of(ensemble)), DEADLINE_S)
        ensemble.check_logs()
        return "; ".join(note for note in [*notes, f"observers {told}"] if note)


BASICS = (scenarios.serves, scenarios.ephemerals, sessions_move, catches_up)


def lists(version):
    """Yields (members, steps): who is master, who observes and who leads. With two voters, the first one follows."""
    java = f"java:{version}"
    yield f"ours,{java},{java}:observer,ours:observer", BASICS
    yield f"{java},ours,{java}:observer,ours:observer", BASICS
    yield f"ours,{java},ours,{java}:observer,ours:observer", (members_die,)


def failover(kind):
    """Returns how long it takes until an observer whose master was killed follows the next one, in s, three times."""
    times = []
    with fleet(f"{kind},{kind},{kind},{kind}:observer", f"failover-{kind.replace(':', '-')}") as ensemble:
        ensemble.start()
        observer = observers_of(ensemble)[0]
        for _ in range(3):
            master = wait_until("a master", lambda: master_of(ensemble, observer), DEADLINE_S)
            master.kill()
            start = time.monotonic()

            def other():
                found = master_of(ensemble, observer)
                return found if found is not master else None

            wait_until(f"{observer} follows another", other, DEADLINE_S)
            times.append(time.monotonic() - start)
            master.start()
            ensemble.wait_serving()
    return times


def packets_out(leader):
    """Returns how many packets the leader has sent to its learners."""
    shown = values(leader)
    return sum(int(value) for name, value in shown.items()
               if name.startswith("cnt_") and name.endswith("_learner_handler_qp_size"))


def write_through(member, path):
    """Creates WRITES nodes through one member, all requests at once, and waits for the answers."""
    session = member.connect()
    scenarios.make(session, path)
    frames, xids = b"", []
    for number in range(WRITES):
        xid = session.next_xid()
        frame = encode("RequestHeader", {"xid": xid, "type": 1}) + encode(
            "CreateRequest",
            {"path": f"{path}/n{number}", "data": b"x" * 100, "acl": OPEN_ACL, "flags": 0})
        frames += len(frame).to_bytes(4, "big") + frame
        xids.append(xid)
    session.send(frames)
    for xid in xids:
        header, _ = session.reply(xid)
        if header["err"]:
            raise AssertionError(f"create: error {header['err']}")
    close(session)


def fan_out():
    """Measures the packets that a leader sends for each write, with 20 observers that follow it and with 20 observers
    that follow followers. With followers, an observer's master is killed. Returns a note."""
    members = [("ours", False)] * 3 + [("ours", True)] * OBSERVERS
    out, note = {}, ""
    for masters in (False, True):
        with fleet(members, f"fan-out-{'masters' if masters else 'leader'}", masters) as ensemble:
            ensemble.start()
            if masters:
                wait_masters(ensemble)
            leader = ensemble.wait_leader()
            before, start = packets_out(leader), time.monotonic()
            write_through(leader, "/fan")
            seconds = time.monotonic() - start
            # Twice in a tick, each learner gets a PING.
            learners = 2 if masters else 2 + OBSERVERS
            pings = 2 * seconds * learners
            out[masters] = (packets_out(leader) - before - pings) / WRITES
            compare_trees(ensemble)
            if masters:
                note = lose_master(ensemble)
            ensemble.check_logs()
    # Each follower gets a PROPOSAL and a COMMIT, and each observer of the leader an INFORM.
    if not out[False] > OBSERVERS + 3:
        raise AssertionError(f"{out[False]:.1f} packets for a write to 22 learners")
    if not out[True] < 6:
        raise AssertionError(f"{out[True]:.1f} packets for a write to two followers")
    return f"packets out of the leader for a write: {out[False]:.1f} without masters, {out[True]:.1f} with; {note}"


def lose_master(ensemble):
    """Kills a master; its observers go to the next one, and follow what is written meanwhile."""
    of = {observer.sid: master_of(ensemble, observer) for observer in observers_of(ensemble)}
    victim = max(ensemble.followers(), key=lambda one: list(of.values()).count(one))
    moving = [observer for observer in observers_of(ensemble) if of[observer.sid] is victim]
    victim.kill()
    start = time.monotonic()
    write_through(ensemble.wait_leader(), "/meanwhile")
    wait_masters(ensemble)
    seconds = time.monotonic() - start
    if seconds > NEXT_MASTER_S + 1.0 * len(moving):
        raise AssertionError(f"{len(moving)} observers follow again after {seconds:.1f} s")
    compare_trees(ensemble)
    victim.start()
    ensemble.wait_serving()
    return f"{len(moving)} observers of a killed master all followed another after {seconds:.1f} s"


def told(name, run):
    """Runs one part and prints its verdict. Returns the number of failures."""
    started = time.monotonic()
    try:
        verdict, note = "PASS", run()
    except Exception as error:  # A part that fails must not hide the other results.
        verdict, note = "FAIL", f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - started
    print(f"{verdict} observer_masters/{name} ({seconds:.1f} s){f': {note}' if note else ''}", flush=True)
    return verdict == "FAIL"


def compare_failover(kinds):
    times = {kind: failover(kind) for kind in kinds}
    slow = {kind: found for kind, found in times.items() if max(found) > NEXT_MASTER_S}
    if slow:
        raise AssertionError(f"longer than {NEXT_MASTER_S} s: {slow}")
    return "; ".join(f"{kind}: {', '.join(f'{one:.1f} s' for one in found)}" for kind, found in times.items())


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", action="append", default=[], metavar="LIST")
    parser.add_argument("--versions", default=",".join(VERSIONS))
    parser.add_argument("--only", choices=("works", "failover", "fan_out"))
    arguments = parser.parse_args()
    end_on_signals()
    versions = [version for version in arguments.versions.split(",") if version]
    parts = (arguments.only,) if arguments.only else ("works", "failover", "fan_out")
    failed = 0
    for text in arguments.members:
        require(*{kind for kind, _ in parse_members(text)})
        steps = BASICS if len(parse_members(text)) < 5 else (*BASICS, members_die)
        name = text.replace(":", "-").replace(",", "_")
        failed += told(text, lambda text=text, name=name, steps=steps: works(text, name, steps))
    if arguments.members:
        return 1 if failed else 0
    require("ours", *[f"java:{version}" for version in versions])
    if "works" in parts:
        for version in versions:
            for text, steps in lists(version):
                name = text.replace(":", "-").replace(",", "_")
                failed += told(text, lambda text=text, name=name, steps=steps: works(text, name, steps))
    if "failover" in parts:
        failed += told("failover", lambda: compare_failover(["ours", "java:3.9.5"]))
    if "fan_out" in parts:
        failed += told("fan_out", fan_out)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
