//! The peer as the commands of the AdminServer see it (Java: LeaderCommand, SyncedObserverConsCommand,
//! VotingViewCommand and ZabStateCommand of server/admin/Commands.java, with the beans that they show).

use super::QuorumPeer;
use super::run::Role;
use crate::common::net_utils::InetSocketAddress;
use crate::server::admin::admin_context::{
    EnsembleContext, LeaderView, MemberView, ObserversView, ZabStateView,
};
use crate::server::admin::json_outputter::Json;
use crate::server::quorum::multiple_addresses::{DEFAULT_TIMEOUT, MultipleAddresses};
use crate::server::quorum::quorum_server::QuorumServer;
use crate::server::quorum::states::{LearnerType, ServerState};

impl EnsembleContext for QuorumPeer {
    fn leader(&self) -> LeaderView {
        let (leader_address, leader_id) = self.leader_address_and_id();
        let is_leader = self.peer_state() == ServerState::Leading;
        LeaderView { is_leader, leader_id: leader_id.map_or(-1, |id| id.0), leader_address }
    }

    /// Those of a follower; a leader's are with its role.
    fn observers(&self) -> Option<ObserversView> {
        let Role::Follower(follower) = self.role() else { return None };
        let observers = follower.synced_observers()?;
        let infos = observers.iter().map(|observer| observer.learner_handler_info()).collect();
        Some(ObserversView { synced_observers: observers.len(), observers: infos })
    }

    fn reset_observer_connection_stats(&self) {
        if let Role::Follower(follower) = self.role() {
            follower.reset_observer_connection_stats();
        }
    }

    fn learner_master(&self) -> Option<i64> {
        self.current_learner_master().map(|master| master.0)
    }

    fn set_learner_master(&self, desired: &str) -> bool {
        self.set_learner_master(desired)
    }

    fn voting_view(&self) -> Vec<(i64, MemberView)> {
        let texts = |addresses: &[InetSocketAddress]| addresses.iter().map(text).collect();
        let view = |server: QuorumServer| MemberView {
            server_addresses: texts(&server.addresses),
            election_addresses: texts(&server.election_addresses),
            client_address: server.client_address.as_ref().map(text).unwrap_or_default(),
            is_participant: server.learner_type == LearnerType::Participant,
        };
        self.voting_view().into_iter().map(|(id, server)| (id.0, view(server))).collect()
    }

    fn zab_state(&self) -> ZabStateView {
        let me = self.server(self.my_id());
        let client_address = me.and_then(|me| me.client_address);
        let voter = self.voting_view().remove(&self.my_id());
        let (addresses, election_addresses) = (self.quorum_addresses(), self.election_addresses());
        let voting = voter.is_some_and(|voter| {
            voter.addresses == addresses && voter.election_addresses == election_addresses
        });
        ZabStateView {
            my_id: self.my_id().0,
            is_leader: self.peer_state() == ServerState::Leading,
            learner_address: bean(addresses),
            election_address: bean(election_addresses),
            client_address: client_address.as_ref().map_or(Json::Null, json),
            voting,
            zab_state: self.zab_state().name().to_owned(),
        }
    }
}

fn text(address: &InetSocketAddress) -> String {
    address.to_string()
}

fn json(address: &InetSocketAddress) -> Json {
    Json::Text(text(address))
}

/// The JSON that Java's library generates for a MultipleAddresses.
fn bean(addresses: Vec<InetSocketAddress>) -> Json {
    let addresses = MultipleAddresses::new(addresses, DEFAULT_TIMEOUT);
    let list = |list: &[&InetSocketAddress]| Json::List(list.iter().map(|one| json(one)).collect());
    let option = |one: Option<&InetSocketAddress>| one.map_or(Json::Null, json);
    let all: Vec<_> = addresses.all().iter().collect();
    let wildcards = addresses.wildcard_addresses();
    // A single address is not probed; of several, those that answer are taken.
    let reachable = addresses.all_reachable_or_all();
    let hosts = addresses.all().iter().map(|one| Json::from(one.host.as_str()));
    let ports = addresses.ports().into_iter().map(|port| Json::Long(port.into()));
    let any_reachable = option(reachable.first().copied());
    Json::object([
        ("empty", addresses.is_empty().into()),
        ("all_addresses", list(&all)),
        ("wildcard_addresses", list(&wildcards.iter().collect::<Vec<_>>())),
        ("all_ports", Json::List(ports.collect())),
        ("all_host_strings", Json::List(hosts.collect())),
        ("reachable_address", any_reachable.clone()),
        ("all_reachable_addresses", list(&reachable)),
        ("all_reachable_addresses_or_all", list(&reachable)),
        ("reachable_or_one", any_reachable),
        ("one", option(addresses.one())),
    ])
}
