"""kazoo, which holds a session with an ephemeral node and a watch, and writes, while the servers change. Prints what it
sees. It stops writing when its input has a line, and ends with its input. Runs in kazoo's venv.

Usage: holder.py HOST:PORT,... NAME TIMEOUT_MS. tests/java/Holder.java is the same with Java's client.
"""

import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import ConnectionLoss, NodeExistsError

WATCHED = "/watched"
PAUSE_S = 0.05


class Holder:
    def __init__(self, servers, name, timeout_ms):
        self.name = name
        self.changed, self.rests, self.over = threading.Event(), threading.Event(), threading.Event()
        self.changed.set()
        self.lock = threading.Lock()
        # Whether the next write was sent before.
        self.again = False
        self.client = KazooClient(hosts=servers, timeout=timeout_ms / 1000)
        self.client.add_listener(self.changes_state)

    def say(self, *words):
        with self.lock:
            print(*words, flush=True)

    def changes_state(self, state):
        """Runs in kazoo's thread, so it may not wait."""
        self.say("state", {KazooState.CONNECTED: "SyncConnected", KazooState.SUSPENDED: "Disconnected",
                           KazooState.LOST: "Expired"}[state])
        if state == KazooState.CONNECTED:
            self.say("session", hex(self.client.client_id[0]))
        elif state == KazooState.LOST:
            self.over.set()

    def create(self, path, **how):
        """Creates a node. Returns whether the server has confirmed it."""
        try:
            self.client.create(path, **how)
        except ConnectionLoss:
            self.again = True
            return False
        except NodeExistsError:
            # The attempt before may have created it.
            if not self.again:
                raise
        self.again = False
        return True

    def look(self):
        self.changed.clear()
        try:
            data, _ = self.client.get(WATCHED, watch=lambda event: self.changed.set())
            self.say("saw", data.decode())
        except ConnectionLoss:
            self.changed.set()

    def hold(self):
        self.client.start(timeout=60)
        while not self.over.is_set() and not self.create(f"/held-by-{self.name}", ephemeral=True):
            time.sleep(PAUSE_S)
        count = 0
        while not self.over.is_set():
            if self.changed.is_set():
                self.look()
            # A write that may have been done or not is completed first.
            if not self.rests.is_set() or self.again:
                path = f"/{self.name}-{count}"
                if self.create(path):
                    self.say("acknowledged", path)
                    count += 1
            else:
                self.say("rests", count)
                self.over.wait()
            time.sleep(PAUSE_S)
        self.client.remove_listener(self.changes_state)
        self.client.stop()
        self.client.close()


def main():
    holder = Holder(sys.argv[1], sys.argv[2], int(sys.argv[3]))

    def listen():
        for _ in sys.stdin:
            holder.rests.set()
        holder.over.set()
    threading.Thread(target=listen, daemon=True).start()
    holder.hold()


if __name__ == "__main__":
    main()
