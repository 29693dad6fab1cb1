#!/usr/bin/env python3
"""Runs one small script with real clients against two servers, and compares what the clients print.

    clients.py                       Java 3.9.5 against ours, every client
    clients.py --right java:3.8.6 go
    clients.py --members 3           on the leader, a follower and an observer of ensembles with three
                                     voters; or --on one of them
"""

import argparse
import difflib
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
sys.path[:0] = [str(TESTS), str(HERE)]

import on_members  # noqa: E402
from harness.ensemble import end_on_signals  # noqa: E402
from harness.servers import PEERS, Server, fresh_dir, require, work_root  # noqa: E402
from transcript import Normaliser  # noqa: E402

DEADLINE_S = 600
SETTINGS = {"extendedTypesEnabled": "true"}
# Commands that zkCli of 3.5 does not have.
NEWER_THAN_35 = ("addWatch", "getEphemerals", "getAllChildrenNumber", "whoami")


# How the clients print the zxids of stats and events.
_ZXID = re.compile(r"\b([cmp]?zxid ?[=:] ?)(0x[0-9a-f]+|\d+)", re.IGNORECASE)


def zkcli(version):
    def run(port):
        # Without JLine the shell reads its commands from a pipe and prints no prompt.
        jars = sorted((PEERS / "java" / version).glob("*.jar"))
        classpath = ":".join(str(jar) for jar in jars if not jar.name.startswith("jline"))
        commands = (HERE / "zkcli.txt").read_text().splitlines()
        if version.startswith("3.5"):
            commands = [one for one in commands if one.split()[0] not in NEWER_THAN_35]
        command = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Duser.timezone=UTC",
                   "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", classpath,
                   "org.apache.zookeeper.ZooKeeperMain", "-server", f"127.0.0.1:{port}"]
        return command, "\n".join(commands) + "\n"
    return run


def curator(port):
    classpath = [PEERS / "classes", PEERS / "curator/*", PEERS / "java/3.9.5/*"]
    command = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
               "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
               "-cp", ":".join(str(one) for one in classpath), "CuratorClient", f"127.0.0.1:{port}"]
    return command, ""


CLIENTS = {
    "zkcli-3.9.5": zkcli("3.9.5"),
    "zkcli-3.5.10": zkcli("3.5.10"),
    "curator": curator,
    "kazoo": lambda port: (
        [str(PEERS / "kazoo/venv/bin/python"), str(TESTS / "kazoo/client.py"), f"127.0.0.1:{port}"],
        ""),
    "c": lambda port: ([str(PEERS / "bin/c_client"), f"127.0.0.1:{port}"], ""),
    "go": lambda port: ([str(PEERS / "bin/go_client"), f"127.0.0.1:{port}"], ""),
}


def normalise(text, normaliser):
    """Returns the lines of a client's output in a form that is equal for two servers.

    Dates become DATE, and lists are sorted. zkCli's event thread prints at any time, so its lines move to the end, and
    its line about the closed connection is left out. In an ensemble, zxids count from a common start, and ports have
    names.
    """
    text = _ZXID.sub(lambda m: m[1] + normaliser.zx(int(m[2], 0)), text)
    text = normaliser.name_ports(text)
    text = re.sub(r"(?m)^([cm]time) = (?!Thu Jan 01 00:00:00 UTC 1970).*", r"\1 = DATE", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "SERVER", text)
    text = re.sub(r"ephemeralOwner = 0x[0-9a-f]{8,}", "ephemeralOwner = SESSION", text)
    text = re.sub(r"(?m)^\[(.*?)\]", lambda m: f"[{', '.join(sorted(m[1].split(', ')))}]", text)
    # Java keeps the ids of a client in a hash set, so their order depends on chance.
    text = re.sub(r"(?m)(^(?:ip|digest): .*\n)+", lambda m: "".join(sorted(m[0].splitlines(True))), text)
    lines = [line for line in text.splitlines() if line not in ("", "WATCHER::")]
    # The client makes this event itself, and may end before it prints it.
    lines = [line for line in lines if not line.startswith("WatchedEvent state:Closed ")]
    events = [line for line in lines if line.startswith("WatchedEvent ")]
    return [line for line in lines if not line.startswith("WatchedEvent ")] + events


def play(name, port, workdir, normaliser):
    command, commands = CLIENTS[name](port)
    done = subprocess.run(command, input=commands, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=DEADLINE_S, cwd=workdir)
    (workdir / "output.txt").write_text(done.stdout)
    return [*normalise(done.stdout, normaliser), f"exit code {done.returncode}"]


def run_one(kind, name, workdir):
    with Server(kind, fresh_dir(workdir), SETTINGS) as server:
        return play(name, server.port, workdir, Normaliser())


def run_on_member(side, role, name, workdir):
    """Removes what earlier runs have left, and runs the client on the member in that role."""
    member = side.member(role)
    normaliser = side.normaliser(side.clean(member))
    return play(name, member.port, fresh_dir(workdir), normaliser)


def runs(arguments, root):
    """Yields (name, two functions), which run a client on the left and on the right side and return its lines."""
    names = arguments.clients or CLIENTS
    kinds = (arguments.left, arguments.right)
    if not arguments.members:
        for name in names:
            yield name, [lambda kind=kind, side=side, name=name: run_one(kind, name, root / name / side)
                         for kind, side in zip(kinds, ("left", "right"))]
        return
    sides = []
    try:
        for kind in kinds:
            workdir = root / f"members-{kind.replace(':', '-')}"
            settings = {**SETTINGS, **on_members.WITH_SUPER}
            sides.append(on_members.Side(kind, arguments.members, workdir, settings, {}))
            sides[-1].start()
        for role in arguments.on or on_members.ROLES:
            for name in names:
                yield f"{name}@{role}", [
                    lambda one=one, where=role, name=name, at=at: run_on_member(
                        one, where, name, root / f"{name}@{where}" / at)
                    for one, at in zip(sides, ("left", "right"))]
    finally:
        for side in sides:
            side.stop()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--left", default="java:3.9.5")
    parser.add_argument("--right", default="ours")
    parser.add_argument("--members", type=int, default=0, metavar="N",
                        help="on ensembles of N voters and an observer")
    parser.add_argument("--on", action="append", choices=on_members.ROLES)
    parser.add_argument("clients", nargs="*", help=", ".join(CLIENTS))
    arguments = parser.parse_args()
    require(arguments.left, arguments.right)
    end_on_signals()
    failed = 0
    for name, (play_left, play_right) in runs(arguments, work_root() / "clients"):
        try:
            left, right = play_left(), play_right()
            diff = list(difflib.unified_diff(
                left, right, arguments.left, arguments.right, n=2, lineterm=""))
            # Every client prints more lines than this if its server serves it at all.
            if len(left) < 30:
                diff = ["the script broke off on the left side:", *left]
        except Exception as error:  # The other clients still run.
            diff = [f"{type(error).__name__}: {error}"]
        for line in diff:
            print("   ", line)
        verdict = "FAIL" if diff else "PASS"
        print(f"{verdict} clients/{name} ({len(left)} lines)" if not diff
              else f"{verdict} clients/{name}", flush=True)
        failed += bool(diff)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
