//! How long a watch lasts and how deep it looks (Java: server/watch/WatcherMode.java).

use crate::keeper_exception::KeeperError;
use crate::zoo_defs::add_watch_modes;

/// The mode of a watch. A watcher may have several on one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WatcherMode {
    /// Gone when it has fired (Java: DEFAULT_WATCHER_MODE).
    #[default]
    Standard,
    /// Stays.
    Persistent,
    /// Stays, and fires for all nodes below the path, too.
    PersistentRecursive,
}

impl WatcherMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Persistent, Self::PersistentRecursive];

    /// The mode that an `addWatch` request means (Java: fromZooDef).
    ///
    /// # Errors
    /// [`KeeperError::MarshallingError`] when there is no such mode: Java's exception ends as that.
    pub const fn from_zoo_def(mode: i32) -> Result<Self, KeeperError> {
        match mode {
            add_watch_modes::PERSISTENT => Ok(Self::Persistent),
            add_watch_modes::PERSISTENT_RECURSIVE => Ok(Self::PersistentRecursive),
            _ => Err(KeeperError::MarshallingError),
        }
    }

    /// Whether it stays when it has fired.
    #[must_use]
    pub const fn is_persistent(self) -> bool {
        !matches!(self, Self::Standard)
    }

    /// Whether it fires for the nodes below.
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
