//! The shell, `zkCli.sh` (Java: ZooKeeperMain.java).
//!
//! Threads: the caller's thread runs the commands and prints; `stdin` reads lines, so that events are printed while
//! nobody types.
//! Differs from Java: there is no completion (as in Java without JLine on its class path), and a line of blanks does
//! nothing, where Java repeats the previous command. As in Java, the session is left to expire at the end of the
//! input and after a single command; `quit` closes it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{BufRead, Write};
use std::time::Duration;

use crossbeam::channel::{Receiver, bounded, never, select};
use log::{debug, warn};

use crate::admin::zookeeper_admin::ZooKeeperAdmin;
use crate::cli::cli_command::{Console, Context};
use crate::cli::cli_exception::{CliError, not_a_number};
use crate::cli::command_factory::{self, COMMANDS};
use crate::client_cnxn::ClientConfig;
use crate::common::jaas;
use crate::common::properties::Properties;
use crate::common::zk_config::{SystemProperties, decode_number};
use crate::jute::Limits;
use crate::server::exit_code::ExitCode;
use crate::server::zookeeper_thread;

pub mod words;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.ZooKeeperMain";

/// The shell's own commands.
const OWN_COMMANDS: [(&str, &str); 5] = [
    ("connect", "host:port"),
    ("history", ""),
    ("redo", "cmdno"),
    ("printwatches", "on|off"),
    ("quit", ""),
];

/// How many earlier commands `history` shows.
const HISTORY_SHOWN: usize = 10;

/// The source of the lines.
pub struct Input {
    /// The lines.
    pub lines: Box<dyn BufRead + Send>,
    /// Whether a user types them and needs a prompt.
    pub is_terminal: bool,
}

/// The options of the command line (Java: MyCommandOptions.parseOptions).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Options {
    server: String,
    timeout: String,
    read_only: bool,
    client_configuration: Option<String>,
    wait_for_connection: bool,
    /// A single command; without one, the shell is interactive.
    command: Vec<String>,
}

impl Options {
    /// If an option has no value, the shell says so and reads no further options, as in Java.
    fn parse(args: &[String], err: &mut dyn Write) -> Self {
        let mut options = Self {
            server: "localhost:2181".into(),
            timeout: "30000".into(),
            read_only: false,
            client_configuration: None,
            wait_for_connection: false,
            command: Vec::new(),
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let slot = match arg.as_str() {
                "-server" => &mut options.server,
                "-timeout" => &mut options.timeout,
                "-client-configuration" => {
                    options.client_configuration.get_or_insert_with(String::new)
                }
                "-r" => {
                    options.read_only = true;
                    continue;
                }
                "-waitforconnection" => {
                    options.wait_for_connection = true;
                    continue;
                }
                other if other.starts_with('-') => continue,
                _ => {
                    options.command = std::iter::once(arg).chain(args).cloned().collect();
                    break;
                }
            };
            match args.next() {
                Some(value) => slot.clone_from(value),
                None => {
                    let text = format!("Error: no argument found for option {arg}");
                    let _reader_has_gone = writeln!(err, "{text}");
                }
            }
        }
        options
    }
}

/// Runs the shell.
pub fn main(
    args: &[String],
    properties: &SystemProperties,
    input: Input,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let mut shell = match ZooKeeperMain::new(args, properties, out, err) {
        Ok(shell) => shell,
        Err(exit_code) => return exit_code,
    };
    shell.run(input);
    shell.exit_code
}

/// The shell with its client.
pub struct ZooKeeperMain<'a> {
    options: Options,
    config: ClientConfig,
    multi_address: bool,
    console: Console<'a>,
    host: String,
    zk: Option<ZooKeeperAdmin>,
    history: BTreeMap<usize, String>,
    command_count: usize,
    exit_code: ExitCode,
    has_quit: bool,
}

impl fmt::Debug for ZooKeeperMain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZooKeeperMain").field("host", &self.host).field("zk", &self.zk).finish()
    }
}

impl<'a> ZooKeeperMain<'a> {
    /// Starts to connect as the arguments ask.
    ///
    /// # Errors
    /// The exit code, if the arguments are invalid. The reason has been printed.
    pub fn new(
        args: &[String],
        properties: &SystemProperties,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
    ) -> Result<Self, ExitCode> {
        let options = Options::parse(args, err);
        let console = Console { out, err, events: None, print_watches: true };
        Self::connect(options, properties, console).map_err(|(mut console, error)| {
            console.err_line(&error.message);
            error.exit_code
        })
    }

    fn connect(
        options: Options,
        properties: &SystemProperties,
        console: Console<'a>,
    ) -> Result<Self, (Console<'a>, CliError)> {
        let config = match client_config(&options, properties) {
            Ok(config) => config,
            Err(error) => return Err((console, error)),
        };
        let mut shell = Self {
            host: options.server.clone(),
            options,
            config,
            multi_address: properties.bool(MULTI_ADDRESS),
            console,
            zk: None,
            history: BTreeMap::new(),
            command_count: 0,
            exit_code: ExitCode::ExecutionFinished,
            has_quit: false,
        };
        let server = shell.options.server.clone();
        shell.console.out_line(&format!("Connecting to {server}"));
        match shell.connect_to_zk(&server) {
            Ok(()) => Ok(shell),
            Err(error) => Err((shell.console, error)),
        }
    }

    /// Java: connectToZK.
    fn connect_to_zk(&mut self, host: &str) -> Result<(), CliError> {
        if let Some(zk) = self.zk.take() {
            zk.close();
            self.console.print_events();
        }
        host.clone_into(&mut self.host);
        let (zk, events) = ZooKeeperAdmin::connect(host, self.config.clone())
            .map_err(|error| CliError::new(error.to_string()))?;
        self.console.events = Some(events);
        let timeout_ms = u64::try_from(self.config.session_timeout_ms).unwrap_or(0);
        let is_connected = !self.options.wait_for_connection
            || zk.wait_connected(Duration::from_millis(timeout_ms));
        if !is_connected {
            zk.close();
            return Err(CliError::new("KeeperErrorCode = ConnectionLoss"));
        }
        self.zk = Some(zk);
        Ok(())
    }

    fn run(&mut self, input: Input) {
        if !self.options.command.is_empty() {
            let words = self.options.command.clone();
            self.process_cmd(words);
            return;
        }
        self.console.out_line("Welcome to ZooKeeper!");
        self.console.out_line("JLine support is disabled");
        let is_terminal = input.is_terminal;
        let lines = match read_lines(input.lines) {
            Ok(lines) => lines,
            Err(error) => {
                self.console.err_line(&format!("cannot start a thread: {error}"));
                self.exit_code = ExitCode::UnexpectedError;
                return;
            }
        };
        while !self.has_quit {
            if is_terminal {
                self.print_prompt();
            }
            let Some(line) = self.next_line(&lines) else { break };
            self.execute_line(&line);
        }
    }

    /// Returns the next line. Prints events while it waits.
    fn next_line(&mut self, lines: &Receiver<String>) -> Option<String> {
        loop {
            let events = self.console.events.clone().unwrap_or_else(never);
            select! {
                recv(lines) -> line => return line.ok(),
                recv(events) -> event => match event {
                    Ok(event) => self.console.print_event(&event),
                    // The client is closed, so no more events come.
                    Err(_) => self.console.events = None,
                },
            }
        }
    }

    fn print_prompt(&mut self) {
        let state = self.zk.as_ref().map_or_else(|| "CLOSED".into(), |zk| zk.state().to_string());
        let prompt = format!("[zk: {}({state}) {}] ", self.host, self.command_count);
        let out = &mut self.console.out;
        let _reader_has_gone = write!(out, "{prompt}").and_then(|()| out.flush());
    }

    /// Runs a line, and prints the events that arrived meanwhile (Java: executeLine).
    pub fn execute_line(&mut self, line: &str) {
        let words = words::split(line);
        if words.is_empty() || line.trim().is_empty() {
            return;
        }
        self.history.insert(self.command_count, line.to_owned());
        self.process_cmd(words);
        self.command_count += 1;
        self.console.print_events();
    }

    /// Java: processCmd.
    fn process_cmd(&mut self, words: Vec<String>) {
        match self.process_zk_cmd(words) {
            Ok(()) => {
                // `quit` ends the shell with the exit code of the previous command.
                if !self.has_quit {
                    self.exit_code = ExitCode::ExecutionFinished;
                }
            }
            Err(error) => {
                self.exit_code = error.exit_code;
                self.console.err_line(&error.message);
            }
        }
    }

    /// Java: processZKCmd.
    fn process_zk_cmd(&mut self, words: Vec<String>) -> Result<(), CliError> {
        let name = words[0].clone();
        let is_own = OWN_COMMANDS.iter().any(|(own, _)| *own == name);
        let command = command_factory::find(&name);
        if !is_own && command.is_none() {
            self.print_usage();
            return Err(CliError::command_not_found(&name));
        }
        debug!(target: LOG, "Processing {name}");
        match name.as_str() {
            "quit" => {
                if let Some(zk) = &self.zk {
                    zk.close();
                }
                self.has_quit = true;
                return Ok(());
            }
            "redo" if words.len() >= 2 => self.redo(&words[1])?,
            "history" => self.print_history(),
            "printwatches" => self.print_watches(words.get(1).map(String::as_str)),
            "connect" => {
                let host = words.get(1).unwrap_or(&self.host).clone();
                self.connect_to_zk(&host)?;
            }
            _ => {}
        }
        let Some(zk) = self.zk.as_ref().filter(|zk| zk.state().is_alive()) else {
            self.console.out_line("Not connected");
            return Ok(());
        };
        let Some(command) = command else { return Ok(()) };
        let Console { out, err, events, print_watches } = &mut self.console;
        let console = Console { out, err, events: events.clone(), print_watches: *print_watches };
        let mut context = Context { zk, multi_address: self.multi_address, console };
        (command.exec)(command, &mut context, words)
    }

    fn redo(&mut self, number: &str) -> Result<(), CliError> {
        let at = decode_number(number).ok_or_else(|| not_a_number(number))?;
        let at = usize::try_from(at).ok().filter(|at| *at < self.command_count);
        let Some(line) = at.and_then(|at| self.history.get(&at).cloned()) else {
            return Err(CliError::new("Command index out of range"));
        };
        let words = words::split(&line);
        if words.first().is_some_and(|word| word == "redo") {
            return Err(CliError::new("No redoing redos"));
        }
        self.history.insert(self.command_count, line);
        self.process_cmd(words);
        Ok(())
    }

    fn print_history(&mut self) {
        let first = self.command_count.saturating_sub(HISTORY_SHOWN);
        for at in first..=self.command_count {
            let line = self.history.get(&at).map_or("null", String::as_str).to_owned();
            self.console.out_line(&format!("{at} - {line}"));
        }
    }

    fn print_watches(&mut self, word: Option<&str>) {
        match word {
            Some(word) => self.console.print_watches = word == "on",
            None => {
                let state = if self.console.print_watches { "on" } else { "off" };
                self.console.out_line(&format!("printwatches is {state}"));
            }
        }
    }

    /// Java: usage.
    fn print_usage(&mut self) {
        let commands = COMMANDS.iter().map(|command| (command.cmd_str, command.option_str));
        let sorted: BTreeMap<&str, &str> = commands.chain(OWN_COMMANDS).collect();
        self.console
            .err_line("ZooKeeper -server host:port -client-configuration properties-file cmd args");
        for (name, options) in sorted {
            self.console.err_line(&format!("\t{name} {options}"));
        }
    }
}

/// The lines of the input. At most one line is read ahead.
fn read_lines(mut input: Box<dyn BufRead + Send>) -> std::io::Result<Receiver<String>> {
    let (sender, lines) = bounded(0);
    zookeeper_thread::spawn("stdin", None, move || {
        let mut bytes = Vec::new();
        while input.read_until(b'\n', &mut bytes)? > 0 {
            let line = String::from_utf8_lossy(&bytes);
            let line = line.trim_end_matches('\n').trim_end_matches('\r').to_owned();
            bytes.clear();
            if sender.send(line).is_err() {
                break; // the shell has ended
            }
        }
        Ok::<(), std::io::Error>(())
    })?;
    Ok(lines)
}

const JUTE_MAXBUFFER: &str = "jute.maxbuffer";
const REQUEST_TIMEOUT: &str = "zookeeper.request.timeout";
const CLIENT_SECURE: &str = "zookeeper.client.secure";
const MULTI_ADDRESS: &str = "zookeeper.multiAddress.enabled";

/// The client's settings, from the command line, from `-D` flags, and from the file of `-client-configuration`, which
/// wins.
fn client_config(
    options: &Options,
    properties: &SystemProperties,
) -> Result<ClientConfig, CliError> {
    let invalid = |message: String| CliError {
        exit_code: ExitCode::InvalidInvocation,
        ..CliError::new(message)
    };
    let mut properties = properties.clone();
    if let Some(file) = &options.client_configuration {
        let bytes = fs::read(file).map_err(|error| invalid(format!("{file}: {error}")))?;
        let from_file =
            Properties::load(&bytes).map_err(|error| invalid(format!("{file}: {error}")))?;
        for property in from_file.iter() {
            properties.set(property.key.clone(), property.value.clone());
        }
    }
    if properties.bool(CLIENT_SECURE) {
        return Err(invalid(format!("{CLIENT_SECURE}=true: this shell does not support TLS")));
    }
    if let Some(notice) = without_sasl(&properties) {
        warn!(target: LOG, "{notice}");
    }
    let mut config = ClientConfig {
        session_timeout_ms: options.timeout.parse().map_err(|_| not_a_number(&options.timeout))?,
        can_be_read_only: options.read_only,
        ..ClientConfig::default()
    };
    if let Some(max_buffer) = properties.number::<usize>(JUTE_MAXBUFFER) {
        config.limits = Limits::new(max_buffer, 0);
    }
    let request_timeout_ms = properties.number_or::<u64>(REQUEST_TIMEOUT, 0);
    config.request_timeout =
        (request_timeout_ms > 0).then(|| Duration::from_millis(request_timeout_ms));
    Ok(config)
}

/// With a JAAS file that has a section for clients, Java's shell authenticates with SASL. This shell continues
/// without SASL.
fn without_sasl(properties: &SystemProperties) -> Option<String> {
    let section = properties.get("zookeeper.sasl.clientconfig").unwrap_or("Client");
    let sections = jaas::sections_of(properties)?.ok()?;
    let asks = properties.bool_or("zookeeper.sasl.client", true)
        && sections.iter().any(|name| name == section);
    asks.then(|| {
        format!(
            "{} has no effect: this shell does not authenticate with SASL; use addauth",
            jaas::LOGIN_CONFIG
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::persistence::test_dir::TestDir;

    fn parse(args: &[&str]) -> (Options, String) {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut err = Vec::new();
        let options = Options::parse(&args, &mut err);
        (options, String::from_utf8(err).unwrap())
    }

    #[test]
    fn options_come_before_the_command_and_the_rest_is_its_own() {
        let (options, err) =
            parse(&["-server", "h:1", "-r", "-x", "-timeout", "5", "ls", "-R", "/"]);
        assert_eq!((options.server.as_str(), options.timeout.as_str()), ("h:1", "5"));
        assert!(options.read_only && !options.wait_for_connection);
        assert_eq!(options.command, ["ls", "-R", "/"]);
        assert_eq!(err, "");
        let (options, err) = parse(&["-waitforconnection", "-server"]);
        assert!(options.wait_for_connection && options.command.is_empty());
        assert_eq!(err, "Error: no argument found for option -server\n");
    }

    #[test]
    fn a_setting_that_cannot_be_followed_is_refused() {
        let (options, _) = parse(&[]);
        let secure = SystemProperties::from_pairs([(CLIENT_SECURE, "true")]);
        let error = client_config(&options, &secure).unwrap_err();
        assert_eq!(error.exit_code, ExitCode::InvalidInvocation);
        let (options, _) = parse(&["-client-configuration", "/no/such/file"]);
        assert!(client_config(&options, &SystemProperties::new()).is_err());
        let (options, _) = parse(&["-timeout", "soon"]);
        let error = client_config(&options, &SystemProperties::new()).unwrap_err();
        assert_eq!(error.message, "For input string: \"soon\"");
    }

    #[test]
    fn a_login_file_with_a_section_for_clients_is_spoken_of() {
        let dir = TestDir::new();
        let file = dir.path().join("jaas.conf");
        fs::write(&file, "Client { a.B required; };\nOther { a.B required; };").unwrap();
        let path = file.display().to_string();
        let said = |key: &str, value: &str| {
            let pairs = [(jaas::LOGIN_CONFIG, path.as_str()), (key, value)];
            without_sasl(&SystemProperties::from_pairs(pairs))
        };
        assert!(said("x", "y").unwrap().starts_with(jaas::LOGIN_CONFIG));
        assert!(said("zookeeper.sasl.clientconfig", "Other").is_some());
        assert_eq!(said("zookeeper.sasl.clientconfig", "None"), None);
        assert_eq!(said("zookeeper.sasl.client", "false"), None);
        assert_eq!(without_sasl(&SystemProperties::new()), None);
    }
}
