//! Who was found when a watch fired (Java: server/watch/WatcherOrBitSet.java).

use crate::server::server_watcher::WatcherRef;
use crate::server::util::bit_hash_set::BitHashSet;

/// The watchers themselves, or their numbers in the manager that they come from.
#[derive(Clone, Debug)]
pub enum WatcherOrBitSet {
    /// From a `WatchManager`: each watcher once.
    Watchers(Vec<WatcherRef>),
    /// From a `WatchManagerOptimized`.
    Bits(BitHashSet),
}

impl WatcherOrBitSet {
    /// Whether the watcher is in it. Looks at all of them: for many questions, sort first.
    #[must_use]
    pub fn contains(&self, watcher: &WatcherRef) -> bool {
        match self {
            Self::Watchers(watchers) => watchers.contains(watcher),
            Self::Bits(_) => false,
        }
    }

    /// Whether the watcher of that number is in it.
    #[must_use]
    pub fn contains_bit(&self, bit: u32) -> bool {
        match self {
            Self::Watchers(_) => false,
            Self::Bits(bits) => bits.contains(bit),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Watchers(watchers) => watchers.len(),
            Self::Bits(bits) => bits.size(),
        }
    }
}
