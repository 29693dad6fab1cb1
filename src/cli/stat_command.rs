//! `stat [-w] path` (Java: cli/StatCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::command_line::{Choice, CommandOption, CommandOptions};
use super::stat_printer;
use crate::client_cnxn::ClientError;
use crate::keeper_exception::KeeperError;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "stat",
    "[-w] path",
    CommandOptions { options: &[CommandOption::flag("w", "watch")], choice: Choice::Any },
    exec,
);

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse_with_old_watch(context, words, 2, "stat [-w] path")?;
    let path = &line.args[1];
    let Some(stat) = context.zk.exists(path, line.has_option("w"))? else {
        let missing = ClientError::Keeper { error: KeeperError::NoNode, path: Some(path.clone()) };
        return Err(missing.into());
    };
    stat_printer::print(context, &stat);
    Ok(())
}
