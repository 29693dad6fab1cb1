//! What a server reads from its directories: logs, snapshots, or both (no Java twin).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zookeeper_server::ids::{SessionId, Zxid};
use zookeeper_server::internals::audit::zk_audit_provider::ZKAuditProvider;
use zookeeper_server::internals::common::time::SystemClock;
use zookeeper_server::internals::common::zk_config::SystemProperties;
use zookeeper_server::internals::server::data_tree::TreeContents;
use zookeeper_server::internals::server::persistence::file_txn_log::{FileTxnLog, TailCheck};
use zookeeper_server::internals::server::persistence::file_txn_snap_log::{
    RestoreError, VERSION_DIRECTORY,
};
use zookeeper_server::internals::server::persistence::snap_stream::is_valid_snapshot;
use zookeeper_server::internals::server::persistence::txn_log::{
    FileTxnLogConfig, PersistenceMetrics, TxnLogError,
};
use zookeeper_server::internals::server::persistence::txn_log_toolkit;
use zookeeper_server::internals::server::server_config::ServerConfig;
use zookeeper_server::internals::server::server_metrics::ServerMetrics;
use zookeeper_server::internals::server::server_settings::ServerSettings;
use zookeeper_server::internals::server::server_stats::ServerStats;
use zookeeper_server::internals::server::snapshot_formatter;
use zookeeper_server::internals::server::zk_database::{DatabaseReports, ZKDatabase};

use super::seals::{seal_log, seal_snapshot};
use super::temporary::TempDir;

thread_local! {
    static DATABASE: TestDatabase = TestDatabase::new();
}

/// Everything that a database has in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseState {
    pub zxid: Zxid,
    pub tree: TreeContents,
    pub sessions: BTreeMap<SessionId, i32>,
}

/// A data directory that can be filled, loaded, and filled again.
pub struct TestDatabase {
    dir: TempDir,
    version: PathBuf,
    properties: SystemProperties,
    settings: ServerSettings,
    reports: DatabaseReports,
}

impl TestDatabase {
    pub fn new() -> Self {
        let dir = TempDir::new();
        let properties = SystemProperties::from_pairs([
            ("zookeeper.forceSync", "no"),
            ("zookeeper.extendedTypesEnabled", "true"),
        ]);
        let clock = SystemClock::shared();
        let metrics = ServerMetrics::null();
        let reports = DatabaseReports {
            stats: Arc::new(ServerStats::new(Arc::clone(&metrics), Arc::clone(&clock))),
            audit: Arc::new(ZKAuditProvider::from_properties(&properties).unwrap()),
            clock,
            metrics,
        };
        let config = ServerConfig::new(None, dir.path());
        let settings = ServerSettings::new(&config, &properties);
        let version = dir.path().join(VERSION_DIRECTORY);
        fs::create_dir(&version).unwrap();
        Self { dir, version, properties, settings, reports }
    }

    /// The directory of the files.
    pub fn version_dir(&self) -> &Path {
        &self.version
    }

    /// Replaces all files in the directory with these.
    pub fn fill<'a>(&self, files: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
        for entry in fs::read_dir(&self.version).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, bytes) in files {
            fs::write(self.version.join(name), bytes).unwrap();
        }
    }

    /// Loads the files. Returns what a server then has in memory.
    pub fn load(&self) -> Result<DatabaseState, RestoreError> {
        let dir = self.dir.path();
        let database =
            ZKDatabase::open(dir, dir, &self.properties, &self.settings, &self.reports).unwrap();
        let zxid = database.load_data_base()?;
        let sessions = database.sessions_with_timeouts().to_map();
        // A server does the same when it starts.
        database.kill_dead_sessions();
        let tree = database.tree().read().contents();
        Ok(DatabaseState { zxid, tree, sessions })
    }
}

/// Loads the files. Panics if the loaded tree is inconsistent, or if a refusal has no message.
fn load(database: &TestDatabase) {
    match database.load() {
        Ok(state) => {
            for (path, node) in &state.tree.nodes {
                let slash = if path == "/" { "" } else { "/" };
                for child in &node.children {
                    let child = format!("{path}{slash}{child}");
                    assert!(
                        state.tree.nodes.contains_key(&child),
                        "{child} is a child and no node"
                    );
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Puts several files into one input, for [`split`].
pub fn multi_part<T: AsRef<[u8]>>(parts: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        let part = part.as_ref();
        bytes.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
        bytes.extend(part);
    }
    bytes
}

/// The parts of an input. A length that is too large stands for the rest of the input.
pub fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*len) as usize;
        let (part, behind) = rest.split_at(len.min(rest.len()));
        parts.push(part);
        bytes = behind;
    }
    parts
}

#[derive(Debug)]
struct NoMetrics;

impl PersistenceMetrics for NoMetrics {
    fn fsync_time_ms(&self, _ms: i64) {}
    fn fsync_threshold_exceeded(&self) {}
    fn startup_snap_load_time_ms(&self, _ms: i64) {}
    fn startup_txns_loaded(&self, _txns: u64, _ms: i64) {}
}

fn read_log(log: &FileTxnLog, zxid: Zxid, check: TailCheck) -> Result<usize, TxnLogError> {
    let mut iterator = log.read(zxid, true, check)?;
    let mut entries = 0;
    while iterator.header().is_some() {
        iterator.entry()?;
        entries += 1;
        iterator.advance()?;
    }
    Ok(entries)
}

/// `is_alone`: the directory has only one log file. With several files, the truncation may reach files that were not
/// read before, and they may be broken.
fn read_logs(directory: &Path, is_alone: bool) {
    let config = FileTxnLogConfig { force_sync: false, ..FileTxnLogConfig::default() };
    let mut log = FileTxnLog::new(directory, config, Arc::new(NoMetrics));
    for zxid in [0, 1, 9, i64::MIN, i64::MAX] {
        let _refused = read_log(&log, Zxid(zxid), TailCheck::Live);
    }
    let _refused = read_log(&log, Zxid(1), TailCheck::Recovery);
    let last = log.last_logged_zxid();
    let Ok(last) = last else { return };
    let middle = Zxid(last.0 / 2);
    if log.truncate(middle).is_ok() {
        let left = log.last_logged_zxid();
        assert!(!is_alone || left.is_ok(), "a log that was cut cannot be read: {left:?}");
        if let (true, Ok(left)) = (is_alone, left) {
            assert!(left <= middle.max(Zxid::NONE), "{left} is left of a log cut to {middle}");
        }
    }
}

/// One log file.
pub fn log_file(bytes: &[u8]) {
    DATABASE.with(|database| {
        database.fill([("log.1", bytes)]);
        read_logs(database.version_dir(), true);
    });
}

/// The lines that can be names of files in a directory.
fn file_names(names: &[u8]) -> Vec<String> {
    let names = String::from_utf8_lossy(names);
    let is_name = |name: &&str| {
        !name.is_empty()
            && name.len() < 200
            && !name.contains(['/', '\0'])
            && !name.starts_with('.')
    };
    names.lines().filter(is_name).take(8).map(str::to_owned).collect()
}

/// Fills the database's directory. The first part of the input has the names of the files, one per line. The contents
/// follow.
fn fill_with_parts(database: &TestDatabase, bytes: &[u8], change: fn(&str, &mut [u8])) {
    let parts = split(bytes);
    let Some((names, contents)) = parts.split_first() else {
        database.fill([]);
        return;
    };
    let names = file_names(names);
    let mut contents: Vec<Vec<u8>> = contents.iter().map(|part| part.to_vec()).collect();
    for (name, bytes) in names.iter().zip(&mut contents) {
        change(name, bytes);
    }
    let files = names.iter().zip(&contents);
    database.fill(files.map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
}

/// Several log files.
pub fn log_directory(bytes: &[u8]) {
    DATABASE.with(|database| {
        fill_with_parts(database, bytes, |_, _| {});
        read_logs(database.version_dir(), false);
    });
}

fn words(words: &[&str], path: &Path) -> Vec<String> {
    let words = words.iter().map(|word| (*word).to_owned());
    words.chain([path.display().to_string()]).collect()
}

/// Runs the log toolkit on a file: it prints, repairs and truncates the log.
pub fn log_tools(bytes: &[u8]) {
    DATABASE.with(|database| {
        for arguments in [&["-d"][..], &["-r", "-y", "-v"], &["-c", "-z", "0x9"]] {
            database.fill([("log.1", bytes)]);
            let arguments = words(arguments, &database.version_dir().join("log.1"));
            let (mut out, mut err) = (io::sink(), io::sink());
            let properties = SystemProperties::new();
            txn_log_toolkit::main(&arguments, &properties, &mut io::empty(), &mut out, &mut err);
        }
    });
}

fn snapshot(name: &str, bytes: &[u8]) {
    DATABASE.with(|database| {
        database.fill([(name, bytes)]);
        let _unreadable = is_valid_snapshot(&database.version_dir().join(name));
        load(database);
    });
}

/// A snapshot.
pub fn snapshot_plain(bytes: &[u8]) {
    snapshot("snapshot.1c", bytes);
    let mut sealed = bytes.to_vec();
    seal_snapshot(&mut sealed);
    snapshot("snapshot.1c", &sealed);
}

/// A snapshot that is compressed with gzip.
pub fn snapshot_gz(bytes: &[u8]) {
    snapshot("snapshot.1c.gz", bytes);
}

/// A snapshot that is compressed with snappy.
pub fn snapshot_snappy(bytes: &[u8]) {
    snapshot("snapshot.1c.snappy", bytes);
}

/// Runs the snapshot toolkit, which prints a snapshot.
pub fn snapshot_tools(bytes: &[u8]) {
    DATABASE.with(|database| {
        database.fill([("snapshot.1c", bytes)]);
        for arguments in [&["-d"][..], &["-json"], &[]] {
            let arguments = words(arguments, &database.version_dir().join("snapshot.1c"));
            let (mut out, mut err) = (io::sink(), io::sink());
            let properties = SystemProperties::new();
            snapshot_formatter::main(&arguments, &properties, &mut out, &mut err);
        }
    });
}

/// Snapshots and logs.
pub fn data_directory(bytes: &[u8]) {
    DATABASE.with(|database| {
        fill_with_parts(database, bytes, |_, _| {});
        load(database);
    });
}

/// Snapshots and logs with arbitrary contents, but correct checksums.
pub fn sealed_data_directory(bytes: &[u8]) {
    DATABASE.with(|database| {
        fill_with_parts(database, bytes, |name, bytes| {
            if name.starts_with("log") {
                seal_log(bytes);
            } else {
                seal_snapshot(bytes);
            }
        });
        load(database);
    });
}
