//! A client's socket, as its connection sees it (no Java twin; the socket in server/NIOServerCnxn.java).
//!
//! A thread of its own reads it, or a selector; the connection may move from its thread to a selector. Sends never
//! block. If the socket is full, the selector continues when it accepts bytes again, or the `SlowWriter` for a
//! connection that has a thread.
//!
//! Threads: any. Locks: `Leaf`, for the socket, so that it can be closed at once.

pub(super) mod slow_writer;

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use log::debug;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use self::slow_writer::SlowWriter;
use super::client_socket::ClientSocket;
use super::server_cnxn::{CnxnSelector, ServerCnxn, Transport};
use crate::util::lock_rank::{Rank, RankedRwLock};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.NIOServerCnxn";

/// How much is sent to one connection of a selector, in bytes, before it is the turn of others.
const SEND_AT_ONCE: usize = 1 << 20;

/// The socket.
pub(super) struct CnxnSocket {
    /// None when it was closed at once.
    socket: RankedRwLock<Option<Arc<ClientSocket>>>,
    slow_writer: Arc<SlowWriter>,
    /// Set if the connection begins with a thread of its own.
    cnxn: OnceLock<Weak<ServerCnxn>>,
    /// Set when a selector reads it.
    selector: OnceLock<Arc<dyn CnxnSelector>>,
    /// The socket was full, and the selector is to continue. Whoever sets it to false continues to send.
    is_full: AtomicBool,
}

impl CnxnSocket {
    /// An accepted socket that nobody reads yet.
    pub(super) fn new(stream: TcpStream, slow_writer: Arc<SlowWriter>) -> Self {
        let socket = Some(Arc::new(ClientSocket(stream)));
        Self {
            socket: RankedRwLock::new(Rank::Leaf, "socket of a connection", socket),
            slow_writer,
            cnxn: OnceLock::new(),
            selector: OnceLock::new(),
            is_full: AtomicBool::new(false),
        }
    }

    /// Links the socket and its connection, which has a thread of its own. Returns the socket for that thread, unless it
    /// was closed at once.
    pub(super) fn set_cnxn(&self, cnxn: &Arc<ServerCnxn>) -> Option<Arc<ClientSocket>> {
        let is_first = self.cnxn.set(Arc::downgrade(cnxn)).is_ok();
        debug_assert!(is_first, "a socket has one connection");
        self.socket.read().clone()
    }

    /// From now on the selector continues to send. It waits for the socket already.
    pub(super) fn set_selector(&self, selector: Arc<dyn CnxnSelector>) {
        let is_first = self.selector.set(selector).is_ok();
        debug_assert!(is_first, "a socket has one selector");
    }

    /// Uses the open socket.
    ///
    /// # Errors
    /// Those of `with`, and when the socket is closed.
    pub(super) fn open<T, E: From<Errno>>(
        &self,
        with: impl FnOnce(&ClientSocket) -> Result<T, E>,
    ) -> Result<T, E> {
        self.socket.read().as_ref().map_or(Err(Errno::BADF.into()), |socket| with(socket))
    }

    /// Reads what the socket has, without waiting.
    pub(super) fn recv(&self, space: &mut [u8]) -> Result<usize, Errno> {
        self.open(|socket| recv(&socket.0, space, RecvFlags::DONTWAIT).map(|(n, _)| n))
    }

    /// Whether the socket was full, and nobody has continued since. Then the caller must.
    pub(super) fn take_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed) && self.is_full.swap(false, Ordering::AcqRel)
    }
}

impl Transport for Arc<CnxnSocket> {
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.open(|socket| socket.send(bytes))
    }

    fn sent_at_once(&self) -> usize {
        if self.selector.get().is_some() { SEND_AT_ONCE } else { usize::MAX }
    }

    fn finish_later(&self) {
        let Some(selector) = self.selector.get() else {
            let socket = self.socket.read().clone();
            if let (Some(socket), Some(cnxn)) = (socket, self.cnxn.get().and_then(Weak::upgrade)) {
                self.slow_writer.add(cnxn, socket);
            }
            return;
        };
        self.is_full.store(true, Ordering::Release);
        if let Err(error) = self.open(|socket| selector.await_writable(socket.fd())) {
            debug!(target: LOG, "cannot wait for a socket: {error}");
            self.close();
        }
    }

    fn is_hung_up(&self) -> bool {
        self.open(|socket| Ok::<_, Errno>(socket.is_hung_up())).unwrap_or(true)
    }

    fn close(&self) {
        self.socket.read().iter().for_each(|socket| socket.close());
    }

    fn close_at_once(&self) {
        let socket = self.socket.write().take();
        // A thread that reads from it wakes up, and drops it.
        socket.iter().for_each(|socket| socket.close());
    }
}
