//! How a learner gets a connection to its leader (Java: connectToLeader and LeaderConnector of
//! server/quorum/Learner.java).
//!
//! All addresses of the leader are tried at the same time, and the first that answers wins. Threads: `LeaderConnector-ADDR`,
//! one for each address but a single one, which the caller tries himself; all are joined before this returns. Locks:
//! `Leaf`, for an instant. Whoever stops the sleeper ends it within a fraction of a second.

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

/// How often an address is tried.
const TRIES: u32 = 5;

/// How soon a leader that refuses is asked again, ms.
const REFUSED_RETRY_MS: i64 = 5;

/// For how long one look at a connection that is being made may take, ms.
const SLICE_MS: u64 = 100;

/// `EALREADY` of Linux: the connection is being made.
const ALREADY_CONNECTING: i32 = 114;

/// `EISCONN` of Linux: it is made.
const IS_CONNECTED: i32 = 106;

/// How a connection is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectSettings {
    /// For how long, ms.
    pub(super) timeout_ms: i64,
    /// How long to wait between tries, ms.
    pub(super) retry_delay_ms: i64,
    /// Whether small packets leave at once.
    pub(super) nodelay: bool,
}

/// One address that is tried.
#[derive(Clone)]
struct Attempt {
    address: SocketAddr,
    settings: ConnectSettings,
    found: Arc<RankedMutex<Option<TcpStream>>>,
    clock: Clock,
    sleeper: Arc<Sleeper>,
}

/// A connection to one of the addresses.
///
/// # Errors
/// When none of them answers in time, or it was stopped.
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

    /// The time between two tries, for a host that is there: the election ended for its server and for this one at the same
    /// moment, and it is about to listen. Java sleeps meanwhile, and the ensemble with it. None when it does not, or something
    /// else is wrong.
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

    /// None when it is over meanwhile.
    fn try_once(&self, end_ms: i64) -> io::Result<Option<TcpStream>> {
        let domain = Domain::for_address(self.address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        let address = self.address.into();
        while !self.is_over() {
            match socket.connect_timeout(&address, Duration::from_millis(SLICE_MS)) {
                Ok(()) => break,
                Err(error) if error.raw_os_error() == Some(IS_CONNECTED) => break,
                Err(error) if error.raw_os_error() == Some(ALREADY_CONNECTING) => {
                    // The next look waits in the system; this one came too early for that.
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
            // Nobody listens, and the system has chosen this port for the near end, too: TCP connects a socket to itself.
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
