//! A connection that has a thread of its own (no Java twin; in the place of server/NIOServerCnxn.java).
//!
//! Threads: the reader blocks in `read` and is named after the client's address. Sends never block: each send asks for
//! a non-blocking call on the same socket. The read timeout detects a client that is silent for longer than its
//! session's timeout. The first frame must be complete within the time that a connection may be without a session, no
//! matter in how many pieces it arrives. Of its last answer, a client must take a minimum number of bytes in each
//! period of this length.
//!
//! What is not about the socket is in `server_cnxn` (sendResponse, sendBuffer, handleWrite, readRequest,
//! readConnectRequest).

pub(super) mod slow_writer;

use std::io::{self, Read};
use std::mem;
use std::net::TcpStream;
use std::os::fd::RawFd;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded, never};
use log::{debug, warn};

use self::slow_writer::SlowWriter;
use super::client_socket::ClientSocket;
use super::server_cnxn::{CnxnInput, DisconnectReason, InputState, ServerCnxn, Transport};
use crate::common::deadline::Deadline;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.NIOServerCnxn";

/// The bytes of its last answer that a client must take within the sessionless timeout, unless it takes all of them.
pub(super) const LEAST_TAKEN: usize = 64 << 10;

/// How often the reader checks whether the last answer is sent, after the client has closed its sending side.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A client's socket, as the connection sees it.
pub struct SocketTransport {
    socket: ClientSocket,
    slow_writer: Arc<SlowWriter>,
    cnxn: OnceLock<Weak<ServerCnxn>>,
}

impl SocketTransport {
    /// The transport of an accepted socket.
    pub(super) fn new(stream: TcpStream, slow_writer: Arc<SlowWriter>) -> Self {
        Self { socket: ClientSocket(stream), slow_writer, cnxn: OnceLock::new() }
    }

    /// The socket's descriptor. It stays open as long as this transport exists.
    pub(super) fn fd(&self) -> RawFd {
        self.socket.fd()
    }
}

impl Transport for Arc<SocketTransport> {
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(bytes)
    }

    fn finish_later(&self) {
        if let Some(cnxn) = self.cnxn.get().and_then(Weak::upgrade) {
            self.slow_writer.add(cnxn, Arc::clone(self));
        }
    }

    fn is_hung_up(&self) -> bool {
        self.socket.is_hung_up()
    }

    fn close(&self) {
        self.socket.close();
    }
}

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

/// The reader of one connection.
pub(super) struct Reader {
    transport: Arc<SocketTransport>,
    cnxn: Arc<ServerCnxn>,
    timeout_ms: i32,
    sessionless_timeout_ms: i32,
    /// When the first frame must be complete.
    greeting: Deadline,
    first_turns: FirstTurns,
}

impl Reader {
    /// Links the connection and its socket.
    pub(super) fn new(
        transport: Arc<SocketTransport>,
        cnxn: Arc<ServerCnxn>,
        first_turns: FirstTurns,
    ) -> Self {
        let is_first = transport.cnxn.set(Arc::downgrade(&cnxn)).is_ok();
        debug_assert!(is_first, "a socket has one connection");
        let sessionless_timeout_ms = cnxn.session_timeout_ms();
        let greeting = Deadline::after_ms(sessionless_timeout_ms);
        Self { transport, cnxn, timeout_ms: 0, sessionless_timeout_ms, greeting, first_turns }
    }

    /// The thread: reads until the connection ends, then closes it.
    pub(super) fn run(mut self) {
        let reason = self.read_until_the_end();
        self.cnxn.close(reason);
    }

    fn read_until_the_end(&mut self) -> DisconnectReason {
        let mut input = CnxnInput::new();
        let mut turns = 0;
        loop {
            if input.is_initialized() {
                self.set_read_timeout();
            } else if !self.set_greeting_timeout() {
                return self.cnxn.expired();
            }
            match (&self.transport.socket.0).read(input.space()) {
                Ok(0) => return self.cnxn.end_of_stream(),
                Ok(n) => input.filled(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.cnxn.expired();
                }
                Err(error) => {
                    debug!(target: LOG, "Close of session {}: {error}", self.cnxn.session_id());
                    return DisconnectReason::IoException;
                }
            }
            loop {
                if self.cnxn.is_ending() {
                    return self.wait_for_the_end();
                }
                // A four-letter word takes no turn: its answer may take long, and no session depends on it.
                let has_turn = turns < FIRST_TURNS && !input.begins_with_word();
                let turn = has_turn.then(|| self.first_turns.take());
                turns = turns.saturating_add(1);
                let state = self.cnxn.process_input(&mut input);
                drop(turn);
                match state {
                    InputState::More => break,
                    InputState::Stopped => {
                        if !self.cnxn.wait_until_readable() {
                            return DisconnectReason::Unknown;
                        }
                    }
                    InputState::Done => return self.wait_for_the_end(),
                    InputState::Close(reason) => return reason,
                }
            }
        }
    }

    /// Sets the read timeout to what is left of the time for the first frame. Returns false if no time is left.
    fn set_greeting_timeout(&self) -> bool {
        let Ok(left) = self.greeting.left() else { return false };
        if let Err(error) = self.transport.socket.0.set_read_timeout(left) {
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
        if let Err(error) = self.transport.socket.0.set_read_timeout(timeout) {
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
            if let Err(error) = self.transport.socket.0.set_read_timeout(left) {
                warn!(target: LOG, "cannot set the read timeout of {}: {error}", self.cnxn);
            }
            match (&self.transport.socket.0).read(&mut [0; 512]) {
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
