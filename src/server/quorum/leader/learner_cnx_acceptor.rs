//! Accepts learners (Java: Leader.LearnerCnxAcceptor).
//!
//! Threads: `LearnerCnxAcceptor-ADDR`, one for each address. One that fails ends the leader; where Java ends the process, a new
//! election is held.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use log::{debug, error, info, warn};
use socket2::{Domain, Protocol, Socket, Type};

use super::LOG;
use crate::common::net_utils::InetSocketAddress;
use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedMutex};

/// Connections that may wait to be accepted, as in Java.
const BACKLOG: i32 = 50;

/// How long the connection that wakes an acceptor may take.
const WAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// Who gets the learners that connect.
pub(super) trait LearnerDesk: Send + Sync {
    /// A learner has connected.
    ///
    /// # Errors
    /// When it cannot be served.
    fn serve(&self, stream: TcpStream) -> io::Result<()>;

    /// Nobody is accepted at that address any more.
    fn acceptor_failed(&self, address: SocketAddr, error: &io::Error);
}

/// The acceptors of all addresses.
pub(super) struct LearnerCnxAcceptor {
    listeners: Vec<Arc<TcpListener>>,
    is_stopping: Arc<AtomicBool>,
    threads: RankedMutex<Vec<JoinHandle<()>>>,
}

impl LearnerCnxAcceptor {
    /// Binds those addresses that can be bound.
    ///
    /// # Errors
    /// When none can.
    pub(super) fn bind(addresses: &[InetSocketAddress], prefer_ipv4: bool) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for address in addresses {
            match bind_one(address, prefer_ipv4) {
                Ok(listener) => listeners.push(Arc::new(listener)),
                Err(problem) => error!(target: LOG, "Couldn't bind to {address}: {problem}"),
            }
        }
        if listeners.is_empty() {
            let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                format!(
                    "Leader failed to initialize any of the following sockets: [{}]",
                    all.join(", ")
                ),
            ));
        }
        let threads = RankedMutex::new(Rank::Leaf, "acceptors of learners", Vec::new());
        Ok(Self { listeners, is_stopping: Arc::default(), threads })
    }

    /// Where it listens.
    pub(super) fn local_addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Begins to accept.
    ///
    /// # Errors
    /// When the system has no room for the threads; [`halt`](Self::halt) ends those that have started.
    pub(super) fn start(&self, desk: &Arc<dyn LearnerDesk>) -> io::Result<()> {
        for listener in &self.listeners {
            let address = listener.local_addr()?;
            let (listener, desk) = (Arc::clone(listener), Arc::clone(desk));
            let is_stopping = Arc::clone(&self.is_stopping);
            let name = format!("LearnerCnxAcceptor-/{address}");
            let thread = zookeeper_thread::spawn(&name, None, move || {
                accept_all(&listener, &*desk, &is_stopping, address);
                Ok::<(), io::Error>(())
            })?;
            self.threads.lock().push(thread);
        }
        Ok(())
    }

    /// Accepts nobody any more; the threads are joined. The sockets are closed when it is dropped.
    pub(super) fn halt(&self) {
        self.is_stopping.store(true, Ordering::Release);
        let threads = std::mem::take(&mut *self.threads.lock());
        if threads.is_empty() {
            return;
        }
        for listener in &self.listeners {
            if let Ok(mut address) = listener.local_addr() {
                if address.ip().is_unspecified() {
                    address.set_ip(match address {
                        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
                    });
                }
                // It sleeps in accept: a connection of our own wakes it.
                if let Err(problem) = TcpStream::connect_timeout(&address, WAKE_TIMEOUT) {
                    debug!(target: LOG, "the acceptor was not woken: {problem}");
                }
            }
        }
        threads.into_iter().for_each(zookeeper_thread::join);
    }
}

fn bind_one(address: &InetSocketAddress, prefer_ipv4: bool) -> io::Result<TcpListener> {
    let resolved = address.bind_address(prefer_ipv4);
    let bind = |address: SocketAddr| {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    match resolved {
        // A system without IPv6.
        Some(address) if address.ip().is_unspecified() && address.is_ipv6() => {
            let v4 = SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), address.port());
            bind(address).or_else(|_: io::Error| bind(v4))
        }
        Some(address) => bind(address),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
    }
}

fn accept_all(
    listener: &TcpListener,
    desk: &dyn LearnerDesk,
    is_stopping: &AtomicBool,
    address: SocketAddr,
) {
    loop {
        let accepted = listener.accept();
        if is_stopping.load(Ordering::Acquire) {
            info!(target: LOG, "acceptor of learners at /{address} exited");
            return;
        }
        match accepted {
            Ok((stream, remote)) => {
                if let Err(problem) = desk.serve(stream) {
                    warn!(target: LOG, "Exception while connecting to quorum learner /{remote}: {problem}");
                }
            }
            Err(problem) if is_of_one_connection(&problem) => {
                debug!(target: LOG, "a learner was gone before it was accepted: {problem}");
            }
            Err(problem) => return desk.acceptor_failed(address, &problem),
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
