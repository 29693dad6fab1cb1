//! Finds the command for a four-letter word and runs it (Java: server/command/CommandExecutor.java, and the
//! part of NIOServerCnxn.checkFourLetterWord that is not about sockets).
//!
//! The connection counts the packet, waits for the argument's bytes, logs
//! `Processing <word> command from <address>`, and closes itself when the answer is sent.

use log::debug;

use super::abstract_four_letter_command::{CommandContext, ZK_NOT_SERVING};
use super::four_letter_commands::{self as words, FourLetterCommands};
use super::{
    cnxn_stat_reset_command, conf_command, cons_command, digest_command, dirs_command,
    dump_command, env_command, isro_command, monitor_command, nop_command, ruok_command,
    set_trace_mask_command, stat_command, stat_reset_command, trace_mask_command, watch_command,
};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.NIOServerCnxn";

/// Answers four-letter words.
#[derive(Debug)]
pub struct CommandExecutor {
    commands: FourLetterCommands,
}

impl CommandExecutor {
    /// Creates an executor that answers the enabled words.
    #[must_use]
    pub const fn new(commands: FourLetterCommands) -> Self {
        Self { commands }
    }

    /// The enabled words.
    #[must_use]
    pub const fn commands(&self) -> &FourLetterCommands {
        &self.commands
    }

    /// The answer to a known word. `secure` is true if the word arrived on the TLS port; commands about
    /// connections then show the connections of that port. `argument` is the mask of `stmk`. `server` is `None`
    /// while there is no server.
    ///
    /// Returns `None` for the bytes that telnet sends when it closes, if they are enabled. They are not a
    /// command. The caller then treats the number as the length of a frame, which closes the connection.
    #[must_use]
    pub fn execute(
        &self,
        command: i32,
        argument: Option<i64>,
        secure: bool,
        server: Option<&dyn CommandContext>,
    ) -> Option<String> {
        let mut out = String::new();
        if !self.commands.is_enabled(command) {
            let name = words::command_string(command).unwrap_or("null");
            debug!(target: LOG, "Command {name} is not executed because it is not in the \
                                 whitelist.");
            nop_command::run(name, &mut out);
            return Some(out);
        }
        let serving = server.filter(|server| server.is_running());
        match command {
            words::TELNET_CLOSE => return None,
            words::RUOK => ruok_command::run(&mut out),
            words::ENVI => env_command::run(&mut out),
            words::GET_TRACE_MASK => trace_mask_command::run(&mut out),
            words::SET_TRACE_MASK => {
                set_trace_mask_command::run(argument.unwrap_or(0), &mut out);
            }
            words::ISRO => isro_command::run(serving, &mut out),
            words::HASH => digest_command::run(serving, &mut out),
            _ => match serving {
                Some(server) => run(command, secure, server, &mut out),
                None => out = format!("{ZK_NOT_SERVING}\n"),
            },
        }
        Some(out)
    }
}

/// Runs the words that require a running server.
fn run(command: i32, secure: bool, server: &dyn CommandContext, out: &mut String) {
    match command {
        words::CONF => conf_command::run(server, out),
        words::SRST => stat_reset_command::run(server, out),
        words::CRST => cnxn_stat_reset_command::run(server, secure, out),
        words::DIRS => dirs_command::run(server, out),
        words::DUMP => dump_command::run(server, secure, out),
        words::STAT => stat_command::run(server, Some(secure), out),
        words::SRVR => stat_command::run(server, None, out),
        words::CONS => cons_command::run(server, secure, out),
        words::WCHP | words::WCHC | words::WCHS => watch_command::run(server, command, out),
        words::MNTR => monitor_command::run(server, out),
        other => unreachable!("{other:#x} is not a word that needs a server"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::zk_config::SystemProperties;
    use crate::server::command::test_context::TestContext;

    fn executor(whitelist: &str) -> CommandExecutor {
        let properties =
            SystemProperties::from_pairs([("zookeeper.4lw.commands.whitelist", whitelist)]);
        CommandExecutor::new(FourLetterCommands::from_properties(&properties))
    }

    const WORDS: [&[u8; 4]; 18] = [
        b"conf", b"cons", b"crst", b"dirs", b"dump", b"envi", b"gtmk", b"ruok", b"stmk", b"srst",
        b"srvr", b"stat", b"wchc", b"wchp", b"wchs", b"mntr", b"isro", b"hash",
    ];

    fn answer(word: [u8; 4], server: Option<&dyn CommandContext>) -> String {
        executor("*").execute(i32::from_be_bytes(word), Some(306), false, server).unwrap()
    }

    #[test]
    fn a_word_that_is_not_enabled_is_told_so() {
        let answer = executor("ruok").execute(words::CONS, None, false, None);
        assert_eq!(
            answer.as_deref(),
            Some("cons is not executed because it is not in the whitelist.\n")
        );
        let answer = executor("ruok").execute(words::TELNET_CLOSE, None, false, None);
        assert!(answer.unwrap().starts_with("telnet close is not executed"));
        assert_eq!(executor("*").execute(words::TELNET_CLOSE, None, false, None), None);
    }

    #[test]
    fn without_a_serving_server_the_words_that_need_one_say_so() {
        let stopped = TestContext { running: false, ..TestContext::default() };
        for word in WORDS {
            for server in [None, Some(&stopped as &dyn CommandContext)] {
                let answer = answer(*word, server);
                match word {
                    b"ruok" => assert_eq!(answer, "imok"),
                    b"gtmk" | b"stmk" => assert_eq!(answer, "306"),
                    b"isro" => assert_eq!(answer, "null"),
                    b"hash" => assert_eq!(answer, ZK_NOT_SERVING),
                    b"envi" => {
                        assert!(answer.starts_with("Environment:\nzookeeper.version=3.9.5-"))
                    }
                    _ => assert_eq!(answer, format!("{ZK_NOT_SERVING}\n")),
                }
            }
        }
    }

    #[test]
    fn every_word_is_answered_by_a_serving_server() {
        let server = TestContext::default();
        for word in WORDS {
            let answer = answer(*word, Some(&server));
            assert!(!answer.is_empty() && !answer.contains(ZK_NOT_SERVING), "{word:?}: {answer}");
        }
    }
}
