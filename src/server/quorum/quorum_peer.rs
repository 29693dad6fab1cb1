//! A server of an ensemble (Java: server/quorum/QuorumPeer.java). So far only what its
//! configuration is made of; the peer itself comes with the ensemble.

pub mod quorum_server;

use std::fmt;

/// What a server does in its ensemble (Java: QuorumPeer.LearnerType).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LearnerType {
    /// Votes.
    #[default]
    Participant,
    /// Follows without a vote.
    Observer,
}

impl LearnerType {
    /// `participant` or `observer`, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "participant" => Some(Self::Participant),
            "observer" => Some(Self::Observer),
            _ => None,
        }
    }
}

/// As in the logs: upper case.
impl fmt::Display for LearnerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Participant => "PARTICIPANT",
            Self::Observer => "OBSERVER",
        })
    }
}
