//! Java's files with cuts and changes at all positions. Nothing may panic or drop acknowledged transactions
//! silently.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;
use crate::common::time::{SystemClock, TimeSource};
use crate::server::persistence::file_txn_log::file_txn_iterator::log_files;
use crate::server::persistence::snap_stream::decoded;

/// A small pseudorandom number generator (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }
}

/// A seed from the current time. It is printed, so that a failure can be reproduced.
fn new_seed() -> u64 {
    let seed = SystemClock::new().wall_ms().unsigned_abs() | 1;
    println!("seed {seed}");
    seed
}

/// A directory with one log file whose contents are replaced repeatedly.
struct LogFile {
    dir: TestDir,
    file: File,
}

impl LogFile {
    fn new() -> Self {
        let dir = TestDir::new();
        let file = File::create(dir.path().join("log.1")).unwrap();
        Self { dir, file }
    }

    /// The zxids that recovery finds in a log with these bytes.
    fn zxids(&self, log: &[u8]) -> Result<Vec<i64>, TxnLogError> {
        self.file.write_all_at(log, 0).unwrap();
        self.file.set_len(log.len() as u64).unwrap();
        let format = FileTxnLogConfig::default().format;
        let path = self.dir.path();
        let mut iterator = FileTxnIterator::open(path, Zxid(1), true, TailCheck::Recovery, format)?;
        let mut zxids = Vec::new();
        while let Some(header) = iterator.header() {
            zxids.push(header.zxid.0);
            iterator.entry()?;
            iterator.advance()?;
        }
        Ok(zxids)
    }
}

/// A log file of a Java server, and the offset where each entry ends.
fn javas_log() -> (Vec<u8>, Vec<usize>) {
    let log = fs::read(java_dir("v3.9.5").join("log.1")).unwrap();
    let mut ends = vec![16];
    while let Some(length) =
        log.get(ends[ends.len() - 1] + 8..).and_then(|at| at.first_chunk::<4>())
    {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
        if length == 0 {
            break;
        }
        ends.push(ends[ends.len() - 1] + 12 + length + 1);
    }
    assert_eq!(ends.len(), 1 + 28);
    (log, ends)
}

#[test]
fn a_log_that_is_cut_anywhere_holds_the_entries_before_the_cut() {
    let (log, ends) = javas_log();
    let file = LogFile::new();
    let last = ends[ends.len() - 1];
    for cut in 16..last + 20 {
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        let expected: Vec<i64> = (1..=28).take(whole).collect();
        assert_eq!(file.zxids(&log[..cut]).unwrap(), expected, "cut at {cut}");
        if cut % 7 == 0 {
            let mut zeros = log[..cut].to_vec();
            zeros.resize(8000, 0);
            // The cut entry's checksum and length may end in zero bytes. Then no byte of it is missing.
            let found = file.zxids(&zeros).unwrap();
            assert!(found == expected, "zeros from {cut} on: {found:?}");
        }
    }
}

#[test]
fn no_changed_bit_in_a_log_takes_an_entry_away_silently() {
    let mut random = Random(new_seed());
    let (log, ends) = javas_log();
    let file = LogFile::new();
    let all: Vec<i64> = (1..=28).collect();
    for at in 0..ends[ends.len() - 1] {
        let mut changed = log.clone();
        changed[at] ^= 1 << random.below(8);
        match file.zxids(&changed) {
            Ok(zxids) => assert_eq!(zxids, all, "byte {at}: {:#x}", changed[at]),
            Err(error) => assert!(error.to_string().contains("log.1"), "{error}"),
        }
    }
}

fn mangle(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let (at, other) = (random.below(bytes.len()), random.below(bytes.len()));
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next().to_le_bytes()[0],
            2 => bytes[at.min(other)..at.max(other)].fill(0),
            3 => bytes.truncate(at.max(1)),
            4 => bytes.copy_within(at.min(other)..at.max(other), at.min(other) / 2),
            _ => drop(bytes.splice(at..at, [0xff, 0x7f, 0, 0x42])),
        }
    }
}

fn a_mangled_log_is_an_error_or_a_part_of_the_history(seed: u64) {
    let mut random = Random(seed);
    let (log, _) = javas_log();
    let mut file = LogFile::new();
    for _ in 0..500 {
        let mut mangled = log.clone();
        mangle(&mut mangled, &mut random);
        if !file.dir.path().join("log.1").exists() {
            file = LogFile::new(); // the last one had no header and was deleted
        }
        if let Ok(zxids) = file.zxids(&mangled) {
            // Moved bytes may repeat entries, but no other entries may appear.
            assert!(zxids.iter().all(|zxid| (1..=28).contains(zxid)), "{zxids:?}");
        }
    }
}

#[test]
fn a_randomly_mangled_log_never_panics() {
    a_mangled_log_is_an_error_or_a_part_of_the_history(new_seed());
}

#[test]
fn a_mangled_log_never_panics_with_known_seeds() {
    for seed in [1, 0x5eed, 1_795_251_607_256] {
        a_mangled_log_is_an_error_or_a_part_of_the_history(seed);
    }
}

/// Loads the tree and the sessions from the bytes of a snapshot.
fn load(name: &str, bytes: &[u8]) -> Option<(TestTree, Sessions)> {
    let (mut tree, mut sessions) = (TestTree::default(), Sessions::new());
    let input = decoded(bytes, StreamMode::from_file_name(name)).ok()?;
    let limits = Limits::default();
    deserialize(input, name, limits, &mut tree, &mut sessions).ok()?;
    Some((tree, sessions))
}

const SNAPSHOTS: [(&str, &str); 5] = [
    ("v3.5.10", "snapshot.1b"),
    ("v3.6.4", "snapshot.1b"),
    ("v3.9.5", "snapshot.1c"),
    ("v3.9.5-gz", "snapshot.1b.gz"),
    ("v3.9.5-snappy", "snapshot.1b.snappy"),
];

#[test]
fn a_snapshot_that_is_cut_is_refused_unless_it_is_one_of_an_older_version() {
    for (version, name) in SNAPSHOTS {
        let bytes = fs::read(java_dir(version).join(name)).unwrap();
        let older = match version {
            "v3.6.4" => vec![bytes.len() - 33],
            "v3.9.5" => vec![bytes.len() - 21, bytes.len() - 54],
            _ => vec![],
        };
        for len in 0..bytes.len() {
            let loaded = load(name, &bytes[..len]);
            assert_eq!(loaded.is_some(), older.contains(&len), "{version} cut at {len}");
        }
    }
}

#[test]
fn no_changed_bit_in_a_snapshot_changes_the_tree() {
    let mut random = Random(new_seed());
    for (version, name) in SNAPSHOTS {
        let bytes = fs::read(java_dir(version).join(name)).unwrap();
        let whole = load(name, &bytes).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << random.below(8);
            if let Some(loaded) = load(name, &changed) {
                assert!(loaded == whole, "{version} byte {at}: {:#x}", changed[at]);
            }
        }
    }
}

fn a_mangled_snapshot_is_refused_or_the_same(seed: u64) {
    let mut random = Random(seed);
    for (version, name) in SNAPSHOTS {
        let bytes = fs::read(java_dir(version).join(name)).unwrap();
        let whole = load(name, &bytes).unwrap();
        for _ in 0..200 {
            let mut mangled = bytes.clone();
            mangle(&mut mangled, &mut random);
            assert!(load(name, &mangled).is_none_or(|loaded| loaded == whole), "{version}");
        }
    }
}

#[test]
fn a_randomly_mangled_snapshot_never_panics() {
    a_mangled_snapshot_is_refused_or_the_same(new_seed());
}

#[test]
fn a_mangled_snapshot_never_panics_with_known_seeds() {
    for seed in [3, 0x5eed5] {
        a_mangled_snapshot_is_refused_or_the_same(seed);
    }
}

#[test]
fn what_is_no_file_of_ours_is_no_log() {
    let dir = TestDir::new();
    fs::create_dir(dir.path().join("log.1")).unwrap();
    fs::write(dir.path().join("log.x"), "").unwrap();
    assert_eq!(log_files(dir.path(), Zxid(5)).unwrap().len(), 1);
    let format = FileTxnLogConfig::default().format;
    let read = FileTxnIterator::open(dir.path(), Zxid(1), true, TailCheck::Recovery, format);
    assert!(matches!(read, Err(TxnLogError::Io { action: "read", .. })));
}
