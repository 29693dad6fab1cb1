#!/usr/bin/env python3
"""A hostile process, which attacks one port of one server after the other, until its time is over.

    hostile.py PLAN PART        as run.py starts it; PLAN is a file of JSON, PART this process's number

What it does depends only on the plan's seed and on PART, except for the timing. It records its attacks in
`attacks-PART.jsonl`, so that a failure can be compared with the attacks of that time.
"""

import json
import os
import random
import resource
import signal
import socket
import struct
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import frames  # noqa: E402
import kinds  # noqa: E402

# The shortest and the longest attack, in seconds.
SHORTEST_S, LONGEST_S = 1.5, 4.0
# The time limit for one send or answer. It is short, because a process that waits does not attack.
PATIENCE_S = 1.0
# Hostile connections come from this many addresses. Honest clients have another address, so that `maxClientCnxns`
# protects them.
ADDRESSES = 40
FILES = 4000
# Servers run before hostile processes, because real attackers would not share the processors with them.
NICENESS = 10


class Attack:
    """An attack on a port of a target, with its source of random numbers and with sockets that end with the attack."""

    def __init__(self, target, port, chance, until, good):
        self.target, self.port, self.random, self.until = target, port, chance, until
        self.requests, self.connects = good
        self.sockets = []
        self.connections, self.refused, self.sent, self.received = 0, 0, 0, 0

    def more(self):
        """Returns whether there is time left."""
        return time.monotonic() < self.until

    def pause(self, seconds):
        time.sleep(max(0.0, min(seconds, self.until - time.monotonic())))

    def connect(self):
        """Connects from a random hostile address. Returns the socket, or None if that fails."""
        sock = socket.socket()
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            # With this option, the source port is chosen when the socket connects, so that sockets can share a port.
            sock.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
            sock.bind((f"127.66.0.{self.random.randrange(1, ADDRESSES + 1)}", 0))
            sock.connect((self.target["host"], self.target["ports"][self.port]))
        except OSError:
            sock.close()
            self.refused += 1
            self.pause(0.02)
            return None
        self.connections += 1
        self.sockets.append(sock)
        return sock

    def session(self, timeout_ms=4000):
        """Returns a connection with a new session, or None if that fails."""
        sock = self.connect()
        if sock is None:
            return None
        if self.send(sock, frames.connect(timeout_ms)) and len(self.receive(sock, 41)) == 41:
            return sock
        self.close(sock)
        return None

    def several(self, count, make=None):
        """Returns this many connections, or fewer if some fail or the time is over."""
        made = []
        for _ in range(count):
            sock = (make or self.connect)()
            if sock:
                made.append(sock)
            if not self.more():
                break
        return made

    def send(self, sock, data):
        """Sends data. Returns whether all of it was sent."""
        try:
            sock.sendall(data)
        except OSError:
            return False
        self.sent += len(data)
        return True

    def send_some(self, sock, data):
        """Sends as much as possible without waiting. Returns the number of bytes."""
        try:
            sock.setblocking(False)
            sent = sock.send(data)
        except OSError:
            sent = 0
        sock.settimeout(PATIENCE_S)
        self.sent += sent
        return sent

    def send_in_pieces(self, sock, data):
        at = 0
        while at < len(data):
            end = at + self.random.randrange(1, self.random.choice((2, 8, 100, 4096, 1 << 20)))
            if not self.send(sock, data[at:end]):
                return False
            at = end
        return True

    def receive(self, sock, count):
        """Returns this many bytes, or fewer if the connection ends or nothing more comes."""
        data = b""
        while len(data) < count:
            try:
                piece = sock.recv(min(count - len(data), 1 << 16))
            except OSError:
                break
            if not piece:
                break
            data += piece
        self.received += len(data)
        return data

    def drain(self, sock):
        """Reads what has arrived, without waiting. Returns False if the connection has ended."""
        sock.setblocking(False)
        try:
            while self.more():
                piece = sock.recv(1 << 20)
                if not piece:
                    return False
                self.received += len(piece)
        except BlockingIOError:
            pass
        except OSError:
            return False
        sock.settimeout(PATIENCE_S)
        return True

    def drop(self, sock):
        """Ends a connection with a reset."""
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.close(sock)

    def close(self, sock):
        sock.close()
        if sock in self.sockets:
            self.sockets.remove(sock)

    def end(self, sock):
        """Ends a connection in a random way: with a reset, by closing it, or after it has read what comes."""
        choice = self.random.randrange(8)
        if choice == 0:
            self.drop(sock)
        elif choice < 3:
            self.close(sock)
        else:
            try:
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            # The limit is short, because a process that waits for each connection does not attack.
            sock.settimeout(0.2)
            self.receive(sock, 1 << 20)
            self.close(sock)

    def end_all(self):
        for sock in list(self.sockets):
            if self.random.randrange(4) == 0:
                self.drop(sock)
            else:
                sock.close()
        self.sockets.clear()


def deck(plan):
    """Returns every kind of attack with every target and every port of the target that the kind is for."""
    return [(kind, target, port) for kind in kinds.KINDS if kind.name in plan["only"]
            for target in plan["targets"]
            for port in kind.ports if port in target["ports"]]


def attacks(plan, part):
    """Yields (number of the pass, kind, target, port, random numbers) without end. The processes share each pass
    through the deck."""
    number = 0
    cards = deck(plan)
    # Repeats a short deck, so that every process has an attack.
    cards *= -(-plan["parts"] // len(cards))
    while True:
        hand = list(enumerate(cards))
        random.Random(f"{plan['seed']}/{number}").shuffle(hand)
        for at, (kind, target, port) in hand[part::plan["parts"]]:
            yield number, kind, target, port, random.Random(f"{plan['seed']}/{number}/{at}")
        number += 1


def run(plan, part, log):
    good = frames.requests(), frames.connects()
    for number, kind, target, port, chance in attacks(plan, part):
        now = time.monotonic()
        if now >= plan["end"]:
            return
        until = min(now + chance.uniform(SHORTEST_S, LONGEST_S), plan["end"])
        attack = Attack(target, port, chance, until, good)
        entry = {"part": part, "pass": number, "kind": kind.name, "port": port, "target": target["name"],
                 "from": now}
        print(json.dumps(entry), file=log, flush=True)
        try:
            kind.function(attack)
        finally:
            attack.end_all()
        entry.update(to=time.monotonic(), connections=attack.connections, refused=attack.refused,
                     sent=attack.sent, received=attack.received)
        print(json.dumps(entry), file=log, flush=True)


def main():
    plan, part = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.nice(NICENESS)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))
    with open(Path(sys.argv[1]).with_name(f"attacks-{part}.jsonl"), "a") as log:
        run(plan, part, log)


if __name__ == "__main__":
    main()
