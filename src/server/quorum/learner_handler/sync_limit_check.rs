//! How long a learner lets its leader wait for the acknowledgement of a proposal (Java: SyncLimitCheck of
//! server/quorum/LearnerHandler.java).
//!
//! As in Java, two proposals at a time are looked at: the one whose acknowledgement is waited for, and the last one. Differs
//! from Java: times are those at which a proposal was queued, not sent: what waits for a learner that does not read counts.
//! An acknowledgement of something later is taken for one of what is before it.

use crate::ids::Zxid;

/// The check of one learner. Times are ms of the leader's clock.
#[derive(Debug, Default)]
pub(super) struct SyncLimitCheck {
    started: bool,
    current: Option<(Zxid, i64)>,
    next: Option<(Zxid, i64)>,
}

impl SyncLimitCheck {
    /// Proposals count from now on.
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

    /// An acknowledgement came.
    pub(super) fn update_ack(&mut self, zxid: Zxid) {
        if self.current.is_some_and(|(current, _)| zxid >= current) {
            self.current = self.next.take_if(|(next, _)| *next > zxid);
            self.next = None;
        }
    }

    /// Whether it does not let wait for longer than `limit_ms`.
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
