#!/usr/bin/env python3
"""Runs scenarios against two servers and compares what the servers send.

    run.py                                    Java 3.9.5 against ours, every scenario
    run.py --right java:3.8.6 acl multi       servers of one's choice, some scenarios
    run.py --show acl                         prints the transcript of the left server
    run.py --random 20 --first-seed 100       20 scenarios made up from seeds 100 to 119
    run.py --members 3                        on the leader, a follower and an observer of ensembles
                                              with three voters
    run.py --members 3 --on follower acl      on one of them

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
import on_members  # noqa: E402
import script  # noqa: E402
from compare import compare  # noqa: E402
from executor import Executor  # noqa: E402
from harness.ensemble import end_on_signals  # noqa: E402
from harness.servers import Server, fresh_dir, require, work_root  # noqa: E402


def operations(scenario):
    """Returns the number of steps, where each part of a pipeline or a multi counts as one."""
    return sum(max(1, len(step.children)) for step in scenario.steps)


def run_one(kind, scenario, workdir):
    with Server(kind, fresh_dir(workdir), scenario.settings, scenario.properties) as server:
        transcript = Executor(server).run(scenario)
        server.stop()
    keep(transcript, workdir)
    return transcript


def keep(transcript, workdir):
    blocks = ["\n    ".join([title, *lines]) for title, lines in transcript]
    (workdir / "transcript.txt").write_text("\n".join(blocks) + "\n")


def both(function, *arguments):
    """Calls the function with each of the argument tuples, all in parallel. Returns the results."""
    with ThreadPoolExecutor(len(arguments)) as pool:
        return [run.result() for run in [pool.submit(function, *one) for one in arguments]]


def differences(transcripts, left, right):
    messages = compare(*transcripts, left, right)
    # Two servers that send nothing are equal, but prove nothing.
    if not any(lines for _, lines in transcripts[0]):
        messages.append("no step had any answer")
    for title, lines in transcripts[0]:
        if any("TIMEOUT" in line or "STILL OPEN" in line for line in lines):
            messages.append(f"{title}\n    {left} let the scenario wait in vain: {lines}")
    return messages


class Standalone:
    """Runs each scenario against two new servers."""

    def __init__(self, left, right, root):
        self.kinds, self.root = {"left": left, "right": right}, root

    def runs(self, scenarios):
        """Yields (name, scenario, function that returns the two transcripts)."""
        for scenario in scenarios:
            yield scenario.name, scenario, lambda one=scenario: self.play(one)

    def play(self, scenario):
        return both(run_one, *[(kind, scenario, self.root / scenario.name / side)
                               for side, kind in self.kinds.items()])


class OnMembers:
    """Runs the scenarios with the same settings against the same two ensembles, in each of the roles."""

    def __init__(self, left, right, root, voters, roles):
        self.kinds, self.root, self.voters, self.roles = (left, right), root, voters, roles
        self.sides, self.started = None, 0

    def runs(self, scenarios):
        groups = {}
        for scenario in scenarios:
            if scenario.name in on_members.ALONE:
                continue
            settings = (scenario.settings, scenario.properties)
            groups.setdefault(repr(settings), []).append(scenario)
        for group in groups.values():
            for role in self.roles:
                for scenario in group:
                    yield (f"{scenario.name}@{role}", scenario,
                           lambda one=scenario, where=role: self.play(one, where))
            self.stop()

    def play(self, scenario, role):
        try:
            return self.play_once(scenario, role)
        except on_members.Dirty as reason:
            print(f"    another ensemble: {reason}")
            self.stop()
            return self.play_once(scenario, role)
        except Exception:
            self.stop()
            raise

    def play_once(self, scenario, role):
        if self.sides is None:
            self.started += 1
            self.sides = both(self.start, *[(kind, scenario) for kind in self.kinds])
        transcripts = both(lambda side: side.run(scenario, role), *[(side,) for side in self.sides])
        for name, transcript in zip(("left", "right"), transcripts):
            workdir = self.root / f"{scenario.name}@{role}" / name
            workdir.mkdir(parents=True, exist_ok=True)
            keep(transcript, workdir)
        return transcripts

    def start(self, kind, scenario):
        side = f"members-{self.started}-{kind.replace(':', '-')}"
        settings = scenario.settings
        if scenario.name not in on_members.WITHOUT_SUPER:
            settings = {**on_members.WITH_SUPER, **settings}
        return on_members.Side(kind, self.voters, self.root / side, settings,
                               scenario.properties).start()

    def stop(self):
        for side in self.sides or ():
            side.stop()
        self.sides = None


def made_up(seed, root):
    """Makes up the scenario of a seed. Returns its file."""
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
    parser.add_argument("--members", type=int, default=0, metavar="N",
                        help="on ensembles of N voters and an observer")
    parser.add_argument("--on", action="append", choices=on_members.ROLES,
                        help="where the clients connect to, with --members; everywhere unless told")
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
    kinds = (arguments.left, arguments.right)
    if arguments.members:
        end_on_signals()
        roles = arguments.on or on_members.ROLES
        plan = OnMembers(*kinds, root, arguments.members, roles)
    else:
        plan = Standalone(*kinds, root)
    runs = 0
    for name, scenario, play in plan.runs([script.parse(file) for file in files]):
        started = time.monotonic()
        count = operations(scenario)
        total += count
        runs += 1
        try:
            transcripts = play()
            messages, transcript = differences(transcripts, *kinds), transcripts[0]
        except Exception as error:  # A scenario that fails must not hide the results of the others.
            print(f"FAIL differential/{name}: {type(error).__name__}: {error}", flush=True)
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
        print(f"{verdict} differential/{name} ({result}, {seconds:.1f} s)", flush=True)
        failed += bool(messages)
    print(f"differential: {arguments.left} against {arguments.right}: {total} operations in "
          f"{runs} scenarios, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
