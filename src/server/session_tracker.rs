//! Keeps track of live sessions (Java: server/SessionTracker.java).
//!
//! There are two kinds: a standalone server and a leader expire sessions (`SessionTrackerImpl`). A learner only
//! records which sessions have shown a sign of life, and reports them to its leader.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::expiry_queue::{Expiring, Expiry};
use crate::ids::SessionId;
use crate::keeper_exception::KeeperError;

/// Identifies the way by which a session's requests arrive. A request from another owner comes from a connection
/// that the client has left (Java: any object, compared by identity).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner(u64);

impl Owner {
    /// No owner: the first owner that sends a request gets the session (Java: null).
    pub const NONE: Self = Self(0);
    /// A client's connection to this server (Java: ServerCnxn.me).
    pub const LOCAL: Self = Self(1);

    /// The learner connection with this number. No two connections may have the same number during the life of a
    /// server.
    #[must_use]
    pub const fn learner(number: u32) -> Self {
        Self(2 + number as u64)
    }

    /// Whether it is a learner's connection.
    #[must_use]
    pub const fn is_learner(self) -> bool {
        self.0 >= 2
    }
}

/// A session as its tracker sees it. Its connection keeps it, to touch it without a lookup.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    timeout_ms: i32,
    is_closing: AtomicBool,
    owner: AtomicU64,
    expiry: Expiry,
    /// The number of the table of touches that has the session. A learner reports a session to its leader once per
    /// table, however often the client sends requests.
    noted_in: AtomicU64,
}

impl Session {
    /// A session that nobody owns and that is not closing.
    #[must_use]
    pub const fn new(id: SessionId, timeout_ms: i32) -> Self {
        Self {
            id,
            timeout_ms,
            is_closing: AtomicBool::new(false),
            owner: AtomicU64::new(Owner::NONE.0),
            expiry: Expiry::new(),
            noted_in: AtomicU64::new(0),
        }
    }

    /// Whether the table of touches with this number has the session.
    pub(super) fn is_noted_in(&self, table: u64) -> bool {
        self.noted_in.load(Ordering::Relaxed) == table
    }

    pub(super) fn set_noted_in(&self, table: u64) {
        self.noted_in.store(table, Ordering::Relaxed);
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// The negotiated timeout.
    #[must_use]
    pub const fn timeout_ms(&self) -> i32 {
        self.timeout_ms
    }

    /// Whether the session is being closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    pub(super) fn set_closing(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
    }

    pub(super) fn set_owner(&self, owner: Owner) {
        self.owner.store(owner.0, Ordering::SeqCst);
    }

    /// Sets the owner if there is none. Returns whether `owner` is the owner now.
    pub(super) fn claim(&self, owner: Owner) -> bool {
        let (none, claimed) = (Owner::NONE.0, owner.0);
        match self.owner.compare_exchange(none, claimed, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => true,
            Err(current) => current == claimed,
        }
    }
}

impl Expiring for Session {
    fn expiry(&self) -> &Expiry {
        &self.expiry
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// Closes sessions that have expired.
pub(crate) trait SessionExpirer: Send + Sync {
    /// Submits the requests that close the sessions all at once, so that the log takes them as one group. The
    /// tracker's thread calls this without holding a lock.
    fn expire(&self, sessions: &[Arc<Session>]);
}

/// What a server needs to know about its sessions.
pub trait SessionTracker: Send + Sync {
    /// Creates a session and returns its id. The session is tracked, but not committed.
    fn create_session(&self, timeout_ms: i32) -> SessionId;

    /// Starts to track the session, and touches it. Returns false if it was tracked already.
    fn track_session(&self, id: SessionId, timeout_ms: i32) -> bool;

    /// Adds the session to those of the database. Returns false if it was there already.
    fn commit_session(&self, id: SessionId, timeout_ms: i32) -> bool;

    /// Records a sign of life. Returns false if there is no such session, or if it is being closed.
    fn touch_session(&self, id: SessionId, timeout_ms: i32) -> bool;

    /// The session, for its connection to keep (no Java twin).
    fn session(&self, id: SessionId) -> Option<Arc<Session>>;

    /// As [`touch_session`](Self::touch_session), without a lookup (no Java twin). A removed session stays removed,
    /// even if a session with the same id is tracked again.
    fn touch(&self, session: &Arc<Session>, timeout_ms: i32) -> bool {
        self.touch_session(session.id(), timeout_ms)
    }

    /// Marks the session as being closed.
    fn set_session_closing(&self, id: SessionId);

    /// Ends the tracker's thread. The caller must hold no lock that an expirer needs.
    fn shutdown(&self);

    /// Removes the session.
    fn remove_session(&self, id: SessionId);

    /// Whether the session is tracked.
    fn is_tracking_session(&self, id: SessionId) -> bool;

    /// Whether the owner may act for the session. A session without an owner gets this one.
    ///
    /// # Errors
    /// [`KeeperError::UnknownSession`] when it is not tracked (no client gets this error);
    /// [`KeeperError::SessionExpired`] when it is being closed; [`KeeperError::SessionMoved`] when it has another
    /// owner.
    fn check_session(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError>;

    /// As [`check_session`](Self::check_session), but only for global sessions.
    ///
    /// # Errors
    /// [`KeeperError::SessionExpired`] also when the session is not tracked.
    fn check_global_session(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError>;

    /// Sets the owner.
    ///
    /// # Errors
    /// [`KeeperError::SessionExpired`] when it is not tracked or is being closed.
    fn set_owner(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError>;

    /// Appends the text of the `dump` command.
    fn dump_sessions(&self, out: &mut String);

    /// Sessions by the elapsed time at which they expire (Java: getSessionExpiryMap).
    fn session_expiry_map(&self) -> BTreeMap<i64, BTreeSet<SessionId>>;

    /// The number of local sessions.
    fn local_session_count(&self) -> usize;

    /// Whether there can be local sessions.
    fn is_local_sessions_enabled(&self) -> bool;

    /// Ids of all global sessions.
    fn global_sessions(&self) -> BTreeSet<SessionId>;

    /// Ids of all local sessions.
    fn local_sessions(&self) -> BTreeSet<SessionId>;
}
