//! Tracks sessions and expires them in groups (Java: server/SessionTrackerImpl.java).
//!
//! Threads: `SessionTracker` expires sessions; any other thread may ask. Locks: `SessionTracker`, for the table of
//! sessions, and below it the expiry queue's. A touch of a [`Session`] that a connection keeps does not take the
//! lock of the table.
//!
//! A session expires at the end of the tick in which its timeout ends, so up to one tick late.
//!
//! Java's constructor also checks that the server's id leaves room for extended types of ephemeral owners. Here
//! others check this (`EphemeralTypes::validate_server_id`).

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use log::{debug, info, trace};

use super::expiry_queue::ExpiryQueue;
use super::server_metrics::ServerMetrics;
use super::session_tracker::{Owner, Session, SessionExpirer, SessionTracker};
use super::sessions_with_timeouts::SessionsWithTimeouts;
use super::zoo_trace::{self, CLIENT_PING_TRACE_MASK, SESSION_TRACE_MASK};
use super::zookeeper_server_listener::ZooKeeperServerListener;
use super::{zookeeper_critical_thread, zookeeper_thread};
use crate::common::time::Clock;
use crate::ids::{SessionId, Sid};
use crate::keeper_exception::KeeperError;
use crate::util::lock_rank::{Rank, RankedMutex, RankedRwLock};
use crate::util::sleeper::Sleeper;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.SessionTrackerImpl";

/// How many sessions are expired at once. Requests of others are processed between two such groups.
const EXPIRED_AT_ONCE: usize = 256;

/// The ephemeral owner of containers (Java: EphemeralType.CONTAINER_EPHEMERAL_OWNER). No session has this id.
const CONTAINER_EPHEMERAL_OWNER: i64 = i64::MIN;

/// The first session id of a server that starts now: its sid in the high byte, then 40 bits of the time, then zeros
/// (Java: initializeNextSessionId). Java uses elapsed time, which starts again with the machine, so that ids could
/// repeat.
#[must_use]
pub(crate) const fn initialize_next_session_id(sid: Sid, wall_ms: i64) -> SessionId {
    // The upper byte belongs to the sid alone: the shift back fills it with zeros, whatever the time is
    // (ZOOKEEPER-1622).
    let time = (wall_ms << 24).cast_unsigned() >> 8;
    let id = time.cast_signed() | (sid.0 << 56);
    SessionId(if id == CONTAINER_EPHEMERAL_OWNER { id + 1 } else { id })
}

/// The tracker of a standalone server, and of a leader's global sessions.
pub(crate) struct SessionTrackerImpl {
    sessions_by_id: RankedRwLock<HashMap<SessionId, Arc<Session>, RandomState>>,
    session_expiry_queue: ExpiryQueue<Session>,
    sessions_with_timeouts: SessionsWithTimeouts,
    next_session_id: AtomicI64,
    expirer: Weak<dyn SessionExpirer>,
    sleeper: Sleeper,
    thread: RankedMutex<Option<JoinHandle<()>>>,
    metrics: Arc<ServerMetrics>,
}

impl SessionTrackerImpl {
    /// Tracks the sessions of the database, each with a full timeout from now on. Nothing expires before
    /// [`start`](Self::start).
    #[must_use]
    pub(crate) fn new(
        expirer: Weak<dyn SessionExpirer>,
        sessions_with_timeouts: SessionsWithTimeouts,
        tick_time_ms: i32,
        server_id: Sid,
        clock: Clock,
        metrics: Arc<ServerMetrics>,
    ) -> Self {
        let next_session_id = initialize_next_session_id(server_id, clock.wall_ms());
        let sessions = RankedRwLock::new(Rank::SessionTracker, "sessions", HashMap::default());
        let thread = RankedMutex::new(Rank::Leaf, "thread of the session tracker", None);
        let tracker = Self {
            sessions_by_id: sessions,
            session_expiry_queue: ExpiryQueue::new(tick_time_ms, Arc::clone(&clock)),
            sessions_with_timeouts,
            next_session_id: AtomicI64::new(next_session_id.0),
            expirer,
            sleeper: Sleeper::new(clock),
            thread,
            metrics,
        };
        for (id, timeout_ms) in tracker.sessions_with_timeouts.to_map() {
            tracker.track_session(id, timeout_ms);
        }
        tracker
    }

    /// Starts the thread that expires sessions. The caller must also call `shutdown`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(
        self: &Arc<Self>,
        listener: Arc<dyn ZooKeeperServerListener>,
    ) -> io::Result<()> {
        let tracker = Arc::clone(self);
        let thread = zookeeper_critical_thread::spawn("SessionTracker", listener, move || {
            tracker.run();
            Ok::<(), Infallible>(())
        })?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    fn run(&self) {
        while self.sleeper.sleep_until(self.session_expiry_queue.next_expiration_ms()) {
            for sessions in self.session_expiry_queue.poll().chunks(EXPIRED_AT_ONCE) {
                if self.sleeper.is_stopped() {
                    break;
                }
                for session in sessions {
                    self.metrics.stale_sessions_expired.inc();
                    session.set_closing();
                }
                if let Some(expirer) = self.expirer.upgrade() {
                    expirer.expire(sessions);
                }
            }
        }
        info!(target: LOG, "SessionTrackerImpl exited loop!");
    }

    fn trace(what: fmt::Arguments<'_>) {
        let message = format_args!("SessionTrackerImpl --- {what}");
        zoo_trace::log_trace_message(LOG, SESSION_TRACE_MASK, message);
    }

    /// Java: logTraceTouchSession.
    fn trace_touch(session: fmt::Arguments<'_>, timeout_ms: i32) {
        let message =
            format_args!("SessionTrackerImpl --- Touch {session} with timeout {timeout_ms}");
        zoo_trace::log_trace_message(LOG, CLIENT_PING_TRACE_MASK, message);
    }

    fn live_session(&self, id: SessionId) -> Result<Arc<Session>, KeeperError> {
        let session = self.session(id).ok_or(KeeperError::UnknownSession)?;
        if session.is_closing() { Err(KeeperError::SessionExpired) } else { Ok(session) }
    }

    /// The timeout of a session of the database (Java: getSessionTimeout).
    #[must_use]
    #[cfg(test)]
    pub(crate) fn session_timeout_ms(&self, id: SessionId) -> Option<i32> {
        self.sessions_with_timeouts.timeout_ms(id)
    }
}

/// Clients are told that an unknown session has expired.
const fn unknown_has_expired(error: KeeperError) -> KeeperError {
    match error {
        KeeperError::UnknownSession => KeeperError::SessionExpired,
        other => other,
    }
}

impl SessionTracker for SessionTrackerImpl {
    fn create_session(&self, timeout_ms: i32) -> SessionId {
        let id = SessionId(self.next_session_id.fetch_add(1, Ordering::Relaxed));
        self.track_session(id, timeout_ms);
        id
    }

    fn track_session(&self, id: SessionId, timeout_ms: i32) -> bool {
        let mut sessions = self.sessions_by_id.write();
        let mut added = false;
        let session = sessions.entry(id).or_insert_with(|| {
            added = true;
            Arc::new(Session::new(id, timeout_ms))
        });
        // Under the lock, because a session that is removed in the meantime must not stay in the queue.
        self.session_expiry_queue.update(session, timeout_ms);
        drop(sessions);
        if added {
            debug!(target: LOG, "Adding session {id}");
        }
        let action = if added { "Adding" } else { "Existing" };
        Self::trace(format_args!("{action} session {id} {timeout_ms}"));
        added
    }

    fn commit_session(&self, id: SessionId, timeout_ms: i32) -> bool {
        self.sessions_with_timeouts.insert(id, timeout_ms).is_none()
    }

    fn touch_session(&self, id: SessionId, timeout_ms: i32) -> bool {
        let Some(session) = self.session(id) else {
            Self::trace_touch(format_args!("invalid session: {id}"), timeout_ms);
            return false;
        };
        self.touch(&session, timeout_ms)
    }

    fn session(&self, id: SessionId) -> Option<Arc<Session>> {
        self.sessions_by_id.read().get(&id).cloned()
    }

    fn touch(&self, session: &Arc<Session>, timeout_ms: i32) -> bool {
        if session.is_closing() {
            Self::trace_touch(format_args!("closing session: {session}"), timeout_ms);
            return false;
        }
        Self::trace_touch(format_args!("session: {session}"), timeout_ms);
        self.session_expiry_queue.touch(session, timeout_ms)
    }

    fn set_session_closing(&self, id: SessionId) {
        trace!(target: LOG, "Session closing: {id}");
        if let Some(session) = self.session(id) {
            session.set_closing();
        }
    }

    fn shutdown(&self) {
        info!(target: LOG, "Shutting down");
        self.sleeper.stop();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            zookeeper_thread::join(thread);
        }
    }

    fn remove_session(&self, id: SessionId) {
        debug!(target: LOG, "Removing session {id}");
        let mut sessions = self.sessions_by_id.write();
        self.sessions_with_timeouts.remove(id);
        Self::trace(format_args!("Removing session {id}"));
        if let Some(session) = sessions.remove(&id) {
            self.session_expiry_queue.remove(&session);
        }
    }

    fn is_tracking_session(&self, id: SessionId) -> bool {
        self.sessions_by_id.read().contains_key(&id)
    }

    fn check_session(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError> {
        trace!(target: LOG, "Checking session {id}");
        let session = self.live_session(id)?;
        if session.claim(owner) { Ok(()) } else { Err(KeeperError::SessionMoved) }
    }

    fn check_global_session(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError> {
        self.check_session(id, owner).map_err(unknown_has_expired)
    }

    fn set_owner(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError> {
        self.live_session(id).map_err(unknown_has_expired)?.set_owner(owner);
        Ok(())
    }

    fn dump_sessions(&self, out: &mut String) {
        out.push_str("Session ");
        self.session_expiry_queue.dump(out);
    }

    fn session_expiry_map(&self) -> BTreeMap<i64, BTreeSet<SessionId>> {
        let map = self.session_expiry_queue.expiry_map().into_iter();
        map.map(|(time, sessions)| (time, sessions.iter().map(|session| session.id()).collect()))
            .collect()
    }

    fn local_session_count(&self) -> usize {
        0
    }

    fn is_local_sessions_enabled(&self) -> bool {
        false
    }

    fn global_sessions(&self) -> BTreeSet<SessionId> {
        self.sessions_by_id.read().keys().copied().collect()
    }

    fn local_sessions(&self) -> BTreeSet<SessionId> {
        BTreeSet::new()
    }
}

impl fmt::Display for SessionTrackerImpl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.dump_sessions(&mut text);
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests;
