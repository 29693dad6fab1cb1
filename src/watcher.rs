//! Kinds of watch events and of watchers (Java: org/apache/zookeeper/Watcher.java).

use crate::keeper_exception::KeeperError;

/// What happened (Java: Watcher.Event.EventType). The value is the code on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// The client's state has changed.
    None = -1,
    /// The node was created.
    NodeCreated = 1,
    /// The node was deleted.
    NodeDeleted = 2,
    /// The node's data was written.
    NodeDataChanged = 3,
    /// A child was created or deleted.
    NodeChildrenChanged = 4,
    /// In the client: the data watch was removed.
    DataWatchRemoved = 5,
    /// In the client: the child watch was removed.
    ChildWatchRemoved = 6,
    /// In the client: the persistent watch was removed.
    PersistentWatchRemoved = 7,
}

impl EventType {
    /// All types.
    const ALL: [Self; 8] = [
        Self::None,
        Self::NodeCreated,
        Self::NodeDeleted,
        Self::NodeDataChanged,
        Self::NodeChildrenChanged,
        Self::DataWatchRemoved,
        Self::ChildWatchRemoved,
        Self::PersistentWatchRemoved,
    ];

    /// The type for a code on the wire (Java: EventType.fromInt); `None` if there is no such type.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|event_type| event_type.code() == code)
    }

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }
}

/// The client's state (Java: Watcher.Event.KeeperState). A server only ever sends `SyncConnected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeeperState {
    /// Not used any more.
    Unknown = -1,
    /// Not connected.
    Disconnected = 0,
    /// Not used any more.
    NoSyncConnected = 1,
    /// Connected to a server of the ensemble.
    SyncConnected = 3,
    /// Authentication has failed.
    AuthFailed = 4,
    /// Connected to a read-only server.
    ConnectedReadOnly = 5,
    /// Authenticated by SASL.
    SaslAuthenticated = 6,
    /// Closed by the client.
    Closed = 7,
    /// The session has expired.
    Expired = -112,
}

impl KeeperState {
    /// All states.
    const ALL: [Self; 9] = [
        Self::Unknown,
        Self::Disconnected,
        Self::NoSyncConnected,
        Self::SyncConnected,
        Self::AuthFailed,
        Self::ConnectedReadOnly,
        Self::SaslAuthenticated,
        Self::Closed,
        Self::Expired,
    ];

    /// The state for a code on the wire (Java: KeeperState.fromInt); `None` if there is no such state.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }
}

/// The watches that a request applies to (Java: Watcher.WatcherType). The value is the code on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WatcherType {
    /// Child watches.
    Children = 1,
    /// Data watches.
    Data = 2,
    /// Watches of all types.
    Any = 3,
    /// Persistent watches.
    Persistent = 4,
    /// Persistent recursive watches.
    PersistentRecursive = 5,
}

impl WatcherType {
    /// The type for a code on the wire (Java: WatcherType.fromInt).
    ///
    /// # Errors
    /// [`KeeperError::MarshallingError`] if there is no such type, because Java's exception leads to this answer.
    pub const fn from_code(code: i32) -> Result<Self, KeeperError> {
        Ok(match code {
            1 => Self::Children,
            2 => Self::Data,
            3 => Self::Any,
            4 => Self::Persistent,
            5 => Self::PersistentRecursive,
            _ => return Err(KeeperError::MarshallingError),
        })
    }
}
