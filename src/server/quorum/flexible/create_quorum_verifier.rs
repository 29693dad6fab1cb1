//! Chooses how the votes of a configuration are counted (Java: createQuorumVerifier of
//! server/quorum/QuorumPeerConfig.java).

use std::path::Path;
use std::sync::Arc;

use super::quorum_hierarchical::QuorumHierarchical;
use super::quorum_maj::QuorumMaj;
use super::quorum_members::QuorumMembers;
use super::quorum_oracle_maj::QuorumOracleMaj;
use super::quorum_verifier::QuorumVerifier;

/// The verifier of a configuration: with an oracle if one is set, else hierarchical if there are groups, else by
/// majority.
#[must_use]
pub fn from_members(members: QuorumMembers, oracle: Option<&Path>) -> Arc<dyn QuorumVerifier> {
    match oracle {
        Some(oracle) => Arc::new(QuorumOracleMaj::new(members, oracle)),
        None if members.hierarchy.is_some() => Arc::new(QuorumHierarchical::new(members)),
        None => Arc::new(QuorumMaj::new(members)),
    }
}
