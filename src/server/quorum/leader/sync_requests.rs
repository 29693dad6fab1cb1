//! `sync` requests that wait for their answer (Java: pendingSyncs of server/quorum/Leader.java).
//!
//! Java answers a sync as soon as everything proposed before it is committed, and at once if nothing is outstanding.
//! A leader that was replaced without knowing it answers, too, and the client reads stale data. Here the answer waits
//! for proof that this server still led when the sync came in: a quorum has answered a PING that was sent afterwards,
//! or has logged a transaction that was proposed afterwards.
//!
//! Answers keep their order among commits: a sync is answered before the commit of any transaction proposed after it.
//! This is pure data; the leader's lock guards it.

use std::collections::VecDeque;

use crate::ids::Zxid;

struct PendingSync<T> {
    /// The last proposal when the sync came in.
    position: Zxid,
    /// The number of the sync.
    number: u64,
    who: T,
}

/// The pending syncs, in the order of arrival.
pub(super) struct SyncRequests<T> {
    pending: VecDeque<PendingSync<T>>,
    last_number: u64,
}

impl<T> Default for SyncRequests<T> {
    fn default() -> Self {
        Self { pending: VecDeque::new(), last_number: 0 }
    }
}

impl<T> SyncRequests<T> {
    /// Adds a sync that has come in.
    pub(super) fn add(&mut self, last_proposed: Zxid, who: T) {
        self.last_number += 1;
        self.pending.push_back(PendingSync {
            position: last_proposed,
            number: self.last_number,
            who,
        });
    }

    /// The number of the latest sync. A PING sent now is sent after that sync.
    #[must_use]
    pub(super) const fn last_number(&self) -> u64 {
        self.last_number
    }

    /// The number of positions at which syncs are pending (Java: getNumPendingSyncs).
    #[must_use]
    pub(super) fn positions(&self) -> usize {
        let mut last = None;
        let positions = self.pending.iter().map(|sync| sync.position);
        positions.filter(|position| last.replace(*position) != Some(*position)).count()
    }

    /// Whether no sync is pending.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// The next sync to answer before `zxid` is committed. A quorum that has logged `zxid` proves the same as answers
    /// to a PING.
    pub(super) fn pop_before(&mut self, zxid: Zxid) -> Option<T> {
        let is_before = self.pending.front()?.position < zxid;
        if is_before { self.pending.pop_front().map(|sync| sync.who) } else { None }
    }

    /// The next sync to answer now: everything before it is committed, and a quorum has answered a PING that was sent
    /// after sync number `confirmed`.
    pub(super) fn pop_confirmed(&mut self, last_committed: Zxid, confirmed: u64) -> Option<T> {
        let front = self.pending.front()?;
        let may = front.position <= last_committed && front.number <= confirmed;
        if may { self.pending.pop_front().map(|sync| sync.who) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirmed(syncs: &mut SyncRequests<char>, last_committed: i64, number: u64) -> String {
        std::iter::from_fn(|| syncs.pop_confirmed(Zxid(last_committed), number)).collect()
    }

    #[test]
    fn a_sync_needs_a_commit_of_all_before_it_and_a_ping_after_it() {
        let mut syncs = SyncRequests::default();
        syncs.add(Zxid(5), 'a');
        let sent_after_a = syncs.last_number();
        syncs.add(Zxid(7), 'b');
        let sent_after_b = syncs.last_number();
        assert_eq!(confirmed(&mut syncs, 4, 9), "", "5 is not committed");
        assert_eq!(confirmed(&mut syncs, 7, sent_after_a - 1), "", "the ping was sent before");
        assert_eq!(confirmed(&mut syncs, 7, sent_after_a), "a");
        assert_eq!(confirmed(&mut syncs, 6, sent_after_b), "");
        assert_eq!(confirmed(&mut syncs, 7, sent_after_b), "b");
        assert!(syncs.is_empty());
    }

    #[test]
    fn a_sync_is_answered_before_what_was_proposed_after_it_is_committed() {
        let mut syncs = SyncRequests::default();
        syncs.add(Zxid(5), 'a');
        syncs.add(Zxid(5), 'b');
        syncs.add(Zxid(6), 'c');
        assert_eq!(syncs.positions(), 2);
        assert_eq!(syncs.pop_before(Zxid(5)), None);
        assert_eq!(syncs.pop_before(Zxid(6)), Some('a'));
        assert_eq!(syncs.pop_before(Zxid(6)), Some('b'));
        assert_eq!(syncs.pop_before(Zxid(6)), None);
        assert_eq!(syncs.positions(), 1);
    }
}
