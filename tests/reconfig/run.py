#!/usr/bin/env python3
"""Runs one script of reconfigurations on ensembles and compares what is seen with Java's.

    run.py                            ours, and mixes of ours and Java's
    run.py --members LIST             one list of five servers; the third one leads first
    run.py --only founding,growing    some parts of the script
    run.py --left java:3.9.5          the servers to compare with
    run.py --list                     the parts

After each step, the answer, the configuration in the tree of each server, its role, its zoo.cfg and its dynamic file
are compared. Transcripts, data and logs stay in tests/.peers/work/reconfig.
"""

import argparse
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from harness.ensemble import end_on_signals  # noqa: E402
from harness.servers import require, work_root  # noqa: E402
from script import ALL, Script  # noqa: E402
from site_of_servers import Site  # noqa: E402

JAVA = "java:3.9.5"
# Of the first three, the third one leads first.
MIXES = (
    "ours,ours,ours,ours,ours",
    f"ours,ours,{JAVA},ours,{JAVA}",
    f"{JAVA},{JAVA},ours,{JAVA},ours",
    f"ours,java:3.8.6,ours,{JAVA},ours",
    f"ours,ours,{JAVA},java:3.5.10,java:3.8.6",
)
SHOWN_DIFFERENCES = 12
# Of a line; the transcripts have all of it.
LONGEST = 400


def transcript(members, parts, root):
    """Runs the script on a list of servers. Returns its lines."""
    site = Site(members.split(","), root / members.replace(":", "-").replace(",", "_"))
    with open(site.workdir / "transcript.txt", "w") as shown:
        script = Script(site, shown)
        try:
            for part in parts:
                part(script)
        except Exception as error:  # What was seen so far is compared.
            script.note(f"BROKEN OFF: {type(error).__name__}: {error}", traceback.format_exc())
        finally:
            site.close()
    return script


def differences(left, right):
    """Returns the steps that differ, as texts."""
    def steps(lines):
        out = []
        for line in lines:
            if not line.startswith(" "):
                out.append([])
            out[-1].append(line)
        return out
    out = [line for line in (*left, *right) if "BROKEN OFF" in line or "UNSETTLED" in line]
    left, right = steps(left), steps(right)
    for one, other in zip(left, right):
        if one != other:
            wanted = "\n".join(line[:LONGEST] for line in one if line not in other)
            got = "\n".join(line[:LONGEST] for line in other if line not in one)
            out.append(f"{one[0]}\n Java:\n{wanted}\n here:\n{got}")
    if len(left) != len(right):
        out.append(f"{len(left)} steps and {len(right)} steps")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", action="append", default=[], metavar="LIST")
    parser.add_argument("--left", default=JAVA)
    parser.add_argument("--subject", default="ours", help="takes the place of `ours` in the lists")
    parser.add_argument("--only", default="")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(part.__name__ for part in ALL))
        return 0
    names = arguments.only.split(",") if arguments.only else [part.__name__ for part in ALL]
    parts = [part for part in ALL if part.__name__ in names]
    lists = [text.replace("ours", arguments.subject) for text in arguments.members or MIXES]
    end_on_signals()
    require(arguments.left, *{kind for text in lists for kind in text.split(",")})
    root = work_root() / "reconfig"
    started = time.monotonic()
    left = transcript(",".join([arguments.left] * 5), parts, root / "left")
    print(f"{left.steps} steps on {arguments.left} ({time.monotonic() - started:.0f} s)", flush=True)
    failed = 0
    for text in lists:
        started = time.monotonic()
        right = transcript(text, parts, root)
        found = differences(left.lines, right.lines)
        verdict = "FAIL" if found else "PASS"
        failed += bool(found)
        for difference in found[:SHOWN_DIFFERENCES]:
            print(difference)
        print(f"{verdict} reconfig {text}: {right.steps} steps, {len(found)} of them differ "
              f"({time.monotonic() - started:.0f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
