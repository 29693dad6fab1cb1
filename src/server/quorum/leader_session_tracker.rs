//! The sessions of a leader: the global sessions of the ensemble, and its own local ones (Java:
//! server/quorum/LeaderSessionTracker.java).
//!
//! Threads: `SessionTracker`, two of them if local sessions are enabled. Locks: those of the two trackers.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Weak};

use log::info;

use super::upgradeable_session_tracker::{LocalSessions, UpgradeableSessionTracker};
use crate::ids::{SessionId, Sid};
use crate::keeper_exception::KeeperError;
use crate::server::session_tracker::{Owner, Session, SessionExpirer, SessionTracker};
use crate::server::session_tracker_impl::SessionTrackerImpl;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::server::zookeeper_server_listener::ZooKeeperServerListener;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.LeaderSessionTracker";

/// The session tracker of a leader.
pub(crate) struct LeaderSessionTracker {
    server_id: Sid,
    global: Arc<SessionTrackerImpl>,
    local: LocalSessions,
}

impl LeaderSessionTracker {
    /// A tracker for the sessions in the server's database; nothing expires before [`start`](Self::start).
    #[must_use]
    pub(crate) fn new(
        server: &Arc<ZooKeeperServer>,
        server_id: Sid,
        local_sessions_enabled: bool,
    ) -> Arc<Self> {
        let expirer = || -> Weak<dyn SessionExpirer> { Arc::downgrade(server) as _ };
        let tick_time_ms = server.settings().tick_time_ms;
        let (clock, metrics) = (server.clock(), server.shared_metrics());
        let global = Arc::new(SessionTrackerImpl::new(
            expirer(),
            server.zk_database().sessions_with_timeouts(),
            tick_time_ms,
            server_id,
            Arc::clone(clock),
            Arc::clone(metrics),
        ));
        let local = if local_sessions_enabled {
            let (clock, metrics) = (Arc::clone(clock), Arc::clone(metrics));
            LocalSessions::enabled(expirer(), tick_time_ms, server_id, clock, metrics)
        } else {
            LocalSessions::default()
        };
        Arc::new(Self { server_id, global, local })
    }

    /// Starts to expire sessions.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(crate) fn start(&self, listener: &Arc<dyn ZooKeeperServerListener>) -> io::Result<()> {
        self.global.start(Arc::clone(listener))?;
        self.local.start(Arc::clone(listener))
    }

    /// Touches a session of another server, after a sign of life or when its client returns. False when it is not
    /// global or is gone.
    #[must_use]
    pub(crate) fn is_valid_global_session(&self, id: SessionId, timeout_ms: i32) -> bool {
        if self.local.is_enabled() && !self.is_global_session(id) {
            return false;
        }
        self.touch_session(id, timeout_ms)
    }
}

impl UpgradeableSessionTracker for LeaderSessionTracker {
    fn is_local_session(&self, id: SessionId) -> bool {
        self.local.is_local_session(id)
    }

    fn is_global_session(&self, id: SessionId) -> bool {
        self.global.is_tracking_session(id)
    }

    fn upgrade_session(&self, id: SessionId) -> Option<i32> {
        self.local.upgrade_session(id, |timeout_ms| {
            self.track_session(id, timeout_ms);
        })
    }
}

impl SessionTracker for LeaderSessionTracker {
    fn create_session(&self, timeout_ms: i32) -> SessionId {
        let local = self.local.create_session(timeout_ms);
        local.unwrap_or_else(|| self.global.create_session(timeout_ms))
    }

    fn track_session(&self, id: SessionId, timeout_ms: i32) -> bool {
        let tracked = self.global.track_session(id, timeout_ms);
        if tracked && self.local.is_enabled() {
            info!(target: LOG, "Tracking global session {id}");
        }
        tracked
    }

    fn commit_session(&self, id: SessionId, timeout_ms: i32) -> bool {
        let added = self.global.commit_session(id, timeout_ms);
        if added {
            info!(target: LOG, "Committing global session {id}");
        }
        // A session that moved here while it was upgraded elsewhere may have become a local session again.
        self.local.remove_session(id);
        self.local.finished_upgrading(id);
        added
    }

    fn touch_session(&self, id: SessionId, timeout_ms: i32) -> bool {
        let local = self.local.tracker();
        local.is_some_and(|local| local.touch_session(id, timeout_ms))
            || self.global.touch_session(id, timeout_ms)
    }

    fn session(&self, id: SessionId) -> Option<Arc<Session>> {
        let local = self.local.tracker().and_then(|local| local.session(id));
        local.or_else(|| self.global.session(id))
    }

    fn touch(&self, session: &Arc<Session>, timeout_ms: i32) -> bool {
        if self.local.is_enabled() {
            // The session may have moved between the trackers since its connection got this object.
            return self.touch_session(session.id(), timeout_ms);
        }
        self.global.touch(session, timeout_ms)
    }

    fn set_session_closing(&self, id: SessionId) {
        if let Some(local) = self.local.tracker() {
            local.set_session_closing(id);
        }
        self.global.set_session_closing(id);
    }

    fn shutdown(&self) {
        self.local.shutdown();
        self.global.shutdown();
    }

    fn remove_session(&self, id: SessionId) {
        self.local.remove_session(id);
        self.global.remove_session(id);
    }

    fn is_tracking_session(&self, id: SessionId) -> bool {
        self.is_local_session(id) || self.is_global_session(id)
    }

    fn check_session(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError> {
        if let Some(local) = self.local.tracker() {
            match local.check_session(id, owner) {
                Err(KeeperError::UnknownSession) => {}
                // A session is in both trackers while it is upgraded.
                Ok(()) if self.is_global_session(id) => {}
                decided => return decided,
            }
        }
        match self.global.check_session(id, owner) {
            Err(KeeperError::UnknownSession) => {}
            decided => return decided,
        }
        // It may be a local session of another server.
        if !self.local.is_enabled() || Sid(id.0 >> 56) == self.server_id {
            return Err(KeeperError::SessionExpired);
        }
        Ok(())
    }

    fn check_global_session(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError> {
        self.global.check_global_session(id, owner)
    }

    fn set_owner(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError> {
        if let Some(local) = self.local.tracker()
            && local.set_owner(id, owner).is_ok()
        {
            return Ok(());
        }
        self.global.set_owner(id, owner)
    }

    fn dump_sessions(&self, out: &mut String) {
        if let Some(local) = self.local.tracker() {
            out.push_str("Local ");
            local.dump_sessions(out);
            out.push_str("Global ");
        }
        self.global.dump_sessions(out);
    }

    fn session_expiry_map(&self) -> BTreeMap<i64, BTreeSet<SessionId>> {
        let mut map = self.global.session_expiry_map();
        let local = self.local.tracker().map(SessionTracker::session_expiry_map);
        for (time, sessions) in local.into_iter().flatten() {
            map.entry(time).or_insert(sessions);
        }
        map
    }

    fn local_session_count(&self) -> usize {
        self.local.count()
    }

    fn is_local_sessions_enabled(&self) -> bool {
        self.local.is_enabled()
    }

    fn global_sessions(&self) -> BTreeSet<SessionId> {
        self.global.global_sessions()
    }

    fn local_sessions(&self) -> BTreeSet<SessionId> {
        self.local.sessions()
    }
}
