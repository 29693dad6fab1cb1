//! What is known of the newest snapshot (Java: server/persistence/SnapshotInfo.java).

use crate::ids::Zxid;

/// The snapshot that was saved or restored last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The zxid in its name.
    pub zxid: Zxid,
    /// When its file was changed last, seconds since 1970.
    pub timestamp: i64,
}
