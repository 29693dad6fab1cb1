//! How long a watch lasts and which nodes it covers (Java: server/watch/WatcherMode.java).

use crate::keeper_exception::KeeperError;
use crate::zoo_defs::add_watch_modes;

/// The mode of a watch. A watcher may have several modes on one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WatcherMode {
    /// The watch is removed when it fires (Java: DEFAULT_WATCHER_MODE).
    #[default]
    Standard,
    /// The watch stays when it fires.
    Persistent,
    /// The watch stays when it fires, and covers all nodes below the path as well.
    PersistentRecursive,
}

impl WatcherMode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Persistent, Self::PersistentRecursive];

    /// The mode in an `addWatch` request (Java: fromZooDef).
    ///
    /// # Errors
    /// [`KeeperError::MarshallingError`] if the mode does not exist. Clients get the same error from Java.
    pub const fn from_zoo_def(mode: i32) -> Result<Self, KeeperError> {
        match mode {
            add_watch_modes::PERSISTENT => Ok(Self::Persistent),
            add_watch_modes::PERSISTENT_RECURSIVE => Ok(Self::PersistentRecursive),
            _ => Err(KeeperError::MarshallingError),
        }
    }

    /// Whether the watch stays when it fires.
    #[must_use]
    pub const fn is_persistent(self) -> bool {
        !matches!(self, Self::Standard)
    }

    /// Whether the watch covers the nodes below the path.
    #[must_use]
    pub const fn is_recursive(self) -> bool {
        matches!(self, Self::PersistentRecursive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_persistent_modes_can_be_asked_for() {
        assert_eq!(WatcherMode::from_zoo_def(0), Ok(WatcherMode::Persistent));
        assert_eq!(WatcherMode::from_zoo_def(1), Ok(WatcherMode::PersistentRecursive));
        for mode in [-1, 2, i32::MAX] {
            assert_eq!(WatcherMode::from_zoo_def(mode), Err(KeeperError::MarshallingError));
        }
    }
}
