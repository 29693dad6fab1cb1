#!/usr/bin/env python3
"""Runs an ensemble under faults and load, and checks the history of the clients' requests and answers.

    run.py                                        a minute on ours,ours,ours
    run.py --members java:3.9.5,java:3.9.5,java:3.9.5 --seconds 60 --seed 7
    run.py --members ours,ours,ours,ours,ours --seconds 3600
    run.py --only stop_leader,isolate_leader      of some faults alone
    run.py --reconfig                             members leave, come, change their roles and ports meanwhile
    run.py --seeded-fault forget                  must FAIL: all members lose acknowledged writes
    run.py --no-network                           without cut networks and full disks, where namespaces
                                                  cannot be made
    run.py --check HISTORY                        the checker alone

A seed repeats the faults, their lengths and the choices of the clients, but not their timing. Prints PASS or
FAIL. History, logs and data stay in tests/.peers/work/chaos. See README.md.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import nemesis as faults  # noqa: E402
from changes import Changes  # noqa: E402
from clients import GENERATION_S, NODES, PAIRS, Clients, History  # noqa: E402
from harness import disks  # noqa: E402
from harness.client import Closed, Timeout  # noqa: E402
from harness.ensemble import (  # noqa: E402
    Ensemble, compare_trees, end_on_signals, is_34, leaders_tree, parse_members,
)
from harness.load import Session, SessionLost  # noqa: E402
from harness.protocol import error_name  # noqa: E402
from harness.servers import PEERS, require, wait_until, work_root  # noqa: E402
from network import Network, enter  # noqa: E402

CLIENTS = 6
# The time limit for serving again after the last fault, and for reading the registers of a member.
RECOVERY_S = 60
# The exit codes of a server that cannot write its log or a snapshot.
DISK_FAILED = (1, 10)
# The number of writes in each member's log before a fault is seeded.
SEEDED_AFTER = 200
SEEDED = {"forget": faults.forget, "lose-node": faults.lose_a_node, "repeat": faults.repeat_a_write}
SETTINGS = {"tickTime": 500, "initLimit": 20, "syncLimit": 6}
PROPERTIES = {"zookeeper.snapCount": "2000", "zookeeper.preAllocSize": "256"}


def checker():
    """Returns the path of the checker's binary. Builds it if its source is newer."""
    binary = PEERS / "bin" / "chaos_checker"
    newest = max(file.stat().st_mtime for file in (HERE / "checker").iterdir())
    if not binary.exists() or binary.stat().st_mtime < newest:
        subprocess.run([str(HERE.parent / "peers" / "install.sh"), "checker"], check=True)
    return binary


def check(history, strict_sync):
    """Runs the checker. Returns whether a correct ensemble can have this history."""
    command = [str(checker()), f"-strict-sync={'true' if strict_sync else 'false'}", str(history)]
    return subprocess.run(command).returncode == 0


class Run:
    """One run. `say` writes to the console and to `events.txt` beside the history."""

    def __init__(self, arguments, root):
        self.arguments, self.root = arguments, root
        self.started = time.monotonic()
        self.events = None
        self.problems = []
        self.disks = {}
        self.changes = None

    def say(self, *words):
        line = f"{time.monotonic() - self.started:7.2f} {' '.join(str(word) for word in words)}"
        print(line, flush=True)
        if self.events:
            print(line, file=self.events, flush=True)

    def go(self):
        arguments = self.arguments
        members = parse_members(arguments.members)
        network = None if arguments.no_network else Network(len(members))
        hosts = network and [network.host(i + 1) for i in range(len(members))]
        try:
            with Ensemble(members, self.root, SETTINGS, PROPERTIES, hosts) as ensemble:
                history = self.live(ensemble, network)
        finally:
            for disk in self.disks.values():
                disk.close()
            if network:
                network.close()
        return history

    def live(self, ensemble, network):
        self.events = open(self.root / "events.txt", "w")
        for member in ensemble.members if network else ():
            member.prefix = network.prefix(member.sid)
        self.make_disks(ensemble, network)
        clients = Clients(CLIENTS, ensemble.addresses(), self.arguments.seed)
        if self.arguments.reconfig:
            self.changes = Changes(ensemble, self.arguments.seed, self.say, lambda: clients.move(ensemble.addresses()))
            self.changes.prepare()
        ensemble.start()
        self.say("serves:", *[f"{member} ({member.mode()})" for member in ensemble.members])
        history = History(self.root / "history.jsonl")
        clients.start(history)
        try:
            self.trouble(ensemble, network)
            self.say("calm")
            if self.changes:
                self.changes.restore(lambda: self.revive(ensemble), RECOVERY_S)
            self.wait_serving(ensemble)
        finally:
            clients.stop()
        self.last_look(ensemble, clients, history)
        history.close()
        self.say(f"{history.lines} operations, {clients.total('unknown')} without an answer, "
                 f"{clients.total('lost_sessions')} sessions lost")
        return history

    def make_disks(self, ensemble, network):
        library = disks.build_library(self.root)
        # Nothing is mounted outside of a namespace, because only a namespace removes its mounts when the program ends.
        may_mount = network is not None
        self.disks = {m.sid: disks.Disk(m, library, may_mount) for m in ensemble.members}
        if not library:
            self.say("no C compiler: no disk is slow, fails or loses power")
        if not all(disk.mounted for disk in self.disks.values()):
            self.say("nothing can be mounted here: no disk is full")

    def trouble(self, ensemble, network):
        """Injects faults for `--seconds`. With a seeded fault, only for half of that time; then comes that fault."""
        arguments = self.arguments
        nemesis = faults.Nemesis(
            ensemble, network, self.disks, arguments.seed, self.say, arguments.only, arguments.skip)
        stop = threading.Event()
        running = [nemesis.run, *([self.changes.run] if self.changes else [])]
        threads = [threading.Thread(target=self.guarded, args=(function, stop)) for function in running]
        seconds = arguments.seconds
        if arguments.seeded_fault:
            seconds = seconds / 2
        for thread in threads:
            thread.start()
        stop.wait(seconds)
        stop.set()
        for thread in threads:
            thread.join()
        if arguments.seeded_fault:
            self.seed_fault(ensemble)
            time.sleep(seconds)
        self.faults = nemesis.done
        problems = [*nemesis.problems]
        if self.changes:
            problems += self.changes.problems
            if not self.changes.done:
                problems.append("no change of the ensemble has succeeded")
        for text in problems:
            self.problem(text)

    def revive(self, ensemble):
        """Restarts the members that have ended because of a failed disk: a member may end only after the disk was
        healed."""
        for member in ensemble.members:
            if not member.running() and member.process.returncode in DISK_FAILED:
                self.say(member, "has ended with", member.process.returncode)
                member.kill()
                member.start()

    def wait_serving(self, ensemble):
        """Waits until all members serve. Restarts those that have ended because of a failed disk."""
        def all_serve():
            self.revive(ensemble)
            return all(member.serving() for member in ensemble.members) and ensemble.leader()
        wait_until("all members serve", all_serve, RECOVERY_S)

    def seed_fault(self, ensemble):
        fault = SEEDED[self.arguments.seeded_fault]
        for _ in range(20):
            self.wait_serving(ensemble)
            wait_until("every member has logged some writes", lambda: all(
                faults.has_logged(member, SEEDED_AFTER) for member in ensemble.members), RECOVERY_S)
            done = fault(ensemble, self.say)
            for member in ensemble.members:
                if not member.running():
                    member.start()
            if done:
                return
        self.problem("the fault could not be seeded")

    def guarded(self, function, *arguments):
        try:
            function(*arguments)
        except Exception as error:
            self.problem(f"{type(error).__name__}: {error}")

    def problem(self, text):
        self.problems.append(text)
        self.say("PROBLEM", text)

    def last_look(self, ensemble, clients, history):
        """Checks after all faults that the members agree and hold what was acknowledged. Closes the sessions."""
        self.guarded(compare_trees, ensemble)
        generations = int((time.monotonic() - self.started) / GENERATION_S) + 1
        for number, member in enumerate(ensemble.members):
            try:
                read_registers(member, 1000 + number, history, generations)
            except (Closed, Timeout, AssertionError) as error:
                self.problem(f"the last look at {member}: {error}")
        tree = leaders_tree(ensemble)
        for client in clients.clients:
            for path, value in client.sequence:
                if path not in tree:
                    history.add(op="violation", c=client.number, k=path, what="acknowledged, and lost")
                elif tree[path][0] != value.encode():
                    history.add(op="violation", c=client.number, k=path,
                                what=f"is {tree[path][0]}, not {value}")
        clients.close_sessions()
        def left():
            return [path for path, (_, stat, _) in leaders_tree(ensemble).items()
                    if stat["ephemeralOwner"]]
        try:
            wait_until("no ephemeral node is left", lambda: not left(), 60)
        except TimeoutError:
            self.problem(f"ephemeral nodes of sessions that have ended: {left()}")
        self.guarded(compare_trees, ensemble)
        for member in ensemble.members:
            for file in member.workdir.glob("server-*.log"):
                if "panicked at" in file.read_text(errors="replace"):
                    self.problem(f"{member} has panicked: {file}")


def read_registers(member, number, history, generations):
    """Reads all registers that were ever used from one member, behind a sync. Records the reads as those of a client
    with this number."""
    session = Session([(member.host, member.port)], timeout_ms=20000)
    for generation in range(generations):
        keys = [f"/r{pair}-{generation}-{node}" for pair in range(PAIRS) for node in NODES]
        entries = None
        deadline = time.monotonic() + RECOVERY_S
        while entries is None and time.monotonic() < deadline:
            try:
                if session.connection is None:
                    session.connect()
                entries = [*read_behind_sync(session, number, keys)]
            except (Closed, SessionLost):
                continue
        if entries is None:
            raise AssertionError(f"its registers cannot be read within {RECOVERY_S} s")
        for entry in entries:
            history.add(**entry)
    session.close()


def read_behind_sync(session, number, keys):
    call = time.monotonic_ns()
    session.send("sync", path="/")
    for key in keys:
        error, answer, zxid = session.send("getData", path=key, watch=False)
        entry = {"c": number, "s": f"{session.id:x}", "op": "sync read", "k": key, "call": call,
                 "ret": time.monotonic_ns(), "err": error_name(error), "z": zxid}
        if not error:
            stat = answer["stat"]
            entry.update(rv=answer["data"].decode(), rver=stat["version"], mz=stat["mzxid"])
        yield entry


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", default="ours,ours,ours", metavar="LIST")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--reconfig", action="store_true",
                        help="the ensemble changes all the time; all members must know reconfig (3.5 or later)")
    parser.add_argument("--seeded-fault", choices=list(SEEDED))
    parser.add_argument("--only", default=[], metavar="FAULTS", type=lambda text: text.split(","),
                        help="of these faults alone, as in kill_one,stop_leader")
    parser.add_argument("--skip", type=int, default=0, metavar="N",
                        help="without the first N faults of the seed's deck: several runs share a deck")
    parser.add_argument("--no-network", action="store_true")
    parser.add_argument("--check", metavar="HISTORY")
    parser.add_argument("--strict-sync", choices=["true", "false"],
                        help="whether a read behind a sync may not be old; default: when all are ours")
    arguments = parser.parse_args()
    kinds = {kind for kind, _ in parse_members(arguments.members)}
    strict = {"true": True, "false": False}.get(arguments.strict_sync, kinds == {"ours"})
    if arguments.check:
        return 0 if check(arguments.check, strict) else 1
    if arguments.reconfig and any(is_34(kind) for kind in kinds):
        parser.error("servers of 3.4 do not know reconfig")
    if arguments.seed is None:
        arguments.seed = int.from_bytes(os.urandom(3), "big")
        # `enter` starts the program again, and the seed must stay the same.
        sys.argv += ["--seed", str(arguments.seed)]
    require(*kinds)
    if not arguments.no_network:
        enter()
    end_on_signals()
    binary = checker()
    with_changes = " reconfig" if arguments.reconfig else ""
    title = f"chaos/{arguments.members}{with_changes} seed {arguments.seed} {arguments.seconds:g} s"
    root = work_root() / "chaos" / f"{arguments.members.replace(':', '-').replace(',', '_')}"
    run = Run(arguments, root)
    try:
        assert binary.exists()
        history = run.go()
        good = check(root / "history.jsonl", strict) and not run.problems
        note = f"{history.lines} operations; faults {dict(sorted(run.faults.items()))}"
        if run.changes:
            note += f"; changes {dict(sorted(run.changes.done.items()))}"
    except Exception as error:
        good, note = False, f"{type(error).__name__}: {error}"
    print(f"{'PASS' if good else 'FAIL'} {title}: {'; '.join([note, *run.problems])}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
