//! The server as seen by the four-letter words and the admin server (Java: dumpConf, dumpMonitorValues and
//! registerMetrics of server/ZooKeeperServer.java).

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::ZooKeeperServer;
use super::monitor::{self, MonitorSource};
use crate::ids::Zxid;
use crate::metrics::metrics_provider::DumpSink;
use crate::server::buffer_stats::BufferStats;
use crate::server::cnxn_stats::ConnectionInfo;
use crate::server::command::abstract_four_letter_command::{CommandContext, DigestLogEntry};
use crate::server::digest_calculator::DIGEST_VERSION;
use crate::server::server_cnxn::ServerCnxn;
use crate::server::server_stats::{ServerStats, ServerStatsProvider};
use crate::server::util::quota_metrics_utils;
use crate::server::util::quota_metrics_utils::QuotaMetric;
use crate::server::zookeeper_server_conf::ZooKeeperServerConf;

/// A connection waits for nothing while its four-letter word is answered.
const NO_INTEREST: i32 = 0;

/// A connection waits for its client's bytes.
const READ_INTEREST: i32 = 1;

impl ZooKeeperServer {
    fn connections(&self) -> Vec<Arc<ServerCnxn>> {
        self.server_cnxn_factory().map_or_else(Vec::new, |factory| factory.connections())
    }

    /// The settings as the word `conf` shows them (Java: getConf).
    #[must_use]
    pub fn conf(&self) -> ZooKeeperServerConf {
        let factory = self.server_cnxn_factory();
        let settings = self.settings();
        ZooKeeperServerConf {
            client_port: factory.as_ref().map_or(-1, |factory| i32::from(factory.local_port())),
            data_dir: self.zk_database().snap_dir().display().to_string(),
            data_log_dir: self.zk_database().data_log_dir().display().to_string(),
            tick_time_ms: settings.tick_time_ms,
            max_client_cnxns_per_host: factory
                .as_ref()
                .map_or(-1, |factory| factory.max_client_cnxns_per_host()),
            min_session_timeout_ms: settings.min_session_timeout_ms,
            max_session_timeout_ms: settings.max_session_timeout_ms,
            server_id: settings.server_id,
            client_port_listen_backlog: settings.listen_backlog,
        }
    }
}

impl ServerStatsProvider for ZooKeeperServer {
    fn outstanding_requests(&self) -> i64 {
        self.outstanding_requests()
    }

    fn last_processed_zxid(&self) -> Zxid {
        self.zk_database().last_processed_zxid()
    }

    fn server_state(&self) -> String {
        self.state_name().to_owned()
    }

    fn num_alive_connections(&self) -> i64 {
        let factory = self.server_cnxn_factory();
        let number = factory.map_or(0, |factory| factory.num_alive_connections());
        i64::try_from(number).unwrap_or(i64::MAX)
    }

    fn data_dir_size(&self) -> i64 {
        dir_size(self.zk_database().snap_dir())
    }

    fn log_dir_size(&self) -> i64 {
        dir_size(self.zk_database().data_log_dir())
    }
}

/// The total length of all files below a directory. As in Java, unreadable files count as 0.
fn dir_size(dir: &Path) -> i64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => dir_size(&entry.path()),
            Ok(metadata) => i64::try_from(metadata.len()).unwrap_or(i64::MAX),
            Err(_) => 0,
        })
        .fold(0, i64::saturating_add)
}

impl CommandContext for ZooKeeperServer {
    fn is_running(&self) -> bool {
        self.is_running()
    }

    fn is_read_only(&self) -> bool {
        self.role().is_read_only()
    }

    fn proposal_stats(&self) -> Option<Arc<BufferStats>> {
        self.role().proposal_stats()
    }

    fn server_stats(&self) -> &ServerStats {
        self.server_stats()
    }

    fn node_count(&self) -> i64 {
        long(self.zk_database().tree().read().node_count())
    }

    fn for_each_connection(&self, secure: bool, show: &mut dyn FnMut(&ConnectionInfo<'_>)) {
        if secure {
            return; // there is no port with TLS
        }
        for cnxn in self.connections() {
            show(&ConnectionInfo {
                remote: cnxn.remote_socket_address(),
                interest_ops: if cnxn.is_probe() { NO_INTEREST } else { READ_INTEREST },
                outstanding_requests: cnxn.outstanding_requests(),
                session_id: cnxn.session_id(),
                session_timeout_ms: cnxn.session_timeout_ms(),
                stats: cnxn.stats(),
            });
        }
    }

    fn reset_all_connection_stats(&self, secure: bool) {
        if let Some(factory) = self.server_cnxn_factory().filter(|_| !secure) {
            factory.reset_all_connection_stats();
        }
    }

    fn dump_conf(&self, out: &mut String) {
        let size = |bytes| u64::try_from(bytes).unwrap_or_default();
        out.push_str(&self.conf().dump(-1, size(self.data_dir_size()), size(self.log_dir_size())));
        self.role().dump_conf(out);
    }

    fn dump_sessions(&self, out: &mut String) {
        self.session_tracker().dump_sessions(out);
    }

    fn dump_ephemerals(&self, out: &mut String) {
        let sessions = self.zk_database().sessions_with_ephemerals();
        let infallible = writeln!(out, "Sessions with Ephemerals ({}):", sessions.len());
        debug_assert!(infallible.is_ok());
        for session_id in sessions {
            // The tree's lock is released between two sessions.
            let tree = self.zk_database().tree().read();
            let infallible = writeln!(out, "{session_id}:");
            debug_assert!(infallible.is_ok());
            for path in tree.ephemeral_paths(session_id) {
                out.push('\t');
                out.push_str(path);
                out.push('\n');
            }
        }
    }

    fn dump_connections(&self, secure: bool, out: &mut String) {
        if let Some(factory) = self.server_cnxn_factory().filter(|_| !secure) {
            factory.dump_connections(out);
        }
    }

    fn dump_watches(&self, by_path: bool, out: &mut String) {
        let watches = self.zk_database().tree().read().data_watches();
        watches.dump_watches(out, by_path);
    }

    fn dump_watches_summary(&self, out: &mut String) {
        self.zk_database().tree().read().dump_watches_summary(out);
    }

    fn digest_log(&self) -> Vec<DigestLogEntry> {
        let tree = self.zk_database().tree().read();
        tree.digest_log()
            .map(|entry| DigestLogEntry {
                zxid: entry.zxid,
                digest: entry.digest,
                digest_version: DIGEST_VERSION,
            })
            .collect()
    }

    fn dump_monitor_values(&self, sink: &mut DumpSink<'_>) {
        monitor::dump_monitor_values(self, sink);
        self.role().dump_monitor_values(sink);
    }
}

/// A count of things; there are never more than Java's long.
fn long(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl MonitorSource for ZooKeeperServer {
    fn server_stats(&self) -> &ServerStats {
        self.server_stats()
    }

    fn node_count(&self) -> i64 {
        long(self.zk_database().tree().read().node_count())
    }

    fn watch_count(&self) -> i64 {
        long(self.zk_database().tree().read().watch_count())
    }

    fn ephemerals_count(&self) -> i64 {
        long(self.zk_database().tree().read().ephemerals_count())
    }

    fn approximate_data_size(&self) -> i64 {
        let size = self.zk_database().tree().read().approximate_data_size();
        i64::try_from(size).unwrap_or(i64::MAX)
    }

    fn global_session_count(&self) -> i64 {
        long(self.zk_database().sessions_with_timeouts().len())
    }

    fn local_session_count(&self) -> i64 {
        long(self.session_tracker().local_session_count())
    }

    fn connection_drop_chance(&self) -> f64 {
        self.conn_throttle().drop_chance()
    }

    fn outstanding_handshake_num(&self) -> i64 {
        0 // no TLS
    }

    fn quota_values(&self, metric: QuotaMetric) -> Vec<(String, i64)> {
        quota_metrics_utils::quota_values(&self.zk_database().tree().read(), metric)
    }
}
