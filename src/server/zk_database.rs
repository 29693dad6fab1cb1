//! `ZKDatabase`: the tree, the sessions and their files (Java: server/ZKDatabase.java).
//!
//! Threads: none. Locks: the tree's; the log belongs to whoever writes it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::info;

use super::data_tree::{DataTree, DataTreeConfig, DataTreeParts};
use super::persistence::file_txn_log::{FileTxnLog, TailCheck};
use super::persistence::txn_log::{FileTxnLogConfig, PersistenceMetrics, TxnLogError};
use super::request::Request;
use super::server_metrics::ServerMetrics;
use super::server_stats::ServerStats;
use super::sessions_with_timeouts::SessionsWithTimeouts;
use super::sync_request_processor::TxnAppender;
use super::util::serialize_utils::TxnBody;
use super::watch::watch_manager_factory::{
    WatchManagerConfig, WatchManagerError, create_watch_manager,
};
use super::zookeeper_server::settings::{ServerSettings, SnapSettings};
use crate::audit::zk_audit_provider::ZKAuditProvider;
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::ids::Zxid;
use crate::util::lock_rank::{Rank, RankedRwLock};
use crate::zoo_defs::OpCode;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ZKDatabase";

/// What a database reports to.
pub struct DatabaseReports {
    /// The clock.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Arc<ServerMetrics>,
    /// Counters.
    pub stats: Arc<ServerStats>,
    /// Where changes are told of.
    pub audit: Arc<ZKAuditProvider>,
}

/// Where the files count.
pub struct DatabaseMetrics {
    metrics: Arc<ServerMetrics>,
    stats: Arc<ServerStats>,
}

impl fmt::Debug for DatabaseMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseMetrics")
    }
}

impl PersistenceMetrics for DatabaseMetrics {
    fn fsync_time_ms(&self, ms: i64) {
        self.metrics.fsync_time.add(ms);
    }

    fn fsync_threshold_exceeded(&self) {
        self.stats.increment_fsync_threshold_exceed_count();
    }

    fn startup_snap_load_time_ms(&self, ms: i64) {
        self.metrics.startup_snap_load_time.add(ms);
    }

    fn startup_txns_loaded(&self, txns: u64, ms: i64) {
        self.metrics.startup_txns_loaded.add(i64::try_from(txns).unwrap_or(i64::MAX));
        self.metrics.startup_txns_load_time.add(ms);
    }
}

/// The tree and its files.
pub struct ZKDatabase {
    tree: RankedRwLock<DataTree>,
    sessions: SessionsWithTimeouts,
    snap_dir: PathBuf,
    data_log_dir: PathBuf,
    log_config: FileTxnLogConfig,
    counts: Arc<DatabaseMetrics>,
}

impl ZKDatabase {
    /// An empty database over these directories.
    ///
    /// # Errors
    /// When a directory cannot be used.
    pub fn open(
        data_log_dir: &Path,
        snap_dir: &Path,
        properties: &SystemProperties,
        settings: &ServerSettings,
        reports: &DatabaseReports,
    ) -> Result<Self, crate::server::zookeeper_server_main::StartError> {
        let DatabaseReports { clock, metrics, stats, audit } = reports;
        let counts =
            Arc::new(DatabaseMetrics { metrics: Arc::clone(metrics), stats: Arc::clone(stats) });
        let watches = WatchManagerConfig::from_properties(properties);
        let mut parts = DataTreeParts::new(
            create_watch_manager(&watches, metrics)?,
            create_watch_manager(&watches, metrics)?,
        );
        parts.metrics = Arc::clone(metrics);
        parts.audit = Arc::clone(audit);
        parts.clock = Arc::clone(clock);
        let tree =
            DataTree::new(DataTreeConfig::from_properties(properties, settings.limits), parts);
        let data_log_dir = data_log_dir.join("version-2");
        let snap_dir = snap_dir.join("version-2");
        fs::create_dir_all(&data_log_dir)?;
        fs::create_dir_all(&snap_dir)?;
        Ok(Self {
            tree: RankedRwLock::new(Rank::DataTree, "data tree", tree),
            sessions: SessionsWithTimeouts::default(),
            snap_dir,
            data_log_dir,
            log_config: FileTxnLogConfig::from_properties(properties),
            counts,
        })
    }

    /// The tree.
    pub const fn tree(&self) -> &RankedRwLock<DataTree> {
        &self.tree
    }

    /// Where snapshots are (`version-2` of the data directory).
    pub fn snap_dir(&self) -> &Path {
        &self.snap_dir
    }

    /// Where logs are (`version-2` of the log's directory).
    pub fn data_log_dir(&self) -> &Path {
        &self.data_log_dir
    }

    /// The newest transaction in the tree.
    pub fn last_processed_zxid(&self) -> Zxid {
        self.tree.read().last_processed_zxid()
    }

    /// Sessions and their timeouts, shared with the session tracker.
    pub fn sessions_with_timeouts(&self) -> SessionsWithTimeouts {
        self.sessions.clone()
    }

    /// Loads.
    pub fn load(&self) -> Result<Zxid, TxnLogError> {
        let log = FileTxnLog::new(&self.data_log_dir, self.log_config, self.counts.clone());
        let mut tree = self.tree.write();
        let mut iterator = log.read(Zxid(1), true, TailCheck::Recovery)?;
        while iterator.header().is_some() {
            let entry = iterator.entry()?;
            match (OpCode::try_from(entry.header.r#type), &entry.txn) {
                (Ok(OpCode::CreateSession), Some(TxnBody::CreateSession(txn))) => {
                    self.sessions.insert(entry.header.client_id, txn.time_out);
                }
                (Ok(OpCode::CloseSession), _) => {
                    self.sessions.remove(entry.header.client_id);
                }
                _ => {}
            }
            tree.process_txn_with_digest(&entry.header, entry.txn, entry.digest.as_ref());
            if !iterator.advance()? {
                break;
            }
        }
        info!(target: LOG, "highest zxid is {}", tree.last_processed_zxid());
        Ok(tree.last_processed_zxid())
    }

    /// Kill.
    pub fn kill_sessions_without_timeout(&self) {}

    /// The log, to write.
    pub fn appender(&self, snap: SnapSettings) -> Box<dyn TxnAppender> {
        let log = FileTxnLog::new(&self.data_log_dir, self.log_config, self.counts.clone());
        Box::new(Appender { log, snap, count: 0 })
    }
}

/// The log and how much went into it since the last snapshot.
struct Appender {
    log: FileTxnLog,
    snap: SnapSettings,
    count: u32,
}

impl TxnAppender for Appender {
    fn append(&mut self, request: &Request) -> Result<bool, TxnLogError> {
        let Some(hdr) = &request.hdr else { return Ok(false) };
        self.log.append(hdr, &request.txn_bytes)?;
        self.count += 1;
        Ok(true)
    }

    fn commit(&mut self) -> Result<(), TxnLogError> {
        self.log.commit()
    }

    fn roll_log(&mut self) -> Result<(), TxnLogError> {
        self.count = 0;
        self.log.roll_log()
    }

    fn should_snapshot(&mut self) -> bool {
        self.count > self.snap.snap_count
    }
}

#[expect(dead_code, reason = "x")]
fn unused(_: WatchManagerError) {}
