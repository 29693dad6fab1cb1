//! `addWatch [-m mode] path` (Java: cli/AddWatchCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::command_line::{Choice, CommandOption, CommandOptions};
use crate::add_watch_mode::AddWatchMode;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "addWatch",
    "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default is \
                 PERSISTENT_RECURSIVE",
    CommandOptions { options: &[CommandOption::value("m", "")], choice: Choice::Any },
    exec,
);

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 2)?;
    if line.args.len() != 2 {
        return Err(command.usage_error());
    }
    let mode = match line.option_value("m").map(str::to_uppercase).as_deref() {
        Some("PERSISTENT") => AddWatchMode::Persistent,
        Some("PERSISTENT_RECURSIVE") | None => AddWatchMode::PersistentRecursive,
        Some(_) => return Err(command.usage_error()),
    };
    context.zk.add_watch(&line.args[1], mode)?;
    Ok(())
}
