//! `getAllChildrenNumber path` (Java: cli/GetAllChildrenNumberCommand.java).

use super::cli_command::{CliCommand, Context};
use super::cli_exception::CliError;
use super::command_line::NO_OPTIONS;

/// The command.
pub const COMMAND: CliCommand = CliCommand {
    cmd_str: "getAllChildrenNumber",
    option_str: "path",
    options: NO_OPTIONS,
    usage_lists_options: false,
    exec,
};

fn exec(
    command: &CliCommand,
    context: &mut Context<'_>,
    words: Vec<String>,
) -> Result<(), CliError> {
    let line = command.parse(&words, 2)?;
    let number = context.zk.get_all_children_number(&line.args[1])?;
    context.out_line(&number.to_string());
    Ok(())
}
