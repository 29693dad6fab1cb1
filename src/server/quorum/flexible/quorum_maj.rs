//! More than half of the voters (Java: server/quorum/flexible/QuorumMaj.java).

use std::collections::BTreeSet;

use super::quorum_members::QuorumMembers;
use super::quorum_verifier::{QuorumVerifier, VerifierKind, voters_of};
use crate::ids::Sid;

/// Counts votes, each with the same weight.
#[derive(Debug)]
pub(crate) struct QuorumMaj {
    members: QuorumMembers,
    voters: BTreeSet<Sid>,
}

impl QuorumMaj {
    /// A majority of these members; groups and weights are ignored.
    #[must_use]
    pub(crate) fn new(mut members: QuorumMembers) -> Self {
        members.hierarchy = None;
        Self { voters: voters_of(&members), members }
    }
}

impl QuorumVerifier for QuorumMaj {
    fn kind(&self) -> VerifierKind {
        VerifierKind::Majority
    }

    fn members(&self) -> &QuorumMembers {
        &self.members
    }

    fn voters(&self) -> &BTreeSet<Sid> {
        &self.voters
    }

    /// Every server has weight 1.
    fn weight(&self, _id: Sid) -> i64 {
        1
    }

    fn contains_quorum(&self, set: &BTreeSet<Sid>) -> bool {
        self.voters.intersection(set).count() > self.voters.len() / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::quorum::flexible::test_members::majority_of;

    fn set(sids: &[i64]) -> BTreeSet<Sid> {
        sids.iter().copied().map(Sid).collect()
    }

    #[test]
    fn more_than_half_is_a_quorum_and_half_is_none() {
        for (voters, some, is_quorum) in [
            (&[1][..], &[1][..], true),
            (&[1, 2], &[1], false),
            (&[1, 2], &[1, 2], true),
            (&[1, 2, 3], &[2], false),
            (&[1, 2, 3], &[2, 3], true),
            (&[1, 2, 3, 4], &[1, 4], false),
            (&[1, 2, 3, 4], &[1, 2, 4], true),
            (&[1, 2, 3], &[], false),
            (&[], &[], false),
        ] {
            let verifier = majority_of(voters);
            assert_eq!(verifier.contains_quorum(&set(some)), is_quorum, "{some:?} of {voters:?}");
        }
    }

    #[test]
    fn who_does_not_vote_does_not_count() {
        assert!(!majority_of(&[1, 2, 3]).contains_quorum(&set(&[1, 4, 5])));
    }
}
