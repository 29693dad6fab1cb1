//! The command line of the load generator (no Java twin).

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use getopts::{Matches, Options};

use super::compare::{Comparison, Part};
use super::error::BenchError;
use super::failover::LEAST_MEMBERS;
use super::load::{Creation, Load, Mix, Target};
use super::probe::Probe;
use super::scenarios::SESSION_TIMEOUT_MS;
use super::server_process::{ServerOptions, ServerSpec};
use super::template::MAX_KEYS;

/// The largest share of reads or writes: more than anybody needs, and far from an overflow.
const MAX_SHARE: u64 = 1 << 20;

/// The longest value. No server takes a longer one, because of `jute.maxbuffer`.
const MAX_VALUE_BYTES: usize = 16 << 20;

/// The commands of `zkBench.sh`, with what they do.
pub(crate) const USAGE: &str = "usage: zkBench.sh COMMAND [options]
  run       load a server that runs already
  compare   start servers, load them in turns, print how they compare
  probe     measure what loopback device, disk and client can do at most
  null      run a server that answers everything and keeps nothing
zkBench.sh COMMAND --help lists the options.
";

/// Where the result goes in addition to the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JsonTo {
    /// Nowhere.
    Nobody,
    /// To standard output, instead of the progress and the table.
    Output,
    /// To a file.
    File(PathBuf),
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
    Help(String),
    Run { target: Target, work: Work, json: JsonTo, quiet: bool },
    Compare { plan: Box<Comparison>, json: JsonTo },
    Probe { plan: Probe, json: JsonTo },
    Null { port: u16 },
}

/// What `run` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Load(Load),
    Create(Creation),
}

/// Parses the arguments that follow `bench`.
///
/// # Errors
/// If the arguments are invalid.
pub(crate) fn parse(args: &[String]) -> Result<Asked, BenchError> {
    let Some((command, rest)) = args.split_first() else {
        return Err(BenchError::Arguments(USAGE.trim_end().into()));
    };
    let options = match command.as_str() {
        "run" => run_options(),
        "compare" => compare_options(),
        "probe" => probe_options(),
        "null" => null_options(),
        "help" | "-h" | "--help" => return Ok(Asked::Help(USAGE.into())),
        other => return Err(BenchError::Arguments(format!("no command {other:?}\n{USAGE}"))),
    };
    let matches = options.parse(rest).map_err(|error| BenchError::Arguments(error.to_string()))?;
    if matches.opt_present("help") {
        let brief = format!("usage: zkBench.sh {command} [options]");
        return Ok(Asked::Help(options.usage(&brief)));
    }
    let given = Given(&matches);
    match command.as_str() {
        "run" => run(&given),
        "compare" => compare(&given),
        "probe" => probe(&given),
        _ => null(&given),
    }
}

fn common() -> Options {
    let mut options = Options::new();
    options.optflag("h", "help", "list the options");
    options.optopt(
        "",
        "json",
        "write the result as JSON, too; - writes it in the place of the table",
        "FILE",
    );
    options.optopt("", "threads", "threads of the client (default 1)", "N");
    options
}

fn run_options() -> Options {
    let mut options = common();
    options
        .optopt(
            "c",
            "connect",
            "the server, or an ensemble's members, over which connections are spread evenly \
             (default 127.0.0.1:2181)",
            "HOST:PORT,...",
        )
        .optopt(
            "w",
            "workload",
            "reads, writes, a ratio like 90:10, or creates (default reads)",
            "WHAT",
        )
        .optopt("n", "clients", "connections (default 1)", "N")
        .optopt("d", "in-flight", "requests in flight on each connection (default 1)", "N")
        .optopt("s", "size", "bytes of a value (default 100)", "BYTES")
        .optopt("k", "keys", "nodes that are read and written, or created (default 1000)", "N")
        .optopt("t", "duration", "measured time (default 10s)", "TIME")
        .optopt("", "warm-up", "time before it (default 2s)", "TIME")
        .optopt("", "root", "the node below which everything happens (default /bench)", "PATH")
        .optopt("", "fanout", "creates: nodes in one directory (default 1000)", "N")
        .optopt("", "session-timeout", "what sessions ask for (default 30s)", "TIME")
        .optopt("", "pid", "the server's processes, to read their CPU time", "PID,...")
        .optflag("q", "quiet", "no line every second");
    options
}

fn compare_options() -> Options {
    let mut options = common();
    options
        .optmulti(
            "",
            "server",
            "a server: a release's directory, a directory of jars, or a command that gets the path \
             of a zoo.cfg (in the place of {cfg}, or last); the first one is compared with the \
             best of the others",
            "LABEL=WHAT",
        )
        .optopt(
            "",
            "members",
            "processes of each server: 1 (default), or an ensemble of so many; CPU time and memory \
             are those of all members",
            "N",
        )
        .optopt(
            "",
            "parts",
            "some of matrix,nodes,sessions,watches and, of ensembles, failover (default all)",
            "LIST",
        )
        .optmulti("", "only", "of the matrix, only loads whose name contains this", "TEXT")
        .optopt("", "rounds", "repetitions; medians are shown (default 3)", "N")
        .optopt("s", "size", "bytes of a value (default 100)", "BYTES")
        .optopt("k", "keys", "nodes that are read and written (default 10000)", "N")
        .optopt("t", "duration", "measured time of a load (default 8s)", "TIME")
        .optopt("", "warm-up", "time before it (default 3s)", "TIME")
        .optopt("", "warm-server", "mixed load before the first measured one (default 20s)", "TIME")
        .optopt(
            "",
            "patience",
            "how long to wait before a measurement for others to leave the processors (default 0)",
            "TIME",
        )
        .optopt("", "nodes", "nodes that are created (default 1000000)", "N")
        .optopt("", "fanout", "nodes in one directory (default 1000)", "N")
        .optopt("", "create-in-flight", "creates in flight (default 1000)", "N")
        .optopt("", "sessions", "idle sessions (default 5000)", "N")
        .optopt("", "hold", "how long they are held (default 60s)", "TIME")
        .optopt("", "watchers", "clients that watch one node (default 1000)", "N")
        .optopt("", "kills", "failover: leaders killed in a round (default 5)", "N")
        .optopt(
            "",
            "dir",
            "for data and logs, on the disk that counts (default ./bench-data)",
            "DIR",
        )
        .optflag("", "keep", "leave data directories and logs")
        .optopt("", "java", "the Java launcher (default java)", "FILE")
        .optopt("", "java-heap", "heap of Java servers, MB (default 1000, as zkEnv.sh)", "MB")
        .optmulti("", "jvm-flag", "one more flag for the JVM", "FLAG")
        .optmulti("", "setting", "one more line of zoo.cfg for all servers", "KEY=VALUE");
    options
}

fn probe_options() -> Options {
    let mut options = common();
    options.optopt("t", "duration", "measured time of each figure (default 3s)", "TIME").optopt(
        "",
        "dir",
        "a directory on the disk to probe (default ./bench-data)",
        "DIR",
    );
    options
}

fn null_options() -> Options {
    let mut options = common();
    options.optopt("p", "port", "where to listen (default 2181)", "PORT");
    options
}

fn run(given: &Given<'_>) -> Result<Asked, BenchError> {
    let keys = given.keys("keys", 1000)?;
    let target = Target {
        addrs: addresses(&given.text("connect", "127.0.0.1:2181"))?,
        root: root(given.text("root", "/bench"))?,
        keys,
        value_bytes: given.at_most("size", 100, MAX_VALUE_BYTES)?,
        session_timeout_ms: i32::try_from(
            given
                .time(
                    "session-timeout",
                    Duration::from_millis(SESSION_TIMEOUT_MS.unsigned_abs().into()),
                )?
                .as_millis(),
        )
        .map_err(|_| BenchError::Arguments("--session-timeout is too long".into()))?,
        pids: given.numbers("pid")?,
    };
    let in_flight = given.positive("in-flight", 1)?;
    let work = match given.text("workload", "reads").as_str() {
        "creates" => {
            if given.positive("clients", 1)? != 1 {
                return Err(BenchError::Arguments("creates come from one client".into()));
            }
            let fanout = given.keys("fanout", 1000)?;
            Work::Create(Creation { nodes: keys, fanout, in_flight })
        }
        workload => Work::Load(Load {
            clients: given.positive("clients", 1)?,
            in_flight,
            mix: mix(workload)?,
            threads: given.threads()?,
            warm_up: given.time("warm-up", Duration::from_secs(2))?,
            duration: given.time("duration", Duration::from_secs(10))?,
        }),
    };
    Ok(Asked::Run { target, work, json: given.json(), quiet: given.0.opt_present("quiet") })
}

fn compare(given: &Given<'_>) -> Result<Asked, BenchError> {
    let servers: Vec<ServerSpec> = given
        .0
        .opt_strs("server")
        .iter()
        .map(|text| ServerSpec::parse(text))
        .collect::<Result<_, _>>()?;
    if servers.is_empty() {
        return Err(BenchError::Arguments("no --server to measure".into()));
    }
    for (at, server) in servers.iter().enumerate() {
        if servers[..at].iter().any(|earlier| earlier.label == server.label) {
            let label = &server.label;
            return Err(BenchError::Arguments(format!("two servers are called {label}")));
        }
    }
    let dir = given.text("dir", "bench-data");
    let dir = std::path::absolute(&dir).map_err(BenchError::io(format!("find {dir}")))?;
    let members = given.positive("members", 1)?;
    let keys = given.keys("keys", 10_000)?;
    if keys < members as u64 {
        return Err(BenchError::Arguments(format!(
            "--keys {keys}: fewer than --members {members}"
        )));
    }
    let plan = Comparison {
        servers,
        members,
        options: ServerOptions {
            java: given.text("java", "java"),
            java_heap_mb: given.number_or("java-heap", ServerOptions::default().java_heap_mb)?,
            jvm_flags: given.0.opt_strs("jvm-flag"),
            settings: given.0.opt_strs("setting"),
        },
        parts: parts(&given.text("parts", ""), members)?,
        rounds: given.positive("rounds", 3)?,
        only: given.0.opt_strs("only"),
        keys,
        value_bytes: given.at_most("size", 100, MAX_VALUE_BYTES)?,
        threads: given.threads()?,
        warm_server: given.time("warm-server", Duration::from_secs(20))?,
        warm_up: given.time("warm-up", Duration::from_secs(3))?,
        duration: given.time("duration", Duration::from_secs(8))?,
        patience: given.time("patience", Duration::ZERO)?,
        creation: Creation {
            nodes: given.keys("nodes", 1_000_000)?,
            fanout: given.keys("fanout", 1000)?,
            in_flight: given.positive("create-in-flight", 1000)?,
        },
        sessions: given.positive("sessions", 5000)?,
        hold: given.time("hold", Duration::from_secs(60))?,
        watchers: given.positive("watchers", 1000)?,
        kills: given.positive("kills", 5)?,
        dir,
        keep: given.0.opt_present("keep"),
    };
    Ok(Asked::Compare { plan: Box::new(plan), json: given.json() })
}

fn probe(given: &Given<'_>) -> Result<Asked, BenchError> {
    let plan = Probe {
        duration: given.time("duration", Duration::from_secs(3))?,
        dir: given.text("dir", "bench-data").into(),
        threads: given.threads()?,
    };
    Ok(Asked::Probe { plan, json: given.json() })
}

/// A free argument counts as the zoo.cfg, so that a comparison can start this server like any other.
fn null(given: &Given<'_>) -> Result<Asked, BenchError> {
    let mut port = given.number_or("port", 2181)?;
    if let Some(cfg) = given.0.free.first() {
        let text = std::fs::read_to_string(cfg);
        let text = text.map_err(BenchError::io(format!("read {cfg}")))?;
        let line = text.lines().find_map(|line| line.strip_prefix("clientPort="));
        let found = line.and_then(|value| value.trim().parse().ok());
        port = found.ok_or_else(|| BenchError::Arguments(format!("{cfg}: no clientPort=PORT")))?;
    }
    Ok(Asked::Null { port })
}

/// The given options, with defaults for the others.
struct Given<'a>(&'a Matches);

impl Given<'_> {
    fn text(&self, name: &str, default: &str) -> String {
        self.0.opt_str(name).unwrap_or_else(|| default.into())
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, BenchError> {
        let parse = |text: String| {
            text.parse().map_err(|_| {
                BenchError::Arguments(format!("--{name} {text}: no number, or out of range"))
            })
        };
        self.0.opt_str(name).map(parse).transpose()
    }

    /// Numbers separated by commas; empty if the option is not given.
    fn numbers<T: FromStr>(&self, name: &str) -> Result<Vec<T>, BenchError> {
        let parse = |text: &str| {
            text.trim().parse().map_err(|_| {
                BenchError::Arguments(format!("--{name} {text}: no number, or out of range"))
            })
        };
        self.0.opt_str(name).map_or(Ok(Vec::new()), |list| list.split(',').map(parse).collect())
    }

    fn number_or<T: FromStr>(&self, name: &str, default: T) -> Result<T, BenchError> {
        Ok(self.number(name)?.unwrap_or(default))
    }

    fn positive(&self, name: &str, default: usize) -> Result<usize, BenchError> {
        match self.number_or(name, default)? {
            0 => Err(BenchError::Arguments(format!("--{name} must be 1 or more"))),
            number => Ok(number),
        }
    }

    fn at_most(&self, name: &str, default: usize, limit: usize) -> Result<usize, BenchError> {
        let number = self.number_or(name, default)?;
        if number > limit {
            return Err(BenchError::Arguments(format!("--{name} must be {limit} or less")));
        }
        Ok(number)
    }

    fn keys(&self, name: &str, default: u64) -> Result<u64, BenchError> {
        let number = self.number_or(name, default)?;
        if !(1..=MAX_KEYS).contains(&number) {
            return Err(BenchError::Arguments(format!("--{name} must be 1 to {MAX_KEYS}")));
        }
        Ok(number)
    }

    fn threads(&self) -> Result<Option<usize>, BenchError> {
        if !self.0.opt_present("threads") {
            return Ok(None);
        }
        self.positive("threads", 1).map(Some)
    }

    fn time(&self, name: &str, default: Duration) -> Result<Duration, BenchError> {
        let wrong = |text: &str| {
            BenchError::Arguments(format!(
                "--{name} {text}: a time looks like 500ms, 10s, 2m or 10"
            ))
        };
        self.0.opt_str(name).map_or(Ok(default), |text| time(&text).ok_or_else(|| wrong(&text)))
    }

    fn json(&self) -> JsonTo {
        match self.0.opt_str("json").as_deref() {
            None => JsonTo::Nobody,
            Some("-") => JsonTo::Output,
            Some(file) => JsonTo::File(file.into()),
        }
    }
}

/// `500ms`, `10s`, `2m`, or seconds without a unit; at most a day.
fn time(text: &str) -> Option<Duration> {
    let (number, unit) = match text {
        _ if text.ends_with("ms") => (text.strip_suffix("ms")?, 0.001),
        _ if text.ends_with('s') => (text.strip_suffix('s')?, 1.0),
        _ if text.ends_with('m') => (text.strip_suffix('m')?, 60.0),
        _ => (text, 1.0),
    };
    let seconds = number.parse::<f64>().ok()? * unit;
    (0.0..=86_400.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

fn mix(text: &str) -> Result<Mix, BenchError> {
    let wrong = || {
        BenchError::Arguments(format!(
            "--workload {text}: reads, writes, a ratio like 90:10, or creates"
        ))
    };
    let (reads, writes) = match text {
        "reads" => (1, 0),
        "writes" => (0, 1),
        ratio => {
            let (reads, writes) = ratio.split_once(':').ok_or_else(wrong)?;
            (reads.parse().map_err(|_| wrong())?, writes.parse().map_err(|_| wrong())?)
        }
    };
    if reads > MAX_SHARE || writes > MAX_SHARE || reads + writes == 0 {
        return Err(wrong());
    }
    Ok(Mix { reads, writes })
}

fn parts(list: &str, members: usize) -> Result<Vec<Part>, BenchError> {
    let fails_over = members >= LEAST_MEMBERS;
    if list.is_empty() {
        let all = Part::ALL.into_iter().map(|(_, part)| part);
        return Ok(all.filter(|part| fails_over || *part != Part::Failover).collect());
    }
    let part = |name: &str| {
        let found = Part::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, part)| *part).ok_or_else(|| {
            BenchError::Arguments(format!(
                "--parts: no part {name:?}; matrix, nodes, sessions, watches, failover"
            ))
        })
    };
    let parts = list.split(',').map(part).collect::<Result<Vec<_>, _>>()?;
    if parts.contains(&Part::Failover) && !fails_over {
        return Err(BenchError::Arguments(format!(
            "--parts failover needs --members {LEAST_MEMBERS} or more: the others elect a leader"
        )));
    }
    Ok(parts)
}

fn root(path: String) -> Result<String, BenchError> {
    let good =
        path.len() > 1 && path.starts_with('/') && !path.ends_with('/') && !path.contains("//");
    if good {
        Ok(path)
    } else {
        Err(BenchError::Arguments(format!("--root {path}: a path like /bench")))
    }
}

fn addresses(list: &str) -> Result<Vec<SocketAddr>, BenchError> {
    list.split(',').map(|text| address(text.trim())).collect()
}

fn address(text: &str) -> Result<SocketAddr, BenchError> {
    let wrong = |why: &str| BenchError::Arguments(format!("--connect {text}: {why}"));
    let mut found = text.to_socket_addrs().map_err(|error| wrong(&error.to_string()))?;
    found.next().ok_or_else(|| wrong("no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Asked, BenchError> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_run_has_defaults_for_everything() {
        let Asked::Run { target, work: Work::Load(load), json, quiet } = asked("run").unwrap()
        else {
            panic!("not a load");
        };
        assert_eq!(target.addrs, ["127.0.0.1:2181".parse().unwrap()]);
        assert_eq!(target.pids, [0_u32; 0]);
        assert_eq!((target.root.as_str(), target.keys, target.value_bytes), ("/bench", 1000, 100));
        assert_eq!((load.clients, load.in_flight), (1, 1));
        assert_eq!(load.mix, Mix { reads: 1, writes: 0 });
        assert_eq!((json, quiet), (JsonTo::Nobody, false));
    }

    #[test]
    fn a_run_takes_what_it_is_given() {
        let line = "run -c 127.0.0.1:99,127.0.0.1:100 -w 90:10 -n 64 -d 16 -s 7 -k 5 -t 500ms --warm-up 2m \
                    --root /a/b \
                    --threads 2 --json - -q --pid 7,8";
        let Asked::Run { target, work: Work::Load(load), json, quiet } = asked(line).unwrap()
        else {
            panic!("not a load");
        };
        let ports: Vec<u16> = target.addrs.iter().map(SocketAddr::port).collect();
        assert_eq!((ports, target.pids), (vec![99, 100], vec![7, 8]));
        assert_eq!((target.root.as_str(), target.keys, target.value_bytes), ("/a/b", 5, 7));
        let times = (load.warm_up.as_secs(), load.duration.as_millis());
        assert_eq!(
            (load.clients, load.in_flight, load.threads, times),
            (64, 16, Some(2), (120, 500))
        );
        assert_eq!(load.mix, Mix { reads: 90, writes: 10 });
        assert_eq!((json, quiet), (JsonTo::Output, true));
    }

    #[test]
    fn creates_are_a_workload_of_one_client() {
        let Asked::Run { work, .. } = asked("run -w creates -k 50 -d 10 --fanout 7").unwrap()
        else {
            panic!("not a run");
        };
        assert_eq!(work, Work::Create(Creation { nodes: 50, fanout: 7, in_flight: 10 }));
        assert!(asked("run -w creates -n 2").is_err());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for line in [
            "",
            "fly",
            "run -n 0",
            "run -d 0",
            "run -w 0:0",
            "run -w 1:x",
            "run -w half",
            "run -t 5x",
            "run -t -1",
            "run -k 0",
            "run -k 100000001",
            "run --root bench",
            "run --root /",
            "run -s 99999999999",
            "run --nonsense",
            "run -c nowhere",
            "compare",
            "compare --server a=x --server a=y",
            "compare --server a=x --parts all",
            "compare --server a=x --rounds 0",
            "compare --server a=x --members 0",
            "compare --server a=x --parts failover",
            "compare --server a=x --members 3 --keys 2",
            "compare --server a=x --members 2 --parts matrix,failover",
            "run -c 127.0.0.1:1,",
            "run --pid 1,x",
            "run --threads 0",
            "null -p 70000",
        ] {
            assert!(matches!(asked(line), Err(BenchError::Arguments(_))), "{line:?}");
        }
    }

    #[test]
    fn a_comparison_keeps_the_order_of_its_servers_and_parts() {
        let line = "compare --server ours=zk --server java=jv --parts watches,matrix --only reads \
                    --rounds 5";
        let Asked::Compare { plan, .. } = asked(line).unwrap() else { panic!("not a comparison") };
        let labels: Vec<_> = plan.servers.iter().map(|server| server.label.as_str()).collect();
        assert_eq!(labels, ["ours", "java"]);
        assert_eq!(plan.parts, [Part::Watches, Part::Matrix]);
        assert_eq!((plan.only, plan.rounds), (vec!["reads".to_owned()], 5));
        assert!(plan.dir.is_absolute());
    }

    #[test]
    fn only_an_ensemble_that_can_elect_another_leader_fails_over() {
        for (members, fails_over) in [(1, false), (2, false), (3, true), (5, true)] {
            let line = format!("compare --server ours=zk --members {members}");
            let Asked::Compare { plan, .. } = asked(&line).unwrap() else {
                panic!("not a comparison")
            };
            assert_eq!((plan.members, plan.kills), (members, 5));
            assert_eq!(plan.parts.contains(&Part::Failover), fails_over, "{line}");
            assert_eq!(plan.parts.len(), if fails_over { 5 } else { 4 });
        }
    }

    #[test]
    fn help_names_the_options() {
        let Asked::Help(text) = asked("compare --help").unwrap() else { panic!("no help") };
        assert!(text.contains("--watchers"), "{text}");
        assert!(matches!(asked("--help"), Ok(Asked::Help(_))));
    }
}
