#!/usr/bin/env python3
"""Runs scenarios against two servers and compares what they say.

    run.py                                    Java 3.9.5 against ours, every scenario
    run.py --right java:3.8.6 acl multi       servers of one's choice, some scenarios
    run.py --show acl                         prints the transcript of the left server
    run.py --random 20 --first-seed 100       20 scenarios made up from seeds 100 to 119

Prints PASS or FAIL for every scenario; a mismatch shows the step and both sides. The transcripts
stay in tests/.peers/work/differential.
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import generate  # noqa: E402
import script  # noqa: E402
from compare import compare  # noqa: E402
from executor import Executor  # noqa: E402
from harness.servers import Server, fresh_dir, require, work_root  # noqa: E402


def operations(scenario):
    """Steps, where the parts of pipelines and multis count each."""
    return sum(max(1, len(step.children)) for step in scenario.steps)


def run_one(kind, scenario, workdir):
    with Server(kind, fresh_dir(workdir), scenario.settings, scenario.properties) as server:
        transcript = Executor(server).run(scenario)
        server.stop()
    blocks = ["\n    ".join([title, *lines]) for title, lines in transcript]
    (workdir / "transcript.txt").write_text("\n".join(blocks) + "\n")
    return transcript


def run_pair(scenario, left, right, root):
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run_one, kind, scenario, root / scenario.name / side)
                for side, kind in (("left", left), ("right", right))]
        transcripts = [run.result() for run in runs]
    messages = compare(*transcripts, left, right)
    # Two servers that say nothing are equal, and prove nothing.
    if not any(lines for _, lines in transcripts[0]):
        messages.append("no step had any answer")
    for title, lines in transcripts[0]:
        if any("TIMEOUT" in line or "STILL OPEN" in line for line in lines):
            messages.append(f"{title}\n    {left} let the scenario wait in vain: {lines}")
    return messages, transcripts[0]


def made_up(seed, root):
    """The file of a scenario made up from a seed."""
    root.mkdir(parents=True, exist_ok=True)
    file = root / f"random-{seed}.txt"
    file.write_text(generate.scenario(seed))
    return file


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--left", default="java:3.9.5")
    parser.add_argument("--right", default="ours")
    parser.add_argument("--show", action="store_true", help="print the left server's transcript")
    parser.add_argument("--max", type=int, default=20, help="mismatches to print for a scenario")
    parser.add_argument("--random", type=int, default=0, metavar="N",
                        help="N made-up scenarios instead of the written ones")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("scenarios", nargs="*")
    arguments = parser.parse_args()
    require(arguments.left, arguments.right)
    files = sorted((HERE / "scenarios").glob("*.txt"))
    unknown = set(arguments.scenarios) - {file.stem for file in files}
    if unknown:
        sys.exit(f"no such scenario: {', '.join(sorted(unknown))}")
    if arguments.scenarios:
        files = [file for file in files if file.stem in arguments.scenarios]
    root, failed, total = work_root() / "differential", 0, 0
    if arguments.random:
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.random)
        files = [made_up(seed, root) for seed in seeds]
    for file in files:
        scenario, started = script.parse(file), time.monotonic()
        count = operations(scenario)
        total += count
        try:
            messages, transcript = run_pair(scenario, arguments.left, arguments.right, root)
        except Exception as error:  # One scenario's misfortune must not hide the others' results.
            print(f"FAIL differential/{file.stem}: {type(error).__name__}: {error}", flush=True)
            failed += 1
            continue
        if arguments.show:
            for title, lines in transcript:
                print("\n    ".join([title, *lines]))
        for message in messages[: arguments.max]:
            print(message)
        if len(messages) > arguments.max:
            print(f"... and {len(messages) - arguments.max} more")
        seconds = time.monotonic() - started
        result = f"{count} operations"
        if messages:
            result = f"{len(messages)} of {len(scenario.steps)} steps differ"
        verdict = "FAIL" if messages else "PASS"
        print(f"{verdict} differential/{file.stem} ({result}, {seconds:.1f} s)", flush=True)
        failed += bool(messages)
    print(f"differential: {arguments.left} against {arguments.right}: {total} operations in "
          f"{len(files)} scenarios, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
