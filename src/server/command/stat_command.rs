//! `srvr` and `stat`: show a summary of the server, and `stat` also its connections
//! (Java: server/command/StatCommand.java).

use log::info;

use super::abstract_four_letter_command::CommandContext;
use crate::version;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.command.AbstractFourLetterCommand";

/// Appends the answer. `connections_of` selects the port whose connections `stat` shows; it is `None` for
/// `srvr`.
pub(super) fn run(server: &dyn CommandContext, connections_of: Option<bool>, out: &mut String) {
    *out += &format!("Zookeeper version: {}\n", version::full_version());
    if server.is_read_only() {
        *out += "READ-ONLY mode; serving only read-only clients\n";
    }
    if let Some(secure) = connections_of {
        info!(target: LOG, "Stat command output");
        *out += "Clients:\n";
        server.for_each_connection(secure, &mut |connection| {
            connection.dump(out, true);
            out.push('\n');
        });
        out.push('\n');
    }
    *out += &server.server_stats().to_text(server);
    *out += &format!("Node count: {}\n", server.node_count());
    if let Some(sizes) = server.proposal_stats() {
        *out += &format!("Proposal sizes last/min/max: {sizes}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::buffer_stats::BufferStats;
    use crate::server::command::test_context::TestContext;

    fn answer(server: &TestContext, connections_of: Option<bool>) -> String {
        let mut out = String::new();
        run(server, connections_of, &mut out);
        out.replace(&version::full_version(), "V")
    }

    const SRVR: &str = "Latency min/avg/max: 0/0.0/0\nReceived: 0\nSent: 0\nConnections: 2\n\
                        Outstanding: 0\n\
                        Zxid: 0x1a\nMode: standalone\nNode count: 9\n";

    #[test]
    fn srvr_and_stat_are_javas() {
        let server = TestContext::default();
        assert_eq!(answer(&server, None), format!("Zookeeper version: V\n{SRVR}"));
        assert_eq!(
            answer(&server, Some(false)),
            format!(
                "Zookeeper version: V\nClients:\n /127.0.0.1:47252[1](queued=0,recved=0,sent=0)\n \
                 /127.0.0.1:47270[0](queued=0,recved=1,sent=0)\n\n{SRVR}"
            )
        );
    }

    #[test]
    fn a_leader_tells_of_its_proposals_and_a_read_only_server_of_itself() {
        let sizes = BufferStats::new();
        sizes.set_last_buffer_size(48);
        let server = TestContext { proposal_stats: Some(sizes.into()), ..TestContext::default() };
        let text = answer(&server, None);
        assert!(text.ends_with("Node count: 9\nProposal sizes last/min/max: 48/48/48\n"), "{text}");
        let server = TestContext { read_only: true, ..TestContext::default() };
        let text = answer(&server, None);
        assert!(text.starts_with(
            "Zookeeper version: V\nREAD-ONLY mode; serving only read-only clients\nLatency"
        ));
    }
}
