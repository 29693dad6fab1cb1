//! How a leader and its ensemble agree on a new epoch: which epoch, who has accepted it, and who has its history
//! (Java: getEpochToPropose, waitForEpochAck, waitForNewLeaderAck and quitLeading of server/quorum/Leader.java).
//!
//! The leader's thread and the threads of its learner handlers wait here for each other. Locks: `Role`, held while
//! the accepted epoch is written, because no epoch may be promised before it is on disk. Differs from Java: The end
//! of the leader wakes every waiting thread, and the three waits share one lock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{error, info};
use thiserror::Error;

use super::epochs::{EpochError, Promises};
use super::flexible::quorum_verifier::QuorumVerifier;
use super::state_summary::StateSummary;
use super::synced_learner_tracker::SyncedLearnerTracker;
use crate::common::time;
use crate::ids::{PeerEpoch, Sid, Zxid};
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex, RankedMutexGuard};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.Leader";

/// Why there is no agreement.
#[derive(Debug, Error)]
pub enum AgreementError {
    /// No quorum within initLimit ticks.
    #[error("Timeout while waiting for {0} (within initLimit ticks)")]
    Timeout(&'static str),
    /// The leader has ended.
    #[error("the leader is shut down")]
    Stopped,
    /// A follower has more history than this leader.
    #[error(
        "Follower is ahead of the leader, leader summary: {} (current epoch), {} (last zxid)",
        .0.current_epoch, .0.last_zxid
    )]
    FollowerAhead(StateSummary),
    /// The accepted epoch cannot be written.
    #[error(transparent)]
    Epoch(#[from] EpochError),
}

#[derive(Default)]
struct State {
    epoch: i64,
    is_epoch_chosen: bool,
    connecting: BTreeSet<Sid>,
    electing: BTreeSet<Sid>,
    is_election_finished: bool,
    new_leader: SyncedLearnerTracker,
    new_leader_zxid: Option<Zxid>,
    is_quorum_formed: bool,
    is_started: bool,
    is_stopped: bool,
    /// When the leader's own thread began to wait for an epoch.
    waiting_since: Option<Instant>,
    /// A voter has changed its mind, so the leader gives up.
    gives_up: bool,
}

/// The agreement of one leader.
pub(crate) struct EpochAgreement {
    my_id: Sid,
    timeout: Duration,
    state: RankedMutex<State>,
    changed: RankedCondvar,
}

impl EpochAgreement {
    /// Nothing is agreed on yet; each wait ends after `timeout`.
    #[must_use]
    pub(crate) fn new(my_id: Sid, timeout: Duration) -> Self {
        let state = State { epoch: -1, ..State::default() };
        Self {
            my_id,
            timeout,
            state: RankedMutex::new(Rank::Role, "agreement on the epoch", state),
            changed: RankedCondvar::new(),
        }
    }

    /// Waits until `is_done`, until the leader ends, or until the timeout.
    fn wait_until(
        &self,
        state: &mut RankedMutexGuard<'_, State>,
        what: &'static str,
        is_done: impl Fn(&State) -> bool,
    ) -> Result<(), AgreementError> {
        let deadline = time::now() + self.timeout;
        loop {
            if is_done(state) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(time::now());
            if state.is_stopped {
                return Err(AgreementError::Stopped);
            }
            if left.is_zero() || state.gives_up && !state.is_epoch_chosen {
                return Err(AgreementError::Timeout(what));
            }
            let _timed_out = self.changed.wait_for(state, left);
        }
    }

    /// The epoch that is newer than every epoch a quorum has accepted. Waits until it is chosen.
    ///
    /// # Errors
    /// [`AgreementError`].
    pub(crate) fn epoch_to_propose(
        &self,
        verifier: &dyn QuorumVerifier,
        promises: &dyn Promises,
        sid: Sid,
        last_accepted: PeerEpoch,
    ) -> Result<PeerEpoch, AgreementError> {
        let mut state = self.state.lock();
        if state.is_epoch_chosen {
            return Ok(PeerEpoch(state.epoch));
        }
        if last_accepted.0 >= state.epoch {
            state.epoch = last_accepted.0.saturating_add(1);
        }
        if verifier.is_voter(sid) {
            state.connecting.insert(sid);
        }
        let epoch = PeerEpoch(state.epoch);
        if state.connecting.contains(&self.my_id) && verifier.contains_quorum(&state.connecting) {
            promises.set_accepted_epoch(epoch)?;
            state.is_epoch_chosen = true;
            self.changed.notify_all();
            return Ok(epoch);
        }
        if sid == self.my_id {
            state.waiting_since = Some(time::now());
        }
        self.wait_until(&mut state, "epoch from quorum", |state| state.is_epoch_chosen)?;
        Ok(PeerEpoch(state.epoch))
    }

    /// Records that a server has accepted the epoch and has this history. Waits until a quorum has accepted it. No
    /// learner may have more history than the leader.
    ///
    /// # Errors
    /// [`AgreementError`].
    pub(crate) fn wait_for_epoch_ack(
        &self,
        verifier: &dyn QuorumVerifier,
        sid: Sid,
        summary: StateSummary,
        leader: StateSummary,
    ) -> Result<(), AgreementError> {
        let mut state = self.state.lock();
        if state.is_election_finished {
            return Ok(());
        }
        // -1: the learner has accepted this epoch before and does not count twice.
        if summary.current_epoch.0 != -1 {
            if summary.is_more_recent_than(&leader) {
                return Err(AgreementError::FollowerAhead(leader));
            }
            // -1: the learner's data cannot be trusted.
            if summary.last_zxid != Zxid::NONE && verifier.is_voter(sid) {
                state.electing.insert(sid);
            }
        }
        if state.electing.contains(&self.my_id) && verifier.contains_quorum(&state.electing) {
            state.is_election_finished = true;
            self.changed.notify_all();
            return Ok(());
        }
        let what = "epoch to be acked by quorum";
        self.wait_until(&mut state, what, |state| state.is_election_finished)
    }

    /// Begins to count the servers that have the history of the epoch that begins at `zxid`.
    pub(crate) fn propose_new_leader(&self, zxid: Zxid, verifiers: &[Arc<dyn QuorumVerifier>]) {
        let mut state = self.state.lock();
        state.new_leader_zxid = Some(zxid);
        for verifier in verifiers {
            state.new_leader.add_quorum_verifier(Arc::clone(verifier));
        }
    }

    /// Records that a server has that history on disk. Waits until a quorum has.
    ///
    /// # Errors
    /// [`AgreementError`].
    pub(crate) fn wait_for_new_leader_ack(
        &self,
        sid: Sid,
        zxid: Zxid,
    ) -> Result<(), AgreementError> {
        let mut state = self.state.lock();
        if state.is_quorum_formed {
            return Ok(());
        }
        if state.new_leader_zxid != Some(zxid) {
            let current = state.new_leader_zxid.unwrap_or(Zxid::NONE);
            error!(
                target: LOG,
                "NEWLEADER ACK from sid: {sid} is from a different epoch - current {current} received {zxid}"
            );
            return Ok(());
        }
        state.new_leader.add_ack(sid);
        if state.new_leader.has_all_quorums() {
            state.is_quorum_formed = true;
            self.changed.notify_all();
            return Ok(());
        }
        let what = "NEWLEADER to be acked by quorum";
        self.wait_until(&mut state, what, |state| state.is_quorum_formed)
    }

    /// The servers that have the history (Java: ackSetsToString).
    #[must_use]
    pub(crate) fn supporters(&self) -> String {
        self.state.lock().new_leader.ack_sets_to_string()
    }

    /// The voters of the newest configuration that have the history.
    #[must_use]
    pub(crate) fn last_supporters(&self) -> Vec<Sid> {
        let state = self.state.lock();
        let acks = state.new_leader.ack_sets().last().map(|(_, acks)| acks);
        acks.into_iter().flatten().copied().collect()
    }

    /// Whether these servers would be a quorum.
    #[must_use]
    pub(crate) fn would_be_quorum(&self, sids: &BTreeSet<Sid>) -> bool {
        let state = self.state.lock();
        state.new_leader.ack_sets().all(|(verifier, _)| verifier.contains_quorum(sids))
    }

    /// The leader's server has started; wakes the waiting handlers.
    pub(crate) fn set_started(&self) {
        self.state.lock().is_started = true;
        self.changed.notify_all();
    }

    /// Waits until the leader's server has started (Java: waitForStartup, which never gives up).
    ///
    /// # Errors
    /// When the leader ends first.
    pub(crate) fn wait_for_startup(&self) -> Result<(), AgreementError> {
        let mut state = self.state.lock();
        while !state.is_started && !state.is_stopped {
            self.changed.wait(&mut state);
        }
        if state.is_stopped { Err(AgreementError::Stopped) } else { Ok(()) }
    }

    /// Ends all waits.
    pub(crate) fn stop(&self) {
        self.state.lock().is_stopped = true;
        self.changed.notify_all();
    }

    /// Reports that a voter is LOOKING. If the leader has waited longer than `limit` for an epoch, it gives up (Java:
    /// reportLookingSid). Returns whether it does.
    pub(crate) fn voter_is_looking(&self, limit: Duration) -> bool {
        let mut state = self.state.lock();
        let waited = state.waiting_since.map(|since| time::now().saturating_duration_since(since));
        if state.is_epoch_chosen || waited.is_none_or(|waited| waited <= limit) {
            return false;
        }
        state.gives_up = true;
        self.changed.notify_all();
        info!(target: LOG, "Quit leading due to voter changed mind.");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::quorum::flexible::test_members::majority_of;
    use std::thread;

    struct Accepted(RankedMutex<Option<PeerEpoch>>);

    impl Promises for Accepted {
        fn set_accepted_epoch(&self, epoch: PeerEpoch) -> Result<(), EpochError> {
            *self.0.lock() = Some(epoch);
            Ok(())
        }
    }

    fn accepted() -> Accepted {
        Accepted(RankedMutex::new(Rank::Leaf, "accepted", None))
    }

    fn agreement(timeout_ms: u64) -> EpochAgreement {
        EpochAgreement::new(Sid(1), Duration::from_millis(timeout_ms))
    }

    const MUCH: u64 = 30_000;

    #[test]
    fn the_epoch_is_above_all_that_a_quorum_has_accepted_and_promised_before_anybody_hears_it() {
        let (agreement, promises) = (agreement(MUCH), accepted());
        let verifier = majority_of(&[1, 2, 3]);
        let of = |sid, epoch| {
            agreement.epoch_to_propose(&*verifier, &promises, Sid(sid), PeerEpoch(epoch))
        };
        thread::scope(|scope| {
            let leader = scope.spawn(|| of(1, 4));
            let follower = scope.spawn(|| of(3, 7));
            assert_eq!(leader.join().unwrap().unwrap(), PeerEpoch(8));
            assert_eq!(follower.join().unwrap().unwrap(), PeerEpoch(8));
        });
        assert_eq!(*promises.0.lock(), Some(PeerEpoch(8)));
        assert_eq!(of(2, 99).unwrap(), PeerEpoch(8), "it is chosen");
    }

    #[test]
    fn two_others_are_no_quorum_without_the_leader_itself() {
        let (agreement, promises) = (agreement(50), accepted());
        let verifier = majority_of(&[1, 2, 3]);
        let of = |sid| agreement.epoch_to_propose(&*verifier, &promises, Sid(sid), PeerEpoch(1));
        thread::scope(|scope| {
            let others = [2, 3].map(|sid| scope.spawn(move || of(sid)));
            for other in others {
                let refused = other.join().unwrap().unwrap_err();
                assert!(matches!(refused, AgreementError::Timeout(_)), "{refused}");
            }
        });
        assert_eq!(*promises.0.lock(), None);
    }

    #[test]
    fn who_has_more_history_is_not_led_and_who_has_none_to_trust_does_not_count() {
        let agreement = agreement(20);
        let verifier = majority_of(&[1, 2, 3]);
        let summary =
            |epoch, zxid| StateSummary { current_epoch: PeerEpoch(epoch), last_zxid: Zxid(zxid) };
        let leader = summary(2, 10);
        let ack = |sid, of| agreement.wait_for_epoch_ack(&*verifier, Sid(sid), of, leader);
        assert!(matches!(ack(2, summary(2, 11)), Err(AgreementError::FollowerAhead(_))));
        assert!(matches!(ack(2, summary(2, -1)), Err(AgreementError::Timeout(_))));
        assert!(matches!(ack(3, summary(-1, 5)), Err(AgreementError::Timeout(_))));
        assert!(matches!(ack(9, summary(1, 5)), Err(AgreementError::Timeout(_))), "no voter");
        assert!(matches!(ack(1, leader), Err(AgreementError::Timeout(_))), "alone");
        assert!(ack(3, summary(1, 5)).is_ok());
        assert!(ack(2, summary(-1, 5)).is_ok());
    }

    #[test]
    fn new_leader_is_acknowledged_by_a_quorum_of_its_epoch() {
        let agreement = agreement(20);
        agreement.propose_new_leader(Zxid::new(3, 0), &[majority_of(&[1, 2, 3])]);
        let ack = |sid, epoch| agreement.wait_for_new_leader_ack(Sid(sid), Zxid::new(epoch, 0));
        assert!(ack(2, 2).is_ok(), "another epoch: passed over, as in Java");
        assert!(ack(1, 3).is_err());
        assert_eq!(agreement.supporters(), "[1]");
        assert!(!agreement.would_be_quorum(&BTreeSet::from([Sid(1)])));
        assert!(ack(3, 3).is_ok());
        assert!(ack(1, 3).is_ok());
    }

    #[test]
    fn whoever_waits_is_woken_by_the_end_of_the_leader() {
        let agreement = agreement(MUCH);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| agreement.wait_for_startup());
            let other = scope.spawn(|| agreement.wait_for_new_leader_ack(Sid(2), Zxid::ZERO));
            agreement.stop();
            assert!(matches!(waiting.join().unwrap(), Err(AgreementError::Stopped)));
            // No NEWLEADER was proposed, so the ACK counts as one of another epoch.
            assert!(other.join().unwrap().is_ok());
        });
    }

    #[test]
    fn a_leader_whose_voters_leave_gives_up_only_after_its_time() {
        let (agreement, promises) = (agreement(MUCH), accepted());
        let verifier = majority_of(&[1, 2, 3]);
        assert!(!agreement.voter_is_looking(Duration::ZERO), "it does not wait yet");
        thread::scope(|scope| {
            let waiting = scope
                .spawn(|| agreement.epoch_to_propose(&*verifier, &promises, Sid(1), PeerEpoch(1)));
            while agreement.state.lock().waiting_since.is_none() {
                thread::yield_now();
            }
            assert!(!agreement.voter_is_looking(Duration::from_millis(MUCH)));
            while !agreement.voter_is_looking(Duration::ZERO) {
                thread::yield_now();
            }
            assert!(waiting.join().unwrap().is_err());
        });
    }
}
