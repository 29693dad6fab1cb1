//! Snapshots (Java: takeSnapshot and loadData of server/ZooKeeperServer.java).

use std::path::PathBuf;

use log::{error, info};

use super::{LOG, ZooKeeperServer};
use crate::common::time;
use crate::server::exit_code::ExitCode;
use crate::server::persistence::file_txn_snap_log::RestoreError;
use crate::server::persistence::snap_shot::SnapError;

/// Why the data cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The data on disk is damaged or incomplete.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The first snapshot cannot be written.
    #[error(transparent)]
    Snapshot(#[from] SnapError),
}

impl ZooKeeperServer {
    /// Loads the tree and removes the ephemeral nodes of sessions that do not exist any more (Java: loadData,
    /// killSession).
    ///
    /// # Errors
    /// When the files are damaged or incomplete, or cannot be written.
    pub fn load_data(&self) -> Result<(), LoadError> {
        let zxid = self.zk_database().load_data_base()?;
        self.set_zxid(zxid);
        self.zk_database().kill_dead_sessions();
        Ok(())
    }

    /// Whether the tree has changed since the newest snapshot. Java writes a snapshot at every start, before it
    /// serves clients. Here the snapshot is written while the server serves already, and only if it would differ
    /// from the newest one.
    #[must_use]
    pub fn is_snapshot_due_after_start(&self) -> bool {
        let newest = self.zk_database().snap_log().last_snapshot_info();
        newest.is_none_or(|snapshot| snapshot.zxid != self.zk_database().last_processed_zxid())
    }

    /// Writes a snapshot. A failure ends the server (Java: takeSnapshot).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn take_snapshot(&self) -> Result<PathBuf, SnapError> {
        self.save_snapshot().inspect_err(|problem| {
            error!(target: LOG, "Severe unrecoverable error, exiting: {problem}");
            let exit_code = ExitCode::TxnlogErrorTakingSnapshot;
            self.listener().notify_stopping("Snapshot Thread", exit_code);
        })
    }

    /// Writes a snapshot. The caller handles a failure (Java: takeSnapshot without isSevere).
    pub(super) fn save_snapshot(&self) -> Result<PathBuf, SnapError> {
        let start = time::now();
        let path = {
            let _one_at_a_time = self.snapshot_lock.lock();
            self.zk_database().save_snapshot()?
        };
        let elapsed = time::millis(start.elapsed());
        info!(target: LOG, "Snapshot taken in {elapsed} ms");
        self.server_metrics().snapshot_time.add(elapsed);
        Ok(path)
    }
}
