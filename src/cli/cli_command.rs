//! The definition of a command, and the context in which it runs (Java: cli/CliCommand.java).

use std::fmt;
use std::io::Write;

use crossbeam::channel::Receiver;

use super::cli_exception::CliError;
use super::command_line::{CommandLine, CommandOptions};
use super::command_usage_helper;
use crate::admin::zookeeper_admin::ZooKeeperAdmin;
use crate::client_cnxn::ClientEvent;

/// What a command returns: nothing, or the error that the shell prints.
pub(crate) type CliResult = Result<(), CliError>;

/// A command of the shell.
#[derive(Clone, Copy)]
pub struct CliCommand {
    /// The name of the command (Java: getCmdStr).
    pub cmd_str: &'static str,
    /// The text that follows the name in the usage (Java: getOptionStr).
    pub option_str: &'static str,
    /// Its options.
    pub options: CommandOptions,
    /// Whether its usage explains the options.
    pub usage_lists_options: bool,
    /// Runs the command. The words are those that were typed, beginning with the command's name.
    pub exec: fn(&Self, &mut Context<'_>, Vec<String>) -> CliResult,
}

impl CliCommand {
    /// A command whose usage does not explain its options.
    #[must_use]
    pub const fn new(
        cmd_str: &'static str,
        option_str: &'static str,
        options: CommandOptions,
        exec: fn(&Self, &mut Context<'_>, Vec<String>) -> CliResult,
    ) -> Self {
        Self { cmd_str, option_str, options, usage_lists_options: false, exec }
    }

    /// The command, with a usage that explains its options.
    #[must_use]
    pub const fn listing_options(self) -> Self {
        Self { usage_lists_options: true, ..self }
    }

    /// The usage text of the command (Java: getUsageStr).
    #[must_use]
    pub fn usage_str(&self) -> String {
        let options = self.usage_lists_options.then_some(&self.options);
        command_usage_helper::usage(&format!("{} {}", self.cmd_str, self.option_str), options)
    }

    /// The error for an invalid call.
    #[must_use]
    pub fn usage_error(&self) -> CliError {
        CliError::new(self.usage_str())
    }

    /// Parses the words. Besides options, there must be at least `at_least` words, including the command's name.
    ///
    /// # Errors
    /// If there is an option that the command does not have, or too few words.
    pub fn parse(&self, words: &[String], at_least: usize) -> Result<CommandLine, CliError> {
        let line = self.options.parse(words)?;
        if line.args.len() < at_least {
            return Err(self.usage_error());
        }
        Ok(line)
    }

    /// As [`parse`](Self::parse), for commands that formerly took the word `watch` after the path
    /// (Java: retainCompatibility).
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_with_old_watch(
        &self,
        context: &mut Context<'_>,
        mut words: Vec<String>,
        at_least: usize,
        new_form: &str,
    ) -> Result<CommandLine, CliError> {
        let line = self.parse(&words, at_least)?;
        if line.args.len() <= 2 {
            return Ok(line);
        }
        let name = self.cmd_str;
        context.err_line(&format!(
            "'{name} path [watch]' has been deprecated. Please use '{new_form}' instead."
        ));
        if let Some(word) = words.get_mut(2) {
            "-w".clone_into(word);
        }
        self.options.parse(&words)
    }
}

impl fmt::Debug for CliCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.cmd_str, self.option_str)
    }
}

/// The outputs of the shell, and the events of its client.
pub struct Console<'a> {
    /// Results.
    pub out: &'a mut dyn Write,
    /// Everything else.
    pub err: &'a mut dyn Write,
    /// The events of the client.
    pub events: Option<Receiver<ClientEvent>>,
    /// Whether events are printed (Java: printWatches).
    pub print_watches: bool,
}

impl fmt::Debug for Console<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("print_watches", &self.print_watches).finish()
    }
}

impl Console<'_> {
    /// Prints a line of a result, after the events that have arrived before.
    pub fn out_line(&mut self, line: &str) {
        self.print_events();
        // An error is ignored: if the reader has gone, nobody needs the output.
        let _reader_has_gone = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
    }

    /// Prints a line that is not part of a result.
    pub fn err_line(&mut self, line: &str) {
        self.print_events();
        let _reader_has_gone = writeln!(self.err, "{line}").and_then(|()| self.err.flush());
    }

    /// Prints the events that have arrived.
    pub fn print_events(&mut self) {
        let events: Vec<ClientEvent> = match &self.events {
            Some(events) => events.try_iter().collect(),
            None => return,
        };
        for event in events {
            self.print_event(&event);
        }
    }

    /// Prints an event (Java: MyWatcher.process).
    pub fn print_event(&mut self, event: &ClientEvent) {
        if self.print_watches {
            let text = format!("\nWATCHER::\n\n{event}");
            let _reader_has_gone = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
        }
    }
}

/// The context in which a command runs.
#[derive(Debug)]
pub struct Context<'a> {
    /// The client.
    pub zk: &'a ZooKeeperAdmin,
    /// Whether a server in a configuration may have several addresses (Java: the property
    /// `zookeeper.multiAddress.enabled` of the shell).
    pub multi_address: bool,
    /// Where the command prints.
    pub console: Console<'a>,
}

impl Context<'_> {
    /// Prints a line of a result.
    pub fn out_line(&mut self, line: &str) {
        self.console.out_line(line);
    }

    /// Prints a line that is not part of a result.
    pub fn err_line(&mut self, line: &str) {
        self.console.err_line(line);
    }
}
