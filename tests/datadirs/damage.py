"""Directories that are not as a server leaves them."""

from dataclasses import dataclass, field
from typing import Callable


# Bytes of a log's header; of an entry before its data: the checksum and the length.
FILE_HEADER = 16
PREFIX = 12


@dataclass
class Case:
    """`harm` changes version-2; both servers then get `settings`. `ours_reads`: a directory that
    Java refuses although nothing in it is lost; ours must hold what was written. `ours_refuses`: one that
    Java starts with, and leaves transactions out without a word that clients had got answers to."""

    harm: Callable
    version: str = "3.9.5"
    settings_before: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    ours_reads: bool = False
    ours_refuses: bool = False


def by_zxid(directory, kind):
    """The files of a kind, oldest first."""
    return sorted(directory.glob(f"{kind}.*"), key=lambda path: int(path.suffix[1:], 16))


def used_length(log):
    """The length of a log without its padding."""
    return len(log.read_bytes().rstrip(b"\0"))


def torn_tail(directory):
    """The last entry of the log has not been written to its end."""
    log = by_zxid(directory, "log")[-1]
    data = log.read_bytes()
    log.write_bytes(data[: used_length(log) - 30])


def torn_tail_padded(directory):
    """The same, with the zeros of the preallocation behind it."""
    log = by_zxid(directory, "log")[-1]
    data, end = log.read_bytes(), used_length(log)
    log.write_bytes(data[: end - 30] + bytes(len(data) - end + 30))


def flip(log, place):
    """A bit is wrong in the entry in the middle of a log; `place` says where, from its offset and the length of its data."""
    data = bytearray(log.read_bytes())
    at, entries = FILE_HEADER, []
    while at + PREFIX <= len(data):
        length = int.from_bytes(data[at + PREFIX - 4 : at + PREFIX], "big")
        if length == 0:
            break
        entries.append((at, length))
        at += PREFIX + length + 1
    data[place(*entries[len(entries) // 2])] ^= 0x10
    log.write_bytes(data)


def amid_data(offset, length):
    return offset + PREFIX + length // 2


def flipped_byte(directory):
    """A bit is wrong in the middle of the last log."""
    flip(by_zxid(directory, "log")[-1], amid_data)


def flipped_byte_in_old_log(directory):
    """A bit is wrong in a log that the newest snapshot makes unnecessary."""
    flip(by_zxid(directory, "log")[0], amid_data)


def flipped_length(directory):
    """An entry in the middle of the last log says that it is longer than it is."""
    flip(by_zxid(directory, "log")[-1], lambda offset, _: offset + PREFIX - 1)


def flipped_end(directory):
    """An entry in the middle of the last log has no end mark."""
    flip(by_zxid(directory, "log")[-1], lambda offset, length: offset + PREFIX + length)


def empty_last_log(directory):
    """The last log was made and nothing more."""
    last = by_zxid(directory, "log")[-1]
    last.with_suffix(f".{int(last.suffix[1:], 16) + 1000:x}").write_bytes(b"")


def header_only_log(directory):
    """The last log has a header and nothing more."""
    last = by_zxid(directory, "log")[-1]
    header = last.read_bytes()[:16]
    last.with_suffix(f".{int(last.suffix[1:], 16) + 1000:x}").write_bytes(header)


def cut_snapshot(directory):
    """The newest snapshot is not whole."""
    snapshot = by_zxid(directory, "snapshot")[-1]
    data = snapshot.read_bytes()
    snapshot.write_bytes(data[: len(data) // 2])


def wrong_snapshot(directory):
    """The newest snapshot is whole, but a bit in it is wrong."""
    snapshot = by_zxid(directory, "snapshot")[-1]
    data = bytearray(snapshot.read_bytes())
    data[len(data) // 2] ^= 0x01
    snapshot.write_bytes(data)


def empty_snapshot(directory):
    """The newest snapshot has no bytes."""
    by_zxid(directory, "snapshot")[-1].write_bytes(b"")


def all_snapshots_cut(directory):
    """No snapshot is whole."""
    for snapshot in by_zxid(directory, "snapshot"):
        snapshot.write_bytes(snapshot.read_bytes()[:-5])


def no_snapshot(directory):
    """There are logs only."""
    for snapshot in by_zxid(directory, "snapshot"):
        snapshot.unlink()


def no_log(directory):
    """There are snapshots only."""
    for log in by_zxid(directory, "log"):
        log.unlink()


def strange_names(directory):
    """Files that others put there."""
    for name in ("snapshot.bak", "log.old", "snapshot.1.tmp", "log.zz", "snapshot", "log", "lost+found",
                 "acceptedEpoch.tmp"):
        (directory / name).write_bytes(b"not ours")


def nothing(directory):
    """Left as it is."""


TRUST = {"snapshot.trust.empty": "true"}
LOGS_ONLY = {"snapCount": 100000}

CASES = {
    "torn-tail": Case(torn_tail),
    "torn-tail-padded": Case(torn_tail_padded),
    "flipped-byte": Case(flipped_byte),
    "flipped-byte-in-old-log": Case(flipped_byte_in_old_log),
    # Java takes it for the end of the file, whatever follows.
    "flipped-length": Case(flipped_length, ours_refuses=True),
    "flipped-end": Case(flipped_end, ours_refuses=True),
    "empty-last-log": Case(empty_last_log),
    "header-only-log": Case(header_only_log),
    "cut-snapshot": Case(cut_snapshot),
    "wrong-snapshot": Case(wrong_snapshot),
    "empty-snapshot": Case(empty_snapshot),
    "all-snapshots-cut": Case(all_snapshots_cut),
    "no-snapshot": Case(no_snapshot),
    "no-snapshot-trusted": Case(no_snapshot, settings=TRUST),
    "no-log": Case(no_log),
    "strange-names": Case(strange_names),
    # 3.4 writes no snapshot before snapCount is reached.
    "3.4-logs-only": Case(nothing, "3.4.14", LOGS_ONLY),
    "3.4-logs-only-trusted": Case(nothing, "3.4.14", LOGS_ONLY, TRUST),
    # What one server writes by default and another does not. Java takes the section with the last
    # zxid for the one with the digest, or the other way round, when digests are switched on or off.
    "no-digests": Case(
        nothing, settings_before={"digest.enabled": "false"}, ours_reads=True),
    "digests-switched-off": Case(
        nothing, settings={"digest.enabled": "false"}, ours_reads=True),
    "no-last-zxid": Case(
        nothing, settings_before={"serializeLastProcessedZxid.enabled": "false"}),
    "gzip": Case(nothing, settings_before={"snapshot.compression.method": "gz"}),
    "snappy": Case(nothing, settings_before={"snapshot.compression.method": "snappy"}),
}
