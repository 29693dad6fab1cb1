//! The queue and the thread of a request processor (no Java twin: the queue and the loop that each processor of Java
//! has).
//!
//! A processor that is a thread in Java is a thread here, too, with a channel in front of it. The thread takes all
//! queued requests as one group and does the processor's step with it. Only one thread at a time does the step, so that
//! requests keep their order.
//!
//! An idle processor works on the caller's thread: A thread that has queued requests calls [`ProcessorQueue::work`]. If
//! no other thread does the step, the caller does it for all queued requests. If more requests were queued meanwhile,
//! the caller repeats the step, as often as the processor allows. Then it hands over to the processor's thread, which
//! repeats the step until the queue is empty. So a request to a quiet server costs no hand-over, and the threads of a
//! busy server work in parallel.
//!
//! Threads: one, with Java's name. Locks: the processor's own lock, during a step, with the rank of the processor.

use std::fmt::Display;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::zookeeper_server_listener::ZooKeeperServerListener;
use super::{zookeeper_critical_thread, zookeeper_thread};
use crate::common::time;
use crate::metrics::summary::Summary;
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};

/// The thread that does a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worker {
    /// The caller, if the processor is idle.
    Caller,
    /// The caller, unless the step waits for the disk: it serves other connections as well.
    Selector,
    /// As `Selector`, but a step that waits for a fast disk is left for the caller, who comes back for it soon.
    ReturningSelector,
    /// The processor's own thread.
    OwnThread,
}

/// What the processor's thread is told.
#[derive(Debug, Default)]
struct Told {
    /// The thread has the turn: it does the step until the queue is empty.
    take_over: bool,
    /// The thread ends.
    end: bool,
}

/// Only the thread that has the turn uses this.
struct Inside<T, W> {
    worker: W,
    /// Kept for its memory.
    group: Vec<T>,
}

/// The queue of a processor whose step needs a `W`.
pub(crate) struct ProcessorQueue<T, W> {
    queued: (Sender<T>, Receiver<T>),
    /// A thread has the turn: it does the step, or is about to.
    is_taken: AtomicBool,
    is_ended: AtomicBool,
    /// The last items were taken out. Those that come later are dropped.
    is_closed: AtomicBool,
    /// How often a caller does the step before the thread takes over.
    rounds: u32,
    inside: RankedMutex<Inside<T, W>>,
    /// Not a channel: crossbeam's receivers spin for a while before they sleep. On a busy machine that takes the
    /// processors from those who would bring the next items.
    told: RankedMutex<Told>,
    is_told: RankedCondvar,
    thread: RankedMutex<Option<JoinHandle<()>>>,
}

impl<T: Send, W: Send> ProcessorQueue<T, W> {
    /// An empty queue. Its step runs under a lock of that rank and name. A caller does the step at most `rounds` times:
    /// a short step several times, a step that waits for the disk once.
    #[must_use]
    pub(crate) fn new(rank: Rank, name: &'static str, rounds: u32, worker: W) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "bounded by globalOutstandingLimit at the connections, and by what a quorum has under way"
        )]
        let queued = unbounded();
        Self {
            queued,
            is_taken: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            rounds,
            inside: RankedMutex::new(rank, name, Inside { worker, group: Vec::new() }),
            told: RankedMutex::new(
                Rank::Leaf,
                "words to the thread of a processor",
                Told::default(),
            ),
            is_told: RankedCondvar::new(),
            thread: RankedMutex::new(Rank::Leaf, "thread of a processor", None),
        }
    }

    /// Starts the processor's thread, whose body calls [`run`](Self::run). Its error or panic ends the server.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub(crate) fn start<E: Display>(
        &self,
        name: &str,
        listener: Arc<dyn ZooKeeperServerListener>,
        body: impl FnOnce() -> Result<(), E> + Send + 'static,
    ) -> io::Result<()> {
        let thread = zookeeper_critical_thread::spawn(name, listener, body)?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// Queues an item. The items of one caller keep their order.
    pub(crate) fn put(&self, item: T) {
        // It cannot fail: this struct also holds the receiver.
        let _sent = self.queued.0.send(item);
        if self.is_closed.load(Ordering::SeqCst) {
            self.drop_queued();
        }
    }

    /// A request that stayed here would keep its connection, and with it the server and this queue.
    fn drop_queued(&self) {
        self.queued.1.try_iter().for_each(drop);
    }

    fn is_empty(&self) -> bool {
        self.queued.1.is_empty()
    }

    /// Does the step for all queued items, or leaves it to another thread: the one that has the turn, or the
    /// processor's own.
    ///
    /// # Errors
    /// If the step fails. The turn then stays taken, so that no other step follows.
    pub(crate) fn work<E>(
        &self,
        by: Worker,
        mut step: impl FnMut(&mut W, &mut Vec<T>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.take_turn() {
            return Ok(());
        }
        if by != Worker::OwnThread {
            for _ in 0..self.rounds {
                self.do_step(&mut step)?;
                if self.is_empty() && self.give_turn_back() {
                    return Ok(());
                }
            }
        }
        self.tell(|told| told.take_over = true);
        Ok(())
    }

    /// The body of the thread: does the step whenever it gets the turn, until the end.
    ///
    /// # Errors
    /// If the step fails.
    pub(crate) fn run<E>(
        &self,
        mut step: impl FnMut(&mut W, &mut Vec<T>) -> Result<(), E>,
    ) -> Result<(), E> {
        while self.gets_turn() {
            loop {
                self.do_step(&mut step)?;
                if self.is_empty() && self.give_turn_back() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Waits for more items and adds them to the group, until it has `most` items, until `within` is over, or until
    /// nothing was queued for `poll`. Only for the processor's thread, inside a step.
    pub(crate) fn gather(&self, group: &mut Vec<T>, most: usize, within: Duration, poll: Duration) {
        let deadline = time::now() + within;
        while group.len() < most && !self.is_ended.load(Ordering::SeqCst) {
            let left = deadline.saturating_duration_since(time::now()).min(poll);
            if left.is_zero() {
                break;
            }
            match self.queued.1.recv_timeout(left) {
                Ok(item) => group.push(item),
                Err(_) => break,
            }
        }
    }

    /// Ends the processor: joins its thread and waits for the step of a caller. Then `last` gets the remaining items.
    /// Items that are queued later are dropped.
    pub(crate) fn end(&self, last: impl FnOnce(&mut W, &mut Vec<T>)) {
        if !self.is_ended.swap(true, Ordering::SeqCst) {
            self.tell(|told| told.end = true);
        }
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            zookeeper_thread::join(thread);
        }
        let mut inside = self.inside.lock();
        let Inside { worker, group } = &mut *inside;
        group.extend(self.queued.1.try_iter());
        last(worker, group);
        group.clear();
        self.is_closed.store(true, Ordering::SeqCst);
        self.drop_queued();
    }

    /// True for one thread at a time, if something is queued.
    fn take_turn(&self) -> bool {
        !self.is_empty()
            && !self.is_ended.load(Ordering::SeqCst)
            && !self.is_taken.swap(true, Ordering::SeqCst)
    }

    /// Returns false if this thread has taken the turn again: another thread may have queued an item and found the turn
    /// taken, and relies on this thread to look once more.
    fn give_turn_back(&self) -> bool {
        self.is_taken.store(false, Ordering::SeqCst);
        !self.take_turn()
    }

    fn do_step<E>(&self, step: impl FnOnce(&mut W, &mut Vec<T>) -> Result<(), E>) -> Result<(), E> {
        let mut inside = self.inside.lock();
        let Inside { worker, group } = &mut *inside;
        group.extend(self.queued.1.try_iter());
        // It is empty if the thread that had the turn before took the items in the meantime.
        if !group.is_empty() {
            step(worker, group)?;
            group.clear();
        }
        Ok(())
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock());
        self.is_told.notify_one();
    }

    /// Waits until the thread has the turn; false if it is to end. A turn that it has got comes before the end.
    fn gets_turn(&self) -> bool {
        let mut told = self.told.lock();
        while !told.take_over && !told.end {
            self.is_told.wait(&mut told);
        }
        mem::take(&mut told.take_over)
    }
}

/// Records for each item of a group how many were queued behind it (Java: the size of the queue when an item is taken).
pub(crate) fn add_queue_sizes(sizes: &dyn Summary, group: usize) {
    for behind in (0..group).rev() {
        sizes.add(i64::try_from(behind).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::thread;

    use super::*;
    use crate::server::exit_code::ExitCode;

    struct Nobody;
    impl ZooKeeperServerListener for Nobody {
        fn notify_stopping(&self, thread_name: &str, _exit_code: ExitCode) {
            panic!("{thread_name} has failed");
        }
    }

    type Queue = Arc<ProcessorQueue<u64, Vec<(u64, String)>>>;

    /// Notes who did what.
    fn note(done: &mut Vec<(u64, String)>, group: &mut Vec<u64>) -> Result<(), Infallible> {
        let thread = thread::current().name().unwrap_or_default().to_owned();
        done.extend(group.drain(..).map(|item| (item, thread.clone())));
        Ok(())
    }

    fn queue() -> Queue {
        let queue: Queue = Arc::new(ProcessorQueue::new(Rank::Leaf, "test", 1, Vec::new()));
        let this = Arc::clone(&queue);
        queue.start("Own", Arc::new(Nobody), move || this.run(note)).unwrap();
        queue
    }

    fn done(queue: &Queue) -> Vec<(u64, String)> {
        let mut all = Vec::new();
        queue.end(|done, left| {
            note(done, left).unwrap();
            all = done.clone();
        });
        all
    }

    #[test]
    fn an_idle_processor_works_on_the_callers_thread() {
        let queue = queue();
        let caller = thread::current().name().unwrap().to_owned();
        for item in 0..3 {
            queue.put(item);
            queue.work(Worker::Caller, note).unwrap();
        }
        assert_eq!(done(&queue), [0, 1, 2].map(|item| (item, caller.clone())));
    }

    #[test]
    fn a_caller_does_a_short_step_several_times() {
        let queue: ProcessorQueue<u64, Vec<u64>> =
            ProcessorQueue::new(Rank::Leaf, "test", 3, Vec::new());
        queue.put(0);
        let step = |done: &mut Vec<u64>, group: &mut Vec<u64>| {
            queue.put(group[0] + 1);
            done.append(group);
            Ok::<(), Infallible>(())
        };
        queue.work(Worker::Caller, step).unwrap();
        let mut found = (Vec::new(), Vec::new());
        queue.end(|done, left| found = (done.clone(), left.clone()));
        assert_eq!(found, (vec![0, 1, 2], vec![3]));
    }

    #[test]
    fn its_own_thread_takes_over_what_was_queued_meanwhile() {
        let queue = queue();
        queue.put(0);
        let step = |done: &mut Vec<_>, group: &mut Vec<_>| {
            queue.put(1);
            queue.work(Worker::Caller, note).unwrap();
            assert_eq!(queue.queued.1.len(), 1, "the turn is taken");
            note(done, group)
        };
        queue.work(Worker::Caller, step).unwrap();
        queue.put(2);
        queue.work(Worker::OwnThread, note).unwrap();
        let done = done(&queue);
        let items: Vec<u64> = done.iter().map(|(item, _)| *item).collect();
        assert_eq!(items, [0, 1, 2]);
        assert_eq!((done[1].1.as_str(), done[2].1.as_str()), ("Own", "Own"));
    }

    #[test]
    fn nothing_is_left_behind_or_overtaken_however_callers_meet() {
        let queue = queue();
        let (callers, each) = (8, 2_000);
        thread::scope(|scope| {
            for caller in 0..callers {
                let queue = &queue;
                scope.spawn(move || {
                    for number in 0..each {
                        queue.put(caller * each + number);
                        let by = if number % 7 == 0 { Worker::OwnThread } else { Worker::Caller };
                        queue.work(by, note).unwrap();
                    }
                });
            }
        });
        // Nobody asks again: what was queued must be done all the same.
        let deadline = time::now() + Duration::from_secs(30);
        while queue.inside.lock().worker.len() < usize::try_from(callers * each).unwrap() {
            assert!(time::now() < deadline, "{} are left behind", queue.queued.1.len());
            thread::yield_now();
        }
        let done = done(&queue);
        for caller in 0..callers {
            let of_caller = done.iter().map(|(item, _)| *item).filter(|item| item / each == caller);
            assert!(of_caller.eq(caller * each..(caller + 1) * each), "those of {caller}");
        }
    }

    #[test]
    fn after_an_error_no_step_follows() {
        let queue: ProcessorQueue<u64, u64> = ProcessorQueue::new(Rank::Leaf, "test", 1, 0);
        queue.put(1);
        assert_eq!(queue.work(Worker::Caller, |_, _| Err("broken")), Err("broken"));
        queue.put(2);
        let never = |_: &mut u64, _: &mut Vec<u64>| -> Result<(), &str> { panic!("a step") };
        assert_eq!(queue.work(Worker::Caller, never), Ok(()), "the turn stays taken");
        let mut left = Vec::new();
        queue.end(|_, group| left.append(group));
        assert_eq!(left, [1, 2], "the end has what was not done");
    }

    #[test]
    fn what_is_queued_behind_the_end_is_not_kept() {
        let queue: ProcessorQueue<Arc<()>, ()> = ProcessorQueue::new(Rank::Leaf, "test", 1, ());
        let item = Arc::new(());
        queue.put(Arc::clone(&item));
        queue.end(|(), left| assert_eq!(left.len(), 1));
        queue.put(Arc::clone(&item));
        assert_eq!(Arc::strong_count(&item), 1);
    }

    #[test]
    fn a_group_gathers_until_it_is_full_or_nothing_comes() {
        let queue: ProcessorQueue<u64, ()> = ProcessorQueue::new(Rank::Leaf, "test", 1, ());
        (0..5).for_each(|item| queue.put(item));
        let (long, short) = (Duration::from_secs(60), Duration::from_millis(1));
        let mut group = Vec::new();
        queue.gather(&mut group, 3, long, long);
        assert_eq!(group, [0, 1, 2]);
        queue.gather(&mut group, 9, long, short);
        assert_eq!(group, [0, 1, 2, 3, 4]);
        queue.gather(&mut group, 9, Duration::ZERO, long);
    }
}
