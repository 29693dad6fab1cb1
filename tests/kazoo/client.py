"""Runs a small script with kazoo: create, read, update, watch, delete, multi. Runs in kazoo's venv.

Usage: client.py HOST:PORT. Prints the results, without times and session ids.
"""

import queue
import sys

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.protocol.states import WatchedEvent
from kazoo.security import make_digest_acl

EVENT_DEADLINE_S = 20


def stat(value):
    return (
        f"czxid={value.czxid} mzxid={value.mzxid} pzxid={value.pzxid} version={value.version} "
        f"cversion={value.cversion} aversion={value.aversion} len={value.dataLength} "
        f"kids={value.numChildren} ephemeral={value.ephemeralOwner != 0} "
        f"times={value.ctime > 0},{value.mtime >= value.ctime}"
    )


def show(value):
    if isinstance(value, tuple) and len(value) == 2 and hasattr(value[1], "czxid"):
        return f"{show(value[0])} {stat(value[1])}"
    if hasattr(value, "czxid"):
        return stat(value)
    if isinstance(value, WatchedEvent):
        return f"{value.type} {value.state} {value.path}"
    if isinstance(value, list):
        shown = [show(one) for one in value]
        return str(sorted(shown) if all(isinstance(one, str) for one in value) else shown)
    if isinstance(value, Exception):
        return type(value).__name__
    return repr(value)


class Script:
    """Calls a client's methods and prints their results."""

    def __init__(self, client):
        self.client = client
        self.events = queue.Queue()

    def do(self, name, *args, **kwargs):
        words = [str(arg) for arg in args] + [f"{k}={v}" for k, v in kwargs.items() if k != "watch"]
        try:
            result = show(getattr(self.client, name)(*args, **kwargs))
        except KazooException as error:
            result = f"raises {type(error).__name__}"
        print(name, *words, "->", result)

    def event(self):
        print("event", show(self.events.get(timeout=EVENT_DEADLINE_S)))


def main():
    client = KazooClient(hosts=sys.argv[1], timeout=30)
    other = KazooClient(hosts=sys.argv[1], timeout=30)
    client.start(timeout=60)
    other.start(timeout=60)
    script, second = Script(client), Script(other)
    do, watch = script.do, script.events.put

    do("create", "/a", b"one")
    do("create", "/a", b"again")
    do("create", "/a/b/c", b"", makepath=True)
    do("create", "/a/eph", b"mine", ephemeral=True)
    do("create", "/a/seq-", b"", sequence=True)
    do("create", "/a/seq-", b"", sequence=True, ephemeral=True)
    do("create", "/with", b"stat", include_data=True)
    do("create", "/none/x", b"")
    do("get", "/a")
    do("get", "/none")
    do("exists", "/none")
    do("exists", "/a/eph")
    do("get_children", "/a")
    do("get_children", "/a", include_data=True)
    do("get_children", "/none")
    do("ensure_path", "/deep/er/est")
    do("set", "/a", b"two", version=0)
    do("set", "/a", b"three", version=0)
    do("set", "/a", b"four")
    do("get_acls", "/a")
    do("set_acls", "/a/b", [make_digest_acl("bob", "builder", all=True)])
    do("get", "/a/b")
    do("get_acls", "/a/b")
    do("add_auth", "digest", "bob:builder")
    do("get", "/a/b")
    do("sync", "/a")

    do("exists", "/w", watch=watch)
    second.do("create", "/w", b"1")
    script.event()
    do("get", "/w", watch=watch)
    second.do("set", "/w", b"2")
    script.event()
    do("get_children", "/w", watch=watch)
    second.do("create", "/w/kid", b"")
    script.event()
    second.do("delete", "/w/kid")
    do("exists", "/w", watch=watch)
    second.do("delete", "/w")
    script.event()

    transaction = client.transaction()
    transaction.create("/t", b"1")
    transaction.create("/t/x", b"2")
    transaction.set_data("/t", b"3", version=0)
    transaction.check("/t", version=1)
    transaction.delete("/t/x")
    print("transaction ->", show(transaction.commit()))
    transaction = client.transaction()
    transaction.create("/u")
    transaction.check("/t", version=7)
    transaction.create("/v")
    print("transaction ->", show(transaction.commit()))
    do("exists", "/u")

    do("delete", "/a")
    do("delete", "/a", version=9, recursive=False)
    do("delete", "/none")
    do("delete", "/a", recursive=True)
    do("get_children", "/")
    do("create", "/e", b"", ephemeral=True)
    second.do("exists", "/e", watch=second.events.put)
    client.stop()
    second.event()
    second.do("exists", "/e")
    second.do("get_children", "/")
    other.stop()


main()
