//! How a learner gets what it lacks: the decision (Java: syncFollower and queueCommittedProposals of
//! server/quorum/LearnerHandler.java).
//!
//! Pure. Differs from Java where a hole could be handed on: of the transactions that are looked at, each must follow the one
//! before it, or the learner gets a snapshot, which is always right. That is stricter than Java's rule for
//! ZOOKEEPER-4925, which leaves it to the learner to notice.
//!
//! ZOOKEEPER-2846: on this server's disk there may be transactions at the end of an old epoch that were never committed: the
//! server had them from a leader that failed, got a snapshot from the next one, and a snapshot takes nothing off the log.
//! Inside an epoch there are none before its end; so transactions from the disk are used as long as the epoch does not
//! change. Where it does, they are used if this server knows that it had them all in its tree: since the snapshot that it
//! was loaded from, or got.

use crate::ids::Zxid;
use crate::server::committed_log::CommittedProposal;

/// What the first packet to a learner says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncOp {
    /// It gets what follows, up to this.
    Diff(Zxid),
    /// First it has to take away what is above this.
    Trunc(Zxid),
}

/// What is known of the history.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// First and last of the committed log; none when it is empty.
    pub(super) committed: Option<(Zxid, Zxid)>,
    /// The last transaction in the tree.
    pub(super) last_processed: Zxid,
    /// From here on the log on disk has nothing but this history.
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

/// Where to look for what a learner lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nothing has to be looked for.
    Nothing(SyncOp),
    /// In the committed log.
    CommittedLog,
    /// In the log on disk, up to the committed log, and there.
    TxnLog,
    /// It gets a snapshot.
    Snapshot,
}

/// The decision for a learner whose last transaction is `peer`.
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

/// No transaction has such a zxid, but whoever was brought up to date at the start of an epoch says so.
pub(super) const fn is_start_of_epoch(zxid: Zxid) -> bool {
    zxid.counter() == 0
}

/// Whether nothing can be missing between the two.
const fn follows(zxid: Zxid, previous: Zxid) -> bool {
    zxid.0 == previous.0 + 1 && zxid.epoch() == previous.epoch()
        || zxid.epoch() > previous.epoch() && zxid.counter() == 1
}

/// Why only a snapshot helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoDiff {
    /// The learner has something that this history has not, and the epoch in which it could be cut off is over.
    OtherEpoch,
    /// Something is missing behind this one.
    Hole(Zxid),
    /// An epoch ends here, on disk.
    EpochEndsOnDisk(Zxid),
    /// What was looked at begins only behind the learner's last transaction.
    TooLate,
}

/// What goes to a learner, as far as it is found.
#[derive(Debug)]
pub(super) struct SyncQueue {
    peer: Zxid,
    /// The transaction looked at last.
    previous: Option<Zxid>,
    /// The last one that is queued, or that the learner has.
    queued: Zxid,
    pub(super) op: Option<SyncOp>,
    pub(super) proposals: Vec<CommittedProposal>,
}

impl SyncQueue {
    pub(super) const fn new(peer: Zxid) -> Self {
        Self { peer, previous: None, queued: peer, op: None, proposals: Vec::new() }
    }

    /// Nothing but that.
    pub(super) const fn of(op: SyncOp) -> Self {
        let (SyncOp::Diff(zxid) | SyncOp::Trunc(zxid)) = op;
        Self { peer: zxid, previous: None, queued: zxid, op: Some(op), proposals: Vec::new() }
    }

    /// The last transaction that was looked at.
    pub(super) const fn looked_at(&self) -> Option<Zxid> {
        self.previous
    }

    /// The last transaction that the learner will have.
    pub(super) const fn queued(&self) -> Zxid {
        self.queued
    }

    /// Looks at the next transaction: passes it over when the learner has it, else queues it. What is below `min_committed`,
    /// the first of the committed log, is from the disk.
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

    /// Nothing may be missing before `zxid`, nor may there be anything that was never committed.
    fn check_continuity(&self, zxid: Zxid, known_from: Zxid) -> Result<(), NoDiff> {
        let Some(previous) = self.previous else { return Ok(()) };
        let is_known = previous >= known_from || previous < self.peer;
        if !is_known && previous.epoch() != zxid.epoch() {
            return Err(NoDiff::EpochEndsOnDisk(previous));
        }
        if follows(zxid, previous) { Ok(()) } else { Err(NoDiff::Hole(previous)) }
    }

    /// What the first transaction that is not before the learner's last one says of it.
    fn check_first(&self, zxid: Zxid, before: Option<Zxid>) -> Result<(), NoDiff> {
        if zxid == self.peer {
            return Ok(());
        }
        if before.is_none() {
            return Err(NoDiff::TooLate);
        }
        // It has something that was never committed: it may have led. Java has it cut off what it has too much when that is
        // of the epoch of `zxid`; then this history has a hole there, which was seen before.
        if is_start_of_epoch(self.peer) { Ok(()) } else { Err(NoDiff::OtherEpoch) }
    }

    /// Everything was looked at. A learner at the start of an epoch that has no transactions yet lacks nothing.
    pub(super) fn finish(&mut self, bounds: &Bounds) {
        if self.op.is_none() && is_start_of_epoch(self.peer) {
            self.op = Some(SyncOp::Diff(bounds.max_committed()));
        }
    }
}

#[cfg(test)]
mod tests;
