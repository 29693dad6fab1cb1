//! `create [-s] [-e] [-c] [-t ttl] path [data] [acl]` (Java: cli/CreateCommand.java).

use super::acl_parser;
use super::cli_command::{CliCommand, CliResult, Context};
use super::cli_exception::CliError;
use super::command_line::{Choice, CommandLine, CommandOption, CommandOptions};
use crate::client_cnxn::ClientError;
use crate::create_mode::CreateMode;
use crate::keeper_exception::KeeperError;
use crate::zoo_defs::ids;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "create",
    "[-s] [-e] [-c] [-t ttl] path [data] [acl]",
    CommandOptions {
        options: &[
            CommandOption::flag("e", "ephemeral"),
            CommandOption::flag("s", "sequential"),
            CommandOption::flag("c", "container"),
            CommandOption::value("t", "ttl"),
        ],
        choice: Choice::Any,
    },
    exec,
);

/// The longest time to live, in ms: the server keeps 40 bits of it (Java: EphemeralType.TTL).
const MAX_TTL_MS: i64 = (1 << 40) - 1;

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 2)?;
    let (mode, ttl_ms) = mode(&line)?;
    let path = &line.args[1];
    let data = line.args.get(2).map(String::as_bytes);
    let acl = match line.args.get(3) {
        Some(text) => acl_parser::parse(&mut context.console, text),
        None => ids::open_acl_unsafe(),
    };
    let created = match ttl_ms {
        Some(ttl_ms) => context.zk.create_ttl(path, data, acl, mode, ttl_ms).map(|(path, _)| path),
        None => context.zk.create(path, data, acl, mode),
    };
    match created {
        Ok(path) => {
            context.err_line(&format!("Created {path}"));
            Ok(())
        }
        Err(error) => {
            explain(context, &error);
            Err(error.into())
        }
    }
}

/// Adds an explanation to some errors.
fn explain(context: &mut Context<'_>, error: &ClientError) {
    match error.keeper_error() {
        Some(KeeperError::EphemeralOnLocalSession) => {
            context.err_line("Unable to create ephemeral node on a local session");
        }
        Some(KeeperError::InvalidAcl) => context.err_line(&error.to_string()),
        _ => {}
    }
}

/// What to create, and its time to live in ms.
fn mode(line: &CommandLine) -> Result<(CreateMode, Option<i64>), CliError> {
    let (e, s, c) = (line.has_option("e"), line.has_option("s"), line.has_option("c"));
    if c && (e || s) {
        return Err(CliError::new(
            "-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.",
        ));
    }
    let ttl_ms = line.option_value("t").map(|text| {
        text.parse::<i64>().map_err(|_| CliError::new("-t argument must be a long value"))
    });
    let ttl_ms = ttl_ms.transpose()?;
    if ttl_ms.is_some() && e {
        return Err(CliError::new("TTLs cannot be used with Ephemeral znodes"));
    }
    if ttl_ms.is_some() && c {
        return Err(CliError::new("TTLs cannot be used with Container znodes"));
    }
    if ttl_ms.is_some_and(|ttl_ms| !(1..=MAX_TTL_MS).contains(&ttl_ms)) {
        return Err(CliError::new(format!(
            "ttl must be positive and cannot be larger than: {MAX_TTL_MS}"
        )));
    }
    let mode = match (e, s, c, ttl_ms.is_some()) {
        (true, true, _, _) => CreateMode::EphemeralSequential,
        (true, false, _, _) => CreateMode::Ephemeral,
        (false, true, _, true) => CreateMode::PersistentSequentialWithTtl,
        (false, true, _, false) => CreateMode::PersistentSequential,
        (false, false, true, _) => CreateMode::Container,
        (false, false, false, true) => CreateMode::PersistentWithTtl,
        (false, false, false, false) => CreateMode::Persistent,
    };
    Ok((mode, ttl_ms))
}
