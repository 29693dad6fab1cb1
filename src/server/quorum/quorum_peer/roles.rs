//! The peer as its roles and their servers see it (no Java twin: they have the QuorumPeer itself).
//!
//! Threads and locks: the peer's.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::QuorumPeer;
use crate::common::config_exception::ConfigError;
use crate::common::net_utils::InetSocketAddress;
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::ids::{PeerEpoch, Sid, Zxid};
use crate::jute::Limits;
use crate::keeper_exception::KeeperError;
use crate::server::admin::admin_context::EnsembleContext;
use crate::server::exit_code::ExitCode;
use crate::server::quorum::epochs::{EpochError, Promises};
use crate::server::quorum::flexible::quorum_verifier::{self, QuorumVerifier};
use crate::server::quorum::leader::LeaderPeer;
use crate::server::quorum::learner::{LearnerPeer, NextMaster};
use crate::server::quorum::quorum_peer_settings::QuorumPeerSettings;
use crate::server::quorum::quorum_server::QuorumServer;
use crate::server::quorum::quorum_zookeeper_server::{self, MemberConf};
use crate::server::quorum::role_peer::RolePeer;
use crate::server::quorum::states::{ServerState, SyncMode, ZabState};
use crate::server::quorum::upgradeable_session_tracker::UpgradeableSessionTracker;
use crate::server::request::Request;
use crate::server::server_metrics::ServerMetrics;
use crate::server::server_role::ServerRole;
use crate::server::zk_database::ZKDatabase;
use crate::server::zookeeper_server::ZooKeeperServer;

impl Promises for QuorumPeer {
    fn set_accepted_epoch(&self, epoch: PeerEpoch) -> Result<(), EpochError> {
        self.set_accepted_epoch(epoch)
    }
}

impl RolePeer for QuorumPeer {
    fn my_id(&self) -> Sid {
        self.my_id()
    }

    fn settings(&self) -> &QuorumPeerSettings {
        self.settings()
    }

    fn properties(&self) -> &SystemProperties {
        self.properties()
    }

    fn clock(&self) -> &Clock {
        self.clock()
    }

    fn metrics(&self) -> &Arc<ServerMetrics> {
        self.metrics()
    }

    fn database(&self) -> &Arc<ZKDatabase> {
        self.database()
    }

    fn limits(&self) -> Limits {
        self.limits()
    }

    fn is_running(&self) -> bool {
        self.is_running()
    }

    fn peer_state(&self) -> ServerState {
        self.peer_state()
    }

    fn set_zab_state(&self, state: ZabState) {
        self.set_zab_state(state);
    }

    fn set_leader_address_and_id(&self, address: Option<String>, id: Option<Sid>) {
        self.set_leader_address_and_id(address, id);
    }

    fn update_election_vote(&self, epoch: PeerEpoch) {
        self.update_election_vote(epoch);
    }

    fn current_epoch(&self) -> PeerEpoch {
        self.current_epoch()
    }

    fn set_current_epoch(&self, epoch: PeerEpoch) -> Result<(), EpochError> {
        self.set_current_epoch(epoch)
    }

    fn accepted_epoch(&self) -> PeerEpoch {
        self.accepted_epoch()
    }

    fn new_server(&self, role: Arc<dyn ServerRole>) -> Arc<ZooKeeperServer> {
        self.new_server(role)
    }

    fn set_active_server(&self, server: Option<&Arc<ZooKeeperServer>>) {
        self.set_active_server(server);
    }

    fn set_admin_server(&self, server: Option<&Arc<ZooKeeperServer>>) {
        self.set_admin_server(server);
    }

    fn close_all_connections(&self) {
        self.close_all_connections();
    }

    fn check_upgrade_session(
        &self,
        tracker: &dyn UpgradeableSessionTracker,
        request: &Request,
    ) -> Result<Option<Box<Request>>, KeeperError> {
        let enabled = self.settings().local_sessions_upgrading_enabled;
        quorum_zookeeper_server::check_upgrade_session(enabled, tracker, self.limits(), request)
    }

    fn dump_conf(&self, with_membership: bool, out: &mut String) {
        let member = MemberConf {
            init_limit_ticks: self.settings().init_limit_ticks,
            sync_limit_ticks: self.settings().sync_limit_ticks,
            election_addresses: self.election_addresses(),
            quorum_addresses: self.quorum_addresses(),
            learner_type: self.learner_type(),
            membership: with_membership.then(|| self.quorum_verifier().to_text()),
        };
        quorum_zookeeper_server::dump_conf(&member, out);
    }

    fn config_text(&self) -> String {
        self.quorum_verifier().to_text()
    }

    fn quorum_size(&self) -> usize {
        self.quorum_size()
    }

    fn detailed_peer_state(&self) -> String {
        self.detailed_peer_state()
    }

    fn ensemble(&self) -> &dyn EnsembleContext {
        self
    }
}

impl LearnerPeer for QuorumPeer {
    fn set_sync_mode(&self, mode: SyncMode) {
        self.set_sync_mode(mode);
    }

    fn elected_leader(&self) -> Option<QuorumServer> {
        let id = self.current_vote()?.id;
        // Its addresses may have changed since the last lookup.
        self.recreate_socket_addresses(id);
        self.server(id)
    }

    fn config_version(&self) -> i64 {
        self.quorum_verifier().version()
    }

    fn propose_config(&self, text: &str) -> Result<(), ConfigError> {
        let verifier = self.config_from_string(text)?;
        self.set_last_seen_quorum_verifier(&verifier, true);
        Ok(())
    }

    fn activate_config(
        &self,
        text: &str,
        suggested_leader: Option<Sid>,
        zxid: Option<Zxid>,
    ) -> Result<bool, ConfigError> {
        let verifier = self.config_from_string(text)?;
        Ok(self.process_reconfig(&verifier, suggested_leader, zxid, true))
    }

    fn is_reconfig_state_change(&self) -> bool {
        self.state.lock().reconfig_flag
    }

    fn init_config_in_zk_database(&self) {
        self.init_config_in_zk_database();
    }

    fn last_logged_zxid(&self) -> io::Result<Zxid> {
        self.last_logged_zxid().map_err(io::Error::other)
    }

    fn request_exit(&self, exit_code: ExitCode) {
        self.request_exit(exit_code);
    }

    fn quorum_addresses(&self) -> Vec<InetSocketAddress> {
        self.quorum_addresses()
    }

    fn tick(&self) -> i32 {
        self.tick()
    }

    fn verifiers(&self) -> (Arc<dyn QuorumVerifier>, Option<Arc<dyn QuorumVerifier>>) {
        (self.quorum_verifier(), self.last_seen_quorum_verifier())
    }

    fn next_observer_master(&self) -> Option<NextMaster> {
        self.next_observer_master()
    }

    fn requested_learner_master(&self) -> Option<QuorumServer> {
        self.requested_learner_master()
    }

    fn is_learner_master_requested(&self) -> bool {
        self.is_learner_master_requested()
    }

    fn set_current_learner_master(&self, master: Option<&QuorumServer>) {
        self.set_current_learner_master(master);
    }

    fn is_spare(&self, leader: Sid) -> bool {
        quorum_verifier::is_spare(&*self.quorum_verifier(), leader, self.my_id())
    }
}

impl LeaderPeer for QuorumPeer {
    fn quorum_addresses(&self) -> Vec<InetSocketAddress> {
        self.quorum_addresses()
    }

    fn election_time_taken_ms(&self) -> i64 {
        self.election_time_taken_ms()
    }

    fn tick(&self) -> i32 {
        self.tick()
    }

    fn set_tick(&self, tick: i32) {
        self.set_tick(tick);
    }

    fn increment_tick(&self) {
        self.increment_tick();
    }

    fn quorum_verifier(&self) -> Arc<dyn QuorumVerifier> {
        self.quorum_verifier()
    }

    fn last_seen_quorum_verifier(&self) -> Option<Arc<dyn QuorumVerifier>> {
        self.last_seen_quorum_verifier()
    }

    fn set_last_seen_quorum_verifier(&self, verifier: &Arc<dyn QuorumVerifier>, write: bool) {
        self.set_last_seen_quorum_verifier(verifier, write);
    }

    fn config_from_string(&self, text: &str) -> Result<Arc<dyn QuorumVerifier>, ConfigError> {
        self.config_from_string(text)
    }

    fn process_reconfig(
        &self,
        verifier: &Arc<dyn QuorumVerifier>,
        suggested_leader: Option<Sid>,
        zxid: Option<Zxid>,
        restart_election: bool,
    ) -> bool {
        self.process_reconfig(verifier, suggested_leader, zxid, restart_election)
    }

    fn view(&self) -> BTreeMap<Sid, QuorumServer> {
        self.view()
    }
}
