//! A connection that a selector reads (Java: server/NIOServerCnxn.java).
//!
//! What is not about the socket is in `server_cnxn` (readRequest, readConnectRequest, sendResponse, sendBuffer,
//! handleWrite, readLength and readPayload). Here is doIO: it reads what the socket has, has it processed, and says what
//! the selector does next. It does not wait: a four-letter word whose answer takes long is answered by a thread, and a
//! read that takes long, or has a long answer, by one of a pool.
//!
//! Threads: the connection belongs to its selector. Any thread sends. `NIOWorkerThread-ADDR` answers one long word,
//! `NIOLongReadThread-N` long reads.

use std::convert::Infallible;
use std::mem;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use log::debug;
use rustix::io::Errno;

use super::blocking_server_cnxn::LEAST_TAKEN;
use super::cnxn_socket::CnxnSocket;
use super::request::Request;
use super::server_cnxn::{
    CnxnInput, CnxnSelector, DisconnectReason, Gate, InputState, ServerCnxn, Stop,
};
use super::worker_service::{WorkRequest, WorkerService};
use super::zookeeper_thread;
use crate::common::time;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.NIOServerCnxn";

/// How much is read from one connection, in bytes, before it is the turn of others.
const READ_AT_ONCE: usize = 64 << 10;

/// How often the selector looks at a connection whose word or read a thread answers. It is also woken.
const ANSWER_RECHECK: Duration = Duration::from_secs(1);

/// What the selector does with the connection next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Waits until the socket has something, or until it is woken.
    Wait,
    /// Looks again after this time at the latest.
    WaitFor(Duration),
    /// It is its turn again after all others, and after the requests of this round are submitted.
    Again,
    /// Nothing more is read: the connection is closed.
    Closed,
}

/// What the selector and the thread that answers a word or a read know of each other.
enum Answering {
    /// A read waits for a thread of the pool.
    Waiting(Arc<ServerCnxn>, CnxnInput),
    /// A thread is at work, or the connection has ended before.
    Working,
    /// It is answered.
    Done(CnxnInput, InputState),
}

type Answered = Arc<RankedMutex<Answering>>;

enum State {
    /// Reads and processes.
    Reading,
    /// Stopped by a limit, or by the setup of its session.
    Stopped(Stop),
    /// A thread answers its four-letter word, or one of the pool a read that takes long.
    Answering(Answered, Option<JoinHandle<()>>),
    /// Is closed for this reason, when its requests are submitted.
    Closing(DisconnectReason),
    /// The last answer is queued: waits until the client has taken it.
    Ending { unsent: usize, since: Instant, says_nothing_more: bool },
}

fn answered(begin: Answering) -> Answered {
    Arc::new(RankedMutex::new(Rank::Leaf, "answered word or read", begin))
}

/// The requests of a connection, of which the first takes long. What waits for a connection that has ended meanwhile is
/// not done, and keeps nothing of it.
struct LongRead(Answered);

impl LongRead {
    fn take(&self) -> Option<(Arc<ServerCnxn>, CnxnInput)> {
        let before = mem::replace(&mut *self.0.lock(), Answering::Working);
        match before {
            Answering::Waiting(cnxn, input) => Some((cnxn, input)),
            _ => None,
        }
    }
}

impl WorkRequest for LongRead {
    fn do_work(self: Box<Self>) {
        let Some((cnxn, mut input)) = self.take() else { return };
        let state = cnxn.process_one_long_read(&mut input);
        *self.0.lock() = Answering::Done(input, state);
        cnxn.wake_selector();
    }

    fn cleanup(self: Box<Self>) {
        if let Some((cnxn, _)) = self.take() {
            cnxn.close(DisconnectReason::CleanUp);
        }
    }
}

/// A connection, with what its selector knows of it.
pub(super) struct NIOServerCnxn {
    pub(super) cnxn: Arc<ServerCnxn>,
    pub(super) socket: Arc<CnxnSocket>,
    input: CnxnInput,
    state: State,
    /// None if connections without a session have no limit.
    sessionless_timeout: Option<Duration>,
    /// The threads for reads that take long.
    long_reads: Arc<WorkerService>,
    /// Something came since [`has_received`](Self::has_received) was asked last.
    received: bool,
    /// The client says nothing more than what the socket has. No further event will tell.
    is_read_closed: bool,
}

impl NIOServerCnxn {
    /// `input` is what was read before and is not processed yet. `sessionless_timeout_ms` is how long a connection without
    /// a session may be silent.
    pub(super) fn new(
        cnxn: Arc<ServerCnxn>,
        socket: Arc<CnxnSocket>,
        input: CnxnInput,
        sessionless_timeout_ms: i32,
        long_reads: Arc<WorkerService>,
    ) -> Self {
        Self {
            cnxn,
            socket,
            input,
            state: State::Reading,
            sessionless_timeout: positive(sessionless_timeout_ms),
            long_reads,
            received: false,
            is_read_closed: false,
        }
    }

    /// Sets the selector, when it waits for the socket.
    pub(super) fn set_selector(&self, selector: Arc<dyn CnxnSelector>) {
        self.socket.set_selector(Arc::clone(&selector));
        self.cnxn.set_selector(selector);
    }

    /// Whether the client has shown a sign of life since the last call. Of a first frame, only the whole counts.
    pub(super) fn has_received(&mut self) -> bool {
        mem::take(&mut self.received) && self.input.is_initialized()
    }

    /// Whether it is read when the socket has something. Otherwise something else is waited for.
    pub(super) const fn is_reading(&self) -> bool {
        matches!(self.state, State::Reading)
    }

    /// Whether it waits for room in memory.
    pub(super) const fn waits_for_room(&self) -> bool {
        matches!(&self.state, State::Stopped(stop) if stop.waits_for_room())
    }

    /// Whether it is stopped by a limit, or by the setup of its session.
    pub(super) const fn is_stopped(&self) -> bool {
        matches!(self.state, State::Stopped(_))
    }

    /// Whether its first frame is complete.
    pub(super) const fn has_greeted(&self) -> bool {
        self.input.is_initialized()
    }

    /// The client has closed its side, or the connection has failed.
    pub(super) const fn note_read_closed(&mut self) {
        self.is_read_closed = true;
    }

    /// Reads what the socket has, and processes it (Java: doIO). Requests for the processors are added to `requests`.
    pub(super) fn do_io(&mut self, requests: &mut Vec<Box<Request>>) -> Next {
        self.cnxn.selector_looks();
        if self.cnxn.is_stale() {
            return Next::Closed;
        }
        let next = match &mut self.state {
            State::Reading => self.read(requests),
            State::Stopped(_) => self.look_at_gate(requests),
            State::Answering(..) => self.look_at_answer(requests),
            State::Closing(reason) => {
                let reason = *reason;
                self.close(reason)
            }
            State::Ending { .. } => self.drain(),
        };
        if next == Next::Closed {
            // Does nothing if it is closed already.
            self.cnxn.close(DisconnectReason::Unknown);
        }
        next
    }

    /// Reads until the socket has nothing more, or until it is the turn of others.
    fn read(&mut self, requests: &mut Vec<Box<Request>>) -> Next {
        let next = self.read_all(requests);
        self.input.settle();
        next
    }

    fn read_all(&mut self, requests: &mut Vec<Box<Request>>) -> Next {
        let mut budget = READ_AT_ONCE;
        loop {
            self.input.borrow_buffer();
            let space = self.input.space();
            let room = space.len();
            let n = match self.socket.recv(space) {
                Ok(0) => return self.close(self.cnxn.end_of_stream()),
                Ok(n) => n,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    self.is_read_closed = false;
                    return Next::Wait;
                }
                Err(error) => {
                    debug!(target: LOG, "Close of session {}: {error}", self.cnxn.session_id());
                    return self.close(DisconnectReason::IoException);
                }
            };
            self.received = true;
            self.input.filled(n);
            match self.process(requests) {
                // What did not fill the buffer was all that the socket had, except perhaps the end of the stream.
                Next::Wait if n < room && self.is_read_closed => return Next::Again,
                Next::Wait if n < room => return Next::Wait,
                Next::Wait => {}
                other => return other,
            }
            budget = budget.saturating_sub(n);
            if budget == 0 {
                return Next::Again;
            }
        }
    }

    /// Processes what was read. `Wait` if more is to be read.
    fn process(&mut self, requests: &mut Vec<Box<Request>>) -> Next {
        if self.cnxn.is_ending() {
            return self.begin_to_end();
        }
        if self.input.begins_with_long_word() {
            return self.answer_word();
        }
        if self.input.begins_with_long_request() {
            // It has waited for room in memory.
            return self.answer_long_read();
        }
        let state = self.cnxn.gather_input(&mut self.input, requests);
        self.cnxn.flush();
        if state == InputState::More && self.input.begins_with_long_request() {
            return self.answer_long_read();
        }
        self.follow(state)
    }

    /// What follows when the input was processed.
    fn follow(&mut self, state: InputState) -> Next {
        match state {
            InputState::More => Next::Wait,
            InputState::Stopped => {
                self.state = State::Stopped(self.cnxn.stop());
                Next::Again
            }
            InputState::Done => self.begin_to_end(),
            InputState::Close(reason) => {
                self.state = State::Closing(reason);
                Next::Again
            }
        }
    }

    fn look_at_gate(&mut self, requests: &mut Vec<Box<Request>>) -> Next {
        let State::Stopped(stop) = &mut self.state else { return Next::Wait };
        match self.cnxn.look_at_gate(stop) {
            Gate::Wait(time) => Next::WaitFor(time),
            Gate::Closed => Next::Closed,
            Gate::Open => {
                self.state = State::Reading;
                // The client was not read, so its time begins anew.
                self.received = true;
                match self.process(requests) {
                    // The socket may have got something meanwhile, which no event will tell.
                    Next::Wait => self.read(requests),
                    other => other,
                }
            }
        }
    }

    fn answer_word(&mut self) -> Next {
        self.input.settle();
        let mut input = mem::take(&mut self.input);
        let answered = answered(Answering::Working);
        let (of_thread, cnxn) = (Arc::clone(&answered), Arc::clone(&self.cnxn));
        let name = format!("NIOWorkerThread-{}", self.cnxn.remote_socket_address());
        let thread = zookeeper_thread::spawn(&name, None, move || {
            let state = cnxn.process_input(&mut input);
            *of_thread.lock() = Answering::Done(input, state);
            cnxn.wake_selector();
            Ok::<(), Infallible>(())
        });
        match thread {
            Ok(thread) => {
                self.state = State::Answering(answered, Some(thread));
                Next::WaitFor(ANSWER_RECHECK)
            }
            Err(error) => {
                debug!(target: LOG, "no thread answers the word of {}: {error}", self.cnxn);
                self.close(DisconnectReason::IoException)
            }
        }
    }

    fn answer_long_read(&mut self) -> Next {
        self.input.settle();
        let input = mem::take(&mut self.input);
        let answered = answered(Answering::Waiting(Arc::clone(&self.cnxn), input));
        self.state = State::Answering(Arc::clone(&answered), None);
        let ip = self.cnxn.remote_socket_address().ip();
        self.long_reads.schedule(ip, Box::new(LongRead(answered)));
        Next::WaitFor(ANSWER_RECHECK)
    }

    fn look_at_answer(&mut self, requests: &mut Vec<Box<Request>>) -> Next {
        let State::Answering(answered, thread) = &self.state else { return Next::Wait };
        let has_ended = thread.as_ref().is_some_and(JoinHandle::is_finished);
        let mut answer = answered.lock();
        let found = mem::replace(&mut *answer, Answering::Working);
        let Answering::Done(input, state) = found else {
            *answer = found;
            // A thread that has ended without an answer has panicked.
            return if has_ended { Next::Closed } else { Next::WaitFor(ANSWER_RECHECK) };
        };
        drop(answer);
        self.input = input;
        // It has done everything but return.
        if let Some(thread) = self.take_thread() {
            zookeeper_thread::join(thread);
        }
        // The client was not read, so its time begins anew.
        self.received = true;
        if state == InputState::More && self.input.begins_with_long_request() {
            return self.answer_long_read();
        }
        match self.follow(state) {
            // The socket may have got something meanwhile, which no event will tell.
            Next::Wait => self.read(requests),
            other => other,
        }
    }

    /// Ends the wait for a word or a read. Returns the thread that answers a word, if there is one, for whoever joins it.
    pub(super) fn take_thread(&mut self) -> Option<JoinHandle<()>> {
        match mem::replace(&mut self.state, State::Reading) {
            State::Answering(answered, thread) => {
                let waiting = mem::replace(&mut *answered.lock(), Answering::Working);
                drop(waiting);
                thread
            }
            _ => None,
        }
    }

    fn begin_to_end(&mut self) -> Next {
        self.state = State::Ending {
            unsent: self.cnxn.unsent(),
            since: time::now(),
            says_nothing_more: false,
        };
        self.drain()
    }

    /// Waits until the client has taken the last answer or has closed the connection. Reads and drops what the client
    /// still sends.
    fn drain(&mut self) -> Next {
        let State::Ending { unsent, since, says_nothing_more } = &mut self.state else {
            return Next::Wait;
        };
        let limit = self.sessionless_timeout;
        if limit.is_some_and(|limit| since.elapsed() >= limit) {
            let before = mem::replace(unsent, self.cnxn.unsent());
            if *unsent + LEAST_TAKEN > before {
                return self.close(self.cnxn.expired());
            }
            *since = time::now();
        }
        let left = limit.map(|limit| limit.saturating_sub(since.elapsed()));
        let mut dropped = [0; 4096];
        let mut budget = READ_AT_ONCE;
        while !*says_nothing_more {
            match self.socket.recv(&mut dropped[..]) {
                // The client may have closed only its sending side, to mark the end of its request.
                Ok(0) if self.cnxn.unsent() > 0 => *says_nothing_more = true,
                Ok(0) => return self.close(DisconnectReason::ClientClosedConnection),
                Ok(n) => budget = budget.saturating_sub(n),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return self.close(DisconnectReason::ClientClosedConnection),
            }
            if budget == 0 {
                return Next::Again;
            }
        }
        left.map_or(Next::Wait, Next::WaitFor)
    }

    fn close(&self, reason: DisconnectReason) -> Next {
        self.cnxn.close(reason);
        Next::Closed
    }

    /// How long nothing may come, if there is a limit. A session expires before its connection, which waits for a step
    /// more, as in Java.
    pub(super) fn timeout(&self) -> Option<Duration> {
        if self.cnxn.session().is_none() {
            return self.sessionless_timeout;
        }
        let timeout = positive(self.cnxn.session_timeout_ms())?;
        Some(timeout + self.sessionless_timeout.unwrap_or_default())
    }
}

/// A time limit; zero and less are none.
fn positive(ms: i32) -> Option<Duration> {
    u64::try_from(ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
}
