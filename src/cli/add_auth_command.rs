//! `addauth scheme auth` (Java: cli/AddAuthCommand.java).

use super::cli_command::{CliCommand, Context};
use super::cli_exception::CliError;
use super::command_line::NO_OPTIONS;

/// The command.
pub const COMMAND: CliCommand = CliCommand {
    cmd_str: "addauth",
    option_str: "scheme auth",
    options: NO_OPTIONS,
    usage_lists_options: false,
    exec,
};

/// If the server refuses the credentials, the command itself does not fail: the client receives an event and ends.
fn exec(
    command: &CliCommand,
    context: &mut Context<'_>,
    words: Vec<String>,
) -> Result<(), CliError> {
    let line = command.parse(&words, 2)?;
    let auth = line.args.get(2).map(|auth| auth.as_bytes().to_vec());
    let _told_as_event = context.zk.submit_auth_info(&line.args[1], auth).wait();
    Ok(())
}
