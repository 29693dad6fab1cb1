//! The processes of servers that a comparison starts, each with its own ports and directory (no Java twin).
//!
//! A Java server gets the same as from its own `zkServer.sh`: heap, JMX, and logging at INFO to a file.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crossbeam::channel::never;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use crate::common::time;

use super::error::BenchError;
use super::figures::LIMIT;
use super::process_stats::ProcessStats;

/// How long a server may take to end after SIGTERM.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// How often to check whether a server serves or has ended.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How long one check may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// How many lines of a log an error shows.
const LOG_LINES: usize = 20;

/// Heap of a Java server, MB (Java: ZK_SERVER_HEAP in zkEnv.sh).
const JAVA_HEAP_MB: u32 = 1000;

/// The logging configuration that comes with the releases: INFO to the console, which is redirected to a file.
const LOGBACK: &str = r#"<configuration>
  <appender name="CONSOLE" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{ISO8601} [myid:%X{myid}] - %-5p [%t:%C{1}@%L] - %m%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="CONSOLE"/></root>
</configuration>
"#;
const LOG4J: &str = "log4j.rootLogger=INFO, CONSOLE
log4j.appender.CONSOLE=org.apache.log4j.ConsoleAppender
log4j.appender.CONSOLE.layout=org.apache.log4j.PatternLayout
log4j.appender.CONSOLE.layout.ConversionPattern=%d{ISO8601} [myid:%X{myid}] - %-5p [%t:%C{1}@%L] - %m%n
";

/// How a server is started.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Launch {
    /// A release: its `bin/zkServer.sh`.
    Home(PathBuf),
    /// A directory with the jars of a Java server.
    Jars(PathBuf),
    /// A command. The path of the configuration replaces `{cfg}`, or is appended.
    Command(Vec<String>),
}

/// A server as it is given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerSpec {
    pub(crate) label: String,
    launch: Launch,
}

impl ServerSpec {
    /// Reads `label=directory` or `label=command`.
    ///
    /// # Errors
    /// If there is no label, no command, or the directory contains no server.
    pub(crate) fn parse(text: &str) -> Result<Self, BenchError> {
        let wrong = |why: &str| BenchError::Arguments(format!("--server {text}: {why}"));
        let (label, what) = text.split_once('=').ok_or_else(|| wrong("no label= in front"))?;
        if label.is_empty() || label.contains(['/', ' ']) {
            return Err(wrong("the label names a directory, too: no blanks and slashes"));
        }
        if what.trim().is_empty() {
            return Err(wrong("nothing behind the label"));
        }
        // Servers run in directories of their own, so relative paths must become absolute.
        let path = &absolute(what)?;
        let launch = if path.join("bin/zkServer.sh").is_file() {
            Launch::Home(path.into())
        } else if path.is_dir() {
            if !holds_jars(path) {
                return Err(wrong("the directory has neither bin/zkServer.sh nor jars"));
            }
            Launch::Jars(path.into())
        } else {
            let mut words: Vec<String> = what.split_whitespace().map(str::to_owned).collect();
            if words[0].contains('/') {
                words[0] = absolute(&words[0])?.display().to_string();
            }
            Launch::Command(words)
        };
        Ok(Self { label: label.into(), launch })
    }

    /// This program as a server that answers everything and keeps nothing: what this machine can do at most.
    ///
    /// # Errors
    /// If the system does not tell where this program is.
    pub(crate) fn limit() -> Result<Self, BenchError> {
        let program = std::env::current_exe().map_err(BenchError::io("find this program"))?;
        let words = vec![program.display().to_string(), "bench".into(), "null".into()];
        Ok(Self { label: LIMIT.into(), launch: Launch::Command(words) })
    }

    fn command(&self, dir: &Path, options: &ServerOptions) -> Command {
        let cfg = dir.join("zoo.cfg");
        match &self.launch {
            Launch::Home(home) => {
                let mut command = Command::new(home.join("bin/zkServer.sh"));
                command.arg("start-foreground").arg(cfg).env("ZOO_LOG_DIR", dir);
                command
            }
            Launch::Jars(jars) => {
                let mut command = Command::new(&options.java);
                command
                    .arg(format!("-Dzookeeper.log.dir={}", dir.display()))
                    .arg("-Dzookeeper.log.file=zookeeper.log")
                    .args(["-XX:+HeapDumpOnOutOfMemoryError", "-XX:OnOutOfMemoryError=kill -9 %p"])
                    .arg("-cp")
                    .arg(format!("{}:{}/*", dir.display(), jars.display()))
                    .arg(format!("-Xmx{}m", options.java_heap_mb))
                    .args(&options.jvm_flags)
                    .arg("-Dcom.sun.management.jmxremote")
                    .arg("-Dcom.sun.management.jmxremote.local.only=false")
                    .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
                    .arg(cfg);
                command
            }
            Launch::Command(words) => {
                let cfg = cfg.display().to_string();
                let mut words: Vec<String> = words.clone();
                if words.iter().any(|word| word.contains("{cfg}")) {
                    words.iter_mut().for_each(|word| *word = word.replace("{cfg}", &cfg));
                } else {
                    words.push(cfg);
                }
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]);
                command
            }
        }
    }
}

fn absolute(path: &str) -> Result<PathBuf, BenchError> {
    std::path::absolute(path).map_err(BenchError::io(format!("find {path}")))
}

fn holds_jars(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| entry.path().extension().is_some_and(|e| e == "jar"))
        })
    })
}

/// The options that all servers of a comparison share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerOptions {
    /// The Java launcher.
    pub(crate) java: String,
    /// Heap of Java servers, MB.
    pub(crate) java_heap_mb: u32,
    /// Additional flags for the JVM.
    pub(crate) jvm_flags: Vec<String>,
    /// Additional lines for zoo.cfg.
    pub(crate) settings: Vec<String>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            java: "java".into(),
            java_heap_mb: JAVA_HEAP_MB,
            jvm_flags: Vec::new(),
            settings: Vec::new(),
        }
    }
}

/// The directory and port of one process of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its configuration, data and log.
    pub(crate) dir: PathBuf,
    /// Its port for clients.
    pub(crate) port: u16,
    /// The member's number, and the lines of zoo.cfg that name all members; `None` for a standalone server.
    pub(crate) membership: Option<(usize, String)>,
}

/// One process of a server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    label: String,
    addr: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl ServerProcess {
    /// Starts the process on its directory, which may already contain data.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(
        spec: &ServerSpec,
        place: &Place,
        options: &ServerOptions,
    ) -> Result<Self, BenchError> {
        let dir = &place.dir;
        let log = write_files(place, options);
        let log = log.map_err(BenchError::io(format!("prepare {}", dir.display())))?;
        let open = || -> io::Result<_> {
            let out = File::options().create(true).append(true).open(&log)?;
            Ok((out.try_clone()?, out))
        };
        let (out, err) = open().map_err(BenchError::io(format!("write {}", log.display())))?;
        let mut command = spec.command(dir, options);
        command.current_dir(dir).stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().map_err(BenchError::io(format!("start {command:?}")))?;
        let label = place.membership.as_ref().map_or_else(
            || spec.label.clone(),
            |(member, _)| format!("{}, member {member}", spec.label),
        );
        Ok(Self { label, addr: (Ipv4Addr::LOCALHOST, place.port).into(), child, log })
    }

    /// The address for clients.
    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The id of the main process, which may have started others.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The mode in its answer to `srvr`. A server reports its mode only while it serves.
    pub(crate) fn mode(&self) -> Option<String> {
        let ask = || -> io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&self.addr, LOOK_TIMEOUT)?;
            stream.set_read_timeout(Some(LOOK_TIMEOUT))?;
            stream.write_all(b"srvr")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().ok()?;
        answer.lines().find_map(|line| line.strip_prefix("Mode: ")).map(|mode| mode.trim().into())
    }

    /// # Errors
    /// If it has ended.
    pub(crate) fn fail_if_ended(&mut self, when: &str) -> Result<(), BenchError> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(self.failed(format!("ended with {status} {when}"))),
            _ => Ok(()),
        }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// If it does not end in time.
    pub(crate) fn wait_for_end(&mut self) -> Result<(), BenchError> {
        let asked = time::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > STOP_DEADLINE {
                return Err(
                    self.failed(format!("does not end within {STOP_DEADLINE:?} of SIGTERM"))
                );
            }
            pause(LOOK_EVERY);
        }
        Ok(())
    }

    /// Kills the process (SIGKILL) and all processes that it has started. Returns the time of the signal, and the
    /// time when the process was dead.
    ///
    /// # Errors
    /// If waiting for the process fails.
    pub(crate) fn kill(&mut self) -> Result<(Instant, Instant), BenchError> {
        let pids = self.pids();
        let told = time::now();
        send(&pids, Signal::KILL);
        self.child.wait().map_err(BenchError::io("wait for the end of a server"))?;
        Ok((told, time::now()))
    }

    /// Sends the signal to the process and to all processes that it has started. They share this program's process
    /// group, so that Ctrl-C in a terminal also reaches them.
    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.pids(), signal);
    }

    fn pids(&self) -> Vec<u32> {
        ProcessStats::default().pids_of_tree(self.pid())
    }

    /// An error that includes the end of the server's log.
    pub(crate) fn failed(&self, why: String) -> BenchError {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let log = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
        BenchError::Server { label: self.label.clone(), why, log }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::KILL);
        }
        drop(self.child.wait());
    }
}

fn send(pids: &[u32], signal: Signal) {
    for pid in pids {
        if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
            // A process that has already ended needs no signal.
            let _gone = kill_process(pid, signal);
        }
    }
}

/// Free ports on the loopback device. No port is handed out twice.
///
/// They are below the range that systems use for outgoing connections. A client's connection therefore cannot occupy
/// a server's port while that server restarts. The port on which a leader listens for learners is free until it
/// leads, so no port may be handed out twice.
#[derive(Debug)]
pub(crate) struct Ports {
    next: u16,
}

impl Ports {
    const FIRST: u16 = 11_000;
    const LAST: u16 = 32_000;

    /// Starts at a port that usually differs from those of other programs of this kind.
    pub(crate) fn new() -> Self {
        let blocks = u32::from(Self::LAST - Self::FIRST) / 100;
        let block = u16::try_from(std::process::id() % blocks).unwrap_or_default();
        Self { next: Self::FIRST + block * 100 }
    }

    /// A port that was free a moment ago.
    ///
    /// # Errors
    /// If no port is free.
    pub(crate) fn take(&mut self) -> Result<u16, BenchError> {
        for _ in Self::FIRST..=Self::LAST {
            let port = if self.next > Self::LAST { Self::FIRST } else { self.next };
            self.next = port + 1;
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
        Err(BenchError::io("find a free port")(io::ErrorKind::AddrInUse.into()))
    }
}

/// Waits for that time.
pub(crate) fn pause(duration: Duration) {
    // Nothing is ever sent on this channel, so the wait always ends with the timeout.
    let _over = never::<()>().recv_timeout(duration);
}

/// Waits until the whole machine has been nearly idle for a second, but at most for `at_most`.
pub(crate) fn wait_for_quiet_machine(at_most: Duration) {
    const WINDOW: Duration = Duration::from_secs(1);
    const BUSY: Duration = Duration::from_millis(150);
    let stats = ProcessStats::default();
    let start = time::now();
    while start.elapsed() < at_most {
        let before = stats.machine_cpu();
        pause(WINDOW);
        let used = stats.machine_cpu().zip(before).map(|(now, then)| now.saturating_sub(then));
        if used.is_none_or(|used| used < BUSY) {
            return;
        }
    }
}

/// Lets this process and its child processes open as many files as the system allows. Returns the limit, if there is
/// one.
pub(crate) fn raise_file_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// Writes zoo.cfg, the member's number and the logging settings. Returns the path of the log.
fn write_files(place: &Place, options: &ServerOptions) -> io::Result<PathBuf> {
    let dir = &place.dir;
    let data = dir.join("data");
    fs::create_dir_all(dir)?;
    let mut cfg = format!(
        "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir={}\nclientPort={}\n\
         clientPortAddress={}\nmaxClientCnxns=0\nadmin.enableServer=false\n\
         4lw.commands.whitelist=srvr,mntr,ruok\n",
        data.display(),
        place.port,
        Ipv4Addr::LOCALHOST,
    );
    if let Some((member, lines)) = &place.membership {
        cfg.push_str(lines);
        fs::create_dir_all(&data)?;
        fs::write(data.join("myid"), format!("{member}\n"))?;
    }
    for line in &options.settings {
        cfg.push_str(line);
        cfg.push('\n');
    }
    fs::write(dir.join("zoo.cfg"), cfg)?;
    fs::write(dir.join("logback.xml"), LOGBACK)?;
    fs::write(dir.join("log4j.properties"), LOG4J)?;
    Ok(dir.join("server.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_release_a_directory_of_jars_or_a_command() {
        let dir = std::env::temp_dir().join(format!("zk-bench-spec-{}", std::process::id()));
        let (home, jars) = (dir.join("home"), dir.join("jars"));
        fs::create_dir_all(home.join("bin")).unwrap();
        fs::write(home.join("bin/zkServer.sh"), "").unwrap();
        fs::create_dir_all(&jars).unwrap();
        fs::write(jars.join("zookeeper.jar"), "").unwrap();

        let launch = |what: &str| ServerSpec::parse(&format!("l={what}")).map(|spec| spec.launch);
        assert_eq!(launch(home.to_str().unwrap()).unwrap(), Launch::Home(home.clone()));
        assert_eq!(launch(jars.to_str().unwrap()).unwrap(), Launch::Jars(jars.clone()));
        let words = ["zookeeper", "server"].map(str::to_owned).to_vec();
        assert_eq!(launch("zookeeper server").unwrap(), Launch::Command(words));
        let Launch::Command(words) = launch("some/zookeeper server").unwrap() else {
            panic!("not a command");
        };
        assert!(Path::new(&words[0]).is_absolute(), "{words:?}");
        assert!(launch(dir.to_str().unwrap()).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_server_without_a_label_or_a_command_is_refused() {
        for wrong in ["zookeeper server", "=x", "a b=x", "a/b=x", "label=", "label=  "] {
            assert!(ServerSpec::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_configuration_comes_last_or_where_the_command_wants_it() {
        let args = |what: &str| {
            let spec = ServerSpec::parse(&format!("l={what}")).unwrap();
            let command = spec.command(Path::new("/d"), &ServerOptions::default());
            let args = command.get_args().map(|arg| arg.to_str().unwrap().to_owned());
            args.collect::<Vec<_>>()
        };
        assert_eq!(args("z server"), ["server", "/d/zoo.cfg"]);
        assert_eq!(args("z --cfg={cfg} more"), ["--cfg=/d/zoo.cfg", "more"]);
    }

    #[test]
    fn no_port_is_handed_out_twice_or_while_somebody_listens_on_it() {
        let mut ports = Ports::new();
        let first = ports.take().unwrap();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        ports.next = first;
        assert_ne!(ports.take().unwrap(), first);
        drop(taken);
        let free = [(); 20].map(|()| ports.take().unwrap());
        assert!(free.windows(2).all(|pair| pair[0] < pair[1]), "{free:?}");
        ports.next = Ports::LAST + 1;
        assert!((Ports::FIRST..=Ports::LAST).contains(&ports.take().unwrap()));
    }

    #[test]
    fn a_member_has_its_number_and_the_names_of_all_in_its_configuration() {
        let dir = std::env::temp_dir().join(format!("zk-bench-place-{}", std::process::id()));
        let options = ServerOptions { settings: vec!["a=b".into()], ..Default::default() };
        let servers = "server.1=127.0.0.1:1:2\nserver.2=127.0.0.1:3:4\n".to_owned();
        let place = Place { dir: dir.clone(), port: 5, membership: Some((2, servers)) };
        write_files(&place, &options).unwrap();
        let cfg = fs::read_to_string(dir.join("zoo.cfg")).unwrap();
        assert!(cfg.contains("\nclientPort=5\n"), "{cfg}");
        assert!(cfg.ends_with("server.1=127.0.0.1:1:2\nserver.2=127.0.0.1:3:4\na=b\n"), "{cfg}");
        assert_eq!(fs::read_to_string(dir.join("data/myid")).unwrap(), "2\n");

        fs::remove_dir_all(&dir).unwrap();
        write_files(&Place { membership: None, ..place }, &options).unwrap();
        assert!(!fs::read_to_string(dir.join("zoo.cfg")).unwrap().contains("server."));
        assert!(!dir.join("data").exists());
        fs::remove_dir_all(&dir).unwrap();
    }
}
