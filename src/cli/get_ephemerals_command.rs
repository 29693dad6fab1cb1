//! `getEphemerals path` (Java: cli/GetEphemeralsCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::command_line::NO_OPTIONS;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new("getEphemerals", "path", NO_OPTIONS, exec);

/// Without a path, the command lists all ephemeral nodes of the session.
fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 1)?;
    let path = line.args.get(1).map_or("/", String::as_str);
    let ephemerals = context.zk.get_ephemerals(path)?;
    context.out_line(&format!("[{}]", ephemerals.join(", ")));
    Ok(())
}
