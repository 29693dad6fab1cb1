//! Counts acknowledgements against each configuration that must agree (Java:
//! server/quorum/SyncedLearnerTracker.java).
//!
//! During a reconfiguration there are two configurations, and both need a quorum. It has no lock; its owner counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::flexible::quorum_verifier::QuorumVerifier;
use crate::ids::Sid;

/// The acknowledgements of voters.
#[derive(Clone, Debug, Default)]
pub struct SyncedLearnerTracker {
    pairs: Vec<(Arc<dyn QuorumVerifier>, BTreeSet<Sid>)>,
}

impl SyncedLearnerTracker {
    /// A tracker without configurations and acknowledgements.
    #[must_use]
    pub const fn new() -> Self {
        Self { pairs: Vec::new() }
    }

    /// Adds a configuration, of which a quorum must agree, too.
    pub fn add_quorum_verifier(&mut self, verifier: Arc<dyn QuorumVerifier>) {
        self.pairs.push((verifier, BTreeSet::new()));
    }

    /// Records the acknowledgement of a server; true if it is a voter in one of the configurations.
    pub fn add_ack(&mut self, sid: Sid) -> bool {
        let mut counts = false;
        for (verifier, acks) in &mut self.pairs {
            if verifier.is_voter(sid) {
                acks.insert(sid);
                counts = true;
            }
        }
        counts
    }

    /// Whether the server is a voter in all configurations (Java: hasSid).
    #[must_use]
    pub fn is_voter_of_all(&self, sid: Sid) -> bool {
        self.pairs.iter().all(|(verifier, _)| verifier.is_voter(sid))
    }

    /// Whether a quorum of each configuration has agreed.
    #[must_use]
    pub fn has_all_quorums(&self) -> bool {
        self.pairs.iter().all(|(verifier, acks)| verifier.contains_quorum(acks))
    }

    /// The configurations, each with the voters that have agreed (Java: qvAcksetPairs).
    pub fn ack_sets(&self) -> impl Iterator<Item = (&Arc<dyn QuorumVerifier>, &BTreeSet<Sid>)> {
        self.pairs.iter().map(|(verifier, acks)| (verifier, acks))
    }

    /// The voters that have agreed, in the format of Java's logs: `[1, 2],[1, 2]` (Java: ackSetsToString).
    #[must_use]
    pub fn ack_sets_to_string(&self) -> String {
        let sets = self.pairs.iter().map(|(_, acks)| format!("{:?}", Vec::from_iter(acks)));
        sets.collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::quorum::flexible::test_members::majority_of;

    #[test]
    fn a_quorum_of_every_configuration_is_needed() {
        let mut tracker = SyncedLearnerTracker::new();
        tracker.add_quorum_verifier(majority_of(&[1, 2, 3]));
        tracker.add_quorum_verifier(majority_of(&[3, 4, 5]));
        assert!(tracker.add_ack(Sid(1)));
        assert!(tracker.add_ack(Sid(2)));
        assert!(!tracker.has_all_quorums());
        assert!(tracker.add_ack(Sid(3)));
        assert!(tracker.add_ack(Sid(3)));
        assert!(!tracker.has_all_quorums(), "one vote counts once");
        assert!(!tracker.add_ack(Sid(9)));
        assert!(tracker.add_ack(Sid(5)));
        assert!(tracker.has_all_quorums());
        assert_eq!(tracker.ack_sets_to_string(), "[1, 2, 3],[3, 5]");
        assert!(tracker.is_voter_of_all(Sid(3)));
        assert!(!tracker.is_voter_of_all(Sid(1)));
    }
}
