//! `addauth scheme auth` (Java: cli/AddAuthCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::command_line::NO_OPTIONS;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new("addauth", "scheme auth", NO_OPTIONS, exec);

/// If the server refuses the credentials, the command itself does not fail: the client receives an event and ends.
fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 2)?;
    let auth = line.args.get(2).map(|auth| auth.as_bytes().to_vec());
    let _told_as_event = context.zk.submit_auth_info(&line.args[1], auth).wait();
    Ok(())
}
