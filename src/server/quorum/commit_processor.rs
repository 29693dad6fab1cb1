//! `CommitProcessor`: requests wait here until they are committed, and are done in the order of commits (Java:
//! server/quorum/CommitProcessor.java).
//!
//! Threads: `CommitProcessor:N`, which sleeps while whoever brings a commit can do it himself: one request at a time costs no
//! hand-over, a busy server's commits gather while a group is applied. Differs from Java: reads do not come by (they wait
//! with their connection for the writes of their session), so there is no pool of workers and no balance between reads
//! and commits to set.
//! Locks: `CommitQueue`, for a moment, and under it the packets to a leader; none while a group is applied.
//!
//! What may run is decided in `session_queues`.

mod session_queues;

use std::mem;
use std::sync::Arc;
use std::thread::JoinHandle;

use log::info;

use self::session_queues::SessionQueues;
use crate::common::time::Clock;
use crate::ids::SessionId;
use crate::server::request::Request;
use crate::server::server_cnxn::DisconnectReason;
use crate::server::server_metrics::ServerMetrics;
use crate::server::sync_request_processor::GroupProcessor;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::server::{zookeeper_critical_thread, zookeeper_thread};
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.CommitProcessor";

#[derive(Default)]
struct State {
    waiting: SessionQueues,
    /// What may run, in order.
    runnable: Vec<Box<Request>>,
    /// Somebody applies, or was told to.
    busy: bool,
    /// The thread is to take over.
    handed_over: bool,
    stopping: bool,
}

/// The processor.
pub struct CommitProcessor {
    next: Arc<dyn GroupProcessor>,
    state: RankedMutex<State>,
    wake: RankedCondvar,
    thread: RankedMutex<Option<JoinHandle<()>>>,
    metrics: Arc<ServerMetrics>,
    clock: Clock,
}

impl CommitProcessor {
    /// A processor before `next`, with its thread started.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub fn start(
        server: &ZooKeeperServer,
        next: Arc<dyn GroupProcessor>,
    ) -> std::io::Result<Arc<Self>> {
        let processor = Arc::new(Self {
            next,
            state: RankedMutex::new(Rank::CommitQueue, "requests to commit", State::default()),
            wake: RankedCondvar::new(),
            thread: RankedMutex::new(Rank::Leaf, "thread of commits", None),
            metrics: Arc::clone(server.shared_metrics()),
            clock: Arc::clone(server.clock()),
        });
        let this = Arc::clone(&processor);
        let name = format!("CommitProcessor:{}", server.server_id());
        let thread = zookeeper_critical_thread::spawn(&name, server.listener(), move || {
            this.run();
            Ok::<(), std::io::Error>(())
        })?;
        *processor.thread.lock() = Some(thread);
        Ok(processor)
    }

    /// A request of a client of this server that needs a commit, which brings it.
    pub fn expect(&self, session: SessionId, cxid: i32) {
        // Bounded by globalOutstandingLimit at the connections.
        let now_ms = self.clock.elapsed_ms();
        let mut state = self.state.lock();
        if !state.stopping {
            state.waiting.expect(session, cxid, None, now_ms);
        }
    }

    /// The same of a request that stays here; `forward` sends for its commit. Under the lock: a session's commits come in the
    /// order in which its requests wait, whatever connections they came by.
    pub(super) fn expect_answer(&self, request: Box<Request>, forward: impl FnOnce()) {
        let now_ms = self.clock.elapsed_ms();
        let (session, cxid) = (request.session_id, request.cxid);
        let mut state = self.state.lock();
        if state.stopping {
            drop(state);
            return turn_away(&request);
        }
        // Before it leaves: the answer must find it.
        state.waiting.expect(session, cxid, Some(request), now_ms);
        forward();
    }

    /// A request that needs none: it is done behind those of its session that came before it. Flush after it.
    pub fn process_request(&self, request: Box<Request>) {
        let mut state = self.state.lock();
        if state.stopping {
            drop(state);
            return turn_away(&request);
        }
        let State { waiting, runnable, .. } = &mut *state;
        waiting.add(request, runnable);
    }

    /// The next request in the order of all is committed. Flush after it.
    pub fn commit(&self, mut request: Box<Request>) {
        self.metrics.commits_queued.add(1);
        request.commit_recv_ms = self.clock.elapsed_ms();
        let mut state = self.state.lock();
        if state.stopping {
            return;
        }
        let State { waiting, runnable, .. } = &mut *state;
        waiting.committed(request, runnable);
    }

    /// As [`commit`](Self::commit), for a request that has changed nothing: no commit is counted.
    pub fn release(&self, request: Box<Request>) {
        let mut state = self.state.lock();
        let State { waiting, runnable, .. } = &mut *state;
        waiting.committed(request, runnable);
    }

    /// How many requests wait for their commit or for those before them.
    #[must_use]
    pub fn pending_requests(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Does what may run, unless somebody does already. No lock may be held.
    pub fn flush(&self) {
        let mut group = {
            let mut state = self.state.lock();
            if state.busy || state.stopping || state.runnable.is_empty() {
                return;
            }
            state.busy = true;
            mem::take(&mut state.runnable)
        };
        self.process_group(&mut group);
        let mut state = self.state.lock();
        if state.runnable.is_empty() {
            state.busy = false;
            state.runnable = group; // keeps its memory
        } else {
            state.handed_over = true;
        }
        // The thread, or who waits for the end of the work. Nobody else: waking the thread for nothing costs more than the
        // rest of this.
        if state.handed_over || state.stopping {
            self.wake.notify_all();
        }
    }

    fn process_group(&self, group: &mut Vec<Box<Request>>) {
        let metrics = &*self.metrics;
        let start_ms = self.clock.elapsed_ms();
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
            return;
        }
        metrics.commits_queued_in_commit_processor.add(commits.into());
        metrics.writes_issued_in_commit_proc.add(commits.into());
        let took_ms = self.clock.elapsed_ms() - start_ms;
        metrics.commit_process_time.add(took_ms);
        metrics.write_batch_time_in_commit_processor.add(took_ms);
        // A group is applied and answered as one.
        metrics.write_final_proc_time.add_n(took_ms, commits);
    }

    fn run(&self) {
        let mut group = Vec::new();
        let mut state = self.state.lock();
        loop {
            while !state.handed_over && !state.stopping {
                self.wake.wait(&mut state);
            }
            if !state.handed_over {
                break;
            }
            while !state.runnable.is_empty() && !state.stopping {
                mem::swap(&mut group, &mut state.runnable);
                drop(state);
                self.process_group(&mut group);
                state = self.state.lock();
            }
            state.handed_over = false;
            state.busy = false;
            self.wake.notify_all();
        }
        drop(state);
        info!(target: LOG, "CommitProcessor exited loop!");
    }

    /// Ends it; what waits, and what still comes, is dropped: its clients ask another server. Then the processors behind end.
    pub fn shutdown(&self) {
        info!(target: LOG, "Shutting down");
        {
            let mut state = self.state.lock();
            state.stopping = true;
            self.wake.notify_all();
        }
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            zookeeper_thread::join(thread);
        }
        let mut state = self.state.lock();
        // One of those who bring commits may still be applying.
        while state.busy && !state.handed_over {
            self.wake.wait(&mut state);
        }
        state.waiting.clear();
        state.runnable.clear();
        drop(state);
        self.next.shutdown();
    }
}

/// Nobody will answer it any more: its client asks another server. It must not be kept: it has the connection, which has the
/// server, which has this processor.
fn turn_away(request: &Request) {
    if let Some(cnxn) = &request.cnxn {
        cnxn.close(DisconnectReason::ServerShutdown);
    }
}
