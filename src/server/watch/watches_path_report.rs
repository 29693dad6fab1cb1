//! Which sessions watch each path (Java: server/watch/WatchesPathReport.java).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::SessionId;

/// Sessions by path, sorted, which Java's are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchesPathReport {
    path_to_ids: BTreeMap<Arc<str>, BTreeSet<SessionId>>,
}

impl WatchesPathReport {
    /// A report of that.
    #[must_use]
    pub const fn new(path_to_ids: BTreeMap<Arc<str>, BTreeSet<SessionId>>) -> Self {
        Self { path_to_ids }
    }

    /// Whether the path is watched.
    #[must_use]
    pub fn has_sessions(&self, path: &str) -> bool {
        self.path_to_ids.contains_key(path)
    }

    /// Who watches the path.
    #[must_use]
    pub fn sessions(&self, path: &str) -> Option<&BTreeSet<SessionId>> {
        self.path_to_ids.get(path)
    }

    /// All of it (Java: toMap).
    #[must_use]
    pub const fn as_map(&self) -> &BTreeMap<Arc<str>, BTreeSet<SessionId>> {
        &self.path_to_ids
    }
}
