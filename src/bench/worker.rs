//! A thread that keeps connections busy (no Java twin).
//!
//! A single connection is served with blocking reads and writes: two system calls a round. Several connections are
//! served by waiting for all of them at once. In both cases the thread reads into one buffer and writes from another,
//! so that its working set does not grow with the number of connections. A connection stores its own bytes only for
//! an incomplete reply, or for output that its socket did not accept.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::common::time;

use super::error::BenchError;
use super::lane::{Lane, Tally};
use super::session::{STALL, Session};

/// The maximum size of one read.
const INPUT_BYTES: usize = 256 * 1024;

/// How often a thread that receives no replies checks the phase.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// A phase of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Requests are sent, but latencies are not recorded.
    WarmUp,
    /// Latencies are recorded.
    Measure,
    /// Outstanding replies are received, but no requests are sent.
    Drain,
}

/// The state that the threads of a measurement share.
#[derive(Debug)]
pub(crate) struct Control {
    phase: AtomicU8,
    completed: AtomicU64,
}

impl Control {
    pub(crate) fn new(phase: Phase) -> Self {
        Self { phase: AtomicU8::new(phase as u8), completed: AtomicU64::new(0) }
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::WarmUp,
            1 => Phase::Measure,
            _ => Phase::Drain,
        }
    }

    /// The number of replies of all threads so far, in all phases.
    pub(crate) fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }
}

/// A session and its requests.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) session: Session,
    pub(crate) lane: Lane,
}

/// The result of a thread.
#[derive(Debug)]
pub(crate) struct WorkerEnd {
    pub(crate) tally: Tally,
    /// The sessions that can still be used: none after an error.
    pub(crate) sessions: Vec<Session>,
    pub(crate) finished_at: Instant,
    pub(crate) error: Option<BenchError>,
}

/// The work of one thread.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) members: Vec<Member>,
    pub(crate) control: Arc<Control>,
}

impl Worker {
    /// Keeps the connections busy until the phase is [`Phase::Drain`] or no request is left, and every reply has
    /// arrived.
    pub(crate) fn run(mut self) -> WorkerEnd {
        let mut run = Run::new(Arc::clone(&self.control));
        let served = match &mut self.members[..] {
            [member] => run.serve_one(member),
            members => run.serve_many(members),
        };
        let finished_at = time::now();
        let mut sessions = Vec::new();
        if served.is_ok() {
            for Member { mut session, lane } in self.members {
                session.set_next_xid(lane.next_xid());
                sessions.push(session);
            }
        }
        WorkerEnd { tally: run.tally, sessions, finished_at, error: served.err() }
    }
}

/// One of several connections.
struct Polled {
    socket: mio::net::TcpStream,
    /// An incomplete reply.
    rest: Vec<u8>,
    /// Output that the socket did not accept yet.
    unsent: Vec<u8>,
    /// Whether the poll also waits until the socket can be written.
    waits_for_room: bool,
}

/// A thread's buffers, clock and results.
struct Run {
    control: Arc<Control>,
    tally: Tally,
    start: Instant,
    input: Vec<u8>,
    output: Vec<u8>,
    stopping: bool,
}

impl Run {
    fn new(control: Arc<Control>) -> Self {
        Self {
            control,
            tally: Tally::default(),
            start: time::now(),
            input: vec![0; INPUT_BYTES],
            output: Vec::new(),
            stopping: false,
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn follow_phase(&mut self) {
        let phase = self.control.phase();
        self.tally.recording = phase == Phase::Measure;
        self.stopping = phase == Phase::Drain;
    }

    fn count(&self, replies: u64) {
        self.control.completed.fetch_add(replies, Ordering::Relaxed);
    }

    fn serve_one(&mut self, member: &mut Member) -> Result<(), BenchError> {
        let Member { session, lane } = member;
        let mut stream = session.stream();
        let mut have = 0;
        let mut now_ns = self.now_ns();
        loop {
            self.follow_phase();
            if self.stopping {
                lane.stop();
            }
            lane.fill(now_ns, &mut self.output);
            if lane.is_finished() {
                return Ok(());
            }
            if !self.output.is_empty() {
                stream.write_all(&self.output).map_err(|error| lost("send requests", error))?;
                self.output.clear();
            }
            self.make_room(have);
            let read = match stream.read(&mut self.input[have..]) {
                Ok(0) => return Err(closed()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(lost("read replies", error)),
            };
            now_ns = self.now_ns();
            have += read;
            let (taken, replies) =
                lane.take_replies(&self.input[..have], now_ns, &mut self.tally)?;
            self.input.copy_within(taken..have, 0);
            have -= taken;
            self.count(replies);
        }
    }

    /// A reply that is longer than the buffer needs a larger buffer.
    fn make_room(&mut self, have: usize) {
        if have == self.input.len() {
            self.input.resize(have * 2, 0);
        }
    }

    fn serve_many(&mut self, members: &mut [Member]) -> Result<(), BenchError> {
        let mut poll = Poll::new().map_err(BenchError::io("wait for sockets"))?;
        let mut polled = Vec::with_capacity(members.len());
        for (at, member) in members.iter().enumerate() {
            let socket = watch(&poll, at, member).map_err(BenchError::io("wait for a socket"))?;
            let (rest, unsent) = (Vec::new(), Vec::new());
            polled.push(Polled { socket, rest, unsent, waits_for_room: false });
        }
        let served = self.serve_polled(&mut poll, &mut polled, members);
        for member in members {
            let blocking = member.session.stream().set_nonblocking(false);
            blocking.map_err(BenchError::io("make a socket blocking again"))?;
        }
        served
    }

    fn serve_polled(
        &mut self,
        poll: &mut Poll,
        polled: &mut [Polled],
        members: &mut [Member],
    ) -> Result<(), BenchError> {
        let mut events = Events::with_capacity(members.len().clamp(16, 1024));
        for (at, polled) in polled.iter_mut().enumerate() {
            self.send_more(poll, at, polled, &mut members[at].lane)?;
        }
        let mut heard = time::now();
        while !members.iter().all(|member| member.lane.is_finished()) {
            match poll.poll(&mut events, Some(LOOK_AROUND)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                done => done.map_err(BenchError::io("wait for replies"))?,
            }
            self.follow_phase();
            if events.is_empty() {
                if heard.elapsed() > STALL {
                    let error = io::Error::from(ErrorKind::TimedOut);
                    return Err(BenchError::io("read replies")(error));
                }
                if self.stopping {
                    members.iter_mut().for_each(|member| member.lane.stop());
                }
                continue;
            }
            heard = time::now();
            for event in &events {
                let at = event.token().0;
                let (polled, lane) = (&mut polled[at], &mut members[at].lane);
                if event.is_readable() {
                    self.receive(polled, lane)?;
                }
                if self.stopping {
                    lane.stop();
                }
                self.send_more(poll, at, polled, lane)?;
            }
        }
        Ok(())
    }

    /// Reads all replies that have arrived. The next event comes only after the socket was found empty.
    fn receive(&mut self, polled: &mut Polled, lane: &mut Lane) -> Result<(), BenchError> {
        let mut have = polled.rest.len();
        if have > 0 {
            self.make_room_for(have);
            self.input[..have].copy_from_slice(&polled.rest);
            polled.rest.clear();
        }
        loop {
            self.make_room(have);
            let room = self.input.len() - have;
            let read = match polled.socket.read(&mut self.input[have..]) {
                Ok(0) => return Err(closed()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(lost("read replies", error)),
            };
            have += read;
            let now_ns = self.now_ns();
            let (taken, replies) =
                lane.take_replies(&self.input[..have], now_ns, &mut self.tally)?;
            self.input.copy_within(taken..have, 0);
            have -= taken;
            self.count(replies);
            if read < room {
                break; // a short read has emptied the socket
            }
        }
        polled.rest.extend_from_slice(&self.input[..have]);
        Ok(())
    }

    fn make_room_for(&mut self, have: usize) {
        if self.input.len() <= have {
            self.input.resize(have * 2, 0);
        }
    }

    /// Sends as much as possible. Asks for an event when the socket can be written again.
    fn send_more(
        &mut self,
        poll: &Poll,
        at: usize,
        polled: &mut Polled,
        lane: &mut Lane,
    ) -> Result<(), BenchError> {
        if !polled.unsent.is_empty() {
            let sent = send(&mut polled.socket, &polled.unsent)?;
            polled.unsent.drain(..sent);
        }
        if polled.unsent.is_empty() {
            lane.fill(self.now_ns(), &mut self.output);
            let sent = send(&mut polled.socket, &self.output)?;
            polled.unsent.extend_from_slice(&self.output[sent..]);
            self.output.clear();
        }
        let waits = !polled.unsent.is_empty();
        if waits != polled.waits_for_room {
            polled.waits_for_room = waits;
            let room =
                if waits { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            let again = poll.registry().reregister(&mut polled.socket, Token(at), room);
            again.map_err(BenchError::io("wait for a socket"))?;
        }
        Ok(())
    }
}

fn watch(poll: &Poll, at: usize, member: &Member) -> io::Result<mio::net::TcpStream> {
    let stream = member.session.stream().try_clone()?;
    stream.set_nonblocking(true)?;
    let mut socket = mio::net::TcpStream::from_std(stream);
    poll.registry().register(&mut socket, Token(at), Interest::READABLE)?;
    Ok(socket)
}

/// Sends as much as the socket accepts now. Returns the number of bytes sent.
fn send(socket: &mut mio::net::TcpStream, bytes: &[u8]) -> Result<usize, BenchError> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(more) => sent += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(lost("send requests", error)),
        }
    }
    Ok(sent)
}

fn closed() -> BenchError {
    lost("read replies", ErrorKind::UnexpectedEof.into())
}

/// The error for a failed connection. A connection is reset, not closed, if the server had not read everything; both
/// give the same error.
fn lost(action: &str, error: io::Error) -> BenchError {
    let is_end = matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    );
    let error = if is_end {
        io::Error::new(error.kind(), "the server has closed the connection")
    } else {
        error
    };
    BenchError::io(action)(error)
}
