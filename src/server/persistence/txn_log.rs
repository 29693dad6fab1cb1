//! The public types of the transaction log: settings, errors, and the interface for its metrics
//! (Java: server/persistence/TxnLog.java).
//!
//! There is only one implementation of a log, so Java's interface is not a trait here. `FileTxnLog` has its
//! methods.

use std::fmt;
use std::io;
use std::path::PathBuf;

use log::{info, warn};

use crate::common::zk_config::SystemProperties;
use crate::ids::Zxid;
use crate::server::util::serialize_utils::TxnFormat;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.persistence.FileTxnLog";

/// Bytes in a KiB, the unit of the size settings.
const KIB: u64 = 1024;

/// The settings of the transaction log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileTxnLogConfig {
    /// Whether a commit waits until the data is on disk (`zookeeper.forceSync`, default yes).
    pub force_sync: bool,
    /// A longer fsync is logged as a warning, ms (`zookeeper.fsync.warningthresholdms`, default 1000).
    pub fsync_warning_threshold_ms: i64,
    /// How far a log file is grown ahead at most, in bytes; 0 disables it (`zookeeper.preAllocSize` in KiB,
    /// default 65536).
    pub pre_alloc_size: u64,
    /// The size after which a new log file is started, in bytes; `None` is no limit
    /// (`zookeeper.txnLogSizeLimitInKb`, default -1).
    pub txn_log_size_limit: Option<u64>,
    /// The settings that affect how transactions are read.
    pub format: TxnFormat,
}

impl Default for FileTxnLogConfig {
    fn default() -> Self {
        Self {
            force_sync: true,
            fsync_warning_threshold_ms: 1000,
            pre_alloc_size: 65536 * KIB,
            txn_log_size_limit: None,
            format: TxnFormat::default(),
        }
    }
}

impl FileTxnLogConfig {
    /// Reads Java's properties.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        let default = Self::default();
        let threshold = properties
            .number("zookeeper.fsync.warningthresholdms")
            .or_else(|| properties.number("fsync.warningthresholdms"));
        let limit_kib = properties.number::<u64>("zookeeper.txnLogSizeLimitInKb");
        let limit_kib = limit_kib.filter(|limit| *limit > 0);
        if let Some(limit) = limit_kib {
            info!(target: LOG, "zookeeper.txnLogSizeLimitInKb = {limit}");
        }
        Self {
            force_sync: properties.get("zookeeper.forceSync") != Some("no"),
            fsync_warning_threshold_ms: threshold.unwrap_or(default.fsync_warning_threshold_ms),
            pre_alloc_size: pre_alloc_size(properties).unwrap_or(default.pre_alloc_size),
            txn_log_size_limit: limit_kib.map(|limit| limit.saturating_mul(KIB)),
            format: TxnFormat::from_properties(properties),
        }
    }
}

/// `zookeeper.preAllocSize` in bytes. As in Java, it must be decimal, and a negative value counts as 0.
fn pre_alloc_size(properties: &SystemProperties) -> Option<u64> {
    let text = properties.get("zookeeper.preAllocSize")?;
    match text.parse::<i64>() {
        Ok(kib) => Some(u64::try_from(kib).unwrap_or(0).saturating_mul(KIB)),
        Err(_) => {
            warn!(target: LOG, "{text} is not a valid value for preAllocSize");
            None
        }
    }
}

/// Receives measurements of the storage. All methods are optional.
pub trait PersistenceMetrics: Send + Sync + fmt::Debug {
    /// An fsync of the log took `_ms` (Java: FSYNC_TIME).
    fn fsync_time_ms(&self, _ms: i64) {}
    /// An fsync took longer than the warning threshold (Java: ServerStats.incrementFsyncThresholdExceedCount).
    fn fsync_threshold_exceeded(&self) {}
    /// A snapshot was loaded (Java: STARTUP_SNAP_LOAD_TIME).
    fn startup_snap_load_time_ms(&self, _ms: i64) {}
    /// The log was replayed (Java: STARTUP_TXNS_LOADED, STARTUP_TXNS_LOAD_TIME).
    fn startup_txns_loaded(&self, _txns: u64, _ms: i64) {}
}

/// Ignores all measurements.
impl PersistenceMetrics for () {}

/// What is wrong with the bytes of an entry.
#[derive(Debug)]
pub enum Damage {
    /// The checksum does not match the bytes.
    Checksum {
        /// The checksum in the file.
        stored: i64,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// The length is impossible.
    Length {
        /// The length in the file.
        length: i32,
        /// The longest allowed entry, in bytes.
        limit: usize,
    },
    /// The end mark `B` is missing.
    Unterminated {
        /// The byte in its place.
        found: u8,
    },
    /// The file ends inside the entry.
    Cut,
    /// Zeros, as after the last entry, but other data follows them.
    Hole,
    /// The checksum is correct, but the bytes are not a transaction.
    Undecodable {
        /// The reason.
        reason: String,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum { stored, computed } => write!(
                f,
                "fails its checksum (CRC check failed: stored {stored:#x}, computed {computed:#x})"
            ),
            Self::Length { length, limit } => write!(
                f,
                "has an impossible length (Unreasonable length = {length}, at most {limit} by jute.maxbuffer)"
            ),
            Self::Unterminated { found } => {
                write!(f, "is not terminated (found {found:#04x} instead of 0x42)")
            }
            Self::Cut => f.write_str("is cut off by the end of the file"),
            Self::Hole => f.write_str("is overwritten with zeros"),
            Self::Undecodable { reason } => write!(f, "is no transaction ({reason})"),
        }
    }
}

/// What was found after damaged bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// A complete entry, so the damaged bytes were once on disk.
    ValidEntry {
        /// Its offset in the file.
        offset: u64,
    },
    /// No entry, but the damaged bytes do not look like an interrupted write.
    NothingUnfinished,
    /// The next file does not continue where this one ends.
    Gap {
        /// The expected next transaction.
        expected: Zxid,
        /// The first transaction of the next file.
        next: Zxid,
    },
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ValidEntry { offset } => {
                write!(f, "and valid entries follow at offset {offset}")
            }
            Self::NothingUnfinished => {
                f.write_str("and it does not look like a write that was interrupted")
            }
            Self::Gap { expected, next } => {
                write!(f, "and the next file starts with zxid {next}, not with {expected}")
            }
        }
    }
}

/// Why a transaction log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TxnLogError {
    /// A system call failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The attempted operation.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file does not start like a log file.
    #[error(
        "Transaction log: {} has invalid magic number {found:#x} instead of 0x5a4b4c47; it is no transaction log: \
         move it out of the directory if it does not belong there, else restore this server from its peers",
        path.display()
    )]
    InvalidMagic {
        /// The file.
        path: PathBuf,
        /// The first four bytes.
        found: i32,
    },
    /// A file is shorter than a header, and not the beginning of one.
    #[error(
        "{}: it is shorter than the header of a transaction log, and not the beginning of one; move it out of the \
         directory if it does not belong there, else restore this server from its peers",
        path.display()
    )]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// A file has the name of a transaction log, and something after it.
    #[error(
        "{}: it is not read, because the name of a transaction log ends after its zxid, and there is no {name} beside \
         it; rename it to {name} if this server needs its transactions, else move it out of the directory",
        path.display()
    )]
    StrayName {
        /// The file.
        path: PathBuf,
        /// The name of a transaction log with its zxid.
        name: String,
    },
    /// An entry is damaged, and the damage is not an interrupted write.
    #[error(
        "{}: entry at offset {offset} {damage} {behind}: the log is corrupt, not torn; restore this server from its \
         peers, or, if it stands alone, cut the log after zxid {last_good}, its last good one (zookeeper txnlog --chop \
         --zxid {last_good} {})",
        path.display(), path.display()
    )]
    CorruptEntry {
        /// The file.
        path: PathBuf,
        /// The offset of the entry.
        offset: u64,
        /// What is wrong with the entry.
        damage: Damage,
        /// Why the damage is not an interrupted write.
        behind: Behind,
        /// The last transaction before the entry; [`Zxid::NONE`] if there is none.
        last_good: Zxid,
    },
    /// An entry is longer than this server accepts.
    #[error(
        "{}: entry at offset {offset} is {length} bytes long, more than the {limit} bytes that jute.maxbuffer and \
         zookeeper.jute.maxbuffer.extrasize allow (Unreasonable length = {length}); raise jute.maxbuffer to what it \
         was when the log was written",
        path.display()
    )]
    EntryTooLong {
        /// The file.
        path: PathBuf,
        /// The offset of the entry.
        offset: u64,
        /// The length of the entry, in bytes.
        length: usize,
        /// The longest allowed entry, in bytes.
        limit: usize,
    },
    /// A new file would replace one that contains transactions.
    #[error(
        "{}: a transaction would start this file, but it is there and holds transactions: zxids have gone back; restart \
         this server, and if that does not help, restore it from its peers",
        path.display()
    )]
    WouldReplace {
        /// The file.
        path: PathBuf,
    },
    /// An entry is empty (Java: IOException "Faulty serialization for header and txn").
    #[error("Faulty serialization for header and txn of zxid {zxid}: it has {length} bytes")]
    FaultySerialization {
        /// The zxid of the transaction.
        zxid: Zxid,
        /// The length of the entry, in bytes.
        length: usize,
    },
    /// There are no log files to truncate.
    #[error(
        "No log files found to truncate in {}: were they deleted, or was dataLogDir changed in zoo.cfg?",
        directory.display()
    )]
    NothingToTruncate {
        /// The log directory.
        directory: PathBuf,
    },
    /// An earlier write or fsync has failed. The state on disk is unknown, so nothing more may be acknowledged.
    #[error(
        "the transaction log in {} has failed before and takes nothing more; restart this server",
        directory.display()
    )]
    FailedBefore {
        /// The log directory.
        directory: PathBuf,
    },
}

impl TxnLogError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_java_reads_them() {
        assert_eq!(
            FileTxnLogConfig::from_properties(&SystemProperties::new()),
            FileTxnLogConfig::default()
        );
        let config = FileTxnLogConfig::from_properties(&SystemProperties::from_pairs([
            ("zookeeper.forceSync", "no"),
            ("fsync.warningthresholdms", "20"),
            ("zookeeper.preAllocSize", "16"),
            ("zookeeper.txnLogSizeLimitInKb", "3"),
            ("zookeeper.digest.enabled", "false"),
            ("jute.maxbuffer", "4096"),
        ]));
        assert!(!config.force_sync && !config.format.digest_enabled);
        assert_eq!(config.fsync_warning_threshold_ms, 20);
        assert_eq!((config.pre_alloc_size, config.txn_log_size_limit), (16 * 1024, Some(3 * 1024)));
        assert_eq!(config.format.limits.max_length(), 8192);
    }

    #[test]
    fn odd_settings_do_not_stop_the_server() {
        for (text, pre_alloc_size) in [("0", 0), ("-5", 0), ("64M", 65536 * KIB)] {
            let properties = SystemProperties::from_pairs([
                ("zookeeper.preAllocSize", text),
                ("zookeeper.txnLogSizeLimitInKb", "-1"),
                ("zookeeper.forceSync", "No"),
            ]);
            let config = FileTxnLogConfig::from_properties(&properties);
            assert_eq!(config.pre_alloc_size, pre_alloc_size, "{text}");
            assert!(config.txn_log_size_limit.is_none() && config.force_sync);
        }
    }
}
