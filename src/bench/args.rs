//! The command line of the load generator (no Java twin).

mod comparison;
mod given;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use getopts::Options;

use super::compare::Comparison;
use super::error::BenchError;
use super::load::{Creation, Load, Mix, Target};
use super::probe::Probe;
use super::scenarios::SESSION_TIMEOUT_MS;

use given::Given;

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
        "compare" => comparison::options(),
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
        "compare" => {
            let plan = Box::new(comparison::comparison(&given)?);
            Ok(Asked::Compare { plan, json: given.json() })
        }
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
            let (clients, fanout) = (given.positive("clients", 1)?, given.keys("fanout", 1000)?);
            let threads = given.threads()?;
            Work::Create(Creation { nodes: keys, fanout, clients, in_flight, threads })
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

    pub(super) fn asked(line: &str) -> Result<Asked, BenchError> {
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
    fn creates_are_a_workload_of_one_client_or_many() {
        for (line, clients, threads) in [("", 1, None), (" -n 30 --threads 2", 30, Some(2))] {
            let line = format!("run -w creates -k 50 -d 10 --fanout 7{line}");
            let Asked::Run { work, .. } = asked(&line).unwrap() else { panic!("not a run") };
            let creation = Creation { nodes: 50, fanout: 7, clients, in_flight: 10, threads };
            assert_eq!(work, Work::Create(creation));
        }
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
            "compare --server a=x --watchers 5,0",
            "compare --server a=x --watchers 5,",
            "compare --server a=x --tail-clients 0",
            "compare --server a=x --storm-clients 0",
            "compare --server a=x --storm-watches few",
            "run -c 127.0.0.1:1,",
            "run --pid 1,x",
            "run --threads 0",
            "null -p 70000",
        ] {
            assert!(matches!(asked(line), Err(BenchError::Arguments(_))), "{line:?}");
        }
    }

    #[test]
    fn help_names_the_options() {
        let Asked::Help(text) = asked("compare --help").unwrap() else { panic!("no help") };
        for option in ["--watchers", "--limit", "--tail-clients", "--storm-clients"] {
            assert!(text.contains(option), "{text}");
        }
        assert!(matches!(asked("--help"), Ok(Asked::Help(_))));
    }
}
