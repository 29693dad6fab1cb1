#!/usr/bin/env python3
"""Compares what members of ensembles say about themselves: every four-letter word, every command of the AdminServer and
`zkServer.sh status`. The members are a leader, a follower, an observer, a member that is read-only because it is cut
off, and a member that is cut off and serves nothing.

    members.py                       Java 3.9.5 against ours
    members.py --right java:3.8.6    shows that differences are seen
    members.py --show                prints what the left ensemble says
"""

import argparse
import difflib
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import fourletter  # noqa: E402
from harness.client import four_letter_word  # noqa: E402
from harness.ensemble import Ensemble, all_at_once, end_on_signals  # noqa: E402
from harness.protocol import OPEN_ACL  # noqa: E402
from harness.servers import REPO, binary, free_port, require, wait_until, work_root  # noqa: E402
from on_members import ROLES, member_in, port_names  # noqa: E402
from transcript import Normaliser  # noqa: E402

WORDS = ("ruok isro conf srvr stat cons crst wchs wchc wchp dump hash dirs envi mntr gtmk srst "
         "xxxx").split()
# `snapshot` and `restore` are refused here, because they need authentication.
COMMANDS = ("configuration connection_stat_reset connections dirs dump environment get_trace_mask hash "
            "initial_configuration is_read_only last_snapshot leader monitor observers ruok "
            "observer_connection_stat_reset server_stats set_trace_mask snapshot restore stat_reset stats "
            "system_properties voting_view watch_summary watches watches_by_path zabstate nonsense").split()
# Numbers in the answers of the AdminServer that follow from the ensemble and its work, and must be equal.
EXACT = set("""
    num_alive_client_connections node_count is_leader read_only leader_id synced_observers voting myid
    learners synced_followers synced_non_voting_followers pending_syncs quorum_size znode_count watch_count
    ephemerals_count num_alive_connections global_sessions local_sessions observer_master_id server_id
    tick_time max_client_cnxns min_session_timeout max_session_timeout election_alg init_limit sync_limit
    num_connections num_paths num_total_watches tracemask zab_epoch digest_version outstanding_requests
    client_port_listen_backlog auth_failed_count non_mtls_remote_conn_count non_mtls_local_conn_count
""".split())
# Answers in which our server differs on purpose, and the roles.
DELIBERATE = {
    # Java's members do not keep the configuration that they have read, and answer null.
    "/commands/initial_configuration": ("leader", "follower", "observer", "read-only"),
    # Java's monitor fails with 500 while a member has no server.
    "/commands/monitor": ("looking",),
    # Java's leader takes its snapshot before it knows its epoch, our leader takes it in parallel with its start.
    "/commands/last_snapshot": ("leader",),
}
DEADLINE_S = 60.0


def get(port, command):
    """Returns (HTTP status, body) of a command of the AdminServer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/commands/{command}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Texts:
    """Brings values into a form that is the same for both ensembles."""

    def __init__(self, names, workdir):
        self.normaliser = Normaliser(ports=names)
        self.workdir = str(workdir)

    def text(self, text):
        text = self.normaliser.name_ports(text.replace(self.workdir, "DIR"))
        text = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text)
        text = re.sub(r"\d+\.\d+\.\d+\S*, built on .*", "VERSION", text)
        return re.sub(r"0x[0-9a-f]{9,}", "ID", text)

    def value(self, key, value):
        if isinstance(value, bool) or value is None:
            return json.dumps(value)
        if isinstance(value, float):
            return "N.N"
        if isinstance(value, int):
            return str(value) if key in EXACT else "N"
        return json.dumps(self.text(value))

    def flat(self, key, value, path=""):
        """Yields lines `path = value`, in the order of the answer."""
        if isinstance(value, list) and value and isinstance(value[0], tuple):
            for name, inner in value:
                name = "ID" if re.fullmatch(r"-?\d{4,}", name) else name
                yield from self.flat(name, inner, f"{path}.{name}")
        elif isinstance(value, list) and value:
            for inner in value:
                yield from self.flat(key, inner, f"{path}[]")
        elif isinstance(value, (list, dict)):
            yield f"{path} is empty, a {type(value).__name__}"
        else:
            yield f"{path} = {self.value(key, value)}"


def admin_lines(command, port, texts):
    """Returns the answer of a command as lines, without the properties and the environment of the machine."""
    status, body = get(port, command)
    try:
        answer = json.loads(body, object_pairs_hook=lambda pairs: pairs or {})
    except ValueError:
        return [f"status {status}", "no JSON"]
    if command == "environment":
        answer = [(key, "") for key, _ in answer]
    if command == "system_properties":
        answer = [(key, "") for key, _ in answer if key in ("command", "error") or kept_property(key)]
    if command == "dump":
        # When sessions expire depends on timing.
        answer = [(key, value) for key, value in answer if key != "expiry_time_to_session_ids"]
    # The order of JSON's members is not specified: that of a bean depends on Java's reflection.
    return [f"status {status}", *sorted(set(texts.flat("", answer)))]


def kept_property(key):
    # The harness sets the last two for some of our servers.
    return (key.startswith("zookeeper.") and ".log." not in key and ".jmx." not in key
            and key not in ("zookeeper.nio.maxReaderThreads", "zookeeper.nio.numWorkerThreads"))


def word_lines(word, member, texts):
    answer = four_letter_word(member.port, word, 20, member.host)
    # The ids of sessions are not compared here.
    answer = re.sub(r"0x[0-9a-f]{12,16}\b", "SESSION", answer.replace(texts.workdir, "DIR"))
    answer = re.sub(r"Zxid: 0x[0-9a-f]+", "Zxid: ZXID", answer)
    answer = re.sub(r"l([cz])xid=0x[0-9a-f]+", r"l\1xid=XID", answer)
    answer = re.sub(r"(Received|Sent): \d+", r"\1: N", answer)
    answer = re.sub(r"(recved|sent)=\d+", r"\1=N", answer)
    lines = fourletter.lines(word, answer, texts.normaliser)
    return sorted(set(lines)) if word == "hash" else lines


def status_lines(member, workdir, texts):
    """Returns the output of `zkServer.sh status` and its exit code as lines."""
    environment = {**os.environ, "ZOOKEEPER_BIN": str(binary()), "ZOO_LOG_DIR": str(workdir)}
    done = subprocess.run([REPO / "bin/zkServer.sh", "status", str(member.cfg)], env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60)
    return [*texts.text(done.stdout).splitlines(), f"exit code {done.returncode}"]


class Side:
    """An ensemble of one kind. The last voter leads, and the first one becomes read-only when it is cut off."""

    def __init__(self, kind, workdir):
        members = [(kind, False)] * 3 + [(kind, True)]
        settings = {"syncLimit": 10, "admin.enableServer": "true", "admin.serverAddress": "127.0.0.1",
                    "extendedTypesEnabled": "true"}
        self.ensemble = Ensemble(members, workdir, settings)
        self.admin = {}
        for member in self.ensemble.members:
            self.admin[member.sid] = member.settings["admin.serverPort"] = free_port()
        self.ensemble.members[0].properties["readonlymode.enabled"] = "true"
        names = port_names(self.ensemble)
        names.update({str(port): f"ADMIN{sid}" for sid, port in self.admin.items()})
        self.texts = Texts(names, workdir)
        self.workdir = workdir
        self.said = {}
        self.sessions = []

    def run(self):
        """Returns role -> what was asked -> lines."""
        try:
            self.ensemble.start()
            members = {role: member_in(self.ensemble, role) for role in ROLES}
            for role, member in members.items():
                self.visit(role, member)
            for session in self.sessions:
                # After this, every member has applied what was written through the others.
                session.ok("sync", path="/")
            for role, member in members.items():
                self.look(role, member)
            self.cut_off()
        finally:
            self.ensemble.__exit__()
        return self.said

    def visit(self, role, member):
        """Connects a client that has an ephemeral node and watches."""
        # The session stays while all questions are asked, and sends nothing meanwhile.
        session = member.connect(timeout_ms=600000)
        session.ok("create", path=f"/{role}", data=b"", acl=OPEN_ACL, flags=0)
        session.ok("create", path=f"/{role}/e", data=b"", acl=OPEN_ACL, flags=1)
        session.ok("getData", path=f"/{role}", watch=True)
        session.ok("getChildren", path=f"/{role}", watch=True)
        self.sessions.append(session)

    def cut_off(self):
        """Kills two of three voters, and asks the other members."""
        for session in self.sessions:
            session.close()
        first, *others, observer = self.ensemble.members
        all_at_once(*[other.kill for other in others])
        wait_until(f"{first} serves reads", lambda: word(first, "isro") == "ro", DEADLINE_S)
        wait_until(f"{observer} serves nothing", lambda: word(observer, "isro") == "null", DEADLINE_S)
        self.look("read-only", first)
        self.look("looking", observer)

    def look(self, role, member):
        # The connection of this question, and that of `visit`.
        most = 2 if role in ROLES else 1
        wait_until("its connections are counted", lambda: settled(member, most), DEADLINE_S)
        said = self.said[role] = {}
        said["zkServer.sh status"] = status_lines(member, self.workdir, self.texts)
        for one in WORDS:
            said[one] = word_lines(one, member, self.texts)
        for command in COMMANDS:
            said[f"/commands/{command}"] = admin_lines(command, self.admin[member.sid], self.texts)


def word(member, name):
    try:
        return four_letter_word(member.port, name, host=member.host)
    except OSError:
        return None


def settled(member, most):
    """Returns whether the member counts at most this many connections."""
    text = word(member, "srvr")
    if text is None:
        return False
    found = re.search(r"Connections: (\d+)", text)
    return found is None or int(found[1]) <= most


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--left", default="java:3.9.5")
    parser.add_argument("--right", default="ours")
    parser.add_argument("--show", action="store_true", help="print what the left ensemble says")
    arguments = parser.parse_args()
    kinds = (arguments.left, arguments.right)
    require(*kinds)
    end_on_signals()
    root = work_root() / "members"
    with ThreadPoolExecutor(2) as pool:
        left, right = pool.map(
            lambda kind_side: Side(kind_side[0], root / kind_side[1]).run(), zip(kinds, ("left", "right")))
    failed = 0
    for role, said in left.items():
        differences = []
        for what, lines in said.items():
            if arguments.show:
                print("\n    ".join([f"{role} {what}", *lines]))
            if role in DELIBERATE.get(what, ()):
                continue
            diff = difflib.unified_diff(lines, right[role][what], *kinds, n=0, lineterm="")
            diff = [line for line in diff if not line.startswith(("---", "+++", "@@"))]
            if diff:
                differences.append("\n    ".join([f"{role} {what}", *diff]))
        for difference in differences:
            print(difference)
        failed += bool(differences)
        verdict = "FAIL" if differences else "PASS"
        count = sum(len(lines) for lines in said.values())
        print(f"{verdict} differential/members@{role} ({len(said)} answers, {count} lines"
              f"{f', {len(differences)} answers differ' if differences else ''})", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
