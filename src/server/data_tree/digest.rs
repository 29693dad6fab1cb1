//! Digests of the data tree and their comparison (Java: the digest methods of server/DataTree.java,
//! DataTree.ZxidDigest).
//!
//! With each transaction, the leader sends the digest that the tree must have after it. A mismatch is only
//! logged and counted. A tree loaded from a fuzzy snapshot matches no real state until replay reaches the zxid
//! at which the snapshot ended. Until then no digest is compared or recorded.
//!
//! Unlike in Java, the first mismatch is logged without the transaction's record, because the record has been
//! moved into the tree by then.

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

/// The number of digests that are kept for the `hash` command.
pub(crate) const DIGEST_LOG_LIMIT: usize = 1024;

/// The interval between recorded digests. Only zxids that are a multiple of it are recorded, so that all
/// servers record the same ones.
pub(crate) const DIGEST_LOG_INTERVAL: i64 = 128;

/// The minimum time between two warnings about mismatches, in milliseconds.
const WARN_INTERVAL_MS: i64 = 15 * 60 * 1000;

/// The digest of the tree after a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZxidDigest {
    /// The zxid of the transaction; 0 if there was none.
    pub zxid: Zxid,
    /// The version of the digest algorithm.
    pub digest_version: i32,
    /// The digest.
    pub digest: i64,
}

impl Default for ZxidDigest {
    /// The value that Java writes when no digest is known.
    fn default() -> Self {
        Self { zxid: Zxid::ZERO, digest_version: DIGEST_VERSION, digest: 0 }
    }
}

impl ZxidDigest {
    /// Appends the digest in the format of snapshots.
    pub fn serialize(&self, out: &mut Vec<u8>) {
        let mut archive = BinaryOutputArchive::new(out);
        archive.write_long(self.zxid.0, "zxid");
        archive.write_int(self.digest_version, "digestVersion");
        archive.write_long(self.digest, "digest");
    }

    /// Reads the digest in the format of snapshots. Before version 2 the digest is hex text.
    ///
    /// # Errors
    /// When the input ends, or the text is not a hex number.
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

/// The recorded digests and the digest of the loaded snapshot.
pub(super) struct Digests {
    /// The digest after the last transaction that was applied to a tree that was not fuzzy.
    last: Option<ZxidDigest>,
    /// The expected digest at the zxid at which the loaded snapshot ended. `None` if the tree is not fuzzy.
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
    /// The current digest of the tree; 0 if digests are disabled.
    #[must_use]
    pub fn tree_digest(&self) -> i64 {
        self.nodes.digest()
    }

    /// The digest after the last transaction; `None` while the tree is fuzzy or new.
    #[must_use]
    pub const fn last_processed_zxid_digest(&self) -> Option<ZxidDigest> {
        self.digests.last
    }

    /// The expected digest at the end of the loaded snapshot; `None` if the tree is not fuzzy.
    #[must_use]
    pub const fn digest_from_loaded_snapshot(&self) -> Option<ZxidDigest> {
        self.digests.from_snapshot
    }

    /// The recorded digests, oldest first (Java: getDigestLog).
    pub fn digest_log(&self) -> impl Iterator<Item = &ZxidDigest> {
        self.digests.log.iter()
    }

    /// Registers a watcher that is called for every mismatch.
    pub fn add_digest_watcher(&mut self, watcher: Arc<dyn DigestWatcher>) {
        self.digests.watchers.push(watcher);
    }

    /// Compares or records the digest after a complete transaction.
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

    /// Appends the last digest to a snapshot, after the tree; false if digests are disabled.
    pub fn serialize_zxid_digest(&self, out: &mut Vec<u8>) -> bool {
        if self.config.digest_enabled {
            self.digests.last.unwrap_or_default().serialize(out);
        }
        self.config.digest_enabled
    }

    /// Reads the digest of a snapshot that starts at this zxid; false if digests are disabled or the snapshot
    /// has none.
    ///
    /// # Errors
    /// When the input fails or the digest is not a number. The end of the input is not an error: a snapshot
    /// older than 3.6 has no digest.
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

    /// Takes over the digest of a snapshot that starts at this zxid (Java: deserializeZxidDigest). A digest
    /// with a lower zxid is ignored. It occurs because a new leader starts its epoch at a zxid that belongs to
    /// no transaction.
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

    /// Appends the last processed zxid to a snapshot, after the digest; false if that is disabled.
    pub fn serialize_last_processed_zxid(&self, out: &mut Vec<u8>) -> bool {
        let enabled = self.config.serialize_last_processed_zxid_enabled;
        if enabled {
            BinaryOutputArchive::new(out).write_long(self.last_processed_zxid.0, "lastZxid");
        }
        enabled
    }

    /// Reads the zxid at which a snapshot ended; false if that is disabled or the snapshot has none.
    ///
    /// # Errors
    /// When the input fails. The end of the input is not an error: a snapshot older than 3.9 has no such zxid.
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

    /// If the snapshot ended at this zxid, compares the tree with the snapshot's digest.
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

    /// Compares the tree with the digest of the last applied transaction; false if they differ.
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

    /// Counts and logs a mismatch, and calls the watchers.
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
