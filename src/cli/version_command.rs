//! `version` (Java: cli/VersionCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::command_line::NO_OPTIONS;
use crate::version;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new("version", "", NO_OPTIONS, exec);

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    if command.parse(&words, 0)?.args.len() > 1 {
        return Err(command.usage_error());
    }
    context.out_line(&format!("ZooKeeper CLI version: {}", version::full_version()));
    Ok(())
}
