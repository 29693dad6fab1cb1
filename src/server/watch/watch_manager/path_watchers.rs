//! The watchers of one path (no Java twin: there a HashSet of watchers, and the modes in the watcher's own
//! map).

use std::fmt;
use std::mem;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::watch_table::WatcherId;
use crate::server::watch::watch_stats::WatchStats;

/// The number of watchers that can be told apart.
pub(super) const MAX_WATCHERS: u32 = 1 << (WatcherId::BITS - WatchStats::BITS);

/// A watcher and its modes in one word, because there may be millions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Watch(u32);

impl Watch {
    fn new(watcher: WatcherId, stats: WatchStats) -> Self {
        debug_assert!(watcher < MAX_WATCHERS);
        Self((watcher << WatchStats::BITS) | u32::from(stats.to_bits()))
    }

    const fn watcher(self) -> WatcherId {
        self.0 >> WatchStats::BITS
    }

    const fn stats(self) -> WatchStats {
        let [lowest, ..] = self.0.to_le_bytes();
        WatchStats::from_bits(lowest)
    }

    const fn both(self) -> (WatcherId, WatchStats) {
        (self.watcher(), self.stats())
    }

    /// A hash of the watcher. The server chooses the numbers, so nobody can choose those that collide.
    fn hash_of(watcher: WatcherId) -> u64 {
        let hash = u64::from(watcher).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^ (hash >> 32)
    }

    fn hash(&self) -> u64 {
        Self::hash_of(self.watcher())
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.both().fmt(f)
    }
}

/// The watchers of one path with their modes. Most paths have one watcher, which is stored inline.
#[derive(Debug, Default)]
pub(super) enum PathWatchers {
    #[default]
    None,
    One(Watch),
    /// At least two.
    Many(Box<HashTable<Watch>>),
}

impl PathWatchers {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(watches) => watches.len(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The modes of a watcher.
    pub(super) fn stats(&self, watcher: WatcherId) -> WatchStats {
        let found = match self {
            Self::None => None,
            Self::One(one) => Some(one).filter(|one| one.watcher() == watcher),
            Self::Many(watches) => {
                watches.find(Watch::hash_of(watcher), |watch| watch.watcher() == watcher)
            }
        };
        found.map_or(WatchStats::NONE, |watch| watch.stats())
    }

    /// Sets the modes of a watcher. Without any mode the watcher is removed. Returns the previous modes.
    pub(super) fn set(&mut self, watcher: WatcherId, stats: WatchStats) -> WatchStats {
        if stats == WatchStats::NONE {
            return self.remove(watcher);
        }
        let watch = Watch::new(watcher, stats);
        match self {
            Self::None => *self = Self::One(watch),
            Self::One(one) if one.watcher() == watcher => return mem::replace(one, watch).stats(),
            Self::One(one) => {
                let mut both = HashTable::with_capacity(2);
                for watch in [*one, watch] {
                    both.insert_unique(watch.hash(), watch, Watch::hash);
                }
                *self = Self::Many(Box::new(both));
            }
            Self::Many(watches) => {
                let same = |other: &Watch| other.watcher() == watcher;
                match watches.entry(watch.hash(), same, Watch::hash) {
                    Entry::Occupied(mut found) => {
                        return mem::replace(found.get_mut(), watch).stats();
                    }
                    Entry::Vacant(free) => _ = free.insert(watch),
                }
            }
        }
        WatchStats::NONE
    }

    fn remove(&mut self, watcher: WatcherId) -> WatchStats {
        match self {
            Self::One(one) if one.watcher() == watcher => {
                let old = one.stats();
                *self = Self::None;
                old
            }
            Self::None | Self::One(_) => WatchStats::NONE,
            Self::Many(watches) => {
                let same = |watch: &Watch| watch.watcher() == watcher;
                let Ok(found) = watches.find_entry(Watch::hash_of(watcher), same) else {
                    return WatchStats::NONE;
                };
                let (old, _) = found.remove();
                self.compact();
                old.stats()
            }
        }
    }

    /// Changes the modes of each watcher. A watcher without any mode is removed.
    pub(super) fn update_all(
        &mut self,
        mut change: impl FnMut(WatcherId, WatchStats) -> WatchStats,
    ) {
        let mut stays = |watch: &mut Watch| {
            let stats = change(watch.watcher(), watch.stats());
            *watch = Watch::new(watch.watcher(), stats);
            stats != WatchStats::NONE
        };
        match self {
            Self::None => {}
            Self::One(one) => {
                if !stays(one) {
                    *self = Self::None;
                }
            }
            Self::Many(watches) => {
                watches.retain(stays);
                self.compact();
            }
        }
    }

    /// Returns to a smaller form when fewer than two watchers are left.
    fn compact(&mut self) {
        if let Self::Many(watches) = self
            && watches.len() < 2
        {
            *self = watches.iter().next().map_or(Self::None, |one| Self::One(*one));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (WatcherId, WatchStats)> {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(one) => (Some(one), None),
            Self::Many(watches) => (None, Some(watches.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten()).map(|watch| watch.both())
    }
}
