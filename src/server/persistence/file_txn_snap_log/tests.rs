//! Tests of whole data directories, including those of Java servers (`tests/compat_data/storage`).

mod damaged_files;

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::jute::{BinaryInputArchive, Limits};
use crate::server::persistence::file_snap::{deserialize, serialize};
use crate::server::persistence::snap_stream::{StreamMode, input_stream};
use crate::server::persistence::test_dir::TestDir;
use crate::server::persistence::test_tree::{TestSource, TestTree};
use crate::server::persistence::util::{SNAPSHOT_FILE_PREFIX, sorted_data_dir};
use crate::server::util::serialize_utils::serialize_txn;
use crate::txn::{CreateSessionTxn, CreateTxn};
use crate::zoo_defs::OpCode;
use crate::zoo_defs::ids::open_acl_unsafe;

const VERSIONS: [&str; 11] = [
    "v3.4.14",
    "v3.4.14-snap",
    "v3.5.10",
    "v3.6.4",
    "v3.9.5",
    "v3.9.5-fuzzy",
    "v3.9.5-gz",
    "v3.9.5-snappy",
    "v3.9.5-nodigest",
    "v3.9.5-nozxid",
    "v3.9.5-neither",
];

fn java_dir(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat_data/storage").join(version)
}

/// Copies a Java server's data directory to `version-2` of the test's directory.
fn copy_of(version: &str) -> TestDir {
    let dir = TestDir::new();
    let copy = dir.path().join(VERSION_DIRECTORY);
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(java_dir(version)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if name != "expected.txt" {
            fs::copy(entry.path(), copy.join(name)).unwrap();
        }
    }
    dir
}

fn config() -> FileTxnSnapLogConfig {
    let mut config = FileTxnSnapLogConfig::default();
    config.txn_log.pre_alloc_size = 0;
    config
}

fn open(dir: &TestDir, config: FileTxnSnapLogConfig) -> FileTxnSnapLog {
    FileTxnSnapLog::new(dir.path(), dir.path(), config, Arc::new(())).unwrap()
}

struct Restored {
    tree: TestTree,
    sessions: Sessions,
    zxid: Zxid,
    replayed: Vec<Zxid>,
}

fn restore(dir: &TestDir, config: FileTxnSnapLogConfig) -> Result<Restored, RestoreError> {
    restore_with(&open(dir, config))
}

fn restore_with(log: &FileTxnSnapLog) -> Result<Restored, RestoreError> {
    let (mut tree, mut sessions) = (TestTree::new(), Sessions::new());
    let mut replayed = Vec::new();
    let zxid = log.restore(&mut tree, &mut sessions, |txn| {
        assert!(txn.bytes.len() >= 32);
        replayed.push(txn.header.zxid);
    })?;
    Ok(Restored { tree, sessions, zxid, replayed })
}

fn names(dir: &TestDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path().join(VERSION_DIRECTORY)).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn hex(data: Option<&[u8]>) -> String {
    let hex = |data: &[u8]| data.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    data.map_or_else(|| "null".to_owned(), |data| format!("x{}", hex(data)))
}

/// Checks that the restored tree and sessions are what a client of the Java server saw.
fn assert_as_java_saw_it(version: &str, restored: &Restored) {
    let expected = fs::read_to_string(java_dir(version).join("expected.txt")).unwrap();
    let mut lines = expected.lines();
    let session: Vec<i64> = lines
        .next()
        .and_then(|line| line.strip_prefix("session "))
        .map(|line| line.split(' ').map(|number| number.parse().unwrap()).collect())
        .unwrap();
    let timeout = i32::try_from(session[1]).unwrap();
    assert_eq!(restored.sessions.get(&SessionId(session[0])), Some(&timeout), "{version}");
    assert_eq!(restored.sessions.len(), 2, "the first round's session was never closed");
    let tree = &restored.tree;
    for line in lines {
        let path = line.split(' ').next().unwrap();
        let node = tree.node(path.strip_suffix('/').unwrap_or(path)).expect(line);
        let stat = &node.stat;
        let mut children = tree.children(&node.path).len();
        if version.starts_with("v3.4")
            && path == "/zookeeper"
            && tree.node("/zookeeper/config").is_some()
        {
            children -= 1; // is there before a log without snapshot is replayed
        }
        let cversion = stat.cversion * 2 - i32::try_from(children).unwrap();
        let (czxid, mzxid, pzxid) = (stat.czxid.0, stat.mzxid.0, stat.pzxid.0);
        let is = format!(
            "{path} {czxid} {mzxid} {pzxid} {} {} {} {cversion} {} {} {children} {}",
            stat.ctime,
            stat.mtime,
            stat.version,
            stat.aversion,
            // A client does not see the owner markers of containers and TTL nodes.
            if stat.ephemeral_owner < 0 { 0 } else { stat.ephemeral_owner },
            hex(node.data.as_deref())
        );
        if !path.starts_with("/zookeeper") || !version.starts_with("v3.4") {
            assert_eq!(is, line, "{version}");
        }
    }
    assert_eq!(tree.node("/r1/closed"), None);
    assert_eq!(tree.acl("/r2/acl").len(), 2);
    assert_eq!(tree.acl("/r2/acl")[0].id.id, "u:Xk3Zp0Qy");
    assert_eq!(tree.acl("/r2/empty")[0].perms, 5);
}

#[test]
fn the_directories_of_java_servers_are_restored_as_their_clients_saw_them() {
    for version in VERSIONS {
        let dir = copy_of(version);
        let trust = FileTxnSnapLogConfig { trust_empty_snapshot: version == "v3.4.14", ..config() };
        let restored = restore(&dir, trust).unwrap_or_else(|error| panic!("{version}: {error}"));
        assert_as_java_saw_it(version, &restored);
        assert_eq!(restored.replayed.last(), Some(&restored.zxid));
        assert_eq!(restored.tree.last_processed, restored.zxid);
        assert_eq!(restored.tree.mismatches, [], "{version}");
        let has_digests = !version.starts_with("v3.4")
            && !version.starts_with("v3.5")
            && !version.ends_with("nodigest")
            && !version.ends_with("neither");
        assert_eq!(
            restored.tree.compared > 10,
            has_digests,
            "{version}: {}",
            restored.tree.compared
        );
    }
}

#[test]
fn a_directory_is_restored_whatever_the_settings_of_its_writer_were() {
    for version in VERSIONS {
        for (digest_enabled, serialize_last_processed_zxid) in
            [(true, true), (true, false), (false, true), (false, false)]
        {
            let dir = copy_of(version);
            let mut config = config();
            config.trust_empty_snapshot = true;
            config.txn_log.format.digest_enabled = digest_enabled;
            config.snap.digest_enabled = digest_enabled;
            config.snap.serialize_last_processed_zxid = serialize_last_processed_zxid;
            let restored = restore(&dir, config).unwrap();
            assert_as_java_saw_it(version, &restored);
            assert_eq!(restored.tree.mismatches, []);
        }
    }
}

#[test]
fn a_snapshot_that_is_read_and_written_again_has_javas_bytes() {
    for version in VERSIONS {
        for NamedFile { path, zxid } in
            sorted_data_dir(&java_dir(version), SNAPSHOT_FILE_PREFIX).unwrap()
        {
            let mut java = Vec::new();
            io::Read::read_to_end(&mut input_stream(&path).unwrap(), &mut java).unwrap();
            let (mut tree, mut sessions) = (TestTree::default(), Sessions::new());
            let input = input_stream(&path).unwrap();
            let tail = deserialize(input, version, Limits::default(), &mut tree, &mut sessions);
            let tail = tail.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(tail.digest.is_some(), tail_is_expected(version, "digest"), "{version}");
            assert_eq!(tail.last_processed_zxid.is_some(), tail_is_expected(version, "zxid"));

            tree.last_processed = tail.last_processed_zxid.unwrap_or(zxid);
            tree.last_digest = tail.digest;
            let config = FileSnapConfig {
                digest_enabled: tail.digest.is_some(),
                serialize_last_processed_zxid: tail.last_processed_zxid.is_some(),
                ..FileSnapConfig::default()
            };
            let in_javas_order = sessions_in_order(&java);
            assert_eq!(in_javas_order.iter().copied().collect::<Sessions>(), sessions);
            let mut source = TestSource { tree: &tree, sessions: in_javas_order };
            let ours = serialize(&mut source, &config, Vec::new(), &path).unwrap();
            assert!(ours == java, "{}", path.display());
        }
    }
}

/// The sessions in the order of the snapshot, which in Java is that of a hash table.
fn sessions_in_order(snapshot: &[u8]) -> Vec<(SessionId, i32)> {
    let mut archive = BinaryInputArchive::new(&snapshot[16..], Limits::default());
    let count = archive.read_int().unwrap();
    let mut session = || (SessionId(archive.read_long().unwrap()), archive.read_int().unwrap());
    (0..count).map(|_| session()).collect()
}

fn tail_is_expected(version: &str, part: &str) -> bool {
    let since = if part == "digest" { "v3.6" } else { "v3.9" };
    version >= since && !version.ends_with("neither") && !version.ends_with(&format!("no{part}"))
}

#[test]
fn what_is_saved_in_any_mode_is_restored() {
    for stream_mode in [StreamMode::Checked, StreamMode::Gzip, StreamMode::Snappy] {
        let dir = copy_of("v3.9.5");
        let mut config = config();
        config.snap.stream_mode = stream_mode;
        let log = open(&dir, config);
        let Restored { tree, sessions, zxid, .. } = restore_with(&log).unwrap();
        let in_order = sessions.iter().map(|(id, timeout)| (*id, *timeout)).collect();
        let path = log.save(&mut TestSource { tree: &tree, sessions: in_order }).unwrap();
        assert!(path.ends_with(format!("snapshot.{:x}{}", zxid.0, stream_mode.file_extension())));
        assert_eq!(log.last_snapshot_info().unwrap().zxid, zxid);
        assert!(log.last_snapshot_info().unwrap().timestamp > 1_600_000_000);
        assert!(!names(&dir).iter().any(|name| name.starts_with("tmp")), "{:?}", names(&dir));

        let again = restore(&dir, config).unwrap();
        assert_eq!((again.zxid, again.replayed), (zxid, vec![]));
        assert_eq!((again.tree.nodes, again.sessions), (tree.nodes, sessions));
        assert_eq!(log.find_most_recent_snapshot().unwrap().unwrap().path, path);
    }
}

fn append_create(log: &FileTxnSnapLog, zxid: i64, path: &str) {
    let header = TxnHeader {
        client_id: SessionId(7),
        cxid: 1,
        zxid: Zxid(zxid),
        time: 1,
        r#type: OpCode::Create.code(),
    };
    let (path, acl) = (path.to_owned(), open_acl_unsafe());
    let txn = CreateTxn { path, data: None, acl, ephemeral: false, parent_c_version: -1 };
    append(log, &header, TxnBody::Create(txn));
}

fn append(log: &FileTxnSnapLog, header: &TxnHeader, txn: TxnBody) {
    let mut bytes = Vec::new();
    serialize_txn(header, Some(&txn), None, &mut bytes);
    log.append(header, &bytes).unwrap();
    log.commit().unwrap();
}

/// A half copied backup, or what the toolkit has written, beside the log.
#[test]
fn a_stray_file_beside_a_log_hides_nothing() {
    for version in ["v3.9.5", "v3.4.14"] {
        let trusting = || FileTxnSnapLogConfig { trust_empty_snapshot: true, ..config() };
        let expected = restore(&copy_of(version), trusting()).unwrap();
        let dir = copy_of(version);
        let logs = names(&dir).into_iter().filter(|name| name.starts_with("log."));
        let path = |name: &str| dir.path().join(VERSION_DIRECTORY).join(name);
        let logs: Vec<String> = logs.collect();
        for log in &logs {
            let bytes = fs::read(path(log)).unwrap();
            fs::write(path(&format!("{log}.bak")), &bytes[..bytes.len() / 3]).unwrap();
            fs::write(path(&format!("{log}.chopped1")), &bytes[..16]).unwrap();
        }
        let restored = restore(&dir, trusting()).unwrap();
        assert_eq!((restored.zxid, &restored.replayed), (expected.zxid, &expected.replayed));
        assert_as_java_saw_it(version, &restored);
        let last = logs.last().unwrap();
        fs::remove_file(path(last)).unwrap();
        let refused = restore(&dir, trusting()).err().unwrap().to_string();
        assert!(refused.contains(&format!("rename it to {last} if")), "{refused}");
        assert!(path(&format!("{last}.bak")).exists());
    }
}

#[test]
fn an_empty_database_begins_with_the_snapshot_that_java_writes() {
    for (version, digest_enabled, serialize_last_processed_zxid, size) in [
        ("v3.9.5", true, true, 478),
        ("v3.9.5-nozxid", true, false, 457),
        ("v3.9.5-nodigest", false, true, 445),
        ("v3.9.5-neither", false, false, 424),
    ] {
        let dir = TestDir::new();
        let mut config = config();
        config.snap.digest_enabled = digest_enabled;
        config.snap.serialize_last_processed_zxid = serialize_last_processed_zxid;
        assert_eq!(restore(&dir, config).unwrap().zxid, Zxid::ZERO);
        assert_eq!(names(&dir), ["snapshot.0"]);
        let ours = fs::read(dir.path().join("version-2/snapshot.0")).unwrap();
        assert_eq!(ours.len(), size);
        assert!(ours == fs::read(java_dir(version).join("snapshot.0")).unwrap(), "{version}");
        assert_eq!(restore(&dir, config).unwrap().zxid, Zxid::ZERO);
    }
}

#[test]
fn an_empty_database_that_was_not_initialized_has_zxid_minus_one() {
    let dir = TestDir::new();
    let config = FileTxnSnapLogConfig { db_autocreate: false, ..config() };
    let restored = restore(&dir, config).unwrap();
    assert_eq!((restored.zxid, restored.tree.last_processed), (Zxid::NONE, Zxid::NONE));
    assert_eq!(names(&dir), [""; 0]);

    fs::write(dir.path().join("initialize"), "").unwrap();
    assert_eq!(restore(&dir, config).unwrap().zxid, Zxid::ZERO);
    assert_eq!((dir.names(), names(&dir)), (vec!["version-2".into()], vec!["snapshot.0".into()]));
}

#[test]
fn a_log_without_a_snapshot_is_refused_unless_it_is_trusted() {
    let dir = copy_of("v3.4.14");
    let error = restore(&dir, config()).err().unwrap().to_string();
    for words in [
        "No snapshot found, but there are log entries. Something is broken!",
        "zookeeper.snapshot.trust.empty=true",
    ] {
        assert!(error.contains(words), "{error}");
    }
    let log = open(&dir, FileTxnSnapLogConfig { trust_empty_snapshot: true, ..config() });
    let restored = restore_with(&log).unwrap();
    assert_eq!(restored.replayed.first(), Some(&Zxid(1)));
    assert!(log.should_force_write_initial_snapshot_after_leader_election());
}

#[test]
fn a_snapshot_that_cannot_be_read_gives_way_to_an_older_one() {
    let whole = restore(&copy_of("v3.9.5"), config()).unwrap();
    let dir = copy_of("v3.9.5");
    let newest = dir.path().join("version-2/snapshot.1c");
    let mut bytes = fs::read(&newest).unwrap();
    bytes[500] ^= 1;
    fs::write(&newest, &bytes).unwrap();
    fs::write(dir.path().join("version-2/snapshot.ff"), b"half-written").unwrap();
    fs::write(dir.path().join("version-2/tmp-snapshot.fe.0"), b"half-written").unwrap();
    let restored = restore(&dir, config()).unwrap();
    assert_eq!(restored.replayed.first(), Some(&Zxid(1)), "from snapshot.0");
    assert_eq!((restored.zxid, restored.sessions), (whole.zxid, whole.sessions));
    assert_eq!(restored.tree.nodes.len(), whole.tree.nodes.len());
    assert!(!names(&dir).contains(&"tmp-snapshot.fe.0".to_owned()), "an unfinished one is deleted");

    fs::remove_file(dir.path().join("version-2/snapshot.0")).unwrap();
    let error = restore(&dir, config()).err().unwrap().to_string();
    assert!(error.contains("Not able to find valid snapshots"), "{error}");
    assert!(error.contains("tried 1; the newest: ") && error.contains("snapshot.1c"), "{error}");
}

#[test]
fn a_torn_tail_is_cut_off_so_that_java_reads_the_log_too() {
    let dir = TestDir::new();
    let log = open(&dir, config());
    restore_with(&log).unwrap();
    append_create(&log, 1, "/a");
    append_create(&log, 2, "/b");
    log.close().unwrap();
    let path = dir.path().join("version-2/log.1");
    let good = fs::read(&path).unwrap();
    let entry = (good.len() - 16) / 2;
    let mut torn = good.clone();
    torn.extend(&good[good.len() - entry..good.len() - 20]);
    torn.resize(10_000, 0);
    fs::write(&path, torn).unwrap();

    assert_eq!(restore_with(&log).unwrap().zxid, Zxid(2));
    assert_eq!(fs::read(&path).unwrap(), good);
    append_create(&log, 3, "/c");
    let restored = restore(&dir, config()).unwrap();
    assert_eq!(restored.tree.children(""), ["a", "b", "c", "zookeeper"]);
    assert_eq!(names(&dir), ["log.1", "log.3", "snapshot.0"]);
}

#[derive(Debug, Default)]
struct Syncs(AtomicUsize);

impl PersistenceMetrics for Syncs {
    fn fsync_time_ms(&self, _ms: i64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn what_a_killed_server_has_left_is_synced_before_it_counts() {
    let dir = TestDir::new();
    let log = open(&dir, config());
    restore_with(&log).unwrap();
    for zxid in 1..=2 {
        append_create(&log, zxid, &format!("/{zxid}"));
        log.roll_log().unwrap();
    }
    log.close().unwrap();
    let syncs = Arc::new(Syncs::default());
    let metrics = Arc::clone(&syncs) as Arc<dyn PersistenceMetrics>;
    let log = FileTxnSnapLog::new(dir.path(), dir.path(), config(), metrics).unwrap();
    assert_eq!(restore_with(&log).unwrap().replayed, [Zxid(1), Zxid(2)]);
    assert_eq!(syncs.0.load(Ordering::Relaxed), 2, "one for each file that was read");
}

#[test]
fn sessions_come_and_go_with_the_log() {
    let dir = TestDir::new();
    let log = open(&dir, config());
    restore_with(&log).unwrap();
    for (zxid, session) in [(1, 7), (2, 8)] {
        let header = TxnHeader {
            client_id: SessionId(session),
            cxid: 0,
            zxid: Zxid(zxid),
            time: 1,
            r#type: OpCode::CreateSession.code(),
        };
        append(&log, &header, TxnBody::CreateSession(CreateSessionTxn { time_out: 4000 }));
    }
    let header = TxnHeader {
        client_id: SessionId(7),
        cxid: 0,
        zxid: Zxid(3),
        time: 1,
        r#type: OpCode::CloseSession.code(),
    };
    let bytes = crate::jute::Record::to_bytes(&header); // as before 3.6: no record
    log.append(&header, &bytes).unwrap();
    log.close().unwrap();
    let restored = restore(&dir, config()).unwrap();
    assert_eq!(restored.sessions, Sessions::from([(SessionId(8), 4000)]));
}

#[test]
fn truncating_takes_newer_snapshots_and_transactions_away_or_changes_nothing() {
    let dir = copy_of("v3.9.5-fuzzy");
    let log = open(&dir, config());
    log.truncate_log(Zxid(0x20)).unwrap();
    assert_eq!(
        names(&dir),
        ["log.1", "log.1c", "log.e", "snapshot.0", "snapshot.1b", "snapshot.c"]
    );
    let restored = restore_with(&log).unwrap();
    assert_eq!((restored.zxid, restored.tree.last_processed), (Zxid(0x20), Zxid(0x20)));
    assert_eq!(log.last_logged_zxid().unwrap(), Zxid(0x20));
    log.truncate_log(Zxid(0xd)).unwrap();
    assert_eq!(names(&dir), ["log.1", "snapshot.0", "snapshot.c"]);
    assert_eq!(restore_with(&log).unwrap().zxid, Zxid(0xd));
    append_create(&log, 0xe, "/again");
    assert_eq!(restore(&dir, config()).unwrap().zxid, Zxid(0xe));

    fs::remove_file(dir.path().join("version-2/snapshot.0")).unwrap();
    let before = names(&dir);
    let error = log.truncate_log(Zxid(0xb)).unwrap_err();
    assert!(matches!(error, RestoreError::NothingToTruncateTo { .. }), "{error}");
    assert_eq!(names(&dir), before);
}

#[test]
fn settings_are_read_as_java_reads_them() {
    assert_eq!(
        FileTxnSnapLogConfig::from_properties(&SystemProperties::new()),
        FileTxnSnapLogConfig::default()
    );
    let config = FileTxnSnapLogConfig::from_properties(&SystemProperties::from_pairs([
        ("zookeeper.snapshot.trust.empty", "true"),
        ("zookeeper.datadir.autocreate", "false"),
        ("zookeeper.db.autocreate", "no"),
        ("zookeeper.snapshot.compression.method", "GZ"),
        ("zookeeper.serializeLastProcessedZxid.enabled", "false"),
        ("zookeeper.digest.enabled", "false"),
    ]));
    assert!(config.trust_empty_snapshot && !config.datadir_autocreate && !config.db_autocreate);
    assert_eq!(config.snap.stream_mode, StreamMode::Gzip);
    assert!(!config.snap.digest_enabled && !config.snap.serialize_last_processed_zxid);
}
