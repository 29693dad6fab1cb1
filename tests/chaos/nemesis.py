"""Injects faults in an order that a seed decides. `Nemesis.heal` undoes each fault: after it, all members run and reach
each other, but they may not serve yet.
"""

import random
import shutil
import time

from harness.client import Closed, Timeout
from harness.disks import logs, snapshots
from harness.load import Session, SessionLost

HEADER = 16
PREFIX = 12
SHORTEST_S, LONGEST_S = 0.5, 6.0
CALM_S = 3.0


class Nemesis:
    """Chooses faults and injects them.

    Without a `network`, nothing is cut off. `disks` maps the members' ids to their disks. `only` names the faults that
    may be chosen. Faults are dealt from a shuffled deck, so that none comes again before all have come. `skip` is the
    number of faults at the top of the first deck that other runs inject.
    """

    def __init__(self, ensemble, network, disks, seed, say, only=(), skip=0):
        self.ensemble, self.network, self.random, self.say = ensemble, network, random.Random(seed), say
        self.disks = disks
        # What members have done that they must not do.
        self.problems = []
        faults = [self.kill_one, self.kill_one, self.kill_leader, self.kill_leader, self.kill_majority,
                  self.kill_all, self.restart_one, self.stop_one, self.stop_leader, self.stop_leader,
                  self.stop_majority, self.tear_one, self.tear_all, self.tear_snapshot]
        if network:
            faults += [self.isolate_one, self.isolate_leader, self.isolate_leader, self.ask_isolated_leader,
                       self.ask_isolated_leader, self.deafen_one, self.silence_leader, self.split,
                       self.bridge, self.cut_some_ways]
        if all(disk.mounted for disk in disks.values()):
            faults += [self.fill_one, self.fill_leader, self.fill_majority]
        if all(disk.library for disk in disks.values()):
            faults += [self.slow_one, self.slow_leader, self.slow_majority, self.fail_one, self.fail_leader,
                       self.lose_power_of_one, self.lose_power_of_leader, self.lose_power_of_all,
                       self.lose_power_of_all]
        self.faults = [fault for fault in faults if not only or fault.__name__ in only]
        if not self.faults:
            names = sorted({fault.__name__ for fault in faults})
            raise ValueError(f"none of these faults is {', '.join(only)}: {', '.join(names)}")
        self.deck = self.shuffled()[skip % len(self.faults):]
        self.done = {}

    def shuffled(self):
        """Returns a new deck: all kinds in random order, and behind them once more those that are in the list twice."""
        kinds = list(dict.fromkeys(self.faults))
        again = [fault for fault in kinds for _ in range(self.faults.count(fault) - 1)]
        return self.random.sample(kinds, len(kinds)) + self.random.sample(again, len(again))

    def run(self, stop):
        """Injects one fault after the other, with a pause between them, until `stop` is set."""
        while not stop.wait(self.random.uniform(0.5, CALM_S)):
            self.deck = self.deck or self.shuffled()
            fault = self.deck.pop(0)
            self.done[fault.__name__] = self.done.get(fault.__name__, 0) + 1
            try:
                fault()
            finally:
                self.heal()
            self.wait_leader(stop)

    def wait_leader(self, stop):
        """Waits for a leader, for 15 s at most. Most faults show little while there is no leader."""
        deadline = time.monotonic() + 15
        while not stop.wait(0.1) and time.monotonic() < deadline:
            if self.ensemble.leader():
                return

    def last(self):
        time.sleep(self.random.uniform(SHORTEST_S, LONGEST_S))

    def heal(self):
        if self.network and self.network.cuts:
            self.network.heal()
        for member in self.ensemble.members:
            self.disks[member.sid].heal()
            self.disks[member.sid].tidy()
            if member.paused:
                member.resume()
            if not member.running():
                member.kill()
                member.start()

    def one(self):
        return self.random.choice(self.ensemble.members)

    def leader(self):
        return self.ensemble.leader() or self.one()

    def some(self):
        """Returns a random majority of the voters."""
        return self.random.sample(self.ensemble.voters, self.ensemble.majority())

    # Processes.

    def kill(self, *members):
        self.say("kill", *members)
        for member in members:
            member.process.kill()
        for member in members:
            member.kill()

    def kill_one(self):
        self.kill(self.one())
        self.last()

    def kill_leader(self):
        self.kill(self.leader())
        self.last()

    def kill_majority(self):
        self.kill(*self.some())
        self.last()

    def kill_all(self):
        self.kill(*self.ensemble.members)

    def restart_one(self):
        member = self.one()
        self.say("stop in order", member)
        member.stop()

    def stop_them(self, *members):
        self.say("pause", *members)
        for member in members:
            member.pause()
        self.last()

    def stop_one(self):
        self.stop_them(self.one())

    def stop_leader(self):
        self.stop_them(self.leader())

    def stop_majority(self):
        self.stop_them(*self.some())

    # Disks: files as they are after a machine has failed while it was writing.

    def tear_one(self):
        member = self.one()
        self.kill(member)
        self.say("tear", member)
        tear(self.random, member)

    def tear_all(self):
        self.kill(*self.ensemble.members)
        self.say("tear", *self.ensemble.members)
        for member in self.ensemble.members:
            tear(self.random, member)

    def tear_snapshot(self):
        """Kills a member and adds half a snapshot, as if the member had been writing it."""
        member = self.one()
        self.kill(member)
        found, written = snapshots(member), logs(member)
        if not found or not written:
            return
        log = written[0].read_bytes()
        starts = entries(log)
        if len(starts) < 2:
            return
        last = int.from_bytes(log[starts[-2] + PREFIX + 12 :][:8], "big")
        torn = found[0].with_name(f"snapshot.{last:x}")
        if torn.exists():
            return
        data = found[0].read_bytes()
        torn.write_bytes(data[: self.random.randrange(len(data))])
        self.say("tear", torn.name, "of", member)

    def full(self, *members):
        self.say("fill the disk of", *members)
        for member in members:
            self.disks[member.sid].fill(self.random)
        # The members first use the space that their logs have preallocated.
        deadline = time.monotonic() + LONGEST_S
        while time.monotonic() < deadline and all(member.running() for member in members):
            time.sleep(0.05)
        self.last()
        self.say_ended(members)

    def say_ended(self, members):
        for member in members:
            if not member.running():
                self.say(member, "has ended with", member.process.returncode)

    def fill_one(self):
        self.full(self.one())

    def fill_leader(self):
        self.full(self.leader())

    def fill_majority(self):
        self.full(*self.some())

    def slow(self, *members):
        delay_ms = self.random.choice((50, 300, 1000, 2500))
        self.say("each fsync takes", delay_ms, "ms:", *members)
        for member in members:
            self.disks[member.sid].delay(delay_ms)
        self.last()

    def slow_one(self):
        self.slow(self.one())

    def slow_leader(self):
        self.slow(self.leader())

    def slow_majority(self):
        self.slow(*self.some())

    def fail(self, member):
        """Makes every fsync of a member fail. It must not acknowledge anything, and should end."""
        self.say("fsync fails:", member)
        self.disks[member.sid].fail()
        self.last()
        self.say_ended([member])

    def fail_one(self):
        self.fail(self.one())

    def fail_leader(self):
        self.fail(self.leader())

    def lose_power(self, *members):
        # With slow disks, it is likely that some writes are not synced yet.
        for member in members:
            self.disks[member.sid].delay(self.random.randrange(20, 200))
        time.sleep(self.random.uniform(0.2, 1))
        self.kill(*members)
        lost = [self.disks[member.sid].lose_power(self.random) for member in members]
        self.say("power is lost, and of the logs", *lost, "bytes:", *members)

    def lose_power_of_one(self):
        self.lose_power(self.one())

    def lose_power_of_leader(self):
        self.lose_power(self.leader())

    def lose_power_of_all(self):
        self.lose_power(*self.ensemble.members)

    # Networks. Clients can still reach all members.

    def numbers(self):
        return [member.sid for member in self.ensemble.members]

    def isolate(self, member):
        self.say("isolate", member)
        self.network.cut_between([member.sid], [n for n in self.numbers() if n != member.sid])
        self.last()

    def isolate_one(self):
        self.isolate(self.one())

    def isolate_leader(self):
        self.isolate(self.leader())

    def ask_isolated_leader(self):
        """Isolates the leader and sends it a sync. It must not answer, because another member may lead already. (Java's
        leader answers.)"""
        member = self.leader()
        try:
            connection = member.connect()
        except (Closed, Timeout, OSError):
            return
        self.say("isolate, and ask for a sync:", member)
        self.network.cut_between([member.sid], [n for n in self.numbers() if n != member.sid])
        try:
            connection.call("sync", path="/")
            self.say(member, "answers a sync while it reaches nobody")
            if member.kind == "ours":
                self.problems.append(f"{member} has answered a sync while it reached nobody")
        except (Closed, Timeout):
            pass
        connection.close()

    def deafen_one(self):
        """Drops what the other members send to one member."""
        member = self.one()
        self.say("deafen", member)
        for number in self.numbers():
            if number != member.sid:
                self.network.cut(number, member.sid)
        self.last()

    def silence_leader(self):
        """Drops what the leader sends to the other members."""
        member = self.leader()
        self.say("silence", member)
        for number in self.numbers():
            if number != member.sid:
                self.network.cut(member.sid, number)
        self.last()

    def split(self):
        numbers = self.numbers()
        self.random.shuffle(numbers)
        at = self.random.randrange(1, len(numbers))
        self.say("split", numbers[:at], numbers[at:])
        self.network.cut_between(numbers[:at], numbers[at:])
        self.last()

    def bridge(self):
        """Cuts the members into two groups, and only one member reaches both."""
        numbers = self.numbers()
        self.random.shuffle(numbers)
        middle = (len(numbers) - 1) // 2
        self.say("bridge", numbers[0], "between", numbers[1 : 1 + middle], numbers[1 + middle :])
        self.network.cut_between(numbers[1 : 1 + middle], numbers[1 + middle :])
        self.last()

    def cut_some_ways(self):
        ways = [(a, b) for a in self.numbers() for b in self.numbers() if a != b]
        cut = self.random.sample(ways, self.random.randrange(1, len(ways)))
        self.say("cut", *cut)
        for way in cut:
            self.network.cut(*way)
        self.last()


def entries(log):
    """Returns the offset of each complete entry of a log, and last the end of the last one."""
    at, starts = HEADER, [HEADER]
    while at + PREFIX <= len(log):
        length = int.from_bytes(log[at + 8 : at + 12], "big", signed=True)
        end = at + PREFIX + length
        if length <= 0 or log[end : end + 1] != b"B":
            break
        at = end + 1
        starts.append(at)
    return starts


def has_logged(member, count):
    """Returns whether the member's newest log has at least `count` entries."""
    newest = logs(member)[:1]
    return bool(newest) and len(entries(newest[0].read_bytes())) > count


def tear(random, member):
    """Appends a part of an entry to the member's log, as if its last write was cut off. That write was never
    acknowledged."""
    for path in logs(member)[:1]:
        log = path.read_bytes()
        if len(log) < HEADER:
            return
        starts = entries(log)
        start = random.randrange(len(starts))
        write = log[starts[start] : starts[start + 1]] if start + 1 < len(starts) else b"\0" * 8
        path.write_bytes(log[: starts[-1]] + write[: random.randrange(len(write))])


# --- faults that the checker must find ---

def forget(ensemble, say, count=64):
    """Kills all members and removes the last `count` transactions from their logs, as if disks lost what was synced.

    Returns False if that is not possible now: a log is too short, or a snapshot holds these transactions.
    """
    for member in ensemble.members:
        member.process.kill()
    for member in ensemble.members:
        member.kill()
    plans = []
    for member in ensemble.members:
        newest = logs(member)[0]
        log = newest.read_bytes()
        starts = entries(log)
        if len(starts) < count + 2:
            return False
        zxid = int.from_bytes(log[starts[-1 - count] + PREFIX + 12 :][:8], "big")
        for snapshot in (member.data / "version-2").glob("snapshot.*"):
            if int(snapshot.suffix[1:], 16) >= zxid:
                return False
        plans.append((newest, log[: starts[-1 - count]]))
    for newest, log in plans:
        shutil.copy(newest, newest.with_name(f"before.{newest.name}"))
        newest.write_bytes(log)
    say("SEEDED FAULT: all forget", count, "transactions")
    return True


def lose_a_node(ensemble, say):
    """Deletes an acknowledged node without recording it in the history. Returns whether that succeeded."""
    session = Session(ensemble.addresses())
    session.connect()
    try:
        _, answer, _ = session.send("getChildren", path="/sequence", watch=False)
        name = sorted(answer["children"])[-1]
        session.send("delete", path=f"/sequence/{name}", version=-1)
        say("SEEDED FAULT: lost", name)
        return True
    except (Closed, SessionLost, IndexError, TypeError):
        return False
    finally:
        session.close()


def repeat_a_write(ensemble, say):
    """Repeats a write without recording it in the history. Returns whether that succeeded."""
    session = Session(ensemble.addresses())
    session.connect()
    try:
        _, answer, _ = session.send("getChildren", path="/", watch=False)
        registers = sorted((name for name in answer["children"] if name.startswith("r")),
                           key=lambda name: int(name.split("-")[1]))
        path = f"/{registers[-1]}"
        _, answer, _ = session.send("getData", path=path, watch=False)
        error, _, _ = session.send("setData", path=path, data=answer["data"], version=-1)
        say("SEEDED FAULT: done twice", path)
        return not error
    except (Closed, SessionLost, IndexError, TypeError):
        return False
    finally:
        session.close()
