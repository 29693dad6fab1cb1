//! The scenarios on a running server (no Java twin): a load of the matrix, a million creates, idle sessions, watches.

use std::time::{Duration, Instant};

use crate::common::time;
use crate::ids::Zxid;
use crate::proto::{ExistsRequest, GetDataRequest, SetDataRequest, SetWatches};
use crate::watcher::EventType;
use crate::zoo_defs::OpCode;

use super::error::BenchError;
use super::figures::{Better, Figure, Section, median};
use super::latencies::{Latencies, micros};
use super::load::{
    Creation, Load, LoadReport, Mix, OnSecond, Target, create_nodes, create_path, populate, run,
};
use super::process_stats::ProcessStats;
use super::reply::{EVENT_XID, PING_XID};
use super::running_server::RunningServer;
use super::server_process::pause;
use super::session::{Session, close_all};
use super::template::key_path;

/// The session timeout to ask for, in ms: below Java's default maximum of 20 ticks.
pub(crate) const SESSION_TIMEOUT_MS: i32 = 30_000;

/// How long to wait at most, after a load, until the server is idle.
pub(crate) const QUIET_WITHIN: Duration = Duration::from_secs(8);

/// The sessions that share the watches whose memory is measured.
const WATCHING_SESSIONS: usize = 100;

/// Paths in one request. It must be shorter than `jute.maxbuffer`.
const PATHS_IN_A_REQUEST: usize = 5_000;

/// A load of the matrix and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) mix: Mix,
    pub(crate) clients: usize,
    pub(crate) in_flight: usize,
}

const READS: Mix = Mix { reads: 1, writes: 0 };
const WRITES: Mix = Mix { reads: 0, writes: 1 };
const MIXED: Mix = Mix { reads: 90, writes: 10 };

/// Connections x requests in flight on each connection.
pub(crate) const MATRIX: [Cell; 17] = [
    Cell { name: "reads 64x16", mix: READS, clients: 64, in_flight: 16 },
    Cell { name: "reads 1x1", mix: READS, clients: 1, in_flight: 1 },
    Cell { name: "reads 16x1", mix: READS, clients: 16, in_flight: 1 },
    Cell { name: "writes 1x1", mix: WRITES, clients: 1, in_flight: 1 },
    Cell { name: "writes 16x1", mix: WRITES, clients: 16, in_flight: 1 },
    Cell { name: "writes 64x16", mix: WRITES, clients: 64, in_flight: 16 },
    Cell { name: "mixed 90/10 64x16", mix: MIXED, clients: 64, in_flight: 16 },
    Cell { name: "mixed 90/10 16x1", mix: MIXED, clients: 16, in_flight: 1 },
    Cell { name: "reads 100x1", mix: READS, clients: 100, in_flight: 1 },
    Cell { name: "reads 500x1", mix: READS, clients: 500, in_flight: 1 },
    Cell { name: "reads 2000x1", mix: READS, clients: 2000, in_flight: 1 },
    Cell { name: "writes 100x1", mix: WRITES, clients: 100, in_flight: 1 },
    Cell { name: "writes 500x1", mix: WRITES, clients: 500, in_flight: 1 },
    Cell { name: "writes 2000x1", mix: WRITES, clients: 2000, in_flight: 1 },
    Cell { name: "mixed 90/10 100x1", mix: MIXED, clients: 100, in_flight: 1 },
    Cell { name: "mixed 90/10 500x1", mix: MIXED, clients: 500, in_flight: 1 },
    Cell { name: "mixed 90/10 2000x1", mix: MIXED, clients: 2000, in_flight: 1 },
];

/// The result of a scenario.
pub(crate) type Measured = Result<Vec<Figure>, BenchError>;

/// Runs one load of the matrix.
pub(crate) fn cell(
    target: &Target,
    cell: Cell,
    threads: Option<usize>,
    (warm_up, duration): (Duration, Duration),
    on_second: OnSecond<'_>,
) -> Measured {
    let Cell { name, mix, clients, in_flight } = cell;
    let report =
        run(target, &Load { clients, in_flight, mix, threads, warm_up, duration }, on_second)?;
    fail_on_fault(name, &report)?;
    let mut figures =
        vec![figure(Section::Throughput, name, "ops/s", Better::Higher, report.rate())];
    let cpu = |section, better, cpu| {
        let micros = report.micros_per_operation(cpu);
        micros.map(|micros| figure(section, name, "us CPU/op", better, micros))
    };
    figures.extend(cpu(Section::ServerCpu, Better::Lower, report.server_cpu));
    figures.extend(cpu(Section::Client, Better::Neither, report.client_cpu));
    let others = report.disturbance();
    figures.extend(
        others.map(|percent| {
            figure(Section::Disturbance, name, "% of CPUs", Better::Neither, percent)
        }),
    );
    for (kind, latencies) in [("read", &report.tally.reads), ("write", &report.tally.writes)] {
        if latencies.count() > 0 {
            let name = if mix.reads > 0 && mix.writes > 0 {
                format!("{name} {kind}")
            } else {
                name.into()
            };
            figures.extend(latency_figures(&name, latencies));
        }
    }
    Ok(figures)
}

fn latency_figures(name: &str, latencies: &Latencies) -> impl Iterator<Item = Figure> {
    [50.0, 99.0, 99.9]
        .map(|percent| {
            let name = format!("{name} p{percent}");
            figure(
                Section::Latency,
                &name,
                "us",
                Better::Lower,
                micros(latencies.percentile(percent)),
            )
        })
        .into_iter()
}

/// Start time and memory of a new server.
pub(crate) fn fresh_start(server: &RunningServer) -> Vec<Figure> {
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    let start = |name, value| figure(Section::ScaleAndStart, name, "ms", Better::Lower, value);
    let mut figures = vec![
        start("cold start to srvr", millis(server.served_after)),
        start("cold start to first session", millis(server.session_after)),
    ];
    server.wait_quiet(QUIET_WITHIN);
    figures.extend(resident("idle", server));
    figures
}

/// Creates many nodes (by default a million) from one client with many requests in flight.
pub(crate) fn creation(
    target: &Target,
    creation: Creation,
    server: &RunningServer,
    on_second: OnSecond<'_>,
) -> Measured {
    let report = create_nodes(target, creation, on_second)?;
    fail_on_fault("creates", &report)?;
    let name = format!("{} creates, 1x{}", count(creation.nodes), creation.in_flight);
    let mut figures =
        vec![figure(Section::ScaleAndStart, &name, "ops/s", Better::Higher, report.rate())];
    let cpu = report.micros_per_operation(report.server_cpu);
    figures
        .extend(cpu.map(|cpu| figure(Section::ServerCpu, &name, "us CPU/op", Better::Lower, cpu)));
    server.wait_quiet(QUIET_WITHIN);
    let nodes = format!("{} nodes of {} bytes", count(creation.nodes), target.value_bytes);
    figures.extend(resident(&nodes, server));
    Ok(figures)
}

/// Start time and memory of a server that starts with existing data.
pub(crate) fn restart(server: &RunningServer, what: &str) -> Vec<Figure> {
    let name = format!("start {what}");
    let seconds = server.served_after.as_secs_f64();
    let mut figures = vec![figure(Section::ScaleAndStart, &name, "s", Better::Lower, seconds)];
    server.wait_quiet(QUIET_WITHIN);
    figures.extend(resident(&format!("after {name}"), server));
    figures
}

/// Many sessions that only send pings. No session may be lost.
pub(crate) fn idle_sessions(target: &Target, sessions: usize, hold: Duration) -> Measured {
    let stats = ProcessStats::default();
    let before = stats.memory_of_trees(&target.pids);
    let start = time::now();
    let mut held = Session::connect_many(&target.addrs, target.session_timeout_ms, sessions)?;
    let connecting = start.elapsed();
    let cpu_before = stats.cpu_of_trees(&target.pids);
    hold_open(&mut held, hold)?;
    let cpu = stats.cpu_of_trees(&target.pids).zip(cpu_before);
    let after = stats.memory_of_trees(&target.pids);

    // The server must still know every session.
    let request = ExistsRequest { path: "/".into(), watch: false };
    for session in &mut held {
        session.demand(OpCode::Exists, &request, "/ in an idle session", &[])?;
    }
    close_all(held);

    let name = format!("{} idle sessions", count(sessions as u64));
    let rate = sessions as f64 / connecting.as_secs_f64().max(1e-9);
    let mut figures = vec![figure(
        Section::ScaleAndStart,
        &format!("{name}: opening"),
        "1/s",
        Better::Higher,
        rate,
    )];
    if let Some((before, after)) = before.zip(after) {
        let (mib, kib) = (1024.0 * 1024.0, 1024.0);
        let each = after.resident.saturating_sub(before.resident) as f64 / sessions.max(1) as f64;
        let memory =
            |name: &str, unit, value| figure(Section::Memory, name, unit, Better::Lower, value);
        figures.push(memory(&name, "MiB", after.resident as f64 / mib));
        figures.push(memory(&format!("{name}: each"), "KiB", each / kib));
        let (threads, value) = (format!("{name}: threads"), after.threads as f64);
        figures.push(figure(Section::Memory, &threads, "", Better::Neither, value));
    }
    if let Some((after, before)) = cpu {
        let share =
            after.saturating_sub(before).as_secs_f64() / hold.as_secs_f64().max(1e-9) * 100.0;
        let name = format!("{name}: server CPU");
        figures.push(figure(Section::ScaleAndStart, &name, "%", Better::Lower, share));
    }
    Ok(figures)
}

/// Pings every session once in each third of its timeout, evenly spread, until the time is over.
fn hold_open(sessions: &mut [Session], hold: Duration) -> Result<(), BenchError> {
    const PIECES_PER_ROUND: usize = 100;
    let every = Duration::from_millis(u64::from(SESSION_TIMEOUT_MS.unsigned_abs() / 3));
    let until = time::now() + hold;
    let piece = sessions.len().div_ceil(PIECES_PER_ROUND).max(1);
    let between = every / u32::try_from(sessions.len().div_ceil(piece).max(1)).unwrap_or(1);
    let mut next = time::now();
    loop {
        for piece in sessions.chunks_mut(piece) {
            next += between;
            let now = time::now();
            if next.min(until) > now {
                pause(next.min(until) - now);
            }
            if time::now() >= until {
                return Ok(());
            }
            ping_all(piece)?;
        }
    }
}

fn ping_all(sessions: &mut [Session]) -> Result<(), BenchError> {
    for session in &mut *sessions {
        session.ping()?;
    }
    for session in sessions {
        let reply = session.receive()?;
        if reply.xid != PING_XID {
            return Err(BenchError::Protocol(format!("xid {} answers a ping", reply.xid)));
        }
    }
    Ok(())
}

/// Many clients watch one node. Measures how long a change takes to reach the last of them. The first quarter of the
/// rounds is warm-up.
pub(crate) fn watchers(target: &Target, watchers: usize, rounds: usize) -> Measured {
    let path = format!("{}/watched", target.root);
    let mut writer = target.observer()?;
    create_path(&mut writer, &path)?;
    target.sync_members()?;
    let mut watching = Session::connect_many(&target.addrs, target.session_timeout_ms, watchers)?;
    let (mut last, mut reply) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        leave_watches(&mut watching, &path)?;
        let (told, answered) = fire(&mut writer, &mut watching, &path)?;
        if round >= rounds / 4 {
            last.push(told.as_secs_f64() * 1e3);
            reply.push(answered.as_secs_f64() * 1e3);
        }
    }
    close_all(watching);
    close_all(vec![writer]);
    let name = format!("{} watches of a node", count(watchers as u64));
    let figure = |what, values: &[f64]| {
        let name = format!("{name}: {what}");
        median(values).map(|ms| figure(Section::ScaleAndStart, &name, "ms", Better::Lower, ms))
    };
    Ok([figure("last event", &last), figure("reply to the writer", &reply)]
        .into_iter()
        .flatten()
        .collect())
}

/// Memory of very many watches: a hundred sessions watch the same keys. It shows how much more memory the processes
/// have taken, so in a JVM the watches may seem to need less than they do.
pub(crate) fn watch_memory(target: &Target, watches: usize, server: &RunningServer) -> Measured {
    let sessions = watches.clamp(1, WATCHING_SESSIONS);
    let target = Target { keys: (watches / sessions) as u64, ..target.clone() };
    populate(&target)?;
    let paths: Vec<String> = (0..target.keys).map(|key| key_path(&target.root, key)).collect();
    let mut watching = Session::connect_many(&target.addrs, target.session_timeout_ms, sessions)?;
    server.wait_quiet(QUIET_WITHIN);
    let stats = ProcessStats::default();
    let before = stats.memory_of_trees(&target.pids);
    for session in &mut watching {
        for paths in paths.chunks(PATHS_IN_A_REQUEST) {
            let request = SetWatches {
                // No node has changed since, so no watch triggers an event at once.
                relative_zxid: Zxid(i64::MAX),
                data_watches: paths.to_vec(),
                ..SetWatches::default()
            };
            session.demand(OpCode::SetWatches, &request, "the keys", &[])?;
        }
    }
    server.wait_quiet(QUIET_WITHIN);
    let after = stats.memory_of_trees(&target.pids);
    close_all(watching);
    let Some((before, after)) = before.zip(after) else { return Ok(Vec::new()) };
    let set = sessions * paths.len();
    let each = after.resident.saturating_sub(before.resident) as f64 / set.max(1) as f64;
    let name = format!("{} watches: each", count(set as u64));
    Ok(vec![figure(Section::Memory, &name, "bytes", Better::Lower, each)])
}

fn leave_watches(sessions: &mut [Session], path: &str) -> Result<(), BenchError> {
    let request = GetDataRequest { path: path.into(), watch: true };
    for session in &mut *sessions {
        session.send(OpCode::GetData, &request)?;
    }
    for session in sessions {
        let reply = session.receive()?;
        if reply.err != 0 || reply.xid == EVENT_XID {
            return Err(BenchError::Refused {
                what: format!("getData of {path}"),
                code: reply.err,
            });
        }
    }
    Ok(())
}

/// Writes the node. Returns when the last watcher received its event, and when the writer received its reply.
fn fire(
    writer: &mut Session,
    watching: &mut [Session],
    path: &str,
) -> Result<(Duration, Duration), BenchError> {
    let request =
        SetDataRequest { path: path.into(), data: Some(b"changed".to_vec()), version: -1 };
    let start: Instant = time::now();
    writer.send(OpCode::SetData, &request)?;
    let reply = writer.receive()?;
    let answered = start.elapsed();
    if reply.err != 0 {
        return Err(BenchError::Refused { what: format!("setData of {path}"), code: reply.err });
    }
    for session in watching {
        let event = session.receive()?;
        let changed = EventType::NodeDataChanged.code().to_be_bytes();
        if event.xid != EVENT_XID || !event.body.starts_with(&changed) {
            return Err(BenchError::Protocol(format!("xid {} where an event belongs", event.xid)));
        }
    }
    Ok((start.elapsed(), answered))
}

fn resident(what: &str, server: &RunningServer) -> Option<Figure> {
    let memory = ProcessStats::default().memory_of_trees(&server.pids())?;
    let mib = memory.resident as f64 / (1024.0 * 1024.0);
    Some(figure(Section::Memory, what, "MiB", Better::Lower, mib))
}

/// A wrong reply or a lost write ends the measurement.
pub(crate) fn fail_on_fault(name: &str, report: &LoadReport) -> Result<(), BenchError> {
    report.fault().map_or(Ok(()), |fault| Err(BenchError::Protocol(format!("{name}: {fault}"))))
}

/// A figure from its parts.
pub(crate) fn figure(
    section: Section,
    name: &str,
    unit: &'static str,
    better: Better,
    value: f64,
) -> Figure {
    Figure { section, name: name.into(), unit, better, value }
}

/// A number, in words if that is shorter.
pub(crate) fn count(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        1_000_000 => "a million".into(),
        _ => super::figures::number(number as f64),
    }
}
