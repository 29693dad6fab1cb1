//! `delete [-v version] path` (Java: cli/DeleteCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::cli_exception::{CliError, not_a_number};
use super::command_line::{Choice, CommandLine, CommandOption, CommandOptions};

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "delete",
    "[-v version] path",
    CommandOptions { options: &[CommandOption::value("v", "version")], choice: Choice::Any },
    exec,
);

/// The version after `-v`; -1, which means any version, without it.
///
/// # Errors
/// If it is not a number.
pub(crate) fn version(line: &CommandLine) -> Result<i32, CliError> {
    match line.option_value("v") {
        Some(text) => text.parse().map_err(|_| not_a_number(text)),
        None => Ok(-1),
    }
}

/// If a version follows the path, as before 3.5, the command prints a message and ignores it, as in Java.
fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 2)?;
    if line.args.len() > 2 {
        context.err_line(
            "'delete path [version]' has been deprecated. Please use 'delete [-v version] path' instead.",
        );
    }
    context.zk.delete(&line.args[1], version(&line)?)?;
    Ok(())
}
