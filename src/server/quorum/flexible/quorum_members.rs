//! The members of a configuration, with their groups and weights (no Java twin: the maps that QuorumMaj and
//! QuorumHierarchical hold).

use std::collections::BTreeMap;

use crate::ids::Sid;
use crate::server::quorum::quorum_server::QuorumServer;
use crate::server::quorum::states::LearnerType;

/// The members of the ensemble and how their votes are counted, as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumMembers {
    /// All servers.
    pub servers: BTreeMap<Sid, QuorumServer>,
    /// Groups and weights; with `None` every vote counts the same.
    pub hierarchy: Option<Hierarchy>,
    /// The version of this configuration, a zxid; 0 before the first reconfiguration.
    pub version: i64,
}

/// Groups and weights (Java: QuorumHierarchical).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchy {
    /// The group of each server that is in a group; every participant is in one.
    pub group_of: BTreeMap<Sid, i64>,
    /// The weight of each server in a group; 1 by default.
    pub weight_of: BTreeMap<Sid, i64>,
}

impl QuorumMembers {
    /// The servers that vote.
    pub fn voting_members(&self) -> impl Iterator<Item = &QuorumServer> {
        self.of_type(LearnerType::Participant)
    }

    /// The servers that do not vote.
    pub fn observing_members(&self) -> impl Iterator<Item = &QuorumServer> {
        self.of_type(LearnerType::Observer)
    }

    fn of_type(&self, learner_type: LearnerType) -> impl Iterator<Item = &QuorumServer> {
        self.servers.values().filter(move |server| server.learner_type == learner_type)
    }
}
