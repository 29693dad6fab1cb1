//! The sessions of the database (no Java twin: ZKDatabase.sessionsWithTimeouts, a map that several share).
//!
//! These are the sessions created by transactions, as snapshots contain them. Locks: `Leaf`, for short operations.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::SessionId;
use crate::util::lock_rank::{Rank, RankedMutex};

/// Sessions and their timeouts in ms. All clones share one map.
#[derive(Clone, Debug)]
pub struct SessionsWithTimeouts {
    sessions: Arc<RankedMutex<BTreeMap<SessionId, i32>>>,
}

impl SessionsWithTimeouts {
    /// Creates a map with these sessions.
    #[must_use]
    pub fn new(sessions: BTreeMap<SessionId, i32>) -> Self {
        let sessions = RankedMutex::new(Rank::Leaf, "sessions with timeouts", sessions);
        Self { sessions: Arc::new(sessions) }
    }

    /// Sets the session's timeout. Returns the previous one.
    pub fn insert(&self, id: SessionId, timeout_ms: i32) -> Option<i32> {
        self.sessions.lock().insert(id, timeout_ms)
    }

    /// Removes the session. Returns its timeout.
    pub fn remove(&self, id: SessionId) -> Option<i32> {
        self.sessions.lock().remove(&id)
    }

    /// The session's timeout.
    #[must_use]
    pub fn timeout_ms(&self, id: SessionId) -> Option<i32> {
        self.sessions.lock().get(&id).copied()
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of all sessions.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<SessionId, i32> {
        self.sessions.lock().clone()
    }

    /// Replaces all sessions (Java: clear, then loading a snapshot).
    pub fn replace(&self, sessions: BTreeMap<SessionId, i32>) {
        *self.sessions.lock() = sessions;
    }
}

impl Default for SessionsWithTimeouts {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}
