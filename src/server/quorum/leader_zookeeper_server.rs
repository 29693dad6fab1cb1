//! The server of a leader (Java: server/quorum/LeaderZooKeeperServer.java).
//!
//! Chain: LeaderRequestProcessor > Prep > Proposal (> Sync > Ack) > Commit > ToBeApplied > Final. Threads: those of
//! its processors, its session tracker and its container manager. Locks: none of its own.

use std::io;
use std::sync::{Arc, OnceLock, Weak};

use log::{error, info, warn};

use super::ack_request_processor::AckRequestProcessor;
use super::commit_processor::CommitProcessor;
use super::leader_request_processor::LeaderRequestProcessor;
use super::leader_session_tracker::LeaderSessionTracker;
use super::proposal_request_processor::ProposalRequestProcessor;
use super::proposer::Proposer;
use super::quorum_zookeeper_server;
use super::role_peer::RolePeer;
use super::to_be_applied_request_processor::ToBeAppliedRequestProcessor;
use crate::ids::{SessionId, Zxid};
use crate::keeper_exception::KeeperError;
use crate::metrics::gauge::Gauge;
use crate::metrics::metric_value::MetricValue;
use crate::metrics::metrics_provider::DumpSink;
use crate::proto::ReconfigRequest;
use crate::server::admin::admin_context::{
    EnsembleContext, LeaderView, MemberView, ObserversView, ZabStateView,
};
use crate::server::buffer_stats::BufferStats;
use crate::server::container_manager::{ContainerManager, ContainerManagerConfig};
use crate::server::final_request_processor::FinalRequestProcessor;
use crate::server::persistence::file_txn_snap_log::RestoreError;
use crate::server::prep_request_processor::PrepRequestProcessor;
use crate::server::processor_queue::Worker;
use crate::server::request::Request;
use crate::server::request_processor::RequestProcessor;
use crate::server::server_cnxn::ServerCnxn;
use crate::server::server_role::{RoleServer, ServerRole};
use crate::server::session_tracker::{Owner, SessionTracker};
use crate::server::sync_request_processor::SyncRequestProcessor;
use crate::server::zookeeper_server::ZooKeeperServer;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.LeaderZooKeeperServer";

/// How a leader's server differs from other servers.
pub(super) struct LeaderRole {
    peer: Arc<dyn RolePeer>,
    leader: Weak<dyn Proposer>,
    proposal_stats: Arc<BufferStats>,
    tracker: OnceLock<Arc<LeaderSessionTracker>>,
}

impl LeaderRole {
    pub(super) fn new(peer: Arc<dyn RolePeer>, leader: Weak<dyn Proposer>) -> Arc<Self> {
        Arc::new(Self {
            peer,
            leader,
            proposal_stats: Arc::new(BufferStats::new()),
            tracker: OnceLock::new(),
        })
    }

    pub(super) const fn stats(&self) -> &Arc<BufferStats> {
        &self.proposal_stats
    }

    fn gauge(&self, ask: impl Fn(&dyn Proposer) -> i64 + Send + Sync + 'static) -> Arc<dyn Gauge> {
        let leader = Weak::clone(&self.leader);
        Arc::new(move || -> Option<MetricValue> { Some(ask(&*leader.upgrade()?).into()) })
    }
}

fn count(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

impl ServerRole for LeaderRole {
    fn state_name(&self) -> &'static str {
        "leader"
    }

    /// The leader owns the session from now on, until the client moves to a learner.
    fn revalidate_session(
        &self,
        server: &dyn RoleServer,
        cnxn: &Arc<ServerCnxn>,
        session_id: SessionId,
        timeout_ms: i32,
    ) {
        let valid = server.session_tracker().touch_session(session_id, timeout_ms);
        if valid {
            // If the session has just expired, its first request is told so.
            let _expired = server.session_tracker().set_owner(session_id, Owner::LOCAL);
        }
        server.finish_session_init(cnxn, valid);
    }

    fn check_upgrade_session(
        &self,
        request: &Request,
    ) -> Result<Option<Box<Request>>, KeeperError> {
        match self.tracker.get() {
            Some(tracker) => self.peer.check_upgrade_session(&**tracker, request),
            None => Ok(None),
        }
    }

    fn set_local_session_flag(&self, request: &mut Request) {
        if let Some(tracker) = self.tracker.get() {
            let enabled = self.peer.settings().local_sessions_enabled;
            quorum_zookeeper_server::set_local_session_flag(enabled, &**tracker, request);
        }
    }

    /// A leader may have been replaced, so it answers a `sync` only when it knows that it still leads.
    fn orders_syncs(&self) -> bool {
        true
    }

    fn dump_conf(&self, out: &mut String) {
        self.peer.dump_conf(true, out);
    }

    fn dump_monitor_values(&self, sink: &mut DumpSink<'_>) {
        sink("peer_state", self.peer.detailed_peer_state().into());
    }

    fn gauges(&self) -> Vec<(&'static str, Arc<dyn Gauge>)> {
        let peer = Arc::downgrade(&self.peer);
        let quorum_size =
            move || -> Option<MetricValue> { Some(count(peer.upgrade()?.quorum_size()).into()) };
        let size = |which: fn(&BufferStats) -> i32| {
            let stats = Arc::downgrade(&self.proposal_stats);
            let gauge = move || -> Option<MetricValue> {
                Some(i64::from(which(&*stats.upgrade()?)).into())
            };
            Arc::new(gauge) as Arc<dyn Gauge>
        };
        vec![
            ("quorum_size", Arc::new(quorum_size)),
            ("learners", self.gauge(|leader| count(leader.learner_count()))),
            ("synced_followers", self.gauge(|leader| count(leader.synced_followers()))),
            (
                "synced_non_voting_followers",
                self.gauge(|leader| count(leader.synced_non_voting_followers())),
            ),
            ("synced_observers", self.gauge(|leader| count(leader.synced_observers()))),
            ("pending_syncs", self.gauge(|leader| count(leader.pending_syncs()))),
            ("leader_uptime", self.gauge(|leader| leader.uptime_ms())),
            ("last_proposal_size", size(BufferStats::last_buffer_size)),
            ("max_proposal_size", size(BufferStats::max_buffer_size)),
            ("min_proposal_size", size(BufferStats::min_buffer_size)),
        ]
    }

    fn global_outstanding_limit(&self, of_settings: i64) -> i64 {
        let voters = count(self.peer.quorum_size());
        if voters > 2 { of_settings / (voters - 1) } else { of_settings }
    }

    fn proposal_stats(&self) -> Option<Arc<BufferStats>> {
        Some(Arc::clone(&self.proposal_stats))
    }

    fn look_up_hosts(&self, request: &ReconfigRequest) {
        if let Some(leader) = self.leader.upgrade() {
            leader.look_up_hosts(request);
        }
    }

    fn next_config(
        &self,
        request: &ReconfigRequest,
        zxid: Zxid,
        is_allowed: &dyn Fn() -> Result<(), KeeperError>,
    ) -> Result<String, KeeperError> {
        // A leader that has ended proposes nothing, so nobody gets this answer.
        let leader = self.leader.upgrade().ok_or(KeeperError::NewConfigNoQuorum)?;
        leader.next_config(request, zxid, is_allowed)
    }

    fn config_text(&self) -> Option<String> {
        Some(self.peer.config_text())
    }

    fn ensemble(&self) -> Option<&dyn EnsembleContext> {
        Some(self)
    }
}

impl EnsembleContext for LeaderRole {
    fn leader(&self) -> LeaderView {
        self.peer.ensemble().leader()
    }

    fn voting_view(&self) -> Vec<(i64, MemberView)> {
        self.peer.ensemble().voting_view()
    }

    fn zab_state(&self) -> ZabStateView {
        self.peer.ensemble().zab_state()
    }

    fn observers(&self) -> Option<ObserversView> {
        let observers = self.leader.upgrade()?.observer_infos();
        Some(ObserversView { synced_observers: observers.len(), observers })
    }

    fn reset_observer_connection_stats(&self) {
        if let Some(leader) = self.leader.upgrade() {
            leader.reset_observer_stats();
        }
    }
}

/// The parts that run while a leader serves.
struct Running {
    prep: Arc<PrepRequestProcessor>,
    commit_processor: Arc<CommitProcessor>,
    container_manager: ContainerManager,
}

/// The server of a leader.
pub(crate) struct LeaderZooKeeperServer {
    server: Arc<ZooKeeperServer>,
    role: Arc<LeaderRole>,
    running: OnceLock<Running>,
}

impl LeaderZooKeeperServer {
    /// A server that is not started yet.
    pub(super) fn new(peer: Arc<dyn RolePeer>, leader: Weak<dyn Proposer>) -> Self {
        let role = LeaderRole::new(peer, leader);
        let server = role.peer.new_server(Arc::clone(&role) as _);
        Self { server, role, running: OnceLock::new() }
    }

    /// The server itself.
    pub(crate) const fn server(&self) -> &Arc<ZooKeeperServer> {
        &self.server
    }

    pub(super) const fn role(&self) -> &Arc<LeaderRole> {
        &self.role
    }

    /// Loads the data unless it is in memory (Java: loadData).
    ///
    /// # Errors
    /// When files are damaged.
    pub(super) fn load_data(&self) -> Result<Zxid, RestoreError> {
        let database = self.server.zk_database();
        if !database.is_initialized() {
            database.load_data_base()?;
        }
        let last = database.last_processed_zxid();
        self.server.set_zxid(last);
        Ok(last)
    }

    /// Closes unknown sessions that have left ephemeral nodes, with transactions that all members get. Java deletes
    /// these nodes on the leader only, and a learner that syncs with a DIFF keeps them (ZOOKEEPER-5010).
    pub(super) fn close_dead_sessions(&self) {
        for session_id in self.server.zk_database().dead_sessions() {
            warn!(target: LOG, "closing session {session_id}, which is unknown and has ephemeral nodes");
            self.server.close_session(session_id);
        }
    }

    /// Starts to serve (Java: setupRequestProcessors, createSessionTracker, startup).
    ///
    /// # Errors
    /// When a thread cannot be started; then no thread is left running.
    pub(super) fn startup(&self) -> io::Result<Arc<CommitProcessor>> {
        let server = &self.server;
        let (peer, leader) = (&self.role.peer, &self.role.leader);
        let local_sessions = peer.settings().local_sessions_enabled;
        let tracker = LeaderSessionTracker::new(server, peer.my_id(), local_sessions);
        let final_processor = Arc::new(FinalRequestProcessor::new(server));
        let to_be_applied =
            Arc::new(ToBeAppliedRequestProcessor::new(final_processor, Weak::clone(leader)));
        let commit_processor = CommitProcessor::start(server, to_be_applied)?;
        let ack = Arc::new(AckRequestProcessor::new(
            Weak::clone(leader),
            Arc::clone(server.clock()),
            Arc::clone(server.shared_metrics()),
        ));
        let log = server.zk_database().appender(server.settings().snap);
        let sync_processor = SyncRequestProcessor::start(server, log, Some(ack))
            .inspect_err(|_| commit_processor.shutdown())?;
        let proposal = Arc::new(ProposalRequestProcessor::new(
            server,
            peer.properties(),
            Weak::clone(leader),
            Arc::clone(&commit_processor),
            Arc::clone(&sync_processor),
        ));
        let prep = PrepRequestProcessor::start(server, Arc::clone(&proposal) as _)
            .inspect_err(|_| proposal.shutdown())?;
        let first: Arc<dyn RequestProcessor> =
            Arc::new(LeaderRequestProcessor::new(server, Arc::clone(&prep) as _));
        // Start the throttler last, since nothing would end it if a later step failed.
        let started = tracker
            .start(&server.listener())
            .and_then(|()| server.start_request_throttler(peer.properties()));
        if let Err(problem) = started {
            tracker.shutdown();
            first.shutdown();
            return Err(problem);
        }
        let _first_time = self.role.tracker.set(Arc::clone(&tracker));
        server.startup(tracker, first);
        if server.is_snapshot_due_after_start() {
            sync_processor.start_snapshot(server);
        }
        let container_manager = ContainerManager::new(
            ContainerManagerConfig::from_properties(peer.properties()),
            Arc::clone(server) as _,
            Arc::clone(server.clock()),
        );
        if let Err(problem) = container_manager.start() {
            error!(target: LOG, "containers and TTL nodes will not be deleted: {problem}");
        }
        let running = Running { prep, commit_processor, container_manager };
        let running = self.running.get_or_init(|| running);
        Ok(Arc::clone(&running.commit_processor))
    }

    /// Submits the requests of learners (Java: submitLearnerRequest). The caller holds no lock, and flushes later.
    pub(super) fn submit_learner_requests(&self, requests: &mut Vec<Box<Request>>) {
        match self.running.get().filter(|_| self.server.is_running()) {
            Some(running) => running.prep.process_requests(requests),
            None => requests.clear(),
        }
    }

    /// Completes everything that the processors hold. The caller holds no lock.
    pub(super) fn flush(&self) {
        if let Some(running) = self.running.get() {
            running.prep.flush(Worker::Caller);
        }
    }

    /// Applies what is committed. The caller holds no lock, except perhaps the log's.
    pub(super) fn flush_commits(&self) {
        if let Some(running) = self.running.get() {
            running.commit_processor.flush(Worker::Caller);
        }
    }

    /// Java: checkIfValidGlobalSession, touch and setOwner for a learner's client.
    pub(super) fn revalidate(&self, owner: Owner, id: SessionId, timeout_ms: i32) -> bool {
        let Some(tracker) = self.role.tracker.get() else { return false };
        let valid = tracker.is_valid_global_session(id, timeout_ms);
        if valid && tracker.set_owner(id, owner).is_err() {
            info!(target: LOG, "session {id} expired right after being renewed");
        }
        valid
    }

    pub(super) fn touch(&self, id: SessionId, timeout_ms: i32) {
        if let Some(tracker) = self.role.tracker.get() {
            // The result does not matter: a session that is gone was closed meanwhile.
            let _lives = tracker.touch_session(id, timeout_ms);
        }
    }

    /// Shuts the server down and joins its threads.
    pub(super) fn shutdown(&self) {
        if let Some(running) = self.running.get() {
            running.container_manager.stop();
        }
        self.server.shutdown();
    }
}
