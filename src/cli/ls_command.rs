//! `ls [-s] [-w] [-R] path` (Java: cli/LsCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::command_line::{Choice, CommandOption, CommandOptions};
use super::command_usage_helper::option_lines;
use super::{stat_printer, sub_tree};

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "ls",
    "[-s] [-w] [-R] path",
    CommandOptions {
        options: &[
            CommandOption::flag("?", "help"),
            CommandOption::flag("s", "stat"),
            CommandOption::flag("w", "watch"),
            CommandOption::flag("R", "recurse"),
        ],
        choice: Choice::Any,
    },
    exec,
);

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    if command.parse(&words, 0)?.has_option("?") {
        let help = option_lines(&command.options);
        context.out_line(&format!("usage: ls [options] path\n{help}"));
    }
    let line = command.parse_with_old_watch(context, words, 2, "ls [-w] path")?;
    let (path, watch) = (&line.args[1], line.has_option("w"));
    if line.has_option("R") {
        let zk = context.zk;
        return sub_tree::visit_dfs(zk, path, watch, &mut |node| {
            context.out_line(node);
            Ok(())
        });
    }
    let (mut children, stat) = context.zk.get_children2(path, watch)?;
    children.sort();
    context.out_line(&format!("[{}]", children.join(", ")));
    if line.has_option("s") {
        stat_printer::print(context, &stat);
    }
    Ok(())
}
