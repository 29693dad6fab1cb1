//! Connects a learner to its leader (Java: connectToLeader and LeaderConnector of server/quorum/Learner.java).
//!
//! All addresses of the leader are tried at the same time, and the first that answers wins. Threads:
//! `LeaderConnector-ADDR`, one for each address; a single address is tried on the caller's thread. All threads are
//! joined before `connect` returns. Locks: `Leaf`, held briefly. Stopping the sleeper ends all attempts within a
//! fraction of a second.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use log::{error, info, warn};
use socket2::{Domain, Protocol, Socket, Type};

use crate::common::time::Clock;
use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::util::sleeper::Sleeper;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.Learner";

/// How often each address is tried.
const TRIES: u32 = 5;

/// The pause before a leader that refuses connections is tried again, in ms.
const REFUSED_RETRY_MS: i64 = 5;

/// How long one wait for a pending connection may take, in ms.
const SLICE_MS: u64 = 100;

/// `EALREADY` of Linux: the connection is still being made.
const ALREADY_CONNECTING: i32 = 114;

/// `EISCONN` of Linux: the connection is made.
const IS_CONNECTED: i32 = 106;

/// How to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectSettings {
    /// The time limit, in ms.
    pub(super) timeout_ms: i64,
    /// The pause between two tries, in ms.
    pub(super) retry_delay_ms: i64,
    /// Whether small packets are sent at once (TCP_NODELAY).
    pub(super) nodelay: bool,
}

/// The attempts for one address.
#[derive(Clone)]
struct Attempt {
    address: SocketAddr,
    settings: ConnectSettings,
    found: Arc<RankedMutex<Option<TcpStream>>>,
    clock: Clock,
    sleeper: Arc<Sleeper>,
}

/// Connects to one of the addresses.
///
/// # Errors
/// When no address answers in time, or the sleeper was stopped.
pub(super) fn connect(
    addresses: &[SocketAddr],
    settings: ConnectSettings,
    clock: &Clock,
    sleeper: &Arc<Sleeper>,
) -> io::Result<TcpStream> {
    let found = Arc::new(RankedMutex::new(Rank::Leaf, "connection to the leader", None));
    let attempts = addresses.iter().map(|address| Attempt {
        address: *address,
        settings,
        found: Arc::clone(&found),
        clock: Arc::clone(clock),
        sleeper: Arc::clone(sleeper),
    });
    if addresses.len() == 1 {
        attempts.for_each(|attempt| attempt.run());
    } else {
        let mut threads = Vec::new();
        for attempt in attempts {
            let name = format!("LeaderConnector-{}", attempt.address);
            threads.push(zookeeper_thread::spawn(&name, None, move || {
                attempt.run();
                Ok::<(), io::Error>(())
            }));
        }
        for thread in threads {
            match thread {
                Ok(thread) => zookeeper_thread::join(thread),
                Err(problem) => {
                    error!(target: LOG, "an address of the leader is not tried: {problem}")
                }
            }
        }
    }
    let stream = found.lock().take();
    stream.ok_or_else(|| {
        let tried: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        io::Error::new(io::ErrorKind::TimedOut, format!("Failed connect to {}", tried.join("|")))
    })
}

impl Attempt {
    fn run(&self) {
        let stream = match self.try_often() {
            Ok(Some(stream)) => stream,
            Ok(None) => return,
            Err(problem) => {
                return error!(target: LOG, "Failed connect to {}: {problem}", self.address);
            }
        };
        let mut found = self.found.lock();
        if found.is_none() {
            *found = Some(stream);
            drop(found);
            info!(target: LOG, "Successfully connected to leader, using address: {}", self.address);
        } else {
            drop(found);
            info!(
                target: LOG,
                "Connection to the leader is already established, close the redundant connection"
            );
        }
    }

    fn is_over(&self) -> bool {
        self.sleeper.is_stopped() || self.found.lock().is_some()
    }

    fn try_often(&self) -> io::Result<Option<TcpStream>> {
        let end_ms = self.clock.elapsed_ms() + self.settings.timeout_ms;
        let mut tries = 0;
        while !self.is_over() {
            if self.clock.elapsed_ms() >= end_ms {
                return Err(io::Error::other("connectToLeader exceeded on retries."));
            }
            let problem = match self.try_once(end_ms) {
                Ok(stream) => return Ok(stream),
                Err(problem) => problem,
            };
            let left_ms = end_ms - self.clock.elapsed_ms();
            let place = format!(
                "tries={tries}, remaining init limit={left_ms}, connecting to {}",
                self.address
            );
            if left_ms <= self.settings.retry_delay_ms {
                error!(target: LOG, "Unexpected exception, connectToLeader exceeded. {place}");
                return Err(problem);
            }
            tries += 1;
            if tries >= TRIES {
                error!(target: LOG, "Unexpected exception, retries exceeded. {place}");
                return Err(problem);
            }
            warn!(target: LOG, "Unexpected exception, {place}: {problem}");
            let next_ms = self.clock.elapsed_ms() + self.settings.retry_delay_ms;
            let is_refused = problem.kind() == io::ErrorKind::ConnectionRefused;
            if is_refused && let Some(stream) = self.try_while_refused(next_ms) {
                return Ok(Some(stream));
            }
            if !self.sleeper.sleep_until(next_ms) {
                break;
            }
        }
        Ok(None)
    }

    /// Keeps trying until `until_ms` while the host refuses connections. The host is up and about to listen, since
    /// the election has just ended for it as for this server. Java sleeps during this time and delays the whole
    /// ensemble. `None` if the host still refuses, or if another error occurs.
    fn try_while_refused(&self, until_ms: i64) -> Option<TcpStream> {
        while self.clock.elapsed_ms() < until_ms {
            let soon_ms = self.clock.elapsed_ms() + REFUSED_RETRY_MS;
            if !self.sleeper.sleep_until(soon_ms.min(until_ms)) {
                return None;
            }
            match self.try_once(until_ms) {
                Err(problem) if problem.kind() == io::ErrorKind::ConnectionRefused => {}
                other => return other.ok().flatten(),
            }
        }
        None
    }

    /// `None` if the attempt was ended meanwhile.
    fn try_once(&self, end_ms: i64) -> io::Result<Option<TcpStream>> {
        let domain = Domain::for_address(self.address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        let address = self.address.into();
        while !self.is_over() {
            match socket.connect_timeout(&address, Duration::from_millis(SLICE_MS)) {
                Ok(()) => break,
                Err(error) if error.raw_os_error() == Some(IS_CONNECTED) => break,
                Err(error) if error.raw_os_error() == Some(ALREADY_CONNECTING) => {
                    // A pending connection is reported without waiting, so pause here.
                    let soon_ms = self.clock.elapsed_ms() + 20;
                    if !self.sleeper.sleep_until(soon_ms) {
                        return Ok(None);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => return Err(error),
            }
            if self.clock.elapsed_ms() >= end_ms {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
            }
        }
        if self.is_over() {
            return Ok(None);
        }
        if socket.local_addr()? == address {
            // Nobody listens, and the system has chosen the same port locally: TCP connects a socket to itself.
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        socket.set_tcp_nodelay(self.settings.nodelay)?;
        Ok(Some(socket.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::test_socket::dead_socket;
    use crate::common::time::SystemClock;
    use std::net::TcpListener;

    const SETTINGS: ConnectSettings =
        ConnectSettings { timeout_ms: 10_000, retry_delay_ms: 1, nodelay: true };

    fn sleeper(clock: &Clock) -> Arc<Sleeper> {
        Arc::new(Sleeper::new(Arc::clone(clock)))
    }

    #[test]
    fn the_address_that_answers_is_taken() {
        let clock = SystemClock::shared();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let alive = listener.local_addr().unwrap();
        let (_socket, dead) = dead_socket();
        let addresses = [dead, alive];
        let stream = connect(&addresses, SETTINGS, &clock, &sleeper(&clock)).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive);
        assert!(stream.nodelay().unwrap());
    }

    #[test]
    fn a_leader_that_begins_to_listen_is_reached_before_the_next_try_is_due() {
        let clock = SystemClock::shared();
        let (socket, address) = dead_socket();
        let attempt = Attempt {
            address,
            settings: SETTINGS,
            found: Arc::new(RankedMutex::new(Rank::Leaf, "connection", None)),
            sleeper: sleeper(&clock),
            clock: Arc::clone(&clock),
        };
        assert!(attempt.try_while_refused(clock.elapsed_ms() + 20).is_none());
        socket.listen(1).unwrap();
        let start_ms = clock.elapsed_ms();
        assert!(attempt.try_while_refused(start_ms + 60_000).is_some());
        assert!(clock.elapsed_ms() < start_ms + 60_000);
    }

    #[test]
    fn it_fails_when_nobody_answers() {
        let clock = SystemClock::shared();
        let (_socket, dead) = dead_socket();
        let error = connect(&[dead], SETTINGS, &clock, &sleeper(&clock)).unwrap_err();
        assert_eq!(error.to_string(), format!("Failed connect to {dead}"));
    }

    #[test]
    fn a_stop_ends_it() {
        let clock = SystemClock::shared();
        let sleeper = sleeper(&clock);
        sleeper.stop();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let alive = listener.local_addr().unwrap();
        assert!(connect(&[alive], SETTINGS, &clock, &sleeper).is_err());
    }
}
