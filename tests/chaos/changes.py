"""Changes the ensemble at random while faults are injected: members leave and come again, become observers and voters,
and move to other ports.

A change may have taken effect although nobody answered. So what counts is the newest configuration that a member shows.
"""

import random
import re
import time
from pathlib import Path

from harness.client import Closed
from harness.load import Session, SessionLost
from harness.protocol import error_name
from harness.servers import free_port, wait_until

SUPER = b"super:test"
SETTINGS = {"reconfigEnabled": "true"}
PROPERTIES = {
    "zookeeper.DigestAuthenticationProvider.superDigest": "super:D/InIHSb7yEEbrWz8b9l71RjZJU=",
}
CONFIG = "/zookeeper/config"
LINE = re.compile(r"^server\.(\d+)=[^:;]+:(\d+):(\d+):(participant|observer)(?:;(?:[^:;]+:)?(\d+))?$", re.M)
VERSION = re.compile(r"^version=([0-9a-f]+)$", re.M)
SESSION_MS, REPLY_S = 12000, 6.0
CALM_S = 1.5
RETRY_S = 0.2
# A two-voter ensemble still goes on after each fault, because all members come back.
FEWEST_VOTERS = 2
KINDS = ("leave", "observe", "vote", "vote", "move q", "move e", "move c")
# What a member may answer to a change that is not wrong in itself.
REFUSALS = ("RECONFIGINPROGRESS", "NEWCONFIGNOQUORUM", "BADVERSION")
# The request was lost, or the session was, before an answer.
UNKNOWN = "no answer"


def roles(text):
    """Returns server id -> role of the servers in a configuration."""
    return {int(sid): role for sid, _, _, role, _ in LINE.findall(text)}


def number(text):
    return int(VERSION.search(text)[1], 16)


class Changes:
    """Changes an ensemble. `tell` is called when the addresses of clients may have changed."""

    def __init__(self, ensemble, seed, say, tell):
        self.ensemble, self.random, self.say, self.tell = ensemble, random.Random(seed), say, tell
        self.fewest = max(FEWEST_VOTERS, ensemble.majority())
        self.wanted = {m.sid: "observer" if m.observer else "participant" for m in ensemble.members}
        self.text = ""
        # How often each kind of change was confirmed.
        self.done = {}
        # Answers that no change may get.
        self.problems = []

    def prepare(self):
        """Sets what the members need to change. Call it before they start."""
        for member in self.ensemble.members:
            member.settings.update(SETTINGS)
            member.properties.update(PROPERTIES)
            member.keeps_cfg = True
            member.before_start = self.before_start

    def run(self, stop):
        """Asks for one change after the other until `stop` is set."""
        while not stop.wait(self.random.uniform(RETRY_S, CALM_S)):
            text = self.look()
            if text:
                self.change(text)

    # --- what the members have ---

    @staticmethod
    def shown(member):
        """Returns the configuration that a serving member has, or an empty text."""
        if not member.running() or member.paused:
            return ""
        text = member.answer("conf", REPLY_S).partition("membership:")[2].strip()
        return text if VERSION.search(text) else ""

    def look(self):
        """Returns the newest configuration that a member shows, or an empty text, and notes the ports in it."""
        texts = {member: self.shown(member) for member in self.ensemble.members}
        newest = max(texts.values(), key=lambda text: number(text) if text else -1)
        if newest and (not self.text or number(newest) >= number(self.text)):
            self.text = newest
            ports = {int(sid): rest for sid, *rest in LINE.findall(newest)}
            for member in self.ensemble.members:
                if member.sid in ports:
                    quorum, election, _, client = ports[member.sid]
                    member.quorum_port, member.election_port = int(quorum), int(election)
                    if client and texts[member] == newest:
                        member.ports = [int(client)]
            self.tell()
        return newest

    def all_have(self, text):
        return all(self.shown(member) == text for member in self.ensemble.members)

    # --- requests ---

    def line(self, member, role, ports=None):
        quorum, election, client = ports or (member.quorum_port, member.election_port, member.ports[0])
        return f"server.{member.sid}={member.host}:{quorum}:{election}:{role};{member.host}:{client}"

    def change(self, text):
        label, request = self.choose(text)
        # Half of the changes depend on what the one who asks knows.
        version = number(text) if self.random.random() < 0.5 else -1
        asked = self.somebody()
        answer = self.ask(asked, version, **request)
        self.say("change:", label, f"({asked})", answer)
        if answer == "OK":
            kind = label.partition(" ")[2]
            self.done[kind] = self.done.get(kind, 0) + 1

    def choose(self, text):
        """Returns (label, request) of a random change that leaves enough voters."""
        now = roles(text)
        voters = [sid for sid, role in now.items() if role == "participant"]
        # A member that is down finds the others where they were. So only one of them may move meanwhile.
        may_move = self.all_have(text)
        while True:
            member, kind = self.random.choice(self.ensemble.members), self.random.choice(KINDS)
            role = now.get(member.sid)
            spare = role == "observer" or len(voters) > self.fewest
            if kind == "leave" and role and spare:
                return f"{member.sid} leaves", {"leaving": str(member.sid)}
            if kind == "observe" and role == "participant" and spare:
                return f"{member.sid} observes", {"joining": self.line(member, "observer")}
            if kind == "vote" and role != "participant":
                return f"{member.sid} votes", {"joining": self.line(member, "participant")}
            if kind.startswith("move") and role and may_move:
                return f"{member.sid} moves {kind[-1]}", {"joining": self.moved(member, role, kind[-1])}

    def moved(self, member, role, which):
        """Returns the line of a member with another quorum, election or client port."""
        ports = {"q": member.quorum_port, "e": member.election_port, "c": member.ports[0]}
        ports[which] = free_port()
        if which == "c":
            member.ports = [ports["c"], *member.ports]
            self.tell()
        return self.line(member, role, tuple(ports.values()))

    def somebody(self):
        """Returns a member that can be asked, if there is one."""
        members = self.ensemble.members
        return self.random.choice([m for m in members if m.running() and not m.paused] or members)

    def ask(self, member, version=-1, joining=None, leaving=None):
        """Asks a member for a change. Returns `OK`, the name of the error, or UNKNOWN."""
        session = Session([], timeout_ms=SESSION_MS, reply_s=REPLY_S)
        try:
            session.connection = session.connect_once((member.host, member.port))
            session.send("auth", type=0, scheme="digest", auth=SUPER)
            error, _, _ = session.send(
                "reconfig", joiningServers=joining, leavingServers=leaving, newMembers=None, curConfigId=version)
        except (Closed, SessionLost):
            return UNKNOWN
        finally:
            session.close()
        if error and error_name(error) not in REFUSALS:
            self.problems.append(f"{member} has answered {error_name(error)} to +{joining} -{leaving}")
        return error_name(error)

    # --- members that start again ---

    def before_start(self, member):
        """Writes a new zoo.cfg for a member whose own one does not have it any more, as an operator does: a server does
        not start with such a file."""
        if not member.cfg.exists():
            return
        named = re.search(r"^dynamicConfigFile=(.+)$", member.cfg.read_text(), re.M)
        if not named or f"server.{member.sid}=" in Path(named[1]).read_text():
            return
        self.say(member, "is no member in its own zoo.cfg and gets a new one")
        member.cfg.unlink()
        known = {sid for sid, role in roles(self.text).items() if role == "participant"} | {member.sid}
        for other in self.ensemble.members:
            member.settings.pop(f"server.{other.sid}", None)
            if other.sid in known:
                member.settings[f"server.{other.sid}"] = (
                    f"{other.host}:{other.quorum_port}:{other.election_port}:"
                    f"{self.wanted[other.sid] if other is member else 'participant'}")
        member.settings["clientPort"] = member.ports[0]

    # --- the end ---

    def restore(self, revive, deadline_s):
        """Gives all members their first roles, and waits until they serve in them and have one configuration. `revive`
        is called to start those that have ended."""
        left = []

        def restored():
            revive()
            text = self.look()
            now = roles(text)
            lines = [self.line(member, self.wanted[member.sid]) for member in self.ensemble.members
                     if now.get(member.sid) != self.wanted[member.sid]]
            left[:] = lines if text else ["nobody serves"]
            if text and lines:
                # One after the other: each may take the leadership away from who is asked.
                answer = self.ask(self.somebody(), joining=lines[0])
                self.say("change: the first role again:", lines[0], answer)
            if not left:
                left[:] = self.unlike(text)
            if left:
                time.sleep(RETRY_S)
            return not left
        try:
            wait_until("there is one configuration", restored, deadline_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {'; '.join(left)}") from None

    def unlike(self, text):
        """Returns what the members have that is not this configuration, as texts."""
        out = []
        for member in self.ensemble.members:
            if not member.serving():
                out.append(f"{member} is {member.mode()}")
                continue
            places = {"memory": self.shown(member), "tree": tree_text(member), "files": on_disk(member)}
            for where, found in places.items():
                if sorted(found.splitlines()) != sorted(text.splitlines()):
                    out.append(f"{member} has {found!r} in its {where}, not {text!r}")
        return out


def tree_text(member):
    """Returns the configuration in the tree of a member."""
    session = Session([], timeout_ms=SESSION_MS, reply_s=REPLY_S)
    try:
        session.connection = session.connect_once((member.host, member.port))
        error, answer, _ = session.send("getData", path=CONFIG, watch=False)
        return error_name(error) if error else answer["data"].decode()
    except (Closed, SessionLost):
        return UNKNOWN
    finally:
        session.close()


def on_disk(member):
    """Returns the configuration in the files of a member. One that is still pending belongs to it."""
    named = re.search(r"^dynamicConfigFile=(.+\.([0-9a-f]+))$", member.cfg.read_text(), re.M)
    if not named:
        return "no dynamic file"
    text = f"{Path(named[1]).read_text().strip()}\nversion={named[2]}"
    pending = member.cfg.with_name("zoo.cfg.dynamic.next")
    # Java's server leaves this file if it is killed before it has deleted it.
    if pending.exists() and (member.kind == "ours" or f"version={named[2]}" not in pending.read_text()):
        text += f"\npending {pending.read_text()!r}"
    return text
