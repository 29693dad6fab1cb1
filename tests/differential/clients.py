#!/usr/bin/env python3
"""Runs one small script with real clients against two servers, and compares what the clients print.

    clients.py                       Java 3.9.5 against ours, every client
    clients.py --right java:3.8.6 go
    clients.py --members 3           on the leader, a follower and an observer of ensembles with three
                                     voters; or --on one of them
    clients.py --members 3 reconfig  the commands `config` and `reconfig`, in Java's shell on both sides
    clients.py --members 3 reconfig-of-each
                                     the same, where our server gets our shell
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
from harness.servers import PEERS, Server, binary, fresh_dir, require, work_root  # noqa: E402
from transcript import Normaliser  # noqa: E402

DEADLINE_S = 600
SETTINGS = {"extendedTypesEnabled": "true"}
# Commands that zkCli of 3.5 does not have.
NEWER_THAN_35 = ("addWatch", "getEphemerals", "getAllChildrenNumber", "whoami")


# How the clients print the zxids of stats and events, and the versions of configurations, which are zxids, too.
_ZXID = re.compile(r"\b([cmp]?zxid ?[=:] ?)(0x[0-9a-f]+|\d+)", re.IGNORECASE)
_VERSION = re.compile(r"(?m)(^version=|^)([0-9a-f]{9,})(?=$| [\d.:,A-Z]*$)")

# The ports of servers that are not there, for a standalone server.
NO_PORTS = {f"{name}{sid}": str(port + sid)
            for name, port in (("QUORUM", 20000), ("ELECTION", 21000), ("CLIENT", 22000)) for sid in range(1, 5)}
_LINE = "server.{0}=127.0.0.1:QUORUM{0}:ELECTION{0}"
_THREE = "\n".join(map(_LINE.format, (1, 2, 3)))
# The files of the script for `reconfig`.
FILES = {
    "unknown.cfg": f"{_THREE}\nclientPort=2181\n",
    "form.cfg": f"{_THREE}\nserver.4=127.0.0.1:QUORUM4\n",
    "addresses.cfg": f"{_THREE}\nserver.4=127.0.0.1:QUORUM4:ELECTION4|127.0.0.2:QUORUM4:ELECTION4\n",
    "observer.cfg": _LINE.format(4) + ":observer\n",
    "group.cfg": f"{_THREE}\ngroup.1=1:2\n",
    "one.cfg": _LINE.format(3) + "\n",
    "empty.cfg": "# nobody\n",
    "members.cfg": f"# all\n{_THREE};127.0.0.1:CLIENT3\n{_LINE.format(4)}:Observer;CLIENT4\n",
}


def java_shell(version, port):
    # Without JLine the shell reads its commands from a pipe and prints no prompt.
    jars = sorted((PEERS / "java" / version).glob("*.jar"))
    classpath = ":".join(str(jar) for jar in jars if not jar.name.startswith("jline"))
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Duser.timezone=UTC",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", classpath,
            "org.apache.zookeeper.ZooKeeperMain", "-server", f"127.0.0.1:{port}"]


def our_shell(port):
    return ["env", "TZ=UTC", str(binary()), "-Dzookeeper.root.logger=OFF", "cli", "-server", f"127.0.0.1:{port}"]


def zkcli(version):
    def run(port):
        commands = (HERE / "zkcli.txt").read_text().splitlines()
        if version.startswith("3.5"):
            commands = [one for one in commands if one.split()[0] not in NEWER_THAN_35]
        return java_shell(version, port), "\n".join(commands) + "\n"
    return run


def reconfig(port):
    return java_shell("3.9.5", port), (HERE / "zkcli_reconfig.txt").read_text()


def reconfig_of_each(port, kind):
    shell = our_shell(port) if kind == "ours" else java_shell("3.9.5", port)
    return shell, (HERE / "zkcli_reconfig.txt").read_text()


def with_ports(text, normaliser):
    """Puts ports in the place of names such as QUORUM1."""
    ports = {name: port for port, name in normaliser.ports.items()} or NO_PORTS
    return re.sub(r"(QUORUM|ELECTION|CLIENT)\d", lambda name: ports[name[0]], text)


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
    "reconfig": reconfig,
    "reconfig-of-each": reconfig_of_each,
}
# Clients that change the ensemble, so that it is their own, and no observer serves them: it is what they change.
RECONFIG = {"reconfig", "reconfig-of-each"}


def normalise(text, normaliser):
    """Returns the lines of a client's output in a form that is equal for two servers.

    Dates become DATE, and lists are sorted. zkCli's event thread prints at any time, so its lines move to the end, and
    its line about the closed connection is left out. In an ensemble, zxids count from a common start, and ports have
    names.
    """
    text = _ZXID.sub(lambda m: m[1] + normaliser.zx(int(m[2], 0)), text)
    text = _VERSION.sub(lambda m: m[1] + normaliser.zx(int(m[2], 16)), text)
    text = normaliser.name_ports(text)
    text = re.sub(r"(?m)^([cm]time) = (?!Thu Jan 01 00:00:00 UTC 1970).*", r"\1 = DATE", text)
    # Our shell also says what to do about a file that it refuses.
    text = re.sub(r"(?m)^(Error processing [^;\n]*?)(;| \(server).*", r"\1", text)
    text = text.replace("Server 3is not", "Server 3 is not")
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


def play(name, kind, port, workdir, normaliser):
    client = CLIENTS[name]
    command, commands = client(port, kind) if name == "reconfig-of-each" else client(port)
    commands = with_ports(commands, normaliser)
    if name in RECONFIG:
        for file, text in FILES.items():
            (workdir / file).write_text(with_ports(text, normaliser))
    done = subprocess.run(command, input=commands, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=DEADLINE_S, cwd=workdir)
    (workdir / "output.txt").write_text(done.stdout)
    return [*normalise(done.stdout, normaliser), f"exit code {done.returncode}"]


def settings_for(name):
    return {**SETTINGS, **on_members.WITH_SUPER, "reconfigEnabled": "true"} if name in RECONFIG else SETTINGS


def run_one(kind, name, workdir):
    with Server(kind, fresh_dir(workdir), settings_for(name)) as server:
        return play(name, kind, server.port, workdir, Normaliser())


def run_on_member(side, role, name, workdir):
    """Removes what earlier runs have left, and runs the client on the member in that role."""
    member = side.member(role)
    normaliser = side.normaliser(side.clean(member))
    return play(name, member.kind, member.port, fresh_dir(workdir), normaliser)


def runs(arguments, root):
    """Yields (name, two functions), which run a client on the left and on the right side and return its lines."""
    names = arguments.clients or CLIENTS
    kinds = (arguments.left, arguments.right)
    if not arguments.members:
        for name in names:
            yield name, [lambda kind=kind, side=side, name=name: run_one(kind, name, root / name / side)
                         for kind, side in zip(kinds, ("left", "right"))]
        return
    yield from runs_on_members(arguments, root, [name for name in names if name not in RECONFIG])
    for name in names:
        if name in RECONFIG:
            yield from runs_on_members(arguments, root, [name])


def runs_on_members(arguments, root, names):
    """The same for clients that share an ensemble."""
    if not names:
        return
    sides = []
    try:
        for kind in (arguments.left, arguments.right):
            workdir = root / f"members-{kind.replace(':', '-')}"
            settings = {**settings_for(names[0]), **on_members.WITH_SUPER}
            sides.append(on_members.Side(kind, arguments.members, workdir, settings, {}))
            sides[-1].start()
        for role in arguments.on or on_members.ROLES:
            for name in names:
                if role == "observer" and name in RECONFIG:
                    continue
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
