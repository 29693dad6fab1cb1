//! The view of a server that the four-letter words use (Java: server/command/AbstractFourLetterCommand.java,
//! and the parts of ZooKeeperServer, ServerCnxnFactory and DataTree that its subclasses use).
//!
//! The commands of the AdminServer use the same trait.

use std::sync::Arc;

use crate::ids::Zxid;
use crate::metrics::metrics_provider::DumpSink;
use crate::server::buffer_stats::BufferStats;
use crate::server::cnxn_stats::ConnectionInfo;
use crate::server::server_stats::{ServerStats, ServerStatsProvider};

/// The answer of most words while the server is not running.
pub(crate) const ZK_NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

/// The digest of the data tree after a transaction (Java: DataTree.ZxidDigest).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestLogEntry {
    /// The zxid of the transaction.
    pub zxid: Zxid,
    /// The digest.
    pub digest: i64,
    /// The version of the digest algorithm.
    pub digest_version: i32,
}

/// A server, as the four-letter words see it. `secure` selects the connections of the TLS port or of the
/// plain-text port.
///
/// The caller holds no lock of the metrics or of a connection, so an implementation may take any lock during a
/// call.
pub trait CommandContext: ServerStatsProvider {
    /// Whether the server serves clients.
    fn is_running(&self) -> bool;

    /// Whether the server is cut off from its ensemble and serves only reads (Java: instanceof
    /// ReadOnlyZooKeeperServer).
    fn is_read_only(&self) -> bool;

    /// The server's statistics.
    fn server_stats(&self) -> &ServerStats;

    /// The proposal sizes, if the server is a leader.
    fn proposal_stats(&self) -> Option<Arc<BufferStats>> {
        None
    }

    /// The number of nodes in the data tree (Java: ZKDatabase.getNodeCount).
    fn node_count(&self) -> i64;

    /// Calls `show` for each connection.
    fn for_each_connection(&self, secure: bool, show: &mut dyn FnMut(&ConnectionInfo<'_>));

    /// Resets the statistics of each connection.
    fn reset_all_connection_stats(&self, secure: bool);

    /// Appends the settings (Java: ZooKeeperServer.dumpConf; see `ZooKeeperServerConf::dump`).
    fn dump_conf(&self, out: &mut String);

    /// Appends the sessions, sorted by expiry time (Java: SessionTracker.dumpSessions).
    fn dump_sessions(&self, out: &mut String);

    /// Appends the sessions with their ephemeral nodes (Java: DataTree.dumpEphemerals).
    fn dump_ephemerals(&self, out: &mut String);

    /// Appends the connections, sorted by expiry time (Java: NIOServerCnxnFactory.dumpConnections).
    fn dump_connections(&self, secure: bool, out: &mut String);

    /// Appends the watches by path or by session (Java: DataTree.dumpWatches).
    fn dump_watches(&self, by_path: bool, out: &mut String);

    /// Appends the numbers of watches, without a line end (Java: DataTree.dumpWatchesSummary).
    fn dump_watches_summary(&self, out: &mut String);

    /// The recorded digests, oldest first (Java: DataTree.getDigestLog).
    fn digest_log(&self) -> Vec<DigestLogEntry>;

    /// Passes the values that `mntr` shows before the metrics to `sink` (Java: dumpMonitorValues).
    fn dump_monitor_values(&self, sink: &mut DumpSink<'_>);
}
