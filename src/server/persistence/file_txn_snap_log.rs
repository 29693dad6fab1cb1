//! The transaction log and the snapshots of a server (Java: server/persistence/FileTxnSnapLog.java).
//!
//! Threads: none. Locks: `TxnLog` around the log, held across disk writes. The targets and sources that callers
//! pass in are called without it.
//!
//! Differences from Java: a replay of the log cuts off a torn tail, so that Java can read the directory, too. A
//! gap in the history is an error. Truncating the log deletes newer snapshots, because they would bring back
//! what is truncated.

mod directories;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, error, info, warn};

pub(crate) use directories::DatadirError;

use super::file_snap::{FileSnap, Sessions};
use super::file_txn_log::{
    FileTxnIterator, FileTxnLog, TailCheck, TornTail, check_names, cut_file,
};
use super::snap_shot::{FileSnapConfig, RestoreTarget, SnapError, SnapshotDigest, SnapshotSource};
use super::snapshot_info::SnapshotInfo;
use super::txn_log::{FileTxnLogConfig, PersistenceMetrics, TxnLogError};
use super::util::NamedFile;
use crate::common::atomic_file_output_stream::sync_directory;
use crate::common::time;
use crate::common::zk_config::SystemProperties;
use crate::ids::{SessionId, Zxid};
use crate::server::util::serialize_utils::{TxnBody, TxnLogEntry};
use crate::server::zoo_trace::{self, SESSION_TRACE_MASK};
use crate::txn::{TxnDigest, TxnHeader};
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.persistence.FileTxnSnapLog";

/// The subdirectory that names the version of the formats (Java: FileTxnSnapLog.version + VERSION).
pub const VERSION_DIRECTORY: &str = "version-2";

/// A file beside that subdirectory. Its presence says that an empty database is intended (Java: "initialize").
const INITIALIZE_FILE: &str = "initialize";

/// The minimum time between two progress messages of a long replay.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// The number of transactions after which the replay checks the time.
const PROGRESS_CHECK: u64 = 4096;

/// The settings of a server's storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileTxnSnapLogConfig {
    /// The settings of the transaction log.
    pub txn_log: FileTxnLogConfig,
    /// The settings of snapshots.
    pub snap: FileSnapConfig,
    /// Whether missing directories are created (`zookeeper.datadir.autocreate`, default true).
    pub datadir_autocreate: bool,
    /// Whether a server with an empty database may vote without the file `initialize`
    /// (`zookeeper.db.autocreate`, default true).
    pub db_autocreate: bool,
    /// Whether a log without a snapshot is accepted (`zookeeper.snapshot.trust.empty`, default false).
    pub trust_empty_snapshot: bool,
}

impl Default for FileTxnSnapLogConfig {
    fn default() -> Self {
        Self {
            txn_log: FileTxnLogConfig::default(),
            snap: FileSnapConfig::default(),
            datadir_autocreate: true,
            db_autocreate: true,
            trust_empty_snapshot: false,
        }
    }
}

impl FileTxnSnapLogConfig {
    /// Reads Java's properties.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        let trust_empty_snapshot = properties.bool("zookeeper.snapshot.trust.empty");
        info!(target: LOG, "zookeeper.snapshot.trust.empty : {trust_empty_snapshot}");
        Self {
            txn_log: FileTxnLogConfig::from_properties(properties),
            snap: FileSnapConfig::from_properties(properties),
            datadir_autocreate: properties.bool_or("zookeeper.datadir.autocreate", true),
            db_autocreate: properties.bool_or("zookeeper.db.autocreate", true),
            trust_empty_snapshot,
        }
    }
}

/// Why a database cannot be restored or truncated.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The log cannot be read or cut.
    #[error(transparent)]
    TxnLog(#[from] TxnLogError),
    /// No snapshot is readable, or a new one cannot be written.
    #[error(transparent)]
    Snap(#[from] SnapError),
    /// There is a log but no snapshot to replay it on.
    #[error(
        "No snapshot found, but there are log entries. Something is broken! No snapshot in {} that could be whole, but \
         transactions up to {last} in {}: put the snapshots back, or, if the log is from ZooKeeper 3.4 and holds \
         everything since the first transaction, start once with zookeeper.snapshot.trust.empty=true",
        snap_dir.display(), log_dir.display()
    )]
    NoSnapshot {
        /// The directory of the snapshots.
        snap_dir: PathBuf,
        /// The directory of the log.
        log_dir: PathBuf,
        /// The last transaction in the log.
        last: Zxid,
    },
    /// The file `initialize` cannot be deleted.
    #[error("cannot delete {}: {source}", path.display())]
    Initialize {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Transactions in memory are not on disk, because the log has failed.
    #[error(
        "{in_memory} is in memory, and {on_disk} is the last transaction on disk: the log has failed"
    )]
    NotOnDisk {
        /// The last transaction in memory.
        in_memory: Zxid,
        /// The last transaction on disk.
        on_disk: Zxid,
    },
    /// Transactions are missing: a log file is missing or was cut.
    #[error(
        "{}: transactions are missing: {found} follows {last}. Put back the log file that has those in between, or another \
         copy of the data; or give up what follows with `zkTxnLogToolkit.sh --chop --zxid={last}` on this file and deleting \
         the files after it; a member of an ensemble may also delete its data and sync from its leader",
        path.display()
    )]
    Missing {
        /// The file with the next transaction.
        path: PathBuf,
        /// The last transaction before the gap.
        last: Zxid,
        /// The next transaction after the gap.
        found: Zxid,
    },
    /// There is no older snapshot to start from.
    #[error(
        "cannot truncate the history to {zxid}: all snapshots in {} are newer; delete this server's data and let it \
         sync from the leader",
        snap_dir.display()
    )]
    NothingToTruncateTo {
        /// The intended end of the history.
        zxid: Zxid,
        /// The directory of the snapshots.
        snap_dir: PathBuf,
    },
}

/// A replayed transaction.
#[derive(Clone, Copy, Debug)]
pub struct LoadedTxn<'a> {
    /// The header.
    pub header: &'a TxnHeader,
    /// The bytes as stored in the log: header, record, digest.
    pub bytes: &'a [u8],
    /// The digest in the log.
    pub digest: Option<&'a TxnDigest>,
}

/// The transaction log and the snapshots of one server.
#[derive(Debug)]
pub struct FileTxnSnapLog {
    data_dir: PathBuf,
    snap_dir: PathBuf,
    config: FileTxnSnapLogConfig,
    txn_log: RankedMutex<FileTxnLog>,
    snap_log: FileSnap,
    metrics: Arc<dyn PersistenceMetrics>,
}

impl FileTxnSnapLog {
    /// Opens the storage. `data_dir` contains the log (dataLogDir), `snap_dir` the snapshots (dataDir). Both
    /// get a subdirectory `version-2`.
    ///
    /// # Errors
    /// When a directory is missing and must not be created, is not writable, or contains files that belong in
    /// the other one.
    pub fn new(
        data_dir: &Path,
        snap_dir: &Path,
        config: FileTxnSnapLogConfig,
        metrics: Arc<dyn PersistenceMetrics>,
    ) -> Result<Self, DatadirError> {
        debug!(target: LOG, "Opening datadir:{} snapDir:{}", data_dir.display(), snap_dir.display());
        let data_dir = data_dir.join(VERSION_DIRECTORY);
        let snap_dir = snap_dir.join(VERSION_DIRECTORY);
        directories::prepare(&data_dir, &snap_dir, config.datadir_autocreate)?;
        let txn_log = FileTxnLog::new(&data_dir, config.txn_log, Arc::clone(&metrics));
        let snap_log = FileSnap::new(&snap_dir, config.snap);
        let txn_log = RankedMutex::new(Rank::TxnLog, "transaction log", txn_log);
        Ok(Self { data_dir, snap_dir, config, txn_log, snap_log, metrics })
    }

    /// The directory of the log, with `version-2`.
    #[must_use]
    pub fn data_log_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The directory of the snapshots, with `version-2`.
    #[must_use]
    pub fn snap_dir(&self) -> &Path {
        &self.snap_dir
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &FileTxnSnapLogConfig {
        &self.config
    }

    /// The most recently saved or restored snapshot.
    #[must_use]
    pub fn last_snapshot_info(&self) -> Option<SnapshotInfo> {
        self.snap_log.last_snapshot_info()
    }

    /// Whether a server that has synced with a leader must write a snapshot even though it has the
    /// transactions. After an upgrade from 3.4 it may have none.
    #[must_use]
    pub fn should_force_write_initial_snapshot_after_leader_election(&self) -> bool {
        self.config.trust_empty_snapshot && self.last_snapshot_info().is_none()
    }

    /// Restores the tree and the sessions from the newest snapshot and the log. Returns the highest zxid, or -1
    /// for an empty database that is not known to be intended. `on_txn` is called for every replayed
    /// transaction.
    ///
    /// # Errors
    /// When the data is damaged or incomplete. Nothing that was acknowledged is dropped.
    pub fn restore<T: RestoreTarget>(
        &self,
        target: &mut T,
        sessions: &mut Sessions,
        on_txn: impl FnMut(LoadedTxn<'_>),
    ) -> Result<Zxid, RestoreError> {
        self.snap_log.delete_unfinished();
        let start = time::now();
        let snapshot = self.snap_log.deserialize(target, sessions)?;
        self.metrics.startup_snap_load_time_ms(time::millis(start.elapsed()));
        let trust_empty_db = self.delete_initialize_file()? || self.config.db_autocreate;
        if snapshot.is_none() {
            // Nobody appends to the log yet. The caller holds the tree, which comes after the log in the lock
            // order, so the log's lock is not taken here.
            let format = self.config.txn_log.format;
            check_names(&self.data_dir, Zxid::ZERO)?;
            let last = FileTxnLog::last_zxid_in(&self.data_dir, format, TailCheck::Recovery)?;
            if last == Zxid::NONE {
                return Ok(self.begin_empty(target, sessions, trust_empty_db)?);
            }
            if !self.config.trust_empty_snapshot {
                let (snap_dir, log_dir) = (self.snap_dir.clone(), self.data_dir.clone());
                return Err(RestoreError::NoSnapshot { snap_dir, log_dir, last });
            }
            warn!(
                target: LOG,
                "No snapshot found, but there are log entries. This should only be allowed during upgrading."
            );
        }
        let highest = self.fast_forward_from_edits(target, sessions, on_txn)?;
        if let Some(zxid) = target.snapshot_digest_zxid() {
            warn!(
                target: LOG,
                "Highest txn zxid {highest} is not covering the snapshot digest zxid {zxid}, \
                 which might lead to inconsistent state"
            );
        }
        Ok(highest)
    }

    fn delete_initialize_file(&self) -> Result<bool, RestoreError> {
        let path = self.data_dir.with_file_name(INITIALIZE_FILE);
        match fs::remove_file(&path) {
            Ok(()) => {
                info!(
                    target: LOG,
                    "Initialize file found, an empty database will not block voting participation"
                );
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(RestoreError::Initialize { path, source }),
        }
    }

    fn begin_empty<T: RestoreTarget>(
        &self,
        target: &mut T,
        sessions: &Sessions,
        trusted: bool,
    ) -> Result<Zxid, SnapError> {
        if trusted {
            self.save(&mut WholeTree { target, sessions })?;
            return Ok(Zxid::ZERO);
        }
        warn!(target: LOG, "Unexpected empty data tree, setting zxid to -1");
        target.set_last_processed_zxid(Zxid::NONE);
        Ok(Zxid::NONE)
    }

    /// Replays the log after the last transaction of the tree. Returns the highest zxid. Nobody may append
    /// during the call.
    ///
    /// # Errors
    /// When the log is unreadable, damaged or incomplete.
    pub fn fast_forward_from_edits<T: RestoreTarget>(
        &self,
        target: &mut T,
        sessions: &mut Sessions,
        mut on_txn: impl FnMut(LoadedTxn<'_>),
    ) -> Result<Zxid, RestoreError> {
        let mut highest = target.last_processed_zxid();
        let first = highest.next();
        check_names(&self.data_dir, first)?;
        let mut iterator = self.read(first, true, TailCheck::Recovery)?;
        let start = time::now();
        let mut progress = Progress { loaded: 0, told: start };
        while iterator.header().is_some() {
            let TxnLogEntry { header, txn, digest } = iterator.entry()?;
            if header.zxid > highest.next() && header.zxid.epoch() == highest.epoch() {
                let path =
                    iterator.place().map_or_else(|| self.data_dir.clone(), |(p, _)| p.into());
                return Err(RestoreError::Missing { path, last: highest, found: header.zxid });
            }
            highest = next_highest(highest, &header);
            Self::process_transaction(&header, txn, digest.as_ref(), target, sessions);
            let (bytes, digest) = (iterator.bytes(), digest.as_ref());
            on_txn(LoadedTxn { header: &header, bytes, digest });
            progress.count(highest);
            iterator.advance()?;
        }
        if let Some(tail) = iterator.torn_tail() {
            cut_torn_tail(tail)?;
        }
        FileTxnLog::sync_files(&self.data_dir, first, &self.config.txn_log, &*self.metrics)?;
        if progress.loaded > 0 {
            let ms = time::millis(start.elapsed());
            info!(target: LOG, "{} txns loaded in {ms} ms", progress.loaded);
            self.metrics.startup_txns_loaded(progress.loaded, ms);
        }
        Ok(highest)
    }

    /// Applies a transaction to the tree and the sessions. Errors are expected, because the snapshot may
    /// already contain later changes.
    pub fn process_transaction<T: RestoreTarget>(
        header: &TxnHeader,
        txn: Option<TxnBody>,
        digest: Option<&TxnDigest>,
        target: &mut T,
        sessions: &mut Sessions,
    ) {
        match &txn {
            Some(TxnBody::CreateSession(session)) => {
                sessions.insert(header.client_id, session.time_out);
                trace_session(format_args!(
                    "create session in log: {} with timeout: {}",
                    header.client_id, session.time_out
                ));
            }
            // Before 3.6, the transaction that closes a session has no record.
            Some(TxnBody::CloseSession(_)) | None => {
                sessions.remove(&header.client_id);
                trace_session(format_args!("close session in log: {}", header.client_id));
            }
            Some(_) => {}
        }
        let err = target.process_txn(header, txn, digest);
        if err != 0 {
            let (zxid, op) = (header.zxid, header.r#type);
            debug!(target: LOG, "Ignoring processTxn failure hdr: {op}, zxid {zxid}, error: {err}");
        }
    }

    fn read(
        &self,
        zxid: Zxid,
        fast_forward: bool,
        check: TailCheck,
    ) -> Result<FileTxnIterator, TxnLogError> {
        let format = self.config.txn_log.format;
        FileTxnIterator::open(&self.data_dir, zxid, fast_forward, check, format)
    }

    /// Reads the transactions from `zxid` on while other threads append. Without `fast_forward`, reads from the
    /// start of the file that may contain it.
    ///
    /// # Errors
    /// When the log is unreadable, or damaged before its end.
    pub fn read_txn_log(
        &self,
        zxid: Zxid,
        fast_forward: bool,
    ) -> Result<FileTxnIterator, TxnLogError> {
        self.read(zxid, fast_forward, TailCheck::Live)
    }

    /// The zxid of the last transaction in the log; [`Zxid::NONE`] if there is none.
    ///
    /// # Errors
    /// When the log is unreadable or damaged.
    pub fn last_logged_zxid(&self) -> Result<Zxid, TxnLogError> {
        self.txn_log.lock().last_logged_zxid()
    }

    /// Saves a snapshot, which is on disk when this returns. See [`FileSnap::serialize`].
    ///
    /// # Errors
    /// When the snapshot cannot be written. There is no new snapshot then.
    pub fn save<S: SnapshotSource>(&self, source: &mut S) -> Result<PathBuf, SnapError> {
        self.snap_log.serialize(source)
    }

    /// Durably removes the history above `zxid`: transactions and snapshots.
    ///
    /// # Errors
    /// When there is no older snapshot to start from, or a file cannot be read, cut or deleted.
    pub fn truncate_log(&self, zxid: Zxid) -> Result<(), RestoreError> {
        let snapshots = self.snap_log.find_n_valid_snapshots(usize::MAX)?;
        let (newer, older): (Vec<_>, Vec<_>) = snapshots.into_iter().partition(|s| s.zxid > zxid);
        if older.is_empty() && !newer.is_empty() {
            let snap_dir = self.snap_dir.clone();
            return Err(RestoreError::NothingToTruncateTo { zxid, snap_dir });
        }
        for NamedFile { path, .. } in newer {
            warn!(target: LOG, "truncating to {zxid}: deleting {}", path.display());
            fs::remove_file(&path).map_err(SnapError::io("delete", &path))?;
        }
        // The deletions must be durable before the log is cut.
        sync_directory(&self.snap_dir).map_err(SnapError::io("sync", &self.snap_dir))?;
        let cut = self.txn_log.lock().truncate(zxid);
        match cut {
            // There is a snapshot but no log.
            Err(TxnLogError::NothingToTruncate { .. }) if !older.is_empty() => Ok(()),
            cut => Ok(cut.map(|_| ())?),
        }
    }

    /// The newest snapshot that passes a quick check.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn find_most_recent_snapshot(&self) -> Result<Option<NamedFile>, SnapError> {
        self.snap_log.find_most_recent_snapshot()
    }

    /// The newest `n` snapshots, newest first, without any check.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn find_n_recent_snapshots(&self, n: usize) -> Result<Vec<NamedFile>, SnapError> {
        self.snap_log.find_n_recent_snapshots(n)
    }

    /// The newest `n` snapshots that pass a quick check, newest first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn find_n_valid_snapshots(&self, n: usize) -> Result<Vec<NamedFile>, SnapError> {
        self.snap_log.find_n_valid_snapshots(n)
    }

    /// The log files that may contain transactions from `zxid` on (Java: getSnapshotLogs).
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn snapshot_logs(&self, zxid: Zxid) -> Result<Vec<NamedFile>, TxnLogError> {
        FileTxnLog::log_files(&self.data_dir, zxid)
    }

    /// Appends a transaction to the log. See [`FileTxnLog::append`].
    ///
    /// # Errors
    /// As for [`FileTxnLog::append`]. The server must then stop.
    pub fn append(&self, header: &TxnHeader, bytes: &[u8]) -> Result<(), TxnLogError> {
        self.txn_log.lock().append(header, bytes)
    }

    /// Prepares the first log file in the background, because appends are soon to come.
    pub fn prepare_log(&self) {
        self.txn_log.lock().prepare();
    }

    /// Waits until the appended transactions are on disk. See [`FileTxnLog::commit`].
    ///
    /// # Errors
    /// As for [`FileTxnLog::commit`]. The server must then stop.
    pub fn commit(&self) -> Result<(), TxnLogError> {
        self.txn_log.lock().commit()
    }

    /// Finishes the log file. The next append starts a new one.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    pub fn roll_log(&self) -> Result<(), TxnLogError> {
        self.txn_log.lock().roll_log()
    }

    /// The duration of the last fsync of the log, ms; `None` before the first.
    #[must_use]
    pub fn txn_log_elapsed_sync_time_ms(&self) -> Option<i64> {
        self.txn_log.lock().sync_elapsed_ms()
    }

    /// Sets the size of the log since the last snapshot, in bytes.
    pub fn set_total_log_size(&self, size: u64) {
        self.txn_log.lock().set_total_log_size(size);
    }

    /// The bytes written to the log since [`set_total_log_size`](Self::set_total_log_size), including all of
    /// the current file.
    #[must_use]
    pub fn total_log_size(&self) -> u64 {
        self.txn_log.lock().total_log_size()
    }

    /// Commits and closes the log. It can be used again: the next append starts a new file.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    pub fn close(&self) -> Result<(), TxnLogError> {
        self.txn_log.lock().close()
    }
}

/// The highest zxid after the next transaction in the log. As in Java, a repeated transaction is applied again.
fn next_highest(highest: Zxid, header: &TxnHeader) -> Zxid {
    let (zxid, op) = (header.zxid, header.r#type);
    if zxid < highest && highest != Zxid::ZERO {
        error!(target: LOG, "{highest}(highestZxid) > {zxid}(next log) for type {op}");
        return highest;
    }
    zxid
}

/// Logs the progress of a replay from time to time.
struct Progress {
    loaded: u64,
    told: Instant,
}

impl Progress {
    fn count(&mut self, zxid: Zxid) {
        self.loaded += 1;
        if self.loaded.is_multiple_of(PROGRESS_CHECK) && self.told.elapsed() >= PROGRESS_INTERVAL {
            self.told = time::now();
            info!(target: LOG, "replaying the log: {} txns loaded, at zxid {zxid}", self.loaded);
        }
    }
}

fn cut_torn_tail(tail: &TornTail) -> Result<(), TxnLogError> {
    let TornTail { path, offset, bytes } = tail;
    warn!(
        target: LOG,
        "{}: cutting off the last {bytes} bytes, from offset {offset} on: a write that was never finished or acknowledged",
        path.display()
    );
    cut_file(path, *offset)
}

/// A snapshot source for a tree that no other thread uses yet.
struct WholeTree<'a, T> {
    target: &'a T,
    sessions: &'a Sessions,
}

impl<T: RestoreTarget> SnapshotSource for WholeTree<'_, T> {
    type Error = std::convert::Infallible;

    fn begin(&mut self) -> Zxid {
        self.target.last_processed_zxid()
    }

    fn sessions(&mut self) -> Vec<(SessionId, i32)> {
        self.sessions.iter().map(|(id, timeout)| (*id, *timeout)).collect()
    }

    fn next_chunk(&mut self, out: &mut Vec<u8>, _about_bytes: usize) -> Result<bool, Self::Error> {
        self.target.serialize(out);
        Ok(false)
    }

    fn digest(&mut self) -> Option<SnapshotDigest> {
        None
    }

    fn last_processed_zxid(&mut self) -> Zxid {
        self.target.last_processed_zxid()
    }
}

fn trace_session(what: fmt::Arguments<'_>) {
    let message = format_args!("playLog --- {what}");
    zoo_trace::log_trace_message(LOG, SESSION_TRACE_MASK, message);
}

#[cfg(test)]
mod tests;
