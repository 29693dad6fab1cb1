//! Who knows which sessions live (Java: server/SessionTracker.java).
//!
//! Left to implementations: a standalone server and a leader expire sessions (`SessionTrackerImpl`); a learner only notes
//! which have shown a sign of life, for its leader.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::expiry_queue::{Expiring, Expiry};
use crate::ids::{SessionId, Sid};
use crate::keeper_exception::KeeperError;

/// Through whom a session's requests come: a request from another one is of a connection that the client has left (Java:
/// any object, compared by identity).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner(u64);

impl Owner {
    /// Nobody: a session that has no owner gets the first that asks (Java: null).
    pub const NONE: Self = Self(0);
    /// A client's connection to this server (Java: ServerCnxn.me).
    pub const LOCAL: Self = Self(1);

    /// The learner connection of that number; no two connections in the life of a server may have the same.
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

/// A session as its tracker sees it. Connections keep it, to touch it without looking it up.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    timeout_ms: i32,
    is_closing: AtomicBool,
    owner: AtomicU64,
    expiry: Expiry,
    /// The table of touches that has it: a learner tells its leader once for each, however often a client asks.
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

    /// Whether the table of touches of that number has it.
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

    /// The timeout that was agreed on.
    #[must_use]
    pub const fn timeout_ms(&self) -> i32 {
        self.timeout_ms
    }

    /// Whether its end has begun.
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

    /// Becomes the owner if there is none; whether that is the owner now.
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

/// Ends sessions that have shown no sign of life.
pub trait SessionExpirer: Send + Sync {
    /// Submits the ends of sessions, all at once: the log takes them as one group. Called without a lock by the tracker's
    /// thread.
    fn expire(&self, sessions: &[Arc<Session>]);

    /// This server's id (Java: getServerId).
    fn server_id(&self) -> Sid;
}

/// All that a server asks about sessions.
pub trait SessionTracker: Send + Sync {
    /// Makes a session: its id. It is tracked, but not committed.
    fn create_session(&self, timeout_ms: i32) -> SessionId;

    /// Begins to track the session, and touches it; false when it was tracked already.
    fn track_session(&self, id: SessionId, timeout_ms: i32) -> bool;

    /// Adds the session to those of the database; false when it was there already.
    fn commit_session(&self, id: SessionId, timeout_ms: i32) -> bool;

    /// Notes a sign of life; false when there is no such session, or when its end has begun.
    fn touch_session(&self, id: SessionId, timeout_ms: i32) -> bool;

    /// The session, to be kept by its connection (no Java twin).
    fn session(&self, id: SessionId) -> Option<Arc<Session>>;

    /// As [`touch_session`](Self::touch_session), without looking the session up (no Java twin). A session that was removed
    /// stays so, even if one of its id is tracked again.
    fn touch(&self, session: &Arc<Session>, timeout_ms: i32) -> bool {
        self.touch_session(session.id(), timeout_ms)
    }

    /// Notes that the session's end has begun.
    fn set_session_closing(&self, id: SessionId);

    /// Ends the tracker's thread. The caller holds no lock that an expirer needs.
    fn shutdown(&self);

    /// Forgets the session.
    fn remove_session(&self, id: SessionId);

    /// Whether it is tracked.
    fn is_tracking_session(&self, id: SessionId) -> bool;

    /// Whether the owner may act for the session. A session without an owner gets this one.
    ///
    /// # Errors
    /// [`KeeperError::UnknownSession`] when it is not tracked, which no client is told; [`KeeperError::SessionExpired`]
    /// when its end has begun; [`KeeperError::SessionMoved`] when it has another owner.
    fn check_session(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError>;

    /// As [`check_session`](Self::check_session), where only global sessions count.
    ///
    /// # Errors
    /// [`KeeperError::SessionExpired`] also when the session is not tracked.
    fn check_global_session(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError>;

    /// Sets the owner.
    ///
    /// # Errors
    /// [`KeeperError::SessionExpired`] when it is not tracked or its end has begun.
    fn set_owner(&self, id: SessionId, owner: Owner) -> Result<(), KeeperError>;

    /// Appends the text of the `dump` command.
    fn dump_sessions(&self, out: &mut String);

    /// Sessions by the elapsed time at which they expire (Java: getSessionExpiryMap).
    fn session_expiry_map(&self) -> BTreeMap<i64, BTreeSet<SessionId>>;

    /// Local sessions, if there can be any.
    fn local_session_count(&self) -> usize;

    /// Whether there can be local sessions.
    fn is_local_sessions_enabled(&self) -> bool;

    /// Ids of all global sessions.
    fn global_sessions(&self) -> BTreeSet<SessionId>;

    /// Ids of all local sessions.
    fn local_sessions(&self) -> BTreeSet<SessionId>;
}
