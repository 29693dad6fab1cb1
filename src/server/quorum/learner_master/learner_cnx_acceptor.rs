//! Accepts learners (Java: Leader.LearnerCnxAcceptor, and run of server/quorum/ObserverMaster.java).
//!
//! Threads: one for each address: `LearnerCnxAcceptor-ADDR` of a leader, `ObserverMaster` of an observer master. An
//! acceptor that fails ends its master's role, and a new election is held; Java's leader ends the process.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::never;
use log::{debug, error, info, warn};

use crate::common::net_utils::InetSocketAddress;
use crate::common::time::SystemClock;
use crate::server::descriptor_reserve::{PatientAcceptor, is_out_of_descriptors};
use crate::server::zookeeper_thread;
use crate::util::listening_socket::{self, LARGEST_BACKLOG};
use crate::util::lock_rank::{Rank, RankedMutex};

/// The pause between two attempts when not even a spare descriptor is left.
const RETRY: Duration = Duration::from_millis(100);

/// The names of an acceptor.
#[derive(Clone, Copy)]
pub(in crate::server::quorum) struct AcceptorNames {
    /// The logger of its master.
    pub(in crate::server::quorum) log_target: &'static str,
    /// Its master, in error messages.
    pub(in crate::server::quorum) master: &'static str,
    /// The name of the thread for an address.
    pub(in crate::server::quorum) thread: fn(SocketAddr) -> String,
}

/// Receives the learners that connect.
pub(in crate::server::quorum) trait LearnerDesk: Send + Sync {
    /// A learner has connected.
    ///
    /// # Errors
    /// When the learner cannot be served.
    fn serve(&self, stream: TcpStream) -> io::Result<()>;

    /// Connections to that address are not accepted any more.
    fn acceptor_failed(&self, address: SocketAddr, error: &io::Error);
}

/// The acceptors of all addresses.
pub(in crate::server::quorum) struct LearnerCnxAcceptor {
    names: AcceptorNames,
    listeners: Vec<Arc<TcpListener>>,
    is_stopping: Arc<AtomicBool>,
    threads: RankedMutex<Vec<JoinHandle<()>>>,
}

impl LearnerCnxAcceptor {
    /// Binds the addresses that can be bound.
    ///
    /// # Errors
    /// When none of them can.
    pub(in crate::server::quorum) fn bind(
        names: AcceptorNames,
        addresses: &[InetSocketAddress],
        prefer_ipv4: bool,
    ) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for address in addresses {
            match bind_one(address, prefer_ipv4) {
                Ok(listener) => listeners.push(Arc::new(listener)),
                Err(problem) => {
                    error!(target: names.log_target, "Couldn't bind to {address}: {problem}")
                }
            }
        }
        if listeners.is_empty() {
            let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                format!(
                    "{} failed to initialize any of the following sockets: [{}]",
                    names.master,
                    all.join(", ")
                ),
            ));
        }
        let threads = RankedMutex::new(Rank::Leaf, "acceptors of learners", Vec::new());
        Ok(Self { names, listeners, is_stopping: Arc::default(), threads })
    }

    /// The addresses it listens on.
    pub(in crate::server::quorum) fn local_addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Starts to accept connections.
    ///
    /// # Errors
    /// When a thread cannot be started; [`halt`](Self::halt) ends those that have started.
    pub(in crate::server::quorum) fn start(&self, desk: &Arc<dyn LearnerDesk>) -> io::Result<()> {
        for listener in &self.listeners {
            let address = listener.local_addr()?;
            let (listener, desk) = (Arc::clone(listener), Arc::clone(desk));
            let (is_stopping, names) = (Arc::clone(&self.is_stopping), self.names);
            let thread = zookeeper_thread::spawn(&(names.thread)(address), None, move || {
                accept_all(&listener, &*desk, &is_stopping, address, names.log_target);
                Ok::<(), io::Error>(())
            })?;
            self.threads.lock().push(thread);
        }
        Ok(())
    }

    /// Stops accepting and joins the threads. The sockets are closed on drop.
    pub(in crate::server::quorum) fn halt(&self) {
        self.is_stopping.store(true, Ordering::Release);
        let threads = std::mem::take(&mut *self.threads.lock());
        if threads.is_empty() {
            return;
        }
        for listener in &self.listeners {
            if let Err(problem) = listening_socket::shut_down(listener) {
                debug!(target: self.names.log_target, "the acceptor was not woken: {problem}");
            }
        }
        threads.into_iter().for_each(zookeeper_thread::join);
    }
}

/// Listens at one address (Java: createServerSocket, recreateInetSocketAddr).
fn bind_one(address: &InetSocketAddress, prefer_ipv4: bool) -> io::Result<TcpListener> {
    match address.bind_address(prefer_ipv4) {
        Some(address) => listening_socket::listen_any_family(address, LARGEST_BACKLOG),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
    }
}

fn accept_all(
    listener: &TcpListener,
    desk: &dyn LearnerDesk,
    is_stopping: &AtomicBool,
    address: SocketAddr,
    log_target: &'static str,
) {
    let mut acceptor = PatientAcceptor::new(log_target, SystemClock::shared());
    loop {
        let accepted = acceptor.accept(listener);
        if is_stopping.load(Ordering::Acquire) {
            info!(target: log_target, "acceptor of learners at /{address} exited");
            return;
        }
        match accepted {
            Ok(None) => {}
            Ok(Some((stream, remote))) => {
                if let Err(problem) = desk.serve(stream) {
                    warn!(target: log_target, "Exception while connecting to quorum learner /{remote}: {problem}");
                }
            }
            Err(problem) if is_of_one_connection(&problem) => {
                debug!(target: log_target, "a learner was gone before it was accepted: {problem}");
            }
            Err(problem) if is_out_of_descriptors(&problem) => {
                let _always_a_timeout = never::<()>().recv_timeout(RETRY);
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
