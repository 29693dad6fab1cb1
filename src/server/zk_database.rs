//! `ZKDatabase`: the tree, the sessions and their files (Java: server/ZKDatabase.java).
//!
//! Threads: none. Locks: the tree's. Only the owner of the appender appends to the log.
//!
//! Elsewhere: addCommittedProposal and the bounds of the committed log are in `committed_log`, getProposalsFromTxnLog
//! is in `txn_log_proposal_iterator`, initConfigInZKDatabase is `set_config_node` of `data_tree`. dumpEphemerals is in
//! `zookeeper_server/command_context`, and close is `close` of the `snap_log`, which QuorumPeer calls. What Java only
//! passes on to DataTree, callers ask of the [`tree`](ZKDatabase::tree): addWatch, setWatches, containsWatcher and
//! removeWatch (`data_tree/watches`), compareDigest (`data_tree/digest`), getNode, statNode and so on.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use log::{error, info, warn};

use super::committed_log::{CommittedLog, CommittedProposal};
use super::data_tree::{
    DataTree, DataTreeConfig, DataTreeParts, SnapshotCursor, TreeReplaced, ZxidDigest,
};
use super::persistence::file_snap::{deserialize_sessions, serialize_sessions};
use super::persistence::file_txn_snap_log::{
    DatadirError, FileTxnSnapLog, FileTxnSnapLogConfig, RestoreError,
};
use super::persistence::snap_shot::{RestoreTarget, SnapError, SnapshotDigest, SnapshotSource};
use super::persistence::txn_log::{PersistenceMetrics, TxnLogError};
use super::request::Request;
use super::server_metrics::ServerMetrics;
use super::server_settings::{ServerSettings, SnapSettings};
use super::server_stats::ServerStats;
use super::sessions_with_timeouts::SessionsWithTimeouts;
use super::util::serialize_utils::TxnBody;
use super::watch::watch_manager_factory::{
    WatchManagerConfig, WatchManagerError, create_watch_manager,
};
use super::zoo_trace::{self, SESSION_TRACE_MASK};
use crate::audit::zk_audit_provider::ZKAuditProvider;
use crate::common::time::{self, Clock};
use crate::common::zk_config::SystemProperties;
use crate::ids::{SessionId, Zxid};
use crate::jute::{BinaryInputArchive, InputError, Limits};
use crate::txn::{TxnDigest, TxnHeader};
use crate::util::lock_rank::{Rank, RankedRwLock};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ZKDatabase";

/// The logger's name of the class that does this in Java.
const ZOOKEEPER_SERVER: &str = "org.apache.zookeeper.server.ZooKeeperServer";

/// The approximate size of the pieces in which a learner gets a snapshot, in bytes.
const SNAPSHOT_CHUNK: usize = 256 * 1024;

/// Java's default of `zookeeper.snapshotSizeFactor`.
const DEFAULT_SNAPSHOT_SIZE_FACTOR: f64 = 0.33;

/// The objects that a database reports to.
pub struct DatabaseReports {
    /// The clock.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Arc<ServerMetrics>,
    /// Counters.
    pub stats: Arc<ServerStats>,
    /// The audit log.
    pub audit: Arc<ZKAuditProvider>,
}

/// Receives the measurements of the files.
pub(crate) struct DatabaseMetrics {
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

/// Why the database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// A directory cannot be used.
    #[error(transparent)]
    Datadir(#[from] DatadirError),
    /// The watch manager cannot be created.
    #[error(transparent)]
    Watches(#[from] WatchManagerError),
}

/// The tree and its files.
pub struct ZKDatabase {
    tree: RankedRwLock<DataTree>,
    /// Only members of an ensemble have it.
    committed_log: Option<RankedRwLock<CommittedLog>>,
    snapshot_size_factor: f64,
    initialized: AtomicBool,
    /// From this zxid on, the log on disk contains only this history.
    history_from: AtomicI64,
    needs_leaders_tree: AtomicBool,
    limits: Limits,
    sessions: SessionsWithTimeouts,
    snap_log: Arc<FileTxnSnapLog>,
    metrics: Arc<ServerMetrics>,
}

impl ZKDatabase {
    /// Opens an empty database over these directories (Java: the constructor, with createDataTree).
    ///
    /// # Errors
    /// When a directory cannot be used, or a setting names an unknown watch manager.
    pub fn open(
        data_log_dir: &Path,
        snap_dir: &Path,
        properties: &SystemProperties,
        settings: &ServerSettings,
        reports: &DatabaseReports,
    ) -> Result<Self, DatabaseError> {
        let DatabaseReports { clock, metrics, stats, audit } = reports;
        let counts =
            Arc::new(DatabaseMetrics { metrics: Arc::clone(metrics), stats: Arc::clone(stats) });
        let config = FileTxnSnapLogConfig::from_properties(properties);
        let snap_log = Arc::new(FileTxnSnapLog::new(data_log_dir, snap_dir, config, counts)?);
        let watches = WatchManagerConfig::from_properties(properties);
        let mut parts = DataTreeParts::new(
            create_watch_manager(&watches, metrics)?,
            create_watch_manager(&watches, metrics)?,
        );
        parts.metrics = Arc::clone(metrics);
        parts.audit = Arc::clone(audit);
        parts.clock = Arc::clone(clock);
        let config = DataTreeConfig::from_properties(properties, settings.limits);
        let tree = DataTree::new(config, parts);
        Ok(Self {
            tree: RankedRwLock::new(Rank::DataTree, "data tree", tree),
            committed_log: None,
            snapshot_size_factor: snapshot_size_factor(properties),
            initialized: AtomicBool::new(false),
            history_from: AtomicI64::new(i64::MAX),
            needs_leaders_tree: AtomicBool::new(false),
            limits: settings.limits,
            sessions: SessionsWithTimeouts::default(),
            snap_log,
            metrics: Arc::clone(metrics),
        })
    }

    /// Adds a log of the last transactions for learners, which a member of an ensemble needs.
    #[must_use]
    pub fn with_committed_log(mut self, properties: &SystemProperties) -> Self {
        let log = CommittedLog::from_properties(properties);
        self.committed_log = Some(RankedRwLock::new(Rank::CommittedLog, "committed log", log));
        self
    }

    /// Whether it is loaded and was not cleared since (Java: isInitialized).
    #[must_use]
    pub fn is_initialized(&self) -> bool {
        self.initialized.load(Ordering::Acquire)
    }

    /// Clears everything in memory (Java: clear).
    pub fn clear(&self) {
        let mut tree = self.tree.write();
        tree.reset();
        self.sessions.replace(BTreeMap::new());
        if let Some(log) = &self.committed_log {
            log.write().clear();
        }
        self.history_from.store(i64::MAX, Ordering::Release);
        self.initialized.store(false, Ordering::Release);
    }

    /// The tree.
    #[must_use]
    pub const fn tree(&self) -> &RankedRwLock<DataTree> {
        &self.tree
    }

    /// The directory of the snapshots (`version-2` of the data directory).
    #[must_use]
    pub fn snap_dir(&self) -> &Path {
        self.snap_log.snap_dir()
    }

    /// The directory of the logs (`version-2` of the log's directory).
    #[must_use]
    pub fn data_log_dir(&self) -> &Path {
        self.snap_log.data_log_dir()
    }

    /// The files.
    #[must_use]
    pub const fn snap_log(&self) -> &Arc<FileTxnSnapLog> {
        &self.snap_log
    }

    /// The last transactions, if they are kept. Its lock is taken under the tree's lock, or without it.
    #[must_use]
    pub const fn committed_log(&self) -> Option<&RankedRwLock<CommittedLog>> {
        self.committed_log.as_ref()
    }

    /// The newest transaction in the tree.
    #[must_use]
    pub fn last_processed_zxid(&self) -> Zxid {
        self.tree.read().last_processed_zxid()
    }

    /// Sessions that have, or had, ephemeral nodes.
    #[must_use]
    pub fn sessions_with_ephemerals(&self) -> Vec<SessionId> {
        self.tree.read().sessions().collect()
    }

    /// Sessions that do not exist any more, but have left ephemeral nodes.
    #[must_use]
    pub fn dead_sessions(&self) -> Vec<SessionId> {
        let tree = self.tree.read();
        let is_dead = |id: &SessionId| self.sessions.timeout_ms(*id).is_none();
        tree.sessions().filter(is_dead).collect()
    }

    /// Sessions and their timeouts, shared with the session tracker.
    #[must_use]
    pub fn sessions_with_timeouts(&self) -> SessionsWithTimeouts {
        self.sessions.clone()
    }

    /// The zxid from which on the log on disk is known to contain only this history. Below it, the end of an epoch
    /// may contain transactions that were never committed: a leader's snapshot has replaced them, but does not
    /// remove them from the log (ZOOKEEPER-2846).
    #[must_use]
    pub fn history_from(&self) -> Zxid {
        Zxid(self.history_from.load(Ordering::Acquire))
    }

    /// Marks the tree in memory as a leader's tree with this zxid.
    pub fn begin_with_leaders_tree(&self, zxid: Zxid) {
        self.tree.write().set_last_processed_zxid(zxid);
        self.history_from.store(zxid.0, Ordering::Release);
    }

    /// Whether the data on disk cannot be turned into a leader's history.
    #[must_use]
    pub fn needs_leaders_tree(&self) -> bool {
        self.needs_leaders_tree.load(Ordering::Acquire)
    }

    /// Sets whether the data on disk cannot be turned into a leader's history.
    pub fn set_needs_leaders_tree(&self, needs: bool) {
        self.needs_leaders_tree.store(needs, Ordering::Release);
    }

    /// Restores tree and sessions from the files; returns the highest zxid (Java: loadDataBase).
    ///
    /// # Errors
    /// When files are damaged or missing.
    pub fn load_data_base(&self) -> Result<Zxid, RestoreError> {
        let start = time::now();
        let mut sessions = self.sessions.to_map();
        let mut tree = self.tree.write();
        let mut kept = VecDeque::new();
        let zxid = match self.committed_log.as_ref().map(|log| log.read().limit()) {
            None => self.snap_log.restore(&mut *tree, &mut sessions, |_| {})?,
            Some(limit) => self.snap_log.restore(&mut *tree, &mut sessions, |loaded| {
                if kept.len() >= limit {
                    kept.pop_front();
                }
                kept.push_back(CommittedProposal {
                    zxid: loaded.header.zxid,
                    bytes: loaded.bytes.into(),
                });
            })?,
        };
        self.sessions.replace(sessions);
        let from = self.snap_log.last_snapshot_info().map_or(Zxid::ZERO, |snapshot| snapshot.zxid);
        self.history_from.store(from.0, Ordering::Release);
        if let Some(log) = &self.committed_log {
            let mut log = log.write();
            for proposal in kept {
                // A hole on disk cannot be repaired here. Learners that need transactions from before the hole get a
                // snapshot.
                if let Err(hole) = log.add(proposal.clone()) {
                    warn!(target: LOG, "the transaction log has a hole: {hole}");
                    log.clear();
                    let _first = log.add(proposal);
                }
            }
        }
        self.initialized.store(true, Ordering::Release);
        let load_time = time::millis(start.elapsed());
        self.metrics.db_init_time.add(load_time);
        info!(
            target: LOG,
            "Snapshot loaded in {load_time} ms, highest zxid is {zxid}, digest is {}",
            tree.tree_digest()
        );
        Ok(zxid)
    }

    /// Applies the transactions that are in the log but not in the tree. After the end of a role, these were
    /// proposed but not committed (Java: fastForwardDataBase). Nobody may append in the meantime. The next
    /// transaction starts a new file.
    ///
    /// # Errors
    /// When the log cannot be read, has a hole, or lacks transactions that are in the tree (ZOOKEEPER-4882). The
    /// data in memory must not be used any more then.
    pub fn fast_forward_data_base(&self) -> Result<Zxid, RestoreError> {
        self.snap_log.close()?;
        self.check_all_is_on_disk()?;
        let mut sessions = self.sessions.to_map();
        let mut tree = self.tree.write();
        let mut hole = None;
        let zxid = self.snap_log.fast_forward_from_edits(&mut *tree, &mut sessions, |loaded| {
            if let Some(log) = &self.committed_log {
                let bytes = loaded.bytes.into();
                let added = log.write().add(CommittedProposal { zxid: loaded.header.zxid, bytes });
                hole = hole.or(added.err());
            }
        })?;
        self.sessions.replace(sessions);
        if let (Some(hole), Some(log)) = (hole, &self.committed_log) {
            // Learners that lack transactions from before the hole get them from the log on disk, or get a snapshot.
            warn!(target: LOG, "the committed log has a hole: {hole}");
            log.write().clear();
        }
        self.initialized.store(true, Ordering::Release);
        Ok(zxid)
    }

    /// Checks that the disk has all transactions of the tree. It may lack some if its log has failed: a transaction
    /// is committed when enough other servers have it on disk.
    fn check_all_is_on_disk(&self) -> Result<(), RestoreError> {
        let Some(in_memory) = self.committed_log.as_ref().and_then(|log| log.read().max()) else {
            return Ok(());
        };
        let mut on_disk = self.snap_log.last_logged_zxid()?;
        if let Some(snapshot) = self.snap_log.find_most_recent_snapshot()? {
            on_disk = on_disk.max(snapshot.zxid);
        }
        if on_disk < in_memory {
            return Err(RestoreError::NotOnDisk { in_memory, on_disk });
        }
        Ok(())
    }

    /// Whether learners may get transactions from the log on disk (Java: isTxnLogSyncEnabled).
    #[must_use]
    pub fn is_txn_log_sync_enabled(&self) -> bool {
        self.snapshot_size_factor >= 0.0
    }

    /// How many bytes of the log on disk a learner may get instead of a snapshot; 0 is no limit (Java:
    /// calculateTxnLogSizeLimit).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a limit by rule of thumb")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as above")]
    pub fn calculate_txn_log_size_limit(&self) -> u64 {
        let size = match self.snap_log.find_most_recent_snapshot() {
            Ok(snapshot) => snapshot
                .and_then(|file| std::fs::metadata(file.path).ok())
                .map_or(0, |metadata| metadata.len()),
            Err(problem) => {
                error!(target: LOG, "Unable to get size of most recent snapshot: {problem}");
                0
            }
        };
        (size as f64 * self.snapshot_size_factor) as u64
    }

    /// The maximum lengths that are accepted in input.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Writes a snapshot. The tree is locked for one piece at a time (Java: FileTxnSnapLog.save).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_snapshot(&self) -> Result<PathBuf, SnapError> {
        let cursor = None;
        self.snap_log.save(&mut TreeSnapshot { database: self, cursor })
    }

    /// Creates the appender of the log, and has the first file prepared for it.
    #[must_use]
    pub fn appender(&self, snap: SnapSettings) -> Box<dyn TxnAppender> {
        self.snap_log.prepare_log();
        let mut appender = Appender {
            snap_log: Arc::clone(&self.snap_log),
            snap,
            txn_count: 0,
            random: RandomState::new(),
            rand_roll: 0,
            rand_size: 0,
        };
        appender.reset_snapshot_stats();
        Box::new(appender)
    }

    /// Removes the ephemeral nodes of sessions that do not exist any more (Java: killSession, within
    /// ZooKeeperServer.loadData).
    /// Only for a server without an ensemble, because other members would keep these nodes.
    pub fn kill_dead_sessions(&self) {
        let dead = self.dead_sessions();
        let mut tree = self.tree.write();
        let zxid = tree.last_processed_zxid();
        for session_id in dead {
            tree.kill_session(session_id, zxid, None);
            let message = format_args!("ZooKeeperServer --- killSession: {session_id}");
            zoo_trace::log_trace_message(ZOOKEEPER_SERVER, SESSION_TRACE_MASK, message);
        }
    }

    /// Removes the history above `zxid`, on disk and in memory (Java: truncateLog).
    ///
    /// # Errors
    /// When there is no older state to start from, or file access fails.
    pub fn truncate_log(&self, zxid: Zxid) -> Result<(), RestoreError> {
        self.clear();
        self.snap_log.truncate_log(zxid)?;
        self.load_data_base()?;
        Ok(())
    }

    /// Replaces everything in memory by a leader's snapshot (Java: deserializeSnapshot). The tree is locked in the
    /// meantime, so nobody reads it.
    ///
    /// # Errors
    /// When the input ends, fails, or is not a snapshot. Then nothing is in memory.
    pub fn deserialize_snapshot<R: Read>(
        &self,
        archive: &mut BinaryInputArchive<R>,
    ) -> Result<(), InputError> {
        self.clear();
        let mut sessions = BTreeMap::new();
        deserialize_sessions(archive, &mut sessions)?;
        let loaded = self.tree.write().deserialize(archive);
        if loaded.is_err() {
            self.clear();
            return loaded;
        }
        self.sessions.replace(sessions);
        self.initialized.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes sessions and tree piece by piece, as a learner needs them (Java: serializeSnapshot). Transactions may
    /// be applied in the meantime.
    ///
    /// # Errors
    /// An error of `write`, or that the tree was replaced in the meantime.
    pub fn serialize_snapshot(
        &self,
        mut write: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut source = TreeSnapshot { database: self, cursor: None };
        source.begin();
        let mut bytes = Vec::new();
        serialize_sessions(&source.sessions(), &mut bytes);
        loop {
            let more = source.next_chunk(&mut bytes, SNAPSHOT_CHUNK).map_err(io::Error::other)?;
            write(&bytes)?;
            bytes.clear();
            if !more {
                return Ok(());
            }
        }
    }
}

fn snapshot_size_factor(properties: &SystemProperties) -> f64 {
    let text = properties.get("zookeeper.snapshotSizeFactor");
    let factor = match text.map(|text| text.trim().parse::<f64>()) {
        None => DEFAULT_SNAPSHOT_SIZE_FACTOR,
        Some(Ok(factor)) if !factor.is_nan() => factor,
        Some(_) => {
            error!(
                target: LOG,
                "Error parsing zookeeper.snapshotSizeFactor, using default value {DEFAULT_SNAPSHOT_SIZE_FACTOR}"
            );
            DEFAULT_SNAPSHOT_SIZE_FACTOR
        }
    };
    if factor > 1.0 {
        warn!(
            target: LOG,
            "The configured zookeeper.snapshotSizeFactor is invalid, going to use the default \
             {DEFAULT_SNAPSHOT_SIZE_FACTOR}"
        );
        return DEFAULT_SNAPSHOT_SIZE_FACTOR;
    }
    info!(target: LOG, "zookeeper.snapshotSizeFactor = {factor}");
    factor
}

/// A snapshot of the tree that is being written.
struct TreeSnapshot<'a> {
    database: &'a ZKDatabase,
    cursor: Option<SnapshotCursor>,
}

impl SnapshotSource for TreeSnapshot<'_> {
    type Error = TreeReplaced;

    fn begin(&mut self) -> Zxid {
        let tree = self.database.tree.read();
        self.cursor = Some(SnapshotCursor::new(&tree));
        tree.last_processed_zxid()
    }

    fn sessions(&mut self) -> Vec<(SessionId, i32)> {
        self.database.sessions.to_map().into_iter().collect()
    }

    fn next_chunk(&mut self, out: &mut Vec<u8>, about_bytes: usize) -> Result<bool, TreeReplaced> {
        let tree = self.database.tree.read();
        let cursor = self.cursor.get_or_insert_with(|| SnapshotCursor::new(&tree));
        cursor.next_chunk(&tree, out, about_bytes)
    }

    fn digest(&mut self) -> Option<SnapshotDigest> {
        let tree = self.database.tree.read();
        tree.last_processed_zxid_digest().map(|digest| SnapshotDigest {
            zxid: digest.zxid,
            digest_version: digest.digest_version,
            digest: digest.digest,
        })
    }

    fn last_processed_zxid(&mut self) -> Zxid {
        self.database.last_processed_zxid()
    }
}

impl RestoreTarget for DataTree {
    fn deserialize<R: Read>(
        &mut self,
        archive: &mut BinaryInputArchive<R>,
    ) -> Result<(), InputError> {
        self.deserialize(archive)
    }

    fn serialize(&self, out: &mut Vec<u8>) {
        self.serialize(out);
    }

    fn set_snapshot_digest(&mut self, digest: Option<SnapshotDigest>, start_zxid: Zxid) {
        if let Some(SnapshotDigest { zxid, digest_version, digest }) = digest {
            let digest = ZxidDigest { zxid, digest_version, digest };
            self.set_snapshot_digest(digest, start_zxid);
        }
    }

    fn snapshot_digest_zxid(&self) -> Option<Zxid> {
        self.digest_from_loaded_snapshot().map(|digest| digest.zxid)
    }

    fn compare_snapshot_digests(&mut self, zxid: Zxid) {
        self.compare_snapshot_digests(zxid);
    }

    fn last_processed_zxid(&self) -> Zxid {
        self.last_processed_zxid()
    }

    fn set_last_processed_zxid(&mut self, zxid: Zxid) {
        self.set_last_processed_zxid(zxid);
    }

    fn process_txn(
        &mut self,
        header: &TxnHeader,
        txn: Option<TxnBody>,
        digest: Option<&TxnDigest>,
    ) -> i32 {
        self.process_txn_with_digest(header, txn, digest).err
    }
}

/// The log that transactions are appended to.
pub trait TxnAppender: Send {
    /// Appends a request's transaction; false when it has none.
    ///
    /// # Errors
    /// When the disk does not take it. Nothing may be appended after that.
    fn append(&mut self, request: &Request) -> Result<bool, TxnLogError>;

    /// Brings everything that was appended to the disk.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    fn commit(&mut self) -> Result<(), TxnLogError>;

    /// The next transaction starts a new file.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    fn roll_log(&mut self) -> Result<(), TxnLogError>;

    /// Whether enough was logged since the last snapshot that it is time for the next (Java: shouldSnapshot).
    fn should_snapshot(&mut self) -> bool;
}

/// The log, and how much was appended since the last snapshot.
struct Appender {
    snap_log: Arc<FileTxnSnapLog>,
    snap: SnapSettings,
    txn_count: u32,
    random: RandomState,
    /// The random part of the limits for the next snapshot, from 0 to half of each limit, so that the members of an
    /// ensemble do not all take theirs at the same time.
    rand_roll: u32,
    rand_size: u64,
}

impl Appender {
    /// Java: resetSnapshotStats.
    fn reset_snapshot_stats(&mut self) {
        self.rand_roll =
            u32::try_from(self.random(u64::from(self.snap.snap_count / 2))).unwrap_or_default();
        self.rand_size = self.random(self.snap.snap_size_bytes.unwrap_or(0) / 2);
    }

    /// A random number below `end`; 0 if `end` is 0.
    fn random(&mut self, end: u64) -> u64 {
        self.random = RandomState::new(); // each instance has its own keys
        self.random.hash_one(0).checked_rem(end).unwrap_or(0)
    }
}

impl TxnAppender for Appender {
    fn append(&mut self, request: &Request) -> Result<bool, TxnLogError> {
        let Some(hdr) = &request.hdr else { return Ok(false) };
        self.snap_log.append(hdr, &request.txn_bytes)?;
        self.txn_count += 1;
        Ok(true)
    }

    fn commit(&mut self) -> Result<(), TxnLogError> {
        self.snap_log.commit()
    }

    fn roll_log(&mut self) -> Result<(), TxnLogError> {
        self.snap_log.roll_log()?;
        self.txn_count = 0;
        self.snap_log.set_total_log_size(0);
        self.reset_snapshot_stats();
        Ok(())
    }

    fn should_snapshot(&mut self) -> bool {
        self.txn_count > self.snap.snap_count / 2 + self.rand_roll
            || self
                .snap
                .snap_size_bytes
                .is_some_and(|limit| self.snap_log.total_log_size() > limit / 2 + self.rand_size)
    }
}
