//! Connections that have something to send (no Java twin; Java's selectors are told by interest ops).
//!
//! Replies and events are appended while the tree is locked. The connections with new output are recorded here. After
//! the same thread has released the tree, it sends the output, or has the connections' selectors send it.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::server::server_cnxn::ServerCnxn;
use crate::util::lock_rank::{Rank, RankedMutex};

/// To send to no more connections than this costs less than to wake a selector for it.
const FEW: usize = 16;

/// The list.
pub struct FlushList {
    waiting: RankedMutex<Vec<Arc<ServerCnxn>>>,
    /// Whether the list has entries, for reading without the lock.
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
    /// Adds a connection. The connection makes sure that it is not added twice.
    pub fn add(&self, cnxn: Arc<ServerCnxn>) {
        self.waiting.lock().push(cnxn);
        self.any.store(true, Ordering::Release);
    }

    /// Sends the output of all connections in the list. The caller must hold no lock.
    pub fn flush(&self) {
        if !self.any.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut waiting = mem::take(&mut *self.waiting.lock());
        let are_few = waiting.len() <= FEW;
        for cnxn in waiting.drain(..) {
            cnxn.flush_by_reader(are_few);
        }
        // The list's memory is reused.
        let mut list = self.waiting.lock();
        if list.capacity() == 0 {
            *list = waiting;
        }
    }
}
