//! Who watches nodes on the server's side (Java: server/ServerWatcher.java, server/DumbWatcher.java).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::data::ACL;
use crate::ids::SessionId;
use crate::watched_event::WatchedEvent;

/// Told when a watch fires. In a server this is a connection.
pub trait ServerWatcher: Send + Sync {
    /// The event, and the ACL of the node as it was when that was known: who may not read the node is not told.
    ///
    /// Called while the tree is held: it may queue what is to be sent, not send it.
    fn process(&self, event: &WatchedEvent<'_>, znode_acl: Option<&[ACL]>);

    /// The session behind it.
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
