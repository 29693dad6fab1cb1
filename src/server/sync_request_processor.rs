//! `SyncRequestProcessor`: writes transactions to the log, a group at a time, and hands on what is safely on disk
//! (Java: server/SyncRequestProcessor.java).
//!
//! Threads: `SyncThread:N`; `Snapshot Thread` while a snapshot is taken. Differs from Java: while the log is idle, the
//! thread that brings requests writes them (see `processor_queue`), because on a quiet server two hand-overs cost more
//! than the disk. The `SyncThread` does all writing while the disk is slow, and if `flushDelay` makes a group wait for
//! more requests: then no other thread has to wait for the disk (such as the one that answers PINGs and applies
//! commits). It also writes for selectors, unless the disk is fast (see `disk_speed`).
//! Locks: the right to write the log, across the disk and the processor behind.
//!
//! Elsewhere: shouldSnapshot and resetSnapshotStats are in `zk_database`; shouldFlush and getRemainingDelay are a part
//! of `run` and of `ProcessorQueue::gather`.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use log::{error, info, warn};

use super::disk_speed::{DiskSpeed, LastSyncs};
use super::exit_code::ExitCode;
use super::persistence::txn_log::TxnLogError;
use super::processor_queue::{ProcessorQueue, Worker, add_queue_sizes};
use super::request::Request;
use super::request_processor::{Left, RequestProcessor};
use super::server_metrics::ServerMetrics;
use super::server_settings::FlushSettings;
use super::zk_database::TxnAppender;
use super::zookeeper_server::ZooKeeperServer;
use super::zookeeper_thread;
use crate::common::time::{self, Clock};
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.SyncRequestProcessor";

/// What comes behind the log. It gets a whole group that is on disk.
pub(crate) trait GroupProcessor: Send + Sync {
    /// Applies and answers the requests, in order, and leaves the vector empty. Called without locks but the log's.
    fn process_group(&self, requests: &mut Vec<Box<Request>>);

    /// A group is about to be written; it comes to [`process_group`](Self::process_group) when it is on disk. Called
    /// without locks but the log's.
    fn group_begins(&self) {}

    /// Ends the processors behind.
    fn shutdown(&self);
}

/// The state of the thread that writes the log.
struct Log {
    appender: Box<dyn TxnAppender>,
    /// Appended and not committed, in order with those that need no log.
    to_flush: Vec<Box<Request>>,
    last_syncs: LastSyncs,
    failed: bool,
}

/// The processor.
pub(crate) struct SyncRequestProcessor {
    server: Weak<ZooKeeperServer>,
    next: Option<Arc<dyn GroupProcessor>>,
    settings: FlushSettings,
    metrics: Arc<ServerMetrics>,
    clock: Clock,
    queued_requests: ProcessorQueue<Box<Request>, Log>,
    disk: DiskSpeed,
    snapshot_in_progress: Arc<AtomicBool>,
    snapshots: RankedMutex<Vec<JoinHandle<()>>>,
}

impl SyncRequestProcessor {
    /// A processor that writes to `log` and hands on to `next`, with its thread started.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub(crate) fn start(
        server: &Arc<ZooKeeperServer>,
        log: Box<dyn TxnAppender>,
        next: Option<Arc<dyn GroupProcessor>>,
    ) -> std::io::Result<Arc<Self>> {
        let last_syncs = LastSyncs::default();
        let log = Log { appender: log, to_flush: Vec::new(), last_syncs, failed: false };
        let name = "right to write transactions";
        let processor = Arc::new(Self {
            server: Arc::downgrade(server),
            next,
            settings: server.settings().flush,
            metrics: Arc::clone(server.shared_metrics()),
            clock: Arc::clone(server.clock()),
            queued_requests: ProcessorQueue::new(Rank::SyncProcessor, name, 1, log),
            disk: DiskSpeed::default(),
            snapshot_in_progress: Arc::new(AtomicBool::new(false)),
            snapshots: RankedMutex::new(Rank::Leaf, "threads of snapshots", Vec::new()),
        });
        let this = Arc::clone(&processor);
        let name = format!("SyncThread:{}", server.server_id());
        processor.queued_requests.start(&name, server.listener(), move || this.run())?;
        Ok(processor)
    }

    /// The `SyncThread`.
    fn run(&self) -> Result<(), TxnLogError> {
        let FlushSettings { flush_delay_ms, max_write_queue_poll_ms, max_batch_size } =
            self.settings;
        let delay = Duration::from_millis(flush_delay_ms);
        let poll = Duration::from_millis(max_write_queue_poll_ms);
        self.queued_requests.run(|log, group| {
            if flush_delay_ms > 0 {
                self.queued_requests.gather(group, max_batch_size.max(1), delay, poll);
            }
            self.write_group(log, group)
        })?;
        info!(target: LOG, "SyncRequestProcessor exited!");
        Ok(())
    }

    /// Writes a group and hands it on. After an error nothing is written any more.
    fn write_group(&self, log: &mut Log, group: &mut Vec<Box<Request>>) -> Result<(), TxnLogError> {
        if log.failed {
            // The server is stopping: nothing more is promised to anybody.
            group.clear();
            return Ok(());
        }
        // It stays so when this thread panics.
        log.failed = true;
        let result = self.write(log, group);
        log.failed = result.is_err();
        result
    }

    fn write(&self, log: &mut Log, group: &mut Vec<Box<Request>>) -> Result<(), TxnLogError> {
        let batch_max = if self.settings.max_batch_size > 0 {
            self.settings.max_batch_size
        } else {
            usize::MAX
        };
        let Some(server) = self.server.upgrade() else { return Ok(()) };
        let start_ms = self.clock.elapsed_ms();
        let count = u32::try_from(group.len()).unwrap_or(u32::MAX);
        add_queue_sizes(&*self.metrics.sync_processor_queue_size, group.len());
        for request in &*group {
            self.metrics.sync_processor_queue_time.add(start_ms - request.sync_queue_start_ms);
        }
        if let Some(next) = &self.next {
            next.group_begins();
        }
        for request in group.drain(..) {
            if !request.is_throttled && log.appender.append(&request)? {
                if log.appender.should_snapshot() {
                    log.appender.roll_log()?;
                    self.start_snapshot(&server);
                }
            } else if log.to_flush.is_empty() {
                // Nothing before it waits for the disk.
                log.to_flush.push(request);
                self.hand_on(log);
                continue;
            }
            log.to_flush.push(request);
            if log.to_flush.len() >= batch_max {
                self.flush_log(log)?;
            }
        }
        self.metrics.sync_process_time.add_n(self.clock.elapsed_ms() - start_ms, count);
        self.flush_log(log)
    }

    /// Has a snapshot written by a thread of its own, unless one is being written.
    pub(crate) fn start_snapshot(&self, server: &Arc<ZooKeeperServer>) {
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
                let mut snapshots = self.snapshots.lock();
                snapshots.retain(|thread| !thread.is_finished());
                snapshots.push(thread);
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

    /// Java: flush.
    fn flush_log(&self, log: &mut Log) -> Result<(), TxnLogError> {
        if log.to_flush.is_empty() {
            return Ok(());
        }
        let metrics = &self.metrics;
        metrics.batch_size.add(i64::try_from(log.to_flush.len()).unwrap_or(i64::MAX));
        let start = time::now();
        log.appender.commit()?;
        let took = start.elapsed();
        metrics.sync_processor_flush_time.add(time::millis(took));
        self.disk.note(&mut log.last_syncs, took);
        let flushed_ms = self.clock.elapsed_ms();
        if self.next.is_some() {
            for request in &log.to_flush {
                let waited_ms = flushed_ms - request.sync_queue_start_ms;
                metrics.sync_processor_queue_and_flush_time.add(waited_ms);
            }
        }
        self.hand_on(log);
        Ok(())
    }

    fn hand_on(&self, log: &mut Log) {
        match &self.next {
            Some(next) => next.process_group(&mut log.to_flush),
            None => log.to_flush.clear(),
        }
    }
}

impl RequestProcessor for SyncRequestProcessor {
    /// The caller sees to it that requests come in zxid order.
    fn process_request(&self, mut request: Box<Request>) {
        request.sync_queue_start_ms = self.clock.elapsed_ms();
        self.metrics.sync_processor_queued.add(1);
        self.queued_requests.put(request);
    }

    fn flush(&self, by: Worker) -> Left {
        let is_delayed = self.settings.flush_delay_ms > 0;
        let by = match by {
            Worker::ReturningSelector if self.disk.is_fast() && !is_delayed => return Left::Log,
            Worker::Caller if !self.disk.is_slow() && !is_delayed => by,
            _ => Worker::OwnThread,
        };
        let written = self.queued_requests.work(by, |log, group| self.write_group(log, group));
        if let Err(error) = written {
            self.fail(&error);
        }
        Left::Nothing
    }

    fn shutdown(&self) {
        info!(target: LOG, "Shutting down");
        self.queued_requests.end(|log, left| {
            if let Err(error) = self.write_group(log, left) {
                self.fail(&error);
            }
        });
        let snapshots = mem::take(&mut *self.snapshots.lock());
        snapshots.into_iter().for_each(zookeeper_thread::join);
        if let Some(next) = &self.next {
            next.shutdown();
        }
    }
}
