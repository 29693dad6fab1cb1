//! The peer as elections see it (Java: the calls of FastLeaderElection.java and QuorumCnxManager.java on QuorumPeer).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::QuorumPeer;
use super::run::Role;
use crate::common::config_exception::ConfigError;
use crate::common::net_utils::InetSocketAddress;
use crate::common::time::Clock;
use crate::ids::{PeerEpoch, Sid, Zxid};
use crate::server::exit_code::ExitCode;
use crate::server::quorum::election::{ElectionAddresses, ElectionPeer, ElectionSettings};
use crate::server::quorum::flexible::quorum_verifier::QuorumVerifier;
use crate::server::quorum::multiple_addresses::MultipleAddresses;
use crate::server::quorum::quorum_server::QuorumServer;
use crate::server::quorum::states::{LearnerType, ServerState};
use crate::server::quorum::synced_learner_tracker::SyncedLearnerTracker;
use crate::server::quorum::vote::Vote;

impl ElectionPeer for QuorumPeer {
    fn my_id(&self) -> Sid {
        self.my_id()
    }

    fn election_settings(&self) -> ElectionSettings {
        let settings = self.settings();
        ElectionSettings {
            listen_on_all_ips: settings.quorum_listen_on_all_ips,
            cnxn_threads_size: settings.quorum_cnxn_threads_size,
            multi_address: settings.multi_address,
            http_ports: self.parts.server_settings.http_ports,
            ..ElectionSettings::from_properties(self.properties(), settings.quorum_cnxn_timeout_ms)
        }
    }

    fn clock(&self) -> &Clock {
        self.clock()
    }

    fn peer_state(&self) -> ServerState {
        self.peer_state()
    }

    fn set_peer_state(&self, state: ServerState) {
        self.set_peer_state(state);
    }

    fn learner_type(&self) -> LearnerType {
        self.learner_type()
    }

    fn current_vote(&self) -> Option<Vote> {
        self.current_vote()
    }

    fn last_logged_zxid(&self) -> Result<Zxid, String> {
        self.last_logged_zxid().map_err(|problem| problem.to_string())
    }

    fn current_epoch(&self) -> PeerEpoch {
        self.current_epoch()
    }

    fn quorum_verifier(&self) -> Arc<dyn QuorumVerifier> {
        self.quorum_verifier()
    }

    fn last_seen_quorum_verifier(&self) -> Option<Arc<dyn QuorumVerifier>> {
        self.last_seen_quorum_verifier()
    }

    fn current_and_next_config_voters(&self) -> BTreeSet<Sid> {
        self.current_and_next_config_voters()
    }

    fn config_from_string(&self, text: &str) -> Result<Arc<dyn QuorumVerifier>, ConfigError> {
        self.config_from_string(text)
    }

    fn process_reconfig(&self, verifier: &Arc<dyn QuorumVerifier>) {
        // A LOOKING server has no role that could change.
        let _no_role = self.process_reconfig(verifier, None, None, false);
    }

    fn set_shutting_down_election(&self) {
        self.set_shutting_down_election();
    }

    fn my_election_addresses(&self) -> MultipleAddresses {
        self.multiple_addresses(self.election_addresses())
    }

    fn election_addresses_of(&self, sid: Sid) -> ElectionAddresses {
        self.recreate_socket_addresses(sid);
        let addresses =
            |server: &QuorumServer| self.multiple_addresses(server.election_addresses.clone());
        let current = self.server(sid).as_ref().map(addresses);
        let next = self.last_seen_quorum_verifier();
        let next = next.and_then(|seen| seen.members().servers.get(&sid).map(addresses));
        let next = next.filter(|next| current.as_ref() != Some(next));
        ElectionAddresses { current, next }
    }

    fn set_leading_vote_set(&self, votes: SyncedLearnerTracker) {
        *self.leading_vote_set.lock() = Some(votes);
    }

    fn report_looking_sid(&self, sid: Sid) {
        if let Role::Leader(leader) = self.role() {
            // The election ends before the leader exists, so the votes are handed over here, as in Java.
            let votes = self.leading_vote_set.lock().take();
            if let Some(votes) = votes {
                leader.set_leading_vote_set(votes);
            }
            leader.report_looking_sid(sid);
        }
    }

    fn request_exit(&self, exit_code: ExitCode) {
        self.request_exit(exit_code);
    }
}

impl QuorumPeer {
    /// The addresses of one server, with the configured timeout for probing them.
    fn multiple_addresses(&self, addresses: Vec<InetSocketAddress>) -> MultipleAddresses {
        let timeout_ms = self.settings().multi_address.reachability_check_timeout_ms;
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or_default());
        MultipleAddresses::new(addresses, timeout)
    }
}
