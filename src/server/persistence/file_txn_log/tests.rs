//! Tests of the whole log: reading appended transactions, across files and after damage (Java: FileTxnLogTest).

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::ids::SessionId;
use crate::server::persistence::test_dir::TestDir;
use crate::server::persistence::txn_log::{Behind, Damage};
use crate::server::util::serialize_utils::{TxnBody, TxnLogEntry, serialize_txn};
use crate::txn::SetDataTxn;

const CONFIG: FileTxnLogConfig = FileTxnLogConfig {
    force_sync: true,
    fsync_warning_threshold_ms: 1000,
    pre_alloc_size: 0,
    txn_log_size_limit: None,
    format: crate::server::util::serialize_utils::TxnFormat {
        digest_enabled: true,
        close_session_txn_enabled: true,
        limits: crate::jute::Limits { max_buffer: 0xf_ffff, extra_size: 0xf_ffff },
    },
};

fn set_data(zxid: i64, len: usize) -> TxnLogEntry {
    let txn = SetDataTxn { path: format!("/n{zxid}"), data: Some(vec![9; len]), version: 1 };
    TxnLogEntry {
        header: TxnHeader {
            client_id: SessionId(0x1234),
            cxid: 1,
            zxid: Zxid(zxid),
            time: 1_700_000_000_000,
            r#type: OpCode::SetData.code(),
        },
        txn: Some(TxnBody::SetData(txn)),
        digest: None,
    }
}

fn append(log: &mut FileTxnLog, zxid: i64, len: usize) {
    let entry = set_data(zxid, len);
    let mut bytes = Vec::new();
    serialize_txn(&entry.header, entry.txn.as_ref(), None, &mut bytes);
    log.append(&entry.header, &bytes).unwrap();
}

fn log_in(dir: &TestDir) -> FileTxnLog {
    FileTxnLog::new(dir.path(), CONFIG, Arc::new(()))
}

/// Writes transactions with these zxids to one file and closes it.
fn write(dir: &TestDir, zxids: impl IntoIterator<Item = i64>, len: usize) {
    let mut log = log_in(dir);
    for zxid in zxids {
        append(&mut log, zxid, len);
    }
    log.close().unwrap();
}

fn read(dir: &TestDir, from: i64, check: TailCheck) -> Result<Vec<i64>, TxnLogError> {
    let mut iterator = log_in(dir).read(Zxid(from), true, check)?;
    let mut zxids = Vec::new();
    while let Some(header) = iterator.header() {
        let zxid = header.zxid;
        assert_eq!(iterator.entry()?.zxid(), zxid);
        zxids.push(zxid.0);
        iterator.advance()?;
    }
    Ok(zxids)
}

fn recover(dir: &TestDir) -> Result<Vec<i64>, TxnLogError> {
    read(dir, 1, TailCheck::Recovery)
}

fn change(dir: &TestDir, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = dir.path().join(name);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
}

#[test]
fn what_is_appended_is_read_back_across_files() {
    let dir = TestDir::new();
    let mut log = log_in(&dir);
    for zxid in 1..=10 {
        append(&mut log, zxid, 100);
        if zxid % 4 == 0 {
            log.roll_log().unwrap();
        }
    }
    log.commit().unwrap();
    assert_eq!(dir.names(), ["log.1", "log.5", "log.9"]);
    assert_eq!(recover(&dir).unwrap(), (1..=10).collect::<Vec<_>>());
    assert_eq!(read(&dir, 6, TailCheck::Live).unwrap(), (6..=10).collect::<Vec<_>>());
    assert_eq!(log.last_logged_zxid().unwrap(), Zxid(10));
    assert_eq!(read(&dir, 11, TailCheck::Live).unwrap(), [0_i64; 0]);

    let iterator = log.read(Zxid(6), false, TailCheck::Live).unwrap();
    assert_eq!(iterator.header().unwrap().zxid, Zxid(5));
    assert_eq!(iterator.storage_size(), fs::metadata(dir.path().join("log.9")).unwrap().len());
}

#[test]
fn an_entry_is_checksum_length_bytes_and_end_mark_behind_the_header() {
    let dir = TestDir::new();
    write(&dir, [7], 2);
    let bytes = fs::read(dir.path().join("log.7")).unwrap();
    let mut expected = b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0".to_vec();
    let mut entry = vec![0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 1];
    entry.extend([0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0, 0, 0, 0, 5]);
    entry.extend(b"\0\0\0\x03/n7\0\0\0\x02\x09\x09\0\0\0\x01");
    expected.extend([0, 0, 0, 0]);
    expected.extend(adler_by_the_book(&entry).to_be_bytes());
    expected.extend(u32::try_from(entry.len()).unwrap().to_be_bytes());
    expected.extend(entry);
    expected.push(b'B');
    assert_eq!(bytes, expected);
}

fn adler_by_the_book(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65521;
        b = (b + a) % 65521;
    }
    b << 16 | a
}

#[test]
fn appends_go_down_with_the_commit_and_not_before() {
    let dir = TestDir::new();
    let mut log = log_in(&dir);
    append(&mut log, 1, 100);
    append(&mut log, 2, 100);
    let path = dir.path().join("log.1");
    assert_eq!(fs::metadata(&path).unwrap().len(), 16);
    log.commit().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), log.current_log_size());
    assert!(log.sync_elapsed_ms().is_some());
    append(&mut log, 3, 2_000_000);
    assert!(fs::metadata(&path).unwrap().len() > 2_000_000, "a long group is not kept in memory");
}

#[test]
fn after_a_restart_a_new_file_begins() {
    let dir = TestDir::new();
    write(&dir, 1..=3, 10);
    write(&dir, 4..=5, 10);
    assert_eq!(dir.names(), ["log.1", "log.4"]);
    assert_eq!(recover(&dir).unwrap(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_log_that_grows_ahead_is_read_while_it_is_written_and_is_cut_when_it_is_closed() {
    let dir = TestDir::new();
    let config = FileTxnLogConfig { pre_alloc_size: 64 * 1024 * 1024, ..CONFIG };
    let mut log = FileTxnLog::new(dir.path(), config, Arc::new(()));
    for zxid in 1..=600 {
        append(&mut log, zxid, 1000);
        log.commit().unwrap();
        if zxid % 50 == 0 {
            let all: Vec<_> = (1..=zxid).collect();
            assert_eq!(read(&dir, 1, TailCheck::Live).unwrap(), all);
        }
    }
    let size = log.current_log_size();
    log.close().unwrap();
    assert_eq!(fs::metadata(dir.path().join("log.1")).unwrap().len(), size);
    assert_eq!(recover(&dir).unwrap().len(), 600);
}

#[test]
fn a_file_ends_when_it_is_longer_than_the_limit_and_the_total_goes_on() {
    let dir = TestDir::new();
    let config = FileTxnLogConfig { txn_log_size_limit: Some(1024), ..CONFIG };
    let mut log = FileTxnLog::new(dir.path(), config, Arc::new(()));
    for zxid in 1..=6 {
        append(&mut log, zxid, 500);
        log.commit().unwrap();
    }
    assert_eq!(dir.names(), ["log.1", "log.3", "log.5"]);
    let sizes =
        ["log.1", "log.3", "log.5"].map(|name| fs::metadata(dir.path().join(name)).unwrap().len());
    assert_eq!(log.total_log_size(), sizes.iter().sum::<u64>());
    log.set_total_log_size(0);
    assert_eq!(log.total_log_size(), 0);
}

#[test]
fn a_torn_last_entry_ends_the_log() {
    let dir = TestDir::new();
    write(&dir, 1..=3, 100);
    let whole = fs::read(dir.path().join("log.1")).unwrap();
    let entry = (whole.len() - 16) / 3;
    for cut in [1, 5, entry - 1, entry - 13] {
        for zeros in [0, 1000] {
            change(&dir, "log.1", |bytes| {
                bytes.clone_from(&whole);
                bytes.truncate(whole.len() - cut);
                bytes.resize(bytes.len() + zeros, 0);
            });
            assert_eq!(recover(&dir).unwrap(), [1, 2], "{cut} {zeros}");
        }
    }
    let mut iterator = log_in(&dir).read(Zxid(3), true, TailCheck::Recovery).unwrap();
    assert!(!iterator.advance().unwrap());
    let tail = iterator.torn_tail().unwrap();
    assert_eq!((tail.offset, tail.bytes), ((16 + 2 * entry) as u64, 13 + 1000));
}

#[test]
fn a_wrong_checksum_before_good_entries_is_corruption_with_the_place_and_a_way_out() {
    let dir = TestDir::new();
    write(&dir, 1..=3, 100);
    change(&dir, "log.1", |bytes| bytes[16 + 50] ^= 1);
    let error = recover(&dir).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(
            error,
            TxnLogError::CorruptEntry {
                offset: 16,
                damage: Damage::Checksum { .. },
                behind: Behind::ValidEntry { .. },
                ..
            }
        ),
        "{text}"
    );
    for word in ["log.1: entry at offset 16", "CRC check failed", "restore this server", "--chop"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn a_missing_end_mark_or_zeros_before_good_entries_are_corruption_too() {
    for damage in 0..3 {
        let dir = TestDir::new();
        write(&dir, 1..=3, 100);
        change(&dir, "log.1", |bytes| {
            let end = 16 + (bytes.len() - 16) / 3;
            match damage {
                0 => bytes[end - 1] = 0,
                1 => bytes[16..end].fill(0),
                _ => bytes[16 + 8] = 0x7f, // the length
            }
        });
        assert!(
            matches!(recover(&dir), Err(TxnLogError::CorruptEntry { offset: 16, .. })),
            "{damage}"
        );
    }
}

#[test]
fn a_changed_byte_in_the_last_entry_is_not_given_up_silently() {
    let dir = TestDir::new();
    write(&dir, 1..=3, 100);
    change(&dir, "log.1", |bytes| {
        let at = bytes.len() - 20;
        bytes[at] ^= 4;
    });
    assert!(matches!(recover(&dir), Err(TxnLogError::CorruptEntry { .. })));
    assert_eq!(read(&dir, 1, TailCheck::Live).unwrap(), [1, 2]);
}

#[test]
fn a_torn_file_may_be_followed_by_one_that_goes_on_there_and_by_no_other() {
    let dir = TestDir::new();
    write(&dir, 1..=3, 100);
    change(&dir, "log.1", |bytes| bytes.truncate(bytes.len() - 30));
    let later_epoch = Zxid::new(1, 1).0;
    for (next, good) in [(3, true), (4, false), (later_epoch, true)] {
        write(&dir, [next], 10);
        let read = recover(&dir);
        if good {
            assert_eq!(read.unwrap(), [1, 2, next]);
        } else {
            let text = read.unwrap_err().to_string();
            assert!(text.contains("starts with zxid 0x4, not with 0x3"), "{text}");
        }
        // A reader that starts after the lost transactions does not need them.
        assert!(super::tests::read(&dir, 4, TailCheck::Recovery).is_ok());
        fs::remove_file(dir.path().join(make_log_name(Zxid(next)))).unwrap();
    }
}

#[test]
fn an_empty_last_file_is_deleted_by_recovery_only() {
    let dir = TestDir::new();
    write(&dir, 1..=2, 10);
    for content in [vec![], b"ZKLG\0".to_vec(), vec![0; 5000]] {
        fs::write(dir.path().join("log.3"), &content).unwrap();
        assert_eq!(read(&dir, 1, TailCheck::Live).unwrap(), [1, 2]);
        assert_eq!(dir.names(), ["log.1", "log.3"]);
        assert_eq!(log_in(&dir).last_logged_zxid().unwrap(), Zxid(2));
        assert_eq!(dir.names(), ["log.1"]);
    }
    fs::write(dir.path().join("log.3"), b"no log, but something").unwrap();
    assert!(matches!(recover(&dir), Err(TxnLogError::InvalidMagic { .. })));
    fs::write(dir.path().join("log.3"), b"short").unwrap();
    assert!(matches!(recover(&dir), Err(TxnLogError::NoHeader { .. })));
    assert_eq!(dir.names(), ["log.1", "log.3"], "what is not empty is not deleted");
}

#[test]
fn a_name_with_something_after_the_zxid_is_not_that_of_a_log() {
    let dir = TestDir::new();
    write(&dir, 1..=4, 10);
    write(&dir, 5..=8, 10);
    let log = fs::read(dir.path().join("log.5")).unwrap();
    let part = &log[..log.len() / 2];
    for content in [&log, part, &b"junk"[..], &[]] {
        for name in ["log.1.bak", "log.5.chopped6", "log.5."] {
            fs::write(dir.path().join(name), content).unwrap();
        }
        assert_eq!(recover(&dir).unwrap(), (1..=8).collect::<Vec<_>>());
        assert_eq!(log_in(&dir).last_logged_zxid().unwrap(), Zxid(8));
        check_names(dir.path(), Zxid(1)).unwrap();
        assert_eq!(dir.names().len(), 5, "nothing is deleted");
    }
    // Without the log of the same zxid, nobody knows what it is.
    fs::rename(dir.path().join("log.5"), dir.path().join("log.5.fixed")).unwrap();
    assert_eq!(recover(&dir).unwrap(), [1, 2, 3, 4]);
    let stray = check_names(dir.path(), Zxid(3)).unwrap_err();
    assert!(matches!(&stray, TxnLogError::StrayName { name, .. } if name == "log.5"), "{stray}");
    fs::rename(dir.path().join("log.1"), dir.path().join("log.9")).unwrap();
    check_names(dir.path(), Zxid(10)).unwrap();
}

#[test]
fn of_two_spellings_of_a_zxid_both_are_read() {
    let dir = TestDir::new();
    write(&dir, 10..=12, 10);
    fs::copy(dir.path().join("log.a"), dir.path().join("log.A")).unwrap();
    assert_eq!(read(&dir, 11, TailCheck::Live).unwrap().last(), Some(&12));
    assert_eq!(log_files(dir.path(), Zxid(11)).unwrap().len(), 2);
}

#[test]
fn a_file_with_a_header_only_holds_no_zxid() {
    let dir = TestDir::new();
    assert_eq!(log_in(&dir).last_logged_zxid().unwrap(), Zxid::NONE);
    write(&dir, 1..=2, 10);
    fs::write(dir.path().join("log.3"), b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0").unwrap();
    assert_eq!(log_in(&dir).last_logged_zxid().unwrap(), Zxid(2));
    write(&dir, [3], 10);
    assert_eq!(recover(&dir).unwrap(), [1, 2, 3]);
}

#[test]
fn an_entry_above_jute_maxbuffer_asks_for_the_setting() {
    let dir = TestDir::new();
    write(&dir, 1..=2, 5000);
    let mut config = CONFIG;
    config.format.limits = crate::jute::Limits::new(100, 1024);
    let log = FileTxnLog::new(dir.path(), config, Arc::new(()));
    let error = log.read(Zxid(1), true, TailCheck::Recovery).unwrap_err();
    assert!(matches!(error, TxnLogError::EntryTooLong { offset: 16, .. }), "{error}");
    assert!(error.to_string().contains("raise jute.maxbuffer"), "{error}");
}

/// What a server before this one may have logged: longer than what is looked at in one piece, with a sector of zeros.
#[test]
fn a_giant_entry_is_no_torn_write_however_far_what_follows_is() {
    let dir = TestDir::new();
    let mut log = log_in(&dir);
    append(&mut log, 1, 10);
    let giant = usize::try_from(damage::SEARCHED).unwrap() + 1_000_000;
    let mut entry = set_data(2, giant);
    if let Some(TxnBody::SetData(txn)) = &mut entry.txn {
        txn.data.as_mut().unwrap()[4096..8192].fill(0);
    }
    let mut bytes = Vec::new();
    serialize_txn(&entry.header, entry.txn.as_ref(), None, &mut bytes);
    log.append(&entry.header, &bytes).unwrap();
    append(&mut log, 3, 10);
    log.close().unwrap();
    let error = recover(&dir).unwrap_err();
    assert!(matches!(error, TxnLogError::EntryTooLong { .. }), "{error}");
    // Its length is damaged, too.
    let at = fs::read(dir.path().join("log.1"))
        .unwrap()
        .windows(4)
        .position(|length| length == i32::try_from(bytes.len()).unwrap().to_be_bytes());
    change(&dir, "log.1", |bytes| bytes[at.unwrap()] ^= 0x40);
    let error = recover(&dir).unwrap_err();
    assert!(
        matches!(error, TxnLogError::CorruptEntry { behind: Behind::ValidEntry { .. }, .. }),
        "{error}"
    );
}

#[test]
fn truncating_keeps_what_is_not_above_the_zxid() {
    for (zxid, left, names) in [
        (5, vec![1, 2, 3, 4, 5], vec!["log.1", "log.4"]),
        (6, vec![1, 2, 3, 4, 5, 6], vec!["log.1", "log.4"]),
        (3, vec![1, 2, 3], vec!["log.1"]),
        (99, vec![1, 2, 3, 4, 5, 6, 8, 9], vec!["log.1", "log.4", "log.8"]),
        (7, vec![1, 2, 3, 4, 5, 6], vec!["log.1", "log.4"]),
        (0, vec![], vec![]),
    ] {
        let dir = TestDir::new();
        write(&dir, 1..=3, 10);
        write(&dir, 4..=6, 10);
        write(&dir, 8..=9, 10);
        let mut log = log_in(&dir);
        let last = left.last().copied().unwrap_or(-1);
        assert_eq!(log.truncate(Zxid(zxid)).unwrap(), Zxid(last), "{zxid}");
        assert_eq!(
            (recover(&dir).unwrap(), dir.names()),
            (left, names.iter().map(|n| (*n).to_owned()).collect())
        );
        append(&mut log, zxid + 1, 10);
        log.commit().unwrap();
        assert_eq!(recover(&dir).unwrap().last(), Some(&(zxid + 1)));
    }
    let dir = TestDir::new();
    assert!(matches!(log_in(&dir).truncate(Zxid(5)), Err(TxnLogError::NothingToTruncate { .. })));
}

#[derive(Debug, Default)]
struct Counts {
    syncs: AtomicU32,
    slow: AtomicU32,
}

impl PersistenceMetrics for Counts {
    fn fsync_time_ms(&self, _ms: i64) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }
    fn fsync_threshold_exceeded(&self) {
        self.slow.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn every_sync_is_told_and_a_slow_one_is_counted() {
    let dir = TestDir::new();
    let counts = Arc::new(Counts::default());
    let config = FileTxnLogConfig { fsync_warning_threshold_ms: -1, ..CONFIG };
    let mut log = FileTxnLog::new(dir.path(), config, counts.clone());
    append(&mut log, 1, 10);
    log.commit().unwrap();
    log.commit().unwrap(); // nothing new
    append(&mut log, 2, 10);
    log.roll_log().unwrap();
    append(&mut log, 3, 10);
    log.commit().unwrap();
    let told = (counts.syncs.load(Ordering::Relaxed), counts.slow.load(Ordering::Relaxed));
    assert_eq!(told, (3, 3));
}

#[test]
fn after_a_failure_nothing_more_is_taken() {
    let dir = TestDir::new();
    let gone = dir.path().join("gone");
    let mut log = FileTxnLog::new(&gone, CONFIG, Arc::new(()));
    let entry = set_data(1, 10);
    let error = log.append(&entry.header, &[1; 40]).unwrap_err();
    assert!(matches!(error, TxnLogError::Io { action: "create", .. }), "{error}");
    fs::create_dir(&gone).unwrap();
    for result in [log.append(&entry.header, &[1; 40]), log.commit(), log.roll_log()] {
        assert!(matches!(result, Err(TxnLogError::FailedBefore { .. })));
    }
    assert!(matches!(
        log_in(&dir).append(&entry.header, &[]),
        Err(TxnLogError::FaultySerialization { length: 0, .. })
    ));
}

#[test]
fn a_file_with_transactions_is_never_replaced() {
    let dir = TestDir::new();
    write(&dir, [5, 6], 20);
    let mut log = log_in(&dir);
    let entry = set_data(5, 20);
    let mut bytes = Vec::new();
    serialize_txn(&entry.header, entry.txn.as_ref(), None, &mut bytes);
    let refused = log.append(&entry.header, &bytes).unwrap_err();
    assert!(matches!(refused, TxnLogError::WouldReplace { .. }), "{refused}");
    assert_eq!(recover(&dir).unwrap(), [5, 6]);
}

#[test]
fn a_file_that_never_got_a_transaction_is_replaced() {
    for size in [0, 7, 16, 4096] {
        let dir = TestDir::new();
        write(&dir, [4], 20);
        write(&dir, [5], 20);
        change(&dir, "log.5", |bytes| {
            bytes.truncate(16);
            bytes.resize(size, 0);
        });
        write(&dir, [5, 6], 30);
        assert_eq!(recover(&dir).unwrap(), [4, 5, 6], "{size} bytes");
    }
}
