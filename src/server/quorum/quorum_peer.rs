//! A server of an ensemble (Java: server/quorum/QuorumPeer.java).
//!
//! Threads: `QuorumPeer[myid=N](plain=..)(secure=..)` looks for a leader, then follows, leads or observes until that
//! ends, and starts over. Locks: `Leaf` for what other threads read (state, vote, view, role).
//!
//! This file holds the public interface, except start and shutdown, which are with the main loop in [`run`]. The
//! configurations are in [`view`], and what follows from a new one is in [`reconfig`]. Settings are read once, into
//! [`QuorumPeerSettings`]. Elections are in `fast_leader_election`, the roles in `leader`, `follower` and `observer`.
//!
//! Elsewhere: createFromConfig and the setters of configuration are `quorum_peer_settings`; QuorumServer is
//! `quorum_server`; writeLongToFile and readLongFromFile are in `epochs`; makeDynamicConfigFilename is in
//! `quorum_peer_config/config_files`; findLearnerMaster and validateLearnerMaster are in `observer_masters`;
//! startServerCnxnFactory and shutdownServerCnxnFactory are parts of `start` and `shutdown` in [`run`]. What
//! ServerStats shows is `ServerRole::state_name`.
//!
//! Not here: authentication between servers and TLS (initialize), the old election over UDP (ResponderThread), what
//! only JMX shows (quorumStats, getQuorumPeers, getServerState), and what serves Java's tests (checkSuspended,
//! testingQuorumPeer).

mod election_peer;
mod ensemble_context;
mod observer_masters;
mod reconfig;
mod roles;
pub(crate) mod run;
pub(crate) mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use crossbeam::channel::Sender;
use log::info;

use self::observer_masters::ObserverMasters;
use self::view::View;
use super::epochs::{EpochError, Epochs};
use super::flexible::create_quorum_verifier::from_members;
use super::flexible::quorum_verifier::QuorumVerifier;
use super::quorum_peer_config::config_files;
use super::quorum_peer_settings::QuorumPeerSettings;
use super::quorum_server::QuorumServer;
use super::states::{self, LearnerType, ServerState, SyncMode, ZabState};
use super::synced_learner_tracker::SyncedLearnerTracker;
use super::vote::Vote;
use crate::audit::zk_audit_provider::ZKAuditProvider;
use crate::common::config_exception::ConfigError;
use crate::common::net_utils::{self, InetSocketAddress};
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::ids::{PeerEpoch, Sid, Zxid};
use crate::jute::Limits;
use crate::server::admin::admin_context::AdminContext;
use crate::server::admin::admin_server::AdminServer;
use crate::server::auth::provider_registry::ProviderRegistry;
use crate::server::authentication_helper::AuthenticationHelper;
use crate::server::exit_code::ExitCode;
use crate::server::nio_server_cnxn_factory::NIOServerCnxnFactory;
use crate::server::persistence::file_txn_snap_log::RestoreError;
use crate::server::server_cnxn::DisconnectReason;
use crate::server::server_cnxn_factory::ServerCnxnFactory;
use crate::server::server_metrics::ServerMetrics;
use crate::server::server_role::ServerRole;
use crate::server::server_settings::ServerSettings;
use crate::server::server_stats::ServerStats;
use crate::server::util::request_path_metrics_collector::{
    PathStatsConfig, RequestPathMetricsCollector,
};
use crate::server::zk_database::ZKDatabase;
use crate::server::zookeeper_server::access::{AccessConfig, AccessControl};
use crate::server::zookeeper_server::{ServerParts, ZooKeeperServer};
use crate::server::zookeeper_server_listener::ZooKeeperServerListener;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
pub(super) const LOG: &str = "org.apache.zookeeper.server.quorum.QuorumPeer";

/// The parts that a member is built from.
pub struct QuorumPeerParts {
    /// The member's id.
    pub my_id: Sid,
    /// The settings of a member.
    pub settings: QuorumPeerSettings,
    /// The settings of any server.
    pub server_settings: ServerSettings,
    /// All other settings.
    pub properties: SystemProperties,
    /// The clock.
    pub clock: Clock,
    /// The tree and its files.
    pub database: Arc<ZKDatabase>,
    /// The statistics.
    pub stats: Arc<ServerStats>,
    /// The metrics.
    pub metrics: Arc<ServerMetrics>,
    /// The audit log.
    pub audit: Arc<ZKAuditProvider>,
    /// The authentication providers.
    pub providers: Arc<ProviderRegistry>,
    /// The authentication that is enforced.
    pub authentication: AuthenticationHelper,
    /// The factory that accepts client connections.
    pub cnxn_factory: Option<Arc<NIOServerCnxnFactory>>,
    /// The AdminServer.
    pub admin_server: Arc<dyn AdminServer>,
    /// Whether the member is a participant or an observer.
    pub learner_type: LearnerType,
    /// The current configuration.
    pub verifier: Arc<dyn QuorumVerifier>,
    /// The last seen configuration.
    pub last_seen_verifier: Option<Arc<dyn QuorumVerifier>>,
    /// The channel for requests to end the process.
    pub stop: Sender<ExitCode>,
}

/// Why a member cannot use the data on disk.
#[derive(Debug, thiserror::Error)]
pub enum PeerLoadError {
    /// A snapshot or a log is unusable.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A file with an epoch is unusable.
    #[error(transparent)]
    Epoch(#[from] EpochError),
}

/// The state that other threads read.
struct PeerState {
    state: ServerState,
    zab_state: ZabState,
    sync_mode: SyncMode,
    learner_type: LearnerType,
    current_vote: Option<Vote>,
    leader_address: Option<String>,
    leader_id: Option<Sid>,
    /// A reconfiguration has just been committed, so no election is needed after this role.
    reconfig_flag: bool,
    /// Since when this server does not serve, in ms of the clock.
    unavailable_since_ms: Option<i64>,
}

/// A member of an ensemble.
pub struct QuorumPeer {
    me: Weak<Self>,
    parts: QuorumPeerParts,
    state: RankedMutex<PeerState>,
    view: View,
    epochs: Epochs,
    tick: AtomicI32,
    running: AtomicBool,
    election_time_taken_ms: AtomicI64,
    /// A new configuration requires that the next election starts from scratch.
    shutting_down_election: AtomicBool,
    /// The votes that elected this server as leader.
    leading_vote_set: RankedMutex<Option<SyncedLearnerTracker>>,
    observer_masters: ObserverMasters,
    machinery: run::Machinery,
}

impl QuorumPeer {
    /// Whether the server is a participant or an observer.
    #[must_use]
    pub fn learner_type(&self) -> LearnerType {
        self.state.lock().learner_type
    }

    /// The number of voters (Java: getQuorumSize).
    #[must_use]
    pub fn quorum_size(&self) -> usize {
        self.quorum_verifier().members().voting_members().count()
    }

    /// The member's id.
    #[must_use]
    pub const fn my_id(&self) -> Sid {
        self.parts.my_id
    }

    /// The member's settings.
    #[must_use]
    pub const fn settings(&self) -> &QuorumPeerSettings {
        &self.parts.settings
    }

    /// All other settings.
    #[must_use]
    pub const fn properties(&self) -> &SystemProperties {
        &self.parts.properties
    }

    /// The clock.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    /// The metrics.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<ServerMetrics> {
        &self.parts.metrics
    }

    /// The current vote: the candidate, or the leader.
    #[must_use]
    pub fn current_vote(&self) -> Option<Vote> {
        self.state.lock().current_vote
    }

    /// Sets the current vote.
    pub fn set_current_vote(&self, vote: Vote) {
        self.state.lock().current_vote = Some(vote);
    }

    /// Sets the server's state.
    pub fn set_peer_state(&self, new: ServerState) {
        {
            let mut state = self.state.lock();
            state.state = new;
            if new == ServerState::Looking {
                state.leader_address = None;
                state.leader_id = None;
                state.zab_state = ZabState::Election;
            }
        }
        self.log_state();
    }

    /// Sets the phase; broadcast ends the time without service.
    pub fn set_zab_state(&self, new: ZabState) {
        let (unavailable, leads) = {
            let mut state = self.state.lock();
            state.zab_state = new;
            let since = match new {
                ZabState::Broadcast => state.unavailable_since_ms.take(),
                _ => None,
            };
            (since, state.state == ServerState::Leading)
        };
        if let Some(since_ms) = unavailable {
            let time_ms = self.clock().elapsed_ms() - since_ms;
            self.metrics().unavailable_time.add(time_ms);
            if leads {
                self.metrics().leader_unavailable_time.add(time_ms);
            }
        }
        self.log_state();
    }

    /// Sets how the server takes over the leader's history.
    pub fn set_sync_mode(&self, mode: SyncMode) {
        self.state.lock().sync_mode = mode;
        self.log_state();
    }

    fn log_state(&self) {
        info!(target: LOG, "Peer state changed: {}", self.detailed_peer_state());
    }

    /// The current phase of the protocol.
    #[must_use]
    pub fn zab_state(&self) -> ZabState {
        self.state.lock().zab_state
    }

    /// How the server takes over the leader's history.
    #[must_use]
    pub fn sync_mode(&self) -> SyncMode {
        self.state.lock().sync_mode
    }

    /// Sets the leader's address and id, for status queries.
    pub fn set_leader_address_and_id(&self, address: Option<String>, id: Option<Sid>) {
        let mut state = self.state.lock();
        state.leader_address = address;
        state.leader_id = id;
    }

    /// The leader's address and id.
    #[must_use]
    pub fn leader_address_and_id(&self) -> (Option<String>, Option<Sid>) {
        let state = self.state.lock();
        (state.leader_address.clone(), state.leader_id)
    }

    /// The state, the phase and the sync mode, in the format of `mntr`.
    #[must_use]
    pub fn detailed_peer_state(&self) -> String {
        let state = self.state.lock();
        states::detailed_peer_state(state.state, state.zab_state, state.sync_mode)
    }

    // --- state

    /// The server's state.
    #[must_use]
    pub fn peer_state(&self) -> ServerState {
        self.state.lock().state
    }

    /// Resolves a member's host names again, since they may have changed.
    pub fn recreate_socket_addresses(&self, id: Sid) {
        let prefer_ipv6 = self.properties().bool("java.net.preferIPv6Addresses");
        self.view.recreate_socket_addresses(id, &|host| net_utils::resolve_host(host, prefer_ipv6));
    }

    /// The addresses that learners connect to while this server leads.
    #[must_use]
    pub fn quorum_addresses(&self) -> Vec<InetSocketAddress> {
        self.view.me().map(|me| me.addresses).unwrap_or_default()
    }

    /// The election addresses of this server.
    #[must_use]
    pub fn election_addresses(&self) -> Vec<InetSocketAddress> {
        self.view.me().map(|me| me.election_addresses).unwrap_or_default()
    }

    /// A member that is not started yet.
    #[must_use]
    pub fn new(parts: QuorumPeerParts) -> Arc<Self> {
        let state = PeerState {
            state: ServerState::Looking,
            zab_state: ZabState::Election,
            sync_mode: SyncMode::None,
            learner_type: parts.learner_type,
            current_vote: None,
            leader_address: None,
            leader_id: None,
            reconfig_flag: false,
            unavailable_since_ms: None,
        };
        let last_seen = parts.last_seen_verifier.clone();
        let peer = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            state: RankedMutex::new(Rank::Leaf, "state of the peer", state),
            view: View::new(parts.my_id, Arc::clone(&parts.verifier), last_seen),
            epochs: Epochs::new(parts.database.snap_dir()),
            tick: AtomicI32::new(0),
            running: AtomicBool::new(true),
            election_time_taken_ms: AtomicI64::new(-1),
            shutting_down_election: AtomicBool::new(false),
            leading_vote_set: RankedMutex::new(Rank::Leaf, "votes for this leader", None),
            observer_masters: ObserverMasters::new(),
            machinery: run::Machinery::new(Arc::clone(&parts.clock)),
            parts,
        });
        peer.forget_old_next_config();
        peer
    }

    /// Loads the tree and the epochs from disk (Java: loadDataBase).
    ///
    /// # Errors
    /// When data is damaged, missing, or inconsistent.
    pub fn load_data_base(&self) -> Result<(), PeerLoadError> {
        self.database().load_data_base()?;
        self.epochs.load(self.database().last_processed_zxid())?;
        self.init_config_in_zk_database();
        Ok(())
    }

    /// The last zxid of the history, which is first loaded from disk if it is not in memory (Java:
    /// getLastLoggedZxid).
    ///
    /// # Errors
    /// When the data cannot be loaded. The server must not vote then.
    pub fn last_logged_zxid(&self) -> Result<Zxid, PeerLoadError> {
        if !self.database().is_initialized() {
            self.load_data_base()?;
        }
        Ok(self.database().last_processed_zxid())
    }

    // --- the servers of its roles

    /// A new server in that role, with the database that all roles share.
    #[must_use]
    pub fn new_server(&self, role: Arc<dyn ServerRole>) -> Arc<ZooKeeperServer> {
        let parts = &self.parts;
        let mut settings = parts.server_settings.clone();
        settings.server_id = parts.my_id.0;
        parts.stats.restart();
        ZooKeeperServer::new(ServerParts {
            settings,
            role,
            clock: Arc::clone(&parts.clock),
            listener: self.listener(),
            database: Arc::clone(&parts.database),
            stats: Arc::clone(&parts.stats),
            metrics: Arc::clone(&parts.metrics),
            access: AccessControl::new(
                AccessConfig::from_properties(&parts.properties),
                Arc::clone(&parts.providers),
            ),
            authentication: parts.authentication.clone(),
            audit: Arc::clone(&parts.audit),
            path_stats: RequestPathMetricsCollector::new(PathStatsConfig::from_properties(
                &parts.properties,
            )),
        })
    }

    /// All members of the current configuration.
    #[must_use]
    pub fn view(&self) -> BTreeMap<Sid, QuorumServer> {
        self.quorum_verifier().members().servers.clone()
    }

    /// The voters of the current configuration.
    #[must_use]
    pub fn voting_view(&self) -> BTreeMap<Sid, QuorumServer> {
        let verifier = self.quorum_verifier();
        let voters = verifier.members().voting_members();
        voters.map(|server| (server.id, server.clone())).collect()
    }

    /// A member, with its most recently resolved addresses.
    #[must_use]
    pub fn server(&self, id: Sid) -> Option<QuorumServer> {
        self.view.server(id)
    }

    /// The voters of the current and of the last seen configuration.
    #[must_use]
    pub fn current_and_next_config_voters(&self) -> BTreeSet<Sid> {
        self.view.current_and_next_voters()
    }

    /// The number of ticks as leader.
    #[must_use]
    pub fn tick(&self) -> i32 {
        self.tick.load(Ordering::Relaxed)
    }

    /// Counts a tick.
    pub fn increment_tick(&self) {
        self.tick.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the number of ticks.
    pub fn set_tick(&self, tick: i32) {
        self.tick.store(tick, Ordering::Relaxed);
    }

    /// Parses a configuration in the format that members send to each other.
    ///
    /// # Errors
    /// When the text is not a valid configuration.
    pub fn config_from_string(&self, text: &str) -> Result<Arc<dyn QuorumVerifier>, ConfigError> {
        let prefer_ipv6 = self.properties().bool("java.net.preferIPv6Addresses");
        let has_oracle = self.settings().oracle_path.is_some();
        let members = config_files::members_from_text(text, has_oracle, &|host| {
            net_utils::resolve_host(host, prefer_ipv6)
        })?;
        Ok(from_members(members, self.settings().oracle_path.as_deref()))
    }

    // --- the ensemble

    /// The configuration in effect.
    #[must_use]
    pub fn quorum_verifier(&self) -> Arc<dyn QuorumVerifier> {
        self.view.current()
    }

    /// The last seen configuration.
    #[must_use]
    pub fn last_seen_quorum_verifier(&self) -> Option<Arc<dyn QuorumVerifier>> {
        self.view.last_seen()
    }

    /// Sets the server that clients and commands talk to, if any.
    pub fn set_active_server(&self, server: Option<&Arc<ZooKeeperServer>>) {
        if let Some(factory) = &self.parts.cnxn_factory {
            factory.set_zookeeper_server(server.cloned());
            if let Some(server) = server {
                let factory: Arc<dyn ServerCnxnFactory> = Arc::clone(factory) as _;
                server.set_server_cnxn_factory(&factory);
            }
        }
        self.set_admin_server(server);
    }

    /// Sets the server that commands of the AdminServer are about, if any.
    pub fn set_admin_server(&self, server: Option<&Arc<ZooKeeperServer>>) {
        let context = server.map(|server| {
            let context: Arc<dyn AdminContext> = Arc::clone(server) as _;
            Arc::downgrade(&context)
        });
        self.parts.admin_server.set_zookeeper_server(context);
    }

    /// Closes all client connections; the clients then look for another server.
    pub fn close_all_connections(&self) {
        if let Some(factory) = &self.parts.cnxn_factory {
            factory.close_all(DisconnectReason::ServerShutdown);
        }
    }

    /// The listener that ends the process when a critical thread has failed.
    #[must_use]
    pub fn listener(&self) -> Arc<dyn ZooKeeperServerListener> {
        Arc::new(EndProcess {
            stop: self.parts.stop.clone(),
            metrics: Arc::clone(&self.parts.metrics),
        })
    }

    /// Requests the end of the process.
    pub fn request_exit(&self, exit_code: ExitCode) {
        self.listener().notify_stopping("QuorumPeer", exit_code);
    }

    /// The tree and its files, which outlive the roles.
    #[must_use]
    pub const fn database(&self) -> &Arc<ZKDatabase> {
        &self.parts.database
    }

    /// The limits for lengths in received data.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.parts.server_settings.limits
    }

    /// Writes the configuration into its znode.
    pub fn init_config_in_zk_database(&self) {
        let verifier = self.quorum_verifier();
        let (text, version) = (verifier.to_text(), verifier.version());
        let now_ms = self.clock().wall_ms();
        self.database().tree().write().set_config_node(&text, version, now_ms);
    }

    /// Whether the member is running.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    // --- history

    /// The current epoch: its history is on disk.
    #[must_use]
    pub fn current_epoch(&self) -> PeerEpoch {
        self.epochs.current()
    }

    /// The accepted epoch: the server has promised to follow no older one.
    #[must_use]
    pub fn accepted_epoch(&self) -> PeerEpoch {
        self.epochs.accepted()
    }

    /// Sets the current epoch, whose history is on disk.
    ///
    /// # Errors
    /// When it cannot be written to disk.
    pub fn set_current_epoch(&self, epoch: PeerEpoch) -> Result<(), EpochError> {
        self.epochs.set_current(epoch)
    }

    /// Promises to follow no older epoch.
    ///
    /// # Errors
    /// When the promise cannot be written to disk.
    pub fn set_accepted_epoch(&self, epoch: PeerEpoch) -> Result<(), EpochError> {
        self.epochs.set_accepted(epoch)
    }

    /// Sets the epoch of the current vote, so that servers that join later get the same vote from all members.
    pub fn update_election_vote(&self, new_epoch: PeerEpoch) {
        let mut state = self.state.lock();
        if let Some(vote) = &mut state.current_vote {
            vote.peer_epoch = new_epoch;
        }
    }

    /// Sets the duration of the last election.
    pub fn set_election_time_taken_ms(&self, ms: i64) {
        self.election_time_taken_ms.store(ms, Ordering::Relaxed);
    }

    /// The duration of the last election, in ms; -1 before the first one.
    #[must_use]
    pub fn election_time_taken_ms(&self) -> i64 {
        self.election_time_taken_ms.load(Ordering::Relaxed)
    }

    /// Whether the membership may change at run time.
    #[must_use]
    pub fn is_reconfig_enabled(&self) -> bool {
        self.settings().reconfig_enabled
    }
}

/// Ends the process when a critical thread has failed (Java: ZooKeeperServerListenerImpl, ServiceUtils).
struct EndProcess {
    stop: Sender<ExitCode>,
    metrics: Arc<ServerMetrics>,
}

impl ZooKeeperServerListener for EndProcess {
    fn notify_stopping(&self, thread_name: &str, exit_code: ExitCode) {
        self.metrics.unrecoverable_error_count.add(1);
        info!(target: LOG, "Thread {thread_name} exits, error code {}", exit_code.value());
        // A full channel means that the end was requested before.
        let _asked_before = self.stop.try_send(exit_code);
    }
}
