//! What a power failure leaves in a data directory in addition (no Java twin).
//!
//! A process that is killed loses nothing that it has written. A machine that fails while the log is appended to leaves a
//! part of the write that nobody was told of: its beginning, or all but a sector of it, and zeros otherwise. While a
//! snapshot is written it leaves a file that is not whole.

#![allow(dead_code, unreachable_pub, reason = "a module of a test crate")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::fs;
use std::path::{Path, PathBuf};

use super::random::Random;

/// Magic number, version and database of a log file, in bytes.
const LOG_HEADER: usize = 16;

/// Checksum and length of an entry, in bytes.
const PREFIX: usize = 12;

const SECTOR: usize = 512;

/// Does some of it; what was done.
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

/// Where each whole entry of a log starts, and where the last one ends.
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

/// The next write to the log was cut off.
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

/// An entry as the next one could be: one that is there already, or one that is larger.
fn next_write(random: &mut Random, log: &[u8], starts: &[usize]) -> Vec<u8> {
    let of = random.below(starts.len());
    match starts.get(of..of + 2) {
        Some(range) if random.one_in(2) => log[range[0]..range[1]].to_vec(),
        _ => {
            let len = 1 + random.below(5000);
            let mut bytes = [0, 0, 0, 0, 9, 9, 9, 9].to_vec();
            bytes.extend(i32::try_from(len).unwrap().to_be_bytes());
            // No zeros by chance: those are what was not written.
            bytes.extend((0..len).map(|_| random.byte() | 1));
            bytes.push(b'B');
            bytes
        }
    }
}

/// The beginning of it.
fn half_of(random: &mut Random, mut write: Vec<u8>) -> Vec<u8> {
    write.truncate(1 + random.below(write.len() - 1));
    write
}

/// All but one sector of it. What lies in one sector only is not there at all then.
fn holed(random: &mut Random, mut write: Vec<u8>, offset: usize) -> Vec<u8> {
    let sector = (offset / SECTOR + random.below(write.len() / SECTOR + 1)) * SECTOR;
    let start = sector.saturating_sub(offset).min(write.len());
    let end = (sector + SECTOR - offset).min(write.len());
    // Less than that may as well be zeros of a good entry.
    if end - start > 16 {
        write[start..end].fill(0);
    } else {
        write.clear();
    }
    write
}

/// A snapshot that is not whole, under the name that it has while it is written, or under its own.
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
