//! `deleteall path [-b batch size]` (Java: cli/DeleteAllCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::cli_exception::CliError;
use super::command_line::{Choice, CommandOption, CommandOptions};
use super::sub_tree;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "deleteall",
    "path [-b batch size]",
    CommandOptions { options: &[CommandOption::value("b", "batch size")], choice: Choice::Any },
    exec,
);

/// The default number of nodes that one request deletes.
const DEFAULT_BATCH_SIZE: i32 = 1000;

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 2)?;
    let batch_size = match line.option_value("b") {
        Some(text) => {
            text.parse().map_err(|_| CliError::new("-b argument must be an int value"))?
        }
        None => DEFAULT_BATCH_SIZE,
    };
    if !sub_tree::delete_recursive(context.zk, &line.args[1], batch_size)? {
        context.err_line("Failed to delete some node(s) in the subtree!");
    }
    Ok(())
}
