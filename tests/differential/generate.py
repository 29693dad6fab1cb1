"""Makes up scenarios. A seed always gives the same scenario.

Three clients do all kinds of operations on a few nodes, alone, in multis and in pipelines, so that most operations
depend on those of other clients. Requests that Java itself may answer in two ways are left out: a pipeline sets no ACL
and touches no quota, because Java checks both without the changes that are still in flight.
"""

import random

PATHS = ("/a", "/a/b", "/a/b/c", "/a/d", "/e", "/e/f", "/g", "/g/h", "/")
UNDER_QUOTA = ("/q", "/q/1", "/q/2")
START = """\
server extendedTypesEnabled=true
server enforceQuota=true
- srst
A open timeout=60000
B open timeout=60000
C open timeout=60000
A auth digest bob:pw
A create /zookeeper/quota/q
A create /zookeeper/quota/q/zookeeper_limits data=count=-1,bytes=-1=;byteHardLimit=60;countHardLimit=4
A create /zookeeper/quota/q/zookeeper_stats data=count=0,bytes=0
"""
STEPS = 700
STATUS_EVERY = 150
DATA = ("", " data=x", " data=hello", " data=null", " data=zeros:50")
VERSION = ("", "", "", " version=0", " version=1", " version=2")
MODE = ("", "", "", " mode=ephemeral", " mode=sequential", " mode=ephemeral_sequential")
ACL = (*[""] * 6, " acl=world:anyone:r", " acl=world:anyone:cdrw", " acl=auth::cdrwa",
       " acl=digest:bob:pw:r")


def create(choice, path):
    kind = choice(("create", "create", "create2", "create", "createContainer", "createTTL"))
    if kind == "createTTL":
        return f"{kind} {path}{choice(DATA)}{choice(ACL)} ttl=100000"
    if kind == "createContainer":
        return f"{kind} {path}{choice(ACL)}"
    return f"{kind} {path}{choice(DATA)}{choice(ACL)}{choice(MODE)}"


def write(choice, path):
    """Returns an operation that may be part of a multi."""
    return choice((
        lambda: create(choice, path), lambda: create(choice, path),
        lambda: f"setData {path}{choice(DATA)}{choice(VERSION)}",
        lambda: f"delete {path}{choice(VERSION)}",
    ))()


def read(choice, path):
    return choice((
        f"exists {path} watch", f"exists {path} watch", f"getData {path} watch",
        f"getChildren2 {path} watch", f"getChildren {path}", f"getACL {path}", f"sync {path}",
        f"addWatch {path} {choice((0, 1))}", f"removeWatches {path} {choice((1, 2, 3, 4, 5))}",
        f"checkWatches {path} {choice((1, 2, 3, 4, 5))}", f"getAllChildrenNumber {path}",
        f"getEphemerals {path}",
    ))


def operation(choice, path):
    return choice((write, write, read))(choice, path)


def step(rng, client):
    choice, paths = rng.choice, PATHS + UNDER_QUOTA
    kind = rng.randrange(100)
    if kind < 10:
        parts = [choice((write, write, write, lambda _, path: f"check {path}{choice(VERSION)}"))(
            choice, choice(paths)) for _ in range(rng.randrange(1, 6))]
        return [f"{client} multi", *[f"  {part}" for part in parts]]
    if kind < 20:
        parts = [operation(choice, choice(PATHS)) for _ in range(rng.randrange(2, 8))]
        return [f"{client} pipeline", *[f"  {part}" for part in parts]]
    if kind < 21:
        again = [f"{client} close !unordered", f"{client} open timeout=60000"]
        return again + ([f"{client} auth digest bob:pw"] if client == "A" else [])
    if kind < 24:
        acl = choice(("open", "world:anyone:rwcda", "auth::rwcda", "world:anyone:r"))
        return [f"{client} setACL {choice(paths)} acl={acl}{choice(VERSION)}"]
    return [f"{client} {operation(choice, choice(paths))}"]


def scenario(seed):
    """Returns the text of the scenario of this seed."""
    rng = random.Random(seed)
    lines = [START]
    for number in range(STEPS):
        lines += step(rng, rng.choice("ABC"))
        if number % STATUS_EVERY == STATUS_EVERY - 1:
            lines += ["- wchs", "- srvr", "- mntr"]
    return "\n".join(lines) + "\n"
