//! `ZooKeeperServer`: the parts of a server that all roles share (Java: server/ZooKeeperServer.java).
//!
//! This file has the public interface: state, start and end, and submitting requests. The modules below it have the
//! rest. What depends on the role is passed in, above all the session tracker and the chain of processors that
//! [`ZooKeeperServer::startup`] gets.
//! Threads: none of its own. Locks: see the modules; this file holds none across a call.
//!
//! Elsewhere: what subclasses override is in `server_role` (getState, validateSession, revalidateSession,
//! checkUpgradeSession), generatePasswd and checkPasswd in `session_password`, checkRequestSizeWhenReceivingMessage in
//! `large_requests`, setupRequestProcessors and startdata in `zookeeper_server_main` and in the servers of the roles.

pub(crate) mod access;
pub(crate) mod admin_context;
pub(crate) mod command_context;
pub(crate) mod connect;
mod containers;
mod eager_acl_check;
pub(crate) mod flush_list;
pub(crate) mod monitor;
pub(crate) mod outstanding_changes;
pub(crate) mod packets;
pub(crate) mod snapshots;
mod throttling;

use std::mem;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use log::{debug, error, info, warn};

use self::access::AccessControl;
use self::flush_list::FlushList;
use self::monitor::MonitorSource;
use self::outstanding_changes::OutstandingChanges;
use super::auth::provider_registry::ProviderRegistry;
use super::authentication_helper::AuthenticationHelper;
use super::blue_throttle::BlueThrottle;
use super::data_tree::DataTree;
use super::ephemeral_type::EphemeralTypes;
use super::large_requests::LargeRequests;
use super::memory_account::{MemoryAccounts, RequestAccount};
use super::processor_queue::Worker;
use super::rate_logger::RateLogger;
use super::request::Request;
use super::request_processor::{Left, RequestProcessor};
use super::request_throttler::RequestThrottler;
use super::server_cnxn::{DisconnectReason, ServerCnxn};
use super::server_cnxn_factory::ServerCnxnFactory;
use super::server_metrics::ServerMetrics;
use super::server_role::ServerRole;
use super::server_settings::ServerSettings;
use super::server_stats::ServerStats;
use super::server_watcher::WatcherRef;
use super::session_tracker::{Owner, Session, SessionExpirer, SessionTracker};
use super::util::request_path_metrics_collector::RequestPathMetricsCollector;
use super::zk_database::ZKDatabase;
use super::zookeeper_server_listener::ZooKeeperServerListener;
use crate::audit::zk_audit_provider::ZKAuditProvider;
use crate::common::path_utils;
use crate::common::time::Clock;
use crate::data::{ACL, Id};
use crate::ids::{SessionId, Zxid};
use crate::jute::Limits;
use crate::keeper_exception::KeeperError;
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::zoo_defs::OpCode;

/// The logger's name in Java.
pub(super) const LOG: &str = "org.apache.zookeeper.server.ZooKeeperServer";

/// The state of a server (Java: ZooKeeperServer.State).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not started.
    Initial = 0,
    /// Serves clients.
    Running = 1,
    /// Has ended.
    Shutdown = 2,
    /// A thread has failed, and the server must end.
    Error = 3,
}

/// The parts from which a server is built.
pub struct ServerParts {
    /// The settings.
    pub settings: ServerSettings,
    /// The behaviour that depends on the role.
    pub role: Arc<dyn ServerRole>,
    /// The clock.
    pub clock: Clock,
    /// Is told when a thread fails without which the server cannot continue.
    pub listener: Arc<dyn ZooKeeperServerListener>,
    /// The tree and its files.
    pub database: Arc<ZKDatabase>,
    /// Counters.
    pub stats: Arc<ServerStats>,
    /// Metrics.
    pub metrics: Arc<ServerMetrics>,
    /// Checks permissions.
    pub access: AccessControl,
    /// Decides whether a client must authenticate first.
    pub authentication: AuthenticationHelper,
    /// The audit log.
    pub audit: Arc<ZKAuditProvider>,
    /// Counts which paths are requested most.
    pub path_stats: Arc<RequestPathMetricsCollector>,
}

/// A server.
pub struct ZooKeeperServer {
    parts: ServerParts,
    state: AtomicU8,
    hzxid: AtomicI64,
    requests_in_process: AtomicI64,
    /// The setting as the role has adapted it, stored at the start because it is read under locks.
    global_outstanding_limit: AtomicI64,
    outstanding_changes: RankedMutex<OutstandingChanges>,
    flush_list: FlushList,
    large_requests: LargeRequests,
    memory: Arc<MemoryAccounts>,
    conn_throttle: BlueThrottle,
    quota_logger: RateLogger,
    session_tracker: OnceLock<Arc<dyn SessionTracker>>,
    first_processor: OnceLock<Arc<dyn RequestProcessor>>,
    request_throttler: OnceLock<RequestThrottler<Box<Request>, Self>>,
    server_cnxn_factory: OnceLock<Weak<dyn ServerCnxnFactory>>,
    /// Held while a snapshot is written.
    snapshot_lock: RankedMutex<()>,
}

impl ZooKeeperServer {
    /// Creates a server that is not started.
    #[must_use]
    pub fn new(parts: ServerParts) -> Arc<Self> {
        let settings = &parts.settings;
        info!(
            target: LOG,
            "Created server with tickTime {} ms minSessionTimeout {} ms maxSessionTimeout {} ms \
             clientPortListenBacklog {} dataLogdir {} snapdir {}",
            settings.tick_time_ms,
            settings.min_session_timeout_ms,
            settings.max_session_timeout_ms,
            settings.listen_backlog,
            parts.database.data_log_dir().display(),
            parts.database.snap_dir().display()
        );
        let limit = settings.global_outstanding_limit;
        Arc::new(Self {
            large_requests: LargeRequests::new(settings.large_requests),
            memory: Arc::new(MemoryAccounts::new(settings.memory)),
            conn_throttle: BlueThrottle::new(
                settings.conn_throttle.clone(),
                Arc::clone(&parts.clock),
            ),
            quota_logger: RateLogger::new(LOG, Arc::clone(&parts.clock)),
            parts,
            state: AtomicU8::new(State::Initial as u8),
            hzxid: AtomicI64::new(0),
            requests_in_process: AtomicI64::new(0),
            global_outstanding_limit: AtomicI64::new(limit),
            outstanding_changes: RankedMutex::new(
                Rank::OutstandingChanges,
                "outstanding changes",
                OutstandingChanges::default(),
            ),
            flush_list: FlushList::default(),
            session_tracker: OnceLock::new(),
            first_processor: OnceLock::new(),
            request_throttler: OnceLock::new(),
            server_cnxn_factory: OnceLock::new(),
            snapshot_lock: RankedMutex::new(Rank::Server, "snapshot", ()),
        })
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &ServerSettings {
        &self.parts.settings
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    /// The listener that is told when a critical thread fails.
    #[must_use]
    pub fn listener(&self) -> Arc<dyn ZooKeeperServerListener> {
        Arc::clone(&self.parts.listener)
    }

    /// The tree and its files.
    #[must_use]
    pub const fn zk_database(&self) -> &Arc<ZKDatabase> {
        &self.parts.database
    }

    /// Counters.
    #[must_use]
    pub fn server_stats(&self) -> &ServerStats {
        &self.parts.stats
    }

    /// Metrics.
    #[must_use]
    pub fn server_metrics(&self) -> &ServerMetrics {
        &self.parts.metrics
    }

    /// The metrics, for the caller to keep.
    #[must_use]
    pub const fn shared_metrics(&self) -> &Arc<ServerMetrics> {
        &self.parts.metrics
    }

    /// The audit log.
    #[must_use]
    pub fn audit(&self) -> &ZKAuditProvider {
        &self.parts.audit
    }

    /// Counts which paths are requested most.
    #[must_use]
    pub fn path_stats(&self) -> &RequestPathMetricsCollector {
        &self.parts.path_stats
    }

    /// The authentication schemes.
    #[must_use]
    pub fn provider_registry(&self) -> &ProviderRegistry {
        self.parts.access.providers()
    }

    /// Checks permissions.
    #[must_use]
    pub const fn access(&self) -> &AccessControl {
        &self.parts.access
    }

    /// How the owner field of a node is interpreted.
    #[must_use]
    pub const fn ephemeral_types(&self) -> EphemeralTypes {
        self.parts.settings.ephemeral_types
    }

    /// The maximum lengths that are accepted in input.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.parts.settings.limits
    }

    /// This server's id in its ensemble, 0 without one.
    #[must_use]
    pub const fn server_id(&self) -> i64 {
        self.parts.settings.server_id
    }

    /// The port at which clients are served; -1 without one (Java: getClientPort).
    #[must_use]
    pub fn client_port(&self) -> i32 {
        self.server_cnxn_factory().map_or(-1, |factory| i32::from(factory.local_port()))
    }

    /// The owner of sessions whose clients are connected here.
    #[must_use]
    pub fn local_owner(&self) -> Owner {
        Owner::LOCAL
    }

    /// Changes that Prep has made and that are not applied yet.
    #[must_use]
    pub const fn outstanding_changes(&self) -> &RankedMutex<OutstandingChanges> {
        &self.outstanding_changes
    }

    /// Connections with something to send.
    #[must_use]
    pub const fn flush_list(&self) -> &FlushList {
        &self.flush_list
    }

    /// Counts the memory of large requests.
    #[must_use]
    pub const fn large_requests(&self) -> &LargeRequests {
        &self.large_requests
    }

    /// Counts the memory of waiting requests and answers.
    #[must_use]
    pub const fn memory(&self) -> &Arc<MemoryAccounts> {
        &self.memory
    }

    /// The throttle for new connections.
    #[must_use]
    pub const fn conn_throttle(&self) -> &BlueThrottle {
        &self.conn_throttle
    }

    /// The sessions.
    ///
    /// # Panics
    /// If called before [`startup`](Self::startup); nothing that needs sessions runs then.
    #[must_use]
    #[expect(clippy::expect_used, reason = "set by startup, before any connection or processor")]
    pub fn session_tracker(&self) -> &Arc<dyn SessionTracker> {
        self.session_tracker.get().expect("the session tracker is set when the server starts")
    }

    /// The factory that accepts the clients.
    #[must_use]
    pub fn server_cnxn_factory(&self) -> Option<Arc<dyn ServerCnxnFactory>> {
        self.server_cnxn_factory.get().and_then(Weak::upgrade)
    }

    /// Sets the factory that accepts the clients. Only the first call has an effect.
    pub fn set_server_cnxn_factory(&self, factory: &Arc<dyn ServerCnxnFactory>) {
        if self.server_cnxn_factory.set(Arc::downgrade(factory)).is_err() {
            debug!(target: LOG, "the connection factory is known already");
        }
    }

    /// The last zxid that was assigned.
    #[must_use]
    pub fn zxid(&self) -> Zxid {
        Zxid(self.hzxid.load(Ordering::Relaxed))
    }

    /// Assigns the next zxid. Only under the lock of the outstanding changes.
    pub(super) fn next_zxid(&self) -> Zxid {
        Zxid(self.hzxid.fetch_add(1, Ordering::Relaxed)).next()
    }

    /// Sets the last zxid, before the start.
    pub fn set_zxid(&self, zxid: Zxid) {
        self.hzxid.store(zxid.0, Ordering::Relaxed);
    }

    /// The state of the server.
    #[must_use]
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Initial,
            1 => State::Running,
            2 => State::Shutdown,
            _ => State::Error,
        }
    }

    /// Changes the state of the server.
    pub fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// Whether it serves clients.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state() == State::Running
    }

    /// The role's name, as `srvr` shows it (Java: getState).
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        self.parts.role.state_name()
    }

    /// The behaviour that depends on the role.
    #[must_use]
    pub fn role(&self) -> &dyn ServerRole {
        &*self.parts.role
    }

    /// Computes the limit of requests under way again, because it depends on the number of voters.
    pub fn update_global_outstanding_limit(&self) {
        let limit =
            self.role().global_outstanding_limit(self.parts.settings.global_outstanding_limit);
        self.global_outstanding_limit.store(limit, Ordering::Relaxed);
    }

    /// Starts to serve with this session tracker and this chain of processors (Java: startup).
    pub fn startup(
        self: &Arc<Self>,
        session_tracker: Arc<dyn SessionTracker>,
        first_processor: Arc<dyn RequestProcessor>,
    ) {
        let is_first = self.session_tracker.set(session_tracker).is_ok()
            && self.first_processor.set(first_processor).is_ok();
        assert!(is_first, "a server starts once");
        self.update_global_outstanding_limit();
        let source: Weak<dyn MonitorSource> = Arc::downgrade(self) as _;
        let context = self.parts.metrics.metrics_provider().root_context();
        monitor::register_metrics(context, &source);
        for (name, gauge) in self.role().gauges() {
            context.register_gauge(name, gauge);
        }
        if let Err(error) = self.parts.path_stats.start() {
            error!(target: LOG, "paths are not counted: {error}");
        }
        self.set_state(State::Running);
    }

    /// Stops the throttler, the session tracker, then the processors from the first to the last, with all their
    /// threads (Java: shutdown). A second call does nothing.
    pub fn shutdown(&self) {
        let was = self.state();
        if !matches!(was, State::Running | State::Error) {
            debug!(target: LOG, "ZooKeeper server is not running, so not proceeding to shutdown!");
            return;
        }
        info!(target: LOG, "Shutting down");
        let context = self.parts.metrics.metrics_provider().root_context();
        monitor::unregister_metrics(context);
        for (name, _) in self.role().gauges() {
            context.unregister_gauge(name);
        }
        if let Some(throttler) = self.request_throttler.get() {
            throttler.shutdown();
        }
        if let Some(tracker) = self.session_tracker.get() {
            tracker.shutdown();
        }
        if let Some(first) = self.first_processor.get() {
            first.shutdown();
        }
        self.parts.path_stats.shutdown();
        self.set_state(State::Shutdown);
    }

    /// The number of clients' requests in the processors.
    #[must_use]
    pub fn in_process(&self) -> i64 {
        self.requests_in_process.load(Ordering::Relaxed)
    }

    /// Called when a client's request has left the processors, answered or not.
    pub(super) fn dec_in_process(&self) {
        self.requests_in_process.fetch_sub(1, Ordering::Relaxed);
        if let Some(throttler) = self.request_throttler.get() {
            throttler.throttle_wake();
        }
    }

    fn throttler_inflight(&self) -> i64 {
        let inflight = self.request_throttler.get().map_or(0, |throttler| throttler.inflight());
        i64::try_from(inflight).unwrap_or(i64::MAX)
    }

    /// The number of clients' requests that are being processed or wait for another one of their session, without
    /// those in the throttler's queue (Java: getInProcess, which has both in its processors).
    pub(super) fn outstanding_requests(&self) -> i64 {
        let connections =
            self.server_cnxn_factory().map_or_else(Vec::new, |factory| factory.connections());
        self.in_process() + connections.iter().map(|cnxn| cnxn.parked_reads()).sum::<i64>()
    }

    /// Called when a request is finished, answered or not.
    pub fn request_finished(&self, request: &Request) {
        self.large_requests.finished(request.large_request_size);
    }

    /// Whether a connection with these pending requests must wait (Java: shouldThrottle). A connection without
    /// pending requests may always send one.
    #[must_use]
    pub fn should_throttle(&self, held: &RequestAccount) -> bool {
        if held.is_empty() {
            return false;
        }
        let limit = self.global_outstanding_limit.load(Ordering::Relaxed);
        self.in_process().max(self.throttler_inflight()) > limit
            || self.memory.are_requests_full()
            || held.bytes() > self.memory.limits().cnxn_request_bytes
    }

    /// Submits requests in order, and flushes the first processor (Java: submitRequest). The caller must hold no
    /// lock.
    pub fn submit_requests(&self, mut requests: Vec<Box<Request>>, by: Worker) -> Left {
        if requests.is_empty() {
            return Left::Nothing;
        }
        match (self.request_throttler.get(), self.first_processor.get()) {
            (Some(throttler), _) => {
                requests.into_iter().for_each(|request| throttler.submit_request(request));
                Left::Nothing
            }
            (None, Some(first)) => {
                // A request that ends a session is handed over alone. All requests before it are in the processors
                // then, and those behind it find that the session is closing.
                while let Some(at) = requests.iter().position(|request| request.ends_session()) {
                    let behind = requests.split_off(at + 1);
                    let end = requests.split_off(at);
                    for group in [mem::replace(&mut requests, behind), end] {
                        self.hand_on(first, group);
                    }
                    first.flush(by);
                }
                self.hand_on(first, requests);
                first.flush(by)
            }
            (None, None) => {
                requests.iter().for_each(|request| self.turn_away(request));
                Left::Nothing
            }
        }
    }

    /// Does what a flush has left, and sends the answers. The caller must hold no lock.
    pub(crate) fn write_log(&self) {
        if let Some(first) = self.first_processor.get() {
            first.flush(Worker::Caller);
        }
        self.flush_list.flush();
    }

    fn hand_on(&self, first: &Arc<dyn RequestProcessor>, mut requests: Vec<Box<Request>>) {
        requests.retain_mut(|request| self.admit(request));
        if !requests.is_empty() {
            first.process_requests(&mut requests);
        }
    }

    /// As [`submit_requests`](Self::submit_requests).
    pub fn submit_request(&self, request: Request) {
        let by = request.cnxn.as_ref().map_or(Worker::Caller, |cnxn| cnxn.worker());
        self.submit_requests(vec![Box::new(request)], by);
    }

    /// Hands a request over to the first processor. The caller must flush the processor (Java: submitRequestNow).
    pub fn submit_request_now(&self, mut request: Box<Request>) {
        match self.first_processor.get() {
            Some(first) if self.admit(&mut request) => first.process_request(request),
            Some(_) => {}
            None => self.turn_away(&request),
        }
    }

    /// Whether a request may enter the processors. If so, it counts as being in process. Otherwise it is finished.
    fn admit(&self, request: &mut Request) -> bool {
        let is_valid = OpCode::try_from(request.op_type).is_ok_and(Request::is_valid);
        let admitted = match &request.cnxn {
            Some(cnxn) if !self.touch(cnxn) => {
                debug!(target: LOG, "Dropping request: no session {} exists", cnxn.session_id());
                false
            }
            Some(cnxn) if !is_valid => {
                info!(target: LOG, "Received packet at server of unknown type {}", request.op_type);
                cnxn.refuse_unknown(request.cxid);
                false
            }
            _ => is_valid && self.is_running(),
        };
        if !admitted {
            self.turn_away(request);
            return false;
        }
        request.hold();
        if let Some(held) = &mut request.held {
            held.set_in_process();
            self.requests_in_process.fetch_add(1, Ordering::Relaxed);
        }
        self.role().set_local_session_flag(request);
        true
    }

    fn turn_away(&self, request: &Request) {
        self.request_finished(request);
        if let Some(cnxn) = &request.cnxn {
            cnxn.abandon_pending();
        }
    }

    /// Records a sign of life of the connection's session. Returns false if there is no such session (Java: touch).
    pub(super) fn touch(&self, cnxn: &ServerCnxn) -> bool {
        let timeout_ms = cnxn.session_timeout_ms();
        match cnxn.session() {
            Some(session) => self.session_tracker().touch(session, timeout_ms),
            None => self.session_tracker().touch_session(cnxn.session_id(), timeout_ms),
        }
    }

    /// Java: SessionTracker.checkSession.
    pub(super) fn check_session(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError> {
        self.session_tracker().check_session(id, owner)
    }

    /// Java: SessionTracker.checkGlobalSession.
    pub(super) fn check_global_session(
        &self,
        id: SessionId,
        owner: Owner,
    ) -> Result<(), KeeperError> {
        self.session_tracker().check_global_session(id, owner)
    }

    /// Whether one of the ids has the permission according to the ACL (Java: checkACL).
    ///
    /// # Errors
    /// [`KeeperError::NoAuth`] when none has.
    pub fn check_acl(
        &self,
        acl: &[ACL],
        perm: i32,
        ids: &[Id],
        path: &str,
        set_acls: Option<&[ACL]>,
    ) -> Result<(), KeeperError> {
        self.parts.access.check_acl(acl, perm, ids, Some(path), set_acls)
    }

    /// Java: PrepRequestProcessor.fixupACL.
    pub(super) fn fixup_acl(
        &self,
        ids: &[Id],
        acl: Option<Vec<ACL>>,
    ) -> Result<Vec<ACL>, KeeperError> {
        self.parts.access.fixup_acl(ids, acl)
    }

    /// Checks whether a write would exceed a hard quota (Java: checkQuota).
    pub(super) fn check_quota(
        &self,
        tree: &DataTree,
        path: &str,
        last_len: Option<usize>,
        len: Option<usize>,
        op: OpCode,
    ) -> Result<(), KeeperError> {
        if !self.parts.settings.enforce_quota {
            return Ok(());
        }
        let bytes = |len: Option<usize>| i64::try_from(len.unwrap_or(0)).unwrap_or(i64::MAX);
        let count_diff = i64::from(op == OpCode::Create);
        let violations = tree
            .quota_violations(path, bytes(len) - bytes(last_len), count_diff)
            .map_err(|invalid| {
                error!(target: LOG, "the quota of {path} cannot be checked: {invalid}");
                KeeperError::MarshallingError
            })?;
        for violation in violations {
            self.quota_logger.rate_limit_log(&violation.message, None);
            if violation.hard {
                if let Some(namespace) = path_utils::top_namespace(path) {
                    self.parts.metrics.quota_exceeded_error_per_namespace.inc(namespace);
                }
                return Err(KeeperError::QuotaExceeded);
            }
        }
        Ok(())
    }

    /// Updates the sessions for a transaction that is about to be applied (Java: processTxnForSessionEvents).
    pub(super) fn process_txn_for_session_events(&self, request: &Request) {
        let tracker = self.session_tracker();
        match OpCode::try_from(request.op_type) {
            Ok(OpCode::CreateSession) => match &request.txn {
                Some(crate::server::util::serialize_utils::TxnBody::CreateSession(txn)) => {
                    let is_new = tracker.commit_session(request.session_id, txn.time_out);
                    debug!(target: LOG, "session {} committed, new: {is_new}", request.session_id);
                }
                _ if request.is_local_session => {}
                other => error!(target: LOG, "*****>>>>> Got {other:?}"),
            },
            Ok(OpCode::CloseSession) => tracker.remove_session(request.session_id),
            _ => {}
        }
    }

    /// Submits a request that closes a session (Java: closeSession).
    pub fn close_session(&self, session_id: SessionId) {
        self.submit_request(self.close_session_request(session_id));
    }

    fn close_session_request(&self, session_id: SessionId) -> Request {
        let no_ids: Arc<[Id]> = Arc::new([]);
        let op = OpCode::CloseSession.code();
        let mut request = Request::new(None, session_id, 0, op, None, no_ids);
        request.create_time_ms = self.clock().elapsed_ms();
        request
    }

    /// Closes the connection of a session that has ended.
    pub(super) fn close_cnxn_of_session(&self, session_id: SessionId, reason: DisconnectReason) {
        if let Some(factory) = self.server_cnxn_factory() {
            factory.close_session(session_id, reason);
        }
    }

    /// Closes connections that hold memory that others need and make no progress, the slowest first: one for each reader
    /// that waits. Does so only at intervals, however many callers there are. The caller must hold no lock.
    pub(super) fn close_stalled(&self) {
        let now_ms = self.clock().elapsed_ms();
        let Some(factory) = self.server_cnxn_factory() else { return };
        if !self.memory.is_time_to_look_for_stalled(now_ms) {
            return;
        }
        let time_to_move = self.memory.time_to_move();
        let stands_still =
            |cnxn: Arc<ServerCnxn>| Some((cnxn.stands_still_for(now_ms, time_to_move)?, cnxn));
        let mut stalled: Vec<_> =
            factory.connections().into_iter().filter_map(stands_still).collect();
        stalled.sort_unstable_by_key(|(time, _)| std::cmp::Reverse(*time));
        for (time, cnxn) in stalled.into_iter().take(self.memory.waiting().max(1)) {
            warn!(
                target: LOG,
                "Closing {cnxn}: others need the memory that it keeps, and for {} ms longer than it may it has neither read \
                 its answers nor sent the rest of its request",
                time.as_millis()
            );
            cnxn.close(DisconnectReason::IoException);
        }
    }

    /// Removes a connection's watches.
    pub(super) fn remove_cnxn(&self, cnxn: &Arc<ServerCnxn>) {
        let watcher = WatcherRef(Arc::clone(cnxn) as _);
        self.parts.database.tree().read().remove_cnxn(&watcher);
    }
}

impl SessionExpirer for ZooKeeperServer {
    fn expire(&self, sessions: &[Arc<Session>]) {
        let end = |session: &Arc<Session>| {
            info!(
                target: LOG,
                "Expiring session {}, timeout of {}ms exceeded",
                session.id(),
                session.timeout_ms()
            );
            Box::new(self.close_session_request(session.id()))
        };
        self.submit_requests(sessions.iter().map(end).collect(), Worker::Caller);
    }
}
