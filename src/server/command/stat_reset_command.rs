//! `srst`: resets the server's statistics and all metrics (Java: server/command/StatResetCommand.java).

use super::abstract_four_letter_command::CommandContext;

/// Resets the statistics, on a leader including the proposal sizes.
pub(super) fn run(server: &dyn CommandContext, out: &mut String) {
    server.server_stats().reset();
    if let Some(sizes) = server.proposal_stats() {
        sizes.reset();
    }
    *out += "Server stats reset.\n";
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::server::buffer_stats::BufferStats;
    use crate::server::command::test_context::TestContext;

    #[test]
    fn latencies_and_proposal_sizes_begin_anew() {
        let sizes = Arc::new(BufferStats::new());
        sizes.set_last_buffer_size(48);
        let server =
            TestContext { proposal_stats: Some(Arc::clone(&sizes)), ..TestContext::default() };
        server.stats.update_latency(3, true, 1);
        let mut out = String::new();
        run(&server, &mut out);
        assert_eq!(out, "Server stats reset.\n");
        assert_eq!((server.stats.max_latency(), sizes.max_buffer_size()), (0, -1));
    }
}
