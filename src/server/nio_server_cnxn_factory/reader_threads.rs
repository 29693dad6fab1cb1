//! The threads of connections that have one of their own (no Java twin).
//!
//! Threads: `NIOWorkerThread-ADDR`, one for each of these connections. Locks: `Leaf`, for their handles.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::server::blocking_server_cnxn::Reader;
use crate::server::zookeeper_server_listener::ZooKeeperServerListener;
use crate::server::{zookeeper_critical_thread, zookeeper_thread};
use crate::util::lock_rank::{Rank, RankedMutex};

/// The stack of a reader, in bytes: several times what the deepest decoding and logging need. Only the used part
/// takes memory.
const READER_STACK: usize = 256 << 10;

#[derive(Default)]
struct Threads {
    running: HashMap<u64, JoinHandle<()>>,
    /// Threads that ended before their handles were stored in `running`.
    ended: HashSet<u64>,
    next_number: u64,
}

/// The threads, and how many there may be.
pub(super) struct ReaderThreads {
    threads: RankedMutex<Threads>,
    max: AtomicUsize,
}

impl ReaderThreads {
    pub(super) fn new(max: usize) -> Self {
        let threads = RankedMutex::new(Rank::Leaf, "reader threads", Threads::default());
        Self { threads, max: AtomicUsize::new(max) }
    }

    /// Whether there are none. Only a hint.
    pub(super) fn are_none(&self) -> bool {
        self.threads.lock().running.is_empty()
    }

    /// How many there may be.
    pub(super) fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    /// From now on there are no more than now, because the system has no room for another thread.
    pub(super) fn stay_as_they_are(&self) {
        self.max.store(self.threads.lock().running.len(), Ordering::Relaxed);
    }

    /// Whether one more connection may have a thread. Only one thread may ask and start.
    pub(super) fn has_room(&self) -> bool {
        self.threads.lock().running.len() < self.max()
    }

    /// Starts the thread of a connection. `listener` belongs to the connection's server, if it has one.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub(super) fn start(
        self: &Arc<Self>,
        name: &str,
        listener: Option<Arc<dyn ZooKeeperServerListener>>,
        reader: Reader,
    ) -> io::Result<()> {
        let number = {
            let mut threads = self.threads.lock();
            threads.next_number += 1;
            threads.next_number
        };
        let this = Arc::clone(self);
        let body = move || {
            reader.run();
            this.ended(number);
            Ok::<(), io::Error>(())
        };
        // Readers prepare, log and apply requests. A panic may leave a change half applied, so the server must stop.
        let thread = match listener {
            Some(listener) => zookeeper_critical_thread::spawn_with_stack(
                name,
                Some(READER_STACK),
                listener,
                body,
            ),
            None => zookeeper_thread::spawn(name, Some(READER_STACK), body),
        }?;
        let mut threads = self.threads.lock();
        if !threads.ended.remove(&number) {
            threads.running.insert(number, thread);
        }
        Ok(())
    }

    /// Drops the handle of a thread that ends, unless [`join`](Self::join) has taken it.
    fn ended(&self, number: u64) {
        let mut threads = self.threads.lock();
        let handle = threads.running.remove(&number);
        if handle.is_none() {
            threads.ended.insert(number);
        }
        drop(threads);
        drop(handle);
    }

    /// Waits until all have ended. Their connections must be closed.
    pub(super) fn join(&self) {
        let running = std::mem::take(&mut self.threads.lock().running);
        running.into_values().for_each(zookeeper_thread::join);
    }
}
