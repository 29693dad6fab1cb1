//! A fake server for tests of commands (no Java twin).

use std::path::PathBuf;
use std::sync::Arc;

use super::abstract_four_letter_command::{CommandContext, DigestLogEntry};
use crate::common::time::ManualClock;
use crate::data::ACL;
use crate::ids::{SessionId, Zxid};
use crate::metrics::metrics_provider::DumpSink;
use crate::server::auth::provider_registry::ProviderRegistry;
use crate::server::buffer_stats::BufferStats;
use crate::server::cnxn_stats::{CnxnStats, ConnectionInfo};
use crate::server::server_metrics::ServerMetrics;
use crate::server::server_stats::{ServerStats, ServerStatsProvider};
use crate::zoo_defs::ids;

/// A fake connection.
pub(crate) struct TestConnection {
    remote: &'static str,
    session_id: i64,
    interest_ops: i32,
    pub(crate) stats: CnxnStats,
}

/// A server that shows fixed values.
pub(crate) struct TestContext {
    pub(crate) running: bool,
    pub(crate) read_only: bool,
    pub(crate) stats: ServerStats,
    pub(crate) proposal_stats: Option<Arc<BufferStats>>,
    pub(crate) connections: Vec<TestConnection>,
    /// For the AdminServer's commands.
    pub(crate) providers: ProviderRegistry,
    /// For the AdminServer's commands: the ACL of the root.
    pub(crate) root_acl: Vec<ACL>,
    /// For the AdminServer's commands: the file of the snapshot that is taken.
    pub(crate) snapshot: Option<PathBuf>,
    /// For the AdminServer's commands: whether the server is a member of an ensemble.
    pub(crate) is_member: bool,
}

impl Default for TestContext {
    fn default() -> Self {
        let with_session = CnxnStats::new(1_795_249_911_047, 0);
        with_session.update_for_response(0x1c, Zxid(0x1a), "GETD", 1, 1_631_818, 1);
        let asking = CnxnStats::new(1_795_249_911_100, 0);
        asking.packet_received();
        let clock = Arc::new(ManualClock::new(1_000));
        Self {
            running: true,
            read_only: false,
            stats: ServerStats::new(ServerMetrics::with_default_provider(), clock),
            proposal_stats: None,
            connections: vec![
                TestConnection {
                    remote: "127.0.0.1:47252",
                    session_id: 0x0100_0017_f768_0000,
                    interest_ops: 1,
                    stats: with_session,
                },
                TestConnection {
                    remote: "127.0.0.1:47270",
                    session_id: 0,
                    interest_ops: 0,
                    stats: asking,
                },
            ],
            providers: ProviderRegistry::default(),
            root_acl: ids::open_acl_unsafe(),
            snapshot: None,
            is_member: false,
        }
    }
}

impl ServerStatsProvider for TestContext {
    fn outstanding_requests(&self) -> i64 {
        0
    }
    fn last_processed_zxid(&self) -> Zxid {
        Zxid(0x1a)
    }
    fn server_state(&self) -> String {
        "standalone".into()
    }
    fn num_alive_connections(&self) -> i64 {
        2
    }
    fn data_dir_size(&self) -> i64 {
        478
    }
    fn log_dir_size(&self) -> i64 {
        67_109_358
    }
}

impl CommandContext for TestContext {
    fn is_running(&self) -> bool {
        self.running
    }
    fn is_read_only(&self) -> bool {
        self.read_only
    }
    fn server_stats(&self) -> &ServerStats {
        &self.stats
    }
    fn proposal_stats(&self) -> Option<Arc<BufferStats>> {
        self.proposal_stats.clone()
    }
    fn node_count(&self) -> i64 {
        9
    }
    fn for_each_connection(&self, secure: bool, show: &mut dyn FnMut(&ConnectionInfo<'_>)) {
        for connection in self.connections.iter().filter(|_| !secure) {
            show(&ConnectionInfo {
                remote: connection.remote.parse().unwrap(),
                interest_ops: connection.interest_ops,
                outstanding_requests: 0,
                session_id: SessionId(connection.session_id),
                session_timeout_ms: 30_000,
                stats: &connection.stats,
            });
        }
    }
    fn reset_all_connection_stats(&self, secure: bool) {
        self.connections.iter().filter(|_| !secure).for_each(|connection| connection.stats.reset());
    }
    fn dump_conf(&self, out: &mut String) {
        *out += "clientPort=2181\n";
    }
    fn dump_sessions(&self, out: &mut String) {
        *out += "Session Sets (0)/(0):\n";
    }
    fn dump_ephemerals(&self, out: &mut String) {
        *out += "Sessions with Ephemerals (0):\n";
    }
    fn dump_connections(&self, _secure: bool, out: &mut String) {
        *out += "Connections Sets (0)/(0):\n";
    }
    fn dump_watches(&self, by_path: bool, out: &mut String) {
        *out += if by_path { "by path\n" } else { "by session\n" };
    }
    fn dump_watches_summary(&self, out: &mut String) {
        *out += "0 connections watching 0 paths\nTotal watches:0";
    }
    fn digest_log(&self) -> Vec<DigestLogEntry> {
        vec![
            DigestLogEntry { zxid: Zxid(0x80), digest: 1_371_985_504, digest_version: 2 },
            DigestLogEntry { zxid: Zxid(0x100), digest: -7, digest_version: 2 },
        ]
    }
    fn dump_monitor_values(&self, sink: &mut DumpSink<'_>) {
        sink("version", "3.9.5-test".to_owned().into());
        sink("server_state", self.server_state().into());
    }
}
