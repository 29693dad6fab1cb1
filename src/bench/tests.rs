//! Tests the load generator against a server that answers everything, and against one that answers wrongly.

use super::*;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::common::test_socket::dead_socket;
use crate::zoo_defs::OpCode;
use lane::Tally;
use load::{Creation, Load, LoadReport, Mix};
use null_server::{Answer, NullServer, Special};

fn target(addr: SocketAddr) -> Target {
    Target {
        addrs: vec![addr],
        root: "/bench/below".into(),
        keys: 50,
        value_bytes: 100,
        session_timeout_ms: 10_000,
        pids: Vec::new(),
    }
}

fn load(clients: usize, in_flight: usize, mix: (u64, u64)) -> Load {
    Load {
        clients,
        in_flight,
        mix: Mix { reads: mix.0, writes: mix.1 },
        threads: None,
        warm_up: Duration::from_millis(20),
        duration: Duration::from_millis(100),
    }
}

/// Runs `work` against a server whose answers `special` may replace.
fn with_server<T>(
    special: impl Fn(i32, &[u8]) -> Option<Answer> + Send + Sync + 'static,
    work: impl FnOnce(&Target) -> T,
) -> T {
    let special: Box<Special> = Box::new(special);
    let server = NullServer::start(0, special).unwrap();
    let result = work(&target(server.addr()));
    server.stop();
    result
}

/// Measures for longer and longer times until there is a reply: on a busy machine, a thread may start late.
fn measured(target: &Target, load: &Load) -> Result<LoadReport, BenchError> {
    load::populate(target)?;
    let mut load = load.clone();
    loop {
        let report = load::run(target, &load, &mut |_| {})?;
        let Tally { reads, writes, failures, .. } = &report.tally;
        let counts = [(load.mix.reads, reads.count()), (load.mix.writes, writes.count())];
        let missed = counts.iter().any(|(share, count)| *share > 0 && *count == 0);
        if !missed || failures.count() > 0 || load.duration > Duration::from_secs(10) {
            return Ok(report);
        }
        load.duration *= 2;
    }
}

#[test]
fn every_shape_of_load_gets_answers_without_failures() {
    with_server(
        |_, _| None,
        |target| {
            for (clients, in_flight, mix) in [
                (1, 1, (1, 0)),
                (1, 16, (0, 1)),
                (5, 1, (1, 0)),
                (8, 16, (90, 10)),
                (3, 300, (1, 1)),
            ] {
                let report = measured(target, &load(clients, in_flight, mix)).unwrap();
                let what = format!("{clients}x{in_flight} {mix:?}");
                assert_eq!(report.fault(), None, "{what}");
                assert_eq!(report.tally.reads.count() > 0, mix.0 > 0, "{what}");
                assert_eq!(report.tally.writes.count() > 0, mix.1 > 0, "{what}");
                assert_eq!(report.applied_writes.is_some(), mix.1 > 0, "{what}");
            }
        },
    );
}

#[test]
fn several_threads_share_the_connections() {
    with_server(
        |_, _| None,
        |target| {
            let load = Load { threads: Some(3), ..load(7, 4, (1, 1)) };
            let report = measured(target, &load).unwrap();
            assert_eq!(report.fault(), None);
        },
    );
}

#[test]
fn creates_make_every_node_once() {
    // In the last case, most of the clients have nothing to create.
    for (nodes, clients, in_flight) in [(2500, 1, 100), (2500, 7, 1), (2500, 60, 3), (5, 30, 1)] {
        // How many nodes, and the sum of their numbers.
        let made = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let seen = Arc::clone(&made);
        let count = move |op: i32, body: &[u8]| -> Option<Answer> {
            let name = body.windows(2).position(|window| window == b"/n")?;
            if op == OpCode::Create.code() {
                let digits = std::str::from_utf8(&body[name + 2..name + 10]).unwrap();
                seen[0].fetch_add(1, Ordering::SeqCst);
                seen[1].fetch_add(digits.parse().unwrap(), Ordering::SeqCst);
            }
            None
        };
        let report = with_server(count, |target| {
            let threads = (clients > 50).then_some(2);
            let creation = Creation { nodes, fanout: 1000, clients, in_flight, threads };
            load::create_nodes(target, creation, &mut |_| {}).unwrap()
        });
        let [number, sum] = [&made[0], &made[1]].map(|made| made.load(Ordering::SeqCst));
        assert_eq!((number, sum), (nodes, nodes * (nodes - 1) / 2), "{clients} clients");
        assert_eq!((report.tally.writes.count(), report.fault()), (nodes, None));
    }
}

#[test]
fn refused_reads_are_counted_and_make_the_result_a_fault() {
    let refuse = |op, _: &[u8]| {
        (op == OpCode::GetData.code()).then_some(Answer::Reply { err: -101, body: Vec::new() })
    };
    let report = with_server(refuse, |target| measured(target, &load(2, 4, (1, 0))).unwrap());
    assert!(report.tally.failures.refused > 0);
    assert_eq!(report.tally.operations(), 0);
    assert!(report.fault().unwrap().contains("NONODE"));
}

#[test]
fn a_write_that_was_acknowledged_and_not_applied_is_found() {
    // The null server reports applied writes as the version of the first key. This answer hides them.
    let forget = |op, _: &[u8]| {
        let stat = vec![0; reply::STAT_BYTES];
        (op == OpCode::Exists.code()).then_some(Answer::Reply { err: 0, body: stat })
    };
    let report = with_server(forget, |target| measured(target, &load(1, 1, (0, 1))).unwrap());
    assert!(report.fault().unwrap().contains("show 0"), "{:?}", report.fault());
}

#[test]
fn a_reply_to_another_request_and_a_closed_connection_end_the_measurement() {
    for (answer, message) in [(Answer::WrongXid, "xid"), (Answer::Close, "closed")] {
        for clients in [1, 4] {
            let answer = answer.clone();
            let special =
                move |op, _: &[u8]| (op == OpCode::GetData.code()).then(|| answer.clone());
            let done = with_server(special, |target| measured(target, &load(clients, 2, (1, 0))));
            let error = done.expect_err("the server misbehaves").to_string();
            assert!(error.contains(message), "{clients} clients: {error}");
        }
    }
}

#[test]
fn keys_that_exist_are_written_anew() {
    let exists = |op, _: &[u8]| {
        (op == OpCode::Create.code()).then_some(Answer::Reply { err: -110, body: Vec::new() })
    };
    with_server(exists, |target| {
        let report = measured(target, &load(1, 1, (1, 0))).unwrap();
        // Only setData makes the values have the right length.
        assert_eq!(report.fault(), None);
    });
}

#[test]
fn a_run_prints_progress_and_a_table_and_json_replaces_both() {
    with_server(
        |_, _| None,
        |target| {
            let args = |json: &str| -> Vec<String> {
                let line = format!(
                    "run -c {} -n 2 -d 4 -w 50:50 -k 20 -t 1100ms --warm-up 0 {json}",
                    target.addrs[0]
                );
                line.split_whitespace().map(str::to_owned).collect()
            };
            let mut out = Vec::new();
            assert_eq!(main(&args(""), &mut out), ExitCode::ExecutionFinished);
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains("   1 s  ") || text.contains("   2 s  "), "{text}");
            assert!(text.contains("reads") && text.contains("p99.9 us"), "{text}");

            let mut out = Vec::new();
            assert_eq!(main(&args("--json -"), &mut out), ExitCode::ExecutionFinished);
            let text = String::from_utf8(out).unwrap();
            assert!(text.starts_with('{') && text.contains("\"p99.9_us\": "), "{text}");
        },
    );
}

#[test]
fn nobody_to_connect_to_is_an_error_and_not_a_result() {
    let (_socket, addr) = dead_socket();
    let args = ["run", "-c", &addr.to_string()].map(str::to_owned);
    let mut out = Vec::new();
    assert_eq!(main(&args, &mut out), ExitCode::UnexpectedError);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains(&addr.to_string()), "{text}");
}
