//! All watches, indexed by path and by watcher (no Java twin: the maps inside WatchManager.java).
//!
//! Threads, locks: none; the manager's lock protects the table. Paths and watchers have numbers here. Each
//! path's text is therefore stored once, a watch costs a few bytes per index, and every operation takes time in
//! proportion to the number of watches that it touches.

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};
use std::hash::BuildHasher;

use super::path_watchers::{MAX_WATCHERS, PathWatchers};
use crate::server::server_watcher::WatcherRef;
use crate::server::watch::path_parent_iterator::PathParentIterator;
use crate::server::watch::watch_stats::WatchStats;
use crate::server::watch::watcher_mode::WatcherMode;

/// The number of a watcher, which is its index in `watchers`.
pub(super) type WatcherId = u32;
/// The number of a path, which is its index in `paths`.
type PathId = u32;

#[derive(Debug)]
struct PathEntry {
    path: Box<str>,
    /// `None` only while the slot is free.
    watchers: PathWatchers,
}

#[derive(Debug)]
struct WatcherEntry {
    watcher: WatcherRef,
    /// The watched paths. The set may be empty: as in Java, a watcher whose watches have all fired still counts
    /// as a connection.
    paths: HashSet<PathId>,
    /// The last round that found this watcher. It makes sure that a watcher is notified once, even if it
    /// watches several levels.
    found_in: u64,
}

/// All watches of a manager.
#[derive(Debug, Default)]
pub(super) struct WatchTable {
    paths: Vec<PathEntry>,
    free_paths: Vec<PathId>,
    path_ids: HashTable<PathId>,
    hasher: DefaultHashBuilder,

    watchers: Vec<Option<WatcherEntry>>,
    free_watchers: Vec<WatcherId>,
    watcher_ids: HashMap<WatcherRef, WatcherId>,

    watches: usize,
    recursive_watches: usize,
    round: u64,
}

#[expect(clippy::expect_used, reason = "2^32 entries of dozens of bytes do not fit into memory")]
fn id_of(place: usize) -> u32 {
    u32::try_from(place).expect("fewer than 2^32 entries")
}

impl WatchTable {
    /// The number of watched paths.
    pub(super) fn path_count(&self) -> usize {
        self.path_ids.len()
    }

    /// The number of watchers that have watches, or had some that have fired.
    pub(super) fn watcher_count(&self) -> usize {
        self.watcher_ids.len()
    }

    /// The number of watches.
    pub(super) const fn watch_count(&self) -> usize {
        self.watches
    }

    fn path_id(&self, path: &str) -> Option<PathId> {
        let same = |id: &PathId| &*self.paths[*id as usize].path == path;
        self.path_ids.find(self.hasher.hash_one(path), same).copied()
    }

    fn path_id_or_new(&mut self, path: &str) -> PathId {
        if let Some(id) = self.path_id(path) {
            return id;
        }
        let entry = PathEntry { path: path.into(), watchers: PathWatchers::None };
        let id = if let Some(id) = self.free_paths.pop() {
            self.paths[id as usize] = entry;
            id
        } else {
            self.paths.push(entry);
            id_of(self.paths.len() - 1)
        };
        let Self { paths, path_ids, hasher, .. } = self;
        let hash_of = |id: &PathId| hasher.hash_one(&*paths[*id as usize].path);
        path_ids.insert_unique(hasher.hash_one(path), id, hash_of);
        id
    }

    /// Removes the path if it has no watchers left.
    fn remove_path_if_unwatched(&mut self, id: PathId) {
        let entry = &mut self.paths[id as usize];
        if !entry.watchers.is_empty() {
            return;
        }
        let path = std::mem::take(&mut entry.path);
        let hash = self.hasher.hash_one(&*path);
        if let Ok(found) = self.path_ids.find_entry(hash, |other| *other == id) {
            found.remove();
        }
        self.free_paths.push(id);
    }

    fn watcher_id_or_new(&mut self, watcher: &WatcherRef) -> WatcherId {
        if let Some(id) = self.watcher_ids.get(watcher) {
            return *id;
        }
        let entry =
            WatcherEntry { watcher: watcher.clone(), paths: HashSet::default(), found_in: 0 };
        let id = if let Some(id) = self.free_watchers.pop() {
            self.watchers[id as usize] = Some(entry);
            id
        } else {
            self.watchers.push(Some(entry));
            let id = id_of(self.watchers.len() - 1);
            assert!(id < MAX_WATCHERS, "so many connections do not fit into memory");
            id
        };
        self.watcher_ids.insert(watcher.clone(), id);
        id
    }

    #[expect(clippy::expect_used, reason = "numbers are only kept of watchers that are there")]
    fn watcher_mut(&mut self, id: WatcherId) -> &mut WatcherEntry {
        self.watchers[id as usize].as_mut().expect("a watcher that is on a path has an entry")
    }

    fn take_watcher(&mut self, watcher: &WatcherRef) -> Option<(WatcherId, WatcherEntry)> {
        let id = self.watcher_ids.remove(watcher)?;
        let entry = self.watchers[id as usize].take()?;
        self.free_watchers.push(id);
        Some((id, entry))
    }

    fn count_recursive(&mut self, old: WatchStats, new: WatchStats) {
        let recursive = |stats: WatchStats| stats.has_mode(WatcherMode::PersistentRecursive);
        match (recursive(old), recursive(new)) {
            (false, true) => self.recursive_watches += 1,
            (true, false) => self.recursive_watches -= 1,
            (true, true) | (false, false) => {}
        }
    }

    /// Adds the mode; false if it already exists.
    pub(super) fn add(&mut self, path: &str, watcher: &WatcherRef, mode: WatcherMode) -> bool {
        let path_id = self.path_id_or_new(path);
        let watcher_id = self.watcher_id_or_new(watcher);
        let watchers = &mut self.paths[path_id as usize].watchers;
        let old = watchers.stats(watcher_id);
        let new = old.add_mode(mode);
        if new == old {
            return false;
        }
        watchers.set(watcher_id, new);
        self.count_recursive(old, new);
        if old == WatchStats::NONE {
            self.watcher_mut(watcher_id).paths.insert(path_id);
            self.watches += 1;
        }
        true
    }

    /// The watcher's modes on the path.
    pub(super) fn stats(&self, path: &str, watcher: &WatcherRef) -> WatchStats {
        match (self.watcher_ids.get(watcher), self.path_id(path)) {
            (Some(watcher_id), Some(path_id)) => {
                self.paths[path_id as usize].watchers.stats(*watcher_id)
            }
            _ => WatchStats::NONE,
        }
    }

    /// Removes the mode, or with `None` all modes. Returns whether there was one.
    pub(super) fn remove(
        &mut self,
        path: &str,
        watcher: &WatcherRef,
        mode: Option<WatcherMode>,
    ) -> bool {
        let (Some(&watcher_id), Some(path_id)) =
            (self.watcher_ids.get(watcher), self.path_id(path))
        else {
            return false;
        };
        let watchers = &mut self.paths[path_id as usize].watchers;
        let old = watchers.stats(watcher_id);
        let new = mode.map_or(WatchStats::NONE, |mode| old.remove_mode(mode));
        if new == old {
            return false;
        }
        watchers.set(watcher_id, new);
        self.count_recursive(old, new);
        if new == WatchStats::NONE {
            self.watches -= 1;
            self.remove_path_if_unwatched(path_id);
            let paths = &mut self.watcher_mut(watcher_id).paths;
            paths.remove(&path_id);
            if paths.is_empty() {
                self.take_watcher(watcher);
            }
        }
        true
    }

    /// Removes all watches of the watcher. Returns the watcher, so that it is not dropped under a lock.
    pub(super) fn remove_watcher(&mut self, watcher: &WatcherRef) -> Option<WatcherRef> {
        let (watcher_id, entry) = self.take_watcher(watcher)?;
        for path_id in entry.paths {
            let old = self.paths[path_id as usize].watchers.set(watcher_id, WatchStats::NONE);
            self.count_recursive(old, WatchStats::NONE);
            self.watches -= 1;
            self.remove_path_if_unwatched(path_id);
        }
        Some(entry.watcher)
    }

    /// The watchers to notify of a change of the path, each once. Their standard watches are removed.
    pub(super) fn fire(&mut self, path: &str) -> Vec<WatcherRef> {
        self.round += 1;
        let mut found = Vec::new();
        let mut local_paths = if self.recursive_watches == 0 {
            PathParentIterator::for_path_only(path)
        } else {
            PathParentIterator::for_all(path)
        };
        while let Some(local_path) = local_paths.next() {
            let Some(path_id) = self.path_id(local_path) else { continue };
            if local_paths.at_parent_path() {
                self.find_recursive(path_id, &mut found);
            } else {
                self.fire_path(path_id, &mut found);
            }
        }
        found
    }

    fn fire_path(&mut self, path_id: PathId, found: &mut Vec<WatcherRef>) {
        let Self { paths, watchers, watches, round, .. } = self;
        let path_watchers = &mut paths[path_id as usize].watchers;
        found.reserve_exact(path_watchers.len());
        path_watchers.update_all(|watcher_id, stats| {
            let left = stats.remove_mode(WatcherMode::Standard);
            if let Some(entry) = &mut watchers[watcher_id as usize] {
                entry.found_in = *round;
                found.push(entry.watcher.clone());
                if left == WatchStats::NONE {
                    entry.paths.remove(&path_id);
                    *watches -= 1;
                }
            }
            left
        });
        self.remove_path_if_unwatched(path_id);
    }

    fn find_recursive(&mut self, path_id: PathId, found: &mut Vec<WatcherRef>) {
        let Self { paths, watchers, round, .. } = self;
        for (watcher_id, stats) in paths[path_id as usize].watchers.iter() {
            if stats.has_mode(WatcherMode::PersistentRecursive)
                && let Some(entry) = &mut watchers[watcher_id as usize]
                && entry.found_in != *round
            {
                entry.found_in = *round;
                found.push(entry.watcher.clone());
            }
        }
    }

    /// All watchers, including those whose watches have all fired.
    pub(super) fn watchers(&self) -> impl Iterator<Item = &WatcherRef> {
        self.watchers.iter().flatten().map(|entry| &entry.watcher)
    }

    /// Shows `count` path slots from slot `from` on, each path with its watchers. False at the end.
    pub(super) fn show_paths(
        &self,
        from: usize,
        count: usize,
        show: &mut impl FnMut(&str, &mut dyn Iterator<Item = &WatcherRef>),
    ) -> bool {
        let rest = self.paths.get(from..).unwrap_or_default();
        for entry in rest.iter().take(count).filter(|entry| !entry.watchers.is_empty()) {
            let mut watchers = entry.watchers.iter().filter_map(|(id, _)| {
                self.watchers[id as usize].as_ref().map(|entry| &entry.watcher)
            });
            show(&entry.path, &mut watchers);
        }
        rest.len() > count
    }

    /// Checks all invariants between the two indexes.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut watches = 0;
        let mut recursive = 0;
        for (place, entry) in self.paths.iter().enumerate() {
            if entry.watchers.is_empty() {
                assert!(self.free_paths.contains(&id_of(place)));
                continue;
            }
            assert_eq!(self.path_id(&entry.path), Some(id_of(place)));
            for (watcher_id, stats) in entry.watchers.iter() {
                assert_ne!(stats, WatchStats::NONE);
                let watcher = self.watchers[watcher_id as usize].as_ref().unwrap();
                assert!(watcher.paths.contains(&id_of(place)));
                watches += 1;
                recursive += usize::from(stats.has_mode(WatcherMode::PersistentRecursive));
            }
        }
        let by_watcher: usize = self.watchers.iter().flatten().map(|entry| entry.paths.len()).sum();
        assert_eq!((watches, recursive), (self.watches, self.recursive_watches));
        assert_eq!(by_watcher, watches);
        assert_eq!(self.paths.len() - self.free_paths.len(), self.path_ids.len());
        assert_eq!(self.watchers.len() - self.free_watchers.len(), self.watcher_ids.len());
    }
}
