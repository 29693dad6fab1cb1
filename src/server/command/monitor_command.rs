//! `mntr`: shows the metrics (Java: server/command/MonitorCommand.java).

use super::abstract_four_letter_command::CommandContext;
use crate::metrics::metric_value::MetricValue;

/// Appends a line `zk_<name><tab><value>` for each metric.
pub(super) fn run(server: &dyn CommandContext, out: &mut String) {
    let mut print = |name: &str, value: MetricValue| *out += &format!("zk_{name}\t{value}\n");
    server.dump_monitor_values(&mut print);
    server.server_stats().metrics().metrics_provider().dump(&mut print);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::command::test_context::TestContext;

    #[test]
    fn values_of_the_server_come_first_and_metrics_behind_a_prefix() {
        let server = TestContext::default();
        server.stats.update_latency(3, false, 2);
        let mut out = String::new();
        run(&server, &mut out);
        assert!(out.starts_with(
            "zk_version\t3.9.5-test\nzk_server_state\tstandalone\nzk_watch_bytes\t0\n"
        ));
        for line in [
            "\nzk_avg_readlatency\t3.0\n",
            "\nzk_p999_readlatency\t3\n",
            "\nzk_cnt_readlatency\t2\n",
        ] {
            assert!(out.contains(line), "{line}");
        }
    }
}
