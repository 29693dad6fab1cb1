//! `config [-c] [-w] [-s]` (Java: cli/GetConfigCommand.java, and getClientConfigStr of server/util/ConfigUtils.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::command_line::{Choice, CommandOption, CommandOptions};
use super::stat_printer;
use crate::common::properties::Properties;
use crate::ids::Sid;
use crate::server::quorum::quorum_server::QuorumServer;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "config",
    "[-c] [-w] [-s]",
    CommandOptions {
        options: &[
            CommandOption::flag("s", "stats"),
            CommandOption::flag("w", "watch"),
            CommandOption::flag("c", "client connection string"),
        ],
        choice: Choice::Any,
    },
    exec,
);

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 1)?;
    let (data, stat) = context.zk.get_config(line.has_option("w"))?;
    let config =
        data.map_or_else(|| "null".into(), |data| String::from_utf8_lossy(&data).into_owned());
    if line.has_option("c") {
        context.out_line(&client_config_str(&config));
    } else {
        context.out_line(&config);
    }
    if line.has_option("s") {
        stat_printer::print(context, &stat);
    }
    Ok(())
}

/// The configuration's version, and the addresses for clients. Java lists the servers in the order of its hash table,
/// and prints a comma for each server without a client address. Here they are in the order of the text.
fn client_config_str(config: &str) -> String {
    let Ok(properties) = Properties::load_str(config) else { return " ".into() };
    let version = properties.get("version").unwrap_or_default().trim();
    let mut addresses: Vec<String> = Vec::new();
    for property in properties.iter().filter(|property| property.key.starts_with("server.")) {
        // The host names are only printed, so they need not be resolved.
        let server = QuorumServer::parse(Sid(-1), property.value.trim(), true, &|_| None);
        let address = server.ok().and_then(|server| server.client_address);
        addresses.extend(address.map(|address| format!("{}:{}", address.host, address.port)));
    }
    format!("{version} {}", addresses.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_form_has_the_version_and_the_addresses_for_clients() {
        let config = "server.1=h1:2888:3888:participant;0.0.0.0:2181\n\
                      server.2=h2:2888:3888:observer;h2:2182\nserver.3=h3:1:2\nversion=100000000";
        assert_eq!(client_config_str(config), "100000000 0.0.0.0:2181,h2:2182");
        assert_eq!(client_config_str(""), " ");
    }
}
