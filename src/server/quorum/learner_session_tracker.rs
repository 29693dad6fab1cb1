//! The sessions of a learner (Java: server/quorum/LearnerSessionTracker.java).
//!
//! The leader tracks global sessions; the learner only notes which sessions were touched since the last PING.
//! Threads: that of the local sessions only. Locks: `SessionTracker`, held briefly. A repeated touch between two
//! PINGs takes no lock: a connection keeps its [`Session`], which knows the table in which it is noted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use log::info;

use super::upgradeable_session_tracker::{LocalSessions, UpgradeableSessionTracker};
use crate::common::time::Clock;
use crate::ids::{SessionId, Sid};
use crate::keeper_exception::KeeperError;
use crate::server::server_metrics::ServerMetrics;
use crate::server::session_tracker::{Owner, Session, SessionExpirer, SessionTracker};
use crate::server::session_tracker_impl::initialize_next_session_id;
use crate::server::sessions_with_timeouts::SessionsWithTimeouts;
use crate::server::zookeeper_server_listener::ZooKeeperServerListener;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.LearnerSessionTracker";

/// Session timeouts in ms, by session id.
type Touches = HashMap<SessionId, i32, RandomState>;

/// The parameters of a tracker.
pub(crate) struct LearnerSessionTrackerParts {
    /// Ends expired local sessions.
    pub expirer: Weak<dyn SessionExpirer>,
    /// The sessions in the database.
    pub sessions_with_timeouts: SessionsWithTimeouts,
    /// The length of a tick, in ms.
    pub tick_time_ms: i32,
    /// This server's id.
    pub server_id: Sid,
    /// Whether local sessions are enabled.
    pub local_sessions_enabled: bool,
    /// The clock.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Arc<ServerMetrics>,
}

/// The session tracker of a learner.
pub(crate) struct LearnerSessionTracker {
    /// The sessions that were touched since the last PING.
    touches: RankedMutex<Touches>,
    /// The number of the current table of touches, from 1 on.
    table: AtomicU64,
    next_session_id: AtomicI64,
    global_sessions: SessionsWithTimeouts,
    local: LocalSessions,
}

impl LearnerSessionTracker {
    /// A tracker for the sessions in the database.
    #[must_use]
    pub(crate) fn new(parts: LearnerSessionTrackerParts) -> Arc<Self> {
        let next = initialize_next_session_id(parts.server_id, parts.clock.wall_ms());
        let local = if parts.local_sessions_enabled {
            LocalSessions::enabled(
                parts.expirer,
                parts.tick_time_ms,
                parts.server_id,
                parts.clock,
                parts.metrics,
            )
        } else {
            LocalSessions::default()
        };
        Arc::new(Self {
            touches: RankedMutex::new(Rank::SessionTracker, "touched sessions", Touches::default()),
            table: AtomicU64::new(1),
            next_session_id: AtomicI64::new(next.0),
            global_sessions: parts.sessions_with_timeouts,
            local,
        })
    }

    /// Starts to expire local sessions.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(&self, listener: Arc<dyn ZooKeeperServerListener>) -> io::Result<()> {
        self.local.start(listener)
    }

    /// Takes the sessions that were touched since the last call, for the answer to a PING.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Vec<(SessionId, i32)> {
        let mut touches = self.touches.lock();
        self.table.fetch_add(1, Ordering::Relaxed);
        touches.drain().collect()
    }

    fn note(&self, id: SessionId, timeout_ms: i32) {
        self.touches.lock().insert(id, timeout_ms);
    }

    fn is_known(&self, id: SessionId) -> bool {
        self.is_global_session(id) || self.local.is_upgrading_session(id)
    }
}

impl SessionTracker for LearnerSessionTracker {
    fn create_session(&self, timeout_ms: i32) -> SessionId {
        self.local
            .create_session(timeout_ms)
            .unwrap_or_else(|| SessionId(self.next_session_id.fetch_add(1, Ordering::Relaxed)))
    }

    /// The leader tracks global sessions.
    fn track_session(&self, _id: SessionId, _timeout_ms: i32) -> bool {
        false
    }

    fn commit_session(&self, id: SessionId, timeout_ms: i32) -> bool {
        let is_new = self.global_sessions.insert(id, timeout_ms).is_none();
        if is_new {
            info!(target: LOG, "Committing global session {id}");
        }
        if self.local.is_enabled() {
            // A session that moved before its upgrade was finished may have become a local session of this server
            // again.
            self.local.remove_session(id);
            self.local.finished_upgrading(id);
        }
        self.note(id, timeout_ms);
        is_new
    }

    /// Only the leader knows whether a global session is alive, so every touch is noted.
    fn touch_session(&self, id: SessionId, timeout_ms: i32) -> bool {
        if let Some(local) = self.local.tracker() {
            if local.touch_session(id, timeout_ms) {
                return true;
            }
            if !self.is_known(id) {
                return false;
            }
        }
        self.note(id, timeout_ms);
        true
    }

    /// A local session comes from its tracker; a global session gets an object for this connection only.
    fn session(&self, id: SessionId) -> Option<Arc<Session>> {
        let local = self.local.tracker().and_then(|local| local.session(id));
        local.or_else(|| {
            let timeout_ms = self.global_sessions.timeout_ms(id).unwrap_or_default();
            Some(Arc::new(Session::new(id, timeout_ms)))
        })
    }

    fn touch(&self, session: &Arc<Session>, timeout_ms: i32) -> bool {
        if session.is_noted_in(self.table.load(Ordering::Relaxed)) {
            return true;
        }
        if let Some(local) = self.local.tracker() {
            if local.touch(session, timeout_ms) {
                return true;
            }
            if !self.is_known(session.id()) {
                return false;
            }
        }
        let mut touches = self.touches.lock();
        touches.insert(session.id(), timeout_ms);
        // Under the lock, so that the table does not change in between.
        session.set_noted_in(self.table.load(Ordering::Relaxed));
        true
    }

    fn set_session_closing(&self, id: SessionId) {
        if let Some(local) = self.local.tracker() {
            local.set_session_closing(id);
        }
    }

    fn shutdown(&self) {
        self.local.shutdown();
    }

    fn remove_session(&self, id: SessionId) {
        self.local.remove_session(id);
        self.global_sessions.remove(id);
        self.touches.lock().remove(&id);
    }

    fn is_tracking_session(&self, id: SessionId) -> bool {
        self.is_local_session(id) || self.is_global_session(id)
    }

    /// Checks local sessions only; the leader checks the others.
    fn check_session(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError> {
        let Some(local) = self.local.tracker() else { return Ok(()) };
        match local.check_session(id, owner) {
            Err(KeeperError::UnknownSession) if self.is_global_session(id) => Ok(()),
            Err(KeeperError::UnknownSession) => Err(KeeperError::SessionExpired),
            other => other,
        }
    }

    /// Java does not support this on a learner, because only leaders are asked.
    fn check_global_session(&self, id: SessionId, _owner: Owner) -> Result<(), KeeperError> {
        if self.is_global_session(id) { Ok(()) } else { Err(KeeperError::SessionExpired) }
    }

    fn set_owner(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError> {
        let Some(local) = self.local.tracker() else { return Ok(()) };
        local
            .set_owner(id, owner)
            .or_else(|error| if self.is_global_session(id) { Ok(()) } else { Err(error) })
    }

    fn dump_sessions(&self, out: &mut String) {
        if let Some(local) = self.local.tracker() {
            out.push_str("Local ");
            local.dump_sessions(out);
        }
        let sessions = self.global_sessions.to_map();
        let mut written = writeln!(out, "Global Sessions({}):", sessions.len());
        for (id, timeout_ms) in sessions {
            written = written.and_then(|()| writeln!(out, "{id:#x}\t{timeout_ms}ms"));
        }
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }

    /// Only local sessions expire here, and Java does not show those either.
    fn session_expiry_map(&self) -> BTreeMap<i64, BTreeSet<SessionId>> {
        BTreeMap::new()
    }

    fn local_session_count(&self) -> usize {
        self.local.count()
    }

    fn is_local_sessions_enabled(&self) -> bool {
        self.local.is_enabled()
    }

    fn global_sessions(&self) -> BTreeSet<SessionId> {
        self.global_sessions.to_map().into_keys().collect()
    }

    fn local_sessions(&self) -> BTreeSet<SessionId> {
        self.local.sessions()
    }
}

impl UpgradeableSessionTracker for LearnerSessionTracker {
    fn is_local_session(&self, id: SessionId) -> bool {
        self.local.is_local_session(id)
    }

    fn is_global_session(&self, id: SessionId) -> bool {
        self.global_sessions.timeout_ms(id).is_some()
    }

    fn upgrade_session(&self, id: SessionId) -> Option<i32> {
        // The leader starts to track it with the createSession transaction.
        self.local.upgrade_session(id, |_| {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::time::ManualClock;
    use crate::metrics::impls::null_metrics_provider::NullMetricsProvider;

    struct Nobody;

    impl SessionExpirer for Nobody {
        fn expire(&self, _sessions: &[Arc<Session>]) {}
    }

    fn tracker(local_sessions_enabled: bool) -> Arc<LearnerSessionTracker> {
        let expirer: Arc<dyn SessionExpirer> = Arc::new(Nobody);
        LearnerSessionTracker::new(LearnerSessionTrackerParts {
            expirer: Arc::downgrade(&expirer),
            sessions_with_timeouts: SessionsWithTimeouts::default(),
            tick_time_ms: 2000,
            server_id: Sid(3),
            local_sessions_enabled,
            clock: Arc::new(ManualClock::new(1)),
            metrics: Arc::new(ServerMetrics::new(Arc::new(NullMetricsProvider))),
        })
    }

    #[test]
    fn each_ping_tells_once_who_was_touched_since_the_last() {
        let tracker = tracker(false);
        let session = tracker.session(SessionId(7)).unwrap();
        assert!(tracker.touch(&session, 30));
        assert!(tracker.touch(&session, 40), "noted already");
        assert!(tracker.touch_session(SessionId(8), 50), "the leader knows whether it lives");
        let mut touched = tracker.snapshot();
        touched.sort_unstable();
        assert_eq!(touched, [(SessionId(7), 30), (SessionId(8), 50)]);
        assert_eq!(tracker.snapshot(), []);
        assert!(tracker.touch(&session, 30));
        assert_eq!(tracker.snapshot(), [(SessionId(7), 30)]);
    }

    #[test]
    fn a_session_that_is_removed_is_not_told_of() {
        let tracker = tracker(false);
        assert!(tracker.commit_session(SessionId(7), 30));
        assert!(!tracker.commit_session(SessionId(7), 30));
        assert!(tracker.is_global_session(SessionId(7)));
        tracker.remove_session(SessionId(7));
        assert_eq!(tracker.snapshot(), []);
        assert!(!tracker.is_tracking_session(SessionId(7)));
    }

    #[test]
    fn sessions_have_the_servers_id_in_their_first_byte() {
        let tracker = tracker(false);
        let (first, second) = (tracker.create_session(1), tracker.create_session(1));
        assert_eq!((first.0 >> 56, second.0), (3, first.0 + 1));
    }

    #[test]
    fn a_local_session_is_no_concern_of_the_leader_until_it_is_upgraded() {
        let tracker = tracker(true);
        let id = tracker.create_session(4000);
        let session = tracker.session(id).unwrap();
        assert!(tracker.touch(&session, 4000));
        assert!(!tracker.touch_session(SessionId(99), 4000), "nobody knows it");
        assert_eq!(tracker.snapshot(), []);
        assert_eq!(tracker.upgrade_session(id), Some(4000));
        assert!(tracker.touch(&session, 4000), "its transaction is under way");
        assert_eq!(tracker.snapshot(), [(id, 4000)]);
        tracker.commit_session(id, 4000);
        assert!(tracker.is_global_session(id) && !tracker.is_local_session(id));
    }
}
