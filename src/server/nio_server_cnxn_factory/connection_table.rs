//! The connections of a port, and which of them have a session (Java: cnxns and sessionMap of
//! server/ServerCnxnFactory.java).
//!
//! Locks: `ConnectionTable`, for short operations. What is removed is dropped after the lock is released.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Places;
use crate::ids::SessionId;
use crate::server::server_cnxn::ServerCnxn;
use crate::server::strangers::StrangerSlot;
use crate::util::lock_rank::{Rank, RankedMutex};

/// A connection without a session.
struct Sessionless {
    cnxn: Arc<ServerCnxn>,
    since_ms: i64,
    /// Counts the connection as long as it has no session.
    _stranger: StrangerSlot,
}

/// A connection, and its number.
struct Entry {
    cnxn: Arc<ServerCnxn>,
    number: u64,
    /// Count the connection as long as it is in the table.
    _places: Places,
}

#[derive(Default)]
struct Connections {
    /// By the connection's address in memory, which is unique as long as the connection is in the table.
    cnxns: HashMap<usize, Entry>,
    /// The connections without a session, by number: the oldest first.
    sessionless: BTreeMap<u64, Sessionless>,
    sessions: HashMap<SessionId, Arc<ServerCnxn>>,
    next_number: u64,
}

/// The table.
pub(super) struct ConnectionTable(RankedMutex<Connections>);

impl ConnectionTable {
    pub(super) fn new() -> Self {
        Self(RankedMutex::new(Rank::ConnectionTable, "connections", Connections::default()))
    }

    /// Adds a connection without a session. `since_ms` is when it was accepted, in elapsed time.
    pub(super) fn add(
        &self,
        cnxn: Arc<ServerCnxn>,
        places: Places,
        stranger: StrangerSlot,
        since_ms: i64,
    ) {
        let mut table = self.0.lock();
        let number = table.next_number;
        table.next_number += 1;
        let sessionless = Sessionless { cnxn: Arc::clone(&cnxn), since_ms, _stranger: stranger };
        table.sessionless.insert(number, sessionless);
        table.cnxns.insert(key(&cnxn), Entry { cnxn, number, _places: places });
    }

    /// Records the session of a connection. A connection that was closed in the meantime is not recorded, because
    /// nobody would remove it.
    pub(super) fn add_session(&self, session_id: SessionId, cnxn: &Arc<ServerCnxn>) {
        let mut table = self.0.lock();
        if let Some(number) = table.cnxns.get(&key(cnxn)).map(|entry| entry.number) {
            let stranger = table.sessionless.remove(&number);
            let before = table.sessions.insert(session_id, Arc::clone(cnxn));
            drop(table);
            drop((stranger, before));
        }
    }

    /// Removes a connection. Returns false if it is not in the table.
    pub(super) fn remove(&self, cnxn: &Arc<ServerCnxn>) -> bool {
        let mut table = self.0.lock();
        let Some(removed) = table.cnxns.remove(&key(cnxn)) else { return false };
        let sessionless = table.sessionless.remove(&removed.number);
        let session_id = cnxn.session_id();
        if table.sessions.get(&session_id).is_some_and(|of| Arc::ptr_eq(of, cnxn)) {
            table.sessions.remove(&session_id);
        }
        drop(table);
        drop((removed, sessionless));
        true
    }

    /// The connection of a session.
    pub(super) fn of_session(&self, session_id: SessionId) -> Option<Arc<ServerCnxn>> {
        self.0.lock().sessions.get(&session_id).cloned()
    }

    /// The oldest connection without a session for which `is_meant` is true.
    pub(super) fn oldest_without_session(
        &self,
        is_meant: impl Fn(i64, &ServerCnxn) -> bool,
    ) -> Option<Arc<ServerCnxn>> {
        let table = self.0.lock();
        let mut sessionless = table.sessionless.values();
        let oldest =
            sessionless.find(|one| !one.cnxn.is_stale() && is_meant(one.since_ms, &one.cnxn));
        oldest.map(|one| Arc::clone(&one.cnxn))
    }

    /// All connections.
    pub(super) fn all(&self) -> Vec<Arc<ServerCnxn>> {
        self.0.lock().cnxns.values().map(|entry| Arc::clone(&entry.cnxn)).collect()
    }

    /// How many connections have a session.
    pub(super) fn sessions(&self) -> usize {
        self.0.lock().sessions.len()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.lock().cnxns.len()
    }
}

/// The identity of a connection.
fn key(cnxn: &Arc<ServerCnxn>) -> usize {
    Arc::as_ptr(cnxn).addr()
}
