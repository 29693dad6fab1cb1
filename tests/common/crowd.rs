//! Drives thousands of clients in a few threads (no Java twin). Each client behaves like Java's client: it connects,
//! opens or resumes its session and sets its watches. After a loss, it pauses for up to a second and tries another
//! server.
//!
//! Reports how long it took until each client was served, and how many were cut off.

#![allow(dead_code, unreachable_pub, reason = "a module of several test crates")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use zookeeper_server::ids::{SessionId, Zxid};
use zookeeper_server::internals::common::time;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::proto::{
    ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader, SetWatches,
};
use zookeeper_server::zoo_defs::OpCode;

use super::common::decode;

/// The number of threads that drive the clients.
const SHARDS: usize = 2;

/// The xid of the request that sets watches.
const SET_WATCHES_XID: i32 = -8;

/// The session timeout that a client asks for, ms.
const SESSION_TIMEOUT_MS: i32 = 30_000;

/// The longest time for one attempt, as in Java's client with three servers.
const ATTEMPT: Duration = Duration::from_secs(10);

/// A connect that takes longer has waited for a repeated SYN.
const SLOW_CONNECT: Duration = Duration::from_millis(900);

/// The longest pause of a client that has lost its server, ms.
const MAX_PAUSE_MS: u64 = 1_000;

/// How long every client must keep its connection after all are served.
const AFTERWARDS: Duration = Duration::from_millis(1_500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The client waits before its next attempt.
    Pausing,
    Connecting,
    /// The client has asked for its session.
    Greeting,
    /// The client has its session and sets its watches.
    Watching,
    Served,
}

/// What has happened since the start of a measurement.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The time until each client was served, ms, sorted.
    pub served_ms: Vec<u128>,
    /// The number of clients that were never served.
    pub unserved: usize,
    /// Connections that ended after their session was open. Connections from before the measurement are not counted.
    pub cut_off: usize,
    /// Attempts that ended before a session was open: nobody listened, or the server did not serve.
    pub turned_away: usize,
    /// Attempts for which one SYN was not enough.
    pub slow_connects: usize,
    /// Sessions that the server did not resume.
    pub lost_sessions: usize,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.served_ms.extend(other.served_ms);
        self.served_ms.sort_unstable();
        self.unserved += other.unserved;
        self.cut_off += other.cut_off;
        self.turned_away += other.turned_away;
        self.slow_connects += other.slow_connects;
        self.lost_sessions += other.lost_sessions;
    }

    /// The time after which this percentage of the clients was served, ms.
    pub fn percentile_ms(&self, percent: usize) -> u128 {
        let at = (self.served_ms.len() * percent).div_ceil(100).max(1) - 1;
        self.served_ms.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { served_ms, unserved, cut_off, turned_away, slow_connects, lost_sessions } = self;
        write!(
            f,
            "{} served, half after {} ms, 99% after {} ms, the last after {} ms; {unserved} not served, {cut_off} cut \
             off, {lost_sessions} sessions lost, {turned_away} attempts turned away, {slow_connects} slow connects",
            served_ms.len(),
            self.percentile_ms(50),
            self.percentile_ms(99),
            self.percentile_ms(100)
        )
    }
}

struct Member {
    number: usize,
    stream: Option<TcpStream>,
    state: State,
    /// The start of the current attempt or of the next one.
    since: Instant,
    attempts: u64,
    session_id: SessionId,
    passwd: Vec<u8>,
    last_zxid: Zxid,
    input: Vec<u8>,
    served_at: Option<Instant>,
    /// The client got its session on this connection before the measurement.
    is_old: bool,
}

struct Shard {
    poll: Poll,
    members: Vec<Member>,
    servers: Arc<[SocketAddr]>,
    set_watches: Arc<dyn Fn(usize, Zxid) -> SetWatches + Send + Sync>,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    report: Report,
}

/// All clients.
pub struct Crowd {
    shards: Vec<Shard>,
}

impl Crowd {
    /// Creates the clients without connecting them. `set_watches` returns the watches of a client; its arguments are
    /// the client's number and the last zxid that the client has seen.
    pub fn new(
        count: usize,
        servers: &[SocketAddr],
        last_zxid: Zxid,
        set_watches: impl Fn(usize, Zxid) -> SetWatches + Send + Sync + 'static,
    ) -> Self {
        let set_watches: Arc<dyn Fn(usize, Zxid) -> SetWatches + Send + Sync> =
            Arc::new(set_watches);
        let shard = |at: usize| Shard {
            poll: Poll::new().unwrap(),
            members: (at..count)
                .step_by(SHARDS)
                .map(|number| Member {
                    number,
                    stream: None,
                    state: State::Pausing,
                    since: time::now(),
                    attempts: 0,
                    session_id: SessionId(0),
                    passwd: vec![0; 16],
                    last_zxid,
                    input: Vec::new(),
                    served_at: None,
                    is_old: false,
                })
                .collect(),
            servers: servers.into(),
            set_watches: Arc::clone(&set_watches),
            due: BinaryHeap::new(),
            report: Report::default(),
        };
        Self { shards: (0..SHARDS).map(shard).collect() }
    }

    /// Connects all clients at once. Returns a moment after all are served.
    pub fn connect(&mut self, at_most: Duration) -> Report {
        let start = time::now();
        for shard in &mut self.shards {
            shard.due = (0..shard.members.len()).map(|at| Reverse((start, at))).collect();
        }
        self.drive(start, at_most)
    }

    /// All clients have lost their servers at `start`. Returns a moment after all are served again.
    pub fn come_back(&mut self, start: Instant, at_most: Duration) -> Report {
        for member in self.members() {
            member.served_at = None;
        }
        self.come_back_one(start, at_most)
    }

    /// The same, if only some clients have lost their server.
    pub fn come_back_one(&mut self, start: Instant, at_most: Duration) -> Report {
        for member in self.members() {
            member.is_old = true;
        }
        self.drive(start, at_most)
    }

    fn members(&mut self) -> impl Iterator<Item = &mut Member> {
        self.shards.iter_mut().flat_map(|shard| &mut shard.members)
    }

    fn drive(&mut self, start: Instant, at_most: Duration) -> Report {
        let mut report = Report::default();
        thread::scope(|scope| {
            let drive = |shard: &mut Shard| shard.drive(start, at_most);
            let shards: Vec<_> =
                self.shards.iter_mut().map(|shard| scope.spawn(move || drive(shard))).collect();
            shards.into_iter().for_each(|shard| report.add(shard.join().unwrap()));
        });
        report
    }

    /// The session id and the password of each client.
    pub fn sessions(&self) -> Vec<(SessionId, Vec<u8>)> {
        let mut members: Vec<_> = self.shards.iter().flat_map(|shard| &shard.members).collect();
        members.sort_unstable_by_key(|member| member.number);
        members.into_iter().map(|member| (member.session_id, member.passwd.clone())).collect()
    }
}

impl Shard {
    fn drive(&mut self, start: Instant, at_most: Duration) -> Report {
        self.report = Report::default();
        let mut events = Events::with_capacity(1024);
        let end = start + at_most;
        let mut all_served: Option<Instant> = None;
        loop {
            let now = time::now();
            let is_late = now >= end;
            if is_late || all_served.is_some_and(|since| now >= since + AFTERWARDS) {
                break;
            }
            // Starts only some at a time, so that the answers to earlier ones are read in between.
            for _ in 0..256 {
                match self.due.peek() {
                    Some(Reverse((due, _))) if *due <= now => {}
                    _ => break,
                }
                if let Some(Reverse((due, at))) = self.due.pop() {
                    self.time_has_come(at, due);
                }
            }
            let next = self.due.peek().map(|Reverse((due, _))| due.saturating_duration_since(now));
            let wait = next.unwrap_or(ATTEMPT).min(Duration::from_millis(50));
            self.poll.poll(&mut events, Some(wait)).unwrap();
            for event in &events {
                self.ready(event.token().0);
            }
            if all_served.is_none() && self.members.iter().all(|m| m.served_at.is_some()) {
                all_served = Some(time::now());
            }
        }
        let mut report = std::mem::take(&mut self.report);
        for member in &self.members {
            match member.served_at {
                Some(at) => {
                    report.served_ms.push(at.saturating_duration_since(start).as_millis());
                }
                None => report.unserved += 1,
            }
        }
        report
    }

    fn time_has_come(&mut self, at: usize, due: Instant) {
        let member = &mut self.members[at];
        match member.state {
            State::Pausing => self.connect(at),
            State::Connecting | State::Greeting if due >= member.since + ATTEMPT => {
                self.report.slow_connects += usize::from(member.state == State::Connecting);
                self.lost(at);
            }
            _ => {}
        }
    }

    fn connect(&mut self, at: usize) {
        let member = &mut self.members[at];
        let turn = u64::try_from(member.number).unwrap() + member.attempts;
        let server = self.servers[usize::try_from(turn).unwrap() % self.servers.len()];
        member.attempts += 1;
        member.since = time::now();
        member.input.clear();
        member.state = State::Connecting;
        self.due.push(Reverse((member.since + ATTEMPT, at)));
        match TcpStream::connect(server) {
            Ok(mut stream) => {
                let both = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(&mut stream, Token(at), both).unwrap();
                member.stream = Some(stream);
            }
            Err(_) => self.lost(at),
        }
    }

    /// The connection has ended, or could not be opened.
    fn lost(&mut self, at: usize) {
        let member = &mut self.members[at];
        if let Some(mut stream) = member.stream.take() {
            self.poll.registry().deregister(&mut stream).unwrap();
        }
        match member.state {
            State::Watching | State::Served if !member.is_old => self.report.cut_off += 1,
            State::Watching | State::Served => {}
            _ => self.report.turned_away += 1,
        }
        member.is_old = false;
        member.served_at = None;
        member.state = State::Pausing;
        // Random enough, and the same in every run.
        let number = u64::try_from(member.number).unwrap();
        let pause_ms = (number * 7_919 + member.attempts * 104_729) % MAX_PAUSE_MS;
        self.due.push(Reverse((time::now() + Duration::from_millis(pause_ms), at)));
    }

    fn ready(&mut self, at: usize) {
        if self.try_ready(at).is_err() {
            self.lost(at);
        }
    }

    fn try_ready(&mut self, at: usize) -> io::Result<()> {
        let member = &mut self.members[at];
        let Some(stream) = &mut member.stream else { return Ok(()) };
        if member.state == State::Connecting {
            if let Some(problem) = stream.take_error()? {
                return Err(problem);
            }
            match stream.peer_addr() {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
                other => other?,
            };
            stream.set_nodelay(true)?;
            self.report.slow_connects += usize::from(member.since.elapsed() > SLOW_CONNECT);
            let request = ConnectRequest {
                time_out: SESSION_TIMEOUT_MS,
                last_zxid_seen: member.last_zxid,
                session_id: member.session_id,
                passwd: Some(member.passwd.clone()),
                ..ConnectRequest::default()
            };
            member.state = State::Greeting;
            send(stream, &request.to_bytes())?;
        }
        let mut bytes = [0; 4096];
        loop {
            match stream.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => member.input.extend(&bytes[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        while let Some(frame) = take_frame(&mut self.members[at].input) {
            self.answered(at, &frame)?;
        }
        Ok(())
    }

    fn answered(&mut self, at: usize, frame: &[u8]) -> io::Result<()> {
        let member = &mut self.members[at];
        let Some(stream) = &mut member.stream else { return Ok(()) };
        match member.state {
            State::Greeting => {
                let (response, _): (ConnectResponse, _) = decode(frame);
                if member.session_id != SessionId(0) && response.session_id != member.session_id {
                    self.report.lost_sessions += 1;
                    member.session_id = SessionId(0);
                    return Err(io::ErrorKind::NotFound.into());
                }
                member.session_id = response.session_id;
                member.passwd = response.passwd.unwrap_or_default();
                member.state = State::Watching;
                let header =
                    RequestHeader { xid: SET_WATCHES_XID, r#type: OpCode::SetWatches.code() };
                let watches = (self.set_watches)(member.number, member.last_zxid);
                send(stream, &[header.to_bytes(), watches.to_bytes()].concat())
            }
            State::Watching => {
                let (header, _): (ReplyHeader, _) = decode(frame);
                assert_eq!((header.xid, header.err), (SET_WATCHES_XID, 0), "watches are set");
                member.last_zxid = member.last_zxid.max(header.zxid);
                member.state = State::Served;
                member.served_at = Some(time::now());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// A write never blocks: everything that is sent here fits into the socket's buffer.
fn send(stream: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    let len = i32::try_from(body.len()).unwrap().to_be_bytes();
    stream.write_all(&[&len[..], body].concat())
}

fn take_frame(input: &mut Vec<u8>) -> Option<Vec<u8>> {
    let len = i32::from_be_bytes(*input.first_chunk()?);
    let end = 4 + usize::try_from(len).unwrap();
    (input.len() >= end).then(|| input.drain(..end).skip(4).collect())
}
