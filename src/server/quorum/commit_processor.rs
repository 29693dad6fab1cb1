//! `CommitProcessor`: requests wait here until they are committed, and are then applied in the order of the commits
//! (Java: server/quorum/CommitProcessor.java).
//!
//! Threads: `CommitProcessor:N`. While it is idle, the thread that brings a commit applies it (see `processor_queue`).
//! On a busy server, commits gather while a group is applied.
//! Locks: `CommitQueue`, briefly, and below it the packets to a leader; `CommitProcessor` while a group is applied.
//!
//! Differs from Java: reads do not pass through this processor (they wait at their connection for the writes of their
//! session). So there is no pool of workers, and no balance of reads and commits to configure.
//!
//! What may run is decided in `session_queues`.
//!
//! Elsewhere: needCommit is `way_of` in `learner/request_forwarder` and `process` in `proposal_request_processor`,
//! wakeup is `ProcessorQueue::work`. Without a pool there are no waitForEmptyPool, endOfIteration, sendToNextProcessor
//! and CommitWorkRequest.

mod session_queues;

use std::convert::Infallible;
use std::sync::Arc;

use log::info;

use self::session_queues::SessionQueues;
use crate::common::time::Clock;
use crate::ids::SessionId;
use crate::server::processor_queue::{ProcessorQueue, Worker};
use crate::server::request::Request;
use crate::server::server_cnxn::DisconnectReason;
use crate::server::server_metrics::ServerMetrics;
use crate::server::sync_request_processor::GroupProcessor;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.CommitProcessor";

#[derive(Default)]
struct State {
    waiting: SessionQueues,
    /// Requests that may run now, on their way to the queue. Empty while the lock is free.
    runnable: Vec<Box<Request>>,
    stopping: bool,
}

/// The processor.
pub(crate) struct CommitProcessor {
    next: Arc<dyn GroupProcessor>,
    state: RankedMutex<State>,
    /// Requests that may run, in order (Java: committedRequests, and those queuedRequests that wait for nothing).
    committed_requests: ProcessorQueue<Box<Request>, ()>,
    metrics: Arc<ServerMetrics>,
    clock: Clock,
}

impl CommitProcessor {
    fn run(&self) -> Result<(), Infallible> {
        self.committed_requests.run(|(), group| self.process_group(group))?;
        info!(target: LOG, "CommitProcessor exited loop!");
        Ok(())
    }

    /// A processor before `next`, with its thread started.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub(crate) fn start(
        server: &ZooKeeperServer,
        next: Arc<dyn GroupProcessor>,
    ) -> std::io::Result<Arc<Self>> {
        let processor = Arc::new(Self {
            next,
            state: RankedMutex::new(Rank::CommitQueue, "requests to commit", State::default()),
            committed_requests: ProcessorQueue::new(Rank::CommitProcessor, "right to apply", 1, ()),
            metrics: Arc::clone(server.shared_metrics()),
            clock: Arc::clone(server.clock()),
        });
        let this = Arc::clone(&processor);
        let name = format!("CommitProcessor:{}", server.server_id());
        processor.committed_requests.start(&name, server.listener(), move || this.run())?;
        Ok(processor)
    }

    fn process_group(&self, group: &mut Vec<Box<Request>>) -> Result<(), Infallible> {
        let metrics = &*self.metrics;
        let start_ms = self.clock.elapsed_ms();
        let writes_queued = count(self.state.lock().waiting.writes());
        let mut commits = 0;
        for request in group.iter().filter(|request| request.commit_recv_ms > 0) {
            commits += 1;
            if request.commit_proc_queue_start_ms > 0 {
                metrics.write_commitproc_time.add(start_ms - request.commit_proc_queue_start_ms);
                metrics.local_write_committed_time.add(start_ms - request.commit_recv_ms);
            } else {
                metrics.server_write_committed_time.add(start_ms - request.commit_recv_ms);
            }
        }
        self.next.process_group(group);
        if commits == 0 {
            return Ok(());
        }
        metrics.commits_queued_in_commit_processor.add(commits.into());
        metrics.writes_queued_in_commit_processor.add(writes_queued);
        metrics.writes_issued_in_commit_proc.add(commits.into());
        let took_ms = self.clock.elapsed_ms() - start_ms;
        metrics.commit_process_time.add(took_ms);
        metrics.write_batch_time_in_commit_processor.add(took_ms);
        // A group is applied and answered as one.
        metrics.write_final_proc_time.add_n(took_ms, commits);
        Ok(())
    }

    /// The next request in the order of all is committed. Flush after it.
    pub(crate) fn commit(&self, mut request: Box<Request>) {
        self.metrics.commits_queued.add(1);
        request.commit_recv_ms = self.clock.elapsed_ms();
        self.release(request);
    }

    /// As [`commit`](Self::commit), for a request that has changed nothing: no commit is counted.
    pub(crate) fn release(&self, request: Box<Request>) {
        let mut state = self.state.lock();
        if state.stopping {
            return;
        }
        let State { waiting, runnable, .. } = &mut *state;
        if let Some(found) = waiting.committed(request, runnable) {
            self.metrics.pending_session_queue_size.add(count(found.sessions));
            self.metrics.requests_in_session_queue.add(count(found.in_session));
        }
        self.queue(runnable);
    }

    /// Queues requests that may run. The caller holds the lock of the state, which keeps their order.
    fn queue(&self, runnable: &mut Vec<Box<Request>>) {
        runnable.drain(..).for_each(|request| self.committed_requests.put(request));
    }

    /// Has the requests done that may run. The caller may hold no lock but that of the log.
    pub(crate) fn flush(&self, by: Worker) {
        let Ok(()) = self.committed_requests.work(by, |(), group| self.process_group(group));
    }

    /// A request that needs none: it is done behind those of its session that came before it. Flush after it.
    pub(crate) fn process_request(&self, request: Box<Request>) {
        let mut state = self.state.lock();
        if state.stopping {
            drop(state);
            return turn_away(&request);
        }
        let State { waiting, runnable, .. } = &mut *state;
        waiting.add(request, runnable);
        self.queue(runnable);
    }

    /// A request of a client of this server that needs a commit, which brings it.
    pub(crate) fn expect(&self, session: SessionId, cxid: i32) {
        // Bounded by globalOutstandingLimit at the connections.
        let now_ms = self.clock.elapsed_ms();
        let mut state = self.state.lock();
        if !state.stopping {
            let queued = state.waiting.expect(session, cxid, None, now_ms);
            self.metrics.requests_in_session_queue.add(count(queued));
        }
    }

    /// The same of a request that stays here; `forward` sends for its commit. Under the lock: a session's commits come
    /// in the order in which its requests wait, whatever connections they came by.
    pub(super) fn expect_answer(&self, request: Box<Request>, forward: impl FnOnce()) {
        let now_ms = self.clock.elapsed_ms();
        let (session, cxid) = (request.session_id, request.cxid);
        let mut state = self.state.lock();
        if state.stopping {
            drop(state);
            return turn_away(&request);
        }
        // Before it leaves: the answer must find it.
        let queued = state.waiting.expect(session, cxid, Some(request), now_ms);
        self.metrics.requests_in_session_queue.add(count(queued));
        forward();
    }

    /// Ends it; what waits, and what still comes, is dropped: its clients ask another server. Then the processors
    /// behind end.
    pub(crate) fn shutdown(&self) {
        info!(target: LOG, "Shutting down");
        self.state.lock().stopping = true;
        // The remaining requests must be dropped: they hold their connections, which hold the server, which holds this
        // processor.
        self.committed_requests.end(|(), left| left.clear());
        self.state.lock().waiting.clear();
        self.next.shutdown();
    }
}

/// A number of requests or sessions, for a metric.
fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Nobody will answer it any more: its client asks another server. It must not be kept: it has the connection, which
/// has the server, which has this processor.
pub(super) fn turn_away(request: &Request) {
    if let Some(cnxn) = &request.cnxn {
        cnxn.close(DisconnectReason::ServerShutdown);
    }
}
