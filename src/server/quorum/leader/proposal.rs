//! The outstanding proposals of a leader, and the rule by which they commit (Java: Leader.Proposal,
//! outstandingProposals, toBeApplied, lastCommitted and lastProposed of server/quorum/Leader.java).
//!
//! This is pure data; the leader's lock guards it. Proposals have consecutive zxids, so a proposal is found by its
//! index. They commit in order, each as soon as it has a quorum of the configurations that counted when it was proposed,
//! and its predecessor has committed. Differs from Java:
//! There, a proposal that had its quorum before its predecessor did waits for one more acknowledgement.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::ids::{Sid, Zxid};
use crate::server::quorum::flexible::quorum_verifier::{QuorumVerifier, VerifierKind};
use crate::server::request::Request;

/// A transaction in the form that learners receive: the content of a PROPOSAL or an INFORM.
#[derive(Clone, Debug)]
pub(super) struct ProposalPacket {
    /// Its zxid.
    pub(super) zxid: Zxid,
    /// The packet's data, shared with the request.
    pub(super) txn: Arc<[u8]>,
}

/// A proposal that is not committed yet.
pub(super) struct Proposal {
    /// The packet.
    pub(super) packet: ProposalPacket,
    /// The request that the proposal is for.
    pub(super) request: Box<Request>,
    /// The servers that have it on disk. They are so few that a linear search costs less than a tree.
    acks: Vec<Sid>,
    /// Each of these needs a quorum.
    verifiers: Arc<[Arc<dyn QuorumVerifier>]>,
}

impl Proposal {
    /// The newest configuration that counts for it, and the voters there that have acknowledged it.
    pub(super) fn newest_verifier(&self) -> Option<(&Arc<dyn QuorumVerifier>, Vec<Sid>)> {
        let verifier = self.verifiers.last()?;
        Some((verifier, self.acks_in(&**verifier)))
    }

    fn acks_in(&self, verifier: &dyn QuorumVerifier) -> Vec<Sid> {
        self.acks.iter().copied().filter(|sid| verifier.is_voter(*sid)).collect()
    }
}

/// The effect of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acked {
    /// The proposal is committed already.
    Before,
    /// The acknowledgement is recorded, or was before.
    Noted,
    /// No proposal has this zxid.
    Unknown,
    /// The sender does not vote.
    NoVoter,
}

/// The proposals that are outstanding or waiting to be applied.
pub(super) struct Proposals {
    /// Each of these needs a quorum for the next proposal.
    verifiers: Arc<[Arc<dyn QuorumVerifier>]>,
    outstanding: VecDeque<Proposal>,
    to_be_applied: VecDeque<ProposalPacket>,
    last_proposed: Zxid,
    last_committed: Zxid,
}

impl Proposals {
    /// No proposals yet, in the epoch that begins at `start`.
    #[must_use]
    pub(super) fn new(start: Zxid, verifiers: Vec<Arc<dyn QuorumVerifier>>) -> Self {
        Self {
            verifiers: verifiers.into(),
            outstanding: VecDeque::new(),
            to_be_applied: VecDeque::new(),
            last_proposed: start,
            last_committed: start,
        }
    }

    /// Each of these needs a quorum for all proposals from the next one on.
    pub(super) fn set_verifiers(&mut self, verifiers: Vec<Arc<dyn QuorumVerifier>>) {
        self.verifiers = verifiers.into();
    }

    /// For each outstanding proposal in order, and each configuration that counts for it, the voters that have
    /// acknowledged it.
    pub(super) fn acks_by_voters(&self) -> impl Iterator<Item = Vec<Sid>> {
        self.outstanding.iter().flat_map(|proposal| {
            proposal.verifiers.iter().map(|verifier| proposal.acks_in(&**verifier))
        })
    }

    /// The zxid of the last proposal.
    #[must_use]
    pub(super) const fn last_proposed(&self) -> Zxid {
        self.last_proposed
    }

    /// The zxid of the last commit.
    #[must_use]
    pub(super) const fn last_committed(&self) -> Zxid {
        self.last_committed
    }

    /// The number of outstanding proposals.
    #[cfg(test)]
    fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// Adds the next proposal.
    ///
    /// # Panics
    /// When `zxid` is not the next one: zxids are assigned consecutively.
    pub(super) fn propose(&mut self, zxid: Zxid, request: Box<Request>) {
        let packet = ProposalPacket { zxid, txn: Arc::clone(&request.txn_bytes) };
        let expected = self.last_proposed.next();
        let starts_anew = self.outstanding.is_empty() && packet.zxid > expected;
        assert!(packet.zxid == expected || starts_anew, "proposals come in order");
        if starts_anew {
            // Only when a test of the rollover has set the counter.
            self.last_committed = Zxid(packet.zxid.0 - 1);
        }
        self.last_proposed = packet.zxid;
        let verifiers = Arc::clone(&self.verifiers);
        let acks = Vec::with_capacity(8);
        self.outstanding.push_back(Proposal { packet, request, acks, verifiers });
    }

    /// Records that a server has the transaction on disk.
    pub(super) fn ack(&mut self, sid: Sid, zxid: Zxid) -> Acked {
        if zxid <= self.last_committed {
            return Acked::Before;
        }
        let at = zxid.0.wrapping_sub(self.last_committed.0).wrapping_sub(1);
        let proposal = usize::try_from(at).ok().and_then(|at| self.outstanding.get_mut(at));
        let Some(proposal) = proposal else { return Acked::Unknown };
        debug_assert_eq!(proposal.packet.zxid, zxid, "zxids are consecutive");
        if !proposal.verifiers.iter().any(|verifier| verifier.is_voter(sid)) {
            return Acked::NoVoter;
        }
        if !proposal.acks.contains(&sid) {
            proposal.acks.push(sid);
        }
        Acked::Noted
    }

    /// The creation time of an outstanding proposal, in ms since 1970.
    pub(super) fn time_of(&self, zxid: Zxid) -> Option<i64> {
        let at = zxid.0.wrapping_sub(self.last_committed.0).wrapping_sub(1);
        let proposal = usize::try_from(at).ok().and_then(|at| self.outstanding.get(at))?;
        proposal.request.hdr.as_ref().map(|hdr| hdr.time)
    }

    /// The zxid of the next proposal, if it can commit now.
    #[must_use]
    pub(super) fn committable(&self) -> Option<Zxid> {
        let front = self.outstanding.front()?;
        let has_quorum =
            front.verifiers.iter().all(|verifier| has_quorum(&**verifier, &front.acks));
        has_quorum.then_some(front.packet.zxid)
    }

    /// Commits the first proposal. The caller has checked [`committable`](Self::committable).
    pub(super) fn commit(&mut self) -> Option<Proposal> {
        let proposal = self.outstanding.pop_front()?;
        self.last_committed = proposal.packet.zxid;
        self.to_be_applied.push_back(proposal.packet.clone());
        Some(proposal)
    }

    /// The tree and the committed log have everything up to `zxid`.
    pub(super) fn applied(&mut self, zxid: Zxid) {
        while self.to_be_applied.front().is_some_and(|packet| packet.zxid <= zxid) {
            self.to_be_applied.pop_front();
        }
    }

    /// The committed but not yet applied proposals that a learner with everything up to `zxid` lacks.
    pub(super) fn to_be_applied_after(&self, zxid: Zxid) -> impl Iterator<Item = &ProposalPacket> {
        self.to_be_applied.iter().filter(move |packet| packet.zxid > zxid)
    }

    /// The outstanding proposals that such a follower lacks.
    pub(super) fn outstanding_after(&self, zxid: Zxid) -> impl Iterator<Item = &ProposalPacket> {
        let packets = self.outstanding.iter().map(|proposal| &proposal.packet);
        packets.filter(move |packet| packet.zxid > zxid)
    }
}

fn has_quorum(verifier: &dyn QuorumVerifier, acks: &[Sid]) -> bool {
    let voters = acks.iter().filter(|sid| verifier.is_voter(**sid));
    if verifier.kind() == VerifierKind::Majority {
        return voters.count() > verifier.voters().len() / 2;
    }
    verifier.contains_quorum(&voters.copied().collect::<BTreeSet<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;
    use crate::server::quorum::flexible::test_members::majority_of;

    fn proposals() -> Proposals {
        Proposals::new(Zxid::new(2, 0), vec![majority_of(&[1, 2, 3])])
    }

    fn propose(proposals: &mut Proposals, counter: i64) {
        let request = Request::new(None, SessionId(1), 0, 1, None, Arc::new([]));
        proposals.propose(Zxid::new(2, counter), Box::new(request));
    }

    fn commit_all(proposals: &mut Proposals) -> Vec<i64> {
        let mut committed = Vec::new();
        while let Some(zxid) = proposals.committable() {
            assert_eq!(proposals.commit().unwrap().packet.zxid, zxid);
            committed.push(zxid.counter());
        }
        committed
    }

    fn ack(proposals: &mut Proposals, sid: i64, counter: i64) -> Acked {
        proposals.ack(Sid(sid), Zxid::new(2, counter))
    }

    #[test]
    fn a_majority_commits_and_one_vote_counts_once() {
        let mut proposals = proposals();
        assert_eq!(proposals.committable(), None);
        propose(&mut proposals, 1);
        assert_eq!(ack(&mut proposals, 2, 1), Acked::Noted);
        assert_eq!(ack(&mut proposals, 2, 1), Acked::Noted);
        assert_eq!(commit_all(&mut proposals), []);
        assert_eq!(ack(&mut proposals, 1, 1), Acked::Noted);
        assert_eq!(commit_all(&mut proposals), [1]);
        assert_eq!(ack(&mut proposals, 3, 1), Acked::Before);
        assert_eq!(proposals.last_committed(), Zxid::new(2, 1));
    }

    #[test]
    fn what_has_its_quorum_early_is_committed_right_behind_its_predecessor() {
        let mut proposals = proposals();
        (1..=3).for_each(|counter| propose(&mut proposals, counter));
        for sid in [1, 2] {
            ack(&mut proposals, sid, 2);
        }
        assert_eq!(commit_all(&mut proposals), []);
        for sid in [1, 3] {
            ack(&mut proposals, sid, 1);
        }
        assert_eq!(commit_all(&mut proposals), [1, 2]);
        assert_eq!(proposals.outstanding(), 1);
    }

    #[test]
    fn neither_observers_nor_unknown_zxids_commit_anything() {
        let mut proposals = proposals();
        propose(&mut proposals, 1);
        assert_eq!(ack(&mut proposals, 9, 1), Acked::NoVoter);
        assert_eq!(ack(&mut proposals, 2, 2), Acked::Unknown);
        assert_eq!(proposals.ack(Sid(2), Zxid(i64::MAX)), Acked::Unknown);
        assert_eq!(proposals.ack(Sid(2), Zxid(i64::MIN)), Acked::Before);
        ack(&mut proposals, 1, 1);
        assert_eq!(commit_all(&mut proposals), []);
    }

    #[test]
    fn a_learner_gets_what_it_lacks_of_each_kind() {
        let mut proposals = proposals();
        (1..=5).for_each(|counter| propose(&mut proposals, counter));
        for counter in 1..=3 {
            ack(&mut proposals, 1, counter);
            ack(&mut proposals, 2, counter);
        }
        commit_all(&mut proposals);
        proposals.applied(Zxid::new(2, 1));
        let counters = |packets: Vec<&ProposalPacket>| -> Vec<i64> {
            packets.iter().map(|packet| packet.zxid.counter()).collect()
        };
        let start = Zxid::new(2, 0);
        assert_eq!(counters(proposals.to_be_applied_after(start).collect()), [2, 3]);
        assert_eq!(counters(proposals.to_be_applied_after(Zxid::new(2, 2)).collect()), [3]);
        assert_eq!(counters(proposals.outstanding_after(start).collect()), [4, 5]);
        assert_eq!(counters(proposals.outstanding_after(Zxid::new(2, 4)).collect()), [5]);
    }

    #[test]
    fn while_the_ensemble_changes_a_quorum_of_both_configurations_is_needed() {
        let verifiers = vec![majority_of(&[1, 2, 3]), majority_of(&[3, 4, 5])];
        let mut proposals = Proposals::new(Zxid::new(2, 0), verifiers);
        propose(&mut proposals, 1);
        for sid in [1, 2, 3] {
            ack(&mut proposals, sid, 1);
        }
        assert_eq!(commit_all(&mut proposals), []);
        ack(&mut proposals, 4, 1);
        assert_eq!(commit_all(&mut proposals), [1]);
    }

    #[test]
    fn a_proposal_needs_the_configurations_of_its_time() {
        let (old, new) = (majority_of(&[1, 2, 3]), majority_of(&[3, 4, 5]));
        let mut proposals = Proposals::new(Zxid::new(2, 0), vec![Arc::clone(&old)]);
        propose(&mut proposals, 1);
        proposals.set_verifiers(vec![old, Arc::clone(&new)]);
        propose(&mut proposals, 2);
        proposals.set_verifiers(vec![new]);
        propose(&mut proposals, 3);
        assert_eq!(ack(&mut proposals, 4, 1), Acked::NoVoter);
        for counter in 1..=3 {
            ack(&mut proposals, 1, counter);
            ack(&mut proposals, 3, counter);
        }
        assert_eq!(commit_all(&mut proposals), [1]);
        ack(&mut proposals, 5, 3);
        assert_eq!(commit_all(&mut proposals), []);
        ack(&mut proposals, 5, 2);
        assert_eq!(commit_all(&mut proposals), [2, 3]);
        propose(&mut proposals, 4);
        assert_eq!(ack(&mut proposals, 1, 4), Acked::NoVoter);
    }
}
