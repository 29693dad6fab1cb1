//! Information about the last snapshot (Java: server/persistence/SnapshotInfo.java).

use crate::ids::Zxid;

/// The most recently saved or restored snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The zxid in the snapshot's name.
    pub zxid: Zxid,
    /// The modification time of the snapshot's file, in seconds since 1970.
    pub timestamp: i64,
}
