//! The receivers of watch events on the server (Java: server/ServerWatcher.java).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::data::ACL;
use crate::ids::SessionId;
use crate::watched_event::WatchedEvent;

/// Receives the events of watches. In a server this is a connection.
pub trait ServerWatcher: Send + Sync {
    /// Receives an event. `znode_acl` is the ACL that the node had then, if it is known. A client that may not read
    /// the node gets no event.
    ///
    /// Called while the tree is locked: it may queue the event, but not send it.
    fn process(&self, event: &WatchedEvent<'_>, znode_acl: Option<&[ACL]>);

    /// The session of the watcher.
    fn session_id(&self) -> SessionId;

    /// Whether it is closed and must get no watches any more (Java: ServerCnxn.isStale).
    fn is_stale(&self) -> bool;
}

/// A shared [`ServerWatcher`], compared by identity.
#[derive(Clone)]
pub struct WatcherRef(pub Arc<dyn ServerWatcher>);

impl WatcherRef {
    fn address(&self) -> *const () {
        Arc::as_ptr(&self.0).cast()
    }
}

impl PartialEq for WatcherRef {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.address(), other.address())
    }
}

impl Eq for WatcherRef {}

impl Hash for WatcherRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address().hash(state);
    }
}

impl fmt::Debug for WatcherRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "watcher of session {}", self.0.session_id())
    }
}
