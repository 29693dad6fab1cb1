//! `sync path` (Java: cli/SyncCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::command_line::NO_OPTIONS;
use crate::client_cnxn::ClientError;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new("sync", "path", NO_OPTIONS, exec);

/// If the server refuses, the command prints the error code and does not fail, as in Java.
fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 2)?;
    let failed = match context.zk.sync(&line.args[1]) {
        Ok(()) => None,
        Err(ClientError::Keeper { error, .. }) => Some(error.code()),
        Err(ClientError::UnknownCode { code, .. }) => Some(code),
        Err(error) => return Err(error.into()),
    };
    match failed {
        None => context.out_line("Sync is OK"),
        Some(code) => context.out_line(&format!("Sync has failed. rc={code}")),
    }
    Ok(())
}
