//! `get [-s] [-w] [-b] [-x] path` (Java: cli/GetCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::command_line::{Choice, CommandOption, CommandOptions};
use super::output_formatter::OutputFormatter;
use super::stat_printer;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "get",
    "[-s] [-w] [-b] [-x] path",
    CommandOptions {
        options: &[
            CommandOption::flag("s", "Print znode stats additionally"),
            CommandOption::flag("w", "Watch for changes on the znode"),
            CommandOption::flag("b", "Output data in base64 format"),
            CommandOption::flag("x", "Output data in hexdump format"),
        ],
        choice: Choice::Any,
    },
    exec,
)
.listing_options();

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse_with_old_watch(context, words, 2, "get [-s] [-w] path")?;
    let (data, stat) = context.zk.get_data(&line.args[1], line.has_option("w"))?;
    let formatter = if line.has_option("x") {
        OutputFormatter::HexDump
    } else if line.has_option("b") {
        OutputFormatter::Base64
    } else {
        OutputFormatter::Plain
    };
    context.out_line(&formatter.format(data.as_deref().unwrap_or(b"null")));
    if line.has_option("s") {
        stat_printer::print(context, &stat);
    }
    Ok(())
}
