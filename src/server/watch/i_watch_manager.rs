//! The interface of a watch manager (Java: server/watch/IWatchManager.java).
//!
//! Threads: any; every method takes `&self` and locks inside. No watcher is called under the manager's lock.
//!
//! Differences from Java: an unsupported mode is an error for the client instead of an exception. Dumps go to
//! memory, so that no thread writes to a socket under the lock. `toString` is `Display`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::sync::Arc;

use crate::data::ACL;
use crate::ids::{SessionId, Zxid};
use crate::keeper_exception::KeeperError;
use crate::server::server_watcher::WatcherRef;
use crate::watched_event::WatchedEvent;
use crate::watcher::EventType;

use super::watcher_mode::WatcherMode;
use super::watcher_or_bit_set::WatcherOrBitSet;
use super::watches_path_report::WatchesPathReport;
use super::watches_report::WatchesReport;
use super::watches_summary::WatchesSummary;

/// Stores which watchers watch which paths. The data tree has two managers: one for data and one for children.
///
/// Its `Display` is the text of the `wchs` command.
pub trait IWatchManager: Send + Sync + fmt::Display {
    /// Adds a standard watch. False if it already exists or the watcher is closed.
    fn add_watch(&self, path: &str, watcher: &WatcherRef) -> bool;

    /// Adds a watch of this mode; watches of other modes stay. False as for [`add_watch`](Self::add_watch).
    ///
    /// # Errors
    /// When this manager does not support the mode. The client gets the same error as from Java.
    fn add_watch_mode(
        &self,
        path: &str,
        watcher: &WatcherRef,
        mode: WatcherMode,
    ) -> Result<bool, KeeperError>;

    /// Whether the watcher watches the path in this mode, or with `None` in any mode.
    ///
    /// # Errors
    /// When this manager does not support the mode.
    fn contains_watcher(
        &self,
        path: &str,
        watcher: &WatcherRef,
        mode: Option<WatcherMode>,
    ) -> Result<bool, KeeperError>;

    /// Removes the watcher's watch of this mode from the path, or with `None` the watches of all modes. Returns
    /// whether there was one.
    ///
    /// # Errors
    /// When this manager does not support the mode.
    fn remove_watcher(
        &self,
        path: &str,
        watcher: &WatcherRef,
        mode: Option<WatcherMode>,
    ) -> Result<bool, KeeperError>;

    /// Removes all watches of a closed watcher (Java: removeWatcher(Watcher)). Its `is_stale` must be true
    /// already; otherwise a watch could be added later and would stay. Depending on the settings, the call may
    /// wait until earlier closed watchers are cleaned up, so it should not be made while the tree is held.
    fn remove_all(&self, watcher: &WatcherRef);

    /// Notifies the watchers of a path and removes the standard watches. Returns the watchers that were found,
    /// including suppressed ones; `None` if there are none.
    ///
    /// `acl` is the ACL of the node. Each watcher uses it to decide whether its client may see the event.
    /// Watchers in `suppress`, which is the result of another manager, are not notified.
    fn trigger_watch(
        &self,
        path: &str,
        event_type: EventType,
        zxid: Zxid,
        acl: Option<&[ACL]>,
        suppress: Option<&WatcherOrBitSet>,
    ) -> Option<WatcherOrBitSet>;

    /// The number of watches. Several modes of a watcher on one path count once.
    fn size(&self) -> usize;

    /// Ends the manager's threads, if it has any. A second call does nothing.
    fn shutdown(&self);

    /// The numbers of watchers, paths and watches (Java: getWatchesSummary).
    fn watches_summary(&self) -> WatchesSummary;

    /// Shows every path with its watchers, a part of the table per hold of the lock, so that a change does not wait
    /// for all of them. Concurrent changes may be missed.
    fn for_each_path(&self, show: &mut dyn FnMut(&str, &mut dyn Iterator<Item = &WatcherRef>));

    /// The watched paths of each session (Java: getWatches).
    fn watches(&self) -> WatchesReport {
        let mut id_to_paths = BTreeMap::new();
        add_paths(self, &mut id_to_paths);
        WatchesReport::new(id_to_paths)
    }

    /// The sessions that watch each path (Java: getWatchesByPath).
    fn watches_by_path(&self) -> WatchesPathReport {
        let mut path_to_ids = BTreeMap::new();
        self.for_each_path(&mut |path, watchers| {
            let ids = watchers.map(|watcher| watcher.0.session_id()).collect::<BTreeSet<_>>();
            path_to_ids.insert(Arc::from(path), ids);
        });
        WatchesPathReport::new(path_to_ids)
    }

    /// Appends the text of the command `wchp` (by path) or `wchc` (by session), which can be large.
    fn dump_watches(&self, out: &mut String, by_path: bool) {
        let mut line = |text: fmt::Arguments<'_>| {
            let written = out.write_fmt(text);
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        };
        if by_path {
            self.for_each_path(&mut |path, watchers| {
                line(format_args!("{path}\n"));
                for watcher in watchers {
                    line(format_args!("\t{}\n", watcher.0.session_id()));
                }
            });
            return;
        }
        for (session_id, paths) in self.watches().as_map() {
            line(format_args!("{session_id}\n"));
            for path in paths {
                line(format_args!("\t{path}\n"));
            }
        }
    }
}

/// Adds the paths of all watchers to those of their sessions. All sessions that watch a path share one copy of its
/// text.
pub(super) fn add_paths<M: IWatchManager + ?Sized>(
    manager: &M,
    id_to_paths: &mut BTreeMap<SessionId, BTreeSet<Arc<str>>>,
) {
    manager.for_each_path(&mut |path, watchers| {
        let path: Arc<str> = path.into();
        for watcher in watchers {
            let paths = id_to_paths.entry(watcher.0.session_id()).or_default();
            paths.insert(Arc::clone(&path));
        }
    });
}

/// Notifies the watchers, except those in `suppress`. Returns how many were notified.
pub(super) fn notify(
    watchers: &[WatcherRef],
    event: &WatchedEvent<'_>,
    acl: Option<&[ACL]>,
    suppress: Option<&WatcherOrBitSet>,
) -> usize {
    let suppressed = suppress.map(WatcherOrBitSet::lookup);
    let is_told = |watcher: &&WatcherRef| {
        !suppressed.as_ref().is_some_and(|suppressed| suppressed.contains(watcher))
    };
    watchers.iter().filter(is_told).map(|watcher| watcher.0.process(event, acl)).count()
}
