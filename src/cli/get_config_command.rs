//! `config [-c] [-w] [-s]` (Java: cli/GetConfigCommand.java, and getClientConfigStr of server/util/ConfigUtils.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::cli_exception::CliError;
use super::command_line::{Choice, CommandOption, CommandOptions};
use super::stat_printer;
use crate::common::properties::{Properties, Property};
use crate::common::string_utils;
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
        let properties = Properties::load_str(&config).map_err(|malformed| {
            CliError::new(format!("the server's configuration cannot be read: {malformed}"))
        })?;
        let (text, unread) = client_config_str(&properties, context.multi_address);
        for what in unread {
            context.err_line(&what);
        }
        context.out_line(&text);
    } else {
        context.out_line(&config);
    }
    if line.has_option("s") {
        stat_printer::print(context, &stat);
    }
    Ok(())
}

/// The configuration's version, and the addresses for clients, separated by commas. As in Java, the text of a server
/// without such an address is empty, and a server that cannot be read is left out: a server with several addresses, unless
/// `multi_address` allows them. Also returns what is wrong with the servers that are left out.
fn client_config_str(config: &Properties, multi_address: bool) -> (String, Vec<String>) {
    let version = config.get("version").map(string_utils::trim).unwrap_or_default();
    let (mut addresses, mut unread) = (Vec::new(), Vec::new());
    for property in in_javas_order(config) {
        let (key, value) = (string_utils::trim(&property.key), string_utils::trim(&property.value));
        if !key.starts_with("server.") {
            continue;
        }
        // The host names are only printed, so they need not be resolved.
        match QuorumServer::parse(Sid(-1), value, multi_address, &|_| None) {
            Ok(server) => {
                let address = server.client_address;
                addresses.push(address.map(|one| format!("{}:{}", one.host, one.port)));
            }
            Err(problem) => unread.push(format!("{key}={value} is left out: {problem}")),
        }
    }
    let addresses: Vec<String> = addresses.into_iter().map(Option::unwrap_or_default).collect();
    (format!("{version} {}", addresses.join(",")), unread)
}

/// A pair in its bin, with the hash of its key.
type Hashed<'a> = (usize, &'a Property);

/// The pairs in the order in which Java lists them since version 9: that of a ConcurrentHashMap with at first 16 bins,
/// which doubles when there are three quarters as many pairs as bins.
fn in_javas_order(config: &Properties) -> Vec<&Property> {
    let mut bins: Vec<Vec<Hashed<'_>>> = vec![Vec::new(); 16];
    for (count, property) in (1..).zip(config.iter()) {
        let hash = spread_hash(&property.key);
        let at = hash & (bins.len() - 1);
        bins[at].push((hash, property));
        if count >= bins.len() / 4 * 3 {
            bins = doubled(&bins);
        }
    }
    bins.into_iter().flatten().map(|(_, property)| property).collect()
}

/// Java: String.hashCode, and ConcurrentHashMap.spread.
fn spread_hash(key: &str) -> usize {
    let hash = key
        .encode_utf16()
        .fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    let spread = (hash ^ (hash >> 16)) & 0x7fff_ffff;
    usize::try_from(spread).unwrap_or(usize::MAX)
}

/// Each bin is split in two by the next bit of the hash. Java keeps the end of a bin, in which that bit does not change,
/// as it is; the pairs before that are put in front of it one by one, which turns their order around.
fn doubled<'a>(bins: &[Vec<Hashed<'a>>]) -> Vec<Vec<Hashed<'a>>> {
    let mut all = vec![Vec::new(); bins.len() * 2];
    for (at, bin) in bins.iter().enumerate() {
        let target = |hash: usize| if hash & bins.len() == 0 { at } else { at + bins.len() };
        let changes = |pair: &[Hashed<'a>]| target(pair[0].0) != target(pair[1].0);
        let end = bin.windows(2).rposition(changes).map_or(0, |before| before + 1);
        let (front, rest) = bin.split_at(end);
        if let Some((hash, _)) = rest.first() {
            all[target(*hash)].extend_from_slice(rest);
        }
        for pair in front {
            all[target(pair.0)].insert(0, *pair);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_config(config: &str, multi_address: bool) -> (String, Vec<String>) {
        client_config_str(&Properties::load_str(config).unwrap(), multi_address)
    }

    #[test]
    fn a_clients_form_has_the_version_and_the_addresses_for_clients() {
        let config = "server.1=h1:2888:3888:participant;0.0.0.0:2181\n\
                      server.2=h2:2888:3888:observer;h2:2182\nserver.3=h3:1:2\nversion=100000000";
        let (text, unread) = client_config(config, false);
        assert_eq!(text, "100000000 h2:2182,0.0.0.0:2181,");
        assert!(unread.is_empty(), "{unread:?}");
        assert_eq!(client_config("", false).0, " ");
    }

    #[test]
    fn a_server_with_several_addresses_is_named_only_if_they_are_allowed() {
        let config = "server.1=h1:1:2|h2:1:2:participant;h1:2181\n\
                      server.2=h3:1:2;h3:2181\nserver.3=h4:1\nversion=5";
        let (text, unread) = client_config(config, false);
        assert_eq!(text, "5 h3:2181");
        assert_eq!(unread.len(), 2);
        assert!(unread.iter().any(|what| what.starts_with("server.1=h1:1:2|h2")), "{unread:?}");
        let (text, unread) = client_config(config, true);
        assert_eq!((text.as_str(), unread.len()), ("5 h3:2181,h1:2181", 1));
        assert_eq!(client_config("server.1=a:1:2;[::1]:5", false).0, " 0:0:0:0:0:0:0:1:5");
    }

    /// Java's ConfigUtils has made the lists, with Java 17.
    #[test]
    fn the_servers_come_in_the_order_of_javas_table() {
        let of = |servers: usize, factor: usize, more: &str| {
            let line = |n: usize| {
                let more = more.replace('N', &n.to_string());
                format!("server.{}=127.0.0.1:1:2;{n}\n{more}", n * factor)
            };
            let lines: String = (1..=servers).map(line).collect();
            let (text, _) = client_config(&(lines + "version=a"), false);
            text.strip_prefix("a ").unwrap().replace("0.0.0.0:", "")
        };
        for (servers, factor, more, expected) in [
            (3, 1, "", "2,1,3"),
            (5, 1, "", "2,1,5,4,3"),
            (9, 1, "group.N=N\nweight.N=1\n", "2,1,6,5,4,3,9,8,7"),
            (11, 1, "", "10,11,2,1,6,5,4,3,9,8,7"),
            (12, 1, "", "10,11,2,1,12,6,5,4,3,9,8,7"),
            (13, 1, "", "10,11,2,1,12,13,6,5,4,3,9,8,7"),
            (25, 1, "", "18,19,16,17,10,11,14,15,12,13,21,22,20,2,25,1,23,24,6,5,4,3,9,8,7"),
            (
                60,
                37,
                "",
                "44,46,11,25,32,12,26,56,24,45,31,13,33,55,47,49,57,48,22,9,23,59,7,21,34,10,50,36,58,8,60,35,52,38,51,\
                 37,17,20,40,2,4,18,1,19,53,39,5,6,41,54,14,43,29,15,27,42,28,16,30,3",
            ),
        ] {
            assert_eq!(of(servers, factor, more), expected, "{servers} servers");
        }
    }
}
