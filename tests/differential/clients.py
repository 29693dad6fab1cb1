#!/usr/bin/env python3
"""Plays one small script through real clients, against two servers, and compares what they print.

    clients.py                       Java 3.9.5 against ours, every client
    clients.py --right java:3.8.6 go
"""

import argparse
import difflib
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
sys.path.insert(0, str(TESTS))

from harness.servers import PEERS, Server, fresh_dir, require, work_root  # noqa: E402

DEADLINE_S = 120
# Commands that zkCli got after 3.5.
NEWER_THAN_35 = ("addWatch", "getEphemerals", "getAllChildrenNumber", "whoami")


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


CLIENTS = {
    "zkcli-3.9.5": zkcli("3.9.5"),
    "zkcli-3.5.10": zkcli("3.5.10"),
    "kazoo": lambda port: (
        [str(PEERS / "kazoo/venv/bin/python"), str(TESTS / "kazoo/client.py"), f"127.0.0.1:{port}"],
        ""),
    "c": lambda port: ([str(PEERS / "bin/c_client"), f"127.0.0.1:{port}"], ""),
    "go": lambda port: ([str(PEERS / "bin/go_client"), f"127.0.0.1:{port}"], ""),
}


def normalise(text):
    """Dates become DATE; lists get sorted; what zkCli's event thread prints, whenever it gets to it,
    moves to the end."""
    text = re.sub(r"(?m)^([cm]time) = (?!Thu Jan 01 00:00:00 UTC 1970).*", r"\1 = DATE", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "SERVER", text)
    text = re.sub(r"ephemeralOwner = 0x[0-9a-f]{8,}", "ephemeralOwner = SESSION", text)
    text = re.sub(r"(?m)^\[(.*?)\]", lambda m: f"[{', '.join(sorted(m[1].split(', ')))}]", text)
    # Java keeps a client's ids in a hash set.
    text = re.sub(r"(?m)(^(?:ip|digest): .*\n)+", lambda m: "".join(sorted(m[0].splitlines(True))), text)
    lines = [line for line in text.splitlines() if line not in ("", "WATCHER::")]
    events = [line for line in lines if line.startswith("WatchedEvent ")]
    return [line for line in lines if not line.startswith("WatchedEvent ")] + events


def run_one(kind, name, workdir):
    settings = {"extendedTypesEnabled": "true"}
    with Server(kind, fresh_dir(workdir), settings) as server:
        command, commands = CLIENTS[name](server.port)
        done = subprocess.run(command, input=commands, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=DEADLINE_S, cwd=workdir)
        (workdir / "output.txt").write_text(done.stdout)
        return [*normalise(done.stdout), f"exit code {done.returncode}"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--left", default="java:3.9.5")
    parser.add_argument("--right", default="ours")
    parser.add_argument("clients", nargs="*", help=", ".join(CLIENTS))
    arguments = parser.parse_args()
    require(arguments.left, arguments.right)
    failed = 0
    for name in arguments.clients or CLIENTS:
        root = work_root() / "clients" / name
        try:
            left = run_one(arguments.left, name, root / "left")
            right = run_one(arguments.right, name, root / "right")
            diff = list(difflib.unified_diff(
                left, right, arguments.left, arguments.right, n=2, lineterm=""))
            # Every client leaves more lines than this when its server serves it at all.
            if len(left) < 30:
                diff = ["the script broke off on the left side:", *left]
        except Exception as error:  # The other clients are still to be heard.
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
