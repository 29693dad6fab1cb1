//! The gauges of a server, and what `mntr` shows before the metrics (Java: registerMetrics,
//! unregisterMetrics and dumpMonitorValues of server/ZooKeeperServer.java).

use std::sync::{Arc, Weak};

use crate::metrics::gauge::Gauge;
use crate::metrics::gauge_set::GaugeSet;
use crate::metrics::metric_value::MetricValue;
use crate::metrics::metrics_context::MetricsContext;
use crate::metrics::metrics_provider::DumpSink;
use crate::server::server_stats::{ServerStats, ServerStatsProvider};
use crate::server::util::os_mx_bean;
use crate::server::util::quota_metrics_utils::QuotaMetric;
use crate::version;

/// The values that the gauges read from a server. No lock of the metrics is held in the meantime.
pub(crate) trait MonitorSource: ServerStatsProvider + Send + Sync {
    /// Its statistics.
    fn server_stats(&self) -> &ServerStats;
    /// How many nodes there are.
    fn node_count(&self) -> i64;
    /// How many watches there are.
    fn watch_count(&self) -> i64;
    /// How many ephemeral nodes there are.
    fn ephemerals_count(&self) -> i64;
    /// Bytes of paths and data (Java: cachedApproximateDataSize).
    fn approximate_data_size(&self) -> i64;
    /// Sessions known to the whole ensemble (Java: ZKDatabase.getSessionCount).
    fn global_session_count(&self) -> i64;
    /// Sessions known only to this server.
    fn local_session_count(&self) -> i64;
    /// The chance that the connection throttle rejects a connection.
    fn connection_drop_chance(&self) -> f64;
    /// TLS handshakes in progress.
    fn outstanding_handshake_num(&self) -> i64;
    /// The quotas by first path element (Java: QuotaMetricsUtils).
    fn quota_values(&self, metric: QuotaMetric) -> Vec<(String, i64)>;
}

type Ask = fn(&dyn MonitorSource) -> MetricValue;

/// TLS handshakes in progress. Java never unregisters this gauge, so it is shown while a member looks for a leader.
const HANDSHAKES: &str = "outstanding_tls_handshake";

/// Java's other gauges in the order of their registration, which determines the order of `mntr`.
const GAUGES: [(&str, Ask); 23] = [
    ("avg_latency", |source| source.server_stats().avg_latency().into()),
    ("max_latency", |source| source.server_stats().max_latency().into()),
    ("min_latency", |source| source.server_stats().min_latency().into()),
    ("packets_received", |source| source.server_stats().packets_received().into()),
    ("packets_sent", |source| source.server_stats().packets_sent().into()),
    ("num_alive_connections", |source| source.num_alive_connections().into()),
    ("outstanding_requests", |source| source.outstanding_requests().into()),
    ("uptime", |source| source.server_stats().uptime_ms().into()),
    ("znode_count", |source| source.node_count().into()),
    ("watch_count", |source| source.watch_count().into()),
    ("ephemerals_count", |source| source.ephemerals_count().into()),
    ("approximate_data_size", |source| source.approximate_data_size().into()),
    ("global_sessions", |source| source.global_session_count().into()),
    ("local_sessions", |source| source.local_session_count().into()),
    ("open_file_descriptor_count", |_| os_mx_bean::open_file_descriptor_count().into()),
    ("max_file_descriptor_count", |_| os_mx_bean::max_file_descriptor_count().into()),
    ("connection_drop_probability", |source| source.connection_drop_chance().into()),
    ("last_client_response_size", |source| {
        i64::from(source.server_stats().client_response_stats().last_buffer_size()).into()
    }),
    ("max_client_response_size", |source| {
        i64::from(source.server_stats().client_response_stats().max_buffer_size()).into()
    }),
    ("min_client_response_size", |source| {
        i64::from(source.server_stats().client_response_stats().min_buffer_size()).into()
    }),
    ("auth_failed_count", |source| source.server_stats().auth_failed_count().into()),
    ("non_mtls_remote_conn_count", |source| {
        source.server_stats().non_mtls_remote_conn_count().into()
    }),
    ("non_mtls_local_conn_count", |source| {
        source.server_stats().non_mtls_local_conn_count().into()
    }),
];

/// Registers the server's gauges. They do not keep it alive. After it is gone, they show nothing, except for
/// handshakes.
pub(crate) fn register_metrics(context: &dyn MetricsContext, source: &Weak<dyn MonitorSource>) {
    for (name, ask) in GAUGES {
        let source = Weak::clone(source);
        let gauge: Arc<dyn Gauge> = Arc::new(move || Some(ask(&*source.upgrade()?)));
        context.register_gauge(name, gauge);
    }
    let server = Weak::clone(source);
    let handshakes = move || {
        Some(server.upgrade().map_or(0, |source| source.outstanding_handshake_num()).into())
    };
    context.register_gauge(HANDSHAKES, Arc::new(handshakes));
    for metric in QuotaMetric::ALL {
        let source = Weak::clone(source);
        let gauges: Arc<dyn GaugeSet> = Arc::new(move || {
            let values = source.upgrade().map_or(Vec::new(), |source| source.quota_values(metric));
            values.into_iter().map(|(namespace, value)| (namespace, value.into())).collect()
        });
        context.register_gauge_set(metric.metric_name(), gauges);
    }
}

/// Unregisters the gauges when the server stops, except for handshakes.
pub(crate) fn unregister_metrics(context: &dyn MetricsContext) {
    for (name, _) in GAUGES {
        context.unregister_gauge(name);
    }
    for metric in QuotaMetric::ALL {
        context.unregister_gauge_set(metric.metric_name());
    }
}

/// Reports the values that are no metrics: version and state. A member of an ensemble adds its own.
pub(crate) fn dump_monitor_values(server: &dyn ServerStatsProvider, sink: &mut DumpSink<'_>) {
    sink("version", version::full_version().into());
    sink("server_state", server.server_state().into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::time::ManualClock;
    use crate::ids::Zxid;
    use crate::server::server_metrics::ServerMetrics;

    struct Server {
        stats: ServerStats,
    }

    impl ServerStatsProvider for Server {
        fn outstanding_requests(&self) -> i64 {
            0
        }
        fn last_processed_zxid(&self) -> Zxid {
            Zxid(0)
        }
        fn server_state(&self) -> String {
            "standalone".into()
        }
        fn num_alive_connections(&self) -> i64 {
            1
        }
        fn data_dir_size(&self) -> i64 {
            0
        }
        fn log_dir_size(&self) -> i64 {
            0
        }
    }

    impl MonitorSource for Server {
        fn server_stats(&self) -> &ServerStats {
            &self.stats
        }
        fn node_count(&self) -> i64 {
            5
        }
        fn watch_count(&self) -> i64 {
            0
        }
        fn ephemerals_count(&self) -> i64 {
            0
        }
        fn approximate_data_size(&self) -> i64 {
            44
        }
        fn global_session_count(&self) -> i64 {
            0
        }
        fn local_session_count(&self) -> i64 {
            0
        }
        fn connection_drop_chance(&self) -> f64 {
            0.0
        }
        fn outstanding_handshake_num(&self) -> i64 {
            0
        }
        fn quota_values(&self, metric: QuotaMetric) -> Vec<(String, i64)> {
            match metric {
                QuotaMetric::CountLimit => vec![("app".into(), 100)],
                _ => Vec::new(),
            }
        }
    }

    /// A server in the state in which the `mntr` of the Java server was captured.
    fn server() -> Arc<Server> {
        let clock = Arc::new(ManualClock::new(1_000));
        let metrics = ServerMetrics::with_default_provider();
        metrics.sync_processor_queue_size.add(0);
        metrics.prep_processor_queue_size.add(0);
        metrics.snapshot_time.add(1);
        metrics.db_init_time.add(9);
        metrics.startup_snap_load_time.add(1);
        let stats = ServerStats::new(metrics, clock.clone());
        stats.packet_received(4);
        clock.advance(23_916);
        Arc::new(Server { stats })
    }

    #[test]
    fn the_values_of_a_fresh_server_are_those_of_a_fresh_java_server() {
        let server = server();
        let provider = server.stats.metrics().metrics_provider();
        let source: Weak<dyn MonitorSource> =
            Arc::downgrade(&(server.clone() as Arc<dyn MonitorSource>));
        register_metrics(provider.root_context(), &source);
        let mut got = Vec::new();
        let mut sink = |name: &str, value: MetricValue| got.push(format!("zk_{name}\t{value}"));
        dump_monitor_values(&*server, &mut sink);
        provider.dump(&mut sink);
        got.retain(|line| !line.starts_with("zk_app_quota_count_limit_per_namespace\t100"));

        let java = include_str!("../../../tests/compat_data/mntr_standalone_3.9.5.txt");
        let of_the_machine = ["zk_version", "zk_open_file", "zk_max_file"];
        let comparable = |line: &&str| !of_the_machine.iter().any(|name| line.starts_with(name));
        let got: Vec<&str> = got.iter().map(String::as_str).collect();
        assert_eq!(got.len(), java.lines().count());
        let java: Vec<&str> = java.lines().filter(comparable).collect();
        assert_eq!(got.into_iter().filter(comparable).collect::<Vec<_>>(), java);
    }

    #[test]
    fn gauges_go_with_their_server_and_quotas_show_their_namespace() {
        let server = server();
        let metrics = Arc::clone(server.stats.metrics());
        let provider = metrics.metrics_provider();
        let source: Weak<dyn MonitorSource> =
            Arc::downgrade(&(server.clone() as Arc<dyn MonitorSource>));
        register_metrics(provider.root_context(), &source);
        let count = |name: &str| {
            let mut count = 0;
            provider.dump(&mut |other, _| count += i32::from(other == name));
            count
        };
        assert_eq!(count("znode_count"), 1);
        assert_eq!(count("app_quota_count_limit_per_namespace"), 1);
        drop(server);
        assert_eq!(count("znode_count"), 0);
        unregister_metrics(provider.root_context());
        assert_eq!(
            count("outstanding_tls_handshake"),
            1,
            "a member shows it while it has no leader"
        );
        assert_eq!(count("app_quota_count_limit_per_namespace"), 0);
    }
}
