//! `reconfig` (Java: cli/ReconfigCommand.java).

use std::fs;

use super::cli_command::{CliCommand, CliResult, Context};
use super::cli_exception::CliError;
use super::command_line::{Choice, CommandOption, CommandOptions};
use super::stat_printer;
use crate::common::properties::Properties;
use crate::ids::Sid;
use crate::server::quorum::quorum_server::QuorumServer;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "reconfig",
    "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | \
                 [-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
    CommandOptions {
        options: &[
            CommandOption::flag("s", "stats"),
            CommandOption::value("v", "required current config version"),
            CommandOption::value("file", "path of config file to parse for membership"),
            CommandOption::value(
                "members",
                "comma-separated list of config strings for non-incremental reconfig",
            ),
            CommandOption::value("add", "comma-separated list of config strings for new servers"),
            CommandOption::value("remove", "comma-separated list of server IDs to remove"),
        ],
        choice: Choice::Any,
    },
    exec,
);

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 0)?;
    let value = |name| line.option_value(name).map(str::to_lowercase);
    let (joining, leaving, members) = (value("add"), value("remove"), value("members"));
    // The path is not converted to lower case.
    let file = line.option_value("file");
    let is_incremental = joining.is_some() || leaving.is_some();
    let is_whole = file.is_some() || members.is_some();
    if !is_incremental && !is_whole {
        return Err(command.usage_error());
    }
    let version = match line.option_value("v") {
        Some(text) => i64::from_str_radix(text, 16)
            .map_err(|_| CliError::new("-v must be followed by a long (configuration version)"))?,
        None => -1,
    };
    if is_incremental && is_whole {
        return Err(CliError::new(
            "Can't use -file or -members together with -add or -remove (mixing incremental and non-incremental modes \
             is not allowed)",
        ));
    }
    let members = match (file, members) {
        (Some(_), Some(_)) => {
            return Err(CliError::new(
                "Can't use -file and -members together (conflicting non-incremental modes)",
            ));
        }
        (Some(file), None) => Some(members_of(file)?),
        (None, members) => members,
    };
    let (config, stat) = context.zk.reconfigure(
        joining.as_deref(),
        leaving.as_deref(),
        members.as_deref(),
        version,
    )?;
    let config = config.unwrap_or_default();
    let config = String::from_utf8_lossy(&config);
    context.out_line(&format!("Committed new configuration:\n{config}"));
    if line.has_option("s") {
        stat_printer::print(context, &stat);
    }
    Ok(())
}

/// Reads the members from a file and checks them before they are sent to the leader. Returns a line for each key.
fn members_of(file: &str) -> Result<String, CliError> {
    let wrong = |what: String| CliError::new(format!("Error processing {file}{what}"));
    let bytes = fs::read(file).map_err(|error| wrong(format!(": {error}")))?;
    let properties = Properties::load(&bytes).map_err(|error| wrong(format!(": {error}")))?;
    let mut lines = Vec::new();
    for property in properties.iter() {
        let (key, value) = (property.key.trim(), property.value.trim());
        if key.starts_with("server.") {
            QuorumServer::parse(Sid(-1), value, true, &|_| None)
                .map_err(|error| wrong(format!(": {key}={value} {error}")))?;
        } else if !["group", "weight", "version"].iter().any(|known| key.starts_with(known)) {
            return Err(wrong(format!("Unrecognised parameter: {key}")));
        }
        if key != "version" {
            lines.push(format!("{key}={value}"));
        }
    }
    lines.push("version=0".into());
    Ok(lines.join("\n"))
}
