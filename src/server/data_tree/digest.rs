//! What the tree should be and whether it is (Java: the digest methods of server/DataTree.java, DataTree.ZxidDigest).
//!
//! The leader sends with each transaction the digest that the tree has after it. A mismatch is logged and counted, nothing
//! more. After loading a fuzzy snapshot the tree is no state that ever was until the transaction is reached at which the
//! snapshot ended: until then nothing is compared or noted.
//!
//! Differs from Java: the first mismatch is logged without the transaction's record, which is in the tree by then.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;

use log::{debug, error, info, warn};

use crate::common::time::Clock;
use crate::digest_watcher::DigestWatcher;
use crate::ids::Zxid;
use crate::jute::{BinaryInputArchive, BinaryOutputArchive, InputError, OutputArchive};
use crate::server::digest_calculator::DIGEST_VERSION;
use crate::server::rate_logger::RateLogger;
use crate::txn::{TxnDigest, TxnHeader};

use super::{DataTree, LOG};

/// How many digests are kept for the `hash` command.
pub const DIGEST_LOG_LIMIT: usize = 1024;

/// Every how many transactions one is kept: those whose zxid is a multiple, so that servers keep the same ones.
pub const DIGEST_LOG_INTERVAL: i64 = 128;

/// Between two warnings about mismatches, in milliseconds.
const WARN_INTERVAL_MS: i64 = 15 * 60 * 1000;

/// The tree's digest after a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZxidDigest {
    /// The transaction; 0 when there was none.
    pub zxid: Zxid,
    /// How it was computed.
    pub digest_version: i32,
    /// The digest.
    pub digest: i64,
}

impl Default for ZxidDigest {
    /// As Java writes it when nothing is known.
    fn default() -> Self {
        Self { zxid: Zxid::ZERO, digest_version: DIGEST_VERSION, digest: 0 }
    }
}

impl ZxidDigest {
    /// Appends it as it stands in a snapshot.
    pub fn serialize(&self, out: &mut Vec<u8>) {
        let mut archive = BinaryOutputArchive::new(out);
        archive.write_long(self.zxid.0, "zxid");
        archive.write_int(self.digest_version, "digestVersion");
        archive.write_long(self.digest, "digest");
    }

    /// Reads it as it stands in a snapshot; before version 2 the digest is hex text.
    ///
    /// # Errors
    /// When the input ends, or the text is no number.
    pub fn deserialize<R: Read>(archive: &mut BinaryInputArchive<R>) -> Result<Self, InputError> {
        let zxid = Zxid(archive.read_long()?);
        let digest_version = archive.read_int()?;
        let digest = if digest_version < 2 {
            let text = archive.read_string("digest")?.unwrap_or_else(|| "0".into());
            i64::from_str_radix(&text, 16).map_err(|_| {
                let problem = format!("the digest {text:?} is no hex number");
                InputError::Io(io::Error::new(io::ErrorKind::InvalidData, problem))
            })?
        } else {
            archive.read_long()?
        };
        Ok(Self { zxid, digest_version, digest })
    }
}

/// Digests of the past and of the loaded snapshot.
pub(super) struct Digests {
    /// Of the newest transaction that was applied to a tree that is not fuzzy.
    last: Option<ZxidDigest>,
    /// What the tree will have when it is not fuzzy any more.
    from_snapshot: Option<ZxidDigest>,
    log: VecDeque<ZxidDigest>,
    first_mismatch: bool,
    watchers: Vec<Arc<dyn DigestWatcher>>,
    rate_logger: RateLogger,
}

impl Digests {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            last: None,
            from_snapshot: None,
            log: VecDeque::new(),
            first_mismatch: true,
            watchers: Vec::new(),
            rate_logger: RateLogger::with_interval(LOG, WARN_INTERVAL_MS, clock),
        }
    }
}

impl DataTree {
    /// The digest of the tree as it is now; 0 when digests are off.
    #[must_use]
    pub fn tree_digest(&self) -> i64 {
        self.nodes.digest()
    }

    /// The digest after the newest transaction; none while the tree is fuzzy or new.
    #[must_use]
    pub const fn last_processed_zxid_digest(&self) -> Option<ZxidDigest> {
        self.digests.last
    }

    /// What the tree will have when it is not fuzzy any more; none when it is not fuzzy.
    #[must_use]
    pub const fn digest_from_loaded_snapshot(&self) -> Option<ZxidDigest> {
        self.digests.from_snapshot
    }

    /// Digests of the past, oldest first (Java: getDigestLog).
    pub fn digest_log(&self) -> impl Iterator<Item = &ZxidDigest> {
        self.digests.log.iter()
    }

    /// Tells somebody of every mismatch from now on.
    pub fn add_digest_watcher(&mut self, watcher: Arc<dyn DigestWatcher>) {
        self.digests.watchers.push(watcher);
    }

    /// Compares or notes the digest after a whole transaction.
    pub(super) fn digest_after(&mut self, zxid: Zxid) {
        if self.digests.from_snapshot.is_some() {
            self.compare_snapshot_digests(zxid);
            return;
        }
        let digest = self.tree_digest();
        let zxid_digest = ZxidDigest { zxid, digest_version: DIGEST_VERSION, digest };
        self.digests.last = Some(zxid_digest);
        if zxid.0 % DIGEST_LOG_INTERVAL == 0 {
            self.digests.log.push_back(zxid_digest);
            if self.digests.log.len() > DIGEST_LOG_LIMIT {
                self.digests.log.pop_front();
            }
        }
    }

    /// Appends the newest digest to a snapshot, behind the tree; false when digests are off.
    pub fn serialize_zxid_digest(&self, out: &mut Vec<u8>) -> bool {
        if self.config.digest_enabled {
            self.digests.last.unwrap_or_default().serialize(out);
        }
        self.config.digest_enabled
    }

    /// Reads the digest of a snapshot that starts at a zxid; false when digests are off or there is none.
    ///
    /// # Errors
    /// When the input fails or the digest is no number; not when the input ends: then the snapshot is older than 3.6.
    pub fn deserialize_zxid_digest<R: Read>(
        &mut self,
        archive: &mut BinaryInputArchive<R>,
        start_zxid_of_snapshot: Zxid,
    ) -> Result<bool, InputError> {
        if !self.config.digest_enabled {
            return Ok(false);
        }
        match ZxidDigest::deserialize(archive) {
            Ok(digest) => {
                self.set_snapshot_digest(digest, start_zxid_of_snapshot);
                Ok(true)
            }
            Err(problem) if problem.is_end_of_input() => {
                warn!(
                    target: LOG,
                    "Got EOF exception while reading the digest, likely due to the reading an older snapshot."
                );
                Ok(false)
            }
            Err(problem) => Err(problem),
        }
    }

    /// Takes the digest of a snapshot that starts at a zxid (Java: deserializeZxidDigest). One that is older says nothing:
    /// a new leader counts from the start of its epoch, which is no transaction.
    pub fn set_snapshot_digest(&mut self, digest: ZxidDigest, start_zxid_of_snapshot: Zxid) {
        let ZxidDigest { zxid, digest_version, digest: value } = digest;
        self.digests.from_snapshot = None;
        if zxid <= Zxid::ZERO {
            info!(target: LOG, "The digest value is empty in snapshot");
            return;
        }
        info!(
            target: LOG,
            "The digest in the snapshot has digest version of {digest_version}, with zxid as {zxid}, \
             and digest value as {value}"
        );
        if zxid < start_zxid_of_snapshot {
            info!(
                target: LOG,
                "The zxid of snapshot digest {zxid} is smaller than the known snapshot highest zxid, \
                 the snapshot started with zxid {start_zxid_of_snapshot}: it is not compared"
            );
            return;
        }
        self.digests.from_snapshot = Some(digest);
    }

    /// Appends the newest zxid to a snapshot, behind the digest; false when that is off.
    pub fn serialize_last_processed_zxid(&self, out: &mut Vec<u8>) -> bool {
        let enabled = self.config.serialize_last_processed_zxid_enabled;
        if enabled {
            BinaryOutputArchive::new(out).write_long(self.last_processed_zxid.0, "lastZxid");
        }
        enabled
    }

    /// Reads the zxid at which a snapshot ended; false when that is off or there is none.
    ///
    /// # Errors
    /// When the input fails; not when it ends: then the snapshot is older than 3.9.
    pub fn deserialize_last_processed_zxid<R: Read>(
        &mut self,
        archive: &mut BinaryInputArchive<R>,
    ) -> Result<bool, InputError> {
        if !self.config.serialize_last_processed_zxid_enabled {
            return Ok(false);
        }
        match archive.read_long() {
            Ok(zxid) => self.last_processed_zxid = Zxid(zxid),
            Err(problem) if problem.is_end_of_input() => {
                warn!(
                    target: LOG,
                    "Got EOFException while reading the last processed zxid, likely due to reading an \
                     older snapshot."
                );
                return Ok(false);
            }
            Err(problem) => return Err(problem),
        }
        Ok(true)
    }

    /// Compares the tree with its snapshot's digest, when this is the zxid at which the snapshot ended.
    pub fn compare_snapshot_digests(&mut self, zxid: Zxid) {
        let Some(expected) = self.digests.from_snapshot else { return };
        if zxid == expected.zxid {
            self.digests.from_snapshot = None;
            if expected.digest_version != DIGEST_VERSION {
                info!(
                    target: LOG,
                    "Digest version changed, local: {DIGEST_VERSION}, in the snapshot: {}, skip \
                     comparing digest now.",
                    expected.digest_version
                );
            } else if self.config.digest_enabled && self.tree_digest() != expected.digest {
                self.report_digest_mismatch(zxid);
            }
        } else if zxid > expected.zxid {
            let message = format!("The txn {} of snapshot digest does not exist.", expected.zxid);
            self.digests.rate_logger.rate_limit_log(&message, None);
        }
    }

    /// Compares the tree with the digest that came with the transaction applied last; false when they differ.
    pub fn compare_digest(&mut self, header: &TxnHeader, digest: Option<&TxnDigest>) -> bool {
        let Some(digest) = digest.filter(|_| self.config.digest_enabled) else { return true };
        if self.digests.from_snapshot.is_some() {
            return true;
        }
        let zxid = header.zxid;
        if digest.version != DIGEST_VERSION {
            let value = zxid.0.to_string();
            let message = "Digest version not the same on zxid.";
            self.digests.rate_logger.rate_limit_log(message, Some(&value));
            return true;
        }
        let actual = self.tree_digest();
        if digest.tree_digest == actual {
            self.digests.rate_logger.flush();
            return true;
        }
        self.report_digest_mismatch(zxid);
        debug!(target: LOG, "Digest in log: {}, actual tree: {actual}", digest.tree_digest);
        if std::mem::take(&mut self.digests.first_mismatch) {
            error!(
                target: LOG,
                "First digest mismatch on txn: {header:?}, expected digest is {digest:?}, actual \
                 digest is {actual}"
            );
        }
        false
    }

    /// Counts a mismatch, logs it and tells those who want to know.
    fn report_digest_mismatch(&mut self, zxid: Zxid) {
        self.parts.metrics.digest_mismatches_count.inc();
        let value = zxid.0.to_string();
        let message = "Digests are not matching. Value is Zxid.";
        self.digests.rate_logger.rate_limit_log(message, Some(&value));
        for watcher in &self.digests.watchers {
            watcher.process(zxid);
        }
    }
}
