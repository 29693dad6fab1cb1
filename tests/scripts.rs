//! The scripts in `bin/` (no Java twin: Java's scripts have no tests of their own).
//!
//! Most tests run the scripts with a stand-in for the binary that records its arguments, because they test what the
//! scripts make of files and variables. The last group of tests runs the real server.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{DEADLINE, free_port, wait_for, wait_until};

/// An installation with its own configuration, data and stand-in for the binary. It is removed at the end.
struct Installation {
    root: PathBuf,
}

impl Installation {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("zk-scripts-{}-{name}", std::process::id()));
        let _left_over = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("conf")).unwrap();
        let installation = Self { root };
        // Links instead of copies, because a child of another test may still have a newly written program open.
        symlink(repository("tests/zookeeper_stand_in.sh"), installation.path("zookeeper")).unwrap();
        installation
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes conf/zoo.cfg with `data` as the data directory, and more lines.
    fn config(&self, more: &str) {
        let data = self.path("data");
        self.write("conf/zoo.cfg", &format!("dataDir={}\n{more}\n", data.display()));
    }

    fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// A command that runs a script of `bin/` with the configuration directory of this installation.
    fn command(&self, script: &str, args: &[&str]) -> Command {
        let mut command = Command::new(repository("bin").join(script));
        command
            .args(args)
            .current_dir(&self.root)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("ZOOKEEPER_BIN", self.path("zookeeper"))
            .env("ZOOCFGDIR", self.path("conf"))
            .env("ZOO_LOG_DIR", self.path("logs"));
        command
    }

    fn run(&self, script: &str, args: &[&str]) -> Output {
        self.command(script, args).output().unwrap()
    }

    /// The arguments that the stand-in has recorded.
    fn noted(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("args")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until the stand-in has recorded its arguments. The script does not wait for it.
    fn wait_noted(&self, last: &str) -> Vec<String> {
        wait_until("the server has begun", DEADLINE, || {
            self.noted().last().is_some_and(|noted| noted.ends_with(last))
        });
        self.noted()
    }

    fn pid(&self) -> Option<String> {
        fs::read_to_string(self.data_dir().join("zookeeper_server.pid")).ok()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _gone = Command::new("kill").arg("-9").arg(pid).output();
        }
        let _gone = fs::remove_dir_all(&self.root);
    }
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn assert_ends(output: &Output, code: i32, text: &str) {
    let both = format!("{}{}", out(output), err(output));
    assert_eq!(output.status.code(), Some(code), "{both}");
    assert!(both.contains(text), "{text:?} is not in {both:?}");
}

#[test]
fn a_server_is_started_once_and_stopped() {
    let here = Installation::new("start-stop");
    here.config("clientPort=2181");

    let started = here.run("zkServer.sh", &["start"]);
    assert_ends(&started, 0, "Starting zookeeper ... STARTED\n");
    let pid = here.pid().unwrap();
    assert!(!pid.is_empty() && pid.chars().all(|c| c.is_ascii_digit()), "{pid:?}");
    let log = format!("-Dzookeeper.log.dir={}", here.path("logs").display());
    let noted = here.wait_noted("/conf/zoo.cfg");
    assert_eq!(noted[0], log);
    let config = here.path("conf/zoo.cfg").display().to_string();
    assert_eq!(noted[noted.len() - 2..], ["server".to_owned(), config]);

    let again = here.run("zkServer.sh", &["start"]);
    assert_ends(&again, 1, &format!("already running as process {pid}."));

    assert_ends(&here.run("zkServer.sh", &["stop"]), 0, "Stopping zookeeper ... STOPPED\n");
    assert_eq!(here.pid(), None);
    let text = "Stopping zookeeper ... no zookeeper to stop (could not find file";
    assert_ends(&here.run("zkServer.sh", &["stop"]), 0, text);
}

/// Two servers on the same data lose writes.
#[test]
fn a_server_that_does_not_stop_keeps_others_from_starting() {
    let here = Installation::new("hangs");
    here.config("clientPort=2181");
    assert_ends(&here.run("zkServer.sh", &["start"]), 0, "STARTED");
    let pid = here.pid().unwrap();
    let signal = |signal: &str| Command::new("kill").args([signal, &pid]).output().unwrap();
    signal("-STOP");
    let stopped = here.run("zkServer.sh", &["restart"]);
    assert_ends(&stopped, 1, &format!("process {pid} was told to stop and still runs"));
    assert!(!out(&stopped).contains("Starting"), "{}", out(&stopped));
    assert_eq!(here.pid(), Some(pid.clone()));
    assert_ends(&here.run("zkServer.sh", &["start"]), 1, "already running as process");
    signal("-CONT");
    wait_until("the server has ended", DEADLINE, || !fs::exists(format!("/proc/{pid}")).unwrap());
    assert_ends(&here.run("zkServer.sh", &["start"]), 0, "STARTED");
    assert_ends(&here.run("zkServer.sh", &["stop"]), 0, "STOPPED");
}

#[test]
fn a_server_that_ends_at_once_has_failed_to_start() {
    let here = Installation::new("fails");
    here.config("");
    here.write("broken", "");
    // The script looks only once, after a second. A server may not have ended by then.
    let failed = wait_for(DEADLINE, || {
        let output = here.run("zkServer.sh", &["start"]);
        out(&output).contains("FAILED TO START").then_some(output)
    });
    assert_ends(&failed.expect("it fails to start"), 1, "FAILED TO START");
    let logs = fs::read_dir(here.path("logs")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(logs.extension(), Some(OsStr::new("out")));
    assert_eq!(fs::read_to_string(logs).unwrap(), "broken\n");
}

#[test]
fn restart_keeps_the_configuration_directory() {
    let here = Installation::new("restart");
    fs::rename(here.path("conf"), here.path("other")).unwrap();
    let data = here.data_dir();
    here.write("other/my.cfg", &format!("dataDir={}\n", data.display()));
    let other = here.path("other").display().to_string();
    let args = ["--config", other.as_str(), "restart", "my.cfg"];
    let output = here.command("zkServer.sh", &args).env_remove("ZOOCFGDIR").output().unwrap();
    assert_ends(&output, 0, "STARTED");
    here.wait_noted("/other/my.cfg");
    let pid = here.pid().unwrap();
    let output = here.command("zkServer.sh", &args).env_remove("ZOOCFGDIR").output().unwrap();
    assert_ends(&output, 0, "STOPPED");
    assert_ne!(here.pid().unwrap(), pid);
}

#[test]
fn flags_and_variables_reach_the_binary_unchanged() {
    let here = Installation::new("flags");
    here.config("");
    here.write("conf/java.env", "JVMFLAGS=\"$JVMFLAGS -Dfrom=java.env\"\n");
    here.write("conf/zookeeper-env.sh", "ZOO_LOG4J_PROP=WARN,CONSOLE\n");
    let output = here
        .command("zkServer.sh", &["start-foreground"])
        .env("ZOO_NOEXEC", "1")
        .env("SERVER_JVMFLAGS", "-Xmx1g  -Dfirst=*")
        .env("JVMFLAGS", "-Dsecond=a=b")
        .env("RUST_LOG", "a.B=debug")
        .env("JMXPORT", "9999")
        .env("ZOO_LOG_FILE", "my log")
        .env("ZOOKEEPER_BIN", "/bin/echo")
        .output()
        .unwrap();
    let text = out(&output);
    let flags = "-Dzookeeper.log.file=my log -Dzookeeper.root.logger=WARN,CONSOLE \
                 -Dzookeeper.log.filters=a.B=debug -Xmx1g -Dfirst=* -Dsecond=a=b -Dfrom=java.env \
                 server ";
    assert!(text.contains(flags), "{text}");
    assert!(!err(&output).contains("JMX"), "{}", err(&output));
}

#[test]
fn print_cmd_prints_the_command_and_starts_nothing() {
    let here = Installation::new("print-cmd");
    here.config("");
    let output = here.run("zkServer.sh", &["print-cmd"]);
    assert_ends(&output, 0, "\"server\" ");
    assert!(out(&output).contains(".out\" 2>&1 < /dev/null"), "{}", out(&output));
    assert!(here.noted().is_empty());
}

#[test]
fn without_a_zoo_cfg_the_sample_is_used_and_one_line_says_so() {
    let here = Installation::new("sample");
    here.write("conf/zoo_sample.cfg", &format!("dataDir={}\n", here.data_dir().display()));
    let output = here.run("zkServer.sh", &["print-cmd"]);
    assert_ends(&output, 0, "/conf/zoo_sample.cfg");
    let lines: Vec<_> = err(&output).lines().map(str::to_owned).collect();
    assert!(lines[0].ends_with("/conf/zoo.cfg: the sample configuration is used"), "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");

    let named = here.run("zkServer.sh", &["print-cmd", "mine.cfg"]);
    assert_ends(&named, 1, "Error: cannot read");
}

#[test]
fn a_path_with_directories_counts_from_where_the_user_is() {
    let here = Installation::new("path");
    fs::create_dir_all(here.path("sub")).unwrap();
    here.write("sub/my.cfg", &format!("dataDir={}\n", here.data_dir().display()));
    let output = here.run("zkServer.sh", &["print-cmd", "sub/my.cfg"]);
    assert_ends(&output, 0, "Using config: sub/my.cfg\n");
}

#[test]
fn with_autocreate_off_missing_directories_end_the_start() {
    let here = Installation::new("autocreate");
    here.config("");
    let run = || {
        let mut command = here.command("zkServer.sh", &["print-cmd"]);
        command.env("ZOO_DATADIR_AUTOCREATE_DISABLE", "1").output().unwrap()
    };
    assert_ends(&run(), 1, "ZooKeeper data directory is missing at");
    assert!(!here.data_dir().exists());
    fs::create_dir_all(here.data_dir().join("version-2")).unwrap();
    assert_ends(&run(), 0, "-Dzookeeper.datadir.autocreate=false");
    here.config("dataLogDir=/no/such/dir");
    assert_ends(&run(), 1, "ZooKeeper txnlog directory is missing at /no/such/dir");
}

#[test]
fn status_finds_the_port_where_java_finds_it() {
    let here = Installation::new("status");
    let dynamic = here.path("conf/zoo.cfg.dynamic");
    let pointer = format!("dynamicConfigFile={}", dynamic.display());
    fs::create_dir_all(here.data_dir()).unwrap();
    here.write("data/myid", "2\n");
    let server = "server.1=a:1:2;3\nserver.2=b:1:2:participant;";
    for (config, dynamic_text, address, port, tls) in [
        (" clientPort = 2182 \nclientPortAddress=127.0.0.9", "", "127.0.0.9", "2182", "false"),
        ("clientPort=2182", "", "localhost", "2182", "false"),
        (&format!("{server}2183"), "", "localhost", "2183", "false"),
        (&format!("{server}10.0.0.1:2184"), "", "10.0.0.1", "2184", "false"),
        (&format!("{server}[::1]:2185"), "", "::1", "2185", "false"),
        (&pointer, &format!("{server}[fe80::2]:2186"), "fe80::2", "2186", "false"),
        ("secureClientPort=2187", "", "localhost", "2187", "true"),
    ] {
        here.config(config);
        fs::write(&dynamic, dynamic_text).unwrap();
        let output = here.run("zkServer.sh", &["status"]);
        assert_ends(&output, 0, &format!("Client port found: {port}. Client address: {address}."));
        assert_ends(&output, 0, "Mode: standalone\n");
        assert_eq!(here.noted(), ["4lw", address, port, "srvr", tls], "{config}");
    }
    here.config("");
    let text = "Unable to find either secure or unsecure client port in any configs. Terminating.";
    assert_ends(&here.run("zkServer.sh", &["status"]), 1, text);
    here.write("broken", "");
    here.config("clientPort=2181");
    let text = "Error contacting service. It is probably not running.";
    assert_ends(&here.run("zkServer.sh", &["status"]), 1, text);
}

#[test]
fn another_pid_file_is_used_and_its_directory_made() {
    let here = Installation::new("pidfile");
    here.config("");
    let pid_file = here.path("run/zk/server.pid");
    let run = |word| here.command("zkServer.sh", &[word]).env("ZOOPIDFILE", &pid_file).output();
    assert_ends(&run("start").unwrap(), 0, "STARTED");
    assert!(pid_file.exists() && here.pid().is_none());
    assert_ends(&run("stop").unwrap(), 0, "STOPPED");
    assert!(!pid_file.exists());
}

#[test]
fn an_unknown_word_gets_the_usage_and_upgrade_an_answer() {
    let here = Installation::new("usage");
    assert_ends(&here.run("zkServer.sh", &["dance"]), 0, "{start|start-foreground|stop|version|");
    assert_ends(&here.run("zkServer.sh", &["upgrade"]), 0, "nothing to upgrade");
    here.run("zkServer.sh", &["version"]);
    assert_eq!(here.noted(), ["version"]);
}

#[test]
fn initialize_makes_directories_once_and_again_only_with_force() {
    let here = Installation::new("initialize");
    let logs = here.path("txn");
    here.config(&format!("dataLogDir={}", logs.display()));
    let run = |args: &[&str]| here.run("zkServer-initialize.sh", args);

    assert_ends(&run(&["--myid=7"]), 0, "Using myid of 7");
    assert_eq!(fs::read_to_string(here.data_dir().join("myid")).unwrap(), "7\n");
    assert!(here.data_dir().join("initialize").exists());
    assert!(here.data_dir().join("version-2").is_dir() && logs.join("version-2").is_dir());

    fs::write(here.data_dir().join("version-2/log.1"), "x").unwrap();
    assert_ends(&run(&[]), 1, "ZooKeeper data directory already exists at");
    assert!(here.data_dir().join("version-2/log.1").exists());

    assert_ends(&run(&["--force"]), 0, "No myid provided");
    assert!(!here.data_dir().join("version-2/log.1").exists());
    assert!(!here.data_dir().join("myid").exists());

    fs::write(here.data_dir().join("version-2/log.2"), "x").unwrap();
    for id in ["999", "256", "0", "-1", "+1", "x", "1 2", "1x", "99999999999999999999", "0x10"] {
        let refused = run(&[&format!("--myid={id}"), "--force"]);
        assert_ends(&refused, 1, &format!("Invalid myid {id}: a whole number from 1 to 255"));
        assert!(here.data_dir().join("version-2/log.2").exists(), "{id}");
        assert!(!here.data_dir().join("myid").exists(), "{id}");
    }
    for id in ["1", "255", "009"] {
        assert_ends(&run(&["--myid", id, "--force"]), 0, &format!("Using myid of {id}"));
    }

    assert_ends(&run(&["--configfile=/no/such"]), 1, "Unable to find config file at /no/such");
    assert_ends(&run(&["--dance"]), 1, "Unknown option: --dance");
    assert_ends(&run(&["--help"]), 1, "Optional parameters:");
}

#[test]
fn the_tools_get_their_arguments() {
    let here = Installation::new("tools");
    here.config("dataLogDir=/txn");
    let data = here.data_dir().display().to_string();
    for (script, args, noted) in [
        ("zkCleanup.sh", &["-n", "3"][..], &["purge", "/txn", data.as_str(), "-n", "3"][..]),
        ("zkTxnLogToolkit.sh", &["-d", "a b"], &["txnlog", "-d", "a b"]),
        ("zkSnapShotToolkit.sh", &["-json", "f"], &["snapshot", "-json", "f"]),
        ("zkBench.sh", &["--help"], &["bench", "--help"]),
        ("zkCli.sh", &["-server", "h:1", "ls", "/"], &["cli", "-server", "h:1", "ls", "/"]),
    ] {
        assert_ends(&here.run(script, args), 0, "");
        assert_eq!(here.noted(), noted, "{script}");
    }
    here.config("");
    here.run("zkCleanup.sh", &["-n", "4"]);
    assert_eq!(here.noted(), ["purge", &data, "-n", "4"]);
}

#[test]
fn one_binary_beside_the_scripts_is_a_whole_installation() {
    let here = Installation::new("copied");
    fs::create_dir_all(here.path("bin")).unwrap();
    for entry in fs::read_dir(repository("bin")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() == Some(OsStr::new("sh")) {
            fs::copy(&path, here.path("bin").join(path.file_name().unwrap())).unwrap();
        }
    }
    let copied = |word: &str| {
        // Bash reads the script, because a child of another test may still have the new file open, so that it cannot
        // be executed.
        let mut command = Command::new("bash");
        command
            .arg(here.path("bin/zkServer.sh"))
            .arg(word)
            .env_remove("ZOOKEEPER_BIN")
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .unwrap()
    };
    assert_ends(&copied("version"), 1, "no zookeeper binary beside the scripts");
    symlink(env!("CARGO_BIN_EXE_zookeeper"), here.path("bin/zookeeper")).unwrap();
    assert_ends(&copied("version"), 0, "Apache ZooKeeper, version 3.9.5 ");
}

/// Every script, with arguments that make it call the binary, and the arguments of the binary.
const SCRIPTS: &[(&str, &[&str], &str)] = &[
    ("zkServer.sh", &["version"], "version"),
    ("zkCli.sh", &["ls", "/"], "cli ls /"),
    ("zkCleanup.sh", &["-n", "3"], "-n 3"),
    ("zkTxnLogToolkit.sh", &["f"], "txnlog f"),
    ("zkSnapShotToolkit.sh", &["f"], "snapshot f"),
    ("zkBench.sh", &["probe"], "bench probe"),
    ("zkServer-initialize.sh", &["--help"], ""),
];

#[test]
fn every_script_works_through_links_from_anywhere() {
    let here = Installation::new("links");
    here.config("");
    fs::create_dir_all(here.path("links/far")).unwrap();
    // This directory is itself a link, so `..` in it leads elsewhere.
    symlink("links/far", here.path("seems")).unwrap();
    let names: Vec<_> =
        fs::read_dir(repository("bin")).unwrap().map(|e| e.unwrap().path()).collect();
    for script in names.iter().filter(|path| !path.ends_with("zkEnv.sh")) {
        let name = script.file_name().unwrap().to_string_lossy().into_owned();
        let (_, args, noted) = SCRIPTS.iter().find(|(script, ..)| *script == name).unwrap();
        symlink(script, here.path(&format!("links/{name}"))).unwrap();
        symlink(format!("../{name}"), here.path(&format!("links/far/{name}"))).unwrap();
        symlink(format!("far/{name}"), here.path(&format!("links/other-{name}"))).unwrap();
        let mut path = here.path("seems").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        for called in [
            here.path(&format!("links/{name}")),
            here.path(&format!("links/far/{name}")),
            here.path(&format!("seems/{name}")),
            here.path(&format!("links/other-{name}")),
            format!("links/{name}").into(),
            format!("./seems/{name}").into(),
            name.clone().into(),
        ] {
            let _none_yet = fs::remove_file(here.path("args"));
            let mut command = here.command(&name, args);
            // Bash looks for the program in the PATH that it is given.
            let mut linked = Command::new("bash");
            linked.args(["-c", "exec \"$0\" \"$@\"", called.to_str().unwrap()]).args(*args);
            linked.current_dir(&here.root).env_clear();
            linked.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
            linked.env("PATH", &path).env_remove("ZOOCFGDIR");
            let output = linked.output().unwrap();
            let text = format!("{called:?}: {}{}", out(&output), err(&output));
            if noted.is_empty() {
                let real = repository("bin/../conf/zoo.cfg").display().to_string();
                assert!(text.contains(&format!("--configfile={real}")), "{text}");
                continue;
            }
            // Without ZOOCFGDIR, a script uses the configuration directory beside its own directory.
            let direct = command.env_remove("ZOOCFGDIR").output().unwrap();
            assert_eq!(output.status.code(), direct.status.code(), "{text}");
            if output.status.success() {
                assert!(here.noted().join(" ").ends_with(noted), "{text}");
            } else {
                assert!(name == "zkCleanup.sh" && out(&output) == out(&direct), "{text}");
            }
        }
    }
}

#[test]
fn flags_of_a_jvm_are_named_in_one_line_of_the_log() {
    let here = Installation::new("notice");
    let output = here
        .command("zkTxnLogToolkit.sh", &["version"])
        .env("ZOOKEEPER_BIN", env!("CARGO_BIN_EXE_zookeeper"))
        .env("JVMFLAGS", "-Xmx1g -Dzookeeper.root.logger=WARN,CONSOLE -XX:+UseG1GC")
        .output()
        .unwrap();
    let text = err(&output);
    let named: Vec<_> = text.lines().filter(|line| line.contains("There is no JVM")).collect();
    assert_eq!(named.len(), 1, "{text}");
    let line = named[0];
    assert!(line.ends_with("There is no JVM: -Xmx1g -XX:+UseG1GC has no effect"), "{line}");
    // 2026-01-01 12:00:00,000 [myid:] - WARN  [main:Main@42] - ..
    assert!(line.contains(",") && line.contains(" [myid:] - WARN  [main:Main@"), "{line}");
}

impl Installation {
    /// A command that runs a script with the real binary.
    fn real(&self, script: &str, args: &[&str]) -> Command {
        let mut command = self.command(script, args);
        command.env("ZOOKEEPER_BIN", env!("CARGO_BIN_EXE_zookeeper"));
        command
    }

    /// Asks for the status until the server serves.
    fn wait_until_it_serves(&self) -> Output {
        let serves = wait_for(DEADLINE, || {
            let status = self.real("zkServer.sh", &["status"]).output().unwrap();
            status.status.success().then_some(status)
        });
        serves.unwrap_or_else(|| panic!("the server does not serve: {}", self.log()))
    }

    /// Everything that the server has logged.
    fn log(&self) -> String {
        let files = fs::read_dir(self.path("logs")).unwrap();
        let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap_or_default());
        texts.collect()
    }
}

#[test]
fn the_real_server_starts_tells_its_mode_and_stops() {
    let here = Installation::new("real");
    let port = free_port();
    here.config(&format!(
        "clientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false"
    ));
    let started = here.real("zkServer.sh", &["start"]).output().unwrap();
    assert_ends(&started, 0, "STARTED");

    let status = here.wait_until_it_serves();
    assert_ends(&status, 0, "Mode: standalone\n");
    assert_ends(&status, 0, &format!("Client port found: {port}. Client address: 127.0.0.1."));
    assert!(here.log().contains("Reading configuration from: "), "{}", here.log());

    // The terminal that started the server is closed. The server goes on, because the script makes it ignore SIGHUP.
    let pid = fs::read_to_string(here.data_dir().join("zookeeper_server.pid")).unwrap();
    Command::new("kill").args(["-HUP", pid.trim()]).output().unwrap();
    assert_ends(&here.real("zkServer.sh", &["status"]).output().unwrap(), 0, "Mode: standalone\n");

    assert_ends(&here.real("zkServer.sh", &["stop"]).output().unwrap(), 0, "STOPPED");
    TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    assert_ends(&here.real("zkServer.sh", &["status"]).output().unwrap(), 1, "Error contacting");
    assert!(here.data_dir().join("version-2").is_dir());
}

/// The command, with no signal ignored: a server leaves a signal alone that its parent ignores, as a shell makes it do for
/// programs in the background.
fn hears_all_signals(command: &Command) -> Command {
    let mut heard = Command::new("env");
    heard.args(["--default-signal", "--"]).arg(command.get_program()).args(command.get_args());
    heard.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    for (removed, _) in command.get_envs().filter(|(_, value)| value.is_none()) {
        heard.env_remove(removed);
    }
    command.get_current_dir().map(|directory| heard.current_dir(directory));
    heard
}

#[test]
fn the_real_server_in_the_foreground_ends_in_order_when_it_is_told_to() {
    // The signals of an init system, the keyboard and a closed terminal.
    for signal in ["-TERM", "-INT", "-HUP"] {
        let here = Installation::new("foreground");
        here.config(&format!("clientPort={}\nadmin.enableServer=false", free_port()));
        fs::create_dir_all(here.path("logs")).unwrap();
        let log = fs::File::create(here.path("logs/out")).unwrap();
        let mut server = hears_all_signals(&here.real("zkServer.sh", &["start-foreground"]))
            .stdout(log)
            .spawn()
            .unwrap();
        here.wait_until_it_serves();
        // The process of the script has become the server, so the signal reaches the server directly.
        Command::new("kill").args([signal, &server.id().to_string()]).output().unwrap();
        assert_eq!(server.wait().unwrap().code(), Some(0), "{signal}: {}", here.log());
    }
}

#[test]
fn the_real_server_refuses_a_wrong_configuration_with_javas_exit_code() {
    let here = Installation::new("refuses");
    for (more, text) in [
        ("tickTime=fast", "/conf/zoo.cfg:2: tickTime=fast: a whole number"),
        ("secureClientPort=2281", "/conf/zoo.cfg:2: secureClientPort: not supported yet: TLS"),
        ("server.1=127.0.0.1:1:2\nserver.2=127.0.0.1:3:4", "initLimit is not set"),
    ] {
        here.config(more);
        let output = here.real("zkServer.sh", &["start-foreground"]).output().unwrap();
        assert_ends(&output, 2, text);
    }
    here.config("clientPort=2181\nserverCnxnFactory=my.Factory");
    let output = here.real("zkServer.sh", &["start-foreground"]).output().unwrap();
    assert_ends(&output, 2, "/conf/zoo.cfg:3: serverCnxnFactory: not supported yet");
}

#[test]
fn the_scripts_work_together_on_one_real_server() {
    let here = Installation::new("together");
    let port = free_port();
    let server = format!("127.0.0.1:{port}");
    let config = "autopurge.purgeInterval=1\nadmin.enableServer=false";
    here.config(&format!("clientPort={port}\nclientPortAddress=127.0.0.1\n{config}"));
    let run = |script: &str, args: &[&str]| here.real(script, args).output().unwrap();

    assert_ends(&run("zkServer.sh", &["start"]), 0, "STARTED");
    here.wait_until_it_serves();
    let created = run("zkCli.sh", &["-server", &server, "create", "/scripts", "together"]);
    assert_ends(&created, 0, "Created /scripts");
    assert_ends(&run("zkServer.sh", &["restart"]), 0, "STARTED");
    here.wait_until_it_serves();
    assert_ends(&run("zkCli.sh", &["-server", &server, "get", "/scripts"]), 0, "together");
    assert_ends(&run("zkServer.sh", &["stop"]), 0, "STOPPED");
    assert!(here.log().contains("PurgeTask"), "{}", here.log());

    let file = |prefix: &str| {
        let files = fs::read_dir(here.data_dir().join("version-2")).unwrap();
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix));
        paths.sort();
        paths.remove(0).display().to_string()
    };
    assert_ends(&run("zkTxnLogToolkit.sh", &["-d", &file("log.")]), 0, "/scripts");
    assert_ends(&run("zkSnapShotToolkit.sh", &[&file("snapshot.")]), 0, "/zookeeper");
    assert_ends(&run("zkCleanup.sh", &["-n", "3"]), 0, "");
    let usage = run("zkCleanup.sh", &["-n", "1"]);
    assert_ends(&usage, 1, "count should be greater than or equal to 3");
}
