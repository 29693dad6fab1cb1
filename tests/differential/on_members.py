"""Scenarios on a member of an ensemble: as leader, as follower, as observer.

To start an ensemble takes long, so one serves all scenarios with its settings, one after the other. In
between it is cleaned through the member that comes next: sessions end, nodes go. What differs between two
ensembles then is where their zxids stand, and their ports: the normaliser is told both.
"""

import re
import time
from dataclasses import replace

from executor import Executor
from harness.client import Closed, four_letter_word
from harness.ensemble import MODE_S, Ensemble
from harness.protocol import OPEN_ACL, error_name, session_password
from harness.servers import wait_until
from transcript import Normaliser

ROLES = ("leader", "follower", "observer")
# The newest zxid before a scenario is shown as this one: far from 0 and -1, which are words.
FIRST_ZXID = 1000
# Settings with which everything can be taken away again.
WITH_SUPER = {"DigestAuthenticationProvider.superDigest": "super:lK75jTNcA+U9vtVEw5vB51mj/w4="}
# Scenarios that try what is without that user.
WITHOUT_SUPER = {"defaults"}
KEPT = {"/": {"zookeeper"}, "/zookeeper": {"quota", "config"}}
CLOSED_S = 60.0
# How long a member may be silent before the others do without it.
MEMBER_TIME_MS = 20000
# Scenarios that are about a server on its own.
ALONE = {"reconfig"}


_SESSION = re.compile(r"\b0x[0-9a-f]{9,16}\b")


class Dirty(Exception):
    """What a scenario has left cannot be taken away: another ensemble is needed."""


class Side:
    """An ensemble of one kind: voters, of which the last leads, and an observer."""

    def __init__(self, kind, voters, workdir, settings, properties):
        members = [(kind, False)] * voters + [(kind, True)]
        # Members have their time on a machine that runs two ensembles.
        ticks = MEMBER_TIME_MS // int(settings.get("tickTime", 1000))
        limits = {"syncLimit": ticks, "initLimit": ticks}
        self.ensemble = Ensemble(members, workdir, {**limits, **settings}, properties)
        self.names = port_names(self.ensemble)
        self.sessions = {}

    def start(self):
        self.started_ms = time.time() * 1000
        self.ensemble.start()
        leader = self.ensemble.wait_leader()
        if leader is not self.ensemble.voters[-1]:
            raise AssertionError(f"{leader} leads, which is not the last voter")
        return self

    def stop(self):
        self.ensemble.__exit__()

    def member(self, role):
        return member_in(self.ensemble, role)

    def run(self, scenario, role):
        """The transcript of the scenario on the member in that role."""
        member = self.member(role)
        normaliser = self.normaliser(self.clean(member))
        leader = self.member("leader") if scenario.leader_first and role != "leader" else None
        executor = Executor(member, normaliser, leader)
        steps = [step for step in scenario.steps if "alone" not in step.flags]
        try:
            return executor.run(replace(scenario, steps=steps))
        finally:
            self.sessions = dict(normaliser.sessions)
            member.wait_mode(role)

    def normaliser(self, newest):
        """Shows what comes after that zxid as the other side does."""
        return Normaliser(newest - FIRST_ZXID, self.names, self.started_ms)

    def clean(self, member):
        """Ends all sessions and deletes all nodes; the zxid after that, which the member has seen."""
        # Also those that a client has left, which would end by themselves in the middle of the next scenario.
        left = set(map(int16, _SESSION.findall(four_letter_word(self.member("leader").port, "dump"))))
        for session_id in sorted(left.union(self.sessions)):
            end_session(member, session_id)
        self.sessions = {}
        connection = member.connect(timeout_ms=30000)
        connection.ok("sync", path="/")
        connection.ok("auth", type=0, scheme="digest", auth=b"super:secret")
        empty(connection, "/")
        empty(connection, "/zookeeper/quota")
        error, answer = connection.call("getData", path="/", watch=False)
        if error or answer["data"]:
            must(connection, "setData", path="/", data=b"", version=-1)
        error, answer = connection.call("getACL", path="/")
        if error or answer["acl"] != OPEN_ACL:
            must(connection, "setACL", path="/", acl=OPEN_ACL, version=-1)
        # The root's newest change is as far away on both sides.
        must(connection, "create", path="/cleaned", data=b"", acl=OPEN_ACL, flags=0)
        must(connection, "delete", path="/cleaned", version=-1)
        xid = connection.next_xid()
        connection.send_request(xid, -11, b"")
        header, _ = connection.reply(xid)
        connection.close()

        def nobody_is_left():
            try:
                return "sid=0x" not in four_letter_word(member.port, "cons", MODE_S, member.host)
            except OSError:
                return False
        wait_until(f"{member} has no connection left", nobody_is_left, CLOSED_S)
        return header["zxid"]


def member_in(ensemble, role):
    """The last voter leads, the first one follows, and the last member observes."""
    voters, last = ensemble.voters, ensemble.members[-1]
    member = {"leader": voters[-1], "follower": voters[0], "observer": last}[role]
    member.wait_mode(role)
    return member


def port_names(ensemble):
    """Port number -> what is shown instead."""
    names = {}
    for member in ensemble.members:
        names[str(member.port)] = f"CLIENT{member.sid}"
        names[str(member.quorum_port)] = f"QUORUM{member.sid}"
        names[str(member.election_port)] = f"ELECTION{member.sid}"
    return names


def int16(text):
    """A session's id, which has a sign."""
    number = int(text, 16)
    return number - (1 << 64) if number >> 63 else number


def end_session(member, session_id):
    connection = member.connection()
    try:
        answer = connection.connect(session_id=session_id, password=session_password(session_id))
        if answer["timeOut"] > 0:
            connection.call("closeSession")
    except Closed:
        pass
    finally:
        connection.close()


def must(connection, name, **fields):
    error, _ = connection.call(name, **fields)
    if error:
        raise Dirty(f"{name} {fields}: {error_name(error)}")


def empty(connection, path):
    """Deletes what is below a node, as far as it is no node of the server's own."""
    error, answer = connection.call("getChildren", path=path, watch=False)
    if error:
        raise Dirty(f"getChildren {path}: {error_name(error)}")
    for name in answer["children"]:
        if name not in KEPT.get(path, ()):
            child = f"{path.rstrip('/')}/{name}"
            empty(connection, child)
            must(connection, "delete", path=child, version=-1)
