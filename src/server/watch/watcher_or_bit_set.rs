//! Who was found when a watch fired (Java: server/watch/WatcherOrBitSet.java).
//!
//! Differs from Java, where a `WatchManagerOptimized` hands out the numbers that it has for its watchers, and another one
//! takes them for its own: whoever has the number of somebody else is not told then. Here it is always the watchers.

use std::collections::HashSet;

use crate::server::server_watcher::WatcherRef;

/// From this many on, watchers are looked up and not searched.
const MANY: usize = 16;

/// The watchers that were found, each once.
#[derive(Clone, Debug)]
pub struct WatcherOrBitSet {
    watchers: Vec<WatcherRef>,
}

impl WatcherOrBitSet {
    pub(super) const fn new(watchers: Vec<WatcherRef>) -> Self {
        Self { watchers }
    }

    /// Whether the watcher is in it. Looks at all of them.
    #[must_use]
    pub fn contains(&self, watcher: &WatcherRef) -> bool {
        self.watchers.contains(watcher)
    }

    /// How many there are.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.watchers.len()
    }

    /// Ready to be asked often.
    pub(super) fn lookup(&self) -> WatcherLookup<'_> {
        if self.watchers.len() < MANY {
            WatcherLookup::Few(&self.watchers)
        } else {
            WatcherLookup::Many(self.watchers.iter().collect())
        }
    }
}

/// Says quickly whether a watcher is among some.
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
