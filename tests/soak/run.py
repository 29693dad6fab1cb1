#!/usr/bin/env python3
"""Attacks every port and role with hostile clients, while honest clients must notice nothing.

    run.py                                        ten minutes, a server alone and an ensemble
    run.py --seconds 3600                         an hour
    run.py --seed 7                               the same attacks as that seed's
    run.py --roles standalone --seconds 60        of ensemble, standalone
    run.py --only flood,crowd                     of some kinds of attack alone
    run.py --without giant_answers                of all but some
    run.py --list                                 the kinds
    run.py --member java:3.9.5                    to compare with
    run.py --seeded-fault lose-node               must FAIL: an acknowledged node is deleted; `pause`: the
                                                  leader stands for longer than an answer may take

`--seconds` is the time of the attacks. The start and the checks take a minute or two more.
Prints PASS or FAIL for each claim. Logs, data, attacks and figures stay in tests/.peers/work/soak.
See README.md.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import tidying  # noqa: E402
from frames import BIG, BIG_BYTES  # noqa: E402
from harness.client import Closed, Timeout, four_letter_word  # noqa: E402
from harness.ensemble import (  # noqa: E402
    Ensemble, compare_trees, end_on_signals, parse_member, tree_of,
)
from harness.protocol import acl_entry  # noqa: E402
from harness.servers import binary, free_port, fresh_dir, require, wait_until, work_root  # noqa: E402
from hostile import LONGEST_S  # noqa: E402
from honest import ANSWER_S, Answers, Client, Newcomers, Pauses  # noqa: E402
from kinds import KINDS  # noqa: E402
from watch import FILES, MEMORY_MIB, Cage, Taken, Watch, cages, limited_files  # noqa: E402

# How the time of the attacks is divided between them.
SHARES = {"standalone": 0.3, "ensemble": 0.7}
HOSTILE_PROCESSES = 4
# The time with only honest clients, before and after the attacks.
QUIET_S = 5.0
# The time limit after the attacks until the members have released what the attacks took.
CALM_S = 90.0
# How much more a member may use after the attacks than before. Connections of honest clients come and go, and the
# allocator keeps some freed memory in each of its arenas. It would take 16 arenas on two processors. With two, what is
# left is mostly memory that the member itself keeps.
ARENAS = {"MALLOC_ARENA_MAX": "2"}
MORE_FILES, MORE_THREADS, MORE_MIB = 4, 4, 64
SHOWN = 8
PROMETHEUS = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
SETTINGS = {
    # None leaves the server's default, because hostile clients have other addresses than honest ones.
    "maxClientCnxns": None, "maxSessionTimeout": 20000,
    "admin.enableServer": "true", "admin.serverAddress": "127.0.0.1",
    "metricsProvider.className": PROMETHEUS, "metricsProvider.httpHost": "127.0.0.1",
}
PROPERTIES = {
    "zookeeper.DigestAuthenticationProvider.superDigest": tidying.SUPER_DIGEST,
    "zookeeper.extendedTypesEnabled": "true", "zookeeper.snapCount": "20000",
    "zookeeper.preAllocSize": "4096",
}


class Alone(Ensemble):
    """A standalone server with the interface of an ensemble."""

    def write_lines(self):
        pass

    def start(self, before_the_rest=None):
        member = self.members[0]
        member.start()
        member.wait_mode("standalone")

    def leader(self):
        return self.members[0]

    def wait_serving(self, members=None, deadline_s=60):
        self.members[0].wait_mode("standalone", deadline_s=deadline_s)


class Soak:
    """A service under attack: a standalone server or an ensemble."""

    def __init__(self, role, seconds, arguments, caged):
        self.role, self.seconds, self.arguments = role, seconds, arguments
        self.root = fresh_dir(work_root() / "soak" / role)
        kind = parse_member(arguments.member)[0]
        members = [(kind, False)] if role == "standalone" else [*[(kind, False)] * 3, (kind, True)]
        self.service = (Alone if role == "standalone" else Ensemble)(
            members, self.root, SETTINGS, PROPERTIES)
        self.cages = []
        for member in self.service.members:
            # Attackers take away the right to read their own nodes.
            member.user = tidying.SUPER
            member.settings["admin.serverPort"] = free_port()
            member.settings["metricsProvider.httpPort"] = free_port()
            member.prefix = limited_files()
            if caged:
                self.cages.append(Cage(f"zookeeper-soak-{os.getpid()}-{role}-{member.sid}", MEMORY_MIB))
                member.prefix = [*self.cages[-1].enter(), *member.prefix]
        self.stop_all, self.stop_honest = threading.Event(), threading.Event()
        self.answers, self.newcomers = Answers(arguments.answer_seconds), Answers(arguments.answer_seconds)
        self.clients, self.processes = [], []
        self.verdicts = []

    # --- what runs ---

    def run(self):
        """Runs everything. Returns whether all claims held."""
        try:
            with self.service:
                self.service.start()
                self.live()
                self.restart()
        except Exception as error:  # Reported like any other failure.
            self.verdict(False, "the run", f"{type(error).__name__}: {error}")
        finally:
            for process in self.processes:
                process.kill()
            for cage in self.cages:
                cage.close()
        return all(good for good in self.verdicts)

    def live(self):
        leader = self.service.wait_leader()
        for member in self.service.members:
            member.title = f"member {member.sid} ({member.mode()})" if self.role == "ensemble" else self.role
        self.prepare_tree(leader)
        pauses = Pauses(self.root)
        honest = self.honest_clients()
        watch = Watch(self.service.members, self.root / "series.csv", self.stop_all, not self.cages)
        pauses.start()
        watch.start()
        for thread in honest:
            thread.start()
        try:
            self.stop_all.wait(QUIET_S)
            before = self.taken()
            self.started = time.monotonic()
            self.attack(leader)
            self.seed_fault(leader, "pause")
            self.stop_all.wait(QUIET_S)
            after = {} if watch.problems else self.calm(before)
        finally:
            self.stop_honest.set()
            for thread in honest:
                thread.join()
            pauses.stop()
            self.stop_all.set()
            watch.join()
        self.seed_fault(leader, "lose-node")
        self.judge(leader, pauses, watch, before, after)

    def seed_fault(self, leader, which):
        """Causes the fault of `--seeded-fault` if it is this one. The run must find it."""
        if self.arguments.seeded_fault != which:
            return
        print(f"SEEDED FAULT {which}", flush=True)
        if which == "pause":
            leader.pause()
            time.sleep(1.5 * self.arguments.answer_seconds)
            leader.resume()
        else:
            connection = tidying.connected(leader.host, leader.port)
            connection.ok("delete", path=self.clients[0].live[-1], version=-1)
            connection.close()

    def prepare_tree(self, leader):
        connection = tidying.connected(leader.host, leader.port)
        # Hostile clients may only read it.
        connection.ok("create", path=BIG, data=b"x" * BIG_BYTES, acl=[acl_entry("world", "anyone", 1)], flags=0)
        tidying.tidy(connection)
        connection.call("closeSession")
        connection.close()

    def honest_clients(self):
        """Prepares the honest clients: two on each member, six on a standalone server, and the newcomers. Returns their
        threads."""
        each = 6 if self.role == "standalone" else 2
        for number in range(each * len(self.service.members)):
            member = self.service.members[number % len(self.service.members)]
            self.clients.append(Client(number, member.title, (member.host, member.port),
                                       self.arguments.seed * 100 + number, self.answers, self.stop_honest))
        for client in self.clients:
            client.prepare()
        self.visitors = Newcomers(self.service.members, self.newcomers, self.stop_honest)
        return [threading.Thread(target=one.run) for one in [*self.clients, self.visitors]]

    def taken(self):
        return {member: Taken.by(member.process.pid) for member in self.service.members}

    def attack(self, leader):
        """Runs the hostile processes and `tidying.py` for the time of the attacks."""
        plan = self.root / "plan.json"
        end = time.monotonic() + self.seconds
        plan.write_text(json.dumps({
            "seed": self.arguments.seed, "parts": HOSTILE_PROCESSES, "end": end,
            "only": self.arguments.only, "targets": [self.target(m, leader) for m in self.service.members],
            "tidied": [leader.host, leader.port], "binary": None if leader.java_version else str(binary()),
            "data": [str(member.data) for member in self.service.members],
        }))
        programs = [["hostile.py", plan, str(part)] for part in range(HOSTILE_PROCESSES)]
        with open(self.root / "hostile.log", "ab") as log:
            for program in [*programs, ["tidying.py", plan]]:
                name, *words = program
                self.processes.append(subprocess.Popen(
                    [sys.executable, HERE / name, *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        while time.monotonic() < end and not self.stop_all.wait(1):
            ended = [process for process in self.processes if process.poll()]
            if ended:
                raise AssertionError(f"a hostile process has ended: {self.root / 'hostile.log'}")
        for process in self.processes:
            if self.stop_all.is_set():
                process.terminate()
            process.wait(60)

    def target(self, member, leader):
        """Returns the ports of a member that are attacked. Only a leader listens on the port for learners."""
        ports = {"client": member.port, "admin": member.settings["admin.serverPort"],
                 "metrics": member.settings["metricsProvider.httpPort"]}
        if self.role == "ensemble":
            ports["election"] = member.election_port
            if member is leader:
                ports["quorum"] = member.quorum_port
        return {"name": member.title, "host": member.host, "ports": ports}

    def calm(self, before):
        """Waits until the members have released what the attacks took. Returns what they use then, or at the time
        limit."""
        connection = tidying.connected(self.service.leader().host, self.service.leader().port)
        tidying.tidy(connection)
        connection.call("closeSession")
        connection.close()
        found = {}

        def given_back():
            found.update(self.taken())
            return not any(more_than(before[member], found[member]) for member in before)
        try:
            wait_until("all is given back", given_back, CALM_S)
        except TimeoutError:
            pass
        return found

    # --- what is claimed ---

    def verdict(self, good, claim, text, faults=()):
        """Prints whether a claim holds. `faults` are (start, end, text, name of the member)."""
        self.verdicts.append(good)
        print(f"{'PASS' if good else 'FAIL'} soak/{self.role}: {claim}: {text}", flush=True)
        for start, end, what, whom in faults[:SHOWN]:
            print(f"    {start - self.started:.1f} s: {f'{whom}: ' if whom else ''}{what}; under way: "
                  f"{'; '.join(self.under_way(start, end, whom)) or 'nothing'}", flush=True)
        if len(faults) > SHOWN:
            print(f"    and {len(faults) - SHOWN} more")

    def under_way(self, start, end, whom):
        """Returns the attacks from a second before `start` until `end`, those on the member `whom` first."""
        found = set()
        for file in sorted(self.root.glob("attacks-*.jsonl")):
            attacks = {}
            for line in file.read_text().splitlines():
                attack = json.loads(line)
                attacks[attack["from"]] = attack
            for attack in attacks.values():
                if attack["from"] <= end and attack.get("to", end) >= start - 1:
                    found.add((attack["target"] != whom, f"{attack['kind']} ({attack['port']}, {attack['target']})"))
        return [text for _, text in sorted(found)]

    def judge(self, leader, pauses, watch, before, after):
        print(f"soak/{self.role}: {pauses.text()}", flush=True)
        self.verdict(*self.attacks())
        errors = [error for one in [*self.clients, self.visitors] for error in one.errors]
        self.verdict(not watch.problems, "all members live", "; ".join(text for _, text in watch.problems) or
                     f"none above {max((taken.most_mib for taken in after.values()), default=0):.0f} MiB",
                     [(at, at, text.splitlines()[0], "") for at, text in watch.problems])
        for claim, answers in (("answers", self.answers), ("newcomers", self.newcomers)):
            faults = sorted([*answers.too_slow(pauses), *answers.failed])
            self.verdict(not faults, claim, f"{answers.text()}, {len(answers.failed)} failed", faults)
        self.verdict(not errors, "honest clients are told the truth", "; ".join(errors) or "always")
        for member in after:
            self.verdict(not more_than(before[member], after[member]), f"{member.title} gives back",
                         f"{before[member]} before, {after[member]} after, {after[member].most_mib:.0f} MiB at most")
        if watch.problems:
            return
        if self.role == "ensemble":
            uptime = self.leader_uptime_s(leader)
            self.verdict(uptime is not None and uptime >= time.monotonic() - self.started,
                         "the leader stays", f"it has led for {uptime} s")
        self.check("after the attacks")

    @staticmethod
    def leader_uptime_s(leader):
        lines = dict(line.split("\t", 1) for line in four_letter_word(leader.port, "mntr").splitlines()
                     if "\t" in line)
        if not lines.get("zk_server_state") == "leader":
            return None
        return float(lines.get("zk_leader_uptime", "inf")) / 1000

    def attacks(self):
        """Returns whether there were as many attacks as expected, the name of the claim, and what the attacks did."""
        count, seen, connections, sent, received = 0, set(), 0, 0, 0
        for file in self.root.glob("attacks-*.jsonl"):
            for line in file.read_text().splitlines():
                attack = json.loads(line)
                if "to" in attack:
                    count += 1
                    seen.add((attack["kind"], attack["target"], attack["port"]))
                    connections += attack["connections"]
                    sent += attack["sent"]
                    received += attack["received"]
        enough = count >= self.seconds * HOSTILE_PROCESSES / LONGEST_S / 2 and connections
        return enough, "attacks", (
            f"{count}, of {len(seen)} kinds by target and port, {connections} connections, {sent >> 20} MiB sent, "
            f"{received >> 20} MiB received")

    def check(self, when):
        """Checks that every member shows what was acknowledged."""
        wrong = []
        for member in self.service.members:
            try:
                connection = member.connect()
                tree = tree_of(connection)
                connection.close()
                wrong += [f"{member.title}: {text}" for client in self.clients for text in client.check(tree)]
            except (Closed, Timeout, OSError, AssertionError) as error:
                wrong.append(f"{member.title}: {type(error).__name__}: {error}")
        acknowledged = sum(client.acknowledged for client in self.clients)
        self.verdict(not wrong, f"no write is lost {when}", "; ".join(wrong[:SHOWN]) or
                     f"{acknowledged} acknowledged, on {len(self.service.members)} members")
        for member in self.service.members:
            if "panicked" in member.log_text():
                self.verdict(False, "no panic", str(member.log))

    def restart(self):
        """Kills all members and starts them again. They must show what was acknowledged."""
        for member in self.service.members:
            member.kill()
        self.service.start()
        compare_trees(self.service)
        self.check("after a kill -9 of all")


def more_than(before, now):
    """Returns whether a member uses more than it may."""
    return (now.files > before.files + MORE_FILES or now.threads > before.threads + MORE_THREADS
            or now.mib > before.mib + MORE_MIB)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [kind.name for kind in KINDS]
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--roles", default=list(SHARES), type=lambda text: text.split(","))
    parser.add_argument("--only", default=[], type=lambda text: text.split(","), metavar="KINDS")
    parser.add_argument("--without", default=[], type=lambda text: text.split(","), metavar="KINDS")
    parser.add_argument("--member", default="ours", metavar="KIND")
    parser.add_argument("--answer-seconds", type=float, default=ANSWER_S, help="the limit for an answer")
    parser.add_argument("--seeded-fault", choices=["lose-node", "pause"])
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    for given, known in ((arguments.only + arguments.without, names), (arguments.roles, SHARES)):
        unknown = set(given) - set(known)
        if unknown:
            sys.exit(f"not known: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    arguments.only = [name for name in arguments.only or names if name not in arguments.without]
    if arguments.seed is None:
        arguments.seed = int.from_bytes(os.urandom(3), "big")
    return arguments


def main():
    arguments = parse()
    if arguments.list:
        for kind in KINDS:
            print(f"{kind.name:18} {', '.join(kind.ports)}: {' '.join(kind.function.__doc__.split())}")
        return 0
    end_on_signals()
    os.environ.update(ARENAS)
    require(parse_member(arguments.member)[0])
    caged = cages()
    print(f"soak: seed {arguments.seed}, {arguments.seconds:g} s; {FILES} files for each member; {MEMORY_MIB} MiB, "
          f"{'kept by a cgroup' if caged else 'looked at from outside: no cgroup can be had'}", flush=True)
    whole = sum(SHARES[role] for role in arguments.roles)
    good = [Soak(role, arguments.seconds * SHARES[role] / whole, arguments, caged).run()
            for role in arguments.roles]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
