"""Damage to data directories, and directories that are unusual without being damaged."""

from dataclasses import dataclass, field
from typing import Callable


# The length of a log's header, and of an entry's checksum and length, which are in front of its data.
FILE_HEADER = 16
PREFIX = 12
# Where the zxid is in an entry's data: after the session id and the cxid.
ZXID = 12


@dataclass
class Case:
    """A directory, and what servers must make of it.

    Java `version` fills the directory with `settings_before`, `harm` changes its version-2, and both servers start on
    copies of it with `settings`. With `ours_reads`, Java refuses the directory or reads it wrongly, although nothing in
    it is lost, and ours must hold what was written. With `ours_refuses`, Java starts and silently leaves out transactions that were
    acknowledged to clients, and ours must refuse to start.
    """

    harm: Callable
    version: str = "3.9.5"
    settings_before: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    ours_reads: bool = False
    ours_refuses: bool = False


def by_zxid(directory, kind):
    """Returns the files of a kind (`log` or `snapshot`), oldest first."""
    return sorted(directory.glob(f"{kind}.*"), key=lambda path: int(path.suffix[1:], 16))


def used_length(log):
    """Returns the length of a log without its padding."""
    return len(log.read_bytes().rstrip(b"\0"))


def torn_tail(directory):
    """Cuts the newest log off within its last entry."""
    log = by_zxid(directory, "log")[-1]
    data = log.read_bytes()
    log.write_bytes(data[: used_length(log) - 30])


def torn_tail_padded(directory):
    """Replaces the end of the newest log's last entry with zeros, so that it continues like a preallocated file."""
    log = by_zxid(directory, "log")[-1]
    data, end = log.read_bytes(), used_length(log)
    log.write_bytes(data[: end - 30] + bytes(len(data) - end + 30))


def entries_of(log):
    """Returns the (zxid, offset, length of the data) of each entry of a log."""
    data, at, entries = log.read_bytes(), FILE_HEADER, []
    while at + PREFIX <= len(data):
        length = int.from_bytes(data[at + PREFIX - 4 : at + PREFIX], "big")
        if length == 0:
            break
        zxid = int.from_bytes(data[at + PREFIX + ZXID : at + PREFIX + ZXID + 8], "big")
        entries.append((zxid, at, length))
        at += PREFIX + length + 1
    return entries


def flip(log, place, entries=None):
    """Changes a bit of the entry in the middle of a log, or of some of its entries.

    `place` returns the offset of the byte, from the entry's offset and the length of its data.
    """
    entries = entries or entries_of(log)
    data = bytearray(log.read_bytes())
    data[place(*entries[len(entries) // 2][1:])] ^= 0x10
    log.write_bytes(data)


def flip_needed(directory, place):
    """Changes a bit of an entry of the newest log that no snapshot has. If a snapshot has nearly all of them, because it
    was taken late, it is deleted."""
    log = by_zxid(directory, "log")[-1]
    while True:
        snapshots = by_zxid(directory, "snapshot")
        covered = int(snapshots[-1].suffix[1:], 16)
        needed = [entry for entry in entries_of(log) if entry[0] > covered]
        if len(needed) > 2 or len(snapshots) == 1:
            return flip(log, place, needed)
        snapshots[-1].unlink()


def amid_data(offset, length):
    return offset + PREFIX + length // 2


def flipped_byte(directory):
    """Changes a bit in the middle of the newest log."""
    flip_needed(directory, amid_data)


def flipped_byte_in_old_log(directory):
    """Changes a bit in the oldest log, which the newest snapshot makes unnecessary."""
    flip(by_zxid(directory, "log")[0], amid_data)


def flipped_length(directory):
    """Changes the length of an entry in the middle of the newest log."""
    flip_needed(directory, lambda offset, _: offset + PREFIX - 1)


def flipped_end(directory):
    """Changes the end mark of an entry in the middle of the newest log."""
    flip_needed(directory, lambda offset, length: offset + PREFIX + length)


def empty_last_log(directory):
    """Adds an empty file as the newest log."""
    last = by_zxid(directory, "log")[-1]
    last.with_suffix(f".{int(last.suffix[1:], 16) + 1000:x}").write_bytes(b"")


def short_last_log(directory):
    """Adds a newest log that is shorter than a header, and not the beginning of one."""
    last = by_zxid(directory, "log")[-1]
    last.with_suffix(f".{int(last.suffix[1:], 16) + 1000:x}").write_bytes(b"hello")


def half_copied_log(directory):
    """Adds the first part of a copy of the newest log, as an interrupted backup leaves it."""
    log = by_zxid(directory, "log")[-1]
    log.with_name(log.name + ".bak").write_bytes(log.read_bytes()[: used_length(log) // 3])


def header_only_log(directory):
    """Adds a newest log that has only a header."""
    last = by_zxid(directory, "log")[-1]
    header = last.read_bytes()[:FILE_HEADER]
    last.with_suffix(f".{int(last.suffix[1:], 16) + 1000:x}").write_bytes(header)


def prepared_log(directory):
    """Adds the file that ours prepares as the next log, and one that got its name before its first entry."""
    last = by_zxid(directory, "log")[-1]
    empty = last.read_bytes()[:FILE_HEADER] + bytes(65536)
    (directory / "next-log").write_bytes(empty)
    last.with_suffix(f".{int(last.suffix[1:], 16) + 1000:x}").write_bytes(empty)


def cut_snapshot(directory):
    """Removes the second half of the newest snapshot."""
    snapshot = by_zxid(directory, "snapshot")[-1]
    data = snapshot.read_bytes()
    snapshot.write_bytes(data[: len(data) // 2])


def wrong_snapshot(directory):
    """Changes a bit in the middle of the newest snapshot."""
    snapshot = by_zxid(directory, "snapshot")[-1]
    data = bytearray(snapshot.read_bytes())
    data[len(data) // 2] ^= 0x01
    snapshot.write_bytes(data)


def empty_snapshot(directory):
    """Makes the newest snapshot an empty file."""
    by_zxid(directory, "snapshot")[-1].write_bytes(b"")


def all_snapshots_cut(directory):
    """Removes the end of every snapshot."""
    for snapshot in by_zxid(directory, "snapshot"):
        snapshot.write_bytes(snapshot.read_bytes()[:-5])


def no_snapshot(directory):
    """Deletes all snapshots."""
    for snapshot in by_zxid(directory, "snapshot"):
        snapshot.unlink()


def no_log(directory):
    """Deletes all logs."""
    for log in by_zxid(directory, "log"):
        log.unlink()


def strange_names(directory):
    """Adds files that are neither logs nor snapshots."""
    for name in ("snapshot.bak", "log.old", "snapshot.1.tmp", "log.zz", "snapshot", "log", "lost+found",
                 "acceptedEpoch.tmp"):
        (directory / name).write_bytes(b"not ours")


def nothing(directory):
    """Leaves the directory as it is."""


TRUST = {"snapshot.trust.empty": "true"}
LOGS_ONLY = {"snapCount": 100000}

CASES = {
    "torn-tail": Case(torn_tail),
    "torn-tail-padded": Case(torn_tail_padded),
    "flipped-byte": Case(flipped_byte),
    "flipped-byte-in-old-log": Case(flipped_byte_in_old_log),
    # Java takes the changed entry for the end of the log, and ignores those behind it.
    "flipped-length": Case(flipped_length, ours_refuses=True),
    "flipped-end": Case(flipped_end, ours_refuses=True),
    "empty-last-log": Case(empty_last_log),
    "header-only-log": Case(header_only_log),
    "short-last-log": Case(short_last_log),
    # Java reads the copy, too, and then has old changes again.
    "half-copied-log": Case(half_copied_log, ours_reads=True),
    "prepared-log": Case(prepared_log),
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
    # Sections of a snapshot that not every server writes. When digests are switched on or off, Java takes the section
    # with the last zxid for the one with the digest, or the other way round.
    "no-digests": Case(
        nothing, settings_before={"digest.enabled": "false"}, ours_reads=True),
    "digests-switched-off": Case(
        nothing, settings={"digest.enabled": "false"}, ours_reads=True),
    "no-last-zxid": Case(
        nothing, settings_before={"serializeLastProcessedZxid.enabled": "false"}),
    "gzip": Case(nothing, settings_before={"snapshot.compression.method": "gz"}),
    "snappy": Case(nothing, settings_before={"snapshot.compression.method": "snappy"}),
}
