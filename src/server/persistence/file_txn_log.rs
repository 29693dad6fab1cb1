//! The transaction log (Java: server/persistence/FileTxnLog.java).
//!
//! The log is a sequence of files `log.<zxid of the first transaction>`. A file has a header, entries, and
//! zeros. An entry is an Adler-32 checksum (long), the length (int), the transaction's bytes, and the byte `B`.
//!
//! Threads: only the one that grows the file ahead (`file_padding`). Locks: none; the owner has a lock around
//! the log and holds it across disk writes.
//!
//! Differences from Java: appended entries are buffered, and a commit writes them with one call. The name of a
//! new file is synced with its first commit. Sizes count the written bytes without the zeros. After a failed
//! write or fsync the log accepts nothing more, because the state on disk is unknown. Truncating cuts after the
//! last transaction that is not above the zxid, and deletes later files first, so that a crash in between
//! leaves no gap.

mod damage;
pub(crate) mod file_txn_iterator;
mod log_reader;

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::{debug, info, warn};

pub use file_txn_iterator::TailCheck;
pub(crate) use file_txn_iterator::{FileTxnIterator, TornTail, check_names};
pub(crate) use log_reader::TXNLOG_MAGIC;
pub(crate) use log_reader::{END_OF_RECORD, checksum};

use super::file_header::FileHeader;
use super::file_padding::FilePadding;
use super::txn_log::{FileTxnLogConfig, PersistenceMetrics, TxnLogError};
use super::util::{NamedFile, make_log_name};
use crate::common::atomic_file_output_stream::sync_directory;
use crate::common::time;
use crate::ids::Zxid;
use crate::jute::Record;
use crate::server::util::serialize_utils::TxnFormat;
use crate::txn::TxnHeader;
use crate::zoo_defs::OpCode;
use file_txn_iterator::log_files;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.persistence.FileTxnLog";

/// The version of the format (Java: FileTxnLog.VERSION).
pub(crate) const VERSION: i32 = 2;

/// The header of each file.
const HEADER: FileHeader = FileHeader { magic: TXNLOG_MAGIC, version: VERSION, dbid: 0 };

/// When this many bytes are buffered without a commit, they are written.
const PENDING_LIMIT: usize = 1024 * 1024;

/// Appends transactions and reads them back.
#[derive(Debug)]
pub struct FileTxnLog {
    log_dir: PathBuf,
    config: FileTxnLogConfig,
    metrics: Arc<dyn PersistenceMetrics>,
    last_zxid_seen: Zxid,
    current: Option<OpenLog>,
    /// Rolled files with uncommitted entries.
    to_sync: Vec<OpenLog>,
    /// Appended entries that are not written yet.
    pending: Vec<u8>,
    padding: FilePadding,
    /// The total size of the rolled files, in bytes.
    prev_logs_running_total: u64,
    sync_elapsed_ms: Option<i64>,
    failed: bool,
}

#[derive(Debug)]
struct OpenLog {
    path: PathBuf,
    file: File,
    /// The end of the written entries, in bytes.
    position: u64,
    /// The end of the committed entries, in bytes.
    committed: u64,
    /// Whether the file was written to since its last sync.
    unsynced: bool,
    /// Whether the file's directory entry is synced.
    name_synced: bool,
}

impl FileTxnLog {
    /// Creates a log in this directory. The first append opens a file.
    #[must_use]
    pub fn new(
        log_dir: impl Into<PathBuf>,
        config: FileTxnLogConfig,
        metrics: Arc<dyn PersistenceMetrics>,
    ) -> Self {
        // Without fsync, growing the file ahead has no benefit.
        let pre_alloc_size = if config.force_sync { config.pre_alloc_size } else { 0 };
        let log_dir = log_dir.into();
        let padding = FilePadding::new(&log_dir, HEADER.to_bytes().to_vec(), pre_alloc_size);
        Self {
            log_dir,
            config,
            metrics,
            last_zxid_seen: Zxid::ZERO,
            current: None,
            to_sync: Vec::new(),
            pending: Vec::new(),
            padding,
            prev_logs_running_total: 0,
            sync_elapsed_ms: None,
            failed: false,
        }
    }

    /// The directory of the log files.
    #[must_use]
    pub fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// The number of bytes written to the current file.
    #[must_use]
    pub fn current_log_size(&self) -> u64 {
        self.current.as_ref().map_or(0, |log| log.position)
    }

    /// Sets the size of the rolled files that [`total_log_size`](Self::total_log_size) includes, in bytes.
    pub const fn set_total_log_size(&mut self, size: u64) {
        self.prev_logs_running_total = size;
    }

    /// The size of the current file and of the files rolled since
    /// [`set_total_log_size`](Self::set_total_log_size), in bytes.
    #[must_use]
    pub fn total_log_size(&self) -> u64 {
        self.prev_logs_running_total + self.current_log_size()
    }

    /// The duration of the last fsync, ms; `None` before the first (Java: getTxnLogSyncElapsedTime, -1).
    #[must_use]
    pub const fn sync_elapsed_ms(&self) -> Option<i64> {
        self.sync_elapsed_ms
    }

    /// Whether a commit waits for the disk.
    #[must_use]
    pub const fn is_force_sync(&self) -> bool {
        self.config.force_sync
    }

    /// Prepares the first file in the background, because appends are soon to come.
    pub(super) fn prepare(&mut self) {
        self.padding.prepare_next();
    }

    /// Finishes the current file. The next append starts a new one.
    ///
    /// # Errors
    /// When appended entries cannot be written. See [`commit`](Self::commit).
    pub fn roll_log(&mut self) -> Result<(), TxnLogError> {
        self.write_pending()?;
        if let Some(log) = self.current.take() {
            self.prev_logs_running_total += log.position;
            self.padding.finish_file();
            if log.unsynced || !log.name_synced {
                self.to_sync.push(log);
            }
        }
        Ok(())
    }

    /// Appends a transaction. `bytes` is the whole transaction in the form of `serialize_txn`. It is on disk
    /// after the next [`commit`](Self::commit).
    ///
    /// # Errors
    /// When a new file cannot be created, or `bytes` is empty or too long. See [`commit`](Self::commit).
    pub fn append(&mut self, header: &TxnHeader, bytes: &[u8]) -> Result<(), TxnLogError> {
        self.check_not_failed()?;
        let faulty = || TxnLogError::FaultySerialization { zxid: header.zxid, length: bytes.len() };
        let length = i32::try_from(bytes.len()).ok().filter(|length| *length > 0);
        let length = length.ok_or_else(faulty)?;
        if header.zxid <= self.last_zxid_seen {
            let operation = OpCode::try_from(header.r#type).map_or("unknown", OpCode::java_name);
            let (zxid, seen) = (header.zxid, self.last_zxid_seen);
            warn!(target: LOG, "Current zxid {zxid} is <= {seen} for {operation}");
        } else {
            self.last_zxid_seen = header.zxid;
        }
        if self.current.is_none() {
            let created = self.create_log(header.zxid);
            self.note_failure(created)?;
        }
        self.pending.extend_from_slice(&i64::from(checksum(bytes)).to_be_bytes());
        self.pending.extend_from_slice(&length.to_be_bytes());
        self.pending.extend_from_slice(bytes);
        self.pending.push(END_OF_RECORD);
        if self.pending.len() >= PENDING_LIMIT {
            self.write_pending()?;
        }
        Ok(())
    }

    fn create_log(&mut self, zxid: Zxid) -> Result<(), TxnLogError> {
        let name = make_log_name(zxid);
        info!(target: LOG, "Creating new log file: {name}");
        let path = self.log_dir.join(name);
        if path.exists() {
            self.remove_without_entries(zxid, &path)?;
        }
        let position = FileHeader::SIZE as u64;
        let file = match self.padding.start_next(&path) {
            Some(file) => file,
            None => self.create_file(&path, position)?,
        };
        let committed = position;
        let (unsynced, name_synced) = (true, false);
        self.current = Some(OpenLog { path, file, position, committed, unsynced, name_synced });
        Ok(())
    }

    fn create_file(&mut self, path: &Path, position: u64) -> Result<File, TxnLogError> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let file = file.map_err(TxnLogError::io("create", path))?;
        let header = HEADER.to_bytes();
        file.write_all_at(&header, 0).map_err(TxnLogError::io("write the header of", path))?;
        self.padding.start_file(path, position);
        Ok(file)
    }

    /// Removes a file of the same name that an earlier server left without entries. A file with entries is an
    /// error; Java empties it.
    fn remove_without_entries(&self, zxid: Zxid, path: &Path) -> Result<(), TxnLogError> {
        let file = NamedFile { zxid, path: path.to_owned() };
        if FileTxnIterator::open_file(file, self.config.format)?.header().is_some() {
            return Err(TxnLogError::WouldReplace { path: path.to_owned() });
        }
        warn!(target: LOG, "{} is there already without entries and is replaced", path.display());
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(TxnLogError::io("replace", path)(error))
            }
            _ => Ok(()),
        }
    }

    fn write_pending(&mut self) -> Result<(), TxnLogError> {
        self.check_not_failed()?;
        let Some(log) = self.current.as_mut().filter(|_| !self.pending.is_empty()) else {
            return Ok(());
        };
        let end = log.position + self.pending.len() as u64;
        self.padding.reserve(end);
        let written = log.file.write_all_at(&self.pending, log.position);
        let written = written.map_err(TxnLogError::io("append to", &log.path));
        log.position = end;
        log.unsynced = true;
        self.pending.clear();
        if self.pending.capacity() > 2 * PENDING_LIMIT {
            self.pending = Vec::new();
        }
        self.note_failure(written)
    }

    /// Writes the appended entries and waits until they are on disk.
    ///
    /// # Errors
    /// When they cannot be written or synced. The log then accepts nothing more, and the caller must stop the
    /// server. The state on disk is unknown, and a second fsync that succeeds would prove nothing.
    pub fn commit(&mut self) -> Result<(), TxnLogError> {
        self.write_pending()?;
        for mut log in std::mem::take(&mut self.to_sync) {
            let synced = self.sync(&mut log);
            self.note_failure(synced)?;
        }
        if let Some(mut log) = self.current.take() {
            let (synced, appended) = (self.sync(&mut log), log.position - log.committed);
            log.committed = log.position;
            self.current = Some(log);
            self.note_failure(synced)?;
            self.padding.keep_ahead(appended);
        }
        let size = self.current_log_size();
        if self.config.txn_log_size_limit.is_some_and(|limit| size > limit) {
            debug!(target: LOG, "Log size limit reached: {size}");
            self.roll_log()?;
        }
        Ok(())
    }

    fn sync(&mut self, log: &mut OpenLog) -> Result<(), TxnLogError> {
        if !self.config.force_sync {
            return Ok(());
        }
        if log.unsynced {
            let start = time::now();
            log.file.sync_data().map_err(TxnLogError::io("sync", &log.path))?;
            self.note_sync_time(time::millis(start.elapsed()), log.position);
            log.unsynced = false;
        }
        if !log.name_synced {
            sync_directory(&self.log_dir).map_err(TxnLogError::io("sync", &self.log_dir))?;
            log.name_synced = true;
        }
        Ok(())
    }

    fn note_sync_time(&mut self, ms: i64, file_size: u64) {
        self.sync_elapsed_ms = Some(ms);
        if ms > self.config.fsync_warning_threshold_ms {
            self.metrics.fsync_threshold_exceeded();
            let thread = std::thread::current();
            warn!(
                target: LOG,
                "fsync-ing the write ahead log in {} took {ms}ms which will adversely effect operation latency. \
                 File size is {file_size} bytes. See the ZooKeeper troubleshooting guide",
                thread.name().unwrap_or("?")
            );
        }
        self.metrics.fsync_time_ms(ms);
    }

    fn check_not_failed(&self) -> Result<(), TxnLogError> {
        if self.failed {
            return Err(TxnLogError::FailedBefore { directory: self.log_dir.clone() });
        }
        Ok(())
    }

    fn note_failure<T>(&mut self, result: Result<T, TxnLogError>) -> Result<T, TxnLogError> {
        self.failed |= result.is_err();
        result
    }

    /// Commits, closes the files, and ends the padding thread. The log can be used again: the next append
    /// starts a new file.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit). The files are closed in any case.
    pub fn close(&mut self) -> Result<(), TxnLogError> {
        let committed = if self.failed { Ok(()) } else { self.commit() };
        self.current = None;
        self.to_sync.clear();
        self.pending.clear();
        self.padding.shutdown();
        committed
    }

    /// The file that may contain the first transaction from `zxid` on, and all later files, in order
    /// (Java: getLogFiles).
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn log_files(log_dir: &Path, zxid: Zxid) -> Result<Vec<NamedFile>, TxnLogError> {
        log_files(log_dir, zxid)
    }

    /// Reads the transactions from `zxid` on. Without `fast_forward`, reads from the start of the file that may
    /// contain it. Appended but uncommitted entries may be missing.
    ///
    /// # Errors
    /// When a file is unreadable or damaged.
    pub fn read(
        &self,
        zxid: Zxid,
        fast_forward: bool,
        check: TailCheck,
    ) -> Result<FileTxnIterator, TxnLogError> {
        FileTxnIterator::open(&self.log_dir, zxid, fast_forward, check, self.config.format)
    }

    /// Syncs the files that may contain transactions from `zxid` on. A killed server may leave entries that the
    /// next server can read but that are not on disk yet. They must be on disk before anybody learns of them.
    /// Otherwise a power failure could remove them and leave a gap before the entries that are appended later.
    /// Java reads them without a sync.
    pub(super) fn sync_files(
        log_dir: &Path,
        zxid: Zxid,
        config: &FileTxnLogConfig,
        metrics: &dyn PersistenceMetrics,
    ) -> Result<(), TxnLogError> {
        if !config.force_sync {
            return Ok(());
        }
        for file in log_files(log_dir, zxid)? {
            let start = time::now();
            let synced = File::open(&file.path).and_then(|file| file.sync_all());
            synced.map_err(TxnLogError::io("sync", &file.path))?;
            metrics.fsync_time_ms(time::millis(start.elapsed()));
        }
        sync_directory(log_dir).map_err(TxnLogError::io("sync", log_dir))
    }

    /// The zxid of the last transaction in the files; [`Zxid::NONE`] if there is none. If the last file has no
    /// entries, Java uses the zxid in its name instead.
    ///
    /// # Errors
    /// When a file is unreadable or damaged.
    pub fn last_logged_zxid(&self) -> Result<Zxid, TxnLogError> {
        let check = if self.current.is_some() { TailCheck::Live } else { TailCheck::Recovery };
        Self::last_zxid_in(&self.log_dir, self.config.format, check)
    }

    /// The zxid of the last transaction in the log files of a directory.
    pub(super) fn last_zxid_in(
        log_dir: &Path,
        format: TxnFormat,
        check: TailCheck,
    ) -> Result<Zxid, TxnLogError> {
        for file in log_files(log_dir, Zxid::ZERO)?.iter().rev() {
            let mut iterator = FileTxnIterator::open(log_dir, file.zxid, true, check, format)?;
            let mut last = Zxid::NONE;
            while let Some(header) = iterator.header() {
                last = header.zxid;
                iterator.advance()?;
            }
            if last != Zxid::NONE {
                return Ok(last);
            }
        }
        Ok(Zxid::NONE)
    }

    /// Durably removes all transactions above `zxid`. Returns the last one that is left in the file that
    /// contains or precedes `zxid`, or [`Zxid::NONE`] if there is no such file.
    ///
    /// # Errors
    /// When there are no log files, or a file cannot be read, cut or deleted. If a file cannot be read, nothing
    /// is changed.
    pub fn truncate(&mut self, zxid: Zxid) -> Result<Zxid, TxnLogError> {
        self.close()?;
        let files = log_files(&self.log_dir, zxid)?;
        if files.is_empty() {
            return Err(TxnLogError::NothingToTruncate { directory: self.log_dir.clone() });
        }
        let (kept, deleted) = files.split_at(usize::from(files[0].zxid <= zxid));
        let cut = match kept {
            [file] => Some((&file.path, self.find_end(file, zxid)?)),
            _ => None,
        };
        for file in deleted.iter().rev() {
            warn!(target: LOG, "truncating to {zxid}: deleting {}", file.path.display());
            fs::remove_file(&file.path).map_err(TxnLogError::io("truncate", &file.path))?;
        }
        sync_directory(&self.log_dir).map_err(TxnLogError::io("sync", &self.log_dir))?;
        self.last_zxid_seen = Zxid::ZERO;
        let Some((path, (last, end))) = cut.filter(|(path, _)| path.exists()) else {
            return Ok(Zxid::NONE);
        };
        info!(target: LOG, "truncating to {zxid}: {} ends at offset {end} now", path.display());
        cut_file(path, end)?;
        Ok(last)
    }

    /// The last transaction in the file that is not above `zxid`, and the offset where it ends.
    fn find_end(&self, file: &NamedFile, zxid: Zxid) -> Result<(Zxid, u64), TxnLogError> {
        let mut found = (Zxid::NONE, FileHeader::SIZE as u64);
        let mut iterator = FileTxnIterator::open_file(file.clone(), self.config.format)?;
        while let Some(header) = iterator.header().filter(|header| header.zxid <= zxid) {
            found = (header.zxid, iterator.end());
            iterator.advance()?;
        }
        Ok(found)
    }
}

/// Cuts a file to `size` bytes, durably.
pub(crate) fn cut_file(path: &Path, size: u64) -> Result<(), TxnLogError> {
    let file = OpenOptions::new().write(true).open(path);
    file.and_then(|file| {
        file.set_len(size)?;
        file.sync_all()
    })
    .map_err(TxnLogError::io("cut the end off", path))
}

#[cfg(test)]
mod tests;
