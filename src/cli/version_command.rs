//! `version` (Java: cli/VersionCommand.java).

use super::cli_command::{CliCommand, Context};
use super::cli_exception::CliError;
use super::command_line::NO_OPTIONS;
use crate::version;

/// The command.
pub const COMMAND: CliCommand = CliCommand {
    cmd_str: "version",
    option_str: "",
    options: NO_OPTIONS,
    usage_lists_options: false,
    exec,
};

fn exec(
    command: &CliCommand,
    context: &mut Context<'_>,
    words: Vec<String>,
) -> Result<(), CliError> {
    if command.parse(&words, 0)?.args.len() > 1 {
        return Err(command.usage_error());
    }
    context.out_line(&format!("ZooKeeper CLI version: {}", version::full_version()));
    Ok(())
}
