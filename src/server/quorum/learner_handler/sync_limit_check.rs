//! How long a learner keeps its leader waiting for the acknowledgement of a proposal (Java: SyncLimitCheck of
//! server/quorum/LearnerHandler.java).
//!
//! As in Java, only two proposals are tracked: the one whose acknowledgement is due, and the latest one. Differs from
//! Java: The time runs from the moment when a proposal is queued, not sent, so the wait for a learner that does not
//! read counts. The acknowledgement of a later proposal covers the earlier ones.

use crate::ids::Zxid;

/// The check for one learner. Times are ms of the leader's clock.
#[derive(Debug, Default)]
pub(super) struct SyncLimitCheck {
    started: bool,
    current: Option<(Zxid, i64)>,
    next: Option<(Zxid, i64)>,
}

impl SyncLimitCheck {
    /// From now on proposals are tracked.
    pub(super) const fn start(&mut self) {
        self.started = true;
    }

    /// A proposal was queued.
    pub(super) const fn update_proposal(&mut self, zxid: Zxid, now_ms: i64) {
        if !self.started {
            return;
        }
        if self.current.is_none() {
            self.current = Some((zxid, now_ms));
        } else {
            self.next = Some((zxid, now_ms));
        }
    }

    /// An acknowledgement was received.
    pub(super) fn update_ack(&mut self, zxid: Zxid) {
        if self.current.is_some_and(|(current, _)| zxid >= current) {
            self.current = self.next.take_if(|(next, _)| *next > zxid);
            self.next = None;
        }
    }

    /// Whether no acknowledgement is overdue by `limit_ms`.
    pub(super) fn check(&self, now_ms: i64, limit_ms: i64) -> bool {
        self.current.is_none_or(|(_, since_ms)| now_ms - since_ms < limit_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_proposal_without_acknowledgement_counts() {
        let mut check = SyncLimitCheck::default();
        check.update_proposal(Zxid(1), 0);
        assert!(check.check(1_000, 100), "not started");
        check.start();
        check.update_proposal(Zxid(2), 10);
        check.update_proposal(Zxid(3), 20);
        check.update_proposal(Zxid(4), 90);
        assert!(check.check(109, 100));
        assert!(!check.check(110, 100));
        check.update_ack(Zxid(2));
        assert!(check.check(189, 100), "the last one is looked at now");
        assert!(!check.check(190, 100));
        check.update_ack(Zxid(3));
        assert!(!check.check(190, 100));
        check.update_ack(Zxid(4));
        assert!(check.check(i64::MAX, 100));
    }
}
