#!/usr/bin/env python3
"""Replaces the members of an ensemble one after the other under load, and checks that nothing that was acknowledged is
lost.

    run.py --members java:3.8.6,java:3.8.6,java:3.8.6 --to ours            and --back again
    run.py --members java:3.4.14,java:3.4.14,java:3.4.14 --to ours --fresh  each begins with no data
    run.py --members java:3.8.6,java:3.8.6,java:3.8.6 --to java:3.9.5       to test the test

The leader is replaced last, as an operator would do it, or first with --leader-first. After each step, all members
serve, and a write goes through the new member. At the end of each way, the trees of all members are the same. Prints
PASS or FAIL for each way. Data directories and logs stay in tests/.peers/work/rolling.
"""

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "ensemble")]

from harness.client import Closed, Timeout  # noqa: E402
from harness.ensemble import (  # noqa: E402
    Ensemble, close, compare_trees, end_on_signals, leaders_tree, parse_member, parse_members, tree_at,
)
from harness.load import Load  # noqa: E402
from harness.protocol import OPEN_ACL  # noqa: E402
from harness.servers import require, wait_until, work_root  # noqa: E402

ANSWERS_BETWEEN = 100
LEFT_MS = 8000


def order(ensemble, leader_first):
    """Returns the members in the order in which they are replaced."""
    leader = ensemble.wait_leader()
    others = [member for member in ensemble.members if member is not leader]
    return [leader, *others] if leader_first else [*others, leader]


def write_through(member, path):
    def written():
        try:
            connection = member.connect()
            connection.ok("setData", path=path, data=str(member).encode(), version=-1)
            close(connection)
        except (Closed, Timeout, OSError):  # It looks for a leader again. The write may be done twice.
            return False
        return True
    wait_until(f"a write through {member}", written, 60)


def replace_all(ensemble, kinds, arguments, load):
    """Replaces all members, one after the other. `kinds` are in the order of the ensemble's members."""
    wanted = dict(zip(ensemble.members, kinds))
    for member in order(ensemble, arguments.leader_first):
        load.wait_answers(ANSWERS_BETWEEN)
        was, started = member.kind, time.monotonic()
        ensemble.replace(member, wanted[member], "fresh" if arguments.fresh else "keep")
        load.wait_answers(ANSWERS_BETWEEN)
        write_through(member, load.writers[0].root)
        ensemble.check_logs()
        print(f"    member {member.sid}: {was} -> {member.kind}, {member.mode()}, "
              f"{time.monotonic() - started:.1f} s", flush=True)


def checked(ensemble, load):
    nodes = compare_trees(ensemble)
    load.check(leaders_tree(ensemble))
    return nodes


def expired_everywhere(ensemble):
    """Waits until no member shows an ephemeral node, because the sessions that were left open have expired."""
    def gone():
        for member in ensemble.members:
            try:
                tree = tree_at(member)
            except (Closed, Timeout, OSError):
                return False
            if any(stat["ephemeralOwner"] for _, stat, _ in tree.values()):
                return False
        return True
    wait_until("ephemerals of lost sessions are gone", gone, 60)


def leave_ephemerals(ensemble):
    """Leaves a session with an ephemeral node open on each member. Each new leader starts their timeouts again."""
    for member in ensemble.members:
        connection = member.connect(timeout_ms=LEFT_MS)
        connection.ok("create", path=f"/left-{member.sid}-", data=b"", acl=OPEN_ACL, flags=3)
        connection.close()


def one_way(ensemble, kinds, arguments, seed, name):
    leave_ephemerals(ensemble)
    with Load(ensemble.addresses(), writers=3, seed=seed, name=name) as load:
        replace_all(ensemble, kinds, arguments, load)
        load.wait_answers(ANSWERS_BETWEEN)
    expired_everywhere(ensemble)
    nodes = checked(ensemble, load)
    return (f"{nodes} nodes, {load.answers()} answers, {load.lost()} lost, "
            f"longest pause {load.longest_pause_s():.1f} s")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", required=True, metavar="LIST")
    parser.add_argument("--to", required=True, metavar="KIND")
    parser.add_argument("--back", action="store_true", help="and back to what they were")
    parser.add_argument("--fresh", action="store_true", help="each new member begins with no data")
    parser.add_argument("--leader-first", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    members, to = parse_members(arguments.members), parse_member(arguments.to)[0]
    end_on_signals()
    require(to, *{kind for kind, _ in members})
    kinds = [kind for kind, _ in members]
    ways = [("there", [to] * len(kinds))] + ([("back", kinds)] if arguments.back else [])
    title = (f"{arguments.members} to {to}{' fresh' if arguments.fresh else ''}"
             f"{' leader first' if arguments.leader_first else ''}")
    root = work_root() / "rolling" / arguments.members.replace(":", "-").replace(",", "_")
    try:
        with Ensemble(members, root) as ensemble:
            ensemble.start()
            for number, (way, wanted) in enumerate(ways):
                started = time.monotonic()
                note = one_way(ensemble, wanted, arguments, arguments.seed + number, way)
                print(f"PASS rolling/{way} {title} ({time.monotonic() - started:.1f} s): {note}",
                      flush=True)
    except Exception as error:
        print(f"FAIL rolling {title}: {type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
