//! `getAllChildrenNumber path` (Java: cli/GetAllChildrenNumberCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::command_line::NO_OPTIONS;

/// The command.
pub(crate) const COMMAND: CliCommand =
    CliCommand::new("getAllChildrenNumber", "path", NO_OPTIONS, exec);

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 2)?;
    let number = context.zk.get_all_children_number(&line.args[1])?;
    context.out_line(&number.to_string());
    Ok(())
}
