//! Watchers for tests of this package (no Java twin).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::data::ACL;
use crate::ids::SessionId;
use crate::server::server_watcher::{ServerWatcher, WatcherRef};
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::watched_event::WatchedEvent;
use crate::watcher::EventType;

/// A watcher that records events.
pub(super) struct TestWatcher {
    session_id: SessionId,
    stale: AtomicBool,
    told: RankedMutex<Vec<(EventType, String)>>,
}

impl TestWatcher {
    pub(super) fn new(session_id: i64) -> Arc<Self> {
        Arc::new(Self {
            session_id: SessionId(session_id),
            stale: AtomicBool::new(false),
            told: RankedMutex::new(Rank::Leaf, "told", Vec::new()),
        })
    }

    pub(super) fn as_ref(self: &Arc<Self>) -> WatcherRef {
        WatcherRef(Arc::clone(self) as Arc<dyn ServerWatcher>)
    }

    pub(super) fn close(&self) {
        self.stale.store(true, Ordering::SeqCst);
    }

    /// The events since the last call.
    pub(super) fn told(&self) -> Vec<(EventType, String)> {
        std::mem::take(&mut self.told.lock())
    }
}

impl ServerWatcher for TestWatcher {
    fn process(&self, event: &WatchedEvent<'_>, _znode_acl: Option<&[ACL]>) {
        self.told.lock().push((event.event_type, event.path.to_owned()));
    }

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn is_stale(&self) -> bool {
        self.stale.load(Ordering::SeqCst)
    }
}

/// Reproducible random numbers (xorshift).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    pub(super) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}
