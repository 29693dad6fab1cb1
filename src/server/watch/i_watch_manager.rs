//! What the tree asks of a table of watches (Java: server/watch/IWatchManager.java).
//!
//! Threads: any; every method takes `&self` and locks inside. No watcher is called under the manager's lock.
//!
//! Differs from Java: a mode that the manager does not know is an answer to the client and not an exception; the dump goes
//! to memory, so that nobody writes to a socket under the lock; `toString` is `Display`.

use std::fmt;

use crate::data::ACL;
use crate::ids::Zxid;
use crate::keeper_exception::KeeperError;
use crate::server::server_watcher::WatcherRef;
use crate::watcher::EventType;

use super::watcher_mode::WatcherMode;
use super::watcher_or_bit_set::WatcherOrBitSet;
use super::watches_path_report::WatchesPathReport;
use super::watches_report::WatchesReport;
use super::watches_summary::WatchesSummary;

/// Who watches which path. The tree has two: one for data, one for children.
///
/// Its `Display` is the text of the `wchs` command.
pub trait IWatchManager: Send + Sync + fmt::Display {
    /// Adds a standard watch; false when it is there already, or when the watcher is closed.
    fn add_watch(&self, path: &str, watcher: &WatcherRef) -> bool;

    /// Adds a watch of that mode beside those of other modes; false as in [`add_watch`](Self::add_watch).
    ///
    /// # Errors
    /// When this manager has no such watches: the answer that Java's exception ends as.
    fn add_watch_mode(
        &self,
        path: &str,
        watcher: &WatcherRef,
        mode: WatcherMode,
    ) -> Result<bool, KeeperError>;

    /// Whether the watcher watches the path in that mode, or in any.
    ///
    /// # Errors
    /// When this manager has no such watches.
    fn contains_watcher(
        &self,
        path: &str,
        watcher: &WatcherRef,
        mode: Option<WatcherMode>,
    ) -> Result<bool, KeeperError>;

    /// Removes the watcher's watch of that mode on the path, or those of all modes; whether there was one.
    ///
    /// # Errors
    /// When this manager has no such watches.
    fn remove_watcher(
        &self,
        path: &str,
        watcher: &WatcherRef,
        mode: Option<WatcherMode>,
    ) -> Result<bool, KeeperError>;

    /// Removes all watches of a watcher that is closed (Java: removeWatcher(Watcher)). Its `is_stale` must be true
    /// already: a watch that is added later would stay. May wait for a clean-up of earlier ones where the settings say so:
    /// better not called while the tree is held.
    fn remove_all(&self, watcher: &WatcherRef);

    /// Tells who watches the path what has happened, and removes the standard watches. Returns who was found, the
    /// suppressed ones too; `None` when nobody watches.
    ///
    /// `acl` is the ACL of the node, for the watchers to decide whether they may know. Whoever is in `suppress`, the
    /// answer of another manager, is not told.
    fn trigger_watch(
        &self,
        path: &str,
        event_type: EventType,
        zxid: Zxid,
        acl: Option<&[ACL]>,
        suppress: Option<&WatcherOrBitSet>,
    ) -> Option<WatcherOrBitSet>;

    /// The number of watches; a watcher's modes on one path count once.
    fn size(&self) -> usize;

    /// Ends the manager's threads, if it has some; a second call finds nothing to do.
    fn shutdown(&self);

    /// Numbers of watchers, paths and watches (Java: getWatchesSummary).
    fn watches_summary(&self) -> WatchesSummary;

    /// Paths by session (Java: getWatches).
    fn watches(&self) -> WatchesReport;

    /// Sessions by path (Java: getWatchesByPath).
    fn watches_by_path(&self) -> WatchesPathReport;

    /// Appends the text of the `wchp` command (by path) or of `wchc` (by session). It may be large.
    fn dump_watches(&self, out: &mut String, by_path: bool);
}
