//! `setAcl [-s] [-v version] [-R] path acl` (Java: cli/SetAclCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::command_line::{Choice, CommandOption, CommandOptions};
use super::{acl_parser, delete_command, stat_printer, sub_tree};

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "setAcl",
    "[-s] [-v version] [-R] path acl",
    CommandOptions {
        options: &[
            CommandOption::flag("s", "stats"),
            CommandOption::value("v", "version"),
            CommandOption::flag("R", "recursive"),
        ],
        choice: Choice::Any,
    },
    exec,
);

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 3)?;
    let (path, zk) = (&line.args[1], context.zk);
    let acl = acl_parser::parse(&mut context.console, &line.args[2]);
    let version = delete_command::version(&line)?;
    if line.has_option("R") {
        return sub_tree::visit_dfs(zk, path, false, &mut |node| {
            // If the server refuses one node, the command continues with the others.
            if let Err(error) = zk.set_acl(node, acl.clone(), version) {
                context.out_line(&error.to_string());
            }
            Ok(())
        });
    }
    let stat = zk.set_acl(path, acl, version)?;
    if line.has_option("s") {
        stat_printer::print(context, &stat);
    }
    Ok(())
}
