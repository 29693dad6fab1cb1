//! A watch manager for many watchers of the same paths (Java: server/watch/WatchManagerOptimized.java).
//!
//! Each path has a set of small numbers instead of watchers, and there is no index from a watcher to its paths.
//! Only standard watches are supported. A closed watcher stays in the sets until the cleaner goes through all
//! of them. If most paths have one watcher, the default manager needs less memory.
//!
//! Threads: any, and those of the cleaner. Locks: `WatchManager` protects the numbers of the watchers; threads
//! that only use numbers share it. Below it, `WatchedPaths` protects one part of the paths. While a number is
//! in a set, it belongs to the same watcher: it is freed only after all sets are clean, and it is found in a
//! set and looked up under one shared hold.
//!
//! Differences from Java: the paths are split into parts with a lock each instead of a concurrent map, so that
//! the cleaner blocks other threads only for one part at a time. A path without watchers is removed at once.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::DefaultHashBuilder;
use log::debug;

use crate::data::ACL;
use crate::ids::Zxid;
use crate::keeper_exception::KeeperError;
use crate::server::server_metrics::ServerMetrics;
use crate::server::server_watcher::WatcherRef;
use crate::server::util::bit_hash_set::BitHashSet;
use crate::server::util::bit_map::BitMap;
use crate::util::lock_rank::{Rank, RankedMutex, RankedRwLock};
use crate::watched_event::WatchedEvent;
use crate::watcher::{EventType, KeeperState};

use super::i_watch_manager::{IWatchManager, notify};
use super::watch_manager::count_fired;
use super::watcher_cleaner::{DeadWatcherListener, WatcherCleaner, WatcherCleanerConfig};
use super::watcher_mode::WatcherMode;
use super::watcher_or_bit_set::WatcherOrBitSet;
use super::watches_summary::WatchesSummary;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.watch.WatchManagerOptimized";

/// The number of parts of the paths: a power of two, large enough that the cleaner blocks others only for a
/// small part of its work.
const PARTS: usize = 64;

type PathWatches = HashMap<Box<str>, BitHashSet, DefaultHashBuilder>;

/// Supports standard watches. The watches of a closed watcher are removed later.
pub(crate) struct WatchManagerOptimized {
    watches: Arc<Watches>,
    watcher_cleaner: WatcherCleaner,
    metrics: Arc<ServerMetrics>,
}

struct Watches {
    watcher_bits: RankedRwLock<BitMap<WatcherRef>>,
    parts: Vec<RankedMutex<PathWatches>>,
    hasher: DefaultHashBuilder,
    bit_hash_cache_size: usize,
    /// The number of watched paths. It is changed under a part's lock and read without a lock.
    path_count: AtomicUsize,
    /// The number of watches, with the same rule.
    watch_count: AtomicUsize,
}

impl WatchManagerOptimized {
    /// Creates a manager without watches and starts the cleaner.
    ///
    /// # Errors
    /// When the cleaner's threads cannot be started.
    pub(crate) fn start(
        cleaner: WatcherCleanerConfig,
        bit_hash_cache_size: usize,
        metrics: Arc<ServerMetrics>,
    ) -> io::Result<Self> {
        let watches = Arc::new(Watches::new(bit_hash_cache_size));
        let listener = Arc::clone(&watches) as Arc<dyn DeadWatcherListener>;
        let watcher_cleaner = WatcherCleaner::start(cleaner, listener, Arc::clone(&metrics))?;
        Ok(Self { watches, watcher_cleaner, metrics })
    }
}

/// The error for modes other than the standard one. The client gets the same error as from Java.
fn only_standard(mode: Option<WatcherMode>) -> Result<(), KeeperError> {
    match mode {
        None | Some(WatcherMode::Standard) => Ok(()),
        Some(WatcherMode::Persistent | WatcherMode::PersistentRecursive) => {
            Err(KeeperError::MarshallingError)
        }
    }
}

impl Watches {
    fn new(bit_hash_cache_size: usize) -> Self {
        let hasher = DefaultHashBuilder::default();
        let part = |_| {
            let paths = PathWatches::with_hasher(hasher.clone());
            RankedMutex::new(Rank::WatchedPaths, "watched paths", paths)
        };
        Self {
            watcher_bits: RankedRwLock::new(Rank::WatchManager, "watcher bits", BitMap::new()),
            parts: (0..PARTS).map(part).collect(),
            hasher,
            bit_hash_cache_size,
            path_count: AtomicUsize::new(0),
            watch_count: AtomicUsize::new(0),
        }
    }

    fn part(&self, path: &str) -> &RankedMutex<PathWatches> {
        // The hash maps use the lowest and highest bits of the hash, so the part is selected by bits in the
        // middle.
        let hash = self.hasher.hash_one(path) >> 24;
        &self.parts[usize::try_from(hash % PARTS as u64).unwrap_or(0)]
    }

    /// Adds the number to the path's set; false if the set already contains it.
    fn add_bit(&self, path: &str, bit: u32) -> bool {
        let mut part = self.part(path).lock();
        let added = if let Some(watchers) = part.get_mut(path) {
            watchers.add(bit)
        } else {
            let mut watchers = BitHashSet::new(self.bit_hash_cache_size);
            watchers.add(bit);
            part.insert(path.into(), watchers);
            self.path_count.fetch_add(1, Ordering::Relaxed);
            true
        };
        if added {
            self.watch_count.fetch_add(1, Ordering::Relaxed);
        }
        added
    }

    fn add(&self, path: &str, watcher: &WatcherRef) -> bool {
        {
            let bits = self.watcher_bits.read();
            if let Some(bit) = bits.bit(watcher) {
                return !is_dead(watcher) && self.add_bit(path, bit);
            }
        }
        // The lock is held exclusively until the watch is added. If the watcher is closed in the meantime, its
        // removal then finds the number.
        let mut bits = self.watcher_bits.write();
        if is_dead(watcher) {
            return false;
        }
        let bit = bits.add(watcher);
        self.add_bit(path, bit)
    }

    fn remove(&self, path: &str, watcher: &WatcherRef) -> bool {
        let bits = self.watcher_bits.read();
        let Some(bit) = bits.bit(watcher) else { return false };
        let mut part = self.part(path).lock();
        let Some(watchers) = part.get_mut(path) else { return false };
        let removed = watchers.remove(bit);
        if watchers.is_empty() {
            part.remove(path);
            self.path_count.fetch_sub(1, Ordering::Relaxed);
        }
        if removed {
            self.watch_count.fetch_sub(1, Ordering::Relaxed);
        }
        removed
    }

    fn contains(&self, path: &str, watcher: &WatcherRef) -> bool {
        let bits = self.watcher_bits.read();
        let Some(bit) = bits.bit(watcher) else { return false };
        self.part(path).lock().get(path).is_some_and(|watchers| watchers.contains(bit))
    }

    /// Removes the path and returns its watchers that are not closed.
    fn fire(&self, path: &str) -> Option<Vec<WatcherRef>> {
        let bits = self.watcher_bits.read();
        let found = self.part(path).lock().remove(path)?;
        self.path_count.fetch_sub(1, Ordering::Relaxed);
        self.watch_count.fetch_sub(found.size(), Ordering::Relaxed);
        let watchers = found.iter().filter_map(|bit| bits.value(bit));
        Some(watchers.filter(|watcher| !watcher.0.is_stale()).cloned().collect())
    }

    /// Shows every path with its watchers, one part at a time. As in Java, concurrent changes may be missed.
    fn for_each_path(&self, show: &mut dyn FnMut(&str, &mut dyn Iterator<Item = &WatcherRef>)) {
        for part in &self.parts {
            let bits = self.watcher_bits.read();
            for (path, watchers) in part.lock().iter() {
                show(path, &mut watchers.iter().filter_map(|bit| bits.value(bit)));
            }
        }
    }
}

fn is_dead(watcher: &WatcherRef) -> bool {
    let dead = watcher.0.is_stale();
    if dead {
        debug!(target: LOG, "Ignoring addWatch with closed cnxn");
    }
    dead
}

impl DeadWatcherListener for Watches {
    fn process_dead_watchers(&self, dead_watchers: &BitHashSet) {
        for part in &self.parts {
            part.lock().retain(|_, watchers| {
                let removed = watchers.remove_set(dead_watchers);
                self.watch_count.fetch_sub(removed, Ordering::Relaxed);
                if watchers.is_empty() {
                    self.path_count.fetch_sub(1, Ordering::Relaxed);
                }
                !watchers.is_empty()
            });
        }
        let mut removed = Vec::with_capacity(dead_watchers.size());
        {
            let mut bits = self.watcher_bits.write();
            removed.extend(dead_watchers.iter().filter_map(|bit| bits.remove_bit(bit)));
        }
        drop(removed); // maybe the last references: not under the lock
    }
}

impl IWatchManager for WatchManagerOptimized {
    fn add_watch(&self, path: &str, watcher: &WatcherRef) -> bool {
        self.watches.add(path, watcher)
    }

    fn add_watch_mode(
        &self,
        path: &str,
        watcher: &WatcherRef,
        mode: WatcherMode,
    ) -> Result<bool, KeeperError> {
        only_standard(Some(mode))?;
        Ok(self.watches.add(path, watcher))
    }

    fn contains_watcher(
        &self,
        path: &str,
        watcher: &WatcherRef,
        mode: Option<WatcherMode>,
    ) -> Result<bool, KeeperError> {
        only_standard(mode)?;
        Ok(self.watches.contains(path, watcher))
    }

    fn remove_watcher(
        &self,
        path: &str,
        watcher: &WatcherRef,
        mode: Option<WatcherMode>,
    ) -> Result<bool, KeeperError> {
        only_standard(mode)?;
        Ok(self.watches.remove(path, watcher))
    }

    fn remove_all(&self, watcher: &WatcherRef) {
        // The exclusive lock makes sure that a concurrent addition of this watcher is either finished or will
        // see that it is closed.
        let bit = self.watches.watcher_bits.write().bit(watcher);
        if let Some(bit) = bit {
            self.watcher_cleaner.add_dead_watcher(bit);
        }
    }

    fn trigger_watch(
        &self,
        path: &str,
        event_type: EventType,
        zxid: Zxid,
        acl: Option<&[ACL]>,
        suppress: Option<&WatcherOrBitSet>,
    ) -> Option<WatcherOrBitSet> {
        if self.watches.path_count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let watchers = self.watches.fire(path)?;
        let event =
            WatchedEvent { event_type, keeper_state: KeeperState::SyncConnected, path, zxid };
        let told = notify(&watchers, &event, acl, suppress);
        count_fired(&self.metrics, event_type, told);
        Some(WatcherOrBitSet::new(watchers))
    }

    fn size(&self) -> usize {
        self.watches.watch_count.load(Ordering::Relaxed)
    }

    fn shutdown(&self) {
        self.watcher_cleaner.shutdown();
    }

    fn watches_summary(&self) -> WatchesSummary {
        WatchesSummary {
            num_connections: self.watches.watcher_bits.read().size(),
            num_paths: self.watches.path_count.load(Ordering::Relaxed),
            total_watches: self.size(),
        }
    }

    fn for_each_path(&self, show: &mut dyn FnMut(&str, &mut dyn Iterator<Item = &WatcherRef>)) {
        self.watches.for_each_path(show);
    }
}

impl fmt::Display for WatchManagerOptimized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.watches_summary().fmt(f)
    }
}

#[cfg(test)]
mod tests;
