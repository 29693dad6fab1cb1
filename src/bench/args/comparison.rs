//! The options of `compare` (no Java twin).

use std::time::Duration;

use getopts::Options;

use crate::bench::compare::{Comparison, Part};
use crate::bench::error::BenchError;
use crate::bench::failover::LEAST_MEMBERS;
use crate::bench::load::Creation;
use crate::bench::scenarios::MATRIX;
use crate::bench::server_process::{ServerOptions, ServerSpec};
use crate::bench::tail::Tail;

use super::given::Given;
use super::{MAX_VALUE_BYTES, common};

/// After so many transactions, a server has taken a snapshot (Java's default of snapCount).
const SNAP_COUNT: u64 = 100_000;

/// The largest number of watches.
const MAX_WATCHES: usize = 100_000_000;

pub(super) fn options() -> Options {
    let mut options = common();
    server_options(&mut options);
    load_options(&mut options);
    part_options(&mut options);
    options
}

fn server_options(options: &mut Options) {
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
        .optflag(
            "",
            "limit",
            "matrix: also measure a server that does nothing, to see what this machine can do",
        )
        .optopt(
            "",
            "dir",
            "for data and logs, on the disk that counts (default ./bench-data)",
            "DIR",
        )
        .optflag("", "keep", "leave data directories and logs")
        .optopt("", "java", "the Java launcher (default java)", "FILE")
        .optopt(
            "",
            "java-heap",
            "heap of Java servers, MB (default 1000, as zkEnv.sh); the script of a release reads \
             ZK_SERVER_HEAP instead",
            "MB",
        )
        .optmulti("", "jvm-flag", "one more flag for the JVM", "FLAG")
        .optmulti("", "setting", "one more line of zoo.cfg for all servers", "KEY=VALUE");
}

fn load_options(options: &mut Options) {
    options
        .optopt(
            "",
            "parts",
            "some of matrix,nodes,sessions,watches,tail,storm and, of ensembles, failover (default \
             all but tail and storm, which do not fit into Java's default heap)",
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
        );
}

fn part_options(options: &mut Options) {
    options
        .optopt("", "nodes", "nodes and tail: nodes that are created (default 1000000)", "N")
        .optopt("", "fanout", "nodes and tail: nodes in one directory (default 1000)", "N")
        .optopt("", "create-in-flight", "nodes: creates in flight (default 1000)", "N")
        .optopt("", "sessions", "idle sessions (default 5000)", "N")
        .optopt("", "hold", "how long they are held (default 60s)", "TIME")
        .optopt(
            "",
            "watchers",
            "watches: clients that watch one node, one number after the other (default 1000,10000)",
            "N,...",
        )
        .optopt(
            "",
            "watch-paths",
            "watches: watches of many nodes, to see what one takes; 0: none (default 1000000)",
            "N",
        )
        .optopt("", "kills", "failover: leaders killed in a round (default 5)", "N")
        .optopt(
            "",
            "tail-clients",
            "tail: clients that create nodes, each one after the other (default 1000)",
            "N",
        )
        .optopt("", "tail-size", "tail: bytes of a value (default 1024)", "BYTES")
        .optopt("", "storm-clients", "storm: clients that come at once (default 10000)", "N")
        .optopt("", "storm-watches", "storm: watches of each (default 100)", "N");
}

pub(super) fn comparison(given: &Given<'_>) -> Result<Comparison, BenchError> {
    let dir = given.text("dir", "bench-data");
    let dir = std::path::absolute(&dir).map_err(BenchError::io(format!("find {dir}")))?;
    let limit = given.0.opt_present("limit");
    let members = given.positive("members", 1)?;
    let keys = given.keys("keys", 10_000)?;
    if keys < members as u64 {
        return Err(BenchError::Arguments(format!(
            "--keys {keys}: fewer than --members {members}"
        )));
    }
    let settings = given.0.opt_strs("setting");
    Ok(Comparison {
        servers: servers(given, limit)?,
        limit,
        members,
        parts: parts(&given.text("parts", ""), members)?,
        rounds: given.positive("rounds", 3)?,
        only: only(given.0.opt_strs("only"))?,
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
            clients: 1,
            in_flight: given.positive("create-in-flight", 1000)?,
            threads: given.threads()?,
        },
        sessions: given.positive("sessions", 5000)?,
        hold: given.time("hold", Duration::from_secs(60))?,
        watchers: given.positives("watchers", &[1000, 10_000])?,
        watch_paths: given.at_most("watch-paths", 1_000_000, MAX_WATCHES)?,
        kills: given.positive("kills", 5)?,
        tail: Tail {
            clients: given.positive("tail-clients", 1000)?,
            value_bytes: given.at_most("tail-size", 1024, MAX_VALUE_BYTES)?,
            snap_count: snap_count(&settings),
        },
        storm_clients: given.positive("storm-clients", 10_000)?,
        storm_watches: given.number_or("storm-watches", 100)?,
        dir,
        keep: given.0.opt_present("keep"),
        options: ServerOptions {
            java: given.text("java", "java"),
            java_heap_mb: given.number_or("java-heap", ServerOptions::default().java_heap_mb)?,
            jvm_flags: given.0.opt_strs("jvm-flag"),
            settings,
        },
    })
}

/// The servers to compare, and behind them the one that does nothing, if it is wanted.
fn servers(given: &Given<'_>, limit: bool) -> Result<Vec<ServerSpec>, BenchError> {
    let named = given.0.opt_strs("server");
    if named.is_empty() {
        return Err(BenchError::Arguments("no --server to measure".into()));
    }
    let mut servers: Vec<ServerSpec> =
        named.iter().map(|text| ServerSpec::parse(text)).collect::<Result<_, _>>()?;
    if limit {
        servers.push(ServerSpec::limit()?);
    }
    for (at, server) in servers.iter().enumerate() {
        if servers[..at].iter().any(|earlier| earlier.label == server.label) {
            let label = &server.label;
            return Err(BenchError::Arguments(format!("two servers are called {label}")));
        }
    }
    Ok(servers)
}

fn parts(list: &str, members: usize) -> Result<Vec<Part>, BenchError> {
    let fails_over = members >= LEAST_MEMBERS;
    if list.is_empty() {
        let all = Part::ALL.into_iter().map(|(_, part)| part);
        let usual = all.filter(|part| !matches!(part, Part::Tail | Part::Storm));
        return Ok(usual.filter(|part| fails_over || *part != Part::Failover).collect());
    }
    let part = |name: &str| {
        let found = Part::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, part)| *part).ok_or_else(|| {
            let known = Part::ALL.map(|(known, _)| known).join(", ");
            BenchError::Arguments(format!("--parts: no part {name:?}; {known}"))
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

/// What the settings say about snapshots.
fn snap_count(settings: &[String]) -> u64 {
    let value = |line: &String| {
        let (key, value) = line.split_once('=')?;
        if key.trim() == "snapCount" { value.trim().parse::<u64>().ok() } else { None }
    };
    // As in a file, the last line counts.
    settings.iter().rev().find_map(value).unwrap_or(SNAP_COUNT)
}

/// The texts, of which each must be in the name of a load.
fn only(texts: Vec<String>) -> Result<Vec<String>, BenchError> {
    if let Some(unknown) =
        texts.iter().find(|text| !MATRIX.iter().any(|cell| cell.name.contains(text.as_str())))
    {
        let names: Vec<&str> = MATRIX.iter().map(|cell| cell.name).collect();
        return Err(BenchError::Arguments(format!(
            "--only {unknown}: no load has this in its name: {}",
            names.join(", ")
        )));
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::args::Asked;
    use crate::bench::args::tests::asked;

    fn comparison(line: &str) -> Comparison {
        let Ok(Asked::Compare { plan, .. }) = asked(&format!("compare {line}")) else {
            panic!("not a comparison: {line}")
        };
        *plan
    }

    #[test]
    fn a_comparison_keeps_the_order_of_its_servers_and_parts() {
        let plan = comparison(
            "--server ours=zk --server java=jv --parts watches,matrix --only reads --rounds 5",
        );
        let labels: Vec<_> = plan.servers.iter().map(|server| server.label.as_str()).collect();
        assert_eq!(labels, ["ours", "java"]);
        assert_eq!(plan.parts, [Part::Watches, Part::Matrix]);
        assert_eq!((plan.only, plan.rounds), (vec!["reads".to_owned()], 5));
        assert!(plan.dir.is_absolute());
        let refused = asked("compare --server ours=zk --only 90:10").err().unwrap().to_string();
        assert!(refused.contains("mixed 90/10 16x1"), "{refused}");
    }

    #[test]
    fn only_an_ensemble_that_can_elect_another_leader_fails_over() {
        for (members, fails_over) in [(1, false), (2, false), (3, true), (5, true)] {
            let plan = comparison(&format!("--server ours=zk --members {members}"));
            assert_eq!((plan.members, plan.kills), (members, 5));
            assert_eq!(plan.parts.contains(&Part::Failover), fails_over, "{members}");
            assert_eq!(plan.parts.len(), if fails_over { 5 } else { 4 });
        }
    }

    #[test]
    fn the_tail_and_the_storm_are_measured_on_request() {
        let plan = comparison("--server ours=zk --parts tail,storm");
        assert_eq!(plan.parts, [Part::Tail, Part::Storm]);
        let tail = Tail { clients: 1000, value_bytes: 1024, snap_count: SNAP_COUNT };
        assert_eq!((plan.tail, plan.storm_clients, plan.storm_watches), (tail, 10_000, 100));

        let plan = comparison(
            "--server ours=zk --tail-clients 20 --tail-size 7 --storm-clients 30 --storm-watches 0 \
             --setting snapCount=5 --setting snapCount=400 --setting a=b",
        );
        let tail = Tail { clients: 20, value_bytes: 7, snap_count: 400 };
        assert_eq!((plan.tail, plan.storm_clients, plan.storm_watches), (tail, 30, 0));
        assert_eq!(plan.options.settings.len(), 3);
    }

    #[test]
    fn several_numbers_of_watchers_are_a_list() {
        let plan = comparison("--server ours=zk");
        assert_eq!((plan.watchers, plan.watch_paths), (vec![1000, 10_000], 1_000_000));
        let plan = comparison("--server ours=zk --watchers 5,7 --watch-paths 0");
        assert_eq!((plan.watchers, plan.watch_paths), (vec![5, 7], 0));
    }

    #[test]
    fn the_limit_is_one_more_server_and_the_last() {
        let plan = comparison("--server ours=zk --limit");
        let labels: Vec<_> = plan.servers.iter().map(|server| server.label.as_str()).collect();
        assert_eq!((labels, plan.limit), (vec!["ours", "limit"], true));
        assert!(asked("compare --server limit=zk --limit").is_err());
        assert!(!comparison("--server limit=zk").limit);
    }
}
