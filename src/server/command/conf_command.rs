//! `conf`: shows the settings (Java: server/command/ConfCommand.java).

use super::abstract_four_letter_command::CommandContext;

/// Appends the server's settings.
pub(super) fn run(server: &dyn CommandContext, out: &mut String) {
    server.dump_conf(out);
}
