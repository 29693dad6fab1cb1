//! The sessions that watch each path (Java: server/watch/WatchesPathReport.java).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::SessionId;

/// The sessions of each path. Unlike Java's, they are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchesPathReport {
    path_to_ids: BTreeMap<Arc<str>, BTreeSet<SessionId>>,
}

impl WatchesPathReport {
    /// Creates a report from a map.
    #[must_use]
    pub const fn new(path_to_ids: BTreeMap<Arc<str>, BTreeSet<SessionId>>) -> Self {
        Self { path_to_ids }
    }

    /// Whether the path is watched.
    #[must_use]
    pub fn has_sessions(&self, path: &str) -> bool {
        self.path_to_ids.contains_key(path)
    }

    /// The sessions that watch the path.
    #[must_use]
    pub fn sessions(&self, path: &str) -> Option<&BTreeSet<SessionId>> {
        self.path_to_ids.get(path)
    }

    /// The whole map (Java: toMap).
    #[must_use]
    pub const fn as_map(&self) -> &BTreeMap<Arc<str>, BTreeSet<SessionId>> {
        &self.path_to_ids
    }
}
