//! The slowest of many creates, and the longest write while something happens to the server (no Java twin).
//!
//! Threads: the caller's thread lets things happen. `bench-tail` runs a load meanwhile, which has threads of its own.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::bounded;

use crate::common::time;
use crate::server::zookeeper_thread;

use super::error::BenchError;
use super::failover::LEAST_MEMBERS;
use super::figures::{Better, Figure, Section};
use super::load::{Creation, Load, Mix, Second, Target, create_nodes, run_under};
use super::running_server::RunningServer;
use super::scenarios::{Measured, QUIET_WITHIN, count, fail_on_fault, figure};
use super::server_process::pause;
use super::session::{STALL, Session, close_all};
use super::worker::{Control, Phase};

/// While things happen, one writer writes for so many of the clients that have created the nodes.
const CLIENTS_PER_WRITER: usize = 10;

/// More time than anything that happens needs. The end of what happens ends the writes.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long the writes go on after something has happened, so that a write that was held up has its reply.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// How often to look how many writes have their reply.
const COUNT_EVERY: Duration = Duration::from_millis(20);

/// What the tail is measured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Connections that create nodes, each one after the other.
    pub(crate) clients: usize,
    /// Bytes of a value.
    pub(crate) value_bytes: usize,
    /// After so many transactions, every member has begun a snapshot and another file of its log.
    pub(crate) snap_count: u64,
}

/// Many clients create the nodes. The server takes snapshots meanwhile.
pub(crate) fn many_creates(
    target: &Target,
    creation: Creation,
    server: &RunningServer,
) -> Measured {
    let Creation { nodes, clients, in_flight, .. } = creation;
    let name = format!("{} creates, {}x{in_flight}", count(nodes), count(clients as u64));
    let report = create_nodes(target, creation, &mut |_| {})?;
    fail_on_fault(&name, &report)?;
    let latencies = &report.tally.writes;
    let mut figures = vec![figure(Section::Tail, &name, "ops/s", Better::Higher, report.rate())];
    for percent in [50.0, 99.0, 99.9] {
        figures.push(millis(&format!("{name} p{percent}"), latencies.percentile(percent)));
    }
    figures.push(millis(&format!("{name} max"), latencies.max()));
    server.wait_quiet(QUIET_WITHIN);
    Ok(figures)
}

/// Lets things happen one after the other while clients write existing keys. `calm` is how long nothing happens, and
/// how much time a snapshot has.
pub(crate) fn events(
    server: &mut RunningServer,
    target: &Target,
    tail: Tail,
    (warm_up, calm): (Duration, Duration),
) -> Measured {
    let writers = Writers { count: tail.clients.div_ceil(CLIENTS_PER_WRITER), warm_up };
    let nothing = |_: &Control| {
        pause(calm);
        Ok(())
    };
    let mut figures = writers.longest_write("nothing", target, nothing)?;
    server.wait_quiet(QUIET_WITHIN);

    let roll = |control: &Control| roll_and_snapshot(control, tail.snap_count, calm);
    figures.extend(writers.longest_write("a log roll and snapshot", target, roll)?);
    server.wait_quiet(QUIET_WITHIN);

    let crowd = format!("{} clients come and go", count(tail.clients as u64));
    let visit = |_: &Control| come_and_go(target, tail.clients);
    figures.extend(writers.longest_write(&crowd, target, visit)?);
    server.wait_quiet(QUIET_WITHIN);

    if server.members() >= LEAST_MEMBERS {
        let follower = (server.leader()? + 1) % server.members();
        let gone = server.addr(follower);
        let addrs = target.addrs.iter().copied().filter(|addr| *addr != gone).collect();
        let others = Target { addrs, ..target.clone() };
        let restart = |_: &Control| {
            server.kill(follower)?;
            // Without its data, it gets all of the leader's: a SNAP.
            server.wipe(follower)?;
            server.restart(follower)
        };
        figures.extend(writers.longest_write("a member's restart with SNAP", &others, restart)?);
        server.wait_quiet(QUIET_WITHIN);
    }
    Ok(figures)
}

/// Waits until so many writes have their reply that every member has begun a snapshot, and then gives it time to end.
fn roll_and_snapshot(control: &Control, writes: u64, time: Duration) -> Result<(), BenchError> {
    let mut seen = control.completed();
    let enough = seen.saturating_add(writes);
    let mut seen_at = time::now();
    while seen < enough {
        pause(COUNT_EVERY);
        let completed = control.completed();
        if completed > seen {
            (seen, seen_at) = (completed, time::now());
        } else if seen_at.elapsed() > STALL {
            return Err(BenchError::Protocol(format!("no write has a reply within {STALL:?}")));
        }
    }
    pause(time);
    Ok(())
}

fn come_and_go(target: &Target, clients: usize) -> Result<(), BenchError> {
    close_all(Session::connect_many(&target.addrs, target.session_timeout_ms, clients)?);
    Ok(())
}

/// Clients that write while something happens.
#[derive(Clone, Copy, Debug)]
struct Writers {
    count: usize,
    warm_up: Duration,
}

impl Writers {
    /// Lets `event` happen while the clients write, each one write after the other. Reports the longest writes.
    fn longest_write(
        self,
        what: &str,
        target: &Target,
        event: impl FnOnce(&Control) -> Result<(), BenchError>,
    ) -> Measured {
        let control = Arc::new(Control::new(Phase::WarmUp));
        let (begun_sender, begun) = bounded(1);
        let (report_sender, report) = bounded(1);
        let (target, load, controlled) = (target.clone(), self.load(), Arc::clone(&control));
        let body = move || {
            let mut on_second = |second: Second| {
                if second.measuring {
                    // Only the first of these messages is awaited.
                    let _begun = begun_sender.try_send(());
                }
            };
            let report = run_under(&target, &load, &controlled, &mut on_second);
            report_sender.send(report).map_err(|_| "nobody waits for the writes")
        };
        zookeeper_thread::spawn("bench-tail", None, body)
            .map_err(BenchError::io("start a thread"))?;

        let failed = |why: &str| BenchError::Protocol(format!("writes through {what} {why}"));
        // The writers do not begin if they fail.
        let happened = match begun.recv_timeout(STALL * 2) {
            Ok(()) => event(&control).map(|()| pause(AFTERWARDS)),
            Err(_) => Err(failed("do not begin")),
        };
        control.set_phase(Phase::Drain);
        // If the writers fail, too, they say more about why.
        let report = report.recv_timeout(STALL * 3).map_err(|_| failed("do not end"))??;
        happened?;
        fail_on_fault(what, &report)?;
        let latencies = &report.tally.writes;
        Ok(vec![
            millis(&format!("longest write through: {what}"), latencies.max()),
            millis(&format!("p99.9 of writes through: {what}"), latencies.percentile(99.9)),
        ])
    }

    fn load(self) -> Load {
        Load {
            clients: self.count,
            in_flight: 1,
            mix: Mix { reads: 0, writes: 1 },
            threads: None,
            warm_up: self.warm_up,
            duration: LONGEST,
        }
    }
}

fn millis(name: &str, duration: Duration) -> Figure {
    figure(Section::Tail, name, "ms", Better::Lower, duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::populate;
    use crate::bench::null_server::{Answer, NullServer};
    use crate::zoo_defs::OpCode;
    use std::sync::atomic::{AtomicBool, Ordering};

    const HELD_UP: Duration = Duration::from_millis(300);

    const WRITERS: Writers = Writers { count: 3, warm_up: Duration::ZERO };

    fn target(server: &NullServer) -> Target {
        Target {
            addrs: vec![server.addr()],
            root: "/tail".into(),
            keys: 50,
            value_bytes: 100,
            session_timeout_ms: 10_000,
            pids: Vec::new(),
        }
    }

    #[test]
    fn a_write_that_an_event_holds_up_is_the_longest() {
        let hold_up = Arc::new(AtomicBool::new(false));
        let wanted = Arc::clone(&hold_up);
        let special = move |op: i32, _: &[u8]| -> Option<Answer> {
            if op == OpCode::SetData.code() && wanted.swap(false, Ordering::SeqCst) {
                pause(HELD_UP);
            }
            None
        };
        let server = NullServer::start(0, Box::new(special)).unwrap();
        let target = target(&server);
        populate(&target).unwrap();
        let event = |control: &Control| {
            hold_up.store(true, Ordering::SeqCst);
            roll_and_snapshot(control, 10, Duration::ZERO)
        };
        let figures = WRITERS.longest_write("an event", &target, event).unwrap();
        assert_eq!(figures[0].name, "longest write through: an event");
        assert!(figures[0].value >= 300.0, "{figures:?}");
        server.stop();
    }

    #[test]
    fn writers_that_fail_say_why_and_a_failed_event_is_an_error() {
        let close = |op: i32, _: &[u8]| (op == OpCode::SetData.code()).then_some(Answer::Close);
        let server = NullServer::start(0, Box::new(close)).unwrap();
        let target = target(&server);
        populate(&target).unwrap();
        let error = WRITERS.longest_write("nothing", &target, |_: &Control| Ok(())).unwrap_err();
        assert!(error.to_string().contains("closed"), "{error}");
        server.stop();

        let server = NullServer::start(0, Box::new(|_, _| None)).unwrap();
        let target = self::target(&server);
        populate(&target).unwrap();
        let fails = |_: &Control| Err(BenchError::Protocol("it fails".into()));
        let error = WRITERS.longest_write("a failure", &target, fails).unwrap_err();
        assert!(error.to_string().contains("it fails"), "{error}");
        server.stop();
    }

    #[test]
    fn clients_come_and_go() {
        let server = NullServer::start(0, Box::new(|_, _| None)).unwrap();
        come_and_go(&target(&server), 40).unwrap();
        server.stop();
    }
}
