//! Which paths each session watches (Java: server/watch/WatchesReport.java).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::SessionId;

/// Paths by session, sorted, which Java's are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchesReport {
    id_to_paths: BTreeMap<SessionId, BTreeSet<Arc<str>>>,
}

impl WatchesReport {
    /// A report of that.
    #[must_use]
    pub const fn new(id_to_paths: BTreeMap<SessionId, BTreeSet<Arc<str>>>) -> Self {
        Self { id_to_paths }
    }

    /// Whether the session has watches.
    #[must_use]
    pub fn has_paths(&self, session_id: SessionId) -> bool {
        self.id_to_paths.contains_key(&session_id)
    }

    /// What the session watches.
    #[must_use]
    pub fn paths(&self, session_id: SessionId) -> Option<&BTreeSet<Arc<str>>> {
        self.id_to_paths.get(&session_id)
    }

    /// All of it (Java: toMap).
    #[must_use]
    pub const fn as_map(&self) -> &BTreeMap<SessionId, BTreeSet<Arc<str>>> {
        &self.id_to_paths
    }
}
