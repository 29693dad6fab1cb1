//! Watches on the data tree (Java: the watch methods of server/DataTree.java).

use std::sync::Arc;

use crate::ids::Zxid;
use crate::keeper_exception::KeeperError;
use crate::proto::SetWatches2;
use crate::server::server_watcher::WatcherRef;
use crate::server::watch::i_watch_manager::IWatchManager;
use crate::server::watch::watcher_mode::WatcherMode;
use crate::server::watch::watches_summary::WatchesSummary;
use crate::watched_event::WatchedEvent;
use crate::watcher::{EventType, KeeperState, WatcherType};

use super::DataTree;

impl DataTree {
    /// The total number of data watches and child watches.
    #[must_use]
    pub fn watch_count(&self) -> usize {
        self.parts.data_watches.size() + self.parts.child_watches.size()
    }

    /// Adds a persistent watch. `mode` is the number on the wire.
    ///
    /// # Errors
    /// When the mode does not exist, or the watch manager does not support it.
    pub fn add_watch(
        &self,
        path: &str,
        watcher: &WatcherRef,
        mode: i32,
    ) -> Result<(), KeeperError> {
        let mode = WatcherMode::from_zoo_def(mode)?;
        self.parts.data_watches.add_watch_mode(path, watcher, mode)?;
        if mode != WatcherMode::PersistentRecursive {
            self.parts.child_watches.add_watch_mode(path, watcher, mode)?;
        }
        Ok(())
    }

    /// Whether the watcher has a watch of this type on the path.
    ///
    /// # Errors
    /// When the watch manager does not support this type.
    pub fn contains_watcher(
        &self,
        path: &str,
        watcher_type: WatcherType,
        watcher: &WatcherRef,
    ) -> Result<bool, KeeperError> {
        let (data, child) = (&self.parts.data_watches, &self.parts.child_watches);
        match watcher_type {
            WatcherType::Children => {
                child.contains_watcher(path, watcher, Some(WatcherMode::Standard))
            }
            WatcherType::Data => data.contains_watcher(path, watcher, Some(WatcherMode::Standard)),
            WatcherType::Persistent => {
                data.contains_watcher(path, watcher, Some(WatcherMode::Persistent))
            }
            WatcherType::PersistentRecursive => {
                data.contains_watcher(path, watcher, Some(WatcherMode::PersistentRecursive))
            }
            WatcherType::Any => Ok(child.contains_watcher(path, watcher, None)?
                || data.contains_watcher(path, watcher, None)?),
        }
    }

    /// Removes the watcher's watches of this type from the path. Returns whether there was one.
    ///
    /// # Errors
    /// When the watch manager does not support this type.
    pub fn remove_watch(
        &self,
        path: &str,
        watcher_type: WatcherType,
        watcher: &WatcherRef,
    ) -> Result<bool, KeeperError> {
        let (data, child) = (&self.parts.data_watches, &self.parts.child_watches);
        let both = |mode| -> Result<bool, KeeperError> {
            let removed = child.remove_watcher(path, watcher, mode)?;
            Ok(data.remove_watcher(path, watcher, mode)? || removed)
        };
        match watcher_type {
            WatcherType::Children => {
                child.remove_watcher(path, watcher, Some(WatcherMode::Standard))
            }
            WatcherType::Data => data.remove_watcher(path, watcher, Some(WatcherMode::Standard)),
            WatcherType::Persistent => both(Some(WatcherMode::Persistent)),
            WatcherType::PersistentRecursive => {
                data.remove_watcher(path, watcher, Some(WatcherMode::PersistentRecursive))
            }
            WatcherType::Any => both(None),
        }
    }

    /// Removes all watches of a closed connection.
    pub fn remove_cnxn(&self, watcher: &WatcherRef) {
        self.parts.data_watches.remove_all(watcher);
        self.parts.child_watches.remove_all(watcher);
    }

    /// Sets a client's watches again after it has reconnected to this server. Changes since `relative_zxid`
    /// trigger an event at once instead. These events have no zxid.
    ///
    /// # Errors
    /// When the watch manager does not support persistent watches. The other watches are set by then.
    pub fn set_watches(
        &self,
        watches: &SetWatches2,
        watcher: &WatcherRef,
    ) -> Result<(), KeeperError> {
        let relative_zxid = watches.relative_zxid;
        let tell = |event_type: EventType, path: &str| {
            let keeper_state = KeeperState::SyncConnected;
            let event = WatchedEvent { event_type, keeper_state, path, zxid: Zxid::NONE };
            watcher.0.process(&event, None);
        };
        let (data, child) = (&self.parts.data_watches, &self.parts.child_watches);
        for path in &watches.data_watches {
            match self.node(path) {
                None => tell(EventType::NodeDeleted, path),
                Some(node) if node.mzxid() > relative_zxid => {
                    tell(EventType::NodeDataChanged, path);
                }
                Some(_) => {
                    data.add_watch(path, watcher);
                }
            }
        }
        for path in &watches.exist_watches {
            match self.node(path) {
                Some(_) => tell(EventType::NodeCreated, path),
                None => {
                    data.add_watch(path, watcher);
                }
            }
        }
        for path in &watches.child_watches {
            match self.node(path) {
                None => tell(EventType::NodeDeleted, path),
                Some(node) if node.pzxid() > relative_zxid => {
                    tell(EventType::NodeChildrenChanged, path);
                }
                Some(_) => {
                    child.add_watch(path, watcher);
                }
            }
        }
        for path in &watches.persistent_watches {
            child.add_watch_mode(path, watcher, WatcherMode::Persistent)?;
            data.add_watch_mode(path, watcher, WatcherMode::Persistent)?;
        }
        for path in &watches.persistent_recursive_watches {
            data.add_watch_mode(path, watcher, WatcherMode::PersistentRecursive)?;
        }
        Ok(())
    }

    /// Appends the text of the `wchs` command. Only data watches are shown, as in Java.
    pub fn dump_watches_summary(&self, out: &mut String) {
        out.push_str(&self.parts.data_watches.to_string());
    }

    /// The data watches. The caller can show them without holding the tree, because there may be many.
    #[must_use]
    pub fn data_watches(&self) -> Arc<dyn IWatchManager> {
        Arc::clone(&self.parts.data_watches)
    }

    /// The numbers of data watches.
    #[must_use]
    pub fn watches_summary(&self) -> WatchesSummary {
        self.parts.data_watches.watches_summary()
    }

    /// Ends the threads of the watch managers.
    pub fn shutdown_watcher(&self) {
        self.parts.data_watches.shutdown();
        self.parts.child_watches.shutdown();
    }
}
