//! More than half of the weight in more than half of the groups (Java:
//! server/quorum/flexible/QuorumHierarchical.java).
//!
//! Differs from Java: A server in no group weighs nothing; Java throws a NullPointerException. The groups are parsed
//! and checked in [`dynamic_file`](crate::server::quorum::quorum_peer_config::dynamic_file).

use std::collections::{BTreeMap, BTreeSet};

use super::quorum_members::{Hierarchy, QuorumMembers};
use super::quorum_verifier::{QuorumVerifier, VerifierKind, voters_of};
use crate::ids::Sid;

/// Counts votes by group and weight.
#[derive(Debug)]
pub(crate) struct QuorumHierarchical {
    members: QuorumMembers,
    voters: BTreeSet<Sid>,
    /// The total weight of each group; groups of weight 0 are left out.
    weight_of_group: BTreeMap<i64, i64>,
}

impl QuorumHierarchical {
    /// A configuration with groups. Without groups no set of servers is a quorum.
    #[must_use]
    pub(crate) fn new(members: QuorumMembers) -> Self {
        let mut this =
            Self { voters: voters_of(&members), weight_of_group: BTreeMap::new(), members };
        this.weight_of_group = match &this.members.hierarchy {
            Some(hierarchy) => this.weigh(hierarchy.group_of.keys()),
            None => BTreeMap::new(),
        };
        this.weight_of_group.retain(|_, weight| *weight != 0);
        this
    }

    fn hierarchy(&self) -> Option<&Hierarchy> {
        self.members.hierarchy.as_ref()
    }

    /// The total weight of the given servers, by group.
    fn weigh<'a>(&self, sids: impl Iterator<Item = &'a Sid>) -> BTreeMap<i64, i64> {
        let mut weights = BTreeMap::new();
        for sid in sids {
            let group = self.hierarchy().and_then(|hierarchy| hierarchy.group_of.get(sid));
            if let Some(group) = group {
                let weight: &mut i64 = weights.entry(*group).or_default();
                *weight = weight.saturating_add(self.weight(*sid));
            }
        }
        weights
    }
}

impl QuorumVerifier for QuorumHierarchical {
    fn kind(&self) -> VerifierKind {
        VerifierKind::Hierarchical
    }

    fn members(&self) -> &QuorumMembers {
        &self.members
    }

    fn voters(&self) -> &BTreeSet<Sid> {
        &self.voters
    }

    fn weight(&self, id: Sid) -> i64 {
        let weight = self.hierarchy().and_then(|hierarchy| hierarchy.weight_of.get(&id));
        weight.copied().unwrap_or(0)
    }

    fn contains_quorum(&self, set: &BTreeSet<Sid>) -> bool {
        let weights = self.weigh(self.voters.intersection(set));
        let has_majority =
            |(group, all): (&i64, &i64)| weights.get(group).is_some_and(|weight| *weight > all / 2);
        let groups = self.weight_of_group.iter().filter(|group| has_majority(*group)).count();
        groups > self.weight_of_group.len() / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::quorum::flexible::test_members::voters;

    /// Three groups of three servers. `weights` starts at server 1; the remaining servers have weight 1.
    fn nine(weights: &[i64]) -> QuorumHierarchical {
        let mut members = voters(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let weight =
            |sid: i64| weights.get(usize::try_from(sid - 1).unwrap()).copied().unwrap_or(1);
        members.hierarchy = Some(Hierarchy {
            group_of: (1..10).map(|sid| (Sid(sid), (sid - 1) / 3 + 1)).collect(),
            weight_of: (1..10).map(|sid| (Sid(sid), weight(sid))).collect(),
        });
        QuorumHierarchical::new(members)
    }

    fn is_quorum(verifier: &QuorumHierarchical, sids: &[i64]) -> bool {
        verifier.contains_quorum(&sids.iter().copied().map(Sid).collect())
    }

    #[test]
    fn a_majority_in_a_majority_of_the_groups_is_a_quorum() {
        let verifier = nine(&[]);
        assert!(is_quorum(&verifier, &[1, 2, 4, 5]));
        assert!(!is_quorum(&verifier, &[1, 2, 3, 4]), "one group only");
        assert!(!is_quorum(&verifier, &[1, 4, 7]), "no group");
        assert!(!is_quorum(&verifier, &[]));
        assert!(!is_quorum(&verifier, &[1, 2, 99, 100]), "strangers do not count");
    }

    #[test]
    fn heavy_servers_count_for_more_and_weightless_groups_for_nothing() {
        let heavy = nine(&[5]);
        assert!(is_quorum(&heavy, &[1, 4, 5]));
        assert!(!is_quorum(&heavy, &[2, 3, 4, 5]));
        let one_group_off = nine(&[0, 0, 0]);
        assert!(
            !is_quorum(&one_group_off, &[1, 2, 3, 4, 5]),
            "both of the other groups are needed"
        );
        assert!(is_quorum(&one_group_off, &[4, 5, 7, 8]));
        assert_eq!(one_group_off.weight(Sid(1)), 0);
        assert_eq!(one_group_off.weight(Sid(77)), 0);
    }
}
