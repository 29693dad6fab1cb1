//! The watchers of one path (no Java twin: there a HashSet of watchers, and the modes in the watcher's own
//! map).

use hashbrown::HashMap;

use super::watch_table::WatcherId;
use crate::server::watch::watch_stats::WatchStats;

/// The watchers of one path with their modes. Most paths have one watcher, which is stored inline.
#[derive(Debug, Default)]
pub(super) enum PathWatchers {
    #[default]
    None,
    One(WatcherId, WatchStats),
    /// At least two.
    Many(Box<HashMap<WatcherId, WatchStats>>),
}

impl PathWatchers {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(..) => 1,
            Self::Many(watchers) => watchers.len(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The modes of a watcher.
    pub(super) fn stats(&self, watcher: WatcherId) -> WatchStats {
        match self {
            Self::One(one, stats) if *one == watcher => *stats,
            Self::None | Self::One(..) => WatchStats::NONE,
            Self::Many(watchers) => watchers.get(&watcher).copied().unwrap_or_default(),
        }
    }

    /// Sets the modes of a watcher. Without any mode the watcher is removed. Returns the previous modes.
    pub(super) fn set(&mut self, watcher: WatcherId, stats: WatchStats) -> WatchStats {
        if stats == WatchStats::NONE {
            return self.remove(watcher);
        }
        match self {
            Self::None => *self = Self::One(watcher, stats),
            Self::One(one, old) if *one == watcher => return std::mem::replace(old, stats),
            Self::One(one, old) => {
                let both = [(*one, *old), (watcher, stats)];
                *self = Self::Many(Box::new(HashMap::from_iter(both)));
            }
            Self::Many(watchers) => return watchers.insert(watcher, stats).unwrap_or_default(),
        }
        WatchStats::NONE
    }

    fn remove(&mut self, watcher: WatcherId) -> WatchStats {
        match self {
            Self::One(one, old) if *one == watcher => {
                let old = *old;
                *self = Self::None;
                old
            }
            Self::None | Self::One(..) => WatchStats::NONE,
            Self::Many(watchers) => {
                let old = watchers.remove(&watcher).unwrap_or_default();
                self.compact();
                old
            }
        }
    }

    /// Changes the modes of each watcher. A watcher without any mode is removed.
    pub(super) fn update_all(
        &mut self,
        mut change: impl FnMut(WatcherId, WatchStats) -> WatchStats,
    ) {
        match self {
            Self::None => {}
            Self::One(one, stats) => {
                *stats = change(*one, *stats);
                if *stats == WatchStats::NONE {
                    *self = Self::None;
                }
            }
            Self::Many(watchers) => {
                watchers.retain(|watcher, stats| {
                    *stats = change(*watcher, *stats);
                    *stats != WatchStats::NONE
                });
                self.compact();
            }
        }
    }

    /// Returns to a smaller form when fewer than two watchers are left.
    fn compact(&mut self) {
        if let Self::Many(watchers) = self
            && watchers.len() < 2
        {
            *self =
                watchers.iter().next().map_or(Self::None, |(one, stats)| Self::One(*one, *stats));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (WatcherId, WatchStats)> {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(one, stats) => (Some((*one, *stats)), None),
            Self::Many(watchers) => (None, Some(watchers.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten().map(|(watcher, stats)| (*watcher, *stats)))
    }
}
