//! `reconfig` (Java: cli/ReconfigCommand.java).

use std::fs;
use std::path::Path;

use super::cli_command::{CliCommand, CliResult, Context};
use super::cli_exception::CliError;
use super::command_line::{Choice, CommandOption, CommandOptions};
use super::stat_printer;
use crate::common::config_exception::ConfigError;
use crate::common::properties::Properties;
use crate::server::quorum::quorum_peer_config::dynamic_file::members_for_reconfig;

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
        (Some(file), None) => Some(members_of(file, context.multi_address)?),
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

/// Reads the members from a file and checks them, as the leader will do again. Returns a line for each of them.
fn members_of(file: &str, multi_address: bool) -> Result<String, CliError> {
    // Java puts nothing between the name of the file and what is wrong with it.
    let wrong = |what: String| CliError::new(format!("Error processing {file}{what}"));
    let bytes = fs::read(file).map_err(|error| {
        let text = error.to_string();
        let reason = text.split(" (os error").next().unwrap_or_default();
        wrong(format!("{file} ({reason})"))
    })?;
    let properties = Properties::load(&bytes).map_err(|error| wrong(format!(": {error}")))?;
    members_for_reconfig(&properties, Path::new(file), multi_address).map_err(|error| {
        wrong(match error {
            ConfigError::Rule { what, .. } => what,
            // What is wrong with the form of a line is said behind the line.
            ConfigError::BadValue { value, accepted, .. } if accepted.starts_with("does not ") => {
                format!("{value} {accepted}")
            }
            ConfigError::BadValue { key, value, accepted, .. } => {
                format!("{accepted} ({key}={value})")
            }
            other => format!(": {other}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::persistence::test_dir::TestDir;

    /// The beginnings of the errors are those of Java's shell.
    #[test]
    fn a_file_of_members_is_checked_and_sent_in_the_form_of_a_configuration() {
        let dir = TestDir::new();
        let path = dir.path().join("members.cfg");
        let file = path.to_str().unwrap();
        let read = |text: &str, multi_address| {
            fs::write(&path, text).unwrap();
            members_of(file, multi_address).map_err(|error| {
                error.message.strip_prefix(&format!("Error processing {file}")).unwrap().to_owned()
            })
        };
        let two = "server.1=a:1:2;5\nserver.2=b:1:2:Observer\n server.3 = c:1:2\n# no more\n";
        assert_eq!(
            read(two, false).unwrap(),
            "server.1=a:1:2:participant;0.0.0.0:5\nserver.2=b:1:2:observer\n\
             server.3=c:1:2:participant\nversion=0"
        );
        assert_eq!(read("", false).unwrap(), "version=0");
        let several = "server.1=a:1:2|b:1:2\nserver.2=c:1:2\nversion=1f";
        assert_eq!(
            read(several, true).unwrap(),
            "server.1=a:1:2|b:1:2:participant\nserver.2=c:1:2:participant\nversion=1f"
        );
        for (text, beginning) in [
            (several, "Multiple address feature is disabled, but multiple addresses were"),
            ("clientPort=1", "Unrecognised parameter: clientPort"),
            ("server.1=a:1", "a:1 does not have the form server_config"),
            ("server.1=a:1:2:observer", "Observers w/o participants is an invalid configuration"),
            ("server.1=a:1:2\ngroup.1=2", "Server 1 is not in a group"),
            ("server.1=\\u12", ": line 1: "),
        ] {
            let error = read(text, false).unwrap_err();
            assert!(error.starts_with(beginning), "{text}: {error}");
        }
        let missing = members_of("/no/such/file", false).unwrap_err().message;
        assert_eq!(
            missing,
            "Error processing /no/such/file/no/such/file (No such file or directory)"
        );
    }
}
