//! `sync` requests that wait for their answer (Java: pendingSyncs of server/quorum/Leader.java).
//!
//! Java answers a sync as soon as everything proposed before it is committed; if nothing is outstanding, at once. A leader
//! that has been replaced without knowing so answers then, too, and the client reads something old. Here the answer waits until
//! it is known that this server still led when the sync came in: a quorum has answered a PING that was sent afterwards, or
//! has logged something that was proposed afterwards.
//!
//! Answers keep their place among commits: a sync is answered before anything is committed that was proposed after it.
//! Pure: the lock is the leader's.

use std::collections::VecDeque;

use crate::ids::Zxid;

struct PendingSync<T> {
    /// What was proposed last when it came.
    position: Zxid,
    /// Its number.
    number: u64,
    who: T,
}

/// The syncs, in the order in which they came.
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
    /// A sync comes in.
    pub(super) fn add(&mut self, last_proposed: Zxid, who: T) {
        self.last_number += 1;
        self.pending.push_back(PendingSync {
            position: last_proposed,
            number: self.last_number,
            who,
        });
    }

    /// The number of the sync that came last: a PING that is sent now is sent after it.
    #[must_use]
    pub(super) const fn last_number(&self) -> u64 {
        self.last_number
    }

    /// How many wait.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none waits.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// The next one that must be answered before `zxid` is committed. That a quorum has logged `zxid` proves what a PING would.
    pub(super) fn pop_before(&mut self, zxid: Zxid) -> Option<T> {
        let is_before = self.pending.front()?.position < zxid;
        if is_before { self.pending.pop_front().map(|sync| sync.who) } else { None }
    }

    /// The next one that may be answered: everything before it is committed, and a quorum has answered a PING that was sent
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
        assert_eq!(syncs.pop_before(Zxid(5)), None);
        assert_eq!(syncs.pop_before(Zxid(6)), Some('a'));
        assert_eq!(syncs.pop_before(Zxid(6)), Some('b'));
        assert_eq!(syncs.pop_before(Zxid(6)), None);
        assert_eq!(syncs.len(), 1);
    }
}
