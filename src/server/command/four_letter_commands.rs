//! The four-letter words and the whitelist (Java: server/command/FourLetterCommands.java).

use std::collections::BTreeSet;

use log::info;

use crate::common::zk_config::SystemProperties;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.command.FourLetterCommands";

/// The setting that lists the enabled words.
const WHITELIST: &str = "zookeeper.4lw.commands.whitelist";

/// The number that a connection reads first when a client sends these four letters.
const fn word(letters: [u8; 4]) -> i32 {
    i32::from_be_bytes(letters)
}

/// Shows the settings.
pub(crate) const CONF: i32 = word(*b"conf");
/// Shows the connections.
pub(crate) const CONS: i32 = word(*b"cons");
/// Resets the statistics of connections.
pub(crate) const CRST: i32 = word(*b"crst");
/// Shows the sizes of the data directories.
pub(crate) const DIRS: i32 = word(*b"dirs");
/// Shows sessions and ephemeral nodes.
pub(crate) const DUMP: i32 = word(*b"dump");
/// Shows the environment.
pub(crate) const ENVI: i32 = word(*b"envi");
/// Shows the mask of traced messages.
pub(crate) const GET_TRACE_MASK: i32 = word(*b"gtmk");
/// Tests whether the process is alive.
pub(crate) const RUOK: i32 = word(*b"ruok");
/// Sets the mask of traced messages. Eight bytes with the mask follow the word.
pub(crate) const SET_TRACE_MASK: i32 = word(*b"stmk");
/// Shows a summary of the server.
pub(crate) const SRVR: i32 = word(*b"srvr");
/// Resets the server's statistics.
pub(crate) const SRST: i32 = word(*b"srst");
/// Shows a summary of the server, and its connections.
pub(crate) const STAT: i32 = word(*b"stat");
/// Shows the watched paths of each session.
pub(crate) const WCHC: i32 = word(*b"wchc");
/// Shows the sessions that watch each path.
pub(crate) const WCHP: i32 = word(*b"wchp");
/// Shows the numbers of watches.
pub(crate) const WCHS: i32 = word(*b"wchs");
/// Shows the metrics.
pub(crate) const MNTR: i32 = word(*b"mntr");
/// Shows whether the server is read-only.
pub(crate) const ISRO: i32 = word(*b"isro");
/// Shows the digests of the data tree.
pub(crate) const HASH: i32 = word(*b"hash");
/// The bytes that telnet sends when the user closes it.
pub(crate) const TELNET_CLOSE: i32 = i32::from_be_bytes([0xff, 0xf4, 0xff, 0xfd]);

/// All words with their names.
const COMMANDS: [(i32, &str); 19] = [
    (CONF, "conf"),
    (CONS, "cons"),
    (CRST, "crst"),
    (DIRS, "dirs"),
    (DUMP, "dump"),
    (ENVI, "envi"),
    (GET_TRACE_MASK, "gtmk"),
    (RUOK, "ruok"),
    (SET_TRACE_MASK, "stmk"),
    (SRST, "srst"),
    (SRVR, "srvr"),
    (STAT, "stat"),
    (WCHC, "wchc"),
    (WCHP, "wchp"),
    (WCHS, "wchs"),
    (MNTR, "mntr"),
    (ISRO, "isro"),
    (TELNET_CLOSE, "telnet close"),
    (HASH, "hash"),
];

/// The length of the argument of [`SET_TRACE_MASK`], in bytes.
pub(crate) const TRACE_MASK_BYTES: usize = 8;

/// The name of a word; `None` for any other number (Java: getCommandString, isKnown).
#[must_use]
pub(crate) fn command_string(command: i32) -> Option<&'static str> {
    COMMANDS.iter().find(|(word, _)| *word == command).map(|(_, name)| *name)
}

/// Whether the first number on a connection is a word rather than the length of a frame.
#[must_use]
pub(crate) fn is_known(command: i32) -> bool {
    command_string(command).is_some()
}

/// Whether the answer has a line for each watch, session or connection.
#[must_use]
pub(crate) const fn may_be_long(command: i32) -> bool {
    matches!(command, CONS | DUMP | STAT | WCHC | WCHP)
}

/// Whether the answer takes long to make: it may be long, or it looks into the data directories.
#[must_use]
pub(crate) const fn takes_long(command: i32) -> bool {
    may_be_long(command) || matches!(command, CONF | DIRS)
}

/// The enabled words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FourLetterCommands {
    white_listed: BTreeSet<String>,
}

impl Default for FourLetterCommands {
    fn default() -> Self {
        Self::from_properties(&SystemProperties::new())
    }
}

impl FourLetterCommands {
    /// Reads the words from `4lw.commands.whitelist`; `*` enables all. `srvr` is always enabled because
    /// zkServer.sh uses it, and so is `isro` if the server can become read-only.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        let mut white_listed = BTreeSet::new();
        for name in properties.get(WHITELIST).unwrap_or_default().split(',').map(str::trim) {
            if name == "*" {
                white_listed.extend(COMMANDS.map(|(_, name)| name.to_owned()));
                break;
            }
            if !name.is_empty() {
                white_listed.insert(name.to_owned());
            }
        }
        if properties.get("readonlymode.enabled") == Some("true") {
            white_listed.insert("isro".to_owned());
        }
        white_listed.insert("srvr".to_owned());
        let known = COMMANDS.map(|(_, name)| name).join(", ");
        info!(target: LOG, "The list of known four letter word commands is : [{known}]");
        let enabled = white_listed.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        info!(target: LOG, "The list of enabled four letter word commands is : [{enabled}]");
        Self { white_listed }
    }

    /// Whether the word is enabled.
    #[must_use]
    pub fn is_enabled(&self, command: i32) -> bool {
        command_string(command).is_some_and(|name| self.white_listed.contains(name))
    }

    /// The number of bytes after the word that are needed to answer it.
    #[must_use]
    pub fn argument_bytes(&self, command: i32) -> usize {
        if command == SET_TRACE_MASK && self.is_enabled(command) { TRACE_MASK_BYTES } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enabled(pairs: &[(&str, &str)]) -> String {
        let commands = FourLetterCommands::from_properties(&SystemProperties::from_pairs(
            pairs.iter().copied(),
        ));
        let enabled = COMMANDS.iter().filter(|(word, _)| commands.is_enabled(*word));
        enabled.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_word_is_its_letters() {
        assert_eq!(command_string(0x7275_6f6b), Some("ruok"));
        assert_eq!(command_string(-720_899), Some("telnet close"));
        assert!(is_known(HASH));
        assert!(!is_known(44));
    }

    #[test]
    fn the_whitelist_decides_and_srvr_is_always_there() {
        for (pairs, words) in [
            (&[][..], "srvr"),
            (&[(WHITELIST, "stat, ruok,,nosuch")], "ruok srvr stat"),
            (&[("readonlymode.enabled", "true")], "srvr isro"),
            (&[("readonlymode.enabled", "TRUE")], "srvr"),
            (&[(WHITELIST, "STAT")], "srvr"),
        ] {
            assert_eq!(enabled(pairs), words, "{pairs:?}");
        }
        assert_eq!(enabled(&[(WHITELIST, "mntr, *")]).split(' ').count(), COMMANDS.len() + 1);
    }

    #[test]
    fn the_trace_mask_is_waited_for_only_where_it_is_used() {
        assert_eq!(FourLetterCommands::default().argument_bytes(SET_TRACE_MASK), 0);
        let all =
            FourLetterCommands::from_properties(&SystemProperties::from_pairs([(WHITELIST, "*")]));
        assert_eq!(all.argument_bytes(SET_TRACE_MASK), 8);
        assert_eq!(all.argument_bytes(RUOK), 0);
    }
}
