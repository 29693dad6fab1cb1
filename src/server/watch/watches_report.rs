//! The paths that each session watches (Java: server/watch/WatchesReport.java).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::SessionId;

/// The paths of each session. Unlike Java's, they are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchesReport {
    id_to_paths: BTreeMap<SessionId, BTreeSet<Arc<str>>>,
}

impl WatchesReport {
    /// Creates a report from a map.
    #[must_use]
    pub const fn new(id_to_paths: BTreeMap<SessionId, BTreeSet<Arc<str>>>) -> Self {
        Self { id_to_paths }
    }

    /// Whether the session has watches.
    #[must_use]
    pub fn has_paths(&self, session_id: SessionId) -> bool {
        self.id_to_paths.contains_key(&session_id)
    }

    /// The paths that the session watches.
    #[must_use]
    pub fn paths(&self, session_id: SessionId) -> Option<&BTreeSet<Arc<str>>> {
        self.id_to_paths.get(&session_id)
    }

    /// The whole map (Java: toMap).
    #[must_use]
    pub const fn as_map(&self) -> &BTreeMap<SessionId, BTreeSet<Arc<str>>> {
        &self.id_to_paths
    }
}
