//! The sessions that only this server knows (Java: server/quorum/LocalSessionTracker.java).

use std::io;
use std::sync::{Arc, Weak};

use crate::common::time::Clock;
use crate::ids::{SessionId, Sid};
use crate::server::server_metrics::ServerMetrics;
use crate::server::session_tracker::{SessionExpirer, SessionTracker};
use crate::server::session_tracker_impl::SessionTrackerImpl;
use crate::server::sessions_with_timeouts::SessionsWithTimeouts;
use crate::server::zookeeper_server_listener::ZooKeeperServerListener;

/// Tracks and expires local sessions, with its own thread.
pub(crate) struct LocalSessionTracker {
    tracker: Arc<SessionTrackerImpl>,
    sessions: SessionsWithTimeouts,
}

impl LocalSessionTracker {
    /// A tracker without sessions; nothing expires before [`start`](Self::start).
    #[must_use]
    pub(crate) fn new(
        expirer: Weak<dyn SessionExpirer>,
        tick_time_ms: i32,
        server_id: Sid,
        clock: Clock,
        metrics: Arc<ServerMetrics>,
    ) -> Self {
        let sessions = SessionsWithTimeouts::default();
        let tracker = SessionTrackerImpl::new(
            expirer,
            sessions.clone(),
            tick_time_ms,
            server_id,
            clock,
            metrics,
        );
        Self { tracker: Arc::new(tracker), sessions }
    }

    /// Starts to expire sessions.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(&self, listener: Arc<dyn ZooKeeperServerListener>) -> io::Result<()> {
        self.tracker.start(listener)
    }

    /// The underlying tracker.
    #[must_use]
    pub(crate) fn tracker(&self) -> &SessionTrackerImpl {
        &self.tracker
    }

    /// Creates a session, which is known at once.
    #[must_use]
    pub(crate) fn create_session(&self, timeout_ms: i32) -> SessionId {
        let id = self.tracker.create_session(timeout_ms);
        self.tracker.commit_session(id, timeout_ms);
        id
    }

    /// Whether the session is local.
    #[must_use]
    pub(crate) fn is_local_session(&self, id: SessionId) -> bool {
        self.tracker.is_tracking_session(id)
    }

    /// Removes a session that becomes a global one, and returns its timeout. `None` if another thread was first.
    #[must_use]
    pub(crate) fn take(&self, id: SessionId) -> Option<i32> {
        let timeout_ms = self.sessions.remove(id)?;
        self.tracker.remove_session(id);
        Some(timeout_ms)
    }

    /// All local sessions.
    #[must_use]
    pub(crate) fn sessions(&self) -> &SessionsWithTimeouts {
        &self.sessions
    }
}
