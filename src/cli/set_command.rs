//! `set path data [-s] [-v version] [-b]` (Java: cli/SetCommand.java).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cli_command::{CliCommand, CliResult, Context};
use super::cli_exception::CliError;
use super::command_line::{Choice, CommandOption, CommandOptions};
use super::{delete_command, stat_printer};

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "set",
    "path data [-s] [-v version] [-b]",
    CommandOptions {
        options: &[
            CommandOption::flag("s", "Print znode stats additionally"),
            CommandOption::value("v", "Set with an expected version"),
            CommandOption::flag("b", "Supply data in base64 format"),
        ],
        choice: Choice::Any,
    },
    exec,
)
.listing_options();

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 3)?;
    let data = if line.has_option("b") {
        STANDARD.decode(&line.args[2]).map_err(|error| CliError::new(error.to_string()))?
    } else {
        line.args[2].as_bytes().to_vec()
    };
    let version = delete_command::version(&line)?;
    let stat = context.zk.set_data(&line.args[1], Some(&data), version)?;
    if line.has_option("s") {
        stat_printer::print(context, &stat);
    }
    Ok(())
}
