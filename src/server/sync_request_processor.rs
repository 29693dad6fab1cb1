//! `SyncRequestProcessor`: writes transactions to the log, a group at a time, and hands on what is safely on disk
//! (Java: server/SyncRequestProcessor.java).
//!
//! Threads: `SyncThread:N`; `Snapshot Thread` while a snapshot is taken. Differs from Java: when the log is idle, the thread
//! that brings requests writes them itself, because on a quiet server the two hand-overs to another thread and back
//! cost more than the disk does. While the disk is slow the `SyncThread` writes, so that nobody waits who has something
//! else to do: in an ensemble, that are the answers to PINGs, and commits. Whoever writes takes all that is queued; what queued up meanwhile, and so every busy
//! server, is the `SyncThread`'s. There is one writer at a time, and requests keep their order.
//! Locks: the queue, for a moment; the log with the right to write it, across the disk and the processor behind.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use log::{error, info, warn};

use super::exit_code::ExitCode;
use super::persistence::txn_log::TxnLogError;
use super::request::Request;
use super::request_processor::RequestProcessor;
use super::server_metrics::ServerMetrics;
use super::zookeeper_server::ZooKeeperServer;
use super::{zookeeper_critical_thread, zookeeper_thread};
use crate::common::time::{self, Clock};
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex, RankedMutexGuard};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.SyncRequestProcessor";

/// A disk whose last fsync took longer is a slow one.
const SLOW_FSYNC: Duration = Duration::from_millis(10);

/// The log that transactions are appended to.
pub trait TxnAppender: Send {
    /// Appends a request's transaction; false when it has none.
    ///
    /// # Errors
    /// When the disk does not take it. Nothing may be appended after that.
    fn append(&mut self, request: &Request) -> Result<bool, TxnLogError>;

    /// Brings everything that was appended to the disk.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    fn commit(&mut self) -> Result<(), TxnLogError>;

    /// The next transaction starts a new file.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    fn roll_log(&mut self) -> Result<(), TxnLogError>;

    /// Whether enough was logged since the last snapshot that it is time for the next (Java: shouldSnapshot).
    fn should_snapshot(&mut self) -> bool;
}

/// What comes behind the log. It gets a whole group that is on disk.
pub trait GroupProcessor: Send + Sync {
    /// Applies and answers the requests, in order, and leaves the vector empty. Called without locks but the log's.
    fn process_group(&self, requests: &mut Vec<Box<Request>>);

    /// A group is about to be written; it comes to [`process_group`](Self::process_group) when it is on disk. Called without
    /// locks but the log's.
    fn group_begins(&self) {}

    /// Ends the processors behind.
    fn shutdown(&self);
}

/// When a group is closed (Java: flushDelay, maxWriteQueuePollTime, maxBatchSize).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushSettings {
    /// How long a group may wait for more, ms; 0 is not at all.
    pub flush_delay_ms: u64,
    /// How long to wait for the next request of a group, ms.
    pub max_write_queue_poll_ms: u64,
    /// How many requests a group may have.
    pub max_batch_size: usize,
}

#[derive(Default)]
struct Queue {
    requests: Vec<Box<Request>>,
    /// Somebody writes the log, or was told to.
    busy: bool,
    /// The `SyncThread` is to take over.
    handed_over: bool,
    stopping: bool,
}

struct Worker {
    log: Box<dyn TxnAppender>,
    /// Appended and not committed, in order with those that need no log.
    to_flush: Vec<Box<Request>>,
    failed: bool,
}

/// The processor.
pub struct SyncRequestProcessor {
    server: Weak<ZooKeeperServer>,
    next: Option<Arc<dyn GroupProcessor>>,
    settings: FlushSettings,
    metrics: Arc<ServerMetrics>,
    clock: Clock,
    queue: RankedMutex<Queue>,
    wake: RankedCondvar,
    worker: RankedMutex<Worker>,
    is_disk_slow: AtomicBool,
    snapshot_in_progress: Arc<AtomicBool>,
    threads: RankedMutex<Vec<JoinHandle<()>>>,
}

impl SyncRequestProcessor {
    /// A processor that writes to `log` and hands on to `next`, with its thread started.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub fn start(
        server: &Arc<ZooKeeperServer>,
        log: Box<dyn TxnAppender>,
        next: Option<Arc<dyn GroupProcessor>>,
    ) -> std::io::Result<Arc<Self>> {
        let processor = Arc::new(Self {
            server: Arc::downgrade(server),
            next,
            settings: server.settings().flush,
            metrics: Arc::clone(server.shared_metrics()),
            clock: Arc::clone(server.clock()),
            queue: RankedMutex::new(Rank::SyncQueue, "queue of the log", Queue::default()),
            wake: RankedCondvar::new(),
            worker: RankedMutex::new(
                Rank::SyncProcessor,
                "right to write transactions",
                Worker { log, to_flush: Vec::new(), failed: false },
            ),
            is_disk_slow: AtomicBool::new(false),
            snapshot_in_progress: Arc::new(AtomicBool::new(false)),
            threads: RankedMutex::new(Rank::Leaf, "threads of the log", Vec::new()),
        });
        let this = Arc::clone(&processor);
        let name = format!("SyncThread:{}", server.server_id());
        let thread =
            zookeeper_critical_thread::spawn(&name, server.listener(), move || this.run())?;
        processor.threads.lock().push(thread);
        Ok(processor)
    }

    /// By this thread, if nobody writes, the disk is fast, and no group is to wait for more; else by the `SyncThread`.
    fn write_or_hand_over(&self) {
        {
            let mut queue = self.queue.lock();
            if queue.busy || queue.requests.is_empty() {
                return;
            }
            queue.busy = true;
            if self.settings.flush_delay_ms > 0 || self.is_disk_slow.load(Ordering::Relaxed) {
                return self.hand_over(queue);
            }
        }
        let result = self.write_group(&mut self.worker.lock());
        match result {
            Ok(()) => {
                let mut queue = self.queue.lock();
                if queue.requests.is_empty() {
                    queue.busy = false;
                } else {
                    self.hand_over(queue);
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    fn hand_over(&self, mut queue: RankedMutexGuard<'_, Queue>) {
        queue.handed_over = true;
        self.wake.notify_one();
    }

    /// The `SyncThread`: writes while there is something, then waits until the log is handed over to it.
    fn run(&self) -> Result<(), TxnLogError> {
        loop {
            {
                let mut queue = self.queue.lock();
                while !queue.handed_over && !queue.stopping {
                    self.wake.wait(&mut queue);
                }
                if !queue.handed_over {
                    break; // stopping, and nobody writes for us
                }
            }
            loop {
                self.wait_for_group();
                self.write_group(&mut self.worker.lock())?;
                let mut queue = self.queue.lock();
                if queue.requests.is_empty() {
                    queue.handed_over = false;
                    queue.busy = false;
                    // Those who wait for the end of the work.
                    self.wake.notify_all();
                    break;
                }
            }
        }
        info!(target: LOG, "SyncRequestProcessor exited!");
        Ok(())
    }

    /// With a flush delay: waits until the group is full, old enough, or nothing more comes.
    fn wait_for_group(&self) {
        if self.settings.flush_delay_ms == 0 {
            return;
        }
        let deadline = time::now() + Duration::from_millis(self.settings.flush_delay_ms);
        let mut queue = self.queue.lock();
        while !queue.stopping && queue.requests.len() < self.settings.max_batch_size.max(1) {
            let before = queue.requests.len();
            let left = deadline.saturating_duration_since(time::now());
            let poll = left.min(Duration::from_millis(self.settings.max_write_queue_poll_ms));
            if poll.is_zero() {
                break;
            }
            if self.wake.wait_for(&mut queue, poll) && queue.requests.len() == before {
                break;
            }
        }
    }

    /// Writes what is queued and hands it on. After an error nothing is written any more.
    fn write_group(&self, worker: &mut Worker) -> Result<(), TxnLogError> {
        if worker.failed {
            // The server is stopping: nothing more is promised to anybody.
            self.queue.lock().requests.clear();
            return Ok(());
        }
        // It stays so when this thread panics.
        worker.failed = true;
        let result = self.write_queued(worker);
        worker.failed = result.is_err();
        result
    }

    fn write_queued(&self, worker: &mut Worker) -> Result<(), TxnLogError> {
        let batch_max = if self.settings.max_batch_size > 0 {
            self.settings.max_batch_size
        } else {
            usize::MAX
        };
        let mut queued = mem::take(&mut self.queue.lock().requests);
        if queued.is_empty() {
            return Ok(());
        }
        let Some(server) = self.server.upgrade() else { return Ok(()) };
        let start_ms = self.clock.elapsed_ms();
        let count = u32::try_from(queued.len()).unwrap_or(u32::MAX);
        for request in &queued {
            self.metrics.sync_processor_queue_time.add(start_ms - request.sync_queue_start_ms);
        }
        if let Some(next) = &self.next {
            next.group_begins();
        }
        for request in queued.drain(..) {
            if !request.is_throttled && worker.log.append(&request)? {
                if worker.log.should_snapshot() {
                    worker.log.roll_log()?;
                    self.start_snapshot(&server);
                }
            } else if worker.to_flush.is_empty() {
                // Nothing before it waits for the disk.
                worker.to_flush.push(request);
                self.hand_on(worker);
                continue;
            }
            worker.to_flush.push(request);
            if worker.to_flush.len() >= batch_max {
                self.flush(worker)?;
            }
        }
        self.metrics.sync_process_time.add_n(self.clock.elapsed_ms() - start_ms, count);
        self.flush(worker)?;
        // The queue keeps its memory.
        let mut queue = self.queue.lock();
        if queue.requests.capacity() == 0 {
            queue.requests = queued;
        }
        Ok(())
    }

    fn flush(&self, worker: &mut Worker) -> Result<(), TxnLogError> {
        if worker.to_flush.is_empty() {
            return Ok(());
        }
        let metrics = &self.metrics;
        metrics.batch_size.add(i64::try_from(worker.to_flush.len()).unwrap_or(i64::MAX));
        let start = time::now();
        worker.log.commit()?;
        let took = start.elapsed();
        metrics.sync_processor_flush_time.add(time::millis(took));
        self.is_disk_slow.store(took > SLOW_FSYNC, Ordering::Relaxed);
        let flushed_ms = self.clock.elapsed_ms();
        if self.next.is_some() {
            for request in &worker.to_flush {
                let waited_ms = flushed_ms - request.sync_queue_start_ms;
                metrics.sync_processor_queue_and_flush_time.add(waited_ms);
            }
        }
        self.hand_on(worker);
        Ok(())
    }

    fn hand_on(&self, worker: &mut Worker) {
        match &self.next {
            Some(next) => next.process_group(&mut worker.to_flush),
            None => worker.to_flush.clear(),
        }
    }

    /// Has a snapshot written by a thread of its own, unless one is being written.
    pub fn start_snapshot(&self, server: &Arc<ZooKeeperServer>) {
        if self.snapshot_in_progress.swap(true, Ordering::AcqRel) {
            warn!(target: LOG, "Too busy to snap, skipping");
            return;
        }
        let in_progress = Arc::clone(&self.snapshot_in_progress);
        let server = Arc::clone(server);
        let thread = zookeeper_thread::spawn("Snapshot Thread", None, move || {
            let result = server.take_snapshot().map(|_| ());
            in_progress.store(false, Ordering::Release);
            result
        });
        match thread {
            Ok(thread) => {
                let mut threads = self.threads.lock();
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
            }
            Err(error) => {
                self.snapshot_in_progress.store(false, Ordering::Release);
                warn!(target: LOG, "no snapshot was taken: cannot start its thread: {error}");
            }
        }
    }

    /// The log does not take what was promised: the server ends.
    fn fail(&self, error: &TxnLogError) {
        error!(target: LOG, "Severe unrecoverable error, the transaction log cannot be written: {error}");
        if let Some(server) = self.server.upgrade() {
            let name = format!("SyncThread:{}", server.server_id());
            server.listener().notify_stopping(&name, ExitCode::UnexpectedError);
        }
    }
}

impl RequestProcessor for SyncRequestProcessor {
    /// The caller sees to it that requests come in zxid order.
    fn process_request(&self, mut request: Box<Request>) {
        request.sync_queue_start_ms = self.clock.elapsed_ms();
        self.metrics.sync_processor_queued.add(1);
        // Bounded by globalOutstandingLimit at the connections, and by what the session tracker and the container manager
        // ask for.
        self.queue.lock().requests.push(request);
    }

    fn process_requests(&self, requests: &mut Vec<Box<Request>>) {
        let now_ms = self.clock.elapsed_ms();
        requests.iter_mut().for_each(|request| request.sync_queue_start_ms = now_ms);
        self.metrics.sync_processor_queued.add(i64::try_from(requests.len()).unwrap_or(i64::MAX));
        self.queue.lock().requests.append(requests);
    }

    fn flush(&self) {
        self.write_or_hand_over();
    }

    fn shutdown(&self) {
        info!(target: LOG, "Shutting down");
        {
            let mut queue = self.queue.lock();
            queue.stopping = true;
            self.wake.notify_all();
        }
        let threads = mem::take(&mut *self.threads.lock());
        threads.into_iter().for_each(zookeeper_thread::join);
        // A thread of ours that brought requests may still be writing: its lock is waited for here.
        let last = self.write_group(&mut self.worker.lock());
        if let Err(error) = last {
            self.fail(&error);
        }
        if let Some(next) = &self.next {
            next.shutdown();
        }
    }
}
