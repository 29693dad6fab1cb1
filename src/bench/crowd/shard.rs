//! The clients of one thread of a crowd (no Java twin).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;

use crate::common::time;
use crate::ids::Zxid;
use crate::jute::{BinaryInputArchive, Limits, Record};
use crate::proto::{ConnectResponse, ReplyHeader, SetWatches};
use crate::zoo_defs::OpCode;

use super::super::error::BenchError;
use super::super::reply::{EVENT_XID, PING_XID};
use super::super::session::bare_frame;
use super::super::template::frame;
use super::Report;
use super::member::{Member, NO_SESSION, State};

/// How many clients start an attempt before the answers to others are read.
const STARTS_AT_ONCE: usize = 256;

/// How long a thread waits for events before it looks at the time.
const LOOK_AROUND: Duration = Duration::from_millis(50);

/// The xid of the request that sets watches.
const SET_WATCHES_XID: i32 = -8;

/// How often an idle client sends a ping: in each third of its session timeout, as Java's client does.
pub(super) const PING_EVERY: Duration = Duration::from_secs(10);

/// The longest time for one attempt, as in Java's client with three servers.
const ATTEMPT: Duration = Duration::from_secs(10);

/// A connect that takes longer has waited for a repeated SYN.
const SLOW_CONNECT: Duration = Duration::from_millis(900);

/// How long every client must keep its connection after all are served.
const AFTERWARDS: Duration = Duration::from_millis(1_500);

/// Returns the watches of a client. The arguments are the client's number and the last zxid that it has seen.
pub(super) type WatchesOf = dyn Fn(usize, Zxid) -> SetWatches + Send + Sync;

/// Why a client cannot go on.
enum Trouble {
    /// Its connection is lost. It tries again.
    Lost,
    /// No other attempt can help. The measurement ends.
    Fatal(BenchError),
}

impl From<io::Error> for Trouble {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}

impl From<BenchError> for Trouble {
    fn from(error: BenchError) -> Self {
        Self::Fatal(error)
    }
}

/// The clients of one thread.
pub(super) struct Shard {
    poll: Poll,
    pub(super) members: Vec<Member>,
    servers: Arc<[SocketAddr]>,
    set_watches: Arc<WatchesOf>,
    /// When to look at which client. An entry that is out of date does nothing.
    pub(super) due: BinaryHeap<Reverse<(Instant, usize)>>,
    report: Report,
}

impl Shard {
    pub(super) fn new(
        members: Vec<Member>,
        servers: Arc<[SocketAddr]>,
        set_watches: Arc<WatchesOf>,
    ) -> Result<Self, BenchError> {
        Ok(Self {
            poll: Poll::new().map_err(BenchError::io("wait for sockets"))?,
            members,
            servers,
            set_watches,
            due: BinaryHeap::new(),
            report: Report::default(),
        })
    }

    /// Drives the clients until all are served or the time is over.
    pub(super) fn drive(
        &mut self,
        start: Instant,
        at_most: Duration,
    ) -> Result<Report, BenchError> {
        self.report = Report::default();
        let mut events = Events::with_capacity(1024);
        let end = start + at_most;
        let mut all_served: Option<Instant> = None;
        loop {
            let now = time::now();
            if now >= end || all_served.is_some_and(|since| now >= since + AFTERWARDS) {
                return Ok(self.take_report(start));
            }
            self.start_what_is_due(now)?;
            let next = self.due.peek().map(|Reverse((due, _))| due.saturating_duration_since(now));
            let wait = next.unwrap_or(ATTEMPT).min(LOOK_AROUND);
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                done => done.map_err(BenchError::io("wait for sockets"))?,
            }
            for event in &events {
                let at = event.token().0;
                let done = self.ready(at);
                self.settle(at, done)?;
            }
            // A client that was cut off afterwards is waited for, too.
            let is_complete = self.members.iter().all(|member| member.served_at.is_some());
            all_served = is_complete.then(|| all_served.unwrap_or_else(time::now));
        }
    }

    /// What has happened, and when each client was served.
    fn take_report(&mut self, start: Instant) -> Report {
        let mut report = mem::take(&mut self.report);
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

    /// Starts only some at a time, so that the answers to earlier ones are read in between.
    fn start_what_is_due(&mut self, now: Instant) -> Result<(), BenchError> {
        for _ in 0..STARTS_AT_ONCE {
            match self.due.peek() {
                Some(Reverse((due, _))) if *due <= now => {}
                _ => break,
            }
            if let Some(Reverse((due, at))) = self.due.pop() {
                self.time_has_come(at, due)?;
            }
        }
        Ok(())
    }

    /// The time of an entry has come: the client starts an attempt, gives one up, or sends a ping.
    pub(super) fn time_has_come(&mut self, at: usize, due: Instant) -> Result<(), BenchError> {
        let Member { state, since, .. } = self.members[at];
        match state {
            State::Pausing if due >= since => self.connect(at),
            State::Connecting | State::Greeting if due >= since + ATTEMPT => {
                self.report.slow_connects += usize::from(state == State::Connecting);
                self.lost(at)
            }
            State::Served if due >= since + PING_EVERY => {
                let done = self.ping(at);
                self.settle(at, done)
            }
            _ => Ok(()),
        }
    }

    /// Acts on the result of a client's step.
    fn settle(&mut self, at: usize, done: Result<(), Trouble>) -> Result<(), BenchError> {
        match done {
            Ok(()) => Ok(()),
            Err(Trouble::Lost) => self.lost(at),
            Err(Trouble::Fatal(error)) => Err(error),
        }
    }

    /// Starts an attempt. Each attempt of a client takes the next server.
    fn connect(&mut self, at: usize) -> Result<(), BenchError> {
        let member = &mut self.members[at];
        let server = self.servers[(member.number + member.attempts) % self.servers.len()];
        member.attempts += 1;
        member.since = time::now();
        member.input.clear();
        member.state = State::Connecting;
        self.due.push(Reverse((member.since + ATTEMPT, at)));
        match TcpStream::connect(server) {
            Ok(mut stream) => {
                let both = Interest::READABLE | Interest::WRITABLE;
                let registered = self.poll.registry().register(&mut stream, Token(at), both);
                registered.map_err(BenchError::io("wait for a socket"))?;
                member.stream = Some(stream);
                Ok(())
            }
            Err(error) if is_own_limit(&error) => Err(BenchError::io("open a socket")(error)),
            Err(_) => self.lost(at),
        }
    }

    /// The connection has ended, or could not be opened.
    fn lost(&mut self, at: usize) -> Result<(), BenchError> {
        let member = &mut self.members[at];
        if let Some(mut stream) = member.stream.take() {
            let forgotten = self.poll.registry().deregister(&mut stream);
            forgotten.map_err(BenchError::io("forget a socket"))?;
        }
        match member.state {
            State::Watching | State::Served if !member.is_old => self.report.cut_off += 1,
            State::Watching | State::Served => {}
            _ => self.report.turned_away += 1,
        }
        member.is_old = false;
        member.served_at = None;
        member.state = State::Pausing;
        member.since = time::now() + member.pause();
        self.due.push(Reverse((member.since, at)));
        Ok(())
    }

    /// The client's socket has something to read, or can be written.
    fn ready(&mut self, at: usize) -> Result<(), Trouble> {
        let member = &mut self.members[at];
        if member.stream.is_none() {
            return Ok(());
        }
        if member.state == State::Connecting {
            if !member.is_connected()? {
                return Ok(());
            }
            self.report.slow_connects += usize::from(member.since.elapsed() > SLOW_CONNECT);
            member.greet()?;
        }
        let is_open = member.receive();
        // The last answer may have arrived together with the end of the connection.
        while let Some(answer) = self.members[at].take_answer()? {
            match self.members[at].state {
                State::Greeting => self.greeted(at, &answer)?,
                State::Watching => self.watches_are_set(at, &answer)?,
                // An answer to a ping, or an event.
                _ => {}
            }
        }
        if is_open { Ok(()) } else { Err(Trouble::Lost) }
    }

    /// The server has opened or resumed the session, or refuses to. Sets the watches.
    fn greeted(&mut self, at: usize, answer: &[u8]) -> Result<(), Trouble> {
        let response: ConnectResponse = decode(answer)?;
        let member = &mut self.members[at];
        let is_lost = member.session_id != NO_SESSION && response.session_id != member.session_id;
        if is_lost {
            self.report.lost_sessions += 1;
            member.session_id = NO_SESSION;
        }
        if is_lost || response.session_id == NO_SESSION {
            return Err(Trouble::Lost);
        }
        member.session_id = response.session_id;
        member.passwd = response.passwd.unwrap_or_default();
        member.state = State::Watching;
        let watches = (self.set_watches)(member.number, member.last_zxid);
        member.send(&frame(SET_WATCHES_XID, OpCode::SetWatches, &watches))?;
        Ok(())
    }

    /// The server has set the watches: the client is served.
    fn watches_are_set(&mut self, at: usize, answer: &[u8]) -> Result<(), Trouble> {
        let ReplyHeader { xid, zxid, err } = decode(answer)?;
        if xid == EVENT_XID {
            return Ok(());
        }
        if (xid, err) != (SET_WATCHES_XID, 0) {
            let what = format!("xid {xid} and error {err} where watches were set");
            return Err(BenchError::Protocol(what).into());
        }
        let member = &mut self.members[at];
        member.last_zxid = member.last_zxid.max(zxid);
        member.state = State::Served;
        member.since = time::now();
        member.served_at = Some(member.since);
        self.due.push(Reverse((member.since + PING_EVERY, at)));
        Ok(())
    }

    /// Keeps an idle session alive.
    fn ping(&mut self, at: usize) -> Result<(), Trouble> {
        let member = &mut self.members[at];
        member.since = time::now();
        self.due.push(Reverse((member.since + PING_EVERY, at)));
        member.send(&bare_frame(PING_XID, OpCode::Ping))?;
        Ok(())
    }
}

/// Whether this program may open no more files. That says nothing about the server.
fn is_own_limit(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

fn decode<R: Record>(answer: &[u8]) -> Result<R, BenchError> {
    let mut archive = BinaryInputArchive::new(answer, Limits::default());
    let record = R::deserialize(&mut archive);
    record.map_err(|error| BenchError::Protocol(format!("{}: {error}", R::NAME)))
}
