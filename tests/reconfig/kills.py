#!/usr/bin/env python3
"""Changes an ensemble at random while clients write, and kills a member at a random moment of each change.

    kills.py                               20 changes of five servers of ours
    kills.py --members LIST --rounds 50 --seed 7

After each change, the killed server starts again, and all servers must have one configuration. At the end, every
acknowledged write must be there on every server. Data and logs stay in tests/.peers/work/reconfig-kills.
"""

import argparse
import random
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from harness.ensemble import close, end_on_signals  # noqa: E402
from harness.servers import require, wait_until, work_root  # noqa: E402
from script import OPEN, lines  # noqa: E402
from site_of_servers import LOST, SETTLE_S, Site, role_of  # noqa: E402

# The time from the request to the kill is a random part of one of these: a change takes some milliseconds, and what
# follows from it longer.
KILL_WITHIN_S = (0.005, 0.02, 0.08, 0.4)
LEADER_IS_KILLED = 0.4
DOWN_S = 0.5
FEWEST_VOTERS = 3


class Writer(threading.Thread):
    """Writes through one server after the other until it is told to stop."""

    def __init__(self, site, name, seed):
        super().__init__(name=name, daemon=True)
        self.site, self.random = site, random.Random(seed)
        self.acknowledged, self.stopped = [], threading.Event()

    def run(self):
        number = 0
        while not self.stopped.is_set():
            try:
                connection = self.random.choice(self.site.running()).connect()
                while not self.stopped.is_set():
                    number += 1
                    path = f"/{self.name}-{number}"
                    error, _ = connection.call("create", path=path, data=b"x", acl=OPEN, flags=0)
                    if error:
                        raise AssertionError(f"{path}: {error}")
                    self.acknowledged.append(path)
                    time.sleep(0.005)
                close(connection)
            except (*LOST, IndexError):
                time.sleep(0.05)

    def end(self):
        self.stopped.set()
        self.join(SETTLE_S)


def random_change(site, chance, text):
    """Returns (label, request) of a change that leaves enough voters."""
    voters = [sid for sid in site.peers if role_of(sid, text) == "participant"]
    while True:
        sid = chance.choice(list(site.peers))
        role = role_of(sid, text)
        kind = chance.choice(("leave", "observe", "vote", "vote", "move"))
        spare = role != "participant" or len(voters) > FEWEST_VOTERS
        if kind == "leave" and role and spare:
            return f"{sid} leaves", {"leaving": str(sid)}, None
        if kind == "observe" and role and spare:
            return f"{sid} observes", {"joining": site[sid].line("observer")}, None
        if kind == "vote" and role != "participant":
            return f"{sid} votes", {"joining": site[sid].line()}, None
        if kind == "move" and role:
            which = chance.choice("qe")
            site[sid].move(which)
            return f"{sid} moves {which}", {"joining": site[sid].line(role)}, (sid, which)


def one_round(site, chance, number, log):
    text = site.newest()
    label, request, _ = random_change(site, chance, text)
    asked = chance.choice(site.running())
    answers = []
    client = threading.Thread(target=lambda: answers.append(site.ask(asked.sid, **request)), daemon=True)
    # A server that is no member does not start again, as in Java.
    members = [peer for peer in site.running() if role_of(peer.sid, text)]
    leader = site.leader()
    killed = leader if leader in members and chance.random() < LEADER_IS_KILLED else chance.choice(members)
    client.start()
    time.sleep(chance.random() * chance.choice(KILL_WITHIN_S))
    killed.kill()
    time.sleep(chance.random() * DOWN_S)
    killed.begin()
    client.join(SETTLE_S)
    settled = wait_until(f"round {number} settles", lambda: settle(site), SETTLE_S * 2)
    log(f"{number:03} {label}, asked {asked.sid}, killed {killed.sid}: "
        f"{(answers or ['no answer'])[0].split(' ')[0]} -> {site.plain(settled)!r}")


def settle(site):
    """Like `settled`, but a server that has left and was killed stays away; it comes back with no files."""
    text = site.newest()
    if not text:
        return None
    for peer in site.peers.values():
        if not peer.running() and not role_of(peer.sid, text):
            come_back(site, peer, text)
    return site.settled(0)


def come_back(site, peer, text):
    known = [sid for sid in site.peers if role_of(sid, text) == "participant"]
    for path in peer.workdir.glob("zoo.cfg*"):
        path.unlink()
    for key in [key for key in peer.settings if key.startswith("server.")]:
        del peer.settings[key]
    for sid in (*known, peer.sid):
        key, value = site[sid].line(client=False).split("=", 1)
        peer.settings[key] = value
    # The lines of servers that have moved in an attempt that failed are those of the configuration.
    for line in text.splitlines():
        if line.startswith("server.") and int(line[7:line.index("=")]) != peer.sid:
            key, value = line.split("=", 1)
            if key in peer.settings:
                peer.settings[key] = value.split(";")[0]
    peer.start(wait=False)


def check(site, writers):
    acknowledged = {path for writer in writers for path in writer.acknowledged}
    for peer in site.running():
        connection = peer.connect()
        connection.ok("sync", path="/")
        there = {f"/{name}" for name in connection.ok("getChildren", path="/", watch=False)["children"]}
        close(connection)
        lost = sorted(acknowledged - there)
        if lost:
            raise AssertionError(f"{peer} has lost {len(lost)} acknowledged writes: {lost[:5]}")
    return len(acknowledged)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", default="ours,ours,ours,ours,ours")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    arguments = parser.parse_args()
    end_on_signals()
    require(*arguments.members.split(","))
    chance = random.Random(arguments.seed)
    site = Site(arguments.members.split(","), work_root() / "reconfig-kills")
    writers = [Writer(site, f"w{number}", chance.random()) for number in range(3)]
    verdict, note = "FAIL", ""
    with open(site.workdir / "rounds.txt", "w") as out:
        def log(line):
            print(line, file=out, flush=True)
        try:
            site.found([1, 2, 3], first=[2, 3])
            wait_until("it serves", lambda: site.settled(0), SETTLE_S)
            for sid in (4, 5):
                site.come(sid, [1, 2, 3])
            site.ask(1, joining=lines(site, 1, 2, 3, 4, 5))
            wait_until("five are members", lambda: role_of(5, site.settled(0) or ""), SETTLE_S)
            for writer in writers:
                writer.start()
            for number in range(1, arguments.rounds + 1):
                one_round(site, chance, number, log)
            for writer in writers:
                writer.end()
            count = check(site, writers)
            verdict, note = "PASS", f"{count} acknowledged writes"
        except Exception as error:
            note = f"{type(error).__name__}: {error}"
            log("\n".join([note, *site.unsettled()]))
        finally:
            for writer in writers:
                writer.stopped.set()
            site.close()
    print(f"{verdict} reconfig/kills {arguments.members}: {arguments.rounds} changes, seed {arguments.seed}: {note}")
    return verdict != "PASS"


if __name__ == "__main__":
    sys.exit(main())
