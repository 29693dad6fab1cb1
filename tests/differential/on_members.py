"""Runs scenarios on a member of an ensemble: the leader, a follower or an observer.

To start an ensemble takes long, so one ensemble serves all scenarios with the same settings, one after the other.
Before each scenario, the ensemble is cleaned through the scenario's member: sessions are closed and nodes are deleted.
Two ensembles then differ only in their newest zxids and their ports, and the normaliser knows both.
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
# The newest zxid before a scenario is shown as this one. It is far from 0 and -1, which have a meaning of their own.
FIRST_ZXID = 1000
# Settings for a super user, who can delete everything that a scenario leaves.
WITH_SUPER = {"DigestAuthenticationProvider.superDigest": "super:lK75jTNcA+U9vtVEw5vB51mj/w4="}
# Scenarios that test a server without this user.
WITHOUT_SUPER = {"defaults"}
KEPT = {"/": {"zookeeper"}, "/zookeeper": {"quota", "config"}}
CLOSED_S = 60.0
# How long a member may be silent before it is given up.
MEMBER_TIME_MS = 20000
# Scenarios that are only for a standalone server.
ALONE = {"reconfig"}


_SESSION = re.compile(r"\b0x[0-9a-f]{9,16}\b")


class Dirty(Exception):
    """What a scenario has left cannot be removed, so another ensemble is needed."""


class Side:
    """An ensemble of one kind: voters, of which the last leads, and an observer."""

    def __init__(self, kind, voters, workdir, settings, properties):
        members = [(kind, False)] * voters + [(kind, True)]
        # The limits are long, because the machine runs two ensembles at the same time.
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
        """Runs the scenario on the member in that role. Returns the transcript."""
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
        """Returns a normaliser that shows the zxids after `newest` as that of the other side does."""
        return Normaliser(newest - FIRST_ZXID, self.names, self.started_ms)

    def clean(self, member):
        """Closes all sessions and deletes all nodes. Returns the last zxid after that, which the member has applied."""
        # These include sessions that a client has left open. They would expire in the middle of the next scenario.
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
        # With these two, the root's last change is equally old on both sides.
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
    """Returns the member in a role: the last voter leads, the first one follows, and the last member observes."""
    voters, last = ensemble.voters, ensemble.members[-1]
    member = {"leader": voters[-1], "follower": voters[0], "observer": last}[role]
    member.wait_mode(role)
    return member


def port_names(ensemble):
    """Returns port -> the name that is shown instead."""
    names = {}
    for member in ensemble.members:
        names[str(member.port)] = f"CLIENT{member.sid}"
        names[str(member.quorum_port)] = f"QUORUM{member.sid}"
        names[str(member.election_port)] = f"ELECTION{member.sid}"
    return names


def int16(text):
    """Returns a session id, which has a sign, from hexadecimal digits."""
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
    """Deletes everything below a node, except for the server's own nodes."""
    error, answer = connection.call("getChildren", path=path, watch=False)
    if error:
        raise Dirty(f"getChildren {path}: {error_name(error)}")
    for name in answer["children"]:
        if name not in KEPT.get(path, ()):
            child = f"{path.rstrip('/')}/{name}"
            empty(connection, child)
            must(connection, "delete", path=child, version=-1)
