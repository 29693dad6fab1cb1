//! Sends what a socket did not take at once (no Java twin; in the place of the writing half of
//! server/NIOServerCnxn.java).
//!
//! Threads: `SlowWriter`, one for each port. Locks: `TxnLog` for the poll, which only that thread takes; `Leaf`, held
//! briefly, for the waiting connections.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use log::{debug, warn};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

use crate::server::client_socket::ClientSocket;
use crate::server::server_cnxn::{DisconnectReason, ServerCnxn};
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.NIOServerCnxnFactory";

/// A connection whose socket is full, and this socket.
type Slow = (Arc<ServerCnxn>, Arc<ClientSocket>);

/// Continues sends to sockets that were full, when they accept bytes again.
pub(in crate::server) struct SlowWriter {
    poll: RankedMutex<Poll>,
    registry: Registry,
    waker: Waker,
    waiting: RankedMutex<HashMap<Token, Slow>>,
    next_token: AtomicU64,
    stopped: AtomicBool,
}

/// The token of the waker.
const WAKE: Token = Token(usize::MAX);

/// The number of events to handle per poll.
const EVENTS: usize = 64;

impl SlowWriter {
    pub(in crate::server) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = Waker::new(&registry, WAKE)?;
        Ok(Self {
            poll: RankedMutex::new(Rank::TxnLog, "slow writer", poll),
            registry,
            waker,
            waiting: RankedMutex::new(Rank::Leaf, "slow connections", HashMap::new()),
            next_token: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        })
    }

    /// Waits until the connection's socket is writable. The socket stays open in the meantime.
    pub(super) fn add(&self, cnxn: Arc<ServerCnxn>, socket: Arc<ClientSocket>) {
        let fd = socket.fd();
        let number = self.next_token.fetch_add(1, Ordering::Relaxed);
        let token = Token(usize::try_from(number).unwrap_or_default());
        self.waiting.lock().insert(token, (Arc::clone(&cnxn), socket));
        if let Err(error) = self.registry.register(&mut SourceFd(&fd), token, Interest::WRITABLE) {
            warn!(target: LOG, "cannot wait for the socket of {cnxn}: {error}");
            self.waiting.lock().remove(&token);
            cnxn.close(DisconnectReason::IoException);
        }
    }

    pub(in crate::server) fn run(&self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while !self.stopped.load(Ordering::Acquire) {
            let polled = self.poll.lock().poll(&mut events, None);
            if let Err(error) = polled
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error);
            }
            for event in &events {
                let ready = self.waiting.lock().remove(&event.token());
                if let Some((cnxn, socket)) = ready {
                    if let Err(error) = self.registry.deregister(&mut SourceFd(&socket.fd())) {
                        debug!(target: LOG, "the socket of {cnxn} is gone: {error}");
                    }
                    cnxn.continue_sending();
                }
            }
        }
        Ok(())
    }

    /// Waits for a moment.
    pub(in crate::server) fn pause(&self) {
        let (_never, wait) = crossbeam::channel::bounded::<()>(0);
        let moment = Duration::from_millis(10);
        let timed_out = wait.recv_timeout(moment).is_err();
        debug_assert!(timed_out, "nobody sends");
    }

    pub(in crate::server) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        if let Err(error) = self.waker.wake() {
            warn!(target: LOG, "the slow writer was not woken: {error}");
        }
        self.waiting.lock().clear();
    }
}
