//! The common part of the servers of followers and observers (Java: server/quorum/LearnerZooKeeperServer.java).
//!
//! Threads and locks: none of its own.

use std::io;
use std::sync::{Arc, OnceLock, Weak};

use super::leader_link::LeaderLink;
use super::learner_session_tracker::{LearnerSessionTracker, LearnerSessionTrackerParts};
use super::quorum_zookeeper_server;
use super::role_peer::RolePeer;
use super::upgradeable_session_tracker::UpgradeableSessionTracker;
use crate::ids::SessionId;
use crate::keeper_exception::KeeperError;
use crate::metrics::gauge::Gauge;
use crate::metrics::metric_value::MetricValue;
use crate::metrics::metrics_provider::DumpSink;
use crate::server::admin::admin_context::EnsembleContext;
use crate::server::request::Request;
use crate::server::request_processor::RequestProcessor;
use crate::server::server_cnxn::ServerCnxn;
use crate::server::server_role::{RoleServer, ServerRole};
use crate::server::session_tracker::{SessionExpirer, SessionTracker};
use crate::server::zookeeper_server::ZooKeeperServer;

/// The state name of a follower.
pub(super) const FOLLOWER: &str = "follower";

/// The state name of an observer.
pub(super) const OBSERVER: &str = "observer";

/// How a learner's server differs from other servers.
pub(super) struct LearnerRole {
    peer: Arc<dyn RolePeer>,
    link: Arc<LeaderLink>,
    state_name: &'static str,
    tracker: OnceLock<Arc<LearnerSessionTracker>>,
}

impl LearnerRole {
    pub(super) fn new(
        peer: Arc<dyn RolePeer>,
        link: Arc<LeaderLink>,
        state_name: &'static str,
    ) -> Arc<Self> {
        let tracker = OnceLock::new();
        Arc::new(Self { peer, link, state_name, tracker })
    }

    pub(super) const fn link(&self) -> &Arc<LeaderLink> {
        &self.link
    }

    pub(super) fn tracker(&self) -> Option<&Arc<LearnerSessionTracker>> {
        self.tracker.get()
    }

    /// Whether transactions are logged on this server.
    pub(super) fn writes_log(&self) -> bool {
        self.state_name == FOLLOWER || self.peer.settings().sync_enabled
    }

    /// Creates the tracker for the sessions of the history that was just taken over (Java: createSessionTracker).
    pub(super) fn create_session_tracker(
        &self,
        server: &Arc<ZooKeeperServer>,
    ) -> Arc<LearnerSessionTracker> {
        let create = || {
            let expirer: Weak<dyn SessionExpirer> = Arc::downgrade(server) as _;
            LearnerSessionTracker::new(LearnerSessionTrackerParts {
                expirer,
                sessions_with_timeouts: server.zk_database().sessions_with_timeouts(),
                tick_time_ms: server.settings().tick_time_ms,
                server_id: self.peer.my_id(),
                local_sessions_enabled: self.peer.settings().local_sessions_enabled,
                clock: Arc::clone(server.clock()),
                metrics: Arc::clone(server.shared_metrics()),
            })
        };
        Arc::clone(self.tracker.get_or_init(create))
    }

    /// Starts the server with its first processor.
    ///
    /// # Errors
    /// When a thread cannot be started; then the server has not started.
    pub(super) fn startup(
        &self,
        server: &Arc<ZooKeeperServer>,
        tracker: &Arc<LearnerSessionTracker>,
        first: Arc<dyn RequestProcessor>,
    ) -> io::Result<()> {
        tracker.start(server.listener())?;
        server
            .start_request_throttler(self.peer.properties())
            .inspect_err(|_| tracker.shutdown())?;
        server.startup(Arc::clone(tracker) as _, first);
        Ok(())
    }
}

impl ServerRole for LearnerRole {
    fn state_name(&self) -> &'static str {
        self.state_name
    }

    /// Only the leader knows whether a global session is alive.
    fn revalidate_session(
        &self,
        server: &dyn RoleServer,
        cnxn: &Arc<ServerCnxn>,
        session_id: SessionId,
        timeout_ms: i32,
    ) {
        if self.tracker().is_some_and(|tracker| tracker.is_local_session(session_id)) {
            let valid = server.session_tracker().touch_session(session_id, timeout_ms);
            server.finish_session_init(cnxn, valid);
        } else {
            self.link.validate_session(cnxn, session_id, timeout_ms);
        }
    }

    fn check_upgrade_session(
        &self,
        request: &Request,
    ) -> Result<Option<Box<Request>>, KeeperError> {
        match self.tracker() {
            Some(tracker) => self.peer.check_upgrade_session(&**tracker, request),
            None => Ok(None),
        }
    }

    fn set_local_session_flag(&self, request: &mut Request) {
        if let Some(tracker) = self.tracker() {
            let enabled = self.peer.settings().local_sessions_enabled;
            quorum_zookeeper_server::set_local_session_flag(enabled, &**tracker, request);
        }
    }

    /// A follower's share of the leader's limit (Java: FollowerZooKeeperServer.getGlobalOutstandingLimit).
    fn global_outstanding_limit(&self, of_settings: i64) -> i64 {
        let voters = i64::try_from(self.peer.quorum_size()).unwrap_or(i64::MAX);
        let sharers = if self.state_name == FOLLOWER && voters > 2 { voters - 1 } else { 1 };
        of_settings / sharers
    }

    /// The leader knows when everything before a `sync` is committed.
    fn orders_syncs(&self) -> bool {
        true
    }

    /// Java: dumpMonitorValues of QuorumZooKeeperServer and ObserverZooKeeperServer.
    fn dump_monitor_values(&self, sink: &mut DumpSink<'_>) {
        sink("peer_state", self.peer.detailed_peer_state().into());
        if self.state_name == OBSERVER {
            let master = self.peer.ensemble().learner_master();
            sink("observer_master_id", master.unwrap_or(-1).into());
        }
    }

    fn gauges(&self) -> Vec<(&'static str, Arc<dyn Gauge>)> {
        let peer = Arc::downgrade(&self.peer);
        let quorum_size = move || -> Option<MetricValue> {
            Some(i64::try_from(peer.upgrade()?.quorum_size()).ok()?.into())
        };
        let mut gauges: Vec<(_, Arc<dyn Gauge>)> = vec![("quorum_size", Arc::new(quorum_size))];
        if self.state_name == FOLLOWER {
            // Only a follower that serves observers has a value; without a value, Prometheus shows 0.
            let peer = Arc::downgrade(&self.peer);
            let synced_observers = move || -> Option<MetricValue> {
                let observers = peer.upgrade()?.ensemble().observers()?;
                Some(i64::try_from(observers.synced_observers).ok()?.into())
            };
            gauges.push(("synced_observers", Arc::new(synced_observers)));
        }
        gauges
    }

    fn dump_conf(&self, out: &mut String) {
        self.peer.dump_conf(true, out);
    }

    fn config_text(&self) -> Option<String> {
        Some(self.peer.config_text())
    }

    fn ensemble(&self) -> Option<&dyn EnsembleContext> {
        Some(self.peer.ensemble())
    }
}
