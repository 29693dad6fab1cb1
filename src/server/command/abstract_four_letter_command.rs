//! What the four-letter words ask a server for (Java:
//! server/command/AbstractFourLetterCommand.java, and the parts of ZooKeeperServer,
//! ServerCnxnFactory and DataTree that its subclasses use).
//!
//! The commands of the AdminServer ask through the same trait.

use std::sync::Arc;

use crate::ids::Zxid;
use crate::metrics::metrics_provider::DumpSink;
use crate::server::buffer_stats::BufferStats;
use crate::server::cnxn_stats::ConnectionInfo;
use crate::server::server_stats::{ServerStats, ServerStatsProvider};

/// The answer of most words while the server does not serve.
pub const ZK_NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

/// The digest of the tree after a transaction (Java: DataTree.ZxidDigest).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestLogEntry {
    /// The transaction.
    pub zxid: Zxid,
    /// The digest.
    pub digest: i64,
    /// The version of its calculation.
    pub digest_version: i32,
}

/// A server as the words see it. Connections of the port with TLS and of the one without are told
/// apart by `secure`.
///
/// Nothing is called while a lock of the metrics or of a connection is held; an implementation may
/// take any lock for the time of a call.
pub trait CommandContext: ServerStatsProvider {
    /// Whether it serves clients.
    fn is_running(&self) -> bool;

    /// Whether it serves reads only, cut off from its ensemble (Java: instanceof
    /// ReadOnlyZooKeeperServer).
    fn is_read_only(&self) -> bool;

    /// Its statistics.
    fn server_stats(&self) -> &ServerStats;

    /// Sizes of its proposals, on a leader.
    fn proposal_stats(&self) -> Option<Arc<BufferStats>> {
        None
    }

    /// How many nodes the tree has (Java: ZKDatabase.getNodeCount).
    fn node_count(&self) -> i64;

    /// Shows each connection.
    fn for_each_connection(&self, secure: bool, show: &mut dyn FnMut(&ConnectionInfo<'_>));

    /// Sets the statistics of each connection back.
    fn reset_all_connection_stats(&self, secure: bool);

    /// Appends the settings (Java: ZooKeeperServer.dumpConf; see `ZooKeeperServerConf::dump`).
    fn dump_conf(&self, out: &mut String);

    /// Appends the sessions by when they end (Java: SessionTracker.dumpSessions).
    fn dump_sessions(&self, out: &mut String);

    /// Appends the sessions with their ephemeral nodes (Java: DataTree.dumpEphemerals).
    fn dump_ephemerals(&self, out: &mut String);

    /// Appends the connections by when they end (Java: NIOServerCnxnFactory.dumpConnections).
    fn dump_connections(&self, secure: bool, out: &mut String);

    /// Appends the watches by path or by session (Java: DataTree.dumpWatches).
    fn dump_watches(&self, by_path: bool, out: &mut String);

    /// Appends how many watches there are, without an end of line (Java:
    /// DataTree.dumpWatchesSummary).
    fn dump_watches_summary(&self, out: &mut String);

    /// The digests that are kept, oldest first (Java: DataTree.getDigestLog).
    fn digest_log(&self) -> Vec<DigestLogEntry>;

    /// Gives out what `mntr` shows before the metrics (Java: dumpMonitorValues).
    fn dump_monitor_values(&self, sink: &mut DumpSink<'_>);
}
