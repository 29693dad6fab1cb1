//! The peer, as a leader, a learner and the servers of all roles see it (no Java twin: they have the QuorumPeer
//! itself).

use std::sync::Arc;

use super::epochs::{EpochError, Promises};
use super::quorum_peer_settings::QuorumPeerSettings;
use super::states::{ServerState, ZabState};
use super::upgradeable_session_tracker::UpgradeableSessionTracker;
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::ids::{PeerEpoch, Sid};
use crate::jute::Limits;
use crate::keeper_exception::KeeperError;
use crate::server::admin::admin_context::EnsembleContext;
use crate::server::request::Request;
use crate::server::server_metrics::ServerMetrics;
use crate::server::server_role::ServerRole;
use crate::server::zk_database::ZKDatabase;
use crate::server::zookeeper_server::ZooKeeperServer;

/// The peer that a role belongs to. Its promise to follow no older epoch is on disk when
/// [`set_accepted_epoch`](Promises::set_accepted_epoch) returns.
pub trait RolePeer: Promises + Send + Sync {
    /// The peer's id.
    fn my_id(&self) -> Sid;

    /// The settings of the member.
    fn settings(&self) -> &QuorumPeerSettings;

    /// All other settings.
    fn properties(&self) -> &SystemProperties;

    /// The clock.
    fn clock(&self) -> &Clock;

    /// The metrics.
    fn metrics(&self) -> &Arc<ServerMetrics>;

    /// The tree and its files, which outlive the role.
    fn database(&self) -> &Arc<ZKDatabase>;

    /// The limits for lengths in received data.
    fn limits(&self) -> Limits;

    /// Whether the peer is running.
    fn is_running(&self) -> bool;

    /// The peer's state.
    fn peer_state(&self) -> ServerState;

    /// Sets the current phase of the protocol.
    fn set_zab_state(&self, state: ZabState);

    /// Sets the leader's address and id, for status queries.
    fn set_leader_address_and_id(&self, address: Option<String>, id: Option<Sid>);

    /// Sets the epoch of the current vote.
    fn update_election_vote(&self, epoch: PeerEpoch);

    /// The current epoch: its history is on disk.
    fn current_epoch(&self) -> PeerEpoch;

    /// Sets the current epoch, once its history is on disk. The epoch is on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    fn set_current_epoch(&self, epoch: PeerEpoch) -> Result<(), EpochError>;

    /// The accepted epoch: the peer has promised to follow no older one.
    fn accepted_epoch(&self) -> PeerEpoch;

    /// A new server in that role, with the shared database.
    fn new_server(&self, role: Arc<dyn ServerRole>) -> Arc<ZooKeeperServer>;

    /// Sets the server that clients and commands talk to, if any.
    fn set_active_server(&self, server: Option<&Arc<ZooKeeperServer>>);

    /// Sets the server that commands of the AdminServer are about, if any. A leader that does not serve clients has
    /// one, too.
    fn set_admin_server(&self, server: Option<&Arc<ZooKeeperServer>>);

    /// Closes the connections of all clients.
    fn close_all_connections(&self);

    /// The request that must precede this one to upgrade a local session (Java: checkUpgradeSession).
    ///
    /// # Errors
    /// The reason why this request is refused.
    fn check_upgrade_session(
        &self,
        tracker: &dyn UpgradeableSessionTracker,
        request: &Request,
    ) -> Result<Option<Box<Request>>, KeeperError>;

    /// Appends the member's part of the output of `conf`, perhaps with the members of the ensemble.
    fn dump_conf(&self, with_membership: bool, out: &mut String);

    /// The text of the configuration in effect.
    fn config_text(&self) -> String;

    /// The number of voters.
    fn quorum_size(&self) -> usize;

    /// The state and the phase, as `mntr` shows them.
    fn detailed_peer_state(&self) -> String;

    /// The member's data for the AdminServer.
    fn ensemble(&self) -> &dyn EnsembleContext;
}
