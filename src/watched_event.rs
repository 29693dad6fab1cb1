//! The event that a watcher receives (Java: org/apache/zookeeper/WatchedEvent.java).

use std::fmt;

use crate::ids::Zxid;
use crate::proto::WatcherEvent;
use crate::watcher::{EventType, KeeperState};

/// A change of a node, or of the client's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedEvent<'a> {
    /// What happened.
    pub event_type: EventType,
    /// The client's state.
    pub keeper_state: KeeperState,
    /// The node.
    pub path: &'a str,
    /// The zxid of the transaction that caused the event, or [`Zxid::NONE`].
    pub zxid: Zxid,
}

impl WatchedEvent<'_> {
    /// The record for the wire (Java: getWrapper).
    #[must_use]
    pub fn wrapper(&self) -> WatcherEvent {
        WatcherEvent {
            r#type: self.event_type.code(),
            state: self.keeper_state.code(),
            path: self.path.to_owned(),
        }
    }
}

impl fmt::Display for WatchedEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "WatchedEvent state:{:?} type:{:?} path:{} zxid: {}",
            self.keeper_state, self.event_type, self.path, self.zxid.0
        )
    }
}
