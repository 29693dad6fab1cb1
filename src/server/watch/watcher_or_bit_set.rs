//! The watchers that were found when a watch fired (Java: server/watch/WatcherOrBitSet.java).
//!
//! In Java, one `WatchManagerOptimized` returns its own numbers for the watchers, and another manager takes
//! them for its numbers. A watcher with the same number as another one is then not notified. Here the result
//! always holds the watchers.

use std::collections::HashSet;

use crate::server::server_watcher::WatcherRef;

/// From this number of watchers on, a lookup uses a hash set instead of a search.
const MANY: usize = 16;

/// A set of found watchers.
#[derive(Clone, Debug)]
pub struct WatcherOrBitSet {
    watchers: Vec<WatcherRef>,
}

impl WatcherOrBitSet {
    pub(super) const fn new(watchers: Vec<WatcherRef>) -> Self {
        Self { watchers }
    }

    /// Whether the watcher is in the set. Searches all of them.
    #[must_use]
    pub fn contains(&self, watcher: &WatcherRef) -> bool {
        self.watchers.contains(watcher)
    }

    /// The number of watchers.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.watchers.len()
    }

    /// Prepares the set for many lookups.
    pub(super) fn lookup(&self) -> WatcherLookup<'_> {
        if self.watchers.len() < MANY {
            WatcherLookup::Few(&self.watchers)
        } else {
            WatcherLookup::Many(self.watchers.iter().collect())
        }
    }
}

/// Answers quickly whether a watcher is in a set.
pub(super) enum WatcherLookup<'a> {
    Few(&'a [WatcherRef]),
    Many(HashSet<&'a WatcherRef>),
}

impl WatcherLookup<'_> {
    pub(super) fn contains(&self, watcher: &WatcherRef) -> bool {
        match self {
            Self::Few(watchers) => watchers.contains(watcher),
            Self::Many(watchers) => watchers.contains(watcher),
        }
    }
}
