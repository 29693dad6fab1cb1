#!/usr/bin/env python3
"""Does the work of an operator during the attacks: deletes the nodes of hostile clients, and old logs and snapshots, so
that an hour of attacks fits into memory and on the disk.

    tidying.py PLAN        as run.py starts it
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from frames import BIG, HOME  # noqa: E402
from harness.client import Closed, Connection, Timeout  # noqa: E402
from harness.jute import encode  # noqa: E402
from harness.protocol import OPEN_ACL, OPS  # noqa: E402

SUPER = b"super:secret"
# The value of `zookeeper.DigestAuthenticationProvider.superDigest` for this user.
SUPER_DIGEST = "super:lK75jTNcA+U9vtVEw5vB51mj/w4="
EVERY_S = 2.0
PURGE_S = 60.0
KEPT = 3
BATCH = 100
# The nodes below the root that stay.
OWN = ("zookeeper", BIG[1:], HOME[1:])
HONEST = "soak-"
START = {HOME: b"", f"{HOME}/a": b"x"}


def connected(host, port):
    connection = Connection(port, host)
    connection.connect(20000)
    if not connection.established:
        raise Closed
    connection.ok("auth", type=0, scheme="digest", auth=SUPER)
    return connection


def all_of(connection, name, requests):
    """Sends the requests a batch at a time. Returns (error, answer) of each."""
    code, record, response = OPS[name]
    answers = []
    for at in range(0, len(requests), BATCH):
        xids, data = [], b""
        for fields in requests[at:at + BATCH]:
            xids.append(connection.next_xid())
            frame = encode("RequestHeader", {"xid": xids[-1], "type": code}) + encode(record, fields)
            data += len(frame).to_bytes(4, "big") + frame
        connection.send(data)
        for xid in xids:
            header, reader = connection.reply(xid)
            answers.append((header["err"], reader.value(response) if header["err"] == 0 else None))
    return answers


def delete_below(connection, tops):
    """Deletes nodes and all nodes below them. Returns how many."""
    levels, level = [], list(tops)
    while level:
        levels.append(level)
        answers = all_of(connection, "getChildren", [{"path": path, "watch": False} for path in level])
        level = [f"{path}/{name}" for path, (_, answer) in zip(level, answers) if answer
                 for name in answer["children"]]
    for level in reversed(levels):
        all_of(connection, "delete", [{"path": path, "version": -1} for path in level])
    return sum(map(len, levels))


def children(connection, path):
    error, answer = connection.call("getChildren", path=path, watch=False)
    return [] if error else [f"{path.rstrip('/')}/{name}" for name in answer["children"]]


def tidy(connection):
    """Deletes the nodes of hostile clients, and restores those that they begin with. Returns the number of deleted
    nodes."""
    tops = [path for path in children(connection, "/")
            if path[1:] not in OWN and not path[1:].startswith(HONEST)]
    tops += children(connection, HOME) + children(connection, "/zookeeper/quota")
    count = delete_below(connection, [path for path in tops if path not in START])
    for path, data in START.items():
        connection.call("create", path=path, data=data, acl=OPEN_ACL, flags=0)
        connection.call("setData", path=path, data=data, version=-1)
        connection.call("setACL", path=path, acl=OPEN_ACL, version=-1)
    return count


def purge(plan):
    for directory in plan["data"] if plan["binary"] else ():
        subprocess.run([plan["binary"], "purge", directory, "-n", str(KEPT)], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)


def main():
    plan = json.loads(Path(sys.argv[1]).read_text())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.nice(5)
    connection, purged, count = None, time.monotonic(), 0
    while time.monotonic() < plan["end"]:
        try:
            connection = connection or connected(*plan["tidied"])
            count += tidy(connection)
        except (Closed, Timeout, OSError, EOFError) as error:
            print(f"{time.monotonic():.1f} {type(error).__name__}: {error}", flush=True)
            connection = None
        if time.monotonic() - purged > PURGE_S:
            purge(plan)
            purged = time.monotonic()
        time.sleep(EVERY_S)
    print(f"{count} nodes of hostile clients were deleted")


if __name__ == "__main__":
    main()
