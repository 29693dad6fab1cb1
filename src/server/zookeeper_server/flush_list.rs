//! Connections that have something to send (no Java twin; Java's selectors are told by interest ops).
//!
//! Replies and events are appended while the tree is held; what they are appended to is noted here, and sent by the same
//! thread when it has let go.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::server::server_cnxn::ServerCnxn;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The list.
pub struct FlushList {
    waiting: RankedMutex<Vec<Arc<ServerCnxn>>>,
    /// To be looked at without the lock.
    any: AtomicBool,
}

impl Default for FlushList {
    fn default() -> Self {
        Self {
            waiting: RankedMutex::new(Rank::Leaf, "connections to flush", Vec::new()),
            any: AtomicBool::new(false),
        }
    }
}

impl FlushList {
    /// Notes a connection. The connection itself sees to it that it is not noted twice.
    pub fn add(&self, cnxn: Arc<ServerCnxn>) {
        self.waiting.lock().push(cnxn);
        self.any.store(true, Ordering::Release);
    }

    /// Sends what the connections have to say. No lock may be held.
    pub fn flush(&self) {
        if !self.any.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut waiting = mem::take(&mut *self.waiting.lock());
        for cnxn in waiting.drain(..) {
            cnxn.flush();
        }
        // The list keeps its memory.
        let mut list = self.waiting.lock();
        if list.capacity() == 0 {
            *list = waiting;
        }
    }
}
