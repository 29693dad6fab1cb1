//! `WorkerService`: a pool of threads for work that may run in any order (Java: server/WorkerService.java).
//!
//! Differs from Java: The threads are not assignable, because only the connections of a client port use a pool here.
//! The clients' addresses take turns. The end waits for every worker, because no work blocks.
//!
//! Threads: `NAMEThread-N`. Locks: `Leaf`, held briefly, for the queue.

use std::convert::Infallible;
use std::io;
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::fair_queue::FairQueue;
use super::zookeeper_server_listener::ZooKeeperServerListener;
use super::{zookeeper_critical_thread, zookeeper_thread};
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};

/// Work for a pool (Java: WorkerService.WorkRequest).
pub(super) trait WorkRequest: Send {
    /// Does the work.
    fn do_work(self: Box<Self>);

    /// Called in the place of [`do_work`](Self::do_work) when the pool has been stopped.
    fn cleanup(self: Box<Self>);
}

type Work = Box<dyn WorkRequest>;

/// The work that waits.
#[derive(Default)]
struct Queue {
    waiting: FairQueue<Work>,
    stopped: bool,
}

/// The threads of a pool, and its queue.
pub(super) struct WorkerService {
    name: &'static str,
    num_worker_threads: usize,
    queue: RankedMutex<Queue>,
    is_ready: RankedCondvar,
    threads: RankedMutex<Vec<JoinHandle<()>>>,
}

impl WorkerService {
    /// A pool that works after [`start`](Self::start).
    pub(super) fn new(name: &'static str, num_worker_threads: usize) -> Arc<Self> {
        Arc::new(Self {
            name,
            num_worker_threads,
            queue: RankedMutex::new(Rank::Leaf, "queue of a pool", Queue::default()),
            is_ready: RankedCondvar::new(),
            threads: RankedMutex::new(Rank::Leaf, "threads of a pool", Vec::new()),
        })
    }

    /// Starts the threads. `listener` ends the process if one of them panics.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(super) fn start(
        self: &Arc<Self>,
        listener: &Arc<dyn ZooKeeperServerListener>,
    ) -> io::Result<()> {
        for number in 1..=self.num_worker_threads {
            let this = Arc::clone(self);
            let name = format!("{}Thread-{number}", self.name);
            let listener = Arc::clone(listener);
            let thread = zookeeper_critical_thread::spawn(&name, listener, move || {
                this.run();
                Ok::<(), Infallible>(())
            })?;
            self.threads.lock().push(thread);
        }
        Ok(())
    }

    /// Has a thread do this work of a client from `ip`. Does the cleanup at once if the pool has been stopped.
    pub(super) fn schedule(&self, ip: IpAddr, work: Work) {
        let mut queue = self.queue.lock();
        if queue.stopped {
            drop(queue);
            return work.cleanup();
        }
        queue.waiting.push(ip, work);
        drop(queue);
        self.is_ready.notify_one();
    }

    fn run(&self) {
        while let Some(work) = self.next() {
            work.do_work();
        }
    }

    /// Waits for work; none at the end.
    fn next(&self) -> Option<Work> {
        let mut queue = self.queue.lock();
        loop {
            if queue.stopped {
                return None;
            }
            if let Some(work) = queue.waiting.pop() {
                return Some(work);
            }
            self.is_ready.wait(&mut queue);
        }
    }

    /// Ends the threads, and waits until they have ended. All work that waits is cleaned up (Java: stop, join).
    pub(super) fn stop(&self) {
        self.queue.lock().stopped = true;
        self.is_ready.notify_all();
        let threads = mem::take(&mut *self.threads.lock());
        threads.into_iter().for_each(zookeeper_thread::join);
        let mut left = mem::take(&mut self.queue.lock().waiting);
        while let Some(work) = left.pop() {
            work.cleanup();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::exit_code::ExitCode;
    use crossbeam::channel::{Receiver, Sender, bounded};
    use std::net::Ipv4Addr;
    use std::time::Duration;

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    struct Nobody;

    impl ZooKeeperServerListener for Nobody {
        fn notify_stopping(&self, thread_name: &str, exit_code: ExitCode) {
            panic!("{thread_name} has failed: {exit_code:?}");
        }
    }

    /// Says which thread does it, and waits until it may go on; or says that it was cleaned up.
    struct Job(Receiver<()>, Sender<Option<String>>);

    impl WorkRequest for Job {
        fn do_work(self: Box<Self>) {
            self.1.send(std::thread::current().name().map(str::to_owned)).unwrap();
            self.0.recv().unwrap();
        }

        fn cleanup(self: Box<Self>) {
            self.1.send(None).unwrap();
        }
    }

    #[test]
    fn all_threads_work_at_the_same_time_and_what_waits_at_the_end_is_cleaned_up() {
        let pool = WorkerService::new("Test", 2);
        let listener: Arc<dyn ZooKeeperServerListener> = Arc::new(Nobody);
        pool.start(&listener).unwrap();
        let (go_on, gate) = bounded(2);
        let (sender, done) = bounded(10);
        let job = || Box::new(Job(gate.clone(), sender.clone()));
        pool.schedule(IP, job());
        pool.schedule(IP, job());
        let name = || done.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
        let mut names = [name(), name()];
        names.sort();
        assert_eq!(names, ["TestThread-1", "TestThread-2"]);
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        pool.stop();
        pool.schedule(IP, job());
        assert_eq!(done.recv().unwrap(), None);
    }

    #[test]
    fn a_pool_that_was_never_started_cleans_up() {
        let pool = WorkerService::new("Test", 1);
        let (_go_on, gate) = bounded(0);
        let (sender, done) = bounded(10);
        pool.schedule(IP, Box::new(Job(gate, sender)));
        pool.stop();
        assert_eq!(done.try_recv().unwrap(), None);
    }
}
