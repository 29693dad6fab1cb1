//! The default watch manager (Java: server/watch/WatchManager.java).
//!
//! Threads: any. Locks: `WatchManager`, held for one operation on the table; no watcher is called or dropped
//! under it. The number of paths is an atomic outside the lock, so that a change costs almost nothing while
//! nothing is watched.
//!
//! Not done here: the connection decides from the ACL whether its client may see an event. The data tree never
//! adds recursive watches to the manager of child watches, so that they get no NodeChildrenChanged.

mod path_watchers;
mod watch_table;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use log::debug;

use crate::data::ACL;
use crate::ids::{SessionId, Zxid};
use crate::keeper_exception::KeeperError;
use crate::server::server_metrics::ServerMetrics;
use crate::server::server_watcher::WatcherRef;
use crate::server::zoo_trace::{self, EVENT_DELIVERY_TRACE_MASK};
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::watched_event::WatchedEvent;
use crate::watcher::{EventType, KeeperState};

use super::i_watch_manager::{IWatchManager, add_paths, notify};
use super::watch_stats::WatchStats;
use super::watcher_mode::WatcherMode;
use super::watcher_or_bit_set::WatcherOrBitSet;
use super::watches_report::WatchesReport;
use super::watches_summary::WatchesSummary;
use watch_table::WatchTable;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.watch.WatchManager";

/// The number of paths that are shown in one hold of the table.
const PATHS_AT_ONCE: usize = 1000;

/// Supports watches of all modes, and removes the watches of a closed watcher at once.
pub struct WatchManager {
    table: RankedMutex<WatchTable>,
    /// The number of paths in the table after the last change.
    paths: AtomicUsize,
    metrics: Arc<ServerMetrics>,
}

impl WatchManager {
    /// Creates a manager without watches.
    #[must_use]
    pub fn new(metrics: Arc<ServerMetrics>) -> Self {
        let table = RankedMutex::new(Rank::WatchManager, "watch table", WatchTable::default());
        Self { table, paths: AtomicUsize::new(0), metrics }
    }

    /// Runs a change of the table and updates the number of paths.
    fn change<T>(&self, change: impl FnOnce(&mut WatchTable) -> T) -> T {
        let mut table = self.table.lock();
        let result = change(&mut table);
        // The lock of the data tree orders adding a watch and triggering it, so the atomic needs no ordering.
        self.paths.store(table.path_count(), Ordering::Relaxed);
        result
    }

    /// Whether nothing is watched. Takes no lock.
    fn is_empty(&self) -> bool {
        self.paths.load(Ordering::Relaxed) == 0
    }
}

impl IWatchManager for WatchManager {
    fn add_watch(&self, path: &str, watcher: &WatcherRef) -> bool {
        self.change(|table| {
            // Checked under the lock, because a connection is marked as closed before its watches are removed.
            if watcher.0.is_stale() {
                debug!(target: LOG, "Ignoring addWatch with closed cnxn");
                return false;
            }
            table.add(path, watcher, WatcherMode::Standard)
        })
    }

    fn add_watch_mode(
        &self,
        path: &str,
        watcher: &WatcherRef,
        mode: WatcherMode,
    ) -> Result<bool, KeeperError> {
        Ok(self.change(|table| {
            if watcher.0.is_stale() {
                debug!(target: LOG, "Ignoring addWatch with closed cnxn");
                return false;
            }
            table.add(path, watcher, mode)
        }))
    }

    fn contains_watcher(
        &self,
        path: &str,
        watcher: &WatcherRef,
        mode: Option<WatcherMode>,
    ) -> Result<bool, KeeperError> {
        let stats = self.table.lock().stats(path, watcher);
        Ok(mode.map_or(stats != WatchStats::NONE, |mode| stats.has_mode(mode)))
    }

    fn remove_watcher(
        &self,
        path: &str,
        watcher: &WatcherRef,
        mode: Option<WatcherMode>,
    ) -> Result<bool, KeeperError> {
        Ok(self.change(|table| table.remove(path, watcher, mode)))
    }

    fn remove_all(&self, watcher: &WatcherRef) {
        let removed = self.change(|table| table.remove_watcher(watcher));
        drop(removed); // maybe the last reference: not under the lock
    }

    fn trigger_watch(
        &self,
        path: &str,
        event_type: EventType,
        zxid: Zxid,
        acl: Option<&[ACL]>,
        suppress: Option<&WatcherOrBitSet>,
    ) -> Option<WatcherOrBitSet> {
        if self.is_empty() {
            return None;
        }
        let watchers = self.change(|table| table.fire(path));
        if watchers.is_empty() {
            let message = format_args!("No watchers for {path}");
            zoo_trace::log_trace_message(LOG, EVENT_DELIVERY_TRACE_MASK, message);
            return None;
        }
        let event =
            WatchedEvent { event_type, keeper_state: KeeperState::SyncConnected, path, zxid };
        notify(&watchers, &event, acl, suppress);
        count_fired(&self.metrics, event_type, watchers.len());
        Some(WatcherOrBitSet::new(watchers))
    }

    fn size(&self) -> usize {
        self.table.lock().watch_count()
    }

    fn shutdown(&self) {} // no threads

    fn watches_summary(&self) -> WatchesSummary {
        let table = self.table.lock();
        WatchesSummary {
            num_connections: table.watcher_count(),
            num_paths: table.path_count(),
            total_watches: table.watch_count(),
        }
    }

    fn for_each_path(&self, mut show: &mut dyn FnMut(&str, &mut dyn Iterator<Item = &WatcherRef>)) {
        let mut from = 0;
        while self.table.lock().show_paths(from, PATHS_AT_ONCE, &mut show) {
            from += PATHS_AT_ONCE;
        }
    }

    /// Also the sessions whose watches have all fired.
    fn watches(&self) -> WatchesReport {
        let mut id_to_paths: BTreeMap<SessionId, BTreeSet<Arc<str>>> = self
            .table
            .lock()
            .watchers()
            .map(|watcher| (watcher.0.session_id(), [].into()))
            .collect();
        add_paths(self, &mut id_to_paths);
        WatchesReport::new(id_to_paths)
    }
}

impl fmt::Display for WatchManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.watches_summary().fmt(f)
    }
}

/// Records the number of notified watchers.
pub(super) fn count_fired(metrics: &ServerMetrics, event_type: EventType, watchers: usize) {
    let summary = match event_type {
        EventType::NodeCreated => &metrics.node_created_watcher,
        EventType::NodeDeleted => &metrics.node_deleted_watcher,
        EventType::NodeDataChanged => &metrics.node_changed_watcher,
        EventType::NodeChildrenChanged => &metrics.node_children_watcher,
        EventType::None
        | EventType::DataWatchRemoved
        | EventType::ChildWatchRemoved
        | EventType::PersistentWatchRemoved => return,
    };
    summary.add(i64::try_from(watchers).unwrap_or(i64::MAX));
}

#[cfg(test)]
mod tests;
