//! The socket of a client's connection, whoever reads it (no Java twin).
//!
//! Nothing here blocks. Threads: any. Locks: none.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use log::debug;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.NIOServerCnxn";

/// Send what fits, without waiting (Linux: MSG_DONTWAIT) and without raising a signal (MSG_NOSIGNAL).
const SEND_FLAGS: i32 = 0x40 | 0x4000;

/// A client's socket.
pub(super) struct ClientSocket(pub(super) TcpStream);

impl ClientSocket {
    /// The socket's descriptor. It stays open as long as this value exists.
    pub(super) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Sends what the socket takes now, and returns how much that was.
    ///
    /// # Errors
    /// As `Transport::send`.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        SockRef::from(&self.0).send_with_flags(bytes, SEND_FLAGS)
    }

    /// Whether the other side has closed the connection, even while nobody reads.
    pub(super) fn is_hung_up(&self) -> bool {
        // `poll` reports errors and a lost connection even though they are not requested.
        let mut fds = [PollFd::new(&self.0, PollFlags::RDHUP)];
        let at_once = Timespec::default();
        matches!(poll(&mut fds, Some(&at_once)), Ok(1..))
    }

    /// Ends the connection in both directions.
    pub(super) fn close(&self) {
        // The client may have closed the socket already, which is fine.
        if let Err(error) = self.0.shutdown(Shutdown::Both) {
            debug!(target: LOG, "ignoring error during shutdown of a socket: {error}");
        }
    }
}
