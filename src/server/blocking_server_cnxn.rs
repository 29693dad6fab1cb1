//! The socket of a client's connection, and the thread that reads it (no Java twin; in the place of
//! server/NIOServerCnxn.java).
//!
//! Threads: one reader a connection, named after the client's address. It blocks in `read`; sends never block, because
//! they are asked not to, one by one, on the same socket. A client that says nothing for longer than its session's
//! timeout is found by the read's own timeout.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use log::{debug, info, warn};
use socket2::SockRef;

use super::blocking_server_cnxn_factory::SlowWriter;
use super::server_cnxn::{CnxnInput, DisconnectReason, InputState, ServerCnxn, Transport};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.NIOServerCnxn";

/// Send what there is room for, do not wait (Linux: MSG_DONTWAIT) and raise no signal (MSG_NOSIGNAL).
const SEND_FLAGS: i32 = 0x40 | 0x4000;

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
}

impl Transport for Arc<SocketTransport> {
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        SockRef::from(&self.stream).send_with_flags(bytes, SEND_FLAGS)
    }

    fn finish_later(&self) {
        if let Some(cnxn) = self.cnxn.get().and_then(Weak::upgrade) {
            self.slow_writer.add(cnxn, self.stream.as_raw_fd());
        }
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
        Self { transport, cnxn, timeout_ms: 0, sessionless_timeout_ms, first_turns }
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
            self.set_read_timeout();
            match (&self.transport.stream).read(input.space()) {
                Ok(0) => return self.end_of_stream(),
                Ok(n) => input.filled(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    debug!(target: LOG, "nothing came from {} in time", self.cnxn);
                    self.count_expired();
                    return DisconnectReason::ConnectionExpired;
                }
                Err(error) => {
                    debug!(target: LOG, "Close of session {}: {error}", self.cnxn.session_id());
                    return DisconnectReason::IoException;
                }
            }
            loop {
                let turn = (turns < FIRST_TURNS).then(|| self.first_turns.take());
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

    /// The last answer is on its way: what the client still says is not read, its end is awaited.
    fn wait_for_the_end(&self) -> DisconnectReason {
        let mut ignored = [0; 512];
        loop {
            match (&self.transport.stream).read(&mut ignored) {
                Ok(0) => return DisconnectReason::ClientClosedConnection,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return DisconnectReason::ClientClosedConnection,
            }
        }
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
