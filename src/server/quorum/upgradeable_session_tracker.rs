//! Local sessions that become global ones (Java: server/quorum/UpgradeableSessionTracker.java).
//!
//! Locks: `Leaf`, for an instant.

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

/// A tracker of a member of an ensemble.
pub trait UpgradeableSessionTracker: SessionTracker {
    /// Whether only this server knows the session.
    fn is_local_session(&self, id: SessionId) -> bool;

    /// Whether the ensemble knows the session.
    fn is_global_session(&self, id: SessionId) -> bool;

    /// Makes a local session a global one, as far as this server can: its timeout for the transaction that tells the
    /// others. None when it is not local, or not any more.
    fn upgrade_session(&self, id: SessionId) -> Option<i32>;
}

/// The local sessions of a member; there are none unless `localSessionsEnabled`.
#[derive(Default)]
pub struct LocalSessions {
    tracker: Option<LocalSessionTracker>,
    /// Those whose transaction is under way.
    upgrading: Option<RankedMutex<BTreeSet<SessionId>>>,
}

impl LocalSessions {
    /// There can be local sessions (Java: createLocalSessionTracker).
    #[must_use]
    pub fn enabled(
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

    /// Whether there can be local sessions.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.tracker.is_some()
    }

    /// Who tracks them.
    #[must_use]
    pub fn tracker(&self) -> Option<&SessionTrackerImpl> {
        self.tracker.as_ref().map(LocalSessionTracker::tracker)
    }

    /// Makes a session; none when there can be no local ones.
    #[must_use]
    pub fn create_session(&self, timeout_ms: i32) -> Option<SessionId> {
        self.tracker.as_ref().map(|tracker| tracker.create_session(timeout_ms))
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn is_local_session(&self, id: SessionId) -> bool {
        self.tracker.as_ref().is_some_and(|tracker| tracker.is_local_session(id))
    }

    /// Whether it is on its way to be a global one.
    #[must_use]
    pub fn is_upgrading_session(&self, id: SessionId) -> bool {
        self.upgrading.as_ref().is_some_and(|upgrading| upgrading.lock().contains(&id))
    }

    /// The ensemble knows it now.
    pub fn finished_upgrading(&self, id: SessionId) {
        if let Some(upgrading) = &self.upgrading {
            upgrading.lock().remove(&id);
        }
    }

    /// Takes a session away from the local ones; `track` is told its timeout before anybody could miss it (Java:
    /// upgradeSession).
    #[must_use]
    pub fn upgrade_session(&self, id: SessionId, track: impl FnOnce(i32)) -> Option<i32> {
        let (tracker, upgrading) = (self.tracker.as_ref()?, self.upgrading.as_ref()?);
        let timeout_ms = tracker.sessions().timeout_ms(id)?;
        track(timeout_ms);
        upgrading.lock().insert(id);
        // Two requests of one session: one of them upgrades it.
        let taken = tracker.take(id)?;
        info!(target: LOG, "Upgrading session {id}");
        Some(taken)
    }

    /// Forgets the session.
    pub fn remove_session(&self, id: SessionId) {
        if let Some(tracker) = self.tracker() {
            tracker.remove_session(id);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tracker.as_ref().map_or(0, |tracker| tracker.sessions().len())
    }

    /// Their ids.
    #[must_use]
    pub fn sessions(&self) -> BTreeSet<SessionId> {
        let sessions = self.tracker.as_ref().map(|tracker| tracker.sessions().to_map());
        sessions.map_or_else(BTreeSet::new, |sessions| sessions.into_keys().collect())
    }

    /// Begins to expire them.
    ///
    /// # Errors
    /// When the system has no room for the thread.
    pub fn start(&self, listener: Arc<dyn ZooKeeperServerListener>) -> io::Result<()> {
        self.tracker.as_ref().map_or(Ok(()), |tracker| tracker.start(listener))
    }

    /// Ends the thread.
    pub fn shutdown(&self) {
        if let Some(tracker) = self.tracker() {
            tracker.shutdown();
        }
    }
}
