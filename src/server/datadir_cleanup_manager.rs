//! Purges old snapshots and logs at intervals (Java: server/DatadirCleanupManager.java).
//!
//! Threads: `PurgeTask`, from [`start`](DatadirCleanupManager::start) to [`shutdown`](DatadirCleanupManager::shutdown),
//! which joins it. Locks: none.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{error, info, warn};

use super::persistence::file_txn_snap_log::FileTxnSnapLogConfig;
use super::purge_txn_log::{Purged, purge};
use super::zookeeper_thread;
use crate::common::time;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.DatadirCleanupManager";

/// The unit of the interval.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The state of the manager (Java: PurgeTaskStatus).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PurgeTaskStatus {
    /// It was not started, or no interval is configured.
    NotStarted,
    /// It purges at intervals.
    Started,
    /// It was shut down.
    Completed,
}

/// Purges a server's directories.
#[derive(Debug)]
pub(crate) struct DatadirCleanupManager {
    task: PurgeTask,
    purge_interval: Duration,
    purge_task_status: PurgeTaskStatus,
    /// The thread, and the only sender of its channel. The thread ends when the sender is dropped.
    timer: Option<(Sender<()>, JoinHandle<()>)>,
}

#[derive(Clone, Debug)]
struct PurgeTask {
    data_log_dir: PathBuf,
    snap_dir: PathBuf,
    snap_retain_count: usize,
    config: FileTxnSnapLogConfig,
}

impl DatadirCleanupManager {
    /// Purges `snap_dir` and `data_log_dir` at this interval (`autopurge.purgeInterval`, 0 or less is never), and
    /// keeps this number of snapshots (`autopurge.snapRetainCount`).
    #[must_use]
    pub(crate) fn new(
        snap_dir: &Path,
        data_log_dir: &Path,
        snap_retain_count: usize,
        purge_interval_hours: i32,
        config: FileTxnSnapLogConfig,
    ) -> Self {
        info!(target: LOG, "autopurge.snapRetainCount set to {snap_retain_count}");
        info!(target: LOG, "autopurge.purgeInterval set to {purge_interval_hours}");
        let purge_interval = HOUR * u32::try_from(purge_interval_hours).unwrap_or(0);
        Self::with_interval(snap_dir, data_log_dir, snap_retain_count, purge_interval, config)
    }

    /// As [`new`](Self::new), with any interval; zero is never.
    #[must_use]
    pub(crate) fn with_interval(
        snap_dir: &Path,
        data_log_dir: &Path,
        snap_retain_count: usize,
        purge_interval: Duration,
        config: FileTxnSnapLogConfig,
    ) -> Self {
        let task = PurgeTask {
            data_log_dir: data_log_dir.to_owned(),
            snap_dir: snap_dir.to_owned(),
            snap_retain_count,
            config,
        };
        let purge_task_status = PurgeTaskStatus::NotStarted;
        Self { task, purge_interval, purge_task_status, timer: None }
    }

    /// Purges at once and then at intervals, unless there is no interval or the task is running already.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        if self.purge_task_status == PurgeTaskStatus::Started {
            warn!(target: LOG, "Purge task is already running.");
            return Ok(());
        }
        if self.purge_interval.is_zero() {
            info!(target: LOG, "Purge task is not scheduled.");
            return Ok(());
        }
        let (stop, stopped) = bounded(0);
        let (task, interval) = (self.task.clone(), self.purge_interval);
        let thread = zookeeper_thread::spawn("PurgeTask", None, move || {
            task.run_at_fixed_rate(interval, &stopped);
            Ok::<(), io::Error>(())
        })?;
        self.timer = Some((stop, thread));
        self.purge_task_status = PurgeTaskStatus::Started;
        Ok(())
    }

    /// Ends the task. Waits for a running purge.
    pub(crate) fn shutdown(&mut self) {
        let Some((stop, thread)) = self.timer.take() else {
            warn!(target: LOG, "Purge task not started. Ignoring shutdown!");
            return;
        };
        info!(target: LOG, "Shutting down purge task.");
        drop(stop);
        zookeeper_thread::join(thread);
        self.purge_task_status = PurgeTaskStatus::Completed;
    }

    /// The state of the manager.
    #[must_use]
    pub(crate) const fn purge_task_status(&self) -> PurgeTaskStatus {
        self.purge_task_status
    }
}

impl PurgeTask {
    fn run_at_fixed_rate(&self, interval: Duration, stopped: &Receiver<()>) {
        let mut next = time::now();
        loop {
            self.run();
            next += interval;
            // If a purge takes longer than the interval, the next one follows at once.
            let wait = next.saturating_duration_since(time::now());
            match stopped.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn run(&self) {
        info!(target: LOG, "Purge task started.");
        let Self { data_log_dir, snap_dir, snap_retain_count, config } = self;
        let purged = purge(data_log_dir, snap_dir, *snap_retain_count, *config, |file| {
            if let Purged::Failed(path) = file {
                error!(target: LOG, "Failed to remove {}", path.display());
            }
        });
        if let Err(problem) = purged {
            error!(target: LOG, "Error occurred while purging: {problem}");
        }
        info!(target: LOG, "Purge task completed.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::persistence::test_dir::TestDir;
    use std::fs;

    fn snapshots(dir: &TestDir) -> usize {
        fs::read_dir(dir.path().join("version-2")).map_or(0, Iterator::count)
    }

    fn write_snapshots(dir: &TestDir, count: usize) {
        let version = dir.path().join("version-2");
        fs::create_dir_all(&version).unwrap();
        for zxid in 1..=count {
            let path = version.join(format!("snapshot.{zxid}"));
            fs::write(path, b"0123456789\0\0\0\x01/").unwrap();
        }
    }

    fn manager(dir: &TestDir, interval: Duration) -> DatadirCleanupManager {
        let config = FileTxnSnapLogConfig::default();
        DatadirCleanupManager::with_interval(dir.path(), dir.path(), 3, interval, config)
    }

    fn wait_until(what: &str, is_so: impl Fn() -> bool) {
        let deadline = time::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(time::now() < deadline, "not so after 20 s: {what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn it_purges_at_once_and_again_after_the_interval() {
        let dir = TestDir::new();
        write_snapshots(&dir, 7);
        let mut manager = manager(&dir, Duration::from_millis(20));
        manager.start().unwrap();
        manager.start().unwrap();
        wait_until("three are left", || snapshots(&dir) == 3);
        write_snapshots(&dir, 7);
        wait_until("three are left again", || snapshots(&dir) == 3);
        assert_eq!(manager.purge_task_status(), PurgeTaskStatus::Started);
        manager.shutdown();
        assert_eq!(manager.purge_task_status(), PurgeTaskStatus::Completed);
    }

    #[test]
    fn a_shutdown_does_not_wait_for_the_interval() {
        let dir = TestDir::new();
        let config = FileTxnSnapLogConfig::default();
        let mut manager = DatadirCleanupManager::new(dir.path(), dir.path(), 3, 24, config);
        manager.start().unwrap();
        let start = time::now();
        manager.shutdown();
        assert!(start.elapsed() < Duration::from_secs(20));
        manager.shutdown();
    }

    #[test]
    fn without_an_interval_nothing_is_purged() {
        let dir = TestDir::new();
        write_snapshots(&dir, 7);
        for hours in [0, -1] {
            let config = FileTxnSnapLogConfig::default();
            let mut manager = DatadirCleanupManager::new(dir.path(), dir.path(), 3, hours, config);
            manager.start().unwrap();
            assert_eq!(manager.purge_task_status(), PurgeTaskStatus::NotStarted);
            manager.shutdown();
        }
        assert_eq!(snapshots(&dir), 7);
    }
}
