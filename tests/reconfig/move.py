#!/usr/bin/env python3
"""Moves an ensemble of five servers to five others with other addresses, while clients hold sessions and write.

    move.py                          from ours to ours
    move.py --old java:3.9.5         from Java's to ours
    move.py --old java:3.9.5 --new java:3.9.5      to test the test

The new servers come one by one, and after each of them an old one leaves and stops. Clients with Java's client, with
kazoo and with this harness know all ten addresses. Each holds one session with an ephemeral node and a watch, and
writes. One more client knows only the old addresses: its session must end with them, and not before. Data, logs and the
clients' output stay in tests/.peers/work/reconfig-move.
"""

import argparse
import itertools
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
sys.path[:0] = [str(TESTS), str(HERE)]

from harness.client import Closed  # noqa: E402
from harness.ensemble import close, compare_trees, end_on_signals, tree_at  # noqa: E402
from harness.load import Load, Session, SessionLost  # noqa: E402
from harness.protocol import OPEN_ACL  # noqa: E402
from harness.servers import PEERS, require, wait_until, work_root  # noqa: E402
from site_of_servers import LOST, SETTLE_S, Site, role_of  # noqa: E402

OLD, NEW = range(1, 6), range(6, 11)
TIMEOUT_MS = 20000
# The session of the client that is left behind. It must end soon after the last old server.
LEFT_MS = 6000
WATCHED = "/watched"
# How many requests of the load are answered between two changes.
ANSWERS_BETWEEN = 50


def java_client(addresses, name):
    classpath = f"{PEERS / 'classes'}:{PEERS / 'java/3.9.5'}/*"
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
            "-cp", classpath, "Holder", addresses, name, str(TIMEOUT_MS)]


def kazoo_client(addresses, name):
    return [str(PEERS / "kazoo/venv/bin/python"), str(TESTS / "kazoo/holder.py"), addresses, name, str(TIMEOUT_MS)]


class Holder:
    """A client in a process of its own. Its output says what it sees."""

    def __init__(self, name, command, workdir):
        self.name = name
        self.output = workdir / f"{name}.txt"
        with open(self.output, "w") as out, open(workdir / f"{name}.err", "w") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err)

    def said(self, word):
        """Returns what was printed behind this word, in order."""
        lines = self.output.read_text().splitlines()
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{word} ")]

    def wait_seen(self, text):
        def seen():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} has ended: {self.output}")
            return self.said("saw")[-1:] == [text]
        wait_until(f"{self.name} has seen {text!r}", seen, SETTLE_S)

    def rest(self):
        """Lets the client write no more."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        wait_until(f"{self.name} rests", lambda: self.said("rests"), SETTLE_S)

    def end(self):
        self.process.stdin.close()
        code = self.process.wait(SETTLE_S)
        if code:
            raise AssertionError(f"{self.name} has ended with {code}: {self.output}")

    def check(self, tree):
        """Checks the client's one session, and its nodes in a tree."""
        sessions, states = set(self.said("session")), self.said("state")
        if len(sessions) != 1 or "Expired" in states:
            raise AssertionError(f"{self.name} has lost its session: {sorted(sessions)} {states}")
        lost = [path for path in self.said("acknowledged") if path not in tree]
        if lost:
            raise AssertionError(f"{len(lost)} acknowledged writes of {self.name} are lost: {lost[:5]}")
        held = tree.get(f"/held-by-{self.name}")
        if not held or held[1]["ephemeralOwner"] & 0xFFFFFFFFFFFFFFFF != int(sessions.pop(), 16) & 0xFFFFFFFFFFFFFFFF:
            raise AssertionError(f"{self.name} does not hold its ephemeral node: {held}")

    def kill(self):
        self.process.kill()
        self.process.wait()


class LeftBehind(threading.Thread):
    """A client that knows only some of the servers, and asks them all the time."""

    PATH = "/left-behind"

    def __init__(self, addresses):
        super().__init__(daemon=True)
        self.session = Session(addresses, timeout_ms=LEFT_MS)
        self.stopped, self.over = threading.Event(), threading.Event()

    def run(self):
        try:
            while not self.stopped.is_set():
                try:
                    if self.session.connection is None and not self.session.connect(self.stopped.is_set):
                        return
                    self.session.send("create", path=self.PATH, data=b"", acl=OPEN_ACL, flags=1)
                    self.stopped.wait(LEFT_MS / 12000)
                except Closed:
                    continue
        except SessionLost:
            self.over.set()

    def end(self):
        self.stopped.set()
        self.join(SETTLE_S)
        self.session.drop()


def change(site, through, is_done, **request):
    """Asks members of this list for a change until the newest configuration has it."""
    turns = itertools.cycle(through)

    def done():
        text = site.newest()
        if text and is_done(text):
            return True
        asked = next(turns)
        answer = site.ask(asked, **request)
        if not re.match(r"OK|no session|connection lost|RECONFIGINPROGRESS|NEWCONFIGNOQUORUM", answer):
            raise AssertionError(f"server {asked} answers {answer} to {request}")
        return False
    wait_until(f"{request}", done, SETTLE_S)
    wait_until("all have the configuration", lambda: site.settled(0), SETTLE_S)


def tell(site, member, text):
    """Changes the watched node through a member."""
    def told():
        try:
            connection = site[member].connect()
            error, _ = connection.call("setData", path=WATCHED, data=text.encode(), version=-1)
            if error:
                connection.ok("create", path=WATCHED, data=text.encode(), acl=OPEN_ACL, flags=0)
            close(connection)
            return True
        except LOST:
            return False
    wait_until(f"{WATCHED} is {text!r}", told, SETTLE_S)


def replace_all(site, holders, left, load):
    """Replaces the old servers, one after the other. At each step, all clients must see a change."""
    members = list(OLD)
    for new, old in zip(NEW, OLD):
        started = time.monotonic()
        load.wait_answers(ANSWERS_BETWEEN)
        site.come(new, members)
        change(site, members, lambda text, sid=new: role_of(sid, text), joining=site[new].line())
        members = [sid for sid in members if sid != old] + [new]
        change(site, members, lambda text, sid=old: not role_of(sid, text), leaving=str(old))
        if left.over.is_set():
            raise AssertionError("the session of the client that knows the old servers has ended before them")
        site[old].stop()
        text = f"without {old}"
        tell(site, members[0], text)
        for holder in holders:
            holder.wait_seen(text)
        print(f"    server {old} -> {new}, {time.monotonic() - started:.1f} s", flush=True)


def move(site, arguments):
    site.found(list(OLD), first=list(OLD)[-3:])
    wait_until("it serves", lambda: site.settled(0), SETTLE_S)
    tell(site, 1, "at first")
    addresses = [(peer.host, peer.port) for peer in site.peers.values()]
    text = ",".join(f"{host}:{port}" for host, port in addresses)
    holders = [Holder("java-client", java_client(text, "java-client"), site.workdir),
               Holder("kazoo-client", kazoo_client(text, "kazoo-client"), site.workdir)]
    left = LeftBehind(addresses[:len(OLD)])
    left.start()
    try:
        for holder in holders:
            holder.wait_seen("at first")
        with Load(addresses, writers=2, name="load") as load:
            replace_all(site, holders, left, load)
            load.wait_answers(ANSWERS_BETWEEN)
        return check(site, holders, load)
    finally:
        left.end()
        for holder in holders:
            holder.kill()


def check(site, holders, load):
    for holder in holders:
        holder.rest()
    wait_until("the session of the client that knows nobody any more has ended", lambda: all(
        LeftBehind.PATH not in tree_at(peer) for peer in site.running()), SETTLE_S)
    new = SimpleNamespace(members=site.running())
    wanted = [site[sid] for sid in NEW]
    if new.members != wanted:
        raise AssertionError(f"{new.members} run")
    nodes = compare_trees(new)
    tree = tree_at(wanted[0])
    load.check(tree)
    writes = load.answers()
    for holder in holders:
        holder.check(tree)
        writes += len(holder.said("acknowledged"))
    for holder in holders:
        holder.end()
    held = [path for path, (_, stat, _) in tree_at(wanted[-1]).items() if stat["ephemeralOwner"]]
    if held:
        raise AssertionError(f"ephemeral nodes of clients that have closed: {held}")
    moves = {holder.name: len(holder.said("session")) - 1 for holder in holders}
    return (f"{nodes} nodes, {writes} acknowledged writes, {load.lost()} lost, longest pause "
            f"{load.longest_pause_s():.1f} s, reconnects {moves}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", default="ours", metavar="KIND")
    parser.add_argument("--new", default="ours", metavar="KIND")
    arguments = parser.parse_args()
    end_on_signals()
    require("java:3.9.5", arguments.old, arguments.new)
    title = f"reconfig/move {arguments.old} to {arguments.new}"
    kinds = [arguments.old] * len(OLD) + [arguments.new] * len(NEW)
    hosts = [f"127.0.0.{sid}" for sid in (*OLD, *NEW)]
    name = f"{arguments.old}-{arguments.new}".replace(":", "-")
    started = time.monotonic()
    site = Site(kinds, work_root() / "reconfig-move" / name, hosts)
    verdict = "FAIL"
    try:
        note = move(site, arguments)
        verdict = "PASS"
    except Exception as error:
        note = "\n".join([f"{type(error).__name__}: {error}", *site.unsettled()])
    finally:
        site.close()
    print(f"{verdict} {title} ({time.monotonic() - started:.1f} s): {note}")
    return verdict != "PASS"


if __name__ == "__main__":
    sys.exit(main())
