//! `dump`: shows sessions, ephemeral nodes and connections (Java: server/command/DumpCommand.java).

use super::abstract_four_letter_command::CommandContext;

/// Appends the three lists, each under its heading.
pub(super) fn run(server: &dyn CommandContext, secure: bool, out: &mut String) {
    *out += "SessionTracker dump:\n";
    server.dump_sessions(out);
    *out += "ephemeral nodes dump:\n";
    server.dump_ephemerals(out);
    *out += "Connections dump:\n";
    server.dump_connections(secure, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::command::test_context::TestContext;

    #[test]
    fn the_lists_stand_under_javas_headings() {
        let mut out = String::new();
        run(&TestContext::default(), false, &mut out);
        assert_eq!(
            out,
            "SessionTracker dump:\nSession Sets (0)/(0):\nephemeral nodes dump:\nSessions with \
             Ephemerals (0):\n\
             Connections dump:\nConnections Sets (0)/(0):\n"
        );
    }
}
