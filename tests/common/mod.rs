//! Helpers of integration tests (no Java twin): servers in processes of their own, with free ports and their own
//! directories, and waiting with a deadline.
//!
//! When a test fails, each of its servers prints the end of its log and the path of its data.

#![allow(dead_code, reason = "each test crate uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]
#![allow(clippy::print_stderr, reason = "a failing test tells what happened")]
#![allow(unreachable_pub, reason = "a module of several test crates")]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, never};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use zookeeper_server::admin::zookeeper_admin::ZooKeeperAdmin;
use zookeeper_server::ids::SessionId;
use zookeeper_server::internals::client::four_letter_word_main::send_4_letter_word;
use zookeeper_server::internals::common::time;
use zookeeper_server::internals::jute::{BinaryInputArchive, Limits, Record};
use zookeeper_server::internals::proto::{
    ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader,
};
use zookeeper_server::zoo_defs::OpCode;
use zookeeper_server::zookeeper::{ClientConfig, ClientEvent};

/// A deadline for steps that normally take much less; the machine may be busy.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The pause between two checks of a condition.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How much of its log a server prints when a test fails, in bytes.
const LOG_TAIL: usize = 16 * 1024;

/// Declares tests whose body (in a module `bodies`) runs against our server and against Java's.
#[allow(unused_macros, reason = "not every test crate has such tests")]
macro_rules! against_both {
    ($ours:expr, $java:expr; $( $body:ident, $of_java:ident; )*) => {$(
        #[test]
        fn $body() {
            bodies::$body($ours);
        }

        #[test]
        #[ignore = "needs Java 3.9"]
        fn $of_java() {
            bodies::$body($java);
        }
    )*};
}

/// Waits until the condition holds.
///
/// # Panics
/// When the condition does not hold in time. The message says what was awaited.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let value = wait_for(deadline, || condition().then_some(()));
    assert!(value.is_some(), "waited {deadline:?} in vain until {what}");
}

/// Waits until `look` returns a value. Returns `None` if there is none in time.
pub fn wait_for<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = time::now() + deadline;
    loop {
        if let Some(value) = look() {
            return Some(value);
        }
        if time::now() >= end {
            return None;
        }
        let _always_a_timeout = never::<()>().recv_timeout(LOOK_INTERVAL);
    }
}

/// These ports are below those that systems give to outgoing connections, so none of those takes the port of a server
/// that is down.
const PORTS: std::ops::Range<u32> = 10_240..32_768;

/// A port on which nobody listens. A process gets each port only once, and different processes start at different
/// ports.
pub fn free_port() -> u16 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(331);
    loop {
        let number = begin.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + number % (PORTS.end - PORTS.start)).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A directory that is removed at the end, but kept if the test fails.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("zk-{name}-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _left_over = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory for the test");
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _already_gone = fs::remove_dir_all(&self.path);
        }
    }
}

/// The program of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The binary of this repository, as cargo builds it for the tests.
    Ours,
    /// The optimised binary: `ZOOKEEPER_BIN`, or `target/release/zookeeper`.
    Release,
    /// Java's server of this version, installed by `tests/peers/install.sh`.
    Java(&'static str),
}

/// The settings of a server to be started.
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    program: Program,
    config: Vec<String>,
    properties: Vec<(String, String)>,
    admin_server: bool,
    files: Option<(u32, u32)>,
}

impl ServerBuilder {
    /// A standalone server of this repository that allows all four-letter words and has no admin server.
    pub fn new() -> Self {
        Self {
            program: Program::Ours,
            config: Vec::new(),
            properties: Vec::new(),
            admin_server: false,
            files: None,
        }
    }

    /// The same for Java's server, of the release that ours follows.
    pub fn java() -> Self {
        Self::new().program(Program::Java("3.9.5"))
    }

    /// Uses another program.
    #[must_use]
    pub fn program(mut self, program: Program) -> Self {
        self.program = program;
        self
    }

    /// Adds a line to zoo.cfg.
    #[must_use]
    pub fn config(mut self, line: &str) -> Self {
        self.config.push(line.to_owned());
        self
    }

    /// Adds a `-Dkey=value`.
    #[must_use]
    pub fn property(mut self, key: &str, value: &str) -> Self {
        self.properties.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Adds an admin server on a free port.
    #[must_use]
    pub fn admin_server(mut self) -> Self {
        self.admin_server = true;
        self
    }

    /// Sets the soft and hard limits of open files.
    #[must_use]
    pub fn files(mut self, soft: u32, hard: u32) -> Self {
        self.files = Some((soft, hard));
        self
    }

    /// Starts the server in a directory of its own, and waits until it serves.
    #[track_caller]
    pub fn start(self) -> Server {
        let mut server = self.prepare();
        server.start_again();
        server
    }

    /// Creates the directory and zoo.cfg, but does not start the server.
    pub fn prepare(self) -> Server {
        let dir = TempDir::new("server");
        let (client_port, admin_port) = (free_port(), free_port());
        let data_dir = dir.path().join("data");
        fs::create_dir_all(&data_dir).unwrap();
        let mut lines = vec![
            "tickTime=2000".to_owned(),
            format!("dataDir={}", data_dir.display()),
            format!("clientPort={client_port}"),
            "4lw.commands.whitelist=*".to_owned(),
            format!("admin.enableServer={}", self.admin_server),
            format!("admin.serverPort={admin_port}"),
        ];
        // A later line replaces an earlier one with the same key.
        for line in self.config {
            let key = line.split('=').next().unwrap_or_default().to_owned();
            lines.retain(|other| other.split('=').next() != Some(key.as_str()));
            lines.push(line);
        }
        fs::write(dir.path().join("zoo.cfg"), lines.join("\n") + "\n").unwrap();
        Server {
            program: self.program,
            properties: self.properties,
            files: self.files,
            dir,
            client_port,
            admin_port,
            child: None,
        }
    }
}

/// A server in a process of its own.
#[derive(Debug)]
pub struct Server {
    program: Program,
    properties: Vec<(String, String)>,
    files: Option<(u32, u32)>,
    dir: TempDir,
    client_port: u16,
    admin_port: u16,
    child: Option<Child>,
}

impl Server {
    /// Starts a standalone server of this repository with default settings.
    #[track_caller]
    pub fn start() -> Self {
        ServerBuilder::new().start()
    }

    pub fn client_port(&self) -> u16 {
        self.client_port
    }

    /// The server listens for clients at another port from now on.
    pub fn set_client_port(&mut self, port: u16) {
        self.client_port = port;
    }

    pub fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// `host:port` for clients.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.client_port)
    }

    /// The directory with zoo.cfg, the log and the data.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The directory of snapshots and transaction logs.
    pub fn version_dir(&self) -> PathBuf {
        self.dir().join("data").join("version-2")
    }

    #[expect(clippy::disallowed_methods, reason = "flags of a JVM come from outside")]
    fn command(&self) -> Command {
        let config = self.dir().join("zoo.cfg");
        let properties = self.properties.iter().map(|(key, value)| format!("-D{key}={value}"));
        match self.program {
            Program::Ours | Program::Release => {
                let mut command = self.limited(self.binary());
                let flags = std::env::var("ZOOKEEPER_TEST_FLAGS").unwrap_or_default();
                command.args(flags.split_whitespace()).args(properties);
                command.arg("server").arg(config);
                command
            }
            Program::Java(version) => {
                let script =
                    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/java_server.sh");
                let mut flags: Vec<String> = properties.collect();
                flags.extend(std::env::var("JVMFLAGS"));
                let mut command = self.limited("bash".into());
                command.arg(script).arg(version).arg(config).arg(self.log_file());
                command.env("JVMFLAGS", flags.join(" "));
                command
            }
        }
    }

    fn binary(&self) -> OsString {
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/zookeeper");
        match self.program {
            Program::Release => std::env::var_os("ZOOKEEPER_BIN").unwrap_or(built.into()),
            _ => env!("CARGO_BIN_EXE_zookeeper").into(),
        }
    }

    /// A command that runs under the server's limits of open files.
    fn limited(&self, program: OsString) -> Command {
        let Some((soft, hard)) = self.files else { return Command::new(program) };
        let mut command = Command::new("sh");
        let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$@\"");
        command.args(["-c", &script, "sh"]).arg(program);
        command
    }

    fn log_file(&self) -> PathBuf {
        self.dir().join("server.log")
    }

    /// Changes a `-Dkey=value` for later starts.
    pub fn set_property(&mut self, key: &str, value: &str) {
        self.properties.retain(|(other, _)| other != key);
        self.properties.push((key.to_owned(), value.to_owned()));
    }

    /// Changes the soft and hard limits of open files for later starts.
    pub fn set_files(&mut self, soft: u32, hard: u32) {
        self.files = Some((soft, hard));
    }

    /// Starts the process without waiting for it to serve.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the server runs already");
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let child = self
            .command()
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the server's program can be started");
        self.child = Some(child);
    }

    /// Starts the server (again) with the data in its directory, and waits until it serves.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.spawn();
        let serves = wait_for(DEADLINE, || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "the server has ended: {ended:?}");
            self.serves().then_some(())
        });
        assert!(serves.is_some(), "the server does not serve after {DEADLINE:?}");
    }

    /// Whether the answer to `srvr` shows that the server serves.
    pub fn serves(&self) -> bool {
        self.four_letter_word("srvr").is_some_and(|answer| answer.contains("Mode: "))
    }

    /// The answer to a four-letter word; `None` if there is none.
    pub fn four_letter_word(&self, word: &str) -> Option<String> {
        send_4_letter_word("127.0.0.1", self.client_port, word).ok()
    }

    /// The same, but asks again until there is an answer.
    #[track_caller]
    pub fn wait_four_letter_word(&self, word: &str) -> String {
        let answer = wait_for(DEADLINE, || self.four_letter_word(word));
        answer.unwrap_or_else(|| panic!("the server does not answer to {word}"))
    }

    /// A value of `mntr`, without the leading `zk_` in its name.
    #[track_caller]
    pub fn monitor(&self, key: &str) -> f64 {
        // Asks again, because a Java server that is starting may leave a connection without an answer, and a member
        // may be changing its role.
        let answer = wait_for(DEADLINE, || {
            let answer = self.four_letter_word("mntr")?;
            (!answer.contains("not currently serving")).then_some(answer)
        });
        let answer = answer.expect("the server answers to mntr");
        let line = format!("zk_{key}\t");
        let value = answer.lines().find_map(|text| text.strip_prefix(&line));
        let value = value.unwrap_or_else(|| panic!("mntr has no {key}:\n{answer}"));
        value.parse().unwrap_or_else(|_| panic!("{key} is {value}"))
    }

    /// The time, as `dump` shows it, at which a session expires if its client sends nothing more. `None` if there is
    /// no such session.
    #[track_caller]
    pub fn session_end(&self, id: SessionId) -> Option<SessionEnd> {
        let dump = self.wait_four_letter_word("dump");
        let sessions = dump.split("ephemeral nodes dump:").next().unwrap();
        let session = format!("\t{:#x}", id.0);
        let mut end = None;
        for line in sessions.lines() {
            if let Some((_, date)) = line.split_once(" expire at ") {
                end = Some(SessionEnd::parse(date));
            } else if line == session {
                return end;
            }
        }
        None
    }

    /// A connected client.
    #[track_caller]
    pub fn client(&self) -> Client {
        self.client_with(client_config())
    }

    /// A connected client with its own settings.
    #[track_caller]
    pub fn client_with(&self, config: ClientConfig) -> Client {
        self.client_below("", config)
    }

    /// A connected client below a chroot.
    #[track_caller]
    pub fn client_below(&self, chroot: &str, config: ClientConfig) -> Client {
        Client::connect(&format!("{}{chroot}", self.address()), config)
    }

    /// A connection for hand-written packets.
    #[track_caller]
    pub fn raw(&self) -> RawConnection {
        RawConnection::open(self.client_port)
    }

    /// The quorum port and the election port of each member, as its zoo.cfg lists them.
    pub fn ports_of_members(&self) -> Vec<[u16; 2]> {
        let config = fs::read_to_string(self.dir().join("zoo.cfg")).unwrap();
        let ports = |line: &str| {
            let mut ports = line.split_once("=127.0.0.1:")?.1.split(':');
            Some([ports.next()?.parse().ok()?, ports.next()?.parse().ok()?])
        };
        config.lines().filter(|line| line.starts_with("server.")).filter_map(ports).collect()
    }

    /// Stops all threads of the server. Its connections stay open.
    #[track_caller]
    pub fn freeze(&self) {
        let pid = self.process();
        kill_process(pid, Signal::STOP).unwrap();
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "{status:?}");
    }

    /// Lets the threads of the server continue.
    #[track_caller]
    pub fn thaw(&self) {
        kill_process(self.process(), Signal::CONT).unwrap();
    }

    fn process(&self) -> Pid {
        i32::try_from(self.pid()).ok().and_then(Pid::from_raw).unwrap()
    }

    /// Ends the process at once (kill -9).
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("the server runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks the process to end (SIGTERM) and waits for it.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        let pid = self.child.as_ref().expect("the server runs").id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(asked.success(), "cannot send SIGTERM to {pid}");
        self.wait_ended()
    }

    /// Whether the process was started and has ended on its own.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some())
    }

    /// Waits until the process ends on its own.
    #[track_caller]
    pub fn wait_ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server was started");
        let status = wait_for(DEADLINE, || child.try_wait().unwrap());
        if status.is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        status.unwrap_or_else(|| panic!("the server has not ended after {DEADLINE:?}"))
    }

    /// The process's resident memory, in MiB.
    #[track_caller]
    pub fn resident_mib(&self) -> u64 {
        self.memory_mib("VmRSS:")
    }

    /// The peak of the process's resident memory, in MiB.
    #[track_caller]
    pub fn peak_mib(&self) -> u64 {
        self.memory_mib("VmHWM:")
    }

    #[track_caller]
    fn memory_mib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()).expect("its memory");
        kib.parse::<u64>().unwrap() / 1024
    }

    /// Everything that the server has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    fn print_log(&self) {
        let log = self.log();
        let mut start = log.len().saturating_sub(LOG_TAIL);
        while !log.is_char_boundary(start) {
            start += 1;
        }
        eprintln!(
            "---- {:?} on port {}, data in {}, end of its log:\n{}\n----",
            self.program,
            self.client_port,
            self.dir().display(),
            &log[start..]
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _already_ended = child.kill();
            let _already_ended = child.wait();
        }
        if std::thread::panicking() {
            self.print_log();
        }
    }
}

/// The end of a session in a `dump`: the seconds since the full hour, from a date such as `Thu Jan 01 00:00:16 UTC
/// 1970:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEnd(u64);

impl SessionEnd {
    #[track_caller]
    fn parse(date: &str) -> Self {
        let time = date.split(' ').find(|part| part.matches(':').count() == 2).expect("a time");
        let mut parts = time.split(':').map(|part| part.parse::<u64>().expect("a number"));
        let [_, Some(minutes), Some(seconds)] = [parts.next(), parts.next(), parts.next()] else {
            panic!("{date}");
        };
        Self(minutes * 60 + seconds)
    }

    /// Whether this end is at least `seconds` and less than half an hour later than the other one. Two readings of
    /// the same end may differ by a second, because the server computes it from two clocks that it reads one after
    /// the other.
    pub fn is_later_by(self, seconds: u64, other: Self) -> bool {
        (seconds..1800).contains(&((self.0 + 3600 - other.0) % 3600))
    }
}

/// The settings of a client in a test, with a timeout for every request.
pub fn client_config() -> ClientConfig {
    ClientConfig {
        request_timeout: Some(DEADLINE),
        reconnect_pause_ms: 50,
        // A Java server that is starting leaves a client without an answer if its database is not made yet.
        connect_timeout: Some(Duration::from_secs(5)),
        ..ClientConfig::default()
    }
}

/// A client and its events.
#[derive(Debug)]
pub struct Client {
    pub zk: ZooKeeperAdmin,
    pub events: Receiver<ClientEvent>,
}

impl Client {
    /// A client that is connected to one of the servers.
    #[track_caller]
    pub fn connect(servers: &str, config: ClientConfig) -> Self {
        let (zk, events) = ZooKeeperAdmin::connect(servers, config).expect("a client");
        assert!(zk.wait_connected(DEADLINE), "not connected after {DEADLINE:?}: {}", zk.state());
        Self { zk, events }
    }

    /// The next event of a watch. Skips changes of the client's own state.
    #[track_caller]
    pub fn next_watch_event(&self) -> ClientEvent {
        let event =
            wait_for(DEADLINE, || self.events.try_iter().find(|event| event.path.is_some()));
        event.expect("a watch fires")
    }

    /// The watch events that have arrived so far. Call it after an operation whose answer comes after these events.
    pub fn watch_events(&self) -> Vec<ClientEvent> {
        self.events.try_iter().filter(|event| event.path.is_some()).collect()
    }
}

impl std::ops::Deref for Client {
    type Target = ZooKeeperAdmin;
    fn deref(&self) -> &ZooKeeperAdmin {
        &self.zk
    }
}

/// A connection on which a test sends hand-written packets.
#[derive(Debug)]
pub struct RawConnection {
    pub stream: TcpStream,
}

impl RawConnection {
    #[track_caller]
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Sends bytes unchanged.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a frame, preceded by its length.
    pub fn send_frame(&mut self, body: &[u8]) {
        self.send_bytes(&framed(body));
    }

    /// The next frame; `None` if the server has closed the connection.
    #[track_caller]
    pub fn receive_frame(&mut self) -> Option<Vec<u8>> {
        let mut len = [0; 4];
        match self.stream.read_exact(&mut len) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset
                ) =>
            {
                return None;
            }
            Err(error) => panic!("no frame: {error}"),
        }
        let mut body = vec![0; usize::try_from(i32::from_be_bytes(len)).unwrap()];
        self.stream.read_exact(&mut body).unwrap();
        Some(body)
    }

    /// Asks for a session. Returns the raw answer.
    #[track_caller]
    pub fn handshake(&mut self, request: &ConnectRequest, with_read_only: bool) -> Option<Vec<u8>> {
        let mut bytes = request.to_bytes();
        if !with_read_only {
            bytes.pop();
        }
        self.send_frame(&bytes);
        self.receive_frame()
    }

    /// Opens a new session.
    #[track_caller]
    pub fn new_session(&mut self) -> ConnectResponse {
        self.new_session_for(30_000)
    }

    /// Opens a new session with this timeout, ms.
    #[track_caller]
    pub fn new_session_for(&mut self, time_out: i32) -> ConnectResponse {
        let request =
            ConnectRequest { time_out, passwd: Some(vec![0; 16]), ..ConnectRequest::default() };
        let body = self.handshake(&request, true).expect("a session");
        decode(&body).0
    }

    /// Sends a request.
    pub fn send_request(&mut self, xid: i32, op: i32, payload: &[u8]) {
        self.send_bytes(&request_frame(xid, op, payload));
    }

    /// Sends a request. Returns the header and the body of the next frame.
    #[track_caller]
    pub fn ask(&mut self, xid: i32, op: OpCode, request: &impl Record) -> (ReplyHeader, Vec<u8>) {
        self.send_request(xid, op.code(), &request.to_bytes());
        self.receive_reply().expect("an answer")
    }

    /// The header and the body of the next frame; `None` if the server has closed the connection.
    #[track_caller]
    pub fn receive_reply(&mut self) -> Option<(ReplyHeader, Vec<u8>)> {
        self.receive_frame().map(|frame| {
            let (header, rest) = decode(&frame);
            (header, rest.to_vec())
        })
    }
}

/// A frame: its length, and the body.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let len = i32::try_from(body.len()).unwrap().to_be_bytes();
    [&len[..], body].concat()
}

/// The frame of a request.
pub fn request_frame(xid: i32, op: i32, payload: &[u8]) -> Vec<u8> {
    let header = RequestHeader { xid, r#type: op }.to_bytes();
    framed(&[&header[..], payload].concat())
}

/// Decodes a record at the start of `bytes`. Returns it and the remaining bytes.
#[track_caller]
pub fn decode<T: Record>(bytes: &[u8]) -> (T, &[u8]) {
    let mut archive = BinaryInputArchive::new(bytes, Limits::default());
    let record = T::deserialize(&mut archive).expect("a record");
    (record, archive.into_input())
}
