//! Where the tree and the snapshots meet (Java: server/persistence/SnapShot.java and the methods of DataTree that it
//! calls).
//!
//! Storage knows no tree: it reads into a [`RestoreTarget`] and writes from a [`SnapshotSource`]. Both are generic where
//! they are used, so that nothing is called through a table for every node.

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

/// Which digest Java 3.6 and later write (Java: DigestCalculator.DIGEST_VERSION).
pub const DIGEST_VERSION: i32 = 2;

/// How snapshots are written and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSnapConfig {
    /// How new ones are compressed (`zookeeper.snapshot.compression.method`, default not at all).
    pub stream_mode: StreamMode,
    /// Whether the tree's digest is written and used (`zookeeper.digest.enabled`, default true).
    pub digest_enabled: bool,
    /// Whether the last zxid is written (`zookeeper.serializeLastProcessedZxid.enabled`, default true).
    pub serialize_last_processed_zxid: bool,
    /// The longest buffer that is believed.
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

/// The tree's digest as it stands in a snapshot (Java: DataTree.ZxidDigest).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotDigest {
    /// The transaction after which the tree has it; 0 when it is not known.
    pub zxid: Zxid,
    /// How it was computed.
    pub digest_version: i32,
    /// The digest.
    pub digest: i64,
}

impl Default for SnapshotDigest {
    /// As Java writes it when nothing is known.
    fn default() -> Self {
        Self { zxid: Zxid::ZERO, digest_version: DIGEST_VERSION, digest: 0 }
    }
}

/// What follows the tree in a snapshot, as far as its writer has put it there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotTail {
    /// The tree's digest (3.6 and later).
    pub digest: Option<SnapshotDigest>,
    /// The last transaction that may be in the tree (3.9 and later).
    pub last_processed_zxid: Option<Zxid>,
}

/// What a database is restored into: the tree.
pub trait RestoreTarget {
    /// Replaces ACLs and nodes by those that are read, up to the path `/` that ends them (Java: DataTree.deserialize).
    /// Another snapshot may be read after one that failed.
    ///
    /// # Errors
    /// When the input is no tree.
    fn deserialize<R: Read>(
        &mut self,
        archive: &mut BinaryInputArchive<R>,
    ) -> Result<(), InputError>;

    /// Appends ACLs and nodes and the path that ends them (Java: DataTree.serialize).
    fn serialize(&self, out: &mut Vec<u8>);

    /// Takes the digest of the snapshot that was just read and that was begun at `start_zxid`; `None` when it has none
    /// (Java: deserializeZxidDigest).
    fn set_snapshot_digest(&mut self, digest: Option<SnapshotDigest>, start_zxid: Zxid);

    /// The zxid of that digest, while it has not been compared (Java: getDigestFromLoadedSnapshot).
    fn snapshot_digest_zxid(&self) -> Option<Zxid>;

    /// Compares that digest with the tree's, if it is that of `zxid` (Java: compareSnapshotDigests).
    fn compare_snapshot_digests(&mut self, zxid: Zxid);

    /// The last transaction that was applied.
    fn last_processed_zxid(&self) -> Zxid;

    /// Sets it.
    fn set_last_processed_zxid(&mut self, zxid: Zxid);

    /// Applies a transaction and compares the digest that came with it; returns the code of the error that it met, 0 for
    /// none (Java: processTxn, compareDigest).
    fn process_txn(
        &mut self,
        header: &TxnHeader,
        txn: Option<TxnBody>,
        digest: Option<&TxnDigest>,
    ) -> i32;
}

/// What a snapshot is taken of. Asked from top to bottom; between two calls transactions may be applied.
pub trait SnapshotSource {
    /// Why the tree cannot be written to its end.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The last transaction that is applied now: the snapshot's name.
    fn begin(&mut self) -> Zxid;

    /// The sessions and their timeouts in ms.
    fn sessions(&mut self) -> Vec<(SessionId, i32)>;

    /// Appends a piece of ACLs and nodes, of about so many bytes; the last one ends with the path `/`. False when that was
    /// it.
    ///
    /// # Errors
    /// When the rest will not come.
    fn next_chunk(&mut self, out: &mut Vec<u8>, about_bytes: usize) -> Result<bool, Self::Error>;

    /// The tree's digest after the newest transaction; `None` when it is not known.
    fn digest(&mut self) -> Option<SnapshotDigest>;

    /// The last transaction that is applied now.
    fn last_processed_zxid(&mut self) -> Zxid;
}

/// Why a snapshot cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapError {
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It does not start as a snapshot does.
    #[error("{place}: mismatching magic headers {found:#x} != 0x5a4b534e: it is no snapshot")]
    InvalidMagic {
        /// The file or stream.
        place: String,
        /// The first four bytes.
        found: i32,
    },
    /// Its content is not that of a snapshot.
    #[error("{place}: {source}")]
    Input {
        /// The file or stream.
        place: String,
        /// What is wrong.
        source: InputError,
    },
    /// A checksum in it is wrong.
    #[error("{place}: CRC corruption: the checksum after {section} is not that of the content")]
    Checksum {
        /// The file or stream.
        place: String,
        /// What comes before the checksum.
        section: &'static str,
    },
    /// There are snapshots, and none can be read.
    #[error(
        "Not able to find valid snapshots in {} (tried {tried}; the newest: {newest}); restore this server from its \
         peers or from a backup, or raise jute.maxbuffer if a length is called unreasonable",
        directory.display()
    )]
    NoValidSnapshot {
        /// The snapshot directory.
        directory: PathBuf,
        /// How many were tried.
        tried: usize,
        /// What is wrong with the first of them.
        newest: Box<Self>,
    },
    /// The tree could not be written to its end.
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
