//! A connection that has a thread of its own (no Java twin; in the place of server/NIOServerCnxn.java).
//!
//! Threads: the reader blocks in `read` and is named after the client's address. Sends never block: each send asks for
//! a non-blocking call on the same socket. The read timeout detects a client that is silent for longer than its
//! session's timeout. The first frame must be complete within the time that a connection may be without a session, no
//! matter in how many pieces it arrives. Of its last answer, a client must take a minimum number of bytes in each
//! period of this length.
//!
//! When there are more clients than a few, the connection moves to a selector, unless its client sends many requests at a
//! time.
//!
//! What is not about the socket is in `server_cnxn` (sendResponse, sendBuffer, handleWrite, readRequest,
//! readConnectRequest).

use std::io::{self, Read};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded, never};
use log::{debug, warn};

use super::client_socket::ClientSocket;
use super::cnxn_socket::CnxnSocket;
use super::server_cnxn::{CnxnInput, DisconnectReason, InputState, ServerCnxn};
use crate::common::deadline::Deadline;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.NIOServerCnxn";

/// The bytes of its last answer that a client must take within the sessionless timeout, unless it takes all of them.
pub(super) const LEAST_TAKEN: usize = 64 << 10;

/// How often the reader checks whether the last answer is sent, after the client has closed its sending side.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The number of readers that may process the first requests of their clients at the same time. When thousands of
/// clients connect at once, more readers would only compete for the same few locks, with each other and with the
/// thread that sets up their sessions.
const MAX_FIRST_TURNS: usize = 32;

/// The number of a connection's first inputs that need a turn: the ConnectRequest, what was queued behind it, and
/// the first requests after the session is set up, such as setWatches.
const FIRST_TURNS: u32 = 3;

/// Hands out the turns. All readers of a port share it.
#[derive(Clone)]
pub(super) struct FirstTurns(Sender<()>, Receiver<()>);

impl Default for FirstTurns {
    fn default() -> Self {
        let (sender, receiver) = bounded(MAX_FIRST_TURNS);
        Self(sender, receiver)
    }
}

impl FirstTurns {
    /// Waits for a free turn. Dropping the result frees the turn.
    fn take(&self) -> Turn<'_> {
        // This struct owns both ends, so the channel never disconnects.
        let _room = self.0.send(());
        Turn(&self.1)
    }
}

struct Turn<'a>(&'a Receiver<()>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let _room = self.0.try_recv();
    }
}

/// A connection moves to a selector after so many inputs in a row of one request each: its client waits for each answer.
/// A client that sends many requests at a time keeps its thread, which then is woken seldom.
const SINGLE_REQUESTS_TO_MOVE: u32 = 16;

/// Where a connection goes when there are more clients than a few.
pub(super) trait Selectors: Send + Sync {
    /// Whether there are so many clients that selectors are to read all of them.
    fn are_needed(&self) -> bool;

    /// Has a selector read the connection from now on. `input` is what was read and is not processed yet.
    fn take_over(&self, cnxn: Arc<ServerCnxn>, socket: Arc<CnxnSocket>, input: CnxnInput);
}

/// Why a thread reads no more.
enum End {
    /// The connection is to be closed.
    Close(DisconnectReason),
    /// A selector is to read it.
    Move,
}

/// The reader of one connection.
pub(super) struct Reader {
    transport: Arc<CnxnSocket>,
    socket: Arc<ClientSocket>,
    cnxn: Arc<ServerCnxn>,
    selectors: Arc<dyn Selectors>,
    /// How many inputs in a row had one request.
    single_requests: u32,
    timeout_ms: i32,
    sessionless_timeout_ms: i32,
    /// When the first frame must be complete.
    greeting: Deadline,
    first_turns: FirstTurns,
}

impl Reader {
    /// Links the connection and its socket. None if the socket is closed already.
    pub(super) fn new(
        transport: Arc<CnxnSocket>,
        cnxn: Arc<ServerCnxn>,
        first_turns: FirstTurns,
        selectors: Arc<dyn Selectors>,
    ) -> Option<Self> {
        let socket = transport.set_cnxn(&cnxn)?;
        let sessionless_timeout_ms = cnxn.session_timeout_ms();
        let greeting = Deadline::after_ms(sessionless_timeout_ms);
        Some(Self {
            transport,
            socket,
            cnxn,
            selectors,
            single_requests: 0,
            timeout_ms: 0,
            sessionless_timeout_ms,
            greeting,
            first_turns,
        })
    }

    /// The thread: reads until the connection ends, then closes it, or until a selector reads it.
    pub(super) fn run(mut self) {
        let mut input = CnxnInput::new();
        match self.read_until_the_end(&mut input) {
            End::Close(reason) => self.cnxn.close(reason),
            End::Move => self.selectors.take_over(self.cnxn, self.transport, input),
        }
    }

    fn read_until_the_end(&mut self, input: &mut CnxnInput) -> End {
        let mut turns = 0;
        loop {
            if self.moves(input) {
                return End::Move;
            }
            if input.is_initialized() {
                self.set_read_timeout();
            } else if !self.set_greeting_timeout() {
                return End::Close(self.cnxn.expired());
            }
            match (&self.socket.0).read(input.space()) {
                Ok(0) => return End::Close(self.cnxn.end_of_stream()),
                Ok(n) => input.filled(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return End::Close(self.cnxn.expired());
                }
                Err(error) => {
                    debug!(target: LOG, "Close of session {}: {error}", self.cnxn.session_id());
                    return End::Close(DisconnectReason::IoException);
                }
            }
            let received = self.cnxn.stats().packets_received();
            loop {
                if self.cnxn.is_ending() {
                    return End::Close(self.wait_for_the_end());
                }
                // A four-letter word takes no turn: its answer may take long, and no session depends on it.
                let has_turn = turns < FIRST_TURNS && !input.begins_with_word();
                let turn = has_turn.then(|| self.first_turns.take());
                turns = turns.saturating_add(1);
                let state = self.cnxn.process_input(input);
                drop(turn);
                match state {
                    InputState::More => break,
                    InputState::Stopped => {
                        if !self.cnxn.wait_until_readable() {
                            return End::Close(DisconnectReason::Unknown);
                        }
                    }
                    InputState::Done => return End::Close(self.wait_for_the_end()),
                    InputState::Close(reason) => return End::Close(reason),
                }
            }
            let is_single = self.cnxn.stats().packets_received() - received <= 1;
            self.single_requests = if is_single { self.single_requests + 1 } else { 0 };
        }
    }

    /// Whether a selector is to read the connection from now on.
    fn moves(&mut self, input: &CnxnInput) -> bool {
        if self.single_requests < SINGLE_REQUESTS_TO_MOVE {
            return false;
        }
        // So that it does not ask each time, and that the number does not overflow.
        self.single_requests = 0;
        input.is_initialized() && self.cnxn.session().is_some() && self.selectors.are_needed()
    }

    /// Sets the read timeout to what is left of the time for the first frame. Returns false if no time is left.
    fn set_greeting_timeout(&self) -> bool {
        let Ok(left) = self.greeting.left() else { return false };
        if let Err(error) = self.socket.0.set_read_timeout(left) {
            warn!(target: LOG, "cannot set the read timeout of {}: {error}", self.cnxn);
        }
        true
    }

    /// Adapts the read timeout to the session's timeout, which is known only after the first requests.
    fn set_read_timeout(&mut self) {
        let mut timeout_ms = self.cnxn.session_timeout_ms();
        if self.cnxn.session().is_some() {
            // The session must expire before its connection. Java rounds the expiry of connections up to steps of
            // this length.
            timeout_ms = timeout_ms.saturating_add(self.sessionless_timeout_ms);
        }
        if timeout_ms == self.timeout_ms {
            return;
        }
        self.timeout_ms = timeout_ms;
        let timeout =
            u64::try_from(timeout_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
        if let Err(error) = self.socket.0.set_read_timeout(timeout) {
            warn!(target: LOG, "cannot set the read timeout of {}: {error}", self.cnxn);
        }
    }

    /// Waits until the client has taken the last answer or has closed the connection. Reads and drops what the
    /// client still sends.
    fn wait_for_the_end(&self) -> DisconnectReason {
        let mut unsent = self.cnxn.unsent();
        let mut deadline = Deadline::after_ms(self.sessionless_timeout_ms);
        let mut says_nothing_more = false;
        while !self.cnxn.is_stale() {
            let Ok(left) = deadline.left() else {
                let before = mem::replace(&mut unsent, self.cnxn.unsent());
                if unsent + LEAST_TAKEN > before {
                    return self.cnxn.expired();
                }
                deadline = Deadline::after_ms(self.sessionless_timeout_ms);
                continue;
            };
            if says_nothing_more {
                let _always_a_timeout = never::<()>().recv_timeout(LOOK_INTERVAL);
                continue;
            }
            if let Err(error) = self.socket.0.set_read_timeout(left) {
                warn!(target: LOG, "cannot set the read timeout of {}: {error}", self.cnxn);
            }
            match (&self.socket.0).read(&mut [0; 512]) {
                // The client may have closed only its sending side, to mark the end of its request.
                Ok(0) if self.cnxn.unsent() > 0 => says_nothing_more = true,
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        DisconnectReason::ClientClosedConnection
    }
}
