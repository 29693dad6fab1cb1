//! Accepts connections on the election port (Java: Listener and ListenerHandler of
//! server/quorum/QuorumCnxManager.java).
//!
//! Threads: `ListenerHandler-ADDR` for each address. When the last of them ends, the process ends.
//!
//! Differs from Java: Only binding is given up after some attempts. If accepting fails (no file descriptors are
//! left), the listener waits for a second and continues.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use log::{debug, error, info};

use super::{LOG, QuorumCnxManager};
use crate::common::net_utils::{self, InetSocketAddress};
use crate::common::time::Clock;
use crate::server::descriptor_reserve::PatientAcceptor;
use crate::server::exit_code::ExitCode;
use crate::util::listening_socket::{self, LARGEST_BACKLOG};
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::util::sleeper::Sleeper;

/// The pause between two attempts, in ms.
const RETRY_MS: i64 = 1_000;

#[derive(Default)]
struct Sockets {
    open: Vec<Arc<TcpListener>>,
    is_halted: bool,
}

/// The listening sockets.
pub(super) struct Listener {
    clock: Clock,
    sleeper: Sleeper,
    sockets: RankedMutex<Sockets>,
    /// The number of listener threads that are running.
    running: AtomicUsize,
}

impl Listener {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            sleeper: Sleeper::new(Arc::clone(&clock)),
            clock,
            sockets: RankedMutex::new(Rank::Leaf, "election port", Sockets::default()),
            running: AtomicUsize::new(0),
        }
    }

    /// Registers a socket; false if the listener was halted meanwhile.
    fn register(&self, socket: &Arc<TcpListener>) -> bool {
        let mut sockets = self.sockets.lock();
        if !sockets.is_halted {
            sockets.open.push(Arc::clone(socket));
        }
        !sockets.is_halted
    }

    fn pause(&self) -> bool {
        self.sleeper.sleep_until(self.clock.elapsed_ms() + RETRY_MS)
    }

    /// Wakes the listener threads and ends them.
    pub(super) fn halt(&self) {
        self.sleeper.stop();
        let open = {
            let mut sockets = self.sockets.lock();
            sockets.is_halted = true;
            std::mem::take(&mut sockets.open)
        };
        for socket in open {
            debug!(target: LOG, "Trying to close listeners: {socket:?}");
            if let Err(problem) = listening_socket::shut_down(&socket) {
                debug!(target: LOG, "Error closing server socket: {problem}");
            }
        }
    }
}

impl QuorumCnxManager {
    pub(super) fn start_listener(&self) -> io::Result<()> {
        let mine = self.peer.my_election_addresses();
        let addresses = if self.settings.listen_on_all_ips {
            mine.wildcard_addresses()
        } else {
            mine.all().to_vec()
        };
        info!(
            target: LOG,
            "Election port bind maximum retries is {}",
            match self.settings.port_bind_max_retry {
                0 => "infinite".to_owned(),
                retries => retries.to_string(),
            }
        );
        self.listener.running.store(addresses.len(), Ordering::Release);
        let mut table = self.table.lock();
        for address in addresses {
            let name = format!("ListenerHandler-{address}");
            if !self.spawn(&mut table, &name, move |this| this.run_listener(address)) {
                return Err(io::Error::other("no thread for the election port"));
            }
        }
        Ok(())
    }

    /// A listener thread ends. The last one logs it and ends the process, unless the manager was halted.
    fn leave(&self) {
        if self.listener.running.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        info!(target: LOG, "Leaving listener");
        if !self.is_halted() {
            error!(
                target: LOG,
                "As I'm leaving the listener thread, I won't be able to participate in leader \
                 election any longer: {}",
                self.peer.my_election_addresses()
            );
            self.peer.request_exit(ExitCode::UnableToBindQuorumPort);
        }
    }

    fn run_listener(&self, mut address: InetSocketAddress) {
        let max_retry = self.settings.port_bind_max_retry;
        let mut errors = 0;
        while !self.is_halted() && (max_retry == 0 || errors < max_retry) {
            match self.create_new_server_socket(&mut address) {
                Ok(socket) => {
                    let socket = Arc::new(socket);
                    if self.listener.register(&socket) {
                        info!(
                            target: LOG,
                            "{} is accepting connections now, my election bind port: {address}",
                            self.my_id
                        );
                        self.accept_connections(&socket);
                    }
                }
                Err(problem) => {
                    error!(
                        target: LOG,
                        "Exception while listening to address {address}: {problem}"
                    );
                    errors += 1;
                    let _stopped = self.listener.pause();
                }
            }
        }
        if !self.is_halted() {
            error!(
                target: LOG,
                "Leaving listener thread for address {address} after {errors} errors. Use \
                 zookeeper.electionPortBindRetry property to increase retry count."
            );
        }
        self.leave();
    }

    fn accept_connections(&self, socket: &TcpListener) {
        let mut acceptor = PatientAcceptor::new(LOG, Arc::clone(&self.listener.clock));
        while !self.is_halted() {
            match acceptor.accept(socket) {
                Ok(None) => {}
                Ok(Some((stream, remote))) => {
                    info!(target: LOG, "Received connection request from {remote}");
                    self.receive_connection(stream, remote);
                }
                Err(problem) if problem.kind() == io::ErrorKind::Interrupted => {}
                Err(problem) => {
                    if !self.is_halted() {
                        error!(target: LOG, "Exception while accepting connections: {problem}");
                        let _stopped = self.listener.pause();
                    }
                }
            }
        }
    }

    fn create_new_server_socket(&self, address: &mut InetSocketAddress) -> io::Result<TcpListener> {
        if address.address.is_none() {
            *address = InetSocketAddress::new(&address.host, address.port, &|host| {
                net_utils::resolve_host(host, self.settings.prefer_ipv6)
            });
        }
        let bound = address
            .bind_address(self.settings.prefer_ipv4_stack)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "Unresolved address"))?;
        listening_socket::listen_any_family(bound, LARGEST_BACKLOG)
    }
}
