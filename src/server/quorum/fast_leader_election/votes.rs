//! Comparing and counting votes (Java: totalOrderPredicate, getVoteTracker and checkLeader of
//! server/quorum/FastLeaderElection.java).

use std::collections::BTreeMap;

use crate::ids::Sid;
use crate::server::quorum::election::ElectionPeer;
use crate::server::quorum::flexible::quorum_verifier::QuorumVerifier;
use crate::server::quorum::states::ServerState;
use crate::server::quorum::synced_learner_tracker::SyncedLearnerTracker;
use crate::server::quorum::vote::Vote;

/// The votes, by the server that cast them.
pub(super) type Votes = BTreeMap<Sid, Vote>;

/// Whether a candidate has more history than the current one: a later epoch, then a later zxid, then the larger id. A
/// candidate of weight 0 is never better.
pub(super) fn total_order_predicate(
    verifier: &dyn QuorumVerifier,
    candidate: &Vote,
    current: &Vote,
) -> bool {
    let rank = |vote: &Vote| (vote.peer_epoch, vote.zxid, vote.id);
    verifier.weight(candidate.id) != 0 && rank(candidate) > rank(current)
}

/// Counts who agrees with a vote, in the configuration in effect and in a newer last seen one.
pub(super) fn vote_tracker(
    peer: &dyn ElectionPeer,
    votes: &Votes,
    vote: &Vote,
) -> SyncedLearnerTracker {
    let current = peer.quorum_verifier();
    let newer = peer.last_seen_quorum_verifier();
    let newer = newer.filter(|newer| newer.version() > current.version());
    let mut tracker = SyncedLearnerTracker::new();
    tracker.add_quorum_verifier(current);
    if let Some(newer) = newer {
        tracker.add_quorum_verifier(newer);
    }
    for (sid, _) in votes.iter().filter(|(_, other)| vote.agrees_with(other)) {
        tracker.add_ack(*sid);
    }
    tracker
}

/// Whether a proposed leader really leads: it has said so itself, or it is this server, in this round. Without this
/// check a quorum might follow a crashed leader for ever.
pub(super) fn check_leader(
    votes: &Votes,
    leader: Sid,
    of_round: i64,
    my_id: Sid,
    my_round: i64,
) -> bool {
    if leader == my_id {
        return of_round == my_round;
    }
    votes.get(&leader).is_some_and(|vote| vote.state == ServerState::Leading)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PeerEpoch, Zxid};
    use crate::server::quorum::flexible::create_quorum_verifier::from_members;
    use crate::server::quorum::flexible::quorum_members::Hierarchy;
    use crate::server::quorum::flexible::test_members::{majority_of, voters};

    fn vote(id: i64, zxid: i64, epoch: i64) -> Vote {
        Vote::new(Sid(id), Zxid(zxid), PeerEpoch(epoch))
    }

    #[test]
    fn epoch_goes_before_zxid_and_zxid_before_id() {
        let verifier = majority_of(&[1, 2, 3]);
        let ascending = [
            vote(3, i64::MIN, i64::MIN),
            vote(2, 9, 1),
            vote(3, 9, 1),
            vote(1, 10, 1),
            vote(1, 0, 2),
        ];
        for (number, better) in ascending.iter().enumerate() {
            assert!(!total_order_predicate(&*verifier, better, better));
            for worse in &ascending[..number] {
                assert!(total_order_predicate(&*verifier, better, worse), "{better} {worse}");
                assert!(!total_order_predicate(&*verifier, worse, better), "{worse} {better}");
            }
        }
    }

    #[test]
    fn a_candidate_without_weight_is_never_better() {
        let mut members = voters(&[1, 2, 3]);
        members.hierarchy = Some(Hierarchy {
            group_of: (1..4).map(|sid| (Sid(sid), 1)).collect(),
            weight_of: [(Sid(1), 1), (Sid(2), 1), (Sid(3), 0)].into(),
        });
        let verifier = from_members(members, None);
        assert!(!total_order_predicate(&*verifier, &vote(3, 9, 9), &vote(1, 0, 0)));
        assert!(total_order_predicate(&*verifier, &vote(2, 0, 0), &vote(1, 0, 0)));
    }

    #[test]
    fn a_leader_must_have_said_so_unless_it_is_this_server() {
        let mut votes = Votes::new();
        assert!(!check_leader(&votes, Sid(2), 5, Sid(1), 5), "nobody has heard of it");
        votes.insert(Sid(2), Vote { state: ServerState::Following, ..vote(2, 0, 0) });
        assert!(!check_leader(&votes, Sid(2), 5, Sid(1), 5), "it follows");
        votes.insert(Sid(2), Vote { state: ServerState::Leading, ..vote(2, 0, 0) });
        assert!(check_leader(&votes, Sid(2), 5, Sid(1), 9));
        assert!(check_leader(&votes, Sid(1), 5, Sid(1), 5));
        assert!(!check_leader(&votes, Sid(1), 5, Sid(1), 6), "that was another round");
    }
}
