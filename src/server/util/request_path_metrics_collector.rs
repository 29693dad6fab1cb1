//! Logs the most frequently requested paths (Java: server/util/RequestPathMetricsCollector.java).
//!
//! It is off unless `pathStats.enabled` is true. When it is on, a sample of all requests is counted by path.
//! Every few minutes the most frequent paths of the last quarter of an hour are logged.
//!
//! Threads: the timer `RequestPathMetricsCollector`; Java has a pool. Locks: one for the counts of each
//! operation, held for one addition. Java collects the full paths and counts them at the end of a slot. Here
//! they are shortened and counted at once, so that many requests for few paths need little memory. Java's
//! functions that print the counts elsewhere have no callers and are left out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{error, info};

use crate::common::zk_config::SystemProperties;
use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::zoo_defs::OpCode;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.util.RequestPathMetricsCollector";

/// The depth of the logged paths.
const LOGGED_DEPTH: usize = 4;

/// The operations that are counted.
const COUNTED: [OpCode; 16] = [
    OpCode::Create,
    OpCode::Create2,
    OpCode::CreateContainer,
    OpCode::DeleteContainer,
    OpCode::Delete,
    OpCode::Exists,
    OpCode::SetData,
    OpCode::GetData,
    OpCode::GetAcl,
    OpCode::SetAcl,
    OpCode::GetChildren,
    OpCode::GetChildren2,
    OpCode::CheckWatches,
    OpCode::RemoveWatches,
    OpCode::SetWatches2,
    OpCode::Sync,
];

/// The `pathStats.*` settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathStatsConfig {
    /// Whether requests are counted.
    pub enabled: bool,
    /// The number of past slots that are kept.
    pub slot_capacity: usize,
    /// The length of a slot, in seconds.
    pub slot_duration_s: u64,
    /// The number of path elements that are kept.
    pub max_depth: usize,
    /// The fraction of requests that is counted, from 0 to 1.
    pub sample_rate: f64,
    /// The delay before the first log of the counts, in minutes.
    pub initial_delay_min: u64,
    /// The interval of later logs, in minutes.
    pub delay_min: u64,
    /// The number of paths that are logged.
    pub top_path_max: usize,
}

impl Default for PathStatsConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            slot_capacity: 60,
            slot_duration_s: 15,
            max_depth: 6,
            sample_rate: 0.1,
            initial_delay_min: 5,
            delay_min: 5,
            top_path_max: 20,
        }
    }
}

impl PathStatsConfig {
    /// Reads the settings, with Java's defaults.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        let default = Self::default();
        let key = |name: &str| format!("zookeeper.pathStats.{name}");
        // A period of 0 would keep the timer busy all the time.
        let period = |name: &str, default: u64| properties.number_or(&key(name), default).max(1);
        Self {
            enabled: properties.bool(&key("enabled")),
            slot_capacity: properties.number_or(&key("slotCapacity"), default.slot_capacity).max(1),
            slot_duration_s: period("slotDuration", default.slot_duration_s),
            max_depth: properties.number_or(&key("maxDepth"), default.max_depth),
            sample_rate: properties.fraction(&key("sampleRate")).unwrap_or(default.sample_rate),
            initial_delay_min: properties
                .number_or(&key("initialDelay"), default.initial_delay_min),
            delay_min: period("delay", default.delay_min),
            top_path_max: properties.number_or(&key("topPathMax"), default.top_path_max),
        }
    }

    fn log(&self) {
        info!(target: LOG, "zookeeper.pathStats.slotCapacity = {}", self.slot_capacity);
        info!(target: LOG, "zookeeper.pathStats.slotDuration = {}", self.slot_duration_s);
        info!(target: LOG, "zookeeper.pathStats.maxDepth = {}", self.max_depth);
        info!(target: LOG, "zookeeper.pathStats.initialDelay = {}", self.initial_delay_min);
        info!(target: LOG, "zookeeper.pathStats.delay = {}", self.delay_min);
        info!(target: LOG, "zookeeper.pathStats.enabled = {}", self.enabled);
    }
}

/// The number of requests per path.
type Counts = HashMap<String, u64>;

/// The counts of one operation (Java: PathStatsQueue).
struct PathStatsQueue {
    op: OpCode,
    slots: RankedMutex<Slots>,
}

#[derive(Default)]
struct Slots {
    current: Counts,
    past: VecDeque<Counts>,
}

/// Counts requests by path.
pub struct RequestPathMetricsCollector {
    config: PathStatsConfig,
    queues: Vec<PathStatsQueue>,
    seen: AtomicU64,
    timer: RankedMutex<Option<Timer>>,
}

struct Timer {
    stop: Sender<Infallible>,
    thread: JoinHandle<()>,
}

impl RequestPathMetricsCollector {
    /// Creates a collector. The timer runs after [`start`](Self::start).
    #[must_use]
    pub fn new(config: PathStatsConfig) -> Arc<Self> {
        config.log();
        let slots = || RankedMutex::new(Rank::Leaf, "counts of paths", Slots::default());
        let queues = COUNTED.map(|op| PathStatsQueue { op, slots: slots() }).into();
        Arc::new(Self {
            config,
            queues,
            seen: AtomicU64::new(0),
            timer: RankedMutex::new(Rank::Leaf, "timer of path counts", None),
        })
    }

    /// Starts the timer, if counting is enabled.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(self: &Arc<Self>) -> io::Result<()> {
        if !self.config.enabled {
            return Ok(());
        }
        info!(target: LOG, "Start the RequestPath collector");
        let (stop, stopped) = bounded(0);
        let collector = Arc::clone(self);
        let thread = zookeeper_thread::spawn("RequestPathMetricsCollector", None, move || {
            collector.run(&stopped);
            Ok::<_, Infallible>(())
        })?;
        *self.timer.lock() = Some(Timer { stop, thread });
        Ok(())
    }

    /// Stops the timer and waits for its thread. A second call does nothing.
    pub fn shutdown(&self) {
        let timer = self.timer.lock().take();
        if let Some(Timer { stop, thread }) = timer {
            info!(target: LOG, "shutdown scheduledExecutor");
            drop(stop); // the thread wakes up when its sender is gone
            zookeeper_thread::join(thread);
        }
    }

    /// The body of the timer: ends slots and logs the counts when they are due.
    fn run(&self, stopped: &Receiver<Infallible>) {
        let slot = Duration::from_secs(self.config.slot_duration_s);
        let minutes = |minutes: u64| Duration::from_secs(minutes.saturating_mul(60));
        let mut until_log = minutes(self.config.initial_delay_min);
        let mut until_slot = slot;
        loop {
            let wait = until_log.min(until_slot);
            if stopped.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            until_log -= wait;
            until_slot -= wait;
            if until_slot.is_zero() {
                self.end_slot();
                until_slot = slot;
            }
            if until_log.is_zero() {
                self.log_top_paths();
                until_log = minutes(self.config.delay_min);
            }
        }
    }

    /// Counts a request, or a sample of requests according to `sampleRate`. Only the operations in Java's list
    /// are counted.
    #[inline]
    pub fn register_request(&self, op: OpCode, path: &str) {
        if self.config.enabled {
            self.register_enabled(op, path);
        }
    }

    fn register_enabled(&self, op: OpCode, path: &str) {
        if self.random() > self.config.sample_rate {
            return;
        }
        let Some(queue) = self.queues.iter().find(|queue| queue.op == op) else {
            error!(target: LOG, "We should not handle {}", op.code());
            return;
        };
        let path = trim_path_depth(path, self.config.max_depth);
        *queue.slots.lock().current.entry(path).or_default() += 1;
    }

    /// A pseudorandom number from 0 to 1, from a hash of the number of earlier calls.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are left")]
    fn random(&self) -> f64 {
        // Relaxed: no other data depends on this counter.
        let mut bits =
            self.seen.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Turns the current slot of each operation into a past one.
    fn end_slot(&self) {
        for queue in &self.queues {
            let mut slots = queue.slots.lock();
            if slots.past.len() >= self.config.slot_capacity {
                slots.past.pop_front();
            }
            let ended = std::mem::take(&mut slots.current);
            slots.past.push_back(ended);
        }
    }

    fn log_top_paths(&self) {
        for (kind, is_write) in [("Read", false), ("Write", true)] {
            info!(target: LOG, "Here are the top {kind} paths:");
            for (path, count) in self.top_paths(is_write) {
                info!(target: LOG, "{path} : {count}");
            }
        }
    }

    /// The most frequent paths, in descending order (Java: aggregatePaths, logTopPaths).
    fn top_paths(&self, is_write: bool) -> Vec<(String, u64)> {
        let depth = LOGGED_DEPTH.min(self.config.max_depth);
        let mut combined: BTreeMap<String, u64> = BTreeMap::new();
        for queue in self.queues.iter().filter(|queue| is_write_op(queue.op) == is_write) {
            let slots = queue.slots.lock();
            for (path, count) in slots.past.iter().chain([&slots.current]).flatten() {
                *combined.entry(trim_path_depth(path, depth)).or_default() += count;
            }
        }
        let mut top: Vec<_> = combined.into_iter().collect();
        top.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        top.truncate(self.config.top_path_max);
        top
    }
}

/// Whether Java counts the operation as a write.
const fn is_write_op(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::Sync
            | OpCode::Create
            | OpCode::Create2
            | OpCode::CreateContainer
            | OpCode::Delete
            | OpCode::DeleteContainer
            | OpCode::SetData
            | OpCode::Reconfig
            | OpCode::SetAcl
            | OpCode::Multi
            | OpCode::Check
    )
}

/// The first `max_depth` elements of a path.
fn trim_path_depth(path: &str, max_depth: usize) -> String {
    let elements = path.split('/').filter(|element| !element.is_empty()).take(max_depth);
    elements.fold(String::new(), |trimmed, element| trimmed + "/" + element)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector(config: PathStatsConfig) -> Arc<RequestPathMetricsCollector> {
        RequestPathMetricsCollector::new(PathStatsConfig {
            enabled: true,
            sample_rate: 1.0,
            ..config
        })
    }

    #[test]
    fn a_path_is_cut_behind_its_first_elements() {
        for (path, depth, trimmed) in [
            ("/p1/p2/p3", 1, "/p1"),
            ("/p1/p2/p3", 4, "/p1/p2/p3"),
            ("//p1//p2/", 2, "/p1/p2"),
            ("/", 3, ""),
        ] {
            assert_eq!(trim_path_depth(path, depth), trimmed);
        }
    }

    #[test]
    fn reads_and_writes_are_counted_apart_and_the_most_frequent_path_is_first() {
        let collector = collector(PathStatsConfig { top_path_max: 2, ..Default::default() });
        for _ in 0..3 {
            collector.register_request(OpCode::GetData, "/a/b/c/d/e");
        }
        collector.register_request(OpCode::Exists, "/a/b/c/d/f");
        collector.register_request(OpCode::Exists, "/x");
        collector.register_request(OpCode::Exists, "/y");
        collector.register_request(OpCode::Exists, "/y");
        collector.register_request(OpCode::SetData, "/w");
        collector.register_request(OpCode::Ping, "/not/counted");
        let top = |is_write| collector.top_paths(is_write);
        assert_eq!(top(false), [("/a/b/c/d".to_owned(), 4), ("/y".to_owned(), 2)]);
        assert_eq!(top(true), [("/w".to_owned(), 1)]);
    }

    #[test]
    fn the_oldest_slot_goes_when_there_are_enough() {
        let collector = collector(PathStatsConfig { slot_capacity: 2, ..Default::default() });
        for round in 0..3 {
            collector.register_request(OpCode::GetData, &format!("/r{round}"));
            collector.end_slot();
        }
        let paths: Vec<_> = collector.top_paths(false).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["/r1", "/r2"]);
    }

    #[test]
    fn about_as_many_requests_are_counted_as_the_rate_says() {
        let config = PathStatsConfig { enabled: true, sample_rate: 0.1, ..Default::default() };
        let collector = RequestPathMetricsCollector::new(config);
        for _ in 0..10_000 {
            collector.register_request(OpCode::GetData, "/a");
        }
        let count = collector.top_paths(false)[0].1;
        assert!((800..1_200).contains(&count), "{count}");
    }

    #[test]
    fn nothing_is_counted_and_no_thread_runs_unless_it_is_enabled() {
        let collector = RequestPathMetricsCollector::new(PathStatsConfig::default());
        collector.start().unwrap();
        collector.register_request(OpCode::GetData, "/a");
        assert!(collector.timer.lock().is_none());
        assert!(collector.top_paths(false).is_empty());
        collector.shutdown();
    }

    #[test]
    fn the_timer_ends_when_it_is_told_to() {
        let collector = collector(PathStatsConfig::default());
        collector.start().unwrap();
        collector.shutdown();
        collector.shutdown();
        assert_eq!(Arc::strong_count(&collector), 1);
    }

    #[test]
    fn settings_are_read_by_javas_names() {
        let properties = SystemProperties::from_pairs([
            ("zookeeper.pathStats.enabled", "true"),
            ("zookeeper.pathStats.slotDuration", "0"),
            ("zookeeper.pathStats.sampleRate", "0.5"),
            ("zookeeper.pathStats.topPathMax", "3"),
        ]);
        let config = PathStatsConfig::from_properties(&properties);
        let expected = PathStatsConfig {
            enabled: true,
            slot_duration_s: 1,
            sample_rate: 0.5,
            top_path_max: 3,
            ..PathStatsConfig::default()
        };
        assert_eq!(config, expected);
    }
}
