//! Damages a data directory as a power failure would, in addition to the kill (no Java twin).
//!
//! A killed process loses nothing that it has written. If a machine fails during an append to the log, a part of that
//! write remains: its beginning, or all but one sector, with zeros in place of the rest. Nobody was told that this
//! write succeeded. If the machine fails during a snapshot, an incomplete file remains.

#![allow(dead_code, unreachable_pub, reason = "a module of a test crate")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::fs;
use std::path::{Path, PathBuf};

use super::random::Random;

/// The magic number, version and database id of a log file, in bytes.
const LOG_HEADER: usize = 16;

/// The checksum and length of an entry, in bytes.
const PREFIX: usize = 12;

const SECTOR: usize = 512;

/// Does some damage. Returns a description of it.
pub fn harm(random: &mut Random, version_dir: &Path) -> String {
    let mut done = Vec::new();
    if let Some(log) = newest(version_dir, "log.").filter(|_| random.one_in(2)) {
        done.push(tear(random, &log));
    }
    if let Some(snapshot) = newest(version_dir, "snapshot.").filter(|_| random.one_in(2)) {
        done.push(half_a_snapshot(random, &snapshot));
    }
    done.join(", ")
}

fn newest(directory: &Path, prefix: &str) -> Option<PathBuf> {
    let zxid = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        u64::from_str_radix(name.strip_prefix(prefix)?, 16).ok()
    };
    let entries = fs::read_dir(directory).ok()?;
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter_map(|path| Some((zxid(&path)?, path))).max().map(|(_, path)| path)
}

/// The start of each whole entry of a log, and the end of the last one.
fn entries(log: &[u8]) -> Vec<usize> {
    let mut at = LOG_HEADER;
    let mut starts = vec![at];
    while let Some(prefix) = log.get(at..at + PREFIX) {
        let len = usize::try_from(i32::from_be_bytes(prefix[8..].try_into().unwrap())).unwrap_or(0);
        let end = at + PREFIX + len;
        if len == 0 || log.get(end) != Some(&b'B') {
            break;
        }
        at = end + 1;
        starts.push(at);
    }
    starts
}

/// Damages the end of the log as if the next write was cut off.
fn tear(random: &mut Random, path: &Path) -> String {
    let mut log = fs::read(path).unwrap();
    if log.len() < LOG_HEADER {
        return "a log without header".to_owned();
    }
    let starts = entries(&log);
    let end = starts[starts.len() - 1];
    let what = match random.below(4) {
        0 => {
            log.truncate(end);
            "no zeros behind the log".to_owned()
        }
        1 => {
            log.resize(end.max(log.len()) + random.below(100_000), 0);
            "zeros behind the log".to_owned()
        }
        kind => {
            let is_cut_off = random.one_in(2);
            let write = next_write(random, &log, &starts);
            let mut write =
                if kind == 2 { half_of(random, write) } else { holed(random, write, end) };
            let what = format!("{} bytes of a write behind the log", write.len());
            if is_cut_off {
                log.truncate(end);
            }
            write.resize(write.len().max(log.len().saturating_sub(end)), 0);
            log.truncate(end);
            log.extend(write);
            what
        }
    };
    fs::write(path, log).unwrap();
    format!("{what} {} from {end} on", path.file_name().unwrap().display())
}

/// A possible next entry: a copy of an existing entry, or random bytes that may be longer.
fn next_write(random: &mut Random, log: &[u8], starts: &[usize]) -> Vec<u8> {
    let of = random.below(starts.len());
    match starts.get(of..of + 2) {
        Some(range) if random.one_in(2) => log[range[0]..range[1]].to_vec(),
        _ => {
            let len = 1 + random.below(5000);
            let mut bytes = [0, 0, 0, 0, 9, 9, 9, 9].to_vec();
            bytes.extend(i32::try_from(len).unwrap().to_be_bytes());
            // The bytes are never zero by chance, because zeros stand for bytes that were not written.
            bytes.extend((0..len).map(|_| random.byte() | 1));
            bytes.push(b'B');
            bytes
        }
    }
}

/// The beginning of the write.
fn half_of(random: &mut Random, mut write: Vec<u8>) -> Vec<u8> {
    write.truncate(1 + random.below(write.len() - 1));
    write
}

/// The write without one sector. A write that lies within one sector is lost completely.
fn holed(random: &mut Random, mut write: Vec<u8>, offset: usize) -> Vec<u8> {
    let sector = (offset / SECTOR + random.below(write.len() / SECTOR + 1)) * SECTOR;
    let start = sector.saturating_sub(offset).min(write.len());
    let end = (sector + SECTOR - offset).min(write.len());
    // A shorter run of zeros might be part of a valid entry.
    if end - start > 16 {
        write[start..end].fill(0);
    } else {
        write.clear();
    }
    write
}

/// Writes an incomplete snapshot, under one of the names that a snapshot has while it is written, or under its final
/// name.
fn half_a_snapshot(random: &mut Random, newest: &Path) -> String {
    let mut bytes = fs::read(newest).unwrap();
    bytes.truncate(random.below(bytes.len()));
    let zxid = u64::from_str_radix(newest.extension().unwrap().to_str().unwrap(), 16).unwrap();
    let zxid = zxid + 1 + u64::try_from(random.below(50)).unwrap();
    let name = match random.below(3) {
        0 => format!("tmp-snapshot.{zxid:x}"),
        1 => format!("snapshot.{zxid:x}.tmp"),
        _ => format!("snapshot.{zxid:x}"),
    };
    let path = newest.with_file_name(&name);
    if path.exists() {
        return format!("{name} is there");
    }
    let len = bytes.len();
    fs::write(path, bytes).unwrap();
    format!("{len} bytes of {name}")
}
