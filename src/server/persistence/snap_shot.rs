//! What snapshots need of the data tree (Java: the methods of DataTree that server/persistence/SnapShot.java calls).
//!
//! Elsewhere: the methods of SnapShot itself are those of `FileSnap` in `file_snap`.
//!
//! The storage does not depend on the tree. It restores into a [`RestoreTarget`] and saves from a
//! [`SnapshotSource`]. Both are used as generic parameters, so that no dynamic call is made per node.

use std::io::{self, Read};
use std::path::PathBuf;

use log::info;

use super::snap_stream::StreamMode;
use crate::common::zk_config::SystemProperties;
use crate::ids::{SessionId, Zxid};
use crate::jute::{BinaryInputArchive, InputError, Limits};
use crate::server::util::serialize_utils::{TxnBody, TxnFormat};
use crate::txn::{TxnDigest, TxnHeader};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.persistence.SnapStream";

/// The digest version that Java 3.6 and later write (Java: DigestCalculator.DIGEST_VERSION).
pub(crate) const DIGEST_VERSION: i32 = 2;

/// The settings of snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSnapConfig {
    /// The compression of new snapshots (`zookeeper.snapshot.compression.method`, default none).
    pub stream_mode: StreamMode,
    /// Whether digests of the tree are written and compared (`zookeeper.digest.enabled`, default true).
    pub digest_enabled: bool,
    /// Whether the last zxid is written (`zookeeper.serializeLastProcessedZxid.enabled`, default true).
    pub serialize_last_processed_zxid: bool,
    /// The longest accepted buffer.
    pub limits: Limits,
}

impl Default for FileSnapConfig {
    fn default() -> Self {
        Self {
            stream_mode: StreamMode::Checked,
            digest_enabled: true,
            serialize_last_processed_zxid: true,
            limits: Limits::default(),
        }
    }
}

impl FileSnapConfig {
    /// Reads Java's properties.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        let format = TxnFormat::from_properties(properties);
        let mode = properties.get("zookeeper.snapshot.compression.method").unwrap_or_default();
        let stream_mode = StreamMode::from_name(mode);
        info!(target: LOG, "zookeeper.snapshot.compression.method = {stream_mode:?}");
        Self {
            stream_mode,
            digest_enabled: format.digest_enabled,
            serialize_last_processed_zxid: properties
                .bool_or("zookeeper.serializeLastProcessedZxid.enabled", true),
            limits: format.limits,
        }
    }
}

/// The tree's digest in a snapshot (Java: DataTree.ZxidDigest).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotDigest {
    /// The zxid of the transaction after which the tree has this digest; 0 if it is not known.
    pub zxid: Zxid,
    /// The version of the digest algorithm.
    pub digest_version: i32,
    /// The digest.
    pub digest: i64,
}

impl Default for SnapshotDigest {
    /// The value that Java writes when no digest is known.
    fn default() -> Self {
        Self { zxid: Zxid::ZERO, digest_version: DIGEST_VERSION, digest: 0 }
    }
}

/// The optional parts after the tree in a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SnapshotTail {
    /// The tree's digest (since 3.6).
    pub digest: Option<SnapshotDigest>,
    /// The last zxid that may be in the tree (since 3.9).
    pub last_processed_zxid: Option<Zxid>,
}

/// The data tree, as the target of a restore.
pub trait RestoreTarget {
    /// Replaces the ACLs and nodes by those in the input, up to the path `/` that marks the end
    /// (Java: DataTree.deserialize). After a failure, another snapshot can be read.
    ///
    /// # Errors
    /// When the input is not a tree.
    fn deserialize<R: Read>(
        &mut self,
        archive: &mut BinaryInputArchive<R>,
    ) -> Result<(), InputError>;

    /// Appends the ACLs, the nodes, and the path that marks the end (Java: DataTree.serialize).
    fn serialize(&self, out: &mut Vec<u8>);

    /// Sets the digest of the snapshot that was just read and that began at `start_zxid`; `None` if the
    /// snapshot has none (Java: deserializeZxidDigest).
    fn set_snapshot_digest(&mut self, digest: Option<SnapshotDigest>, start_zxid: Zxid);

    /// The zxid of the snapshot's digest until it is compared (Java: getDigestFromLoadedSnapshot).
    fn snapshot_digest_zxid(&self) -> Option<Zxid>;

    /// Compares the snapshot's digest with the tree's, if it belongs to `zxid` (Java: compareSnapshotDigests).
    fn compare_snapshot_digests(&mut self, zxid: Zxid);

    /// The zxid of the last applied transaction.
    fn last_processed_zxid(&self) -> Zxid;

    /// Sets the zxid of the last applied transaction.
    fn set_last_processed_zxid(&mut self, zxid: Zxid);

    /// Applies a transaction and compares its digest. Returns the error code, 0 for success (Java: processTxn,
    /// compareDigest).
    fn process_txn(
        &mut self,
        header: &TxnHeader,
        txn: Option<TxnBody>,
        digest: Option<&TxnDigest>,
    ) -> i32;
}

/// The source of a snapshot. Its methods are called from top to bottom. Transactions may be applied between two
/// calls.
pub trait SnapshotSource {
    /// Why the tree cannot be written completely.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The zxid of the last applied transaction, after which the snapshot is named.
    fn begin(&mut self) -> Zxid;

    /// The sessions and their timeouts in ms.
    fn sessions(&mut self) -> Vec<(SessionId, i32)>;

    /// Appends a piece of ACLs and nodes of about `about_bytes`. The last piece ends with the path `/`. False
    /// after the last piece.
    ///
    /// # Errors
    /// When the source cannot continue.
    fn next_chunk(&mut self, out: &mut Vec<u8>, about_bytes: usize) -> Result<bool, Self::Error>;

    /// The tree's digest after the last transaction; `None` if it is not known.
    fn digest(&mut self) -> Option<SnapshotDigest>;

    /// The zxid of the last applied transaction at this time.
    fn last_processed_zxid(&mut self) -> Zxid;
}

/// Why a snapshot cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapError {
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
    /// The file does not start like a snapshot.
    #[error("{place}: mismatching magic headers {found:#x} != 0x5a4b534e: it is no snapshot")]
    InvalidMagic {
        /// The file or stream.
        place: String,
        /// The first four bytes.
        found: i32,
    },
    /// The contents are not those of a snapshot.
    #[error("{place}: {source}")]
    Input {
        /// The file or stream.
        place: String,
        /// What is wrong.
        source: InputError,
    },
    /// A checksum is wrong.
    #[error("{place}: CRC corruption: the checksum after {section} is not that of the content")]
    Checksum {
        /// The file or stream.
        place: String,
        /// The part before the checksum.
        section: &'static str,
    },
    /// There are snapshots, but none is readable.
    #[error(
        "Not able to find valid snapshots in {} (tried {tried}; the newest: {newest}); restore this server from its \
         peers or from a backup, or raise jute.maxbuffer if a length is called unreasonable",
        directory.display()
    )]
    NoValidSnapshot {
        /// The snapshot directory.
        directory: PathBuf,
        /// The number of snapshots tried.
        tried: usize,
        /// What is wrong with the newest one.
        newest: Box<Self>,
    },
    /// The source failed before the end of the tree.
    #[error("the snapshot is given up: {0}")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SnapError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
