//! Cleans up closed watchers in batches (Java: server/watch/WatcherCleaner.java, IDeadWatcherListener.java).
//!
//! Threads: `WatcherCleaner` decides when to clean up, and `DeadWatcherCleannerThread-N` (Java's spelling) do
//! it. [`WatcherCleaner::shutdown`] joins them. As in Java, `WatcherCleaner` cleans up itself if there are no
//! such threads.
//! Locks: `WatcherCleaner`, never held while the listener works.
//!
//! In Java, a threshold or an interval below one makes the thread spin or end. Here a threshold below one
//! counts as one, and without an interval only the threshold counts.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use log::{info, warn};

use crate::common::time::{millis, now};
use crate::common::zk_config::SystemProperties;
use crate::server::server_metrics::ServerMetrics;
use crate::server::util::bit_hash_set::BitHashSet;
use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex, RankedMutexGuard};
use crate::util::random::random;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.watch.WatcherCleaner";

/// How long a thread waits for a clean-up before it checks again.
const STALL_CHECK: Duration = Duration::from_millis(100);

/// Sets of dead watchers are kept as a list up to this size.
const DEAD_LIST_SIZE: usize = 10;

/// When dead watchers are cleaned up, and by how many threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatcherCleanerConfig {
    /// The number of dead watchers that starts a clean-up (`zookeeper.watcherCleanThreshold`).
    pub clean_threshold: usize,
    /// After this time, plus a random part of up to half of it, any number of dead watchers starts a clean-up
    /// (`zookeeper.watcherCleanIntervalInSeconds`).
    pub clean_interval_seconds: u32,
    /// The number of threads that clean up (`zookeeper.watcherCleanThreadsNum`).
    pub clean_threads_num: usize,
    /// While this many dead watchers are not cleaned up, closing a connection waits
    /// (`zookeeper.maxInProcessingDeadWatchers`). With 0 it never waits.
    pub max_in_processing_dead_watchers: usize,
}

impl WatcherCleanerConfig {
    /// Reads the four properties.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        let natural = |key: &str, default: i32| {
            usize::try_from(properties.number_or::<i32>(key, default)).unwrap_or(0)
        };
        let clean_threshold = natural("zookeeper.watcherCleanThreshold", 1000).max(1);
        let clean_threads_num = natural("zookeeper.watcherCleanThreadsNum", 2);
        let mut max_in_processing = natural("zookeeper.maxInProcessingDeadWatchers", -1);
        let suggested = clean_threshold.saturating_mul(clean_threads_num);
        if max_in_processing > 0 && max_in_processing < suggested {
            max_in_processing = suggested;
            info!(
                target: LOG,
                "The maxInProcessingDeadWatchers config is smaller than the suggested one, change it to use {suggested}"
            );
        }
        let interval = properties.number_or::<i32>("zookeeper.watcherCleanIntervalInSeconds", 600);
        Self {
            clean_threshold,
            clean_interval_seconds: u32::try_from(interval).unwrap_or(0),
            clean_threads_num,
            max_in_processing_dead_watchers: max_in_processing,
        }
    }

    /// The maximum wait before a clean-up. Part of it is random, so that not all servers clean up at the same
    /// time.
    fn max_wait(&self, random: u64) -> Option<Duration> {
        let interval = u64::from(self.clean_interval_seconds);
        (interval > 0).then(|| Duration::from_secs(interval + random % (interval / 2 + 1)))
    }
}

impl Default for WatcherCleanerConfig {
    fn default() -> Self {
        Self::from_properties(&SystemProperties::new())
    }
}

/// The owner of the watchers (Java: IDeadWatcherListener).
pub(crate) trait DeadWatcherListener: Send + Sync {
    /// Removes the watchers with these numbers. They are closed, so no watches are added for them.
    fn process_dead_watchers(&self, dead_watchers: &BitHashSet);
}

struct State {
    dead_watchers: BitHashSet,
    /// The watchers that wait or are being cleaned up (Java: totalDeadWatchers).
    total_dead_watchers: usize,
    stopped: bool,
    stall_logged: Option<Instant>,
}

struct Shared {
    config: WatcherCleanerConfig,
    listener: Arc<dyn DeadWatcherListener>,
    metrics: Arc<ServerMetrics>,
    state: RankedMutex<State>,
    clean_event: RankedCondvar,
    processing_completed: RankedCondvar,
}

/// Collects dead watchers and starts their clean-up.
pub(crate) struct WatcherCleaner {
    shared: Arc<Shared>,
    threads: RankedMutex<Vec<JoinHandle<()>>>,
}

impl WatcherCleaner {
    /// Starts the threads.
    ///
    /// # Errors
    /// When a thread cannot be started. Those already started end.
    pub(crate) fn start(
        config: WatcherCleanerConfig,
        listener: Arc<dyn DeadWatcherListener>,
        metrics: Arc<ServerMetrics>,
    ) -> io::Result<Self> {
        info!(
            target: LOG,
            "watcherCleanThreshold={}, watcherCleanIntervalInSeconds={}, watcherCleanThreadsNum={}, maxInProcessingDeadWatchers={}",
            config.clean_threshold,
            config.clean_interval_seconds,
            config.clean_threads_num,
            config.max_in_processing_dead_watchers
        );
        let state = State {
            dead_watchers: BitHashSet::new(DEAD_LIST_SIZE),
            total_dead_watchers: 0,
            stopped: false,
            stall_logged: None,
        };
        let shared = Arc::new(Shared {
            config,
            listener,
            metrics,
            state: RankedMutex::new(Rank::WatcherCleaner, "dead watchers", state),
            clean_event: RankedCondvar::new(),
            processing_completed: RankedCondvar::new(),
        });
        // The thread `WatcherCleaner` has the only sender. When it ends, the channel closes and the other
        // threads end, too.
        let (sender, receiver) = bounded(config.clean_threads_num);
        let mut threads = Vec::with_capacity(config.clean_threads_num + 1);
        for number in 1..=config.clean_threads_num {
            let (shared, receiver) = (Arc::clone(&shared), receiver.clone());
            let name = format!("DeadWatcherCleannerThread-{number}");
            threads.push(zookeeper_thread::spawn(&name, None, move || {
                shared.clean_batches(&receiver);
                Ok::<(), Infallible>(())
            })?);
        }
        let cleaner = Arc::clone(&shared);
        threads.push(zookeeper_thread::spawn("WatcherCleaner", None, move || {
            cleaner.run(&sender);
            Ok::<(), Infallible>(())
        })?);
        let threads = RankedMutex::new(Rank::Leaf, "threads of the watcher cleaner", threads);
        Ok(Self { shared, threads })
    }

    /// Adds the number of a closed watcher. May wait until others are cleaned up, see
    /// [`max_in_processing_dead_watchers`](WatcherCleanerConfig::max_in_processing_dead_watchers).
    pub(crate) fn add_dead_watcher(&self, watcher_bit: u32) {
        let shared = &*self.shared;
        let mut state = shared.wait_for_room();
        if !state.dead_watchers.add(watcher_bit) {
            return;
        }
        state.total_dead_watchers += 1;
        shared.metrics.dead_watchers_queued.inc();
        if state.dead_watchers.size() >= shared.config.clean_threshold {
            shared.clean_event.notify_all();
        }
    }

    /// Tells the threads to end, and discards the waiting dead watchers.
    pub(crate) fn stop(&self) {
        let mut state = self.shared.state.lock();
        state.stopped = true;
        state.dead_watchers = BitHashSet::new(DEAD_LIST_SIZE);
        self.shared.clean_event.notify_all();
        self.shared.processing_completed.notify_all();
    }

    /// Ends the threads. A batch in progress is finished. A second call does nothing.
    pub(crate) fn shutdown(&self) {
        self.stop();
        info!(target: LOG, "WatcherCleaner thread shutdown is initiated");
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().for_each(zookeeper_thread::join);
    }
}

impl Drop for WatcherCleaner {
    /// Tells the threads to end without waiting for them.
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn wait_for_room(&self) -> RankedMutexGuard<'_, State> {
        let max = self.config.max_in_processing_dead_watchers;
        let mut state = self.state.lock();
        while max > 0 && !state.stopped && state.total_dead_watchers >= max {
            let start = now();
            if state.stall_logged.is_none_or(|logged| start - logged >= STALL_CHECK) {
                warn!(target: LOG, "Waiting for dead watchers cleaning");
                state.stall_logged = Some(start);
            }
            self.processing_completed.wait_for(&mut state, STALL_CHECK);
            self.metrics.add_dead_watcher_stall_time.add(millis(start.elapsed()));
        }
        state
    }

    /// The body of the thread `WatcherCleaner`.
    fn run(&self, batches: &Sender<BitHashSet>) {
        while let Some(batch) = self.next_batch() {
            info!(target: LOG, "Processing {} dead watchers", batch.size());
            if self.config.clean_threads_num == 0 {
                self.clean(&batch);
            } else if batches.send(batch).is_err() {
                break; // the threads have panicked
            }
        }
        info!(target: LOG, "WatcherCleaner thread exited");
    }

    /// The time by which a dead watcher must be cleaned up, whatever their number.
    fn deadline(&self) -> Option<Instant> {
        self.config.max_wait(random()).map(|wait| now() + wait)
    }

    /// Waits until the threshold is reached, or until the deadline has passed and there is a dead watcher.
    /// `None` when stopped.
    fn next_batch(&self) -> Option<BitHashSet> {
        let mut deadline = self.deadline();
        let mut state = self.state.lock();
        while !state.stopped && state.dead_watchers.size() < self.config.clean_threshold {
            match deadline.map(|deadline| deadline.saturating_duration_since(now())) {
                Some(Duration::ZERO) if !state.dead_watchers.is_empty() => break,
                Some(Duration::ZERO) => deadline = self.deadline(),
                Some(left) => _ = self.clean_event.wait_for(&mut state, left),
                None => self.clean_event.wait(&mut state),
            }
        }
        let batch = std::mem::replace(&mut state.dead_watchers, BitHashSet::new(DEAD_LIST_SIZE));
        (!state.stopped).then_some(batch)
    }

    /// The body of the threads that clean up.
    fn clean_batches(&self, batches: &Receiver<BitHashSet>) {
        for batch in batches {
            if self.state.lock().stopped {
                return;
            }
            self.clean(&batch);
        }
    }

    fn clean(&self, batch: &BitHashSet) {
        let start = now();
        self.listener.process_dead_watchers(batch);
        let latency_ms = millis(start.elapsed());
        let total = batch.size();
        info!(target: LOG, "Takes {latency_ms} to process {total} watches");
        self.metrics.dead_watchers_cleaner_latency.add(latency_ms);
        self.metrics.dead_watchers_cleared.add(i64::try_from(total).unwrap_or(i64::MAX));
        self.state.lock().total_dead_watchers -= total;
        self.processing_completed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listener that reports its calls and waits for permission to continue.
    struct Listener {
        told: Sender<Vec<u32>>,
        go_on: Receiver<()>,
    }

    impl DeadWatcherListener for Listener {
        fn process_dead_watchers(&self, dead_watchers: &BitHashSet) {
            self.told.send(dead_watchers.iter().collect()).unwrap();
            self.go_on.recv().unwrap();
        }
    }

    struct Started {
        cleaner: WatcherCleaner,
        told: Receiver<Vec<u32>>,
        go_on: Sender<()>,
        metrics: Arc<ServerMetrics>,
    }

    fn start(threshold: usize, threads: usize, max_in_processing: usize) -> Started {
        let config = WatcherCleanerConfig {
            clean_threshold: threshold,
            clean_interval_seconds: 0,
            clean_threads_num: threads,
            max_in_processing_dead_watchers: max_in_processing,
        };
        let (told_sender, told) = bounded(10);
        let (go_on, go_on_receiver) = bounded(10);
        let metrics = ServerMetrics::with_default_provider();
        let listener = Arc::new(Listener { told: told_sender, go_on: go_on_receiver });
        let cleaner = WatcherCleaner::start(config, listener, Arc::clone(&metrics)).unwrap();
        Started { cleaner, told, go_on, metrics }
    }

    #[test]
    fn the_threshold_starts_a_clean_up_of_all_that_wait() {
        for threads in [0, 1, 3] {
            let Started { cleaner, told, go_on, metrics } = start(3, threads, 0);
            for bit in [5, 5, 9] {
                cleaner.add_dead_watcher(bit);
            }
            assert!(told.is_empty(), "two are fewer than three");
            cleaner.add_dead_watcher(1);
            assert_eq!(told.recv_timeout(Duration::from_secs(30)), Ok(vec![1, 5, 9]));
            go_on.send(()).unwrap();
            cleaner.shutdown();
            cleaner.shutdown();
            assert_eq!(metrics.dead_watchers_queued.value(), 3);
            assert_eq!(metrics.dead_watchers_cleared.value(), 3);
        }
    }

    #[test]
    fn who_adds_too_many_waits_until_others_are_cleaned_up() {
        let Started { cleaner, told, go_on, metrics } = start(1, 1, 1);
        cleaner.add_dead_watcher(1);
        assert_eq!(told.recv_timeout(Duration::from_secs(30)), Ok(vec![1]));
        std::thread::scope(|scope| {
            scope.spawn(|| cleaner.add_dead_watcher(2));
            let deadline = now() + Duration::from_secs(30);
            while metrics.add_dead_watcher_stall_time.value() == 0 {
                assert!(now() < deadline, "it never waited");
                std::thread::yield_now();
            }
            assert_eq!(metrics.dead_watchers_queued.value(), 1);
            go_on.send(()).unwrap();
            assert_eq!(told.recv_timeout(Duration::from_secs(30)), Ok(vec![2]));
            go_on.send(()).unwrap();
        });
        cleaner.shutdown();
        assert_eq!(metrics.dead_watchers_cleared.value(), 2);
    }

    #[test]
    fn shutdown_lets_go_who_waits_for_room() {
        let Started { cleaner, told, go_on, metrics: _ } = start(1, 1, 1);
        cleaner.add_dead_watcher(1);
        assert_eq!(told.recv_timeout(Duration::from_secs(30)), Ok(vec![1]));
        std::thread::scope(|scope| {
            scope.spawn(|| cleaner.add_dead_watcher(2));
            cleaner.stop();
        });
        go_on.send(()).unwrap();
        cleaner.shutdown();
        assert!(told.is_empty());
    }

    #[test]
    fn the_wait_is_the_interval_and_up_to_half_of_it_more() {
        let config = WatcherCleanerConfig::default();
        assert_eq!(config.max_wait(0), Some(Duration::from_secs(600)));
        assert_eq!(config.max_wait(300), Some(Duration::from_secs(900)));
        assert_eq!(config.max_wait(301), Some(Duration::from_secs(600)));
        assert_eq!(WatcherCleanerConfig { clean_interval_seconds: 0, ..config }.max_wait(1), None);
    }

    #[test]
    fn the_properties_have_java_s_names_and_defaults() {
        let defaults = WatcherCleanerConfig {
            clean_threshold: 1000,
            clean_interval_seconds: 600,
            clean_threads_num: 2,
            max_in_processing_dead_watchers: 0,
        };
        assert_eq!(WatcherCleanerConfig::default(), defaults);
        let properties = SystemProperties::from_pairs([
            ("zookeeper.watcherCleanThreshold", "10"),
            ("zookeeper.watcherCleanIntervalInSeconds", "5"),
            ("zookeeper.watcherCleanThreadsNum", "4"),
            ("zookeeper.maxInProcessingDeadWatchers", "7"),
        ]);
        let set = WatcherCleanerConfig {
            clean_threshold: 10,
            clean_interval_seconds: 5,
            clean_threads_num: 4,
            max_in_processing_dead_watchers: 40,
        };
        assert_eq!(WatcherCleanerConfig::from_properties(&properties), set);
    }
}
