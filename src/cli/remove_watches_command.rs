//! `removewatches path [-c|-d|-a] [-l]` (Java: cli/RemoveWatchesCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::command_line::{Choice, CommandOption, CommandOptions};
use crate::watcher::WatcherType;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "removewatches",
    "path [-c|-d|-a] [-l]",
    CommandOptions {
        options: &[
            CommandOption::flag("c", "child watcher type"),
            CommandOption::flag("d", "data watcher type"),
            CommandOption::flag("p", "persistent watcher type"),
            CommandOption::flag("r", "persistent recursive watcher type"),
            CommandOption::flag("a", "any watcher type"),
            CommandOption::flag("l", "remove locally when there is no server connection"),
        ],
        choice: Choice::Any,
    },
    exec,
);

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 2)?;
    let types = [
        ("c", WatcherType::Children),
        ("d", WatcherType::Data),
        ("p", WatcherType::Persistent),
        ("r", WatcherType::PersistentRecursive),
    ];
    let named = types.into_iter().find(|(name, _)| line.has_option(name));
    let watcher_type = named.map_or(WatcherType::Any, |(_, watcher_type)| watcher_type);
    context.zk.remove_all_watches(&line.args[1], watcher_type, line.has_option("l"))?;
    Ok(())
}
