//! Deletes containers that have become empty, and nodes whose time to live is over (Java:
//! server/ContainerManager.java).
//!
//! Threads: `ContainerManagerTask` checks the candidates at intervals; [`ContainerManager::stop`] joins it. Locks:
//! `Leaf`, for the thread's handle.
//!
//! The [`ContainerHost`] provides the nodes and submits the delete requests. Whether a node may still be deleted is
//! checked when its request is processed; the outcome does not matter here. Only a standalone server or a leader
//! runs this task.
//!
//! Differs from Java: if a check takes longer than the interval, the missed checks are not repeated in a row. The
//! manager can be started again after a stop.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use log::{error, info};

use super::zookeeper_thread;
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::util::sleeper::Sleeper;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ContainerManager";

const CHECK_INTERVAL_MS: &str = "znode.container.checkIntervalMs";
const MAX_PER_MINUTE: &str = "znode.container.maxPerMinute";
const MAX_NEVER_USED_INTERVAL_MS: &str = "znode.container.maxNeverUsedIntervalMs";

const MINUTE_MS: i64 = 60_000;

/// The interval of the checks, and what they delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerManagerConfig {
    /// Time between two checks (`znode.container.checkIntervalMs`).
    pub check_interval_ms: i32,
    /// The maximum number of deletions per minute, so that many deletions do not delay the clients; a negative value
    /// is no limit (`znode.container.maxPerMinute`).
    pub max_per_minute: i32,
    /// How long a container is kept that has never had a child; 0 is forever
    /// (`znode.container.maxNeverUsedIntervalMs`).
    pub max_never_used_interval_ms: i64,
}

impl ContainerManagerConfig {
    /// Reads the three properties, whose names do not begin with `zookeeper.`.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        Self {
            check_interval_ms: properties.number_or(CHECK_INTERVAL_MS, 60_000),
            max_per_minute: properties.number_or(MAX_PER_MINUTE, 10_000),
            max_never_used_interval_ms: properties.number_or(MAX_NEVER_USED_INTERVAL_MS, 0),
        }
    }

    /// Whether a container without children is to be deleted. A container that never had a child is kept for a
    /// while, because it may be new.
    const fn is_unused_container(&self, cversion: i32, age_ms: i64) -> bool {
        let max_ms = self.max_never_used_interval_ms;
        cversion > 0 || (max_ms != 0 && age_ms > max_ms)
    }
}

impl Default for ContainerManagerConfig {
    fn default() -> Self {
        Self::from_properties(&SystemProperties::new())
    }
}

/// Why the manager cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContainerManagerError {
    /// The interval is not positive.
    #[error("{CHECK_INTERVAL_MS}={0} must be above 0")]
    CheckInterval(i32),
    /// The thread cannot be started.
    #[error("no thread for ContainerManagerTask")]
    NoThread(#[source] io::Error),
}

/// The properties that decide whether a node is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContainerCandidate {
    /// Whether it has children.
    pub has_children: bool,
    /// Its stat's cversion, which is above 0 if it ever had children.
    pub cversion: i32,
    /// Its stat's mtime, on the wall clock.
    pub mtime_ms: i64,
    /// Its time to live; `None` if its ephemeral owner does not mark one.
    pub ttl_ms: Option<i64>,
}

/// The server that has the nodes.
pub(crate) trait ContainerHost: Send + Sync {
    /// Paths of all containers.
    fn containers(&self) -> Vec<String>;

    /// Paths of all nodes with a time to live.
    fn ttls(&self) -> Vec<String>;

    /// The current state of the node, if the node exists.
    fn candidate(&self, path: &str) -> Option<ContainerCandidate>;

    /// Submits a `deleteContainer` request with session 0 and cxid 0.
    ///
    /// # Errors
    /// Why it could not be submitted.
    fn delete_container(&self, path: &str) -> Result<(), String>;
}

/// Checks the candidates at intervals.
pub(crate) struct ContainerManager {
    task: Arc<Task>,
    running: RankedMutex<Option<Running>>,
}

struct Running {
    sleeper: Arc<Sleeper>,
    thread: JoinHandle<()>,
}

struct Task {
    config: ContainerManagerConfig,
    host: Arc<dyn ContainerHost>,
    clock: Clock,
}

impl ContainerManager {
    /// Creates a manager, which checks nothing until it is started.
    #[must_use]
    pub(crate) fn new(
        config: ContainerManagerConfig,
        host: Arc<dyn ContainerHost>,
        clock: Clock,
    ) -> Self {
        info!(
            target: LOG,
            "Using checkIntervalMs={} maxPerMinute={} maxNeverUsedIntervalMs={}",
            config.check_interval_ms,
            config.max_per_minute,
            config.max_never_used_interval_ms
        );
        let running = RankedMutex::new(Rank::Leaf, "thread of the container manager", None);
        Self { task: Arc::new(Task { config, host, clock }), running }
    }

    /// Starts the checks, the first one after one interval. Does nothing if they are running.
    ///
    /// # Errors
    /// When the interval is not positive, or the thread cannot be started.
    pub(crate) fn start(&self) -> Result<(), ContainerManagerError> {
        let check_interval_ms = self.task.config.check_interval_ms;
        if check_interval_ms <= 0 {
            return Err(ContainerManagerError::CheckInterval(check_interval_ms));
        }
        let first_ms = self.task.clock.elapsed_ms() + i64::from(check_interval_ms);
        let sleeper = Arc::new(Sleeper::new(Arc::clone(&self.task.clock)));
        let (task, its_sleeper) = (Arc::clone(&self.task), Arc::clone(&sleeper));
        let mut running = self.running.lock();
        if running.is_some() {
            return Ok(());
        }
        let thread = zookeeper_thread::spawn("ContainerManagerTask", None, move || {
            task.run(first_ms, &its_sleeper);
            Ok::<(), Infallible>(())
        })
        .map_err(ContainerManagerError::NoThread)?;
        *running = Some(Running { sleeper, thread });
        Ok(())
    }

    /// Ends the checks, including a running one. A second call does nothing.
    pub(crate) fn stop(&self) {
        let running = self.running.lock().take();
        if let Some(Running { sleeper, thread }) = running {
            sleeper.stop();
            zookeeper_thread::join(thread);
        }
    }
}

impl Drop for ContainerManager {
    /// Tells the thread to end, without waiting for it.
    fn drop(&mut self) {
        let running = self.running.lock().take();
        if let Some(running) = running {
            running.sleeper.stop();
        }
    }
}

impl Task {
    fn run(&self, mut next_ms: i64, sleeper: &Sleeper) {
        let interval_ms = i64::from(self.config.check_interval_ms);
        while sleeper.sleep_until(next_ms) {
            self.check_containers(sleeper);
            next_ms = (next_ms + interval_ms).max(self.clock.elapsed_ms());
        }
    }

    /// The time between two deletions; `None` if the limit is 0, where Java divides by 0.
    fn min_interval_ms(&self) -> Option<i64> {
        MINUTE_MS.checked_div(self.config.max_per_minute.into())
    }

    fn check_containers(&self, sleeper: &Sleeper) {
        let Some(min_interval_ms) = self.min_interval_ms() else {
            error!(target: LOG, "Error checking containers: {MAX_PER_MINUTE}=0 allows none to be deleted");
            return;
        };
        for path in self.candidates() {
            let start_ms = self.clock.elapsed_ms();
            info!(target: LOG, "Attempting to delete candidate container: {path}");
            if let Err(reason) = self.host.delete_container(&path) {
                error!(target: LOG, "Could not delete container: {path}: {reason}");
            }
            if !sleeper.sleep_until(start_ms + min_interval_ms) {
                return;
            }
        }
    }

    fn candidates(&self) -> Vec<String> {
        let age_ms = |node: &ContainerCandidate| self.clock.wall_ms() - node.mtime_ms;
        let mut candidates = self.host.containers();
        candidates.retain(|path| {
            self.host.candidate(path).is_some_and(|node| {
                !node.has_children && self.config.is_unused_container(node.cversion, age_ms(&node))
            })
        });
        candidates.extend(self.host.ttls().into_iter().filter(|path| {
            self.host.candidate(path).is_some_and(|node| {
                let ttl_is_over = node.ttl_ms.is_some_and(|ttl| ttl != 0 && age_ms(&node) > ttl);
                !node.has_children && ttl_is_over
            })
        }));
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::time::{ManualClock, TimeSource, now};
    use std::collections::BTreeMap;
    use std::thread;
    use std::time::Duration;

    const NOW_MS: i64 = 1_000_000;

    /// Nodes, and the requested deletions with their times.
    struct Host {
        clock: Arc<ManualClock>,
        containers: BTreeMap<&'static str, ContainerCandidate>,
        ttls: BTreeMap<&'static str, ContainerCandidate>,
        deleted: RankedMutex<Vec<(String, i64)>>,
        refuses: bool,
    }

    impl ContainerHost for Host {
        fn containers(&self) -> Vec<String> {
            self.containers.keys().map(|path| (*path).to_owned()).chain(["/gone".into()]).collect()
        }
        fn ttls(&self) -> Vec<String> {
            self.ttls.keys().map(|path| (*path).to_owned()).collect()
        }
        fn candidate(&self, path: &str) -> Option<ContainerCandidate> {
            self.containers.get(path).or_else(|| self.ttls.get(path)).copied()
        }
        fn delete_container(&self, path: &str) -> Result<(), String> {
            self.deleted.lock().push((path.to_owned(), self.clock.elapsed_ms()));
            if self.refuses { Err("not today".into()) } else { Ok(()) }
        }
    }

    fn host(refuses: bool) -> Host {
        let node = |has_children, cversion, age_ms, ttl_ms| ContainerCandidate {
            has_children,
            cversion,
            mtime_ms: NOW_MS - age_ms,
            ttl_ms,
        };
        Host {
            clock: Arc::new(ManualClock::new(NOW_MS)),
            containers: BTreeMap::from([
                ("/c/full", node(true, 3, 99_999, None)),
                ("/c/used", node(false, 2, 0, None)),
                ("/c/new", node(false, 0, 5_000, None)),
                ("/c/unused", node(false, 0, 5_001, None)),
            ]),
            ttls: BTreeMap::from([
                ("/t/young", node(false, 0, 1_000, Some(1_000))),
                ("/t/old", node(false, 0, 1_001, Some(1_000))),
                ("/t/parent", node(true, 0, 9_000, Some(1_000))),
                ("/t/ordinary", node(false, 0, 9_000, None)),
                ("/t/zero", node(false, 0, 9_000, Some(0))),
            ]),
            deleted: RankedMutex::new(Rank::Leaf, "deleted", Vec::new()),
            refuses,
        }
    }

    fn manager(config: ContainerManagerConfig, host: &Arc<Host>) -> ContainerManager {
        ContainerManager::new(config, Arc::clone(host) as _, host.clock.clone())
    }

    fn wait_until_deleted(host: &Host, count: usize) -> Vec<(String, i64)> {
        let deadline = now() + Duration::from_secs(30);
        loop {
            let deleted = host.deleted.lock().clone();
            if deleted.len() >= count {
                return deleted;
            }
            assert!(now() < deadline, "deleted: {deleted:?}");
            thread::yield_now();
        }
    }

    fn config(max_never_used_interval_ms: i64) -> ContainerManagerConfig {
        ContainerManagerConfig { max_never_used_interval_ms, ..ContainerManagerConfig::default() }
    }

    #[test]
    fn candidates_are_empty_and_used_once_or_too_old() {
        for (max_never_used_ms, expected) in [
            (0, vec!["/c/used", "/t/old"]),
            (5_000, vec!["/c/unused", "/c/used", "/t/old"]),
            (4_999, vec!["/c/new", "/c/unused", "/c/used", "/t/old"]),
        ] {
            let host = Arc::new(host(false));
            assert_eq!(manager(config(max_never_used_ms), &host).task.candidates(), expected);
        }
    }

    #[test]
    fn deletions_keep_their_distance_and_a_refused_one_does_not_end_the_check() {
        let host = Arc::new(host(true));
        let manager = manager(config(5_000), &host);
        manager.start().unwrap();
        manager.start().unwrap();
        host.clock.advance(59_999);
        assert!(host.deleted.lock().is_empty());
        host.clock.advance(1);
        wait_until_deleted(&host, 1);
        host.clock.advance(5);
        assert_eq!(host.deleted.lock().len(), 1, "10000 a minute: one in 6 ms");
        host.clock.advance(1);
        wait_until_deleted(&host, 2);
        manager.stop();
        manager.stop();
        assert_eq!(host.deleted.lock().len(), 2);
    }

    #[test]
    fn checks_come_again_after_each_interval_and_after_a_restart() {
        let mut host = host(false);
        host.ttls.remove("/t/young"); // it would grow old meanwhile
        let host = Arc::new(host);
        let manager = manager(config(0), &host);
        for (round, expected) in [(1, 4), (2, 8)] {
            manager.start().unwrap();
            for check in 1..=2 {
                host.clock.advance(60_000);
                // Two nodes are due; the second one is deleted after a pause.
                let so_far = (round - 1) * 4 + (check - 1) * 2;
                wait_until_deleted(&host, so_far + 1);
                host.clock.advance(6);
                wait_until_deleted(&host, so_far + 2);
                host.clock.advance(6);
            }
            manager.stop();
            host.clock.advance(600_000);
            assert_eq!(host.deleted.lock().len(), expected);
        }
    }

    #[test]
    fn settings_that_cannot_work_are_told() {
        let host = Arc::new(host(false));
        let never = ContainerManagerConfig { check_interval_ms: 0, ..config(0) };
        let error = manager(never, &host).start().unwrap_err().to_string();
        assert!(error.contains("znode.container.checkIntervalMs=0"), "{error}");

        let none = ContainerManagerConfig { max_per_minute: 0, ..config(0) };
        let manager = manager(none, &host);
        assert_eq!(manager.task.min_interval_ms(), None);
        manager.task.check_containers(&Sleeper::new(host.clock.clone()));
        assert!(host.deleted.lock().is_empty());
    }

    #[test]
    fn the_properties_have_java_s_names_and_defaults() {
        let defaults = ContainerManagerConfig {
            check_interval_ms: 60_000,
            max_per_minute: 10_000,
            max_never_used_interval_ms: 0,
        };
        assert_eq!(ContainerManagerConfig::default(), defaults);
        let properties = SystemProperties::from_pairs([
            ("znode.container.checkIntervalMs", "1"),
            ("znode.container.maxPerMinute", "2"),
            ("znode.container.maxNeverUsedIntervalMs", "3000000000"),
        ]);
        let set = ContainerManagerConfig {
            check_interval_ms: 1,
            max_per_minute: 2,
            max_never_used_interval_ms: 3_000_000_000,
        };
        assert_eq!(ContainerManagerConfig::from_properties(&properties), set);
    }
}
