//! The members of the ensemble, and which sets of them are a quorum (Java:
//! server/quorum/flexible/QuorumVerifier.java).
//!
//! A verifier is immutable: another version is another verifier (`from_members`). Java has setVersion instead.
//!
//! Differs from Java: The acknowledgement of a server that does not vote never counts; Java's majority relies on its
//! callers for that. The methods for the oracle take only what they need (does the leader have followers?), not parts
//! of Leader.

use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;
use std::path::Path;

use super::java_long_map_order::java_long_map_order;
use super::quorum_members::QuorumMembers;
use crate::common::net_utils::InetSocketAddress;
use crate::ids::Sid;
use crate::server::quorum::quorum_server::QuorumServer;

/// How votes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifierKind {
    /// More than half of the voters (Java: QuorumMaj).
    Majority,
    /// A majority, with an oracle for two voters (Java: QuorumOracleMaj).
    OracleMajority,
    /// By groups and weights (Java: QuorumHierarchical).
    Hierarchical,
}

/// A configuration of the ensemble.
pub trait QuorumVerifier: Send + Sync + fmt::Debug {
    /// How votes are counted.
    fn kind(&self) -> VerifierKind;

    /// All members.
    fn members(&self) -> &QuorumMembers;

    /// The ids of the voters.
    fn voters(&self) -> &BTreeSet<Sid>;

    /// The weight of a server's vote; a server of weight 0 never leads.
    fn weight(&self, id: Sid) -> i64;

    /// Whether these servers are a quorum.
    fn contains_quorum(&self, set: &BTreeSet<Sid>) -> bool;

    /// The version, a zxid; 0 before the first reconfiguration.
    fn version(&self) -> i64 {
        self.members().version
    }

    /// Whether the server is a member (Java: getAllMembers().containsKey).
    fn is_member(&self, id: Sid) -> bool {
        self.members().servers.contains_key(&id)
    }

    /// Whether the server is a voter (Java: getVotingMembers().containsKey).
    fn is_voter(&self, id: Sid) -> bool {
        self.voters().contains(&id)
    }

    /// The text that members send each other and that the configuration znode holds (Java: toString).
    fn to_text(&self) -> String {
        to_text(self.members())
    }

    /// Whether two configurations are the same (Java: equals). Of comparable kinds, two of the same version always
    /// are.
    fn same_as(&self, other: &dyn QuorumVerifier) -> bool {
        let comparable = match self.kind() {
            VerifierKind::Majority => other.kind() != VerifierKind::Hierarchical,
            kind => other.kind() == kind,
        };
        comparable
            && (self.version() == other.version() || same_members(self.members(), other.members()))
    }

    /// The path of the oracle file.
    fn oracle_path(&self) -> Option<&Path> {
        None
    }

    /// Whether the oracle decides, because one of two voters is alone.
    fn need_oracle(&self) -> bool {
        false
    }

    /// Records whether the leader has followers that are up to date; returns whether the oracle decides now.
    fn update_need_oracle(&self, _has_forwarding_followers: bool) -> bool {
        false
    }

    /// The answer of the oracle.
    fn ask_oracle(&self) -> bool {
        false
    }

    /// Whether a leader that has lost its quorum keeps leading. If so, it tries again to commit its outstanding
    /// proposals (Java: revalidateOutstandingProp).
    fn override_quorum_decision(&self, has_forwarding_followers: bool) -> bool {
        self.update_need_oracle(has_forwarding_followers) && self.ask_oracle()
    }

    /// Whether an election is decided when no more notifications arrive, and the votes have a quorum in each
    /// configuration (Java: revalidateVoteset).
    fn revalidate_voteset(&self, _has_all_quorums: bool, _timed_out: bool) -> bool {
        false
    }
}

/// The ids of the voters.
pub(super) fn voters_of(members: &QuorumMembers) -> BTreeSet<Sid> {
    members.voting_members().map(|server| server.id).collect()
}

fn to_text(members: &QuorumMembers) -> String {
    let mut text = String::new();
    let mut line = |key: &str, id: i64, value: &dyn fmt::Display| {
        // Writing to a String never fails.
        let _never_fails = writeln!(text, "{key}.{id}={value}");
    };
    for id in java_long_map_order(members.servers.keys().map(|sid| sid.0)) {
        if let Some(server) = members.servers.get(&Sid(id)) {
            line("server", id, server);
        }
    }
    if let Some(hierarchy) = &members.hierarchy {
        let servers = java_long_map_order(hierarchy.group_of.keys().map(|sid| sid.0));
        let groups: BTreeSet<i64> = hierarchy.group_of.values().copied().collect();
        for group in java_long_map_order(groups) {
            let of_group =
                servers.iter().filter(|id| hierarchy.group_of.get(&Sid(**id)) == Some(&group));
            let ids: Vec<String> = of_group.map(i64::to_string).collect();
            line("group", group, &ids.join(":"));
        }
        for id in java_long_map_order(hierarchy.weight_of.keys().map(|sid| sid.0)) {
            if let Some(weight) = hierarchy.weight_of.get(&Sid(id)) {
                line("weight", id, weight);
            }
        }
    }
    let _never_fails = write!(text, "version={:x}", members.version);
    text
}

/// Whether `leader` and the voters with ids below `id` are a quorum without the server `id`.
pub(crate) fn is_spare(verifier: &dyn QuorumVerifier, leader: Sid, id: Sid) -> bool {
    let mut set: BTreeSet<Sid> = verifier.voters().range(..id).copied().collect();
    set.insert(leader);
    verifier.contains_quorum(&set)
}

fn same_members(one: &QuorumMembers, other: &QuorumMembers) -> bool {
    let same_server = |(mine, theirs): (&QuorumServer, &QuorumServer)| same_server(mine, theirs);
    one.hierarchy == other.hierarchy
        && one.servers.len() == other.servers.len()
        && one.servers.values().zip(other.servers.values()).all(same_server)
}

/// Java: QuorumServer.equals. The order of addresses does not matter, nor the file that the client address comes
/// from.
fn same_server(one: &QuorumServer, other: &QuorumServer) -> bool {
    one.id == other.id
        && one.learner_type == other.learner_type
        && same_addresses(&one.addresses, &other.addresses)
        && same_addresses(&one.election_addresses, &other.election_addresses)
        && one.client_address == other.client_address
}

/// Whether two servers have the same addresses, in any order.
pub(crate) fn same_addresses(one: &[InetSocketAddress], other: &[InetSocketAddress]) -> bool {
    one.len() == other.len() && one.iter().all(|address| other.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::quorum::flexible::create_quorum_verifier::from_members;
    use crate::server::quorum::flexible::quorum_members::Hierarchy;
    use crate::server::quorum::flexible::test_members::{majority_of, server, voters};
    use crate::server::quorum::states::LearnerType;

    fn hierarchical() -> QuorumMembers {
        let mut members = voters(&[1, 2, 3, 17]);
        members.servers.insert(Sid(4), server(4, LearnerType::Observer));
        let group_of = [(1, 1), (2, 1), (3, 2), (17, 2)].map(|(sid, group)| (Sid(sid), group));
        let weight_of = [(1, 1), (2, 5), (3, 1), (17, 0)].map(|(sid, weight)| (Sid(sid), weight));
        members.hierarchy =
            Some(Hierarchy { group_of: group_of.into(), weight_of: weight_of.into() });
        members
    }

    #[test]
    fn a_configuration_is_written_as_java_writes_it() {
        let mut members = voters(&[17, 2, 1]);
        members.version = 0x1_0000_0002;
        let server = |n: i64| format!("server.{n}=127.0.0.1:{0}1:{0}2:participant\n", n);
        let text = server(1) + &server(17) + &server(2) + "version=100000002";
        assert_eq!(from_members(members, None).to_text(), text);
    }

    #[test]
    fn groups_and_weights_are_written_after_the_servers() {
        let text = from_members(hierarchical(), None).to_text();
        let (servers, rest) = text.split_once("group").unwrap();
        assert_eq!(servers.lines().count(), 5);
        assert!(servers.ends_with("server.4=127.0.0.1:41:42:observer\n"), "{servers}");
        let weights = "weight.1=1\nweight.17=0\nweight.2=5\nweight.3=1\n";
        assert_eq!(rest, format!(".1=1:2\ngroup.2=17:3\n{weights}version=0"));
    }

    #[test]
    fn spare_is_who_comes_after_the_first_quorum() {
        let spare_of = |verifier: &dyn QuorumVerifier, leader: i64| -> Vec<i64> {
            let others = verifier.voters().iter().filter(|sid| sid.0 != leader);
            others.filter(|sid| is_spare(verifier, Sid(leader), **sid)).map(|sid| sid.0).collect()
        };
        let three = majority_of(&[1, 2, 3]);
        assert_eq!([1, 2, 3].map(|leader| spare_of(&*three, leader)), [[3], [3], [2]]);
        let five = majority_of(&[1, 2, 3, 4, 5]);
        assert_eq!(spare_of(&*five, 1), [4, 5]);
        assert_eq!(spare_of(&*five, 5), [3, 4]);
        assert_eq!(spare_of(&*majority_of(&[1, 2]), 1), [0_i64; 0], "both are needed");
        assert_eq!(spare_of(&*majority_of(&[1, 2, 3, 4]), 4), [3]);
        // Server 2 has the majority of group 1, server 3 that of group 2; server 17 has weight 0.
        assert_eq!(spare_of(&*from_members(hierarchical(), None), 2), [17]);
    }

    #[test]
    fn configurations_of_one_version_are_the_same_whatever_they_say() {
        assert!(majority_of(&[1, 2]).same_as(&*majority_of(&[3])));
        let newer = |mut members: QuorumMembers| {
            members.version = 1;
            from_members(members, None)
        };
        assert!(majority_of(&[1, 2]).same_as(&*newer(voters(&[1, 2]))));
        assert!(!majority_of(&[1, 2]).same_as(&*newer(voters(&[1, 3]))));
        assert!(!majority_of(&[1, 2]).same_as(&*newer(voters(&[1, 2, 3]))));
        let mut moved = voters(&[1, 2]);
        moved
            .servers
            .insert(Sid(2), QuorumServer { id: Sid(2), ..server(5, LearnerType::Participant) });
        assert!(!majority_of(&[1, 2]).same_as(&*newer(moved)));
        let mut observing = voters(&[1]);
        observing.servers.insert(Sid(2), server(2, LearnerType::Observer));
        assert!(!majority_of(&[1, 2]).same_as(&*newer(observing)));
    }

    #[test]
    fn ways_of_counting_are_told_apart() {
        let hierarchical_one = from_members(hierarchical(), None);
        let mut other = hierarchical();
        other.version = 1;
        assert!(hierarchical_one.same_as(&*from_members(other.clone(), None)));
        other.hierarchy.as_mut().unwrap().weight_of.insert(Sid(2), 4);
        assert!(!hierarchical_one.same_as(&*from_members(other, None)));
        let majority = majority_of(&[1, 2]);
        assert!(!majority.same_as(&*hierarchical_one));
        let oracle = from_members(voters(&[1, 2]), Some(Path::new("oracle")));
        assert!(majority.same_as(&*oracle));
        assert!(!oracle.same_as(&*majority), "as in Java");
    }
}
