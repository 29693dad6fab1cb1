//! The modes of `addWatch` (Java: org/apache/zookeeper/AddWatchMode.java).

use crate::zoo_defs::add_watch_modes;

/// The kind of watch to add. Both kinds stay until they are removed, and fire for data and children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddWatchMode {
    /// Only for the node.
    Persistent,
    /// For the node and all its descendants, including those that are created later.
    PersistentRecursive,
}

impl AddWatchMode {
    /// The value on the wire (Java: getMode).
    #[must_use]
    pub const fn mode(self) -> i32 {
        match self {
            Self::Persistent => add_watch_modes::PERSISTENT,
            Self::PersistentRecursive => add_watch_modes::PERSISTENT_RECURSIVE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::watch::watcher_mode::WatcherMode;

    #[test]
    fn the_server_reads_the_mode_that_the_client_means() {
        for (mode, watcher_mode) in [
            (AddWatchMode::Persistent, WatcherMode::Persistent),
            (AddWatchMode::PersistentRecursive, WatcherMode::PersistentRecursive),
        ] {
            assert_eq!(WatcherMode::from_zoo_def(mode.mode()), Ok(watcher_mode));
        }
    }
}
