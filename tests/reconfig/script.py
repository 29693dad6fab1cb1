"""The steps. Each is a change of an ensemble that runs, or a refused one, and what follows from it.

Server 1 to 3 found the ensemble, and server 3 leads first. Servers 4 and 5 come later. A function of this file gets a
`Script` and makes some steps.
"""

import threading

from harness.client import four_letter_word
from harness.ensemble import close
from harness.protocol import error_name
from harness.servers import wait_until
from site_of_servers import CONFIG, LOST, SETTLE_S, SUPER, number, role_of

NODE_EXISTS = -110
OPEN = [{"perms": 31, "id": {"scheme": "world", "id": "anyone"}}]


class Script:
    """Makes steps and keeps what was seen after each."""

    def __init__(self, site, shown=None):
        self.site, self.shown = site, shown
        self.lines = []
        self.steps = 0
        self.newest = 0

    def note(self, label, *lines):
        self.steps += 1
        found = [f"{self.steps:03} {label}", *lines]
        self.lines += found
        if self.shown:
            print("\n".join(found), file=self.shown, flush=True)

    def look(self):
        seen = self.site.look(self.newest)
        text = self.site.newest()
        self.newest = max(self.newest, number(text) if text else 0)
        return seen

    def refuse(self, label, sid, **request):
        """A step that changes nothing."""
        self.note(f"{label}, at {self.role(sid)}", f"  {self.site.ask(sid, **request)}")

    def role(self, sid):
        return {"leader": "the leader", "follower": "a follower", "observer": "an observer"}.get(
            self.site[sid].mode(), "nobody")

    def change(self, label, sid, stays=True, **request):
        """A step that changes the ensemble, through server `sid`. With `stays`, the leader remains, and so does the
        client's connection."""
        before = self.site.leader()
        answer = self.site.ask(sid, **request)
        self.note(label)
        if stays or not answer.startswith(("OK", "connection lost", "no session")):
            self.lines.append(f"  {answer}")
        if answer.startswith(("OK", "connection lost")):
            self.newest += 1
        seen = self.look()
        after = self.site.leader()
        if stays:
            self.lines.append(f"  the leader {'stays' if after is before else 'has changed'}")
        else:
            self.lines.append(f"  the leader {'has changed' if after is not before else 'stays'}")
        self.lines += seen
        if self.shown:
            print("\n".join(seen), file=self.shown, flush=True)

    def another(self, *without):
        """A running voter that does not lead, other than those."""
        leader = self.site.leader()
        text = self.site.newest()
        for peer in self.site.running():
            if peer is not leader and peer.sid not in without and role_of(peer.sid, text) == "participant":
                return peer.sid
        raise AssertionError("no other voter runs")

    def lead_again(self):
        """A step in which all servers start again, so that server 3 leads. Who leads after a handover depends on who
        was fastest, and what follows must not."""
        peers = self.site.running()
        for peer in peers:
            peer.kill()
        first = [self.site[sid] for sid in (1, 2, 3)]
        for peer in first:
            peer.begin()
        wait_until("there is a leader", self.site.leader, SETTLE_S)
        for peer in peers:
            if peer not in first:
                peer.begin()
        seen = self.look()
        leader = self.site.leader()
        self.note("all start again", f"  server {leader.sid if leader else None} leads", *seen)

    def write(self, sid, path):
        """A step that writes through a server and reads on all."""
        def written():
            try:
                connection = self.site[sid].connect()
                error, _ = connection.call("create", path=path, data=b"x", acl=OPEN, flags=0)
                close(connection)
                # An attempt without an answer may have made it.
                return "OK" if error == NODE_EXISTS else error_name(error)
            except LOST:
                return None
        answer = wait_until(f"{path} is written", written, SETTLE_S)
        self.note(f"server {sid} writes {path}", f"  {answer}")

        def read(peer):
            try:
                connection = peer.connect()
                connection.ok("sync", path="/")
                error, _ = connection.call("exists", path=path, watch=False)
                close(connection)
                return error == 0
            except LOST:
                return False
        for peer in self.site.running():
            wait_until(f"{peer} has {path}", lambda: read(peer), SETTLE_S)


def lines(site, *sids, **roles):
    return ",".join(site[sid].line(roles.get(f"s{sid}", "participant")) for sid in sids)


def refusals(script):
    """Yields (label, request) that are refused everywhere, for an ensemble of servers 1 to 3."""
    site = script.site
    ports = "127.0.0.1:10001:10002"
    dead = ",".join(f"server.{sid}=127.0.0.1:1{sid:02}01:1{sid:02}02;1{sid:02}03" for sid in range(11, 16))
    all_of = lines(site, 1, 2, 3)
    yield "join: nonsense", {"joining": "nonsense"}
    yield "join: no quorum port", {"joining": "server.4=127.0.0.1:10001;10003"}
    yield "join: no client port", {"joining": f"server.4={ports}"}
    yield "join: a port that is none", {"joining": "server.4=127.0.0.1:x:10002;10003"}
    yield "join: a port that is too large", {"joining": "server.4=127.0.0.1:70000:10002;10003"}
    yield "join: a negative port", {"joining": "server.4=127.0.0.1:-1:10002;10003"}
    yield "join: one port for two", {"joining": "server.4=127.0.0.1:10001:10001;10003"}
    yield "join: an unknown role", {"joining": f"server.4={ports}:voter;10003"}
    yield "join: an id that is none", {"joining": f"server.x={ports};10003"}
    yield "join: two equal signs", {"joining": f"server.4={ports}=;10003"}
    yield "join: two client parts", {"joining": f"server.4={ports};10003;10004"}
    yield "join: several addresses", {"joining": f"server.4={ports}|127.0.0.2:10001:10002;10003"}
    yield "leave: an id that is none", {"leaving": "x"}
    yield "leave: all", {"leaving": "1,2,3"}
    yield "join: servers that are not there", {"joining": dead}
    yield "a later version", {"version": 1 << 60}
    yield "version 0", {"version": 0}
    yield "all: nonsense", {"members": "nonsense"}
    yield "all: nothing", {"members": ""}
    yield "all: a key of zoo.cfg", {"members": f"{all_of},tickTime=2000"}
    yield "all: a server without ports", {"members": "server.1=127.0.0.1"}
    yield "all: observers only", {"members": lines(site, 1, 2, s1="observer", s2="observer")}
    yield "all: an id that is none", {"members": f"{all_of},server.y={ports};10003"}
    yield "all: a port that is too large", {"members": "server.1=127.0.0.1:70000:10002;10003"}
    yield "all: a version that is none", {"members": f"{all_of},version=zz"}
    yield "all: a voter without a group", {"members": f"{all_of},group.1=1:2"}
    yield "all: a server in two groups", {"members": f"{all_of},group.1=1:2:3,group.2=3"}
    yield "all: a stranger in a group", {"members": f"{all_of},group.1=1:2:3:9"}
    yield "all: a weight that is none", {"members": f"{all_of},group.1=1:2:3,weight.1=x"}
    yield "all: servers that are not there", {"members": dead}


def founding(script):
    site = script.site
    site.found([1, 2, 3], first=[2, 3])
    script.note("three servers found the ensemble")
    script.lines += script.look()
    script.write(1, "/first")


def refused(script):
    follower, leader = 1, script.site.leader().sid
    for sid in (follower, leader):
        script.refuse("nobody in particular asks", sid, auth=None)
        script.refuse("a user asks", sid, auth="user:pw")
    script.refuse("nobody in particular asks for nonsense", follower, auth=None, joining="nonsense")
    script.refuse("nobody in particular asks from version 0", follower, auth=None, version=0)
    for label, request in refusals(script):
        script.refuse(label, follower, **request)
    for label, request in refusals(script):
        script.refuse(label, leader, **request)
    script.note("nothing has changed", *script.look())


def watched(script, sid, label, **request):
    """A change, and the events of a watch of each kind at a server that keeps its role."""
    once, forever = script.site[sid].connect(), script.site[sid].connect()
    once.ok("getData", path=CONFIG, watch=True)
    forever.ok("addWatch", path=CONFIG, mode=0)
    script.change(label, sid, **request)
    events = []
    for connection in (once, forever):
        connection.next_event()
        # What was sent before the answer has arrived with it.
        connection.ok("sync", path="/")
        connection.ok("exists", path="/", watch=False)
        events.append(1 + len(connection.events))
        close(connection)
    script.note("events of the watches", f"  once: {events[0]}, persistent: {events[1]}")


def conditions(script):
    site = script.site
    version = number(site.newest())
    watched(script, script.another(), "nothing changes, from the present version", version=version)
    script.change("a stranger leaves", 1, leaving="99")
    script.change("all members are as before", 2, members=lines(site, 1, 2, 3))
    script.change("a member joins as it is", 1, joining=site[2].line())
    script.refuse("from a version before", 1, version=version)


def growing(script):
    site = script.site
    site.come(4, [1, 2, 3])
    for label, request in list(refusals(script))[:3]:
        script.refuse(f"before it is a member: {label}", 4, **request)
    script.change("server 4 joins through itself", 4, joining=site[4].line())
    script.write(4, "/fourth")
    site.come(5, [1, 2], role="observer")
    script.change("server 5 joins as an observer", 1, joining=site[5].line("observer"))
    script.write(5, "/fifth")
    script.change("server 4 becomes an observer", 1, joining=site[4].line("observer"))
    script.change("server 4 becomes a voter", 1, joining=site[4].line())
    script.change("server 5 becomes a voter", 2, joining=site[5].line())
    script.write(5, "/five")
    script.change("servers 4 and 5 become observers", 1, joining=lines(site, 4, 5, s4="observer", s5="observer"))
    script.change("one leaves and one becomes a voter", 1, leaving="4", joining=site[5].line())
    script.write(4, "/left")
    script.change("the one that has left joins again", 4, joining=site[4].line())


def moving(script):
    site = script.site
    for which, label in (("c", "client"), ("e", "election"), ("q", "quorum"), ("qec", "all")):
        sid = script.another()
        site[sid].move(which)
        asked = script.another(sid)
        before = site[sid].port
        if "c" in which:
            # The answer to what is asked next comes from the new port.
            site[sid].port = site[sid].ports["c"]
        script.change(f"the {label} port of a follower moves", asked, joining=site[sid].line())
        if "c" in which:
            script.note("the old client port", f"  {'is closed' if is_closed(before) else 'is open'}")
        script.write(sid, f"/moved-{which}")
    leader = site.leader().sid
    site[leader].move("c")
    asked, site[leader].port = script.another(leader), site[leader].ports["c"]
    script.change("the client port of the leader moves", asked, joining=site[leader].line())
    site[leader].move("e")
    script.change("the election port of the leader moves", asked, joining=site[leader].line())
    site[leader].move("q")
    script.change("the quorum port of the leader moves", asked, stays=False, joining=site[leader].line())
    script.write(leader, "/moved-leader")
    script.lead_again()


def is_closed(port):
    try:
        four_letter_word(port, "srvr", 5)
        return False
    except OSError:
        return True


def handing_over(script):
    site = script.site
    for round_ in (1, 2):
        leader = site.leader().sid
        asked = script.another(leader)
        script.change("the leader leaves", asked, stays=False, leaving=str(leader))
        script.write(leader, f"/left-{round_}")
        script.change("it joins again through itself", leader, joining=site[leader].line())
        script.lead_again()
    leader = site.leader().sid
    script.change("the leader becomes an observer", script.another(leader), stays=False,
                  joining=site[leader].line("observer"))
    script.write(leader, "/observed")
    # Whether this one leads or follows: it keeps its role.
    script.change("it becomes a voter", 1, joining=site[leader].line())
    script.lead_again()
    leader = site.leader().sid
    rest = [sid for sid in (1, 2, 3, 4, 5) if sid != leader]
    script.change("all but the leader are named", script.another(leader), stays=False, members=lines(site, *rest))
    script.change("all are named", rest[0], members=lines(site, 1, 2, 3, 4, 5))
    script.lead_again()


def grouped(script):
    site = script.site
    everybody = lines(site, 1, 2, 3, 4, 5)
    script.change("groups", script.another(), members=f"{everybody},group.1=1:2:3,group.2=4:5,weight.3=2")
    for label, request in (("leave", {"leaving": "5"}), ("join", {"joining": site[5].line()}),
                           ("nothing", {})):
        script.refuse(f"in groups: {label}", script.another(), **request)
    script.write(script.another(), "/grouped")
    leader = site.leader().sid
    light = script.another()
    script.change("a group without weight", leader, members=f"{everybody},group.1="
                  f"{':'.join(str(sid) for sid in range(1, 6) if sid != light)},group.2={light},weight.{light}=0")
    script.write(light, "/weightless")
    script.change("no groups", leader, members=everybody.replace(",", "\n"))


def pending(script):
    site = script.site
    leader = site.leader()
    others = [peer for peer in site.running() if peer is not leader]
    one, two = leader.connect(SUPER), leader.connect(SUPER)
    for peer in others:
        peer.pause()
    answers = {}

    def ask(name, connection, **request):
        try:
            answers[name] = site.ask_on(connection, **request)
        except LOST as error:
            answers[name] = type(error).__name__

    first = threading.Thread(target=ask, args=("first", one), kwargs={"leaving": "5"})
    first.start()
    wait_until("it is proposed", lambda: "zoo.cfg.dynamic.next" in leader.files(), SETTLE_S)
    second = threading.Thread(target=ask, args=("second", two), kwargs={"leaving": "4"})
    second.start()
    wait_until("the leader has both", lambda: outstanding(leader) >= 2, SETTLE_S)
    script.note("a change is pending", f"  beside zoo.cfg {sorted(n for n in leader.files() if 'next' in n)}",
                f"  {site.plain(leader.files()['zoo.cfg.dynamic.next'])!r}")
    for peer in others:
        peer.resume()
    first.join()
    second.join()
    for connection in (one, two):
        close(connection)
    script.newest += 1
    script.note("the pending one is committed", f"  {answers.get('first')}")
    script.note("another one meanwhile", f"  {answers.get('second')}", *script.look())
    script.change("server 5 joins again", script.another(), joining=site[5].line())


def outstanding(peer):
    answer = four_letter_word(peer.port, "mntr")
    found = [line.split("\t")[1] for line in answer.splitlines() if line.startswith("zk_outstanding_requests\t")]
    return int(float(found[0])) if found else 0


def killed(script):
    site = script.site
    dead = script.another()
    site[dead].kill()
    script.change("a member that is dead leaves", script.another(), leaving=str(dead))
    script.refuse("all others but one leave", script.another(),
                  leaving=",".join(str(peer.sid) for peer in site.running()[1:]) + ",99",
                  joining=",".join(f"server.{sid}=127.0.0.1:1{sid}01:1{sid}02;1{sid}03" for sid in (21, 22)))
    site[dead].begin()
    wait_until(f"{site[dead]} serves", site[dead].mode, SETTLE_S)
    script.note("it comes back with its old files", *script.look())
    script.change("it joins again", dead, joining=site[dead].line())
    script.lead_again()
    script.write(script.another(), "/again")


def shrinking(script):
    site = script.site
    while len([peer for peer in site.running()]) > 1:
        leader = site.leader()
        leaving = script.another(leader.sid)
        script.change(f"{len(site.running())} become one less", leader.sid, leaving=str(leaving))
        site[leaving].kill()
        script.write(leader.sid, f"/{len(site.running())}-are-left")
    last = site.running()[0]
    script.refuse("the last one leaves", last.sid, leaving=str(last.sid))
    connection = last.connect()
    names = sorted(connection.ok("getChildren", path="/", watch=False)["children"])
    close(connection)
    script.note("what the last one has", f"  {names}")
    last.kill()
    last.begin()
    script.note("the last one starts again", *script.look())


ALL = (founding, refused, conditions, growing, moving, handing_over, grouped, pending, killed, shrinking)
