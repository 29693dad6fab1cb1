#!/usr/bin/env python3
"""One hostile process: attacks one port of one server after the other, until its time is over.

    hostile.py PLAN PART        as run.py starts it; PLAN is a file of JSON, PART this process's number

What it does follows from the plan's seed and PART alone, but for the moments. It writes down what it
does, so that a fault can be laid beside what was under way: `attacks-PART.jsonl`.
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

# An attack lasts so long, s.
SHORTEST_S, LONGEST_S = 1.5, 4.0
# For one send or answer. Whoever attacks does not wait for long.
PATIENCE_S = 1.0
# Hostile connections come from so many addresses: honest ones are not of them, so that `maxClientCnxns` does for
# them what it is for.
ADDRESSES = 40
FILES = 4000
# The servers come first on processors that hostile processes share with them, as they would not in earnest.
NICENESS = 10


class Attack:
    """What a kind of attack works with: a target, chance, sockets that end with it."""

    def __init__(self, target, port, chance, until, good):
        self.target, self.port, self.random, self.until = target, port, chance, until
        self.requests, self.connects = good
        self.sockets = []
        self.connections, self.refused, self.sent, self.received = 0, 0, 0, 0

    def more(self):
        """Whether there is time left."""
        return time.monotonic() < self.until

    def pause(self, seconds):
        time.sleep(max(0.0, min(seconds, self.until - time.monotonic())))

    def connect(self):
        """A new connection from any of the hostile addresses; None when there is none to be had."""
        sock = socket.socket()
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            # The port is chosen when it connects: several addresses have it then.
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
        """A connection with a session; None when there is none to be had."""
        sock = self.connect()
        if sock is None:
            return None
        if self.send(sock, frames.connect(timeout_ms)) and len(self.receive(sock, 41)) == 41:
            return sock
        self.close(sock)
        return None

    def several(self, count, make=None):
        """So many connections, or fewer when some cannot be had."""
        made = []
        for _ in range(count):
            sock = (make or self.connect)()
            if sock:
                made.append(sock)
            if not self.more():
                break
        return made

    def send(self, sock, data):
        """Whether all was sent."""
        try:
            sock.sendall(data)
        except OSError:
            return False
        self.sent += len(data)
        return True

    def send_some(self, sock, data):
        """As much as is taken without waiting: how many bytes."""
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
        """So many bytes, or fewer when the connection ends or nothing more comes."""
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
        """Throws away what is there, without waiting; False when the connection has ended."""
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
        """Ends it with a reset."""
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
        """Ends it in one way or another."""
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
            # No more than a moment: whoever waits for each does not attack.
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
    """Every kind of attack on every port it is for, of every target."""
    return [(kind, target, port) for kind in kinds.KINDS if kind.name in plan["only"]
            for target in plan["targets"]
            for port in kind.ports if port in target["ports"]]


def attacks(plan, part):
    """(number, kind, target, port, chance), without end. The processes share each pass through the deck."""
    number = 0
    cards = deck(plan)
    # None is without an attack.
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
