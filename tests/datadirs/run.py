#!/usr/bin/env python3
"""Hands data directories over from Java servers of several versions to ours, and back.

For each version V, a Java V server fills a directory. Ours loads it, and must hold what Java V held and what Java 3.9.5
loads from the same directory. Ours continues to write. Java V must load what ours wrote, and continues to write, and
ours loads that again. Then come damaged directories: ours must start, or refuse to start, as Java 3.9.5 does, and hold
the same. `damage.py` names the exceptions.

    run.py                              ours, every version
    run.py --subject java:3.9.5 3.4.14  Java 3.9.5 in our place
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import damage  # noqa: E402
from harness.servers import Server, StartFailed, fresh_dir, require, work_root  # noqa: E402
from population import (  # noqa: E402
    SUPER_DIGEST, Holding, Phase, metric, sessions, tree, tree_differences)

VERSIONS = ("3.4.14", "3.5.10", "3.6.4", "3.7.2", "3.8.6", "3.9.5")
REFERENCE = "java:3.9.5"
SETTINGS = {
    # A few hundred transactions then make several logs and snapshots, and the files are small.
    "snapCount": 80, "preAllocSize": 64, "extendedTypesEnabled": "true",
    "DigestAuthenticationProvider.superDigest": SUPER_DIGEST,
}
# Nodes that differ between versions: 3.5 added the config node, a child of /zookeeper.
OWN_NODES = ("/zookeeper", "/zookeeper/config")


def start(kind, workdir, settings=None):
    return Server(kind, workdir, {**SETTINGS, **(settings or {})})


def copy(source, workdir):
    """Copies a data directory to `workdir`, for a server that will start there."""
    fresh_dir(workdir)
    shutil.copytree(source, workdir / "data")


def numbers(version):
    return tuple(int(part) for part in version.split("."))


class Failures(Exception):
    """A case has failed. The argument is a list of messages."""


def expect(what, messages):
    if messages:
        more = [f"... and {len(messages) - 12} more"] if len(messages) > 12 else []
        raise Failures([f"{what}:", *("  " + message for message in messages[:12] + more)])


def digest_mismatches(server):
    """Returns how often a digest did not match the tree. Java writes such a snapshot if its tree changes just when the
    walk over the nodes ends, because it reads the digest after the nodes, without a lock."""
    count = metric(server.port, "zk_digest_mismatches_count") or "0"
    if count == "0" and "igests are not matching" in server.log.read_text(errors="replace"):
        raise Failures([f"{server.kind} logs that digests are not matching, and counts none"])
    return int(count)


def no_digest_mismatch(server):
    count = digest_mismatches(server)
    expect("digests", [f"{server.kind} found {count} mismatches"] if count else [])


def live(server):
    """Returns what a running server holds now."""
    return Holding(server.port, sessions(server.port))


def load(kind, directory, workdir):
    """Starts a server on a copy of a directory. Returns what it holds, and how many digests did not match."""
    copy(directory, workdir)
    with start(kind, workdir) as server:
        holding = Holding(server.port)
        return holding, digest_mismatches(server)


def phase(number, server, version, staying):
    return Phase(number, server.port, numbers(version), staying).run().sessions()


def same(what, expected, found, ignore=()):
    messages = tree_differences(expected.tree, found.tree, ignore)
    if expected.sessions != found.sessions:
        messages.append(f"sessions {expected.sessions} and {found.sessions}")
    expect(what, messages)


def same_mismatches(expected, found):
    expect("digest mismatches", [] if expected == found else [f"{REFERENCE} counts {expected}, the subject {found}"])


def snapshots(directory):
    return sorted((directory / "version-2").glob("snapshot.*"))


def round_trip(version, subject, root):
    """Runs all steps for one version. Returns a text about the last tree."""
    kind, theirs, ours = f"java:{version}", root / "theirs", root / "ours"
    fresh_dir(theirs)
    with start(kind, theirs) as server:
        staying = phase(1, server, version, None)
        written = live(server)
        # A killed server cannot tidy up: the sessions and the end of the log stay as they are.
        server.kill()
    expect("the directory is too simple", [] if len(snapshots(theirs / "data")) > 1
           else ["fewer than two snapshots"])
    config = OWN_NODES if numbers(version) < (3, 5) else ()

    reference, expected = load(REFERENCE, theirs / "data", root / "reference")
    same(f"{REFERENCE} on what {kind} wrote", written, reference, config)
    loaded, found = load(subject, theirs / "data", root / "loaded")
    expect(f"{REFERENCE} and {subject} on what {kind} wrote", reference.differences(loaded))
    same_mismatches(expected, found)

    copy(theirs / "data", ours)
    with start(subject, ours) as server:
        staying = phase(2, server, version, staying)
        written = live(server)
        server.stop()
    back = root / "back"
    copy(ours / "data", back)
    with start(kind, back) as server:
        found = live(server)
        same(f"{kind} on what {subject} wrote", written, found)
        no_digest_mismatch(server)
        staying = phase(3, server, version, staying)
        written = live(server)
        server.kill()
    again = root / "again"
    copy(back / "data", again)
    with start(subject, again) as server:
        same(f"{subject} on what {kind} wrote on top", written, live(server))
        mismatches = digest_mismatches(server)
        # A session that the first server opened is closed here. Its nodes must be deleted.
        Phase(4, server.port, numbers(version), staying).stay[0].ok("closeSession")
        left = [path for path in tree(server.port) if path.endswith("/eph0")]
        expect("a closed session's nodes", [f"{path} is still there" for path in left])
        server.kill()
    if mismatches:
        same_mismatches(load(REFERENCE, back / "data", root / "reference")[1], mismatches)
    return f"{len(written.tree)} nodes, zxid {written.zxid:#x}"


def outcome(kind, directory, workdir, settings):
    """Starts a server on a copy of a directory. Returns (exit code, None) if the server refuses the directory, and
    (None, what it holds) if it starts."""
    copy(directory, workdir)
    server = start(kind, workdir, settings)
    try:
        with server:
            return None, Holding(server.port)
    except StartFailed:
        return server.wait_exit(), None


def whole(case, root):
    """Returns the directory of a case before the damage, and what it holds. Cases with the same version and settings
    share a directory."""
    words = [case.version, *(f"{key}={value}" for key, value in case.settings_before.items())]
    base = root / "-".join(["base", *words])
    if base not in _made:
        fresh_dir(base)
        with start(f"java:{case.version}", base, case.settings_before) as server:
            phase(1, server, case.version, None)
            _made[base] = live(server)
            server.kill()
    return base / "data", _made[base]


_made = {}


def damaged(name, subject, root):
    """Starts Java 3.9.5 and the subject on the damaged directory of a case. Returns a text about the result."""
    case, base = damage.CASES[name], root / "base"
    directory, written = whole(case, root.parent)
    copy(directory, base)
    case.harm(base / "data" / "version-2")
    expected = outcome(REFERENCE, base / "data", root / "java", case.settings)
    found = outcome(subject, base / "data", root / "subject", case.settings)
    if case.ours_reads and subject == "ours":
        if found[1] is None:
            raise Failures([f"{subject} ends with {found[0]}"])
        same(f"{subject} on what {REFERENCE} refuses", written, found[1])
        return f"only {subject} reads it"
    if case.ours_refuses and subject == "ours":
        if found[1] is not None or expected[1] is None:
            raise Failures([f"{REFERENCE} ends with {expected[0]}, {subject} with {found[0]}"])
        lost = written.zxid - expected[1].zxid
        expect("nothing is lost", [] if lost > 0 else [f"{REFERENCE} holds all"])
        return f"only {REFERENCE} starts, without the last {lost} transactions"
    if expected[0] != found[0]:
        words = ["starts" if code is None else f"ends with {code}" for code, _ in (expected, found)]
        raise Failures([f"{REFERENCE} {words[0]}, {subject} {words[1]}"])
    if expected[1]:
        expect(f"{REFERENCE} and {subject}", expected[1].differences(found[1]))
    return "both refuse" if expected[1] is None else f"{len(expected[1].tree)} nodes"


def attempt(name, action, *arguments):
    started = time.monotonic()
    try:
        verdict, words = "PASS", action(*arguments)
    except Failures as failures:
        verdict, words = "FAIL", "see above"
        for line in failures.args[0]:
            print("   ", line)
    except Exception as error:  # The other cases still run.
        verdict, words = "FAIL", f"{type(error).__name__}: {str(error)[:300]} "
    print(f"{verdict} datadirs/{name} ({words}, {time.monotonic() - started:.1f} s)", flush=True)
    return verdict == "FAIL"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subject", default="ours", help="the server in our place")
    parser.add_argument("cases", nargs="*", help=", ".join((*VERSIONS, *damage.CASES)))
    arguments = parser.parse_args()
    chosen = arguments.cases or [*VERSIONS, *damage.CASES]
    unknown = set(chosen) - set(VERSIONS) - set(damage.CASES)
    if unknown:
        sys.exit(f"no such case: {', '.join(sorted(unknown))}")
    require(arguments.subject, REFERENCE, *(f"java:{version}" for version in VERSIONS))
    failed, root = 0, work_root() / "datadirs"
    for case in chosen:
        action = round_trip if case in VERSIONS else damaged
        failed += attempt(case, action, case, arguments.subject, root / case)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
