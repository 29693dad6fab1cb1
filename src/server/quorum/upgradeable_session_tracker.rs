//! Local sessions that can become global ones (Java: server/quorum/UpgradeableSessionTracker.java).
//!
//! Locks: `Leaf`, held briefly.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Weak};

use log::info;

use super::local_session_tracker::LocalSessionTracker;
use crate::common::time::Clock;
use crate::ids::{SessionId, Sid};
use crate::server::server_metrics::ServerMetrics;
use crate::server::session_tracker::{SessionExpirer, SessionTracker};
use crate::server::session_tracker_impl::SessionTrackerImpl;
use crate::server::zookeeper_server_listener::ZooKeeperServerListener;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.UpgradeableSessionTracker";

/// The session tracker of a member.
pub trait UpgradeableSessionTracker: SessionTracker {
    /// Whether the session is known to this server only.
    fn is_local_session(&self, id: SessionId) -> bool;

    /// Whether the session is known to the ensemble.
    fn is_global_session(&self, id: SessionId) -> bool;

    /// Turns a local session into an upgrading one and returns its timeout, for the transaction that makes it global.
    /// `None` when the session is not local, or not any more.
    fn upgrade_session(&self, id: SessionId) -> Option<i32>;
}

/// The local sessions of a member; none unless `localSessionsEnabled` is on.
#[derive(Default)]
pub(crate) struct LocalSessions {
    tracker: Option<LocalSessionTracker>,
    /// The sessions whose createSession transaction is in progress.
    upgrading: Option<RankedMutex<BTreeSet<SessionId>>>,
}

impl LocalSessions {
    /// Local sessions are enabled (Java: createLocalSessionTracker).
    #[must_use]
    pub(crate) fn enabled(
        expirer: Weak<dyn SessionExpirer>,
        tick_time_ms: i32,
        server_id: Sid,
        clock: Clock,
        metrics: Arc<ServerMetrics>,
    ) -> Self {
        let tracker = LocalSessionTracker::new(expirer, tick_time_ms, server_id, clock, metrics);
        let upgrading = RankedMutex::new(Rank::Leaf, "sessions on their way up", BTreeSet::new());
        Self { tracker: Some(tracker), upgrading: Some(upgrading) }
    }

    /// Whether local sessions are enabled.
    #[must_use]
    pub(crate) const fn is_enabled(&self) -> bool {
        self.tracker.is_some()
    }

    /// The tracker of the local sessions.
    #[must_use]
    pub(crate) fn tracker(&self) -> Option<&SessionTrackerImpl> {
        self.tracker.as_ref().map(LocalSessionTracker::tracker)
    }

    /// Creates a local session; `None` when local sessions are disabled.
    #[must_use]
    pub(crate) fn create_session(&self, timeout_ms: i32) -> Option<SessionId> {
        self.tracker.as_ref().map(|tracker| tracker.create_session(timeout_ms))
    }

    /// Whether the session is local.
    #[must_use]
    pub(crate) fn is_local_session(&self, id: SessionId) -> bool {
        self.tracker.as_ref().is_some_and(|tracker| tracker.is_local_session(id))
    }

    /// Whether the session is being upgraded.
    #[must_use]
    pub(crate) fn is_upgrading_session(&self, id: SessionId) -> bool {
        self.upgrading.as_ref().is_some_and(|upgrading| upgrading.lock().contains(&id))
    }

    /// The upgrade is complete: the ensemble knows the session.
    pub(crate) fn finished_upgrading(&self, id: SessionId) {
        if let Some(upgrading) = &self.upgrading {
            upgrading.lock().remove(&id);
        }
    }

    /// Removes a session from the local ones. `track` receives its timeout first, so that the session is never
    /// without a tracker (Java: upgradeSession).
    #[must_use]
    pub(crate) fn upgrade_session(&self, id: SessionId, track: impl FnOnce(i32)) -> Option<i32> {
        let (tracker, upgrading) = (self.tracker.as_ref()?, self.upgrading.as_ref()?);
        let timeout_ms = tracker.sessions().timeout_ms(id)?;
        track(timeout_ms);
        upgrading.lock().insert(id);
        // If two requests of the session compete, only one of them upgrades it.
        let taken = tracker.take(id)?;
        info!(target: LOG, "Upgrading session {id}");
        Some(taken)
    }

    /// Removes the session.
    pub(crate) fn remove_session(&self, id: SessionId) {
        if let Some(tracker) = self.tracker() {
            tracker.remove_session(id);
        }
    }

    /// The number of local sessions.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.tracker.as_ref().map_or(0, |tracker| tracker.sessions().len())
    }

    /// The ids of the local sessions.
    #[must_use]
    pub(crate) fn sessions(&self) -> BTreeSet<SessionId> {
        let sessions = self.tracker.as_ref().map(|tracker| tracker.sessions().to_map());
        sessions.map_or_else(BTreeSet::new, |sessions| sessions.into_keys().collect())
    }

    /// Starts to expire local sessions.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(&self, listener: Arc<dyn ZooKeeperServerListener>) -> io::Result<()> {
        self.tracker.as_ref().map_or(Ok(()), |tracker| tracker.start(listener))
    }

    /// Ends the thread.
    pub(crate) fn shutdown(&self) {
        if let Some(tracker) = self.tracker() {
            tracker.shutdown();
        }
    }
}
