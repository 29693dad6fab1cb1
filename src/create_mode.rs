//! The kinds of nodes that a client can create (Java: org/apache/zookeeper/CreateMode.java).

use crate::keeper_exception::KeeperError;

/// The kind of node to create (Java: CreateMode). The value is the flag on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CreateMode {
    /// A persistent node: stays until it is deleted.
    Persistent = 0,
    /// An ephemeral node: deleted when its session ends.
    Ephemeral = 1,
    /// Persistent, with a number appended to its name.
    PersistentSequential = 2,
    /// Ephemeral, with a number appended to its name.
    EphemeralSequential = 3,
    /// Deleted some time after its last child was deleted.
    Container = 4,
    /// Deleted when it has no children and was not changed during its time to live.
    PersistentWithTtl = 5,
    /// A node with a time to live, and with a number appended to its name.
    PersistentSequentialWithTtl = 6,
}

impl CreateMode {
    /// The mode for a flag on the wire (Java: CreateMode.fromFlag).
    ///
    /// # Errors
    /// [`KeeperError::BadArguments`] if there is no such mode.
    pub const fn from_flag(flag: i32) -> Result<Self, KeeperError> {
        Ok(match flag {
            0 => Self::Persistent,
            1 => Self::Ephemeral,
            2 => Self::PersistentSequential,
            3 => Self::EphemeralSequential,
            4 => Self::Container,
            5 => Self::PersistentWithTtl,
            6 => Self::PersistentSequentialWithTtl,
            _ => return Err(KeeperError::BadArguments),
        })
    }

    /// The flag on the wire (Java: toFlag).
    #[must_use]
    pub const fn flag(self) -> i32 {
        self as i32
    }

    /// Whether the node is deleted when its session ends.
    #[must_use]
    pub const fn is_ephemeral(self) -> bool {
        matches!(self, Self::Ephemeral | Self::EphemeralSequential)
    }

    /// Whether a number is appended to the name.
    #[must_use]
    pub const fn is_sequential(self) -> bool {
        matches!(
            self,
            Self::PersistentSequential
                | Self::EphemeralSequential
                | Self::PersistentSequentialWithTtl
        )
    }

    /// Whether it is a container.
    #[must_use]
    pub const fn is_container(self) -> bool {
        matches!(self, Self::Container)
    }

    /// Whether it has a time to live.
    #[must_use]
    pub const fn is_ttl(self) -> bool {
        matches!(self, Self::PersistentWithTtl | Self::PersistentSequentialWithTtl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_beyond_the_known_ones_are_bad_arguments() {
        for flag in 0..7 {
            assert_eq!(CreateMode::from_flag(flag).map(CreateMode::flag), Ok(flag));
        }
        assert_eq!(CreateMode::from_flag(7), Err(KeeperError::BadArguments));
        assert_eq!(CreateMode::from_flag(-1), Err(KeeperError::BadArguments));
    }
}
