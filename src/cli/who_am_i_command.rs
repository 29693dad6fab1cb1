//! `whoami` (Java: cli/WhoAmICommand.java).

use super::cli_command::{CliCommand, Context};
use super::cli_exception::CliError;
use super::command_line::NO_OPTIONS;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new("whoami", "", NO_OPTIONS, exec);

fn exec(_: &CliCommand, context: &mut Context<'_>, _words: Vec<String>) -> Result<(), CliError> {
    let client_infos = context.zk.who_am_i()?;
    context.out_line("Auth scheme: User");
    for info in client_infos {
        context.out_line(&format!("{}: {}", info.auth_scheme, info.user));
    }
    Ok(())
}
