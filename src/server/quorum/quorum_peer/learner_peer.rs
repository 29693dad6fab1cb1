//! The peer as a learner sees it (no Java twin: Learner asks QuorumPeer itself).
//!
//! Threads and locks: the peer's.

use std::io;
use std::sync::Arc;

use super::{QuorumPeer, SyncMode, ZabState};
use crate::common::config_exception::ConfigError;
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::ids::{PeerEpoch, Sid, Zxid};
use crate::jute::Limits;
use crate::keeper_exception::KeeperError;
use crate::server::admin::command::EnsembleContext;
use crate::server::exit_code::ExitCode;
use crate::server::quorum::flexible::quorum_verifier;
use crate::server::quorum::learner::{LearnerPeer, LearnerSettings};
use crate::server::quorum::quorum_peer::quorum_server::QuorumServer;
use crate::server::quorum::quorum_zookeeper_server;
use crate::server::quorum::upgradeable_session_tracker::UpgradeableSessionTracker;
use crate::server::request::Request;
use crate::server::server_metrics::ServerMetrics;
use crate::server::server_role::ServerRole;
use crate::server::zk_database::ZKDatabase;
use crate::server::zookeeper_server::ZooKeeperServer;

impl LearnerPeer for QuorumPeer {
    fn my_id(&self) -> Sid {
        self.my_id()
    }

    fn learner_settings(&self) -> LearnerSettings {
        let settings = self.settings();
        LearnerSettings {
            tick_time_ms: settings.tick_time_ms,
            init_limit_ticks: settings.init_limit_ticks,
            sync_limit_ticks: settings.sync_limit_ticks,
            connect_to_learner_master_limit_ticks: settings.connect_to_learner_master_limit_ticks,
            sync_enabled: settings.sync_enabled,
            local_sessions_enabled: settings.local_sessions_enabled,
            reconfig_enabled: settings.reconfig_enabled,
        }
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

    fn set_zab_state(&self, state: ZabState) {
        self.set_zab_state(state);
    }

    fn set_sync_mode(&self, mode: SyncMode) {
        self.set_sync_mode(mode);
    }

    fn elected_leader(&self) -> Option<QuorumServer> {
        let id = self.current_vote()?.id;
        // Its addresses may have changed since the last lookup.
        self.recreate_socket_addresses(id);
        self.server(id)
    }

    fn set_leader_address_and_id(&self, address: Option<String>, id: Option<Sid>) {
        self.set_leader_address_and_id(address, id);
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

    fn update_election_vote(&self, epoch: PeerEpoch) {
        self.update_election_vote(epoch);
    }

    fn current_epoch(&self) -> PeerEpoch {
        self.current_epoch()
    }

    fn set_current_epoch(&self, epoch: PeerEpoch) -> io::Result<()> {
        self.set_current_epoch(epoch).map_err(io::Error::other)
    }

    fn accepted_epoch(&self) -> PeerEpoch {
        self.accepted_epoch()
    }

    fn set_accepted_epoch(&self, epoch: PeerEpoch) -> io::Result<()> {
        self.set_accepted_epoch(epoch).map_err(io::Error::other)
    }

    fn last_logged_zxid(&self) -> io::Result<Zxid> {
        self.last_logged_zxid().map_err(io::Error::other)
    }

    fn set_active_server(&self, server: Option<&Arc<ZooKeeperServer>>) {
        self.set_active_server(server);
    }

    fn close_all_connections(&self) {
        self.close_all_connections();
    }

    fn new_server(&self, role: Arc<dyn ServerRole>) -> Arc<ZooKeeperServer> {
        self.new_server(role)
    }

    fn request_exit(&self, exit_code: ExitCode) {
        self.request_exit(exit_code);
    }

    fn check_upgrade_session(
        &self,
        tracker: &dyn UpgradeableSessionTracker,
        request: &Request,
    ) -> Result<Option<Box<Request>>, KeeperError> {
        quorum_zookeeper_server::check_upgrade_session(self, tracker, self.limits(), request)
    }

    fn dump_conf(&self, out: &mut String) {
        quorum_zookeeper_server::dump_conf(self, true, out);
    }

    fn is_spare(&self, leader: Sid) -> bool {
        quorum_verifier::is_spare(&*self.quorum_verifier(), leader, self.my_id())
    }

    fn quorum_size(&self) -> usize {
        self.quorum_size()
    }

    fn ensemble(&self) -> &dyn EnsembleContext {
        self
    }

    fn detailed_peer_state(&self) -> String {
        self.detailed_peer_state()
    }
}
