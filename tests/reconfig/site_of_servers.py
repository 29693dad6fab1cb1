"""An ensemble whose members come, go and move while it runs, and what can be seen of it.

Ports, versions and directories differ from run to run. In what is compared, a port is `q3`, `e3` or `c3` (the quorum,
election and client port of server 3; `q3'` after it has moved once), and a version is `V1`, `V2`, ... in the order of
their appearance.
"""

import re
import signal
import time

from harness.client import Closed, Connection, Timeout, four_letter_word
from harness.ensemble import close
from harness.protocol import error_name
from harness.servers import Server, free_port, fresh_dir, wait_until

SETTLE_S = 60.0
MODE_S = 5.0
SESSION_MS = 60000
CONFIG = "/zookeeper/config"
SUPER = "super:test"
PROPERTIES = {
    "zookeeper.DigestAuthenticationProvider.superDigest": "super:D/InIHSb7yEEbrWz8b9l71RjZJU=",
    "zookeeper.snapshot.trust.empty": "true",
}
# What a client sees when its server changes its role.
LOST = (Closed, Timeout, OSError, EOFError)


class Peer(Server):
    """A server that is a member, was one or may become one. Its zoo.cfg is written before its first start only."""

    def __init__(self, site, sid, kind, workdir, host="127.0.0.1"):
        self.site, self.sid, self.host = site, sid, host
        self.moves = dict.fromkeys("qec", 0)
        self.ports = {}
        for which in "qec":
            self.ports[which] = site.new_port(self, which)
        super().__init__(kind, workdir, {
            "tickTime": 1000, "initLimit": 20, "syncLimit": 20, "maxClientCnxns": 0,
            "clientPort": self.ports["c"], "clientPortAddress": None,
            "reconfigEnabled": "true", "standaloneEnabled": "false",
        }, PROPERTIES)
        self.starts = 0

    def move(self, which):
        """Gives the server other ports, which its next line names. `which` are letters of q, e and c."""
        for letter in which:
            self.moves[letter] += 1
            self.ports[letter] = self.site.new_port(self, letter)

    def line(self, role="participant", client=True):
        ports = self.ports
        text = f"server.{self.sid}={self.host}:{ports['q']}:{ports['e']}:{role}"
        return text + (f";{self.host}:{ports['c']}" if client else "")

    def begin(self):
        self.starts += 1
        # Java's logger overwrites its file, so each start has its own file.
        self.log = self.workdir / f"server-{self.starts}.log"
        if self.starts > 1:
            return self.launch()
        self.data.mkdir(exist_ok=True)
        (self.data / "myid").write_text(f"{self.sid}\n")
        return self.start(wait=False)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def mode(self):
        try:
            answer = four_letter_word(self.port, "srvr", MODE_S, self.host)
        except OSError:
            return None
        modes = [line[6:].strip() for line in answer.splitlines() if line.startswith("Mode: ")]
        return modes[0] if modes else None

    def connect(self, auth=None):
        connection = Connection(self.port, self.host)
        connection.connect(timeout_ms=SESSION_MS)
        if not connection.established:
            connection.close()
            raise Closed
        if auth:
            connection.ok("auth", type=0, scheme="digest", auth=auth.encode())
        return connection

    def config(self):
        """Returns the text in its tree, or None if it does not serve."""
        try:
            connection = self.connect()
            try:
                return connection.ok("getData", path=CONFIG, watch=False)["data"].decode()
            finally:
                close(connection)
        except LOST:
            return None

    def files(self):
        return {path.name: path.read_text(errors="replace") for path in self.workdir.glob("zoo.cfg*")}

    def __str__(self):
        return f"server {self.sid} ({self.kind})"


class Site:
    """All servers that were ever there. Their kinds are those of a list; server 1 is the first one. `hosts` are their
    addresses."""

    def __init__(self, kinds, workdir, hosts=None):
        self.workdir = fresh_dir(workdir)
        self.names, self.versions = {}, []
        hosts = hosts or ["127.0.0.1"] * len(kinds)
        self.peers = {sid: Peer(self, sid, kind, self.workdir / f"server-{sid}", host)
                      for sid, (kind, host) in enumerate(zip(kinds, hosts), 1)}

    def new_port(self, peer, which):
        port = free_port()
        moves = getattr(peer, "moves", {}).get(which, 0)
        self.names[str(port)] = f"{which}{peer.sid}" + "'" * moves
        return port

    def __getitem__(self, sid):
        return self.peers[sid]

    def running(self):
        return [peer for peer in self.peers.values() if peer.running()]

    def leader(self):
        leaders = [peer for peer in self.running() if peer.mode() == "leader"]
        return leaders[0] if len(leaders) == 1 else None

    def found(self, sids, first):
        """Starts an ensemble of these servers, of which those in `first` start first."""
        for sid in sids:
            for other in sids:
                text = self[other].line(client=False)
                key, value = text.split("=", 1)
                self[sid].settings[key] = value
        for sid in first:
            self[sid].begin()
        wait_until("there is a leader", self.leader, SETTLE_S)
        for sid in sids:
            if sid not in first:
                self[sid].begin()

    def come(self, sid, known, role="participant"):
        """Starts a server that knows some members and itself. It is no member yet."""
        for other in (*known, sid):
            text = self[other].line(role if other == sid else "participant", client=False)
            key, value = text.split("=", 1)
            self[sid].settings[key] = value
        if role == "observer":
            self[sid].settings["peerType"] = "observer"
        self[sid].begin()
        wait_until(f"{self[sid]} serves", self[sid].mode, SETTLE_S)

    # --- what is compared ---

    def version(self, hexadecimal):
        if hexadecimal not in self.versions:
            self.versions.append(hexadecimal)
        return f"V{self.versions.index(hexadecimal) + 1}"

    def plain(self, text):
        """Returns the text with names in the place of ports and versions."""
        text = re.sub(r"(?<![0-9a-f])\d{4,5}(?![0-9a-f])", lambda port: self.names.get(port[0], port[0]), text)
        return re.sub(r"version=([0-9a-f]+)", lambda found: f"version={self.version(found[1])}", text)

    def ask(self, sid, joining=None, leaving=None, members=None, version=-1, auth=SUPER):
        """Asks a server for a change. Returns what it answers, as a text."""
        try:
            connection = self[sid].connect(auth)
        except LOST:
            return "no session"
        try:
            return self.ask_on(connection, joining, leaving, members, version)
        except LOST:
            return "connection lost"
        finally:
            close(connection)

    def ask_on(self, connection, joining=None, leaving=None, members=None, version=-1):
        error, answer = connection.call("reconfig", joiningServers=joining, leavingServers=leaving,
                                        newMembers=members, curConfigId=version)
        return self.answer(error, answer)

    def answer(self, error, answer):
        if error:
            return error_name(error)
        text, stat = answer["data"].decode(), answer["stat"]
        zxid = re.search(r"version=([0-9a-f]+)", text)[1]
        about = f"mzxid={'version' if stat['mzxid'] == int(zxid, 16) else hex(stat['mzxid'])}"
        length = "data" if stat["dataLength"] == len(text) else stat["dataLength"]
        return f"OK {self.plain(text)!r} {about} version={stat['version']} length={length}"

    def newest(self):
        texts = [text for text in (peer.config() for peer in self.running()) if text]
        return max(texts, key=number) if texts else ""

    def settled(self, at_least):
        """Returns the configuration that all running servers have, with its role on each, or None."""
        texts = {peer.sid: peer.config() for peer in self.running()}
        if None in texts.values():
            return None
        lines = {frozenset(text.splitlines()) for text in texts.values()}
        text = texts[min(texts)]
        if len(lines) != 1 or number(text) < at_least:
            return None
        leader = self.leader()
        if leader is None or f"server.{leader.sid}=" not in text:
            return None
        for peer in self.running():
            mode, role = peer.mode(), role_of(peer.sid, text)
            if (mode == "observer") != (role == "observer") or mode is None:
                return None
            if any(name.endswith(".next") for name in peer.files()):
                return None
        return text

    def look(self, at_least=0):
        """Waits until nothing is under way. Returns lines that say what the servers have."""
        try:
            text = wait_until("it settles", lambda: self.settled(at_least), SETTLE_S)
        except TimeoutError:
            return self.unsettled()
        out = [f"  config {self.plain(text)!r}"]
        for peer in self.running():
            role = role_of(peer.sid, text)
            mode = "voter" if peer.mode() in ("leader", "follower") else peer.mode()
            out.append(f"  server {peer.sid}: {role or 'no member'}, {mode}, {self.describe_files(peer, text)}")
        return out

    def describe_files(self, peer, text):
        current, files = version_of(text), peer.files()
        static = files["zoo.cfg"]
        dynamic = files.get(f"zoo.cfg.dynamic.{current}")
        keys = sorted({line.split("=")[0] for line in static.splitlines() if line and line[0] != "#"})
        refers = f"/zoo.cfg.dynamic.{current}\n" in static
        others = sorted(name[len("zoo.cfg"):] for name in files if ".dynamic." not in name and name != "zoo.cfg")
        expected = "\n".join(sorted(line for line in text.splitlines() if not line.startswith("version")))
        content = "the same" if dynamic == expected else repr(self.plain(dynamic)) if dynamic else "none"
        return (f"zoo.cfg {'names' if refers else 'does not name'} it, keys {','.join(keys)}, beside it "
                f"{','.join(others) or 'nothing'}, dynamic {content}")

    def unsettled(self):
        out = ["  UNSETTLED"]
        for peer in self.running():
            text = peer.config()
            out.append(f"  server {peer.sid}: {peer.mode()} {self.plain(text) if text else text!r} "
                       f"{sorted(peer.files())}")
        return out

    def close(self):
        for peer in self.peers.values():
            if peer.running():
                peer.resume()
            peer.kill()


def version_of(text):
    return re.search(r"version=([0-9a-f]+)", text)[1]


def number(text):
    return int(version_of(text), 16)


def role_of(sid, text):
    """Returns the role of a server in a configuration, or an empty text if it is no member."""
    found = re.search(rf"^server\.{sid}=[^;\n]*:(participant|observer)", text, re.M)
    return found[1] if found else ""
