//! The observer masters that an observer can follow (Java: updateObserverMasterList, nextObserverMaster,
//! findLearnerMaster and validateLearnerMaster of server/quorum/QuorumPeer.java, with nextLearnerMaster and
//! currentLearnerMaster of server/quorum/Observer.java).
//!
//! Locks: `Leaf`, held briefly; host names are resolved without it.
//!
//! Differs from Java: A host name is resolved again whenever its server is chosen. In Java it is resolved when the
//! configuration is read, and an unknown name stands for this machine. All addresses of a server are tried.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use log::{info, warn};

use super::{LOG, QuorumPeer};
use crate::common::net_utils::{self, InetSocketAddress};
use crate::ids::Sid;
use crate::server::quorum::flexible::quorum_verifier::QuorumVerifier;
use crate::server::quorum::learner::NextMaster;
use crate::server::quorum::quorum_server::QuorumServer;
use crate::server::quorum::states::LearnerType;
use crate::util::lock_rank::{Rank, RankedMutex};

#[derive(Default)]
struct State {
    /// The version of the configuration that the list is of.
    version: Option<i64>,
    masters: Vec<QuorumServer>,
    /// The place in the list of the master to try next.
    next: usize,
    /// The master that an operator has asked for.
    requested: Option<QuorumServer>,
    /// The master that this observer follows.
    current: Option<QuorumServer>,
}

impl State {
    /// The next master in turn. The list must not be empty.
    fn take_next(&mut self) -> Option<NextMaster> {
        let begins_round = self.next >= self.masters.len();
        if begins_round {
            self.next = 0;
        }
        let server = self.masters.get(self.next)?.clone();
        self.next += 1;
        Some(NextMaster { server, begins_round })
    }
}

/// The observer masters that this observer can follow.
pub(super) struct ObserverMasters {
    state: RankedMutex<State>,
}

impl ObserverMasters {
    pub(super) fn new() -> Self {
        let state = RankedMutex::new(Rank::Leaf, "observer masters", State::default());
        Self { state }
    }

    /// Makes a new list, in random order, if the configuration has changed.
    fn update(&self, verifier: &dyn QuorumVerifier, port: u16) {
        let version = Some(verifier.version());
        if self.state.lock().version == version {
            return;
        }
        let mut masters: Vec<QuorumServer> =
            verifier.members().voting_members().map(|voter| observer_master(voter, port)).collect();
        info!(target: LOG, "Updated learner master list to be {}", texts(&masters));
        let order = RandomState::new();
        masters.sort_by_key(|master| order.hash_one(master.id));
        let mut state = self.state.lock();
        (state.version, state.masters, state.next) = (version, masters, 0);
    }
}

/// The server with its observer master's port in the place of its other ports.
fn observer_master(voter: &QuorumServer, port: u16) -> QuorumServer {
    let addresses = voter.addresses.iter().map(|one| InetSocketAddress { port, ..one.clone() });
    QuorumServer {
        id: voter.id,
        addresses: addresses.collect(),
        election_addresses: Vec::new(),
        client_address: None,
        is_client_address_from_static: false,
        hostname: voter.hostname.clone(),
        learner_type: LearnerType::Participant,
    }
}

fn texts(masters: &[QuorumServer]) -> String {
    let addresses = masters.iter().flat_map(|master| &master.addresses);
    addresses.map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Whether the server is meant: by its id, or by the beginning of `ip:port`.
fn is_meant(server: &QuorumServer, desired: &str) -> bool {
    if let Ok(id) = desired.parse::<i64>() {
        return server.id.0 == id;
    }
    let addresses = server.addresses.iter().filter_map(InetSocketAddress::socket_address);
    addresses.into_iter().any(|address| {
        let host = net_utils::host_address(address.ip());
        format!("{host}:{}", address.port()).starts_with(desired)
    })
}

impl QuorumPeer {
    /// The masters, if this server follows one (Java: useObserverMasters).
    fn observer_masters(&self) -> Option<&ObserverMasters> {
        let port = self.settings().observer_master_port?;
        if self.learner_type() != LearnerType::Observer {
            return None;
        }
        self.observer_masters.update(&*self.quorum_verifier(), port);
        (!self.observer_masters.state.lock().masters.is_empty()).then_some(&self.observer_masters)
    }

    /// The observer master to try next; `None` if this server follows the leader (Java: findLearnerMaster).
    #[must_use]
    pub fn next_observer_master(&self) -> Option<NextMaster> {
        let mut next = self.observer_masters()?.state.lock().take_next()?;
        self.resolve(&mut next.server);
        Some(next)
    }

    fn resolve(&self, server: &mut QuorumServer) {
        let prefer_ipv6 = self.properties().bool("java.net.preferIPv6Addresses");
        let resolve = |host: &str| net_utils::resolve_host(host, prefer_ipv6);
        for address in &mut server.addresses {
            *address = InetSocketAddress::new(&address.host, address.port, &resolve);
        }
    }

    /// Takes the observer master that an operator has asked for, if it is still one.
    #[must_use]
    pub fn requested_learner_master(&self) -> Option<QuorumServer> {
        let requested = self.observer_masters.state.lock().requested.take()?;
        let valid = self.validate_learner_master(&requested.id.to_string());
        if valid.is_none() {
            let address = texts(&[requested]);
            warn!(target: LOG, "requested next learner master {address} is no longer valid");
        }
        let mut server = valid?;
        self.resolve(&mut server);
        Some(server)
    }

    /// Whether an operator has asked for another observer master.
    #[must_use]
    pub fn is_learner_master_requested(&self) -> bool {
        self.observer_masters.state.lock().requested.is_some()
    }

    /// Records the server that this observer follows, if any.
    pub fn set_current_learner_master(&self, master: Option<&QuorumServer>) {
        self.observer_masters.state.lock().current = master.cloned();
    }

    /// The server that this observer follows, if any (Java: getLearnerMasterId).
    #[must_use]
    pub fn current_learner_master(&self) -> Option<Sid> {
        self.observer_masters.state.lock().current.as_ref().map(|master| master.id)
    }

    /// Has the observer follow that master: `desired` is its id, its IP address, or its IP address and port. If the
    /// connection fails, it goes on with the next master in turn (Java: Observer.setLearnerMaster). False if there is
    /// no such master.
    pub fn set_learner_master(&self, desired: &str) -> bool {
        let Some(server) = self.validate_learner_master(desired) else { return false };
        let (sid, address) = (server.id, texts(std::slice::from_ref(&server)));
        let mut state = self.observer_masters.state.lock();
        if state.current.as_ref().is_some_and(|current| current.id == sid) {
            drop(state);
            info!(
                target: LOG,
                "Already connected to requested learner master sid={sid} addr={address}"
            );
            return true;
        }
        state.requested = Some(server);
        drop(state);
        info!(
            target: LOG,
            "Requesting disconnect and reconnect to new learner master sid={sid} addr={address}"
        );
        true
    }

    /// The observer master that is meant, by its id, its IP address, or its IP address and port.
    fn validate_learner_master(&self, desired: &str) -> Option<QuorumServer> {
        let Some(masters) = self.observer_masters() else {
            info!(target: LOG, "cannot validate request, observer masters not enabled");
            return None;
        };
        let state = masters.state.lock();
        let found = state.masters.iter().find(|master| is_meant(master, desired)).cloned();
        drop(state);
        if found.is_none() {
            info!(target: LOG, "could not find learner master {desired}");
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::quorum::flexible::create_quorum_verifier::from_members;
    use crate::server::quorum::flexible::quorum_members::QuorumMembers;
    use crate::server::quorum::flexible::test_members::{server, voters};

    fn members(version: i64, sids: &[i64]) -> QuorumMembers {
        let mut members = voters(sids);
        members.servers.insert(Sid(9), server(9, LearnerType::Observer));
        members.version = version;
        members
    }

    /// The ids of the next masters, with a `;` where a round begins.
    fn next(masters: &ObserverMasters, count: usize) -> String {
        let mut text = String::new();
        for _ in 0..count {
            let next = masters.state.lock().take_next().unwrap();
            text += if next.begins_round { ";" } else { "" };
            text += &next.server.id.to_string();
        }
        text
    }

    #[test]
    fn all_voters_are_tried_in_turn_before_a_new_round_begins() {
        let masters = ObserverMasters::new();
        assert_eq!(masters.state.lock().take_next(), None);
        masters.update(&*from_members(members(5, &[1, 2, 3]), None), 2191);
        let round = next(&masters, 3);
        let mut sids: Vec<char> = round.chars().collect();
        sids.sort_unstable();
        assert_eq!(
            sids,
            ['1', '2', '3'],
            "each once, in any order, without a wait before the first"
        );
        assert_eq!(next(&masters, 7), format!(";{round};{round};{}", &round[..1]));
        // The same configuration changes nothing, a new one begins anew.
        masters.update(&*from_members(members(5, &[4]), None), 2191);
        assert_eq!(next(&masters, 1), round[1..2]);
        masters.update(&*from_members(members(6, &[4]), None), 2191);
        assert_eq!(next(&masters, 2), "4;4");
    }

    #[test]
    fn a_master_is_a_voter_at_its_observer_masters_port() {
        let masters = ObserverMasters::new();
        masters.update(&*from_members(members(5, &[1]), None), 2191);
        let master = masters.state.lock().take_next().unwrap().server;
        assert_eq!(texts(std::slice::from_ref(&master)), texts(&[observer_master(&master, 2191)]));
        assert_eq!(master.addresses[0].port, 2191);
        assert_eq!(master.id, Sid(1));
    }

    #[test]
    fn a_master_is_named_by_its_id_or_by_the_beginning_of_its_address() {
        let master = observer_master(&server(7, LearnerType::Participant), 2191);
        for meant in ["7", "127.0.0.1", "127.0.0.1:2191", "127.0", "127.0.0.1:21", ""] {
            assert!(is_meant(&master, meant), "{meant}");
        }
        for other in ["1", "127", "127.0.0.1:2192", "localhost"] {
            assert!(!is_meant(&master, other), "{other}");
        }
    }
}
