//! A measurement: sessions, set-up, threads, warm-up, the measured time, the end (no Java twin).
//!
//! Threads: the caller's thread sleeps and wakes once a second to report; `bench-N` are the threads for the
//! connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, bounded};

use crate::common::time;
use crate::data::Stat;
use crate::jute::{BinaryInputArchive, Limits, Record};
use crate::keeper_exception::KeeperError;
use crate::proto::ExistsRequest;
use crate::server::zookeeper_thread;
use crate::zoo_defs::OpCode;

use super::error::BenchError;
use super::lane::{Lane, Requests, Source, Tally};
use super::process_stats::ProcessStats;
use super::session::{STALL, Session, close_all};
use super::template::{create_request, directory_path, key_path};
use super::worker::{Control, Member, Phase, Worker, WorkerEnd};

/// Requests in flight during set-up.
const SET_UP_DEPTH: usize = 256;

/// The shares of reads and writes, as in `90:10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mix {
    /// Share of reads.
    pub(crate) reads: u64,
    /// Share of writes.
    pub(crate) writes: u64,
}

/// The servers and the nodes that a load works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The server, or the members of an ensemble. Connections are spread evenly over them. Code that needs only one
    /// connection uses the first server.
    pub(crate) addrs: Vec<SocketAddr>,
    /// The node below which all nodes of the measurement are.
    pub(crate) root: String,
    /// How many keys.
    pub(crate) keys: u64,
    /// Bytes of a value.
    pub(crate) value_bytes: usize,
    /// The session timeout to ask for, in ms.
    pub(crate) session_timeout_ms: i32,
    /// The processes of the server; empty if their CPU time cannot be read.
    pub(crate) pids: Vec<u32>,
}

impl Target {
    /// Opens a session with the first server and syncs it, so that it sees everything that was acknowledged anywhere.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses.
    pub(crate) fn observer(&self) -> Result<Session, BenchError> {
        let mut session = Session::connect(self.addrs[0], self.session_timeout_ms)?;
        session.sync()?;
        Ok(session)
    }

    /// Waits until every member has applied everything that was acknowledged so far. Afterwards, reads on any member
    /// see the result of the set-up.
    ///
    /// # Errors
    /// As [`observer`](Self::observer).
    pub(crate) fn sync_members(&self) -> Result<(), BenchError> {
        let mut sessions =
            Session::connect_many(&self.addrs, self.session_timeout_ms, self.addrs.len())?;
        for session in &mut sessions {
            session.sync()?;
        }
        close_all(sessions);
        Ok(())
    }
}

/// How much load to apply, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Connections.
    pub(crate) clients: usize,
    /// Requests in flight on each.
    pub(crate) in_flight: usize,
    /// What they ask for.
    pub(crate) mix: Mix,
    /// Threads of this program; `None` leaves the choice to this program.
    pub(crate) threads: Option<usize>,
    /// Warm-up: the time before the measured time.
    pub(crate) warm_up: Duration,
    /// The measured time.
    pub(crate) duration: Duration,
}

/// The result of a load.
#[derive(Clone, Debug)]
pub(crate) struct LoadReport {
    /// Latencies and failures.
    pub(crate) tally: Tally,
    /// The measured time.
    pub(crate) elapsed: Duration,
    /// Total CPU time of the server's processes in the measured time.
    pub(crate) server_cpu: Option<Duration>,
    /// CPU time of this process in the measured time.
    pub(crate) client_cpu: Option<Duration>,
    /// CPU time of all other processes on the machine in the measured time: it disturbs the measurement.
    pub(crate) others_cpu: Option<Duration>,
    /// The number of acknowledged writes, including the warm-up, and the number of writes that the nodes' versions
    /// show.
    pub(crate) applied_writes: Option<(u64, u64)>,
}

impl LoadReport {
    /// Operations a second.
    #[must_use]
    pub(crate) fn rate(&self) -> f64 {
        self.tally.operations() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// CPU time for one operation, in microseconds.
    #[must_use]
    pub(crate) fn micros_per_operation(&self, cpu: Option<Duration>) -> Option<f64> {
        let operations = self.tally.operations();
        (operations > 0).then_some(cpu?.as_secs_f64() * 1e6 / operations as f64)
    }

    /// The share of the machine's processors that other processes have used, in percent.
    pub(crate) fn disturbance(&self) -> Option<f64> {
        let processors = std::thread::available_parallelism().ok()?.get();
        let capacity = self.elapsed.as_secs_f64() * processors as f64;
        Some(self.others_cpu?.as_secs_f64() / capacity.max(1e-9) * 100.0)
    }

    /// A description of wrong replies, or of writes that were acknowledged but not applied, or applied twice.
    #[must_use]
    pub(crate) fn fault(&self) -> Option<String> {
        let failures = &self.tally.failures;
        if failures.count() > 0 {
            let first = failures.first.as_deref().unwrap_or("unknown");
            return Some(format!("{} failed replies, the first: {first}", failures.count()));
        }
        match self.applied_writes {
            Some((acknowledged, applied)) if acknowledged != applied => Some(format!(
                "{acknowledged} writes were acknowledged and the versions of the nodes show {applied}"
            )),
            _ => None,
        }
    }
}

/// A second of a running load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Second {
    /// Whole seconds since the start of the warm-up.
    pub(crate) at: u64,
    /// Whether latencies are recorded.
    pub(crate) measuring: bool,
    /// Replies in this second.
    pub(crate) replies: u64,
    /// Its exact length in seconds, which is about 1.
    pub(crate) length: f64,
}

/// Called for every second.
pub(crate) type OnSecond<'a> = &'a mut dyn FnMut(Second);

/// Creates the root and all keys, each with a value of the right length.
///
/// # Errors
/// If the server cannot be reached or refuses.
pub(crate) fn populate(target: &Target) -> Result<(), BenchError> {
    let mut session = target.observer()?;
    create_path(&mut session, &target.root)?;
    let mut requests = requests(target);
    requests.create_key.1.tolerated = Some(KeeperError::NodeExists.code());
    let source = Source::CreateKeys { next: 0, end: target.keys };
    let (session, tally) = drive_one(session, Arc::new(requests), source)?;
    fail_on_errors(&tally)?;
    if tally.tolerated > 0 {
        // These keys are from an earlier measurement. Their values may have a different length.
        write_all_keys(session, target)?;
    } else {
        close_all(vec![session]);
    }
    target.sync_members()
}

/// Applies a load to the keys that [`populate`] has created.
///
/// # Errors
/// If a connection fails or the server violates the protocol. Refused requests are counted and are not errors.
pub(crate) fn run(
    target: &Target,
    load: &Load,
    on_second: OnSecond<'_>,
) -> Result<LoadReport, BenchError> {
    run_under(target, load, &Arc::new(Control::new(Phase::WarmUp)), on_second)
}

/// As [`run`], but the measured time also ends when somebody sets the phase to [`Phase::Drain`].
///
/// # Errors
/// As [`run`].
pub(crate) fn run_under(
    target: &Target,
    load: &Load,
    control: &Arc<Control>,
    on_second: OnSecond<'_>,
) -> Result<LoadReport, BenchError> {
    let mut observer = target.observer()?;
    let before =
        if load.mix.writes > 0 { Some(sum_of_versions(&mut observer, target)?) } else { None };
    close_all(vec![observer]);

    let source = Source::Keys { keys: target.keys, reads: load.mix.reads, writes: load.mix.writes };
    let requests = Arc::new(requests(target));
    let sessions = Session::connect_many(&target.addrs, target.session_timeout_ms, load.clients)?;
    let members = sessions.into_iter().zip(0..).map(|(session, seed)| {
        let xid = session.next_xid();
        let requests = Arc::clone(&requests);
        let lane = Lane::new(requests, source, load.in_flight, u64::MAX, seed, xid);
        Member { session, lane }
    });
    let threads = load.threads.unwrap_or_else(|| threads_for(load.clients));
    let started = Threads::start(members.collect(), threads, control)?;
    let mut report = started.measure(control, load, &target.pids, on_second)?;

    if let Some(before) = before {
        let mut observer = target.observer()?;
        let grown = sum_of_versions(&mut observer, target)?.wrapping_sub(before);
        report.applied_writes = Some((report.tally.acknowledged_writes, grown));
        close_all(vec![observer]);
    }
    Ok(report)
}

/// How many nodes to create, how to spread them, and how many requests to keep in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Creation {
    /// Nodes.
    pub(crate) nodes: u64,
    /// Nodes in each directory.
    pub(crate) fanout: u64,
    /// Connections. Each creates a range of its own.
    pub(crate) clients: usize,
    /// Requests in flight on each.
    pub(crate) in_flight: usize,
    /// Threads of this program; `None` leaves the choice to this program.
    pub(crate) threads: Option<usize>,
}

/// Creates nodes. Creates the directories before the measured time.
///
/// # Errors
/// As [`run`], and if the server refuses a directory.
pub(crate) fn create_nodes(
    target: &Target,
    creation: Creation,
    on_second: OnSecond<'_>,
) -> Result<LoadReport, BenchError> {
    let Creation { nodes, fanout, clients, in_flight, threads } = creation;
    let mut session = target.observer()?;
    create_path(&mut session, &target.root)?;
    for directory in 0..nodes.div_ceil(fanout) {
        create_one(&mut session, &directory_path(&target.root, directory))?;
    }
    close_all(vec![session]);

    let requests = Arc::new(requests(target));
    let share = nodes.div_ceil(clients as u64);
    let sessions = Session::connect_many(&target.addrs, target.session_timeout_ms, clients)?;
    let members = sessions.into_iter().zip(0..).map(|(session, at)| {
        let next = share.saturating_mul(at).min(nodes);
        let source = Source::CreateNodes { next, end: (next + share).min(nodes), fanout };
        let xid = session.next_xid();
        let lane = Lane::new(Arc::clone(&requests), source, in_flight, u64::MAX, at, xid);
        Member { session, lane }
    });
    let control = Arc::new(Control::new(Phase::Measure));
    let threads = threads.unwrap_or_else(|| threads_for(clients));
    let started = Threads::start(members.collect(), threads, &control)?;
    started.finish(&control, &target.pids, on_second)
}

/// One thread can wait for many connections as cheaply as two threads, and the server needs the other processors.
fn threads_for(_clients: usize) -> usize {
    1
}

/// The running threads.
struct Threads {
    ends: Receiver<WorkerEnd>,
    count: usize,
    start: Instant,
}

impl Threads {
    fn start(
        members: Vec<Member>,
        threads: usize,
        control: &Arc<Control>,
    ) -> Result<Self, BenchError> {
        let count = threads.clamp(1, members.len().max(1));
        let mut shares: Vec<Vec<Member>> = (0..count).map(|_| Vec::new()).collect();
        for (at, member) in members.into_iter().enumerate() {
            shares[at % count].push(member);
        }
        let (sender, ends) = bounded(count);
        let start = time::now();
        for (at, members) in shares.into_iter().enumerate() {
            let worker = Worker { members, control: Arc::clone(control) };
            let sender = sender.clone();
            let body = move || sender.send(worker.run()).map_err(|_| "nobody waits for the result");
            zookeeper_thread::spawn(&format!("bench-{at}"), None, body)
                .map_err(BenchError::io("start a thread"))?;
        }
        Ok(Self { ends, count, start })
    }

    /// Runs the warm-up, the measured time and the end.
    fn measure(
        mut self,
        control: &Control,
        load: &Load,
        pids: &[u32],
        on_second: OnSecond<'_>,
    ) -> Result<LoadReport, BenchError> {
        let mut early = Vec::new();
        let mut seconds = Seconds::new(self.start);
        let measured_from = self.start + load.warm_up;
        self.wait_until(measured_from, control, &mut seconds, &mut early, on_second);

        let meter = Meter::start(pids);
        control.set_phase(Phase::Measure);
        let until = meter.start + load.duration;
        seconds.measuring = true;
        self.wait_until(until, control, &mut seconds, &mut early, on_second);
        let mut report = meter.stop(time::now());
        control.set_phase(Phase::Drain);

        report.tally = self.join(early)?;
        Ok(report)
    }

    /// Runs until no request is left.
    fn finish(
        mut self,
        control: &Control,
        pids: &[u32],
        on_second: OnSecond<'_>,
    ) -> Result<LoadReport, BenchError> {
        let meter = Meter::start(pids);
        let mut ends = Vec::new();
        let mut seconds = Seconds::new(self.start);
        seconds.measuring = true;
        while ends.len() < self.count {
            let next = time::now() + Duration::from_secs(1);
            self.wait_until(next, control, &mut seconds, &mut ends, on_second);
        }
        let last = ends.iter().map(|end| end.finished_at).max().unwrap_or(self.start);
        let mut report = meter.stop(last);
        report.tally = self.join(ends)?;
        Ok(report)
    }

    /// Waits until the given time or until all threads have ended. Wakes every second to report.
    fn wait_until(
        &mut self,
        until: Instant,
        control: &Control,
        seconds: &mut Seconds,
        ends: &mut Vec<WorkerEnd>,
        on_second: OnSecond<'_>,
    ) {
        while ends.len() < self.count {
            match self.ends.recv_deadline(until.min(seconds.next)) {
                Ok(end) => {
                    if end.error.is_some() {
                        control.set_phase(Phase::Drain); // the others need not go on
                    }
                    ends.push(end);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = time::now();
            if let Some(second) = seconds.look(now, control.completed()) {
                on_second(second);
            }
            if now >= until {
                return;
            }
        }
    }

    /// Waits for all threads and closes their sessions.
    fn join(self, mut ends: Vec<WorkerEnd>) -> Result<Tally, BenchError> {
        while ends.len() < self.count {
            let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
            let end = self.ends.recv_timeout(STALL * 2);
            ends.push(end.map_err(|_| BenchError::io("read the last replies")(late()))?);
        }
        let mut tally = Tally::default();
        let mut sessions = Vec::new();
        let mut error = None;
        for end in ends {
            tally.merge(&end.tally);
            sessions.extend(end.sessions);
            error = error.or(end.error);
        }
        close_all(sessions);
        error.map_or(Ok(tally), Err)
    }
}

/// Divides a load into seconds.
struct Seconds {
    start: Instant,
    last: Instant,
    next: Instant,
    completed: u64,
    measuring: bool,
}

impl Seconds {
    fn new(start: Instant) -> Self {
        let next = start + Duration::from_secs(1);
        Self { start, last: start, next, completed: 0, measuring: false }
    }

    /// The second that has just ended, if any.
    fn look(&mut self, now: Instant, completed: u64) -> Option<Second> {
        if now < self.next {
            return None;
        }
        let second = Second {
            at: (now - self.start).as_secs(),
            measuring: self.measuring,
            replies: completed - self.completed,
            length: (now - self.last).as_secs_f64(),
        };
        self.completed = completed;
        self.last = now;
        while self.next <= now {
            self.next += Duration::from_secs(1);
        }
        Some(second)
    }
}

/// Reads the clocks at the start and at the end of the measured time.
struct Meter {
    stats: ProcessStats,
    pids: Vec<u32>,
    server: Option<Duration>,
    client: Option<Duration>,
    machine: Option<Duration>,
    start: Instant,
}

impl Meter {
    fn start(pids: &[u32]) -> Self {
        let stats = ProcessStats::default();
        let server = stats.cpu_of_trees(pids);
        let (client, machine) = (stats.own_cpu(), stats.machine_cpu());
        Self { stats, pids: pids.to_vec(), server, client, machine, start: time::now() }
    }

    /// A report with the time until `end` and the CPU times until now, without latencies.
    fn stop(&self, end: Instant) -> LoadReport {
        let since = |now: Option<Duration>, then: Option<Duration>| now?.checked_sub(then?);
        let server_cpu = since(self.stats.cpu_of_trees(&self.pids), self.server);
        let client_cpu = since(self.stats.own_cpu(), self.client);
        let machine = since(self.stats.machine_cpu(), self.machine);
        // Without the server's CPU time, the CPU time of other processes is unknown.
        let ours = server_cpu.zip(client_cpu).map(|(server, client)| server + client);
        LoadReport {
            tally: Tally::default(),
            elapsed: end.saturating_duration_since(self.start),
            server_cpu,
            client_cpu,
            others_cpu: machine.zip(ours).map(|(machine, ours)| machine.saturating_sub(ours)),
            applied_writes: None,
        }
    }
}

fn requests(target: &Target) -> Requests {
    // The bytes differ, so that compression on the way cannot give an advantage.
    let value: Vec<u8> =
        (0..target.value_bytes).map(|at| (at * 31 % 251).to_be_bytes()[7]).collect();
    Requests::new(&target.root, &value)
}

/// Makes all requests of the source on one session, on this thread.
fn drive_one(
    session: Session,
    requests: Arc<Requests>,
    source: Source,
) -> Result<(Session, Tally), BenchError> {
    let xid = session.next_xid();
    let lane = Lane::new(requests, source, SET_UP_DEPTH, u64::MAX, 0, xid);
    let control = Arc::new(Control::new(Phase::WarmUp));
    let mut end = Worker { members: vec![Member { session, lane }], control }.run();
    match (end.error, end.sessions.pop()) {
        (None, Some(session)) => Ok((session, end.tally)),
        (Some(error), _) => Err(error),
        (None, None) => Err(BenchError::Protocol("the session is gone".into())),
    }
}

fn fail_on_errors(tally: &Tally) -> Result<(), BenchError> {
    match &tally.failures.first {
        None => Ok(()),
        Some(first) => Err(BenchError::Protocol(format!("during set-up, {first}"))),
    }
}

/// Writes every key once, with a limited number of requests in flight.
fn write_all_keys(mut session: Session, target: &Target) -> Result<(), BenchError> {
    let value: Vec<u8> = vec![b'v'; target.value_bytes];
    for_all_keys(&mut session, target, OpCode::SetData, |path| crate::proto::SetDataRequest {
        path,
        data: Some(value.clone()),
        version: -1,
    })?;
    close_all(vec![session]);
    Ok(())
}

/// The total number of writes to the keys, as this session sees it.
fn sum_of_versions(session: &mut Session, target: &Target) -> Result<u64, BenchError> {
    let exists = |path| ExistsRequest { path, watch: false };
    let replies = for_all_keys(session, target, OpCode::Exists, exists)?;
    let mut sum = 0_u64;
    for body in replies {
        let stat = Stat::deserialize(&mut BinaryInputArchive::new(&body[..], Limits::default()));
        let stat = stat.map_err(|error| BenchError::Protocol(format!("exists: {error}")))?;
        sum = sum.wrapping_add(u64::from(stat.version.cast_unsigned()));
    }
    Ok(sum)
}

/// Makes a request for every key, many at a time. Returns the bodies of the replies, in order.
fn for_all_keys<R: Record>(
    session: &mut Session,
    target: &Target,
    op: OpCode,
    request: impl Fn(String) -> R,
) -> Result<Vec<Vec<u8>>, BenchError> {
    let mut bodies = Vec::new();
    let mut next = 0;
    while next < target.keys {
        let end = target.keys.min(next + SET_UP_DEPTH as u64);
        for key in next..end {
            session.send(op, &request(key_path(&target.root, key)))?;
        }
        for key in next..end {
            let reply = session.receive()?;
            if reply.err != 0 {
                let what = format!("{} of {}", op.java_name(), key_path(&target.root, key));
                return Err(BenchError::Refused { what, code: reply.err });
            }
            bodies.push(reply.body);
        }
        next = end;
    }
    Ok(bodies)
}

/// Creates the node and its ancestors, unless they exist.
pub(crate) fn create_path(session: &mut Session, path: &str) -> Result<(), BenchError> {
    for (at, _) in path.match_indices('/').skip(1) {
        create_one(session, &path[..at])?;
    }
    create_one(session, path)
}

fn create_one(session: &mut Session, path: &str) -> Result<(), BenchError> {
    let request = create_request(path.to_owned(), b"");
    session.demand(OpCode::Create, &request, path, &[KeeperError::NodeExists.code()])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_reported_once_and_with_their_own_replies() {
        let start = time::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut seconds = Seconds::new(start);
        assert_eq!(seconds.look(at(999), 50), None);
        let second = seconds.look(at(1010), 100).unwrap();
        assert_eq!((second.at, second.replies, second.measuring), (1, 100, false));
        assert_eq!(seconds.look(at(1020), 110), None);
        let second = seconds.look(at(3500), 400).unwrap();
        assert_eq!((second.at, second.replies), (3, 300));
        assert!((second.length - 2.49).abs() < 1e-6);
        assert_eq!(seconds.look(at(3999), 400), None);
    }

    #[test]
    fn a_report_with_lost_or_doubled_writes_is_a_fault() {
        let mut report = LoadReport {
            tally: Tally::default(),
            elapsed: Duration::from_secs(1),
            server_cpu: None,
            client_cpu: None,
            others_cpu: None,
            applied_writes: Some((5, 5)),
        };
        assert_eq!(report.fault(), None);
        for applied in [4, 6] {
            report.applied_writes = Some((5, applied));
            assert!(report.fault().unwrap().contains(&applied.to_string()));
        }
    }
}
