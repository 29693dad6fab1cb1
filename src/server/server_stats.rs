//! The statistics of a server, as `srvr` and `stat` show them (Java: server/ServerStats.java).
//!
//! Java's object knows its server. Here the caller passes the server's values ([`ServerStatsProvider`]) when they
//! are shown, so that this module does not depend on the server.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::buffer_stats::BufferStats;
use super::metric::avg_min_max_counter::AvgMinMaxCounter;
use super::metric::keyed_set::KeyedMetric;
use super::metric::stripe::StripedLong;
use super::server_metrics::ServerMetrics;
use crate::common::time::Clock;
use crate::ids::Zxid;
use crate::metrics::metric_value::java_double;
use crate::metrics::summary::Summary as _;

/// The values that the statistics need from the server (Java: ServerStats.Provider).
pub trait ServerStatsProvider {
    /// Requests that are being processed.
    fn outstanding_requests(&self) -> i64;
    /// The last transaction in the tree.
    fn last_processed_zxid(&self) -> Zxid;
    /// Java's word for the state: standalone, leader, follower, observer, read-only (Java:
    /// getState).
    fn server_state(&self) -> String;
    /// Connections of clients, with and without TLS.
    fn num_alive_connections(&self) -> i64;
    /// Bytes in the data directory.
    fn data_dir_size(&self) -> i64;
    /// Bytes in the log's directory.
    fn log_dir_size(&self) -> i64;
}

/// Statistics of one server.
pub struct ServerStats {
    packets_sent: StripedLong,
    packets_received: StripedLong,
    request_latency: AvgMinMaxCounter,
    fsync_threshold_exceed_count: AtomicI64,
    client_response_stats: BufferStats,
    non_mtls_remote_conn_count: AtomicI64,
    non_mtls_local_conn_count: AtomicI64,
    auth_failed_count: AtomicI64,
    metrics: Arc<ServerMetrics>,
    clock: Clock,
    start_time_ms: AtomicI64,
}

// All accesses to the counters are relaxed: no other data depends on their values.
impl ServerStats {
    /// Creates statistics that start now.
    #[must_use]
    pub fn new(metrics: Arc<ServerMetrics>, clock: Clock) -> Self {
        Self {
            packets_sent: StripedLong::new(),
            packets_received: StripedLong::new(),
            request_latency: AvgMinMaxCounter::new("request_latency"),
            fsync_threshold_exceed_count: AtomicI64::new(0),
            client_response_stats: BufferStats::new(),
            non_mtls_remote_conn_count: AtomicI64::new(0),
            non_mtls_local_conn_count: AtomicI64::new(0),
            auth_failed_count: AtomicI64::new(0),
            metrics,
            start_time_ms: AtomicI64::new(clock.elapsed_ms()),
            clock,
        }
    }

    /// The smallest latency of a request, in ms.
    #[must_use]
    pub fn min_latency(&self) -> i64 {
        self.request_latency.min()
    }

    /// The average latency in ms, with four decimals.
    #[must_use]
    pub fn avg_latency(&self) -> f64 {
        self.request_latency.avg()
    }

    /// The largest latency, in ms.
    #[must_use]
    pub fn max_latency(&self) -> i64 {
        self.request_latency.max()
    }

    /// Packets from clients, including four-letter words.
    #[must_use]
    pub fn packets_received(&self) -> i64 {
        self.packets_received.value()
    }

    /// Packets to clients.
    #[must_use]
    pub fn packets_sent(&self) -> i64 {
        self.packets_sent.value()
    }

    /// Time since the start of the server, in ms.
    #[must_use]
    pub fn uptime_ms(&self) -> i64 {
        self.clock.elapsed_ms() - self.start_time_ms.load(Ordering::Relaxed)
    }

    /// The text of `srvr` (Java: toString).
    #[must_use]
    pub fn to_text(&self, provider: &dyn ServerStatsProvider) -> String {
        let mut text = String::new();
        let (min, avg, max) =
            (self.min_latency(), java_double(self.avg_latency()), self.max_latency());
        // Writing to a string cannot fail.
        let _written = write!(
            text,
            "Latency min/avg/max: {min}/{avg}/{max}\nReceived: {}\nSent: {}\nConnections: {}\n\
             Outstanding: {}\n\
             Zxid: {}\nMode: {}\n",
            self.packets_received(),
            self.packets_sent(),
            provider.num_alive_connections(),
            provider.outstanding_requests(),
            provider.last_processed_zxid(),
            provider.server_state(),
        );
        text
    }

    /// Records `times` finished requests with the same latency. `is_update` is true if they went through the log
    /// (Java: the request has a header). A negative latency is ignored, because the clock went back.
    pub fn update_latency(&self, latency_ms: i64, is_update: bool, times: u32) {
        if latency_ms < 0 {
            return;
        }
        self.request_latency.add_n(latency_ms, times);
        let metrics = &self.metrics;
        let by_kind = if is_update { &metrics.update_latency } else { &metrics.read_latency };
        by_kind.add_n(latency_ms, times);
    }

    /// Resets all latencies.
    pub fn reset_latency(&self) {
        self.request_latency.reset();
    }

    /// Resets the largest latency.
    pub fn reset_max_latency(&self) {
        self.request_latency.reset_max();
    }

    /// Counts a packet from a client, and its bytes including the length field (Java: ServerCnxn.packetReceived).
    pub fn packet_received(&self, bytes: usize) {
        self.packets_received.add(1);
        self.metrics.bytes_received_count.add(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counts packets to clients (Java: ServerCnxn.packetSent, one at a time).
    pub fn packets_were_sent(&self, packets: i64) {
        self.packets_sent.add(packets);
    }

    /// Sets both counts of packets to 0.
    pub fn reset_request_counters(&self) {
        self.packets_received.reset();
        self.packets_sent.reset();
    }

    /// How often a flush of the log took longer than `fsync.warningthresholdms`.
    #[must_use]
    pub fn fsync_threshold_exceed_count(&self) -> i64 {
        self.fsync_threshold_exceed_count.load(Ordering::Relaxed)
    }

    /// Counts such a flush.
    pub fn increment_fsync_threshold_exceed_count(&self) {
        self.fsync_threshold_exceed_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the count to 0, which `srst` does not do.
    pub fn reset_fsync_threshold_exceed_count(&self) {
        self.fsync_threshold_exceed_count.store(0, Ordering::Relaxed);
    }

    /// Connections from this host without a client certificate.
    #[must_use]
    pub fn non_mtls_local_conn_count(&self) -> i64 {
        self.non_mtls_local_conn_count.load(Ordering::Relaxed)
    }

    /// Counts such a connection.
    pub fn increment_non_mtls_local_conn_count(&self) {
        self.non_mtls_local_conn_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the count to 0.
    pub fn reset_non_mtls_local_conn_count(&self) {
        self.non_mtls_local_conn_count.store(0, Ordering::Relaxed);
    }

    /// Connections from other hosts without a client certificate.
    #[must_use]
    pub fn non_mtls_remote_conn_count(&self) -> i64 {
        self.non_mtls_remote_conn_count.load(Ordering::Relaxed)
    }

    /// Counts such a connection.
    pub fn increment_non_mtls_remote_conn_count(&self) {
        self.non_mtls_remote_conn_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the count to 0.
    pub fn reset_non_mtls_remote_conn_count(&self) {
        self.non_mtls_remote_conn_count.store(0, Ordering::Relaxed);
    }

    /// TLS connections whose certificate was not accepted.
    #[must_use]
    pub fn auth_failed_count(&self) -> i64 {
        self.auth_failed_count.load(Ordering::Relaxed)
    }

    /// Counts such a connection.
    pub fn increment_auth_failed_count(&self) {
        self.auth_failed_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the count to 0.
    pub fn reset_auth_failed_count(&self) {
        self.auth_failed_count.store(0, Ordering::Relaxed);
    }

    /// Resets the values that `srst` resets: latencies, packets, reply sizes and all metrics.
    pub fn reset(&self) {
        self.reset_latency();
        self.reset_request_counters();
        self.client_response_stats.reset();
        self.metrics.reset_all();
    }

    /// Starts again, for a server with another role. The metrics belong to the process and keep their values (Java:
    /// each server has a ServerStats of its own).
    pub fn restart(&self) {
        self.reset_latency();
        self.reset_request_counters();
        self.client_response_stats.reset();
        self.reset_fsync_threshold_exceed_count();
        self.reset_non_mtls_local_conn_count();
        self.reset_non_mtls_remote_conn_count();
        self.reset_auth_failed_count();
        self.start_time_ms.store(self.clock.elapsed_ms(), Ordering::Relaxed);
    }

    /// Records the size of a reply, in bytes.
    pub fn update_client_response_size(&self, size: usize) {
        let size = i32::try_from(size).unwrap_or(i32::MAX);
        self.client_response_stats.set_last_buffer_size(size);
    }

    /// Sizes of replies.
    #[must_use]
    pub const fn client_response_stats(&self) -> &BufferStats {
        &self.client_response_stats
    }

    /// The metrics, which also get the latencies.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<ServerMetrics> {
        &self.metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::time::ManualClock;

    struct Server;

    impl ServerStatsProvider for Server {
        fn outstanding_requests(&self) -> i64 {
            3
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
            0
        }
        fn log_dir_size(&self) -> i64 {
            0
        }
    }

    fn stats() -> (Arc<ManualClock>, ServerStats) {
        let clock = Arc::new(ManualClock::new(1_000));
        let stats = ServerStats::new(ServerMetrics::with_default_provider(), clock.clone());
        (clock, stats)
    }

    #[test]
    fn a_server_of_another_role_begins_anew_and_the_metrics_go_on() {
        let (clock, stats) = stats();
        stats.packet_received(9);
        stats.packets_were_sent(2);
        stats.increment_fsync_threshold_exceed_count();
        clock.advance(500);
        assert_eq!((stats.packets_received(), stats.uptime_ms()), (1, 500));
        stats.restart();
        clock.advance(7);
        let begun = (stats.packets_received(), stats.packets_sent(), stats.uptime_ms());
        assert_eq!(begun, (0, 0, 7));
        assert_eq!(stats.fsync_threshold_exceed_count(), 0);
        assert_eq!(stats.metrics().bytes_received_count.value(), 9);
    }

    #[test]
    fn the_block_of_srvr_is_javas() {
        let (_, stats) = stats();
        for latency_ms in [0, 1, 10, -5] {
            stats.update_latency(latency_ms, false, 1);
        }
        stats.update_latency(0, true, 4);
        (0..7).for_each(|_| stats.packet_received(44));
        stats.packets_were_sent(8);
        assert_eq!(
            stats.to_text(&Server),
            "Latency min/avg/max: 0/1.5714/10\nReceived: 7\nSent: 8\nConnections: 2\nOutstanding: \
             3\nZxid: 0x1a\n\
             Mode: standalone\n"
        );
        assert_eq!(stats.metrics().bytes_received_count.value(), 7 * 44);
    }

    #[test]
    fn latencies_of_reads_and_updates_are_told_apart_in_the_metrics() {
        let (_, stats) = stats();
        stats.update_latency(4, false, 1);
        stats.update_latency(6, true, 2);
        let mut counts = Vec::new();
        stats.metrics().metrics_provider().dump(&mut |name, value| {
            if ["sum_readlatency", "sum_updatelatency"].contains(&name) {
                counts.push(format!("{name} {value}"));
            }
        });
        counts.sort();
        assert_eq!(counts, ["sum_readlatency 4", "sum_updatelatency 12"]);
    }

    #[test]
    fn a_reset_keeps_the_counts_that_java_keeps() {
        let (clock, stats) = stats();
        stats.update_latency(9, true, 1);
        stats.packet_received(4);
        stats.update_client_response_size(16);
        stats.increment_fsync_threshold_exceed_count();
        stats.increment_auth_failed_count();
        clock.advance(50);
        stats.reset();
        assert_eq!((stats.max_latency(), stats.packets_received()), (0, 0));
        assert_eq!(stats.client_response_stats().to_string(), "-1/-1/-1");
        assert_eq!((stats.fsync_threshold_exceed_count(), stats.auth_failed_count()), (1, 1));
        assert_eq!(stats.uptime_ms(), 50);
    }
}
