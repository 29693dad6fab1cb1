//! Data directories that were truncated or changed (no Java twin). The server must load exactly what was
//! acknowledged, a prefix of it where that is permitted, or nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]
#![allow(clippy::print_stdout, reason = "figures of a run, shown when it fails")]

use std::path::Path;

use zookeeper_server::ids::Zxid;

use super::decoders::{DatabaseState, TestDatabase};
use super::random::{self, Random};
use super::seeds::javas_file;

/// The step for quick tests: every seventh byte. An odd step reaches all bytes of a number.
const FEW: usize = 7;

/// The step for complete tests: every byte.
const ALL: usize = 1;

/// The length of a log's header, in bytes.
const HEADER: usize = 16;

/// The bytes before an entry (checksum and length) and after it.
const FRAME: usize = 13;

/// The data directory of a Java server: two snapshots, each followed by a log.
struct History {
    database: TestDatabase,
    first_snapshot: Vec<u8>,
    snapshot: Vec<u8>,
    first_log: Vec<u8>,
    log: Vec<u8>,
}

impl History {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = |name: &str| javas_file(root, &format!("v3.9.5/{name}"));
        Self {
            database: TestDatabase::new(),
            first_snapshot: file("snapshot.0"),
            snapshot: file("snapshot.1c"),
            first_log: file("log.1"),
            log: file("log.1d"),
        }
    }

    fn load(&self, files: &[(&str, &[u8])]) -> Option<DatabaseState> {
        self.database.fill(files.iter().copied());
        match self.database.load() {
            Ok(state) => Some(state),
            Err(error) => {
                let text = error.to_string();
                assert!(
                    files.iter().any(|(name, _)| text.contains(name)) || text.contains("version-2"),
                    "the error does not say where: {text}"
                );
                None
            }
        }
    }

    /// Loads the older snapshot, with `log` as the only log.
    fn with_first_log(&self, log: &[u8]) -> Option<DatabaseState> {
        self.load(&[("snapshot.0", &self.first_snapshot), ("log.1", log)])
    }

    /// Loads the newer snapshot, with `log` as the log after it.
    fn with_last_log(&self, log: &[u8]) -> Option<DatabaseState> {
        self.load(&[("snapshot.1c", &self.snapshot), ("log.1d", log)])
    }

    /// Loads the older snapshot, with `log` after it, followed by the other log.
    fn with_log_in_the_middle(&self, log: &[u8]) -> Option<DatabaseState> {
        self.load(&[("snapshot.0", &self.first_snapshot), ("log.1", log), ("log.1d", &self.log)])
    }

    /// Loads all files, with `snapshot` as the newer snapshot.
    fn with_snapshot(&self, snapshot: &[u8]) -> Option<DatabaseState> {
        self.load(&[
            ("snapshot.0", &self.first_snapshot),
            ("snapshot.1c", snapshot),
            ("log.1", &self.first_log),
            ("log.1d", &self.log),
        ])
    }
}

/// The end of the header and of each entry of a log.
fn ends(log: &[u8]) -> Vec<usize> {
    let mut ends = vec![HEADER];
    loop {
        let at = ends[ends.len() - 1];
        let field = log.get(at + 8..).and_then(|rest| rest.first_chunk::<4>());
        match field.map(|field| u32::from_be_bytes(*field) as usize) {
            None | Some(0) => return ends,
            Some(len) => ends.push(at + FRAME + len),
        }
    }
}

/// A log that is cut at any byte loads as the entries before the cut. Zeros after the cut make no difference.
fn cut_everywhere(
    log: &[u8],
    first_zxid: i64,
    step: usize,
    load: &dyn Fn(&[u8]) -> Option<DatabaseState>,
) {
    let ends = ends(log);
    let states: Vec<DatabaseState> = ends
        .iter()
        .map(|end| load(&log[..*end]).expect("a log that ends with an entry is whole"))
        .collect();
    for (zxid, state) in (first_zxid - 1..).zip(&states) {
        assert_eq!(state.zxid, Zxid(zxid));
        assert_eq!(state.tree.last_processed_zxid, Zxid(zxid));
    }
    for pair in states.windows(2) {
        assert_ne!(pair[0], pair[1], "every entry of this log changes something");
    }
    for cut in (0..ends[ends.len() - 1] + 20).step_by(step) {
        let whole = ends.iter().filter(|end| **end <= cut).count().max(1);
        let mut padded = log[..cut].to_vec();
        let alone = load(&padded);
        assert_eq!(alone.as_ref(), Some(&states[whole - 1]), "cut at {cut}");
        if cut % 5 == 0 {
            padded.resize(log.len(), 0);
            let with_zeros = load(&padded).expect("zeros are what a log is padded with");
            // The last bytes of an entry may be zeros. Then nothing is missing.
            let next = states.get(whole);
            let is_prefix = with_zeros == states[whole - 1] || Some(&with_zeros) == next;
            assert!(is_prefix, "zeros from {cut} on");
        }
    }
}

fn cut_logs(step: usize) {
    let history = History::new();
    cut_everywhere(&history.first_log, 1, step, &|log| history.with_first_log(log));
    cut_everywhere(&history.log, 0x1d, step, &|log| history.with_last_log(log));
}

#[test]
fn a_log_that_is_cut_anywhere_leaves_the_tree_of_its_whole_entries() {
    cut_logs(FEW);
}

#[test]
#[ignore = "long: every byte"]
fn a_log_that_is_cut_at_every_byte_leaves_the_tree_of_its_whole_entries() {
    cut_logs(ALL);
}

fn cut_a_log_before_another(step: usize) {
    let history = History::new();
    let log = &history.first_log;
    let whole = history.with_log_in_the_middle(log).expect("nothing is wrong");
    let ends = ends(log);
    let end = ends[ends.len() - 1];
    for cut in (0..end + 20).step_by(step) {
        let loaded = history.with_log_in_the_middle(&log[..cut]);
        if cut >= end {
            assert_eq!(loaded.as_ref(), Some(&whole), "cut at {cut}, behind the last entry");
        } else {
            assert!(loaded.is_none(), "cut at {cut}: {:?}", loaded.map(|state| state.zxid));
        }
    }
}

#[test]
fn a_log_that_is_cut_anywhere_before_another_log_is_refused() {
    cut_a_log_before_another(FEW);
}

#[test]
#[ignore = "long: every byte"]
fn a_log_that_is_cut_at_every_byte_before_another_log_is_refused() {
    cut_a_log_before_another(ALL);
}

/// Changes each byte up to `end`, one at a time, and passes each result to `look`.
fn change_bytes(
    good: &[u8],
    end: usize,
    step: usize,
    seed: u64,
    mut look: impl FnMut(usize, &[u8]),
) {
    let mut random = Random::new(seed);
    let mut changed = good.to_vec();
    for at in (0..end).step_by(step) {
        changed[at] ^= 1 << random.below(8);
        look(at, &changed);
        changed[at] = !good[at];
        look(at, &changed);
        changed[at] = good[at];
    }
}

fn change_logs(step: usize, seed: u64) {
    let history = History::new();
    let whole = history.with_log_in_the_middle(&history.first_log).expect("nothing is wrong");
    let ends_of_first = ends(&history.first_log);
    let end = ends_of_first[ends_of_first.len() - 1];
    change_bytes(&history.first_log, end, step, seed, |at, changed| {
        let is_refused = match history.with_log_in_the_middle(changed) {
            Some(state) => {
                assert_eq!(state, whole, "byte {at} is {:#x}", changed[at]);
                false
            }
            None => true,
        };
        // In the header, only the magic number is checked.
        assert_eq!(is_refused, !(4..HEADER).contains(&at), "byte {at} is {:#x}", changed[at]);
    });
    let ends_of_last = ends(&history.log);
    let end = ends_of_last[ends_of_last.len() - 1];
    let last_entry = ends_of_last[ends_of_last.len() - 2];
    change_bytes(&history.log, end, step, seed, |at, changed| {
        let loaded = history.with_last_log(changed);
        if (HEADER..last_entry).contains(&at) {
            assert!(loaded.is_none(), "byte {at} is {:#x}, with good entries behind", changed[at]);
        }
        assert!(loaded.is_none_or(|state| state == whole), "byte {at} is {:#x}", changed[at]);
    });
}

#[test]
fn no_changed_byte_in_a_log_takes_anything_away_silently() {
    change_logs(FEW, random::seed("logs", Some(7)));
}

#[test]
#[ignore = "long: every byte"]
fn no_byte_of_a_log_can_be_changed_without_being_noticed() {
    change_logs(ALL, random::seed("logs", Some(8)));
}

/// The older snapshot and the logs contain the same data, so the server can do without the newer snapshot.
fn cut_and_change_a_snapshot(step: usize, seed: u64) {
    let history = History::new();
    let whole = history.with_snapshot(&history.snapshot).expect("nothing is wrong");
    assert_eq!(history.with_log_in_the_middle(&history.first_log).as_ref(), Some(&whole));
    for cut in (0..history.snapshot.len()).step_by(step) {
        let loaded = history.with_snapshot(&history.snapshot[..cut]);
        assert_eq!(loaded.as_ref(), Some(&whole), "cut at {cut}");
    }
    change_bytes(&history.snapshot, history.snapshot.len(), step, seed, |at, changed| {
        let loaded = history.with_snapshot(changed);
        assert_eq!(loaded.as_ref(), Some(&whole), "byte {at} is {:#x}", changed[at]);
    });
}

#[test]
fn a_snapshot_that_is_cut_or_changed_anywhere_gives_way_to_the_one_before() {
    cut_and_change_a_snapshot(FEW, random::seed("snapshots", Some(7)));
}

#[test]
#[ignore = "long: every byte"]
fn a_snapshot_that_is_cut_or_changed_at_every_byte_gives_way_to_the_one_before() {
    cut_and_change_a_snapshot(ALL, random::seed("snapshots", Some(8)));
}
