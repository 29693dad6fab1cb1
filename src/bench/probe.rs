//! Measures the upper limits of the machine (no Java twin): the figures of a server mean little without them.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::time;
use crate::server::zookeeper_thread;

use super::error::BenchError;
use super::figures::{Table, number};
use super::json::Json;
use super::latencies::{Latencies, micros};
use super::load::{Load, Target, populate, run};
use super::null_server::NullServer;
use super::scenarios::{MATRIX, SESSION_TIMEOUT_MS};

/// Approximate bytes of a small request and of its reply.
const PING_BYTES: usize = 64;

/// The size of the file that is overwritten: Java preallocates the transaction log in steps of this size.
const ZEROS_BYTES: usize = 64 << 20;

/// The bytes written before each fdatasync: one transaction with 100 bytes of data, and a group of 64 transactions.
const WRITES: [(&str, usize); 2] = [("1 transaction", 200), ("64 transactions", 64 * 200)];

/// What to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// How long each figure is measured.
    pub(crate) duration: Duration,
    /// A directory on the disk to measure.
    pub(crate) dir: PathBuf,
    pub(crate) threads: Option<usize>,
}

/// One line of the result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bound {
    name: String,
    rate: f64,
    p50_us: f64,
    p99_us: f64,
}

/// Measures all bounds.
///
/// # Errors
/// If the directory cannot be written or the loopback device does not work.
pub(crate) fn probe(plan: &Probe) -> Result<Vec<Bound>, BenchError> {
    let mut bounds =
        vec![ping_pong(plan.duration).map_err(BenchError::io("use the loopback device"))?];
    let dir = plan.dir.display();
    fs::create_dir_all(&plan.dir).map_err(BenchError::io(format!("create {dir}")))?;
    for (what, bytes) in WRITES {
        for over_zeros in [false, true] {
            let (rate, latencies) = sync_rate(&plan.dir, bytes, over_zeros, plan.duration)
                .map_err(BenchError::io(format!("write in {dir}")))?;
            let how = if over_zeros { "over zeros" } else { "growing file" };
            bounds.push(bound(format!("fdatasync of {what}, {how}"), rate, &latencies));
        }
    }
    bounds.extend(null_server(plan)?);
    Ok(bounds)
}

/// The bounds as a table.
pub(crate) fn render(bounds: &[Bound]) -> String {
    let mut table = Table::new();
    table.line(["bound", "1/s", "p50 us", "p99 us"].map(str::to_owned).to_vec());
    for bound in bounds {
        let numbers = [bound.rate, bound.p50_us, bound.p99_us].map(number);
        table.line([vec![bound.name.clone()], numbers.to_vec()].concat());
    }
    table.render()
}

/// The bounds as JSON, for other programs.
pub(crate) fn to_json(bounds: &[Bound]) -> Json {
    let bound = |bound: &Bound| {
        Json::object([
            ("name", Json::Text(bound.name.clone())),
            ("rate", Json::Number(bound.rate)),
            ("p50_us", Json::Number(bound.p50_us)),
            ("p99_us", Json::Number(bound.p99_us)),
        ])
    };
    Json::List(bounds.iter().map(bound).collect())
}

fn bound(name: String, rate: f64, latencies: &Latencies) -> Bound {
    let percentile = |percent| micros(latencies.percentile(percent));
    Bound { name, rate, p50_us: percentile(50.0), p99_us: percentile(99.0) }
}

/// Two threads exchange messages on one connection: the upper limit of one closed loop.
fn ping_pong(duration: Duration) -> io::Result<Bound> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addr = listener.local_addr()?;
    let echo = zookeeper_thread::spawn("ProbeEcho", None, move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut bytes = [0; PING_BYTES];
        while stream.read_exact(&mut bytes).is_ok() {
            stream.write_all(&bytes)?;
        }
        Ok(())
    })?;
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let mut bytes = [0; PING_BYTES];
    let (rate, latencies) = repeat(duration, || {
        stream.write_all(&bytes)?;
        stream.read_exact(&mut bytes)
    })?;
    drop(stream);
    zookeeper_thread::join(echo);
    Ok(bound("loopback ping-pong".into(), rate, &latencies))
}

/// How many times a second `bytes` can be written and synced to disk.
fn sync_rate(
    dir: &Path,
    bytes: usize,
    over_zeros: bool,
    duration: Duration,
) -> io::Result<(f64, Latencies)> {
    let path = dir.join("bench-probe");
    let mut file = File::create(&path)?;
    if over_zeros {
        file.write_all(&vec![0; ZEROS_BYTES])?;
        file.seek(SeekFrom::Start(0))?;
    }
    file.sync_all()?;
    let piece = vec![0x5a; bytes];
    let mut at = 0;
    let measured = repeat(duration, || {
        if over_zeros && at + bytes > ZEROS_BYTES {
            at = 0;
            file.seek(SeekFrom::Start(0))?;
        }
        at += bytes;
        file.write_all(&piece)?;
        file.sync_data()
    });
    fs::remove_file(&path)?;
    measured
}

fn repeat(
    duration: Duration,
    mut operation: impl FnMut() -> io::Result<()>,
) -> io::Result<(f64, Latencies)> {
    let mut latencies = Latencies::new();
    let start = time::now();
    let mut last = Duration::ZERO;
    while last < duration {
        operation()?;
        let now = start.elapsed();
        latencies.record(u64::try_from((now - last).as_nanos()).unwrap_or(u64::MAX));
        last = now;
    }
    Ok((latencies.count() as f64 / last.as_secs_f64().max(1e-9), latencies))
}

/// The loads of the matrix without writes, on a server that does no work.
fn null_server(plan: &Probe) -> Result<Vec<Bound>, BenchError> {
    let server = NullServer::start(0, Box::new(|_, _| None));
    let server = server.map_err(BenchError::io("listen on the loopback device"))?;
    let target = Target {
        addrs: vec![server.addr()],
        root: "/probe".into(),
        keys: 1000,
        value_bytes: 100,
        session_timeout_ms: SESSION_TIMEOUT_MS,
        pids: Vec::new(),
    };
    populate(&target)?;
    let mut bounds = Vec::new();
    for cell in MATRIX.iter().filter(|cell| cell.mix.writes == 0) {
        let load = Load {
            clients: cell.clients,
            in_flight: cell.in_flight,
            mix: cell.mix,
            threads: plan.threads,
            warm_up: plan.duration / 4,
            duration: plan.duration,
        };
        let report = run(&target, &load, &mut |_| {})?;
        let name = format!("{} from a server that does nothing", cell.name);
        bounds.push(bound(name, report.rate(), &report.tally.reads));
    }
    server.stop();
    Ok(bounds)
}
