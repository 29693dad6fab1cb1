//! `close` (Java: cli/CloseCommand.java).

use super::cli_command::{CliCommand, Context};
use super::cli_exception::CliError;
use super::command_line::NO_OPTIONS;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new("close", "", NO_OPTIONS, exec);

#[expect(clippy::unnecessary_wraps, reason = "as every command")]
fn exec(_: &CliCommand, context: &mut Context<'_>, _words: Vec<String>) -> Result<(), CliError> {
    context.zk.close();
    Ok(())
}
