//! The socket of a client's connection, and the thread that reads it (no Java twin; in the place of
//! server/NIOServerCnxn.java).
//!
//! Threads: one reader a connection, named after the client's address. It blocks in `read`; sends never block, because
//! they are asked not to, one by one, on the same socket. A client that says nothing for longer than its session's
//! timeout is found by the read's own timeout. The first frame must be there as a whole within the time that a connection may
//! be without a session, however its bytes come; and who does not take his last answer has no longer.

use std::io::{self, Read};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded, never};
use log::{debug, info, warn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use super::blocking_server_cnxn_factory::SlowWriter;
use super::server_cnxn::{CnxnInput, DisconnectReason, InputState, ServerCnxn, Transport};
use crate::common::deadline::Deadline;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.NIOServerCnxn";

/// Send what there is room for, do not wait (Linux: MSG_DONTWAIT) and raise no signal (MSG_NOSIGNAL).
const SEND_FLAGS: i32 = 0x40 | 0x4000;

/// Who is sent his last answer takes as many bytes in the time that a connection may be without a session, or all.
const LEAST_TAKEN: usize = 64 << 10;

/// How often it is looked whether the last answer has left, once the client says nothing more.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A client's socket, as the connection sees it.
pub struct SocketTransport {
    stream: TcpStream,
    slow_writer: Arc<SlowWriter>,
    cnxn: OnceLock<Weak<ServerCnxn>>,
}

impl SocketTransport {
    /// The transport of an accepted socket.
    pub(super) fn new(stream: TcpStream, slow_writer: Arc<SlowWriter>) -> Self {
        Self { stream, slow_writer, cnxn: OnceLock::new() }
    }

    /// Its socket, which is open for as long as it is there.
    pub(super) fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

impl Transport for Arc<SocketTransport> {
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        SockRef::from(&self.stream).send_with_flags(bytes, SEND_FLAGS)
    }

    fn finish_later(&self) {
        if let Some(cnxn) = self.cnxn.get().and_then(Weak::upgrade) {
            self.slow_writer.add(cnxn, Arc::clone(self));
        }
    }

    fn is_hung_up(&self) -> bool {
        // Anything else than what was asked for (an error, no connection) comes unasked.
        let mut fds = [PollFd::new(&self.stream, PollFlags::RDHUP)];
        let at_once = Timespec::default();
        matches!(poll(&mut fds, Some(&at_once)), Ok(1..))
    }

    fn close(&self) {
        // Already closed by the client is as good.
        if let Err(error) = self.stream.shutdown(Shutdown::Both) {
            debug!(target: LOG, "ignoring error during shutdown of a socket: {error}");
        }
    }
}

/// So many readers at a time process the first of what their clients have to say: more of them, when thousands come at once,
/// only stand in each other's way, and in that of the thread that sets up their sessions, before the same few locks.
const MAX_FIRST_TURNS: usize = 32;

/// The first things that a client says: its ConnectRequest, what waited behind it, and what it says when it has its
/// session, such as setWatches.
const FIRST_TURNS: u32 = 3;

/// Whose turn it is. All readers of a port share it.
#[derive(Clone)]
pub(super) struct FirstTurns(Sender<()>, Receiver<()>);

impl Default for FirstTurns {
    fn default() -> Self {
        let (sender, receiver) = bounded(MAX_FIRST_TURNS);
        Self(sender, receiver)
    }
}

impl FirstTurns {
    /// Waits until there is room; it is, until the turn is dropped, somebody else's.
    fn take(&self) -> Turn<'_> {
        // Both ends are here: the channel does not break.
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
    /// Until when the first frame must be there.
    greeting: Deadline,
    first_turns: FirstTurns,
}

impl Reader {
    /// Ties connection and socket together.
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
                return self.expired();
            }
            match (&self.transport.stream).read(input.space()) {
                Ok(0) => return self.end_of_stream(),
                Ok(n) => input.filled(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.expired();
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
                // An answer to a word may take long, and nobody's session waits for it.
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

    /// Allows for what is left of the time for the first frame; false when that is over.
    fn set_greeting_timeout(&self) -> bool {
        let Ok(left) = self.greeting.left() else { return false };
        if let Err(error) = self.transport.stream.set_read_timeout(left) {
            warn!(target: LOG, "cannot set the read timeout of {}: {error}", self.cnxn);
        }
        true
    }

    /// The session's timeout is known after the first requests: the read's timeout follows it.
    fn set_read_timeout(&mut self) {
        let mut timeout_ms = self.cnxn.session_timeout_ms();
        if self.cnxn.session().is_some() {
            // The session expires first: Java's connections expire at steps of this length.
            timeout_ms = timeout_ms.saturating_add(self.sessionless_timeout_ms);
        }
        if timeout_ms == self.timeout_ms {
            return;
        }
        self.timeout_ms = timeout_ms;
        let timeout =
            u64::try_from(timeout_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
        if let Err(error) = self.transport.stream.set_read_timeout(timeout) {
            warn!(target: LOG, "cannot set the read timeout of {}: {error}", self.cnxn);
        }
    }

    /// The last answer is on its way: what the client still says is not read, its end is awaited, and that it takes the
    /// answer.
    fn wait_for_the_end(&self) -> DisconnectReason {
        let mut unsent = self.cnxn.unsent();
        let mut deadline = Deadline::after_ms(self.sessionless_timeout_ms);
        let mut says_nothing_more = false;
        while !self.cnxn.is_stale() {
            let Ok(left) = deadline.left() else {
                let before = mem::replace(&mut unsent, self.cnxn.unsent());
                if unsent + LEAST_TAKEN > before {
                    return self.expired();
                }
                deadline = Deadline::after_ms(self.sessionless_timeout_ms);
                continue;
            };
            if says_nothing_more {
                let _always_a_timeout = never::<()>().recv_timeout(LOOK_INTERVAL);
                continue;
            }
            if let Err(error) = self.transport.stream.set_read_timeout(left) {
                warn!(target: LOG, "cannot set the read timeout of {}: {error}", self.cnxn);
            }
            match (&self.transport.stream).read(&mut [0; 512]) {
                // It may have closed its side only, to say that its question is over.
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

    fn expired(&self) -> DisconnectReason {
        debug!(target: LOG, "nothing came from {} in time", self.cnxn);
        self.count_expired();
        DisconnectReason::ConnectionExpired
    }

    fn end_of_stream(&self) -> DisconnectReason {
        if let Some(server) = self.cnxn.server()
            && !self.cnxn.is_stale()
        {
            server.server_metrics().connection_drop_count.add(1);
            info!(
                target: LOG,
                "Unable to read additional data from client, it probably closed the socket: address = /{}, \
                 session = {}",
                self.cnxn.remote_socket_address(),
                self.cnxn.session_id()
            );
        }
        DisconnectReason::UnableToReadFromClient
    }

    fn count_expired(&self) {
        if let Some(server) = self.cnxn.server() {
            server.server_metrics().sessionless_connections_expired.add(1);
        }
    }
}
