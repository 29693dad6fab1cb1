//! `getAcl [-s] path` (Java: cli/GetAclCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::command_line::{Choice, CommandOption, CommandOptions};
use super::stat_printer;
use crate::jute::ToStringOutputArchive;
use crate::zk_util::perm_string;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "getAcl",
    "[-s] path",
    CommandOptions { options: &[CommandOption::flag("s", "stats")], choice: Choice::Any },
    exec,
);

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 2)?;
    let (acl, stat) = context.zk.get_acl(&line.args[1])?;
    for entry in acl {
        // Java's text of an id ends with a line end.
        let id = ToStringOutputArchive::text_of(&entry.id);
        context.out_line(&format!("{id}: {}", perm_string(entry.perms)));
    }
    if line.has_option("s") {
        stat_printer::print(context, &stat);
    }
    Ok(())
}
