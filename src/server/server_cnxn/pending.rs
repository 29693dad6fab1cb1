//! The requests of one connection that are not answered yet, in order (Java: the per-session queues of
//! server/quorum/CommitProcessor.java, used without an ensemble as well).
//!
//! A read may run at once if nothing of its session is under way. Otherwise it waits here for the write before it. A
//! read that takes long does not wait here, because the thread that applies transactions would answer it: the reader
//! stops until everything before it is answered.
//! Only the connection's reader adds requests; only the thread that applies transactions removes them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

// tidy: layer: a connection keeps the reads that wait
use crate::server::request::Request;
use crate::util::lock_rank::{Rank, RankedMutex};

enum Pending {
    /// In the processors, which will answer it.
    InPipeline,
    /// A read that runs when everything before it is done.
    Read(Box<Request>),
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Pending>,
    /// The number of entries, plus the read that was taken out and is being answered.
    count: usize,
    /// How many of the entries are reads.
    parked: usize,
    /// Nothing is answered any more.
    abandoned: bool,
}

/// The pending requests of one connection.
pub(super) struct PendingRequests {
    queue: RankedMutex<Queue>,
    /// A copy of the queue's count, for reading without the lock. Only the reader increases it.
    count: AtomicUsize,
    /// The reader has stopped until nothing is pending. Changed under the lock.
    awaited: AtomicBool,
}

impl PendingRequests {
    pub(super) fn new() -> Self {
        Self {
            queue: RankedMutex::new(Rank::ConnectionQueue, "connection queue", Queue::default()),
            count: AtomicUsize::new(0),
            awaited: AtomicBool::new(false),
        }
    }

    /// Whether no request is pending. For the reader: true stays true until the reader adds a request.
    pub(super) fn is_idle(&self) -> bool {
        // Pairs with the release in `done`: the answers to earlier requests are in the output.
        self.count.load(Ordering::Acquire) == 0
    }

    /// For the reader, before it stops: whoever answers the last request is told that the reader waits. Returns false
    /// if nothing is pending any more.
    pub(super) fn await_idle(&self) -> bool {
        let queue = self.queue.lock();
        let is_busy = queue.count > 0;
        self.awaited.store(is_busy, Ordering::Relaxed);
        is_busy
    }

    /// Whether the reader waits until nothing is pending, and something is.
    pub(super) fn keeps_reader(&self) -> bool {
        self.awaited.load(Ordering::Relaxed) && !self.is_idle()
    }

    /// For whoever has answered a request: whether the reader has waited for that.
    pub(super) fn frees_reader(&self) -> bool {
        // The lock of the queue, which both sides have held, orders the flag.
        self.is_idle()
            && self.awaited.load(Ordering::Relaxed)
            && self.awaited.swap(false, Ordering::Relaxed)
    }

    /// How many reads wait.
    pub(super) fn parked(&self) -> usize {
        self.queue.lock().parked
    }

    /// Adds a request that enters the processors.
    pub(super) fn add_in_pipeline(&self) {
        let mut queue = self.queue.lock();
        if queue.abandoned {
            return;
        }
        queue.entries.push_back(Pending::InPipeline);
        queue.count += 1;
        self.count.store(queue.count, Ordering::Release);
    }

    /// Adds a read that must wait. Returns the read if nothing is pending any more, so that it may run now.
    pub(super) fn park(&self, request: Box<Request>) -> Option<Box<Request>> {
        let mut queue = self.queue.lock();
        if queue.abandoned {
            return None;
        }
        if queue.count == 0 {
            return Some(request);
        }
        queue.entries.push_back(Pending::Read(request));
        queue.parked += 1;
        queue.count += 1;
        self.count.store(queue.count, Ordering::Release);
        None
    }

    /// Removes the first request, which was in the processors and is answered. Returns the read behind it.
    pub(super) fn pipeline_done(&self) -> Option<Box<Request>> {
        let mut queue = self.queue.lock();
        if queue.abandoned {
            return None;
        }
        let head = queue.entries.pop_front();
        debug_assert!(matches!(head, Some(Pending::InPipeline)), "answers come in order");
        self.done(&mut queue)
    }

    /// Called when the read that was returned last is answered. Returns the next one.
    pub(super) fn read_done(&self) -> Option<Box<Request>> {
        let mut queue = self.queue.lock();
        if queue.abandoned {
            return None;
        }
        self.done(&mut queue)
    }

    /// Drops the waiting reads, because a request was refused in a way that ends the connection. From then on it
    /// does not matter when requests in the processors are done; their answers, if any, do not depend on this queue.
    pub(super) fn abandon(&self) {
        let mut queue = self.queue.lock();
        queue.abandoned = true;
        queue.entries = VecDeque::new();
        (queue.count, queue.parked) = (0, 0);
        self.count.store(0, Ordering::Release);
    }

    fn done(&self, queue: &mut Queue) -> Option<Box<Request>> {
        queue.count -= 1;
        self.count.store(queue.count, Ordering::Release);
        if matches!(queue.entries.front(), Some(Pending::Read(_)))
            && let Some(Pending::Read(request)) = queue.entries.pop_front()
        {
            queue.parked -= 1;
            return Some(request);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;
    use std::sync::Arc;

    fn read(cxid: i32) -> Box<Request> {
        Box::new(Request::new(None, SessionId(1), cxid, 4, None, Arc::new([])))
    }

    fn cxid(request: Option<Box<Request>>) -> Option<i32> {
        request.map(|request| request.cxid)
    }

    #[test]
    fn a_read_runs_after_the_write_before_it_and_before_the_write_after_it() {
        let pending = PendingRequests::new();
        assert!(pending.is_idle());
        assert_eq!(cxid(pending.park(read(1))), Some(1), "nothing to wait for");
        pending.add_in_pipeline();
        assert_eq!(cxid(pending.park(read(2))), None);
        assert_eq!(cxid(pending.park(read(3))), None);
        pending.add_in_pipeline();
        assert_eq!(cxid(pending.park(read(4))), None);
        assert_eq!(pending.parked(), 3);

        assert_eq!(cxid(pending.pipeline_done()), Some(2));
        assert!(!pending.is_idle());
        assert_eq!(cxid(pending.read_done()), Some(3));
        assert_eq!(cxid(pending.read_done()), None, "the second write is not done");
        assert_eq!(cxid(pending.pipeline_done()), Some(4));
        assert!(!pending.is_idle(), "the last read is not answered yet");
        assert_eq!(cxid(pending.read_done()), None);
        assert!(pending.is_idle());
    }

    #[test]
    fn a_reader_that_waits_is_freed_by_the_last_answer_or_a_refusal() {
        let pending = PendingRequests::new();
        assert!(!pending.await_idle() && !pending.keeps_reader() && !pending.frees_reader());
        for is_refused in [false, true] {
            pending.add_in_pipeline();
            pending.add_in_pipeline();
            assert!(pending.await_idle() && pending.keeps_reader());
            pending.pipeline_done();
            assert!(!pending.frees_reader() && pending.keeps_reader());
            if is_refused {
                pending.abandon();
            } else {
                pending.pipeline_done();
            }
            assert!(!pending.keeps_reader());
            assert!(pending.frees_reader() && !pending.frees_reader(), "once");
        }
    }

    #[test]
    fn a_refusal_ends_all_reads_wherever_the_others_are() {
        let pending = PendingRequests::new();
        pending.add_in_pipeline();
        assert_eq!(cxid(pending.park(read(1))), None);
        assert_eq!(cxid(pending.park(read(2))), None);
        pending.add_in_pipeline();
        assert_eq!(cxid(pending.pipeline_done()), Some(1), "the first read is being answered");
        pending.abandon();
        assert_eq!(cxid(pending.read_done()), None);
        pending.add_in_pipeline();
        assert_eq!(cxid(pending.park(read(3))), None);
        assert_eq!(cxid(pending.pipeline_done()), None);
        assert_eq!(cxid(pending.pipeline_done()), None);
        assert!(pending.is_idle());
    }
}
