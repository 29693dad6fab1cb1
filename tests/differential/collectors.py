#!/usr/bin/env python3
"""Compares every value that collectors of metrics read with Java's value after the same work: `/metrics`, the commands
of the AdminServer and the four-letter words. The servers are a standalone server, a leader, a follower, an observer, a
read-only member, and a member without a quorum that serves nothing.

    collectors.py                        Java 3.9.5 against ours, with both providers of metrics
    collectors.py --provider prometheus  with one of them
    collectors.py --show                 prints what the left servers say, and every expected difference

Keys and values must be equal. `expected_differences.py` lists what may differ, with the reasons.
"""

import argparse
import json
import re
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from expected_differences import SUMMARIES, Expected  # noqa: E402
from harness.client import Closed, four_letter_word  # noqa: E402
from harness.ensemble import Ensemble, Member, all_at_once, end_on_signals  # noqa: E402
from harness.jute import Reader, encode  # noqa: E402
from harness.protocol import OPEN_ACL, acl_entry, error_name  # noqa: E402
from harness.servers import free_port, fresh_dir, require, wait_until, work_root  # noqa: E402
from members import COMMANDS, get, kept_property  # noqa: E402
from on_members import port_names  # noqa: E402
from transcript import PORT  # noqa: E402

ROLES = ("leader", "follower", "observer")
PROVIDERS = ("default", "prometheus")
PROMETHEUS = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
WORDS = "ruok isro conf mntr cons dump srvr stat crst wchs wchc wchp hash dirs envi gtmk srst".split()
# These commands reset counters. They come last, and the answers behind them show the state after the reset.
RESETS = ("connection_stat_reset", "observer_connection_stat_reset", "stat_reset")
# These need a POST with credentials, or change what the other commands show.
NOT_ASKED = {"snapshot", "restore", "set_trace_mask", *RESETS}
TELLING = [command for command in COMMANDS if command not in NOT_ASKED]
DEADLINE_S = 60.0
# A server must show the same values for this long before they are read.
QUIET_S = 1.0
SESSION_MS = 600000
# A time counts as one of this run if it is at most this far before or after it.
SLACK_MS = 60000


class Watched(Member):
    """A member whose mode is read over HTTP, so that waiting for a mode does not change its statistics."""

    def mode(self):
        if not self.running() or self.paused:
            return None
        try:
            answer = command_of(self, "server_stats")
        except OSError:
            return None
        return (answer.get("server_stats") or {}).get("server_state")


def command_of(member, command):
    port = member.settings["admin.serverPort"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/commands/{command}", timeout=20) as answer:
        return json.loads(answer.read())


class Texts:
    """Replaces what differs between two servers (ports, paths, addresses, ids, times) with names that are equal."""

    def __init__(self, names, workdir):
        self.names, self.workdir = names, str(workdir)
        self.sessions = {}
        # The name of a session whose id the client does not know.
        self.anonymous = None
        # What was seen during the work. It is compared, too.
        self.seen = {}
        self.started = self.now()

    def know(self, connection, name):
        self.sessions[connection.session_id] = name

    @staticmethod
    def now():
        """Returns the elapsed time in ms, the wall time in ms and the wall time in s."""
        return time.monotonic() * 1000, time.time() * 1000, time.time()

    def moment(self, number):
        """Returns the name of the clock by which the number is a time of this run, or None."""
        slack = (SLACK_MS, SLACK_MS, SLACK_MS / 1000)
        for name, first, last, slack in zip(("ELAPSED", "WALL", "WALL-S"), self.started, self.now(), slack):
            # Sessions of this run expire later than now.
            if max(first - slack, 1) <= number <= last + SESSION_MS + slack:
                return name
        return None

    def text(self, text):
        text = text.replace(self.workdir, "DIR")
        text = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: self.names.get(found[1], "ADDRESS"), text)
        text = PORT.sub(lambda found: self.names.get(found[0], found[0]), text)
        text = re.sub(r"\b\d+\.\d+\.\d+\S*, built on .*", "VERSION", text)
        text = re.sub(r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \S+ (\d{4})", self.date, text)
        text = re.sub(r"\b0x[0-9a-f]{12,16}\b", lambda found: self.session(int(found[0], 16)), text)
        return re.sub(r"\b\d{9,19}\b", lambda found: self.number(int(found[0])), text)

    @staticmethod
    def date(found):
        """Returns DATE for a date of about this year. Other dates, such as those of 1970, stay."""
        year = time.gmtime().tm_year
        return "DATE" if abs(int(found[1]) - year) <= 1 else found[0]

    def session(self, number):
        return self.sessions.get(number) or self.anonymous or f"unknown session {number:#x}"

    def number(self, number):
        name = self.sessions.get(number) or self.moment(number)
        return name or (self.anonymous if self.anonymous and number >> 40 else str(number))

    def port(self, key, number):
        """Returns the name of a port, or None. A bare number is a port only if its key says so."""
        return self.names.get(str(number)) if re.search("(?i)ports?$", key) else None

    def value(self, key, value):
        """Returns a value of a JSON answer."""
        if isinstance(value, bool) or value is None:
            return json.dumps(value)
        if isinstance(value, int):
            return self.port(key, value) or self.number(value)
        if isinstance(value, float):
            return repr(value)
        return json.dumps(self.text(value))


# --- the answers of a server, as key -> value ---

def pairs(lines, texts, pattern=r"^([^\t=:]+)(?:\t|=|: )(.*)$"):
    """Returns the keys and values of lines. A line that does not match the pattern is a key without a value."""
    found = {}
    for line in lines:
        match = re.match(pattern, line)
        key, value = match.groups() if match else (line, "")
        key = texts.text(key)
        while key in found:
            key += " again"
        found[key] = texts.port(key, value) or texts.text(value)
    return found


def numbered(lines, texts):
    """Returns lines that have no keys, sorted and numbered."""
    return {f"{at}": line for at, line in enumerate(sorted(texts.text(line) for line in lines))}


def sections(lines, texts):
    """Returns the headings with the lines below each. When something expires depends on timing, so all entries of a
    list that expire within this run count as one."""
    found, top, heading = {}, "", ""
    for line in lines:
        if line.startswith("\t"):
            found[heading].append(texts.text(line.strip()))
            continue
        line = re.sub(r"^\d+ expire at DATE:", "expire at DATE", texts.text(line))
        line, *count = re.split(r" (?=\([\d)(/]+:)", line)
        if "expire at" in line:
            heading = f"{top}, {line}"
        else:
            top = heading = line
        found.setdefault(heading, []).extend(count)
    return {key: str(sorted(below)) for key, below in found.items()}


def connections(lines, texts):
    """Returns the values in the lines of cons and stat. Each key begins with the name of the session, or counts the
    connections without one."""
    found, others = {}, 0
    for line in sorted(texts.text(line) for line in lines if line.startswith(" ")):
        inner = re.match(r" (\S+?)\[(\w+)\]\((.*)\)$", line)
        if not inner:
            found[line] = ""
            continue
        values = dict(part.split("=", 1) for part in inner[3].split(","))
        values.update({key: texts.number(int(values[key])) for key in ("lresp", "est")
                       if values.get(key, "").isdigit()})
        name = values.get("sid")
        if name is None:
            others, name = others + 1, f"without a session {others + 1}"
        found[f"{name} interest"] = inner[2]
        found.update({f"{name} {key}": value for key, value in values.items()})
    return found


def word(name, member, texts):
    lines = four_letter_word(member.port, name, 20, member.host).splitlines()
    if name == "cons":
        return connections(lines, texts)
    if name == "stat":
        rest = [line for line in lines if not line.startswith(" ")]
        return {**pairs(rest, texts), **connections(lines, texts)}
    if name == "hash":
        return {"lines": str(len(lines))}
    if name == "envi":
        return {line.split("=")[0]: "" for line in lines}
    if name in ("dump", "wchc", "wchp"):
        return sections(lines, texts)
    if name == "mntr":
        return pairs(lines, texts, r"^(\S+)\t(.*)$")
    if name in ("conf", "srvr", "dirs"):
        return pairs(lines, texts)
    return numbered(lines, texts)


def metrics(member, texts):
    """Returns what Prometheus reads: HELP, TYPE and values."""
    port = member.settings["metricsProvider.httpPort"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        found = {"Content-Type": answer.headers["Content-Type"]}
        lines = answer.read().decode().splitlines()
    SUMMARIES.update(line.split()[2] for line in lines if re.match("# TYPE .* summary$", line))
    return {**found, **pairs(lines, texts, r"^(# HELP \S+|# TYPE \S+|[^{ ]+(?:\{.*\})?) (.*)$")}


def flat(value, texts, path="", list_key=""):
    """Yields the paths and values of a JSON value. `list_key` is the key of the list that it is an element of."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            number = int(name) if re.fullmatch(r"-?\d{5,}", name) else None
            name = texts.text(name) if number is None else texts.number(number)
            yield from flat(inner, texts, f"{path}.{name}")
    elif isinstance(value, list) and value:
        inner = [dict(flat(one, texts, list_key=path)) for one in value]
        for at, one in enumerate(sorted(inner, key=lambda one: json.dumps(one, sort_keys=True))):
            for key, text in one.items():
                yield f"{path}[{at}]{key}", text
    else:
        yield path, texts.value(path or list_key, value) if not isinstance(value, (list, dict)) else str(value)


def command(name, member, texts):
    status, body = get(member.settings["admin.serverPort"], name)
    try:
        answer = json.loads(body)
    except ValueError:
        return {"status": str(status), "body": "no JSON"}
    if name == "environment":
        answer = {key: "" for key in answer}
    if name == "system_properties":
        answer = {key: "" for key in answer if key in ("command", "error") or kept_property(key)}
    if name == "hash":
        answer["digests"] = len(answer.get("digests", ()))
    return {"status": str(status), **dict(flat(answer, texts))}


def everything(member, texts):
    """Returns all answers of a member: what was asked -> key -> value."""
    said = {}
    member.wait_at_rest()
    if "metricsProvider.httpPort" in member.settings:
        said["/metrics"] = metrics(member, texts)
    for name in TELLING:
        said[f"/commands/{name}"] = command(name, member, texts)
    for name in WORDS:
        said[name] = word(name, member, texts)
    said["mntr after srst"] = word("mntr", member, texts)
    said["cons after crst"] = word("cons", member, texts)
    for name in RESETS:
        said[f"/commands/{name}"] = command(name, member, texts)
    said["/commands/stats after resets"] = command("stats", member, texts)
    said["/commands/connections after resets"] = command("connections", member, texts)
    return said


# --- the work ---

def work(member, role, texts):
    """Sends the same requests to every server, one after the other. Returns the connection that stays open."""
    c = member.connect(timeout_ms=SESSION_MS)
    texts.know(c, f"session on {role}")
    top = f"/{role}"
    create = {"data": b"0123456789", "acl": OPEN_ACL}
    c.ok("create", path=top, flags=0, **create)
    c.ok("create", path=f"{top}/ephemeral", flags=1, **create)
    c.ok("create", path=f"{top}/sequential-", flags=2, **create)
    c.ok("create2", path=f"{top}/two", flags=0, **create)
    c.ok("createContainer", path=f"{top}/container", flags=4, **create)
    c.call("exists", path=f"{top}/none", watch=True)
    c.ok("getData", path=f"{top}/two", watch=True)
    c.ok("getChildren", path=top, watch=True)
    c.ok("getChildren2", path=top, watch=False)
    c.ok("setData", path=f"{top}/two", data=b"x" * 1000, version=-1)
    c.ok("create", path=f"{top}/none", flags=0, **create)
    c.ok("exists", path=top, watch=False)
    c.ok("getACL", path=top)
    c.ok("setACL", path=f"{top}/two", acl=[acl_entry("world", "anyone", 31)], version=-1)
    c.ok("sync", path=top)
    c.ok("getEphemerals", path=top)
    c.ok("getAllChildrenNumber", path="/")
    c.ok("auth", type=0, scheme="digest", auth=b"somebody:secret")
    c.ok("whoAmI")
    c.ok("addWatch", path=f"{top}/two", mode=0)
    c.ok("addWatch", path=top, mode=1)
    c.ok("ping")
    c.multi([("create", {"path": f"{top}/m", "flags": 0, **create}),
             ("setData", {"path": f"{top}/m", "data": b"1", "version": 0}),
             ("check", {"path": f"{top}/m", "version": 1})])
    # Refused requests are counted, too.
    c.multi([("check", {"path": f"{top}/m", "version": 7}),
             ("delete", {"path": f"{top}/m", "version": -1})])
    c.call("create", path=top, flags=0, **create)
    c.call("delete", path=top, version=-1)
    c.call("setData", path=f"{top}/two", data=b"", version=99)
    c.call("getData", path=f"{top}/nowhere", watch=False)
    c.call("reconfig", joiningServers=None, leavingServers=None, newMembers=None, curConfigId=-1)
    c.ok("delete", path=f"{top}/none", version=-1)
    c.ok("getData", path=f"{top}/two", watch=True)
    quota(c, role, top, create)
    passers_by(member, top, create)
    return c


def quota(c, role, top, create):
    """Sets a quota of bytes and nodes and exceeds it. It is not enforced."""
    below = f"/zookeeper/quota/{role}"
    c.ok("create", path=below, flags=0, data=b"", acl=OPEN_ACL)
    for name in ("zookeeper_limits", "zookeeper_stats"):
        c.ok("create", path=f"{below}/{name}", flags=0, data=b"count=3,bytes=30", acl=OPEN_ACL)
    c.ok("create", path=f"{top}/over", flags=0, **create)


def passers_by(member, top, create):
    """Connects clients that leave again: one closes its session, one sends nothing, one sends a request without a
    session, and one asks for a session that does not exist."""
    b = member.connect(timeout_ms=SESSION_MS)
    b.ok("create", path=f"{top}/of-b", flags=1, **create)
    b.ok("closeSession")
    closed(b)
    silent = member.connection()
    silent.close()
    stranger = member.connection()
    stranger.send_frame(encode("RequestHeader", {"xid": 1, "type": 4}))
    closed(stranger)
    lost = member.connection()
    lost.connect(session_id=0x7700000000001, timeout_ms=SESSION_MS)
    closed(lost)


def closed(connection):
    """Waits until the server has closed the connection."""
    try:
        while True:
            connection.receive()
    except Closed:
        pass
    finally:
        connection.close()


def work_reading(member, role, texts):
    """Sends requests to a read-only member. It gives only local sessions, and only if these are enabled. Returns the
    connection that stays open."""
    refused_at_once(member)
    c = member.connection()
    ask_for_session(c, read_only=True)
    try:
        answer = Reader(c.receive()).value("ConnectResponse")
    except EOFError:
        # The answer was the header of an error, but the session exists.
        texts.anonymous = f"session on {role}"
        return c
    c.session_id = answer["sessionId"]
    texts.know(c, f"session on {role}")
    c.ok("getData", path="/leader", watch=False)
    c.ok("exists", path="/leader", watch=True)
    c.ok("getChildren2", path="/leader", watch=False)
    for name, fields in (("create", {"path": "/refused", "flags": 0, "data": b"", "acl": OPEN_ACL}),
                         ("sync", {"path": "/"}), ("setACL", {"path": "/", "acl": OPEN_ACL, "version": -1})):
        error, _ = c.call(name, **fields)
        texts.seen[f"{name} is answered with"] = error_name(error)
    c.ok("ping")
    return c


def ask_for_session(connection, read_only):
    connection.send_frame(encode("ConnectRequest", {
        "protocolVersion": 0, "lastZxidSeen": 0, "timeOut": SESSION_MS, "sessionId": 0,
        "passwd": bytes(16)}) + bytes([read_only]))


def refused_at_once(member):
    """Connects a client that wants to write, and waits until the member has refused it."""
    c = member.connection()
    ask_for_session(c, read_only=False)
    closed(c)


# --- the servers ---

def settings_of(provider):
    """Returns the settings of one server. Each server has its own ports."""
    settings = {"admin.enableServer": "true", "admin.serverAddress": "127.0.0.1",
                "admin.serverPort": free_port(), "extendedTypesEnabled": "true"}
    if provider == "prometheus":
        settings.update({"metricsProvider.className": PROMETHEUS,
                         "metricsProvider.httpHost": "127.0.0.1",
                         "metricsProvider.httpPort": free_port(),
                         # With the other provider, there are no local sessions.
                         "localSessionsEnabled": "true", "localSessionsUpgradingEnabled": "true"})
    return settings


def quiet(member):
    """Waits until the counters of a server have not changed for a while."""
    def count():
        answer = command_of(member, "monitor")
        return {key: value for key, value in answer.items() if steady(key)}

    seen = [None, 0.0]

    def still():
        now = count()
        if now != seen[0]:
            seen[:] = [now, time.monotonic()]
        return time.monotonic() - seen[1] > QUIET_S
    wait_until(f"{member} is quiet", still, DEADLINE_S)


def steady(key):
    """Returns whether only work changes this value."""
    return not re.search("uptime|open_file|process_|jvm_|learner_handler_qp|startup|unavailable", key)


class Side:
    """The servers of one kind, with one metrics provider."""

    def __init__(self, kind, provider, workdir):
        self.kind, self.provider, self.workdir = kind, provider, fresh_dir(workdir)
        self.said = {}

    def run(self):
        """Returns role -> what was asked -> key -> value."""
        self.alone()
        self.together()
        return self.said

    def look(self, name, member, texts):
        self.said[name] = {**everything(member, texts), "the work": dict(texts.seen)}

    def alone(self):
        server = Watched(0, self.kind, False, self.workdir / "alone", settings=settings_of(self.provider))
        for setting in ("initLimit", "syncLimit", "peerType"):
            server.settings.pop(setting, None)
        texts = Texts(names_of([server]), server.workdir)
        try:
            server.start()
            server.wait_mode("standalone")
            quiet(server)
            self.look("standalone, fresh", server, texts)
            session = work(server, "standalone", texts)
            quiet(server)
            self.look("standalone", server, texts)
            session.close()
        finally:
            server.stop()

    def together(self):
        kinds = [(self.kind, False)] * 3 + [(self.kind, True)]
        ensemble = Ensemble(kinds, self.workdir / "ensemble", {"syncLimit": 10})
        ensemble.members = [self.watched(member) for member in ensemble.members]
        ensemble.write_lines()
        first = ensemble.members[0]
        first.properties["readonlymode.enabled"] = "true"
        texts = Texts(names_of(ensemble.members), self.workdir)
        with ensemble:
            ensemble.start()
            members = {"leader": ensemble.voters[-1], "follower": first, "observer": ensemble.members[-1]}
            for role, member in members.items():
                member.wait_mode(role)
                quiet(member)
            for role, member in members.items():
                self.look(f"{role}, fresh", member, texts)
            sessions = [work(member, role, texts) for role, member in members.items()]
            for member in members.values():
                quiet(member)
            for role, member in members.items():
                self.look(role, member, texts)
            for session in sessions:
                session.close()
            self.cut_off(ensemble, first, members["observer"], texts)

    def watched(self, member):
        return Watched(member.sid, member.kind, member.observer, member.workdir, member.host,
                       {"syncLimit": 10, **settings_of(self.provider)})

    def cut_off(self, ensemble, first, observer, texts):
        """Kills two of three voters, and reads what the other members say."""
        started = time.monotonic()
        all_at_once(*[other.kill for other in ensemble.members if other not in (first, observer)])
        first.wait_mode("read-only")
        uptime_ms = command_of(first, "monitor")["uptime"]
        is_new = uptime_ms <= (time.monotonic() - started) * 1000
        texts.seen["uptime begins anew with the role"] = str(is_new)
        wait_until(f"{observer} serves nothing", lambda: observer.mode() is None, DEADLINE_S)
        session = work_reading(first, "read-only", texts)
        refused_at_once(observer)
        quiet(first)
        self.look("read-only", first, texts)
        self.look("without a quorum", observer, texts)
        session.close()


def names_of(members):
    """Returns port -> name, for all ports of these members."""
    names = port_names(SimpleNamespace(members=members))
    for member in members:
        for setting in ("admin.serverPort", "metricsProvider.httpPort"):
            if setting in member.settings:
                names[str(member.settings[setting])] = f"{setting}{member.sid}"
    return names


# --- the comparison ---

def compare(role, provider, left, right, expected, show):
    """Yields a text for each difference that is not expected. With `show`, prints the expected ones."""
    for what in left:
        keys = sorted(left[what].keys() | right[what].keys())
        for key in keys:
            ours, theirs = right[what].get(key), left[what].get(key)
            reason = expected.reason(f"{role}/{provider}", what, key, theirs, ours)
            if reason is None:
                yield f"{what}: {key}\n        java {theirs}\n        ours {ours}"
            elif show and ours != theirs:
                print(f"    {what}: {key}: java {theirs}, ours {ours}: {reason}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--left", default="java:3.9.5")
    parser.add_argument("--right", default="ours")
    parser.add_argument("--provider", choices=PROVIDERS, action="append")
    parser.add_argument("--show", action="store_true",
                        help="print what the left servers say, and the differences that are expected")
    arguments = parser.parse_args()
    kinds = (arguments.left, arguments.right)
    require(*kinds)
    end_on_signals()
    expected = Expected(same_kind=arguments.left == arguments.right)
    failed = 0
    for provider in arguments.provider or PROVIDERS:
        root = work_root() / "collectors" / provider
        with ThreadPoolExecutor(2) as pool:
            left, right = pool.map(
                lambda kind, side: Side(kind, provider, root / side).run(), kinds, ("left", "right"))
        for role, said in left.items():
            if arguments.show:
                for what, values in said.items():
                    print("\n    ".join([f"{role} {what}", *map(str, values.items())]))
            differences = list(compare(role, provider, said, right[role], expected, arguments.show))
            for difference in differences:
                print(f"{role}: {difference}")
            failed += bool(differences)
            count = sum(len(values) for values in said.values())
            verdict = "FAIL" if differences else "PASS"
            name = role.replace(", ", "-").replace(" ", "-")
            differ = f", {len(differences)} differ" if differences else ""
            print(f"{verdict} differential/collectors@{name}/{provider} ({count} values{differ})", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
