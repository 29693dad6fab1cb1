//! Limits how many learners are brought up to date at once (Java: server/quorum/LearnerSyncThrottler.java).
//!
//! Followers count but are never refused, because the quorum needs them. Differs from Java: A sync in progress holds
//! a [`SyncSlot`], so its end cannot be missed. Anybody who reaches the port can say that he is a follower, so only
//! members of the configuration count as followers. Other servers are brought up to date a few at a time, and have a
//! throttler of their own for that.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use thiserror::Error;

/// Too many syncs are in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too many concurrent {kind} syncs: {limit} are in progress; the learner tries again, or raise {}", kind.setting())]
pub struct SyncThrottled {
    /// The kind of sync that was refused.
    pub kind: SyncType,
    /// The limit of concurrent syncs.
    pub limit: i32,
}

/// How a learner is brought up to date (Java: LearnerSyncThrottler.SyncType).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncType {
    /// By the transactions that it lacks.
    Diff,
    /// By a snapshot.
    Snap,
    /// In either way; the server is not in the configuration (not in Java).
    OfNonMember,
}

impl SyncType {
    /// The property with the limit.
    #[must_use]
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Diff => "zookeeper.leader.maxConcurrentDiffSyncs",
            Self::Snap => "zookeeper.leader.maxConcurrentSnapSyncs",
            Self::OfNonMember => "zookeeper.leader.maxConcurrentNonMemberSyncs",
        }
    }

    /// Java's limit, or ours where Java has none.
    #[must_use]
    pub const fn default_limit(self) -> i32 {
        match self {
            Self::Diff => 100,
            Self::Snap => 10,
            // A snapshot takes one processor. Any number of strangers may ask for it.
            Self::OfNonMember => 2,
        }
    }
}

impl fmt::Display for SyncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Diff => "diff",
            Self::Snap => "snap",
            Self::OfNonMember => "non-member",
        })
    }
}

/// Counts the syncs in progress.
#[derive(Debug)]
pub struct LearnerSyncThrottler {
    kind: SyncType,
    limit: i32,
    in_progress: AtomicI32,
}

/// A sync in progress, until it is dropped.
#[derive(Debug)]
pub struct SyncSlot {
    throttler: Arc<LearnerSyncThrottler>,
}

impl LearnerSyncThrottler {
    /// A throttler that allows that many syncs at once, at least one.
    #[must_use]
    pub fn new(kind: SyncType, limit: i32) -> Arc<Self> {
        Arc::new(Self { kind, limit: limit.max(1), in_progress: AtomicI32::new(0) })
    }

    /// Begins a sync; an `essential` one is never refused (Java: beginSync).
    ///
    /// # Errors
    /// [`SyncThrottled`].
    pub fn begin_sync(self: &Arc<Self>, essential: bool) -> Result<SyncSlot, SyncThrottled> {
        let taken = self.in_progress.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            (essential || count < self.limit).then_some(count + 1)
        });
        match taken {
            Ok(_) => Ok(SyncSlot { throttler: Arc::clone(self) }),
            Err(_) => Err(SyncThrottled { kind: self.kind, limit: self.limit }),
        }
    }

    /// The number of syncs in progress.
    #[must_use]
    pub fn sync_in_progress(&self) -> i32 {
        self.in_progress.load(Ordering::Acquire)
    }
}

impl Drop for SyncSlot {
    fn drop(&mut self) {
        self.throttler.in_progress.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_is_refused_unless_the_quorum_needs_it() {
        let throttler = LearnerSyncThrottler::new(SyncType::Snap, 1);
        let first = throttler.begin_sync(false).unwrap();
        let refused = throttler.begin_sync(false).unwrap_err();
        assert_eq!(refused, SyncThrottled { kind: SyncType::Snap, limit: 1 });
        let essential = throttler.begin_sync(true).unwrap();
        assert_eq!(throttler.sync_in_progress(), 2);
        drop(first);
        assert!(throttler.begin_sync(false).is_err());
        drop(essential);
        assert!(throttler.begin_sync(false).is_ok());
    }
}
