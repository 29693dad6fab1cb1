//! Decides how a learner is brought up to date (Java: syncFollower and queueCommittedProposals of
//! server/quorum/LearnerHandler.java).
//!
//! This is pure logic. Differs from Java where a gap could be handed on: each examined transaction must directly
//! follow the one before it; otherwise the learner gets a snapshot, which is always correct. This is stricter than
//! Java's rule for ZOOKEEPER-4925, which relies on the learner to notice the gap.
//!
//! ZOOKEEPER-2846: The log of this server may hold transactions at the end of an old epoch that were never committed.
//! The server got them from a leader that failed, then got a snapshot from the next leader, and a snapshot removes
//! nothing from the log. Such transactions exist only at the end of an epoch, so transactions from the disk are used
//! as long as the epoch does not change. Where it changes, they are used only if this server knows that its tree had
//! all of them. That is so since the snapshot that the tree was loaded from or that the server received.

use crate::ids::Zxid;
use crate::server::committed_log::CommittedProposal;

/// The first packet to a learner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncOp {
    /// DIFF: transactions up to this zxid follow.
    Diff(Zxid),
    /// TRUNC: the learner must first remove everything above this zxid.
    Trunc(Zxid),
}

/// The bounds of the known history.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The first and the last zxid of the committed log; `None` if it is empty.
    pub(super) committed: Option<(Zxid, Zxid)>,
    /// The last zxid in the tree.
    pub(super) last_processed: Zxid,
    /// From here on, the log on disk holds nothing but this history.
    pub(super) history_from: Zxid,
}

impl Bounds {
    pub(super) fn min_committed(&self) -> Zxid {
        self.committed.map_or(self.last_processed, |(min, _)| min)
    }

    pub(super) fn max_committed(&self) -> Zxid {
        self.committed.map_or(self.last_processed, |(_, max)| max)
    }
}

/// Where to look for the transactions that a learner lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nowhere: the first packet is enough.
    Nothing(SyncOp),
    /// In the committed log.
    CommittedLog,
    /// In the log on disk up to the start of the committed log, then in the committed log.
    TxnLog,
    /// Nowhere: the learner gets a snapshot.
    Snapshot,
}

/// Decides for a learner whose last zxid is `peer`.
pub(super) fn choose(
    peer: Zxid,
    bounds: &Bounds,
    is_snap_forced: bool,
    is_txn_log_sync_enabled: bool,
) -> Source {
    let (min, max) = (bounds.min_committed(), bounds.max_committed());
    if is_snap_forced {
        Source::Snapshot
    } else if peer == bounds.last_processed {
        Source::Nothing(SyncOp::Diff(peer))
    } else if peer > max && !is_start_of_epoch(peer) {
        Source::Nothing(SyncOp::Trunc(max))
    } else if min <= peer && peer <= max {
        Source::CommittedLog
    } else if peer < min && is_txn_log_sync_enabled {
        Source::TxnLog
    } else {
        Source::Snapshot
    }
}

/// Whether this is the start of an epoch. No transaction has such a zxid, but a learner that was brought up to date
/// at the start of an epoch reports it.
pub(super) const fn is_start_of_epoch(zxid: Zxid) -> bool {
    zxid.counter() == 0
}

/// Whether no transaction can be missing between the two.
const fn follows(zxid: Zxid, previous: Zxid) -> bool {
    zxid.0 == previous.0 + 1 && zxid.epoch() == previous.epoch()
        || zxid.epoch() > previous.epoch() && zxid.counter() == 1
}

/// Why the learner needs a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoDiff {
    /// The learner has a transaction that this history lacks, of an epoch that has ended, so it cannot be truncated.
    OtherEpoch,
    /// A transaction is missing after this one.
    Hole(Zxid),
    /// On disk, an epoch ends with this transaction.
    EpochEndsOnDisk(Zxid),
    /// The first available transaction is later than the learner's last one.
    TooLate,
}

/// The packets for a learner, as far as they are known.
#[derive(Debug)]
pub(super) struct SyncQueue {
    peer: Zxid,
    /// The transaction examined last.
    previous: Option<Zxid>,
    /// The last transaction that is queued, or that the learner has.
    queued: Zxid,
    pub(super) op: Option<SyncOp>,
    pub(super) proposals: Vec<CommittedProposal>,
}

impl SyncQueue {
    pub(super) const fn new(peer: Zxid) -> Self {
        Self { peer, previous: None, queued: peer, op: None, proposals: Vec::new() }
    }

    /// A single packet, without transactions.
    pub(super) const fn of(op: SyncOp) -> Self {
        let (SyncOp::Diff(zxid) | SyncOp::Trunc(zxid)) = op;
        Self { peer: zxid, previous: None, queued: zxid, op: Some(op), proposals: Vec::new() }
    }

    /// The transaction examined last.
    pub(super) const fn looked_at(&self) -> Option<Zxid> {
        self.previous
    }

    /// The last transaction that the learner will have.
    pub(super) const fn queued(&self) -> Zxid {
        self.queued
    }

    /// Examines the next transaction: skips it if the learner has it, and queues it otherwise. Transactions below
    /// `min_committed`, the start of the committed log, come from the disk.
    pub(super) fn add(
        &mut self,
        zxid: Zxid,
        proposal: impl FnOnce() -> CommittedProposal,
        bounds: &Bounds,
    ) -> Result<(), NoDiff> {
        if self.previous.is_some_and(|previous| zxid <= previous) {
            return Ok(()); // seen already: disk and committed log overlap
        }
        if zxid > self.peer {
            self.check_continuity(zxid, bounds.min_committed().min(bounds.history_from))?;
        }
        let before = self.previous.replace(zxid);
        if zxid < self.peer {
            return Ok(());
        }
        if self.op.is_none() {
            self.check_first(zxid, before)?;
            self.op = Some(SyncOp::Diff(bounds.max_committed()));
        }
        if zxid > self.queued {
            self.proposals.push(proposal());
            self.queued = zxid;
        }
        Ok(())
    }

    /// Checks that no transaction is missing before `zxid`, and that the transaction before it was surely committed.
    fn check_continuity(&self, zxid: Zxid, known_from: Zxid) -> Result<(), NoDiff> {
        let Some(previous) = self.previous else { return Ok(()) };
        let is_known = previous >= known_from || previous < self.peer;
        if !is_known && previous.epoch() != zxid.epoch() {
            return Err(NoDiff::EpochEndsOnDisk(previous));
        }
        if follows(zxid, previous) { Ok(()) } else { Err(NoDiff::Hole(previous)) }
    }

    /// Checks the learner's last zxid against the first transaction that is not below it.
    fn check_first(&self, zxid: Zxid, before: Option<Zxid>) -> Result<(), NoDiff> {
        if zxid == self.peer {
            return Ok(());
        }
        if before.is_none() {
            return Err(NoDiff::TooLate);
        }
        // The learner has a transaction that was never committed; it may have been the leader. Java sends TRUNC if
        // that transaction is of the epoch of `zxid`. Here this history then has a gap, which `check_continuity` has
        // found before.
        if is_start_of_epoch(self.peer) { Ok(()) } else { Err(NoDiff::OtherEpoch) }
    }

    /// Called when everything is examined. A learner at the start of an epoch without transactions lacks nothing.
    pub(super) fn finish(&mut self, bounds: &Bounds) {
        if self.op.is_none() && is_start_of_epoch(self.peer) {
            self.op = Some(SyncOp::Diff(bounds.max_committed()));
        }
    }
}

#[cfg(test)]
mod tests;
