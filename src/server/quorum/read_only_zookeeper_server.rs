//! A server that has no leader and still serves reads to clients that accept this (Java:
//! server/quorum/ReadOnlyZooKeeperServer.java, and roZkMgr of QuorumPeer.run).
//!
//! Threads: `ReadOnlyZooKeeperServerManager`, which starts the server when no leader was found for a while. Locks:
//! `Leaf`, held briefly.

use std::io;
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;

use log::{error, info, warn};

use super::learner_session_tracker::{LearnerSessionTracker, LearnerSessionTrackerParts};
use super::quorum_zookeeper_server;
use super::read_only_request_processor::ReadOnlyRequestProcessor;
use super::role_peer::RolePeer;
use super::states::ServerState;
use super::upgradeable_session_tracker::UpgradeableSessionTracker;
use crate::ids::SessionId;
use crate::server::final_request_processor::FinalRequestProcessor;
use crate::server::request::Request;
use crate::server::server_cnxn::{DisconnectReason, ServerCnxn};
use crate::server::server_role::ServerRole;
use crate::server::session_tracker::{SessionExpirer, SessionTracker};
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::util::sleeper::Sleeper;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.ReadOnlyZooKeeperServer";

/// How long there must be no leader, in ms; at least a tick.
const LEAST_WAIT_MS: i32 = 2000;

/// How a read-only server differs from other servers.
struct ReadOnlyRole {
    peer: Weak<dyn RolePeer>,
    local_sessions_enabled: bool,
    tracker: OnceLock<Arc<LearnerSessionTracker>>,
}

impl ServerRole for ReadOnlyRole {
    fn state_name(&self) -> &'static str {
        "read-only"
    }

    fn is_read_only(&self) -> bool {
        true
    }

    /// There is no leader to sync with; ReadOnlyRequestProcessor refuses the request.
    fn orders_syncs(&self) -> bool {
        true
    }

    /// A global session may still be alive on another server.
    fn validate_session(
        &self,
        cnxn: &ServerCnxn,
        session_id: SessionId,
    ) -> Result<(), DisconnectReason> {
        if self.tracker.get().is_some_and(|tracker| tracker.is_global_session(session_id)) {
            info!(
                target: LOG,
                "Refusing global session reconnection in RO mode /{}", cnxn.remote_socket_address()
            );
            return Err(DisconnectReason::RenewGlobalSessionInRoMode);
        }
        Ok(())
    }

    fn set_local_session_flag(&self, request: &mut Request) {
        if let Some(tracker) = self.tracker.get() {
            quorum_zookeeper_server::set_local_session_flag(
                self.local_sessions_enabled,
                &**tracker,
                request,
            );
        }
    }

    fn dump_conf(&self, out: &mut String) {
        if let Some(peer) = self.peer.upgrade() {
            peer.dump_conf(false, out);
        }
    }
}

/// A server that starts when no leader is found.
pub(crate) struct ReadOnlyZooKeeperServer {
    peer: Arc<dyn RolePeer>,
    sleeper: Sleeper,
    server: RankedMutex<Option<Arc<ZooKeeperServer>>>,
    thread: RankedMutex<Option<JoinHandle<()>>>,
}

impl ReadOnlyZooKeeperServer {
    /// Waits on its own thread, then starts the server if there is still no leader.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(peer: Arc<dyn RolePeer>) -> io::Result<Arc<Self>> {
        info!(target: LOG, "Attempting to start ReadOnlyZooKeeperServer");
        let this = Arc::new(Self {
            sleeper: Sleeper::new(Arc::clone(peer.clock())),
            peer,
            server: RankedMutex::new(Rank::Leaf, "read-only server", None),
            thread: RankedMutex::new(Rank::Leaf, "manager of the read-only server", None),
        });
        let manager = Arc::clone(&this);
        let thread = zookeeper_thread::spawn("ReadOnlyZooKeeperServerManager", None, move || {
            let wait_ms = LEAST_WAIT_MS.max(manager.peer.settings().tick_time_ms);
            let end_ms = manager.peer.clock().elapsed_ms() + i64::from(wait_ms);
            let waited = manager.sleeper.sleep_until(end_ms);
            if waited && manager.peer.peer_state() == ServerState::Looking {
                manager.startup();
            }
            Ok::<(), io::Error>(())
        })?;
        *this.thread.lock() = Some(thread);
        Ok(this)
    }

    fn startup(&self) {
        let peer = &self.peer;
        let role = Arc::new(ReadOnlyRole {
            peer: Arc::downgrade(peer),
            local_sessions_enabled: peer.settings().local_sessions_enabled,
            tracker: OnceLock::new(),
        });
        let server = peer.new_server(Arc::clone(&role) as _);
        let expirer: Weak<dyn SessionExpirer> = Arc::downgrade(&server) as _;
        let tracker = LearnerSessionTracker::new(LearnerSessionTrackerParts {
            expirer,
            sessions_with_timeouts: server.zk_database().sessions_with_timeouts(),
            tick_time_ms: peer.settings().tick_time_ms,
            server_id: peer.my_id(),
            local_sessions_enabled: peer.settings().local_sessions_enabled,
            clock: Arc::clone(peer.clock()),
            metrics: Arc::clone(peer.metrics()),
        });
        // The tracker is set only once for this role.
        let _is_first = role.tracker.set(Arc::clone(&tracker));
        if let Err(problem) = tracker.start(server.listener()) {
            return error!(target: LOG, "FAILED to start ReadOnlyZooKeeperServer: {problem}");
        }
        let final_processor = Arc::new(FinalRequestProcessor::new(&server));
        match ReadOnlyRequestProcessor::start(&server, final_processor) {
            Ok(first) => server.startup(tracker, first),
            Err(problem) => {
                tracker.shutdown();
                return error!(target: LOG, "FAILED to start ReadOnlyZooKeeperServer: {problem}");
            }
        }
        *self.server.lock() = Some(Arc::clone(&server));
        peer.set_active_server(Some(&server));
        info!(target: LOG, "Read-only server started");
    }

    /// Shuts the server down, because there is a leader or the process ends.
    pub(crate) fn shutdown(&self) {
        self.sleeper.stop();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            zookeeper_thread::join(thread);
        }
        let server = self.server.lock().take();
        if let Some(server) = server {
            self.peer.set_active_server(None);
            self.peer.close_all_connections();
            server.shutdown();
            warn!(target: LOG, "Read-only server has ended");
        }
    }
}
