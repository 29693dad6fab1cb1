//! `crst`: resets the statistics of connections (Java: server/command/CnxnStatResetCommand.java).

use super::abstract_four_letter_command::CommandContext;

/// Resets the connections of one port.
pub(super) fn run(server: &dyn CommandContext, secure: bool, out: &mut String) {
    server.reset_all_connection_stats(secure);
    *out += "Connection stats reset.\n";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::command::test_context::TestContext;

    #[test]
    fn the_connections_of_the_port_begin_anew() {
        let server = TestContext::default();
        let mut out = String::new();
        run(&server, false, &mut out);
        assert_eq!(out, "Connection stats reset.\n");
        assert_eq!(server.connections[0].stats.last_operation().as_deref(), Some("NA"));
    }
}
