#!/usr/bin/env python3
"""Runs scenarios on ensembles of any members.

    run.py --members ours,ours,ours                      every scenario
    run.py --members java:3.4.14,java:3.9.5,ours diff    one of them; `ours` leads, as the last voter
    run.py --members java:3.9.5,java:3.9.5,java:3.9.5,java:3.9.5:observer
    run.py --matrix ours                                 ours with each Java version, in each role;
                                                         the scenarios that depend on versions
    run.py --matrix ours short                           the same in a few minutes
    run.py --matrix java:3.9.5                           to test the tests: Java in our place
    run.py --list                                        the scenarios

A member is KIND or KIND:observer. Prints PASS or FAIL for every scenario on every ensemble. Data
directories and logs stay in tests/.peers/work/ensemble.
"""

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from harness.ensemble import Ensemble, end_on_signals, parse_member, parse_members  # noqa: E402
from harness.servers import require, work_root  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402

VERSIONS = ("3.4.14", "3.5.10", "3.6.4", "3.7.2", "3.8.6", "3.9.5")
# The leader never reads its log for a learner, so that it is known which learners get a snapshot.
PROPERTIES = {"zookeeper.snapshotSizeFactor": "-1", "zookeeper.commitLogCount": "500",
              "zookeeper.extendedTypesEnabled": "true"}

# Scenarios that start the ensemble themselves. They run only by name.
STARTS_ITSELF = ("short",)

# The scenarios that depend on the releases of the members. All scenarios on every list would take too long.
MATRIX_SCENARIOS = ("serves", "ephemerals", "diff", "snap", "trunc", "leader_killed")


def matrix(subject):
    """Returns four lists of members for every Java version: the subject leads Java's followers, Java leads the
    subject's followers, the subject observes Java's leader, and Java observes the subject's leader."""
    lists = []
    for version in VERSIONS:
        java = f"java:{version}"
        lists += [
            f"{java},{java},{subject}",
            f"{subject},{subject},{java}",
            f"{java},{java},{java},{subject}:observer",
            f"{subject},{subject},{java}:observer,{subject}",
        ]
    return lists


def run_list(text, names):
    """Runs scenarios on the members of a list. Returns the number of failures."""
    members = parse_members(text)
    root = work_root() / "ensemble" / text.replace(":", "-").replace(",", "_")
    failed = 0
    ensemble = None
    for name in names:
        started = time.monotonic()
        try:
            if ensemble and name in STARTS_ITSELF:
                ensemble.__exit__()
                ensemble = None
            if ensemble is None:
                ensemble = Ensemble(members, root, properties=PROPERTIES)
                if name not in STARTS_ITSELF:
                    ensemble.start()
            note = SCENARIOS[name](ensemble)
            ensemble.check_logs()
            verdict = "PASS"
        except Exception as error:  # A scenario that fails must not hide the other results.
            verdict, note = "FAIL", f"{type(error).__name__}: {error}"
            failed += 1
            if ensemble:
                ensemble.__exit__()
                root = root.with_name(f"{root.name}+")
            ensemble = None
        seconds = time.monotonic() - started
        print(f"{verdict} ensemble/{name} {text} ({seconds:.1f} s){f': {note}' if note else ''}",
              flush=True)
    if ensemble:
        ensemble.__exit__()
    return failed


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", action="append", default=[], metavar="LIST")
    parser.add_argument("--matrix", metavar="KIND")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("scenarios", nargs="*")
    arguments = parser.parse_args()
    if arguments.list:
        for name, function in SCENARIOS.items():
            print(f"{name:18} {' '.join(function.__doc__.split())}")
        return 0
    unknown = set(arguments.scenarios) - set(SCENARIOS)
    if unknown:
        sys.exit(f"no such scenario: {', '.join(sorted(unknown))}")
    lists = list(arguments.members)
    names = arguments.scenarios or [name for name in SCENARIOS if name not in STARTS_ITSELF]
    if arguments.matrix:
        lists += matrix(parse_member(arguments.matrix)[0])
        names = arguments.scenarios or MATRIX_SCENARIOS
    if not lists:
        sys.exit("which members? see --help")
    end_on_signals()
    require(*{kind for text in lists for kind, _ in parse_members(text)})
    failed = sum(run_list(text, names) for text in lists)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
