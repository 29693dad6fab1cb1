//! The shell prints what Java's shell prints (Java: ZooKeeperMain.java and package cli).
//!
//! Java's shell made `compat_data/zkcli_3.9.5.txt` on Java's server, both of 3.9.5, with
//! zookeeper.extendedTypesEnabled. Lines with `$` were typed, lines with two spaces are standard output, and lines
//! with `!` are standard error. Times are left out.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use std::io::{self, Cursor, Write};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use common::{DEADLINE, Program, Server, ServerBuilder};
use zookeeper_server::internals::common::zk_config::SystemProperties;
use zookeeper_server::internals::util::lock_rank::{Rank, RankedMutex};
use zookeeper_server::internals::zookeeper_main::{Input, ZooKeeperMain, main};

const TRANSCRIPT: &str = include_str!("compat_data/zkcli_3.9.5.txt");

/// Collects what is printed to a stream. `mark` marks its lines.
#[derive(Clone)]
struct Stream {
    mark: &'static str,
    text: Arc<RankedMutex<String>>,
}

impl Stream {
    fn new(mark: &'static str) -> Self {
        Self { mark, text: Arc::new(RankedMutex::new(Rank::Leaf, "Stream", String::new())) }
    }

    /// The lines that were printed since the last call.
    fn take(&self) -> Vec<String> {
        let text = std::mem::take(&mut *self.text.lock());
        text.lines().map(|line| without_time(&format!("{} {line}", self.mark))).collect()
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.lock().push_str(std::str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn without_time(line: &str) -> String {
    for field in ["ctime", "mtime"] {
        let start = format!("  {field} = ");
        if line.starts_with(&start) && !line.ends_with("1970") {
            return start + "DATE";
        }
    }
    line.trim_end().to_owned()
}

fn server(program: Program) -> Server {
    ServerBuilder::new().program(program).property("zookeeper.extendedTypesEnabled", "true").start()
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn the_shell_prints_what_java_prints_on(server: &Server) {
    let (out, err) = (Stream::new(" "), Stream::new("!"));
    let (mut shell_out, mut shell_err) = (out.clone(), err.clone());
    // With this option, the first event comes before the first command.
    let args = strings(&["-waitforconnection", "-server", &server.address()]);
    let properties = SystemProperties::new();
    let mut shell = ZooKeeperMain::new(&args, &properties, &mut shell_out, &mut shell_err).unwrap();
    let mut expected = TRANSCRIPT.lines().map(str::trim_end).peekable();
    assert!(out.take()[0].starts_with("  Connecting to "));
    shell.execute_line("printwatches on");
    out.take();
    let mut commands = 0;
    while let Some(line) = expected.next() {
        let command = line.strip_prefix("$ ").unwrap();
        let mut printed = Vec::new();
        while let Some(line) = expected.next_if(|line| !line.starts_with('$')) {
            printed.push(line.to_owned());
        }
        // The test has executed one command before those of the transcript.
        shell.execute_line(&with_other_number(command));
        let shown: Vec<String> =
            out.take().into_iter().chain(err.take()).map(|line| other_number(&line)).collect();
        assert_eq!(shown, printed, "$ {command}");
        commands += 1;
    }
    assert!(commands > 150, "{commands} commands in the transcript");
}

/// The numbers of `redo` also count the test's own first command.
fn with_other_number(command: &str) -> String {
    match command.strip_prefix("redo ").and_then(|number| number.parse::<u32>().ok()) {
        Some(number) => format!("redo {}", number + 1),
        None => command.to_owned(),
    }
}

/// The numbers of `history` also count the test's own first command.
fn other_number(line: &str) -> String {
    let parts = line.trim_start().split_once(" - ");
    match parts.and_then(|(number, rest)| Some((number.parse::<u32>().ok()?, rest))) {
        Some((number, rest)) => format!("  {} - {rest}", number - 1),
        None => line.to_owned(),
    }
}

#[test]
fn the_shell_prints_on_our_server_what_java_prints_on_its_own() {
    the_shell_prints_what_java_prints_on(&server(Program::Ours));
}

#[test]
#[ignore = "needs Java 3.9"]
fn the_shell_prints_on_javas_server_what_java_prints() {
    the_shell_prints_what_java_prints_on(&server(Program::Java("3.9.5")));
}

fn zookeeper(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_zookeeper"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_single_command_ends_with_its_exit_code() {
    let server = Server::start();
    let address = server.address();
    let run = |command: &[&str]| {
        let mut args = vec!["cli", "-server", &address];
        args.extend(command);
        let output = zookeeper(&args, "");
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = run(&["create", "-e", "/e", "x y"]);
    assert_eq!((code, err.as_str()), (Some(0), "Created /e\n"));
    let connected = "WATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null zxid: -1\n";
    assert_eq!(out, format!("Connecting to {address}\n\n{connected}"));
    // The session is left to expire, with its ephemeral nodes.
    let (code, out, _) = run(&["get", "/e"]);
    assert_eq!(code, Some(0));
    assert!(out.ends_with("x y\n"), "{out}");
    let (code, _, err) = run(&["get", "/nope"]);
    assert_eq!((code, err.as_str()), (Some(1), "Node does not exist: /nope\n"));
    assert_eq!(run(&["nonsense"]).0, Some(127));
}

#[test]
fn lines_of_the_input_are_commands_until_quit() {
    let server = Server::start();
    let input = "create /a 1\nget /a\n\nquit\nget /never\n";
    let output = zookeeper(&["cli", "-server", &server.address()], input);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}");
    assert!(out.contains("\nWelcome to ZooKeeper!\n"), "{out}");
    assert!(out.contains("\n1\n"), "{out}");
    assert!(out.ends_with("WatchedEvent state:Closed type:None path:null zxid: -1\n"), "{out}");
    assert_eq!(text(&output.stderr), "Created /a\n");
    let closed = server.client().exists("/never", false).unwrap();
    assert_eq!(closed, None);
}

#[test]
fn events_are_printed_while_nobody_types() {
    let server = Server::start();
    let client = server.client();
    let (lines, input) = io::pipe().unwrap();
    let (out, mut err) = (Stream::new(" "), Stream::new("!"));
    let mut shell_out = out.clone();
    let args = strings(&["-server", &server.address()]);
    let shell =
        zookeeper_server::internals::server::zookeeper_thread::spawn("shell", None, move || {
            let input = Input { lines: Box::new(io::BufReader::new(lines)), is_terminal: false };
            main(&args, &SystemProperties::new(), input, &mut shell_out, &mut err);
            Ok::<(), io::Error>(())
        });
    let mut input = input;
    input.write_all(b"get -w /zookeeper\n").unwrap();
    let printed = RankedMutex::new(Rank::ConnectionTable, "printed", Vec::new());
    let has_printed = |what: &str| {
        let mut printed = printed.lock();
        printed.extend(out.take());
        printed.iter().any(|line| line.contains(what))
    };
    common::wait_until("the watch is set", DEADLINE, || {
        server.four_letter_word("wchs").is_some_and(|answer| answer.contains("Total watches:1"))
    });
    client.set_data("/zookeeper", Some(b"new"), -1).unwrap();
    common::wait_until("the event is printed", DEADLINE, || {
        has_printed("type:NodeDataChanged path:/zookeeper")
    });
    input.write_all(b"quit\n").unwrap();
    shell.unwrap().join().unwrap();
}

#[test]
fn a_shell_without_a_server_says_so_and_fails() {
    let address = format!("127.0.0.1:{}", common::free_port());
    let mut out = Vec::new();
    let mut err = Vec::new();
    let args = strings(&["-server", &address, "-timeout", "1000", "-waitforconnection", "ls", "/"]);
    let input = Input { lines: Box::new(Cursor::new(Vec::new())), is_terminal: false };
    let code = main(&args, &SystemProperties::new(), input, &mut out, &mut err);
    assert_eq!(code.value(), 1);
    assert_eq!(text(&err), "KeeperErrorCode = ConnectionLoss\n");
}
