//! How many files and sockets there may be, and who may have the last ones (no Java twin: the JVM raises the limit,
//! -XX:+MaxFDLimit, and keeps nothing back).
//!
//! Threads: those that accept. No locks.
//!
//! The system gives the lowest free number to what is opened. A socket with the number `n` was therefore accepted when all
//! numbers below `n` were taken: whoever accepts knows from it how much is left, without an account of everything that is
//! open anywhere. Strangers, who are clients and everybody else who can reach a port, get no number of the reserve: it is
//! left to the log, snapshots, files of epochs, and members of the ensemble.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use log::{info, warn};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::rate_logger::RateLogger;
use crate::common::time::Clock;

/// The logger's name.
const LOG: &str = "org.apache.zookeeper.server.DescriptorReserve";

/// Descriptors that strangers do not get.
const RESERVE: u64 = 128;

/// So many before the reserve begins, only strangers get one that come from where few come.
const FOR_FEW: u64 = 96;

/// So many before that, those who have the least right to their connection make room.
const SHED_AHEAD: u64 = 32;

/// Of these, what is kept for everything but readers.
const RESERVED_MAPS: u64 = 8_192;

const MAPS_OF_A_THREAD: u64 = 4;

/// Linux's.
const DEFAULT_MAX_MAP_COUNT: u64 = 65_530;

/// How often the log repeats that descriptors are used up, ms.
const LOG_INTERVAL_MS: i64 = 10_000;

/// Has the process have as many files as the system lets it, and says what that allows.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let shown = |limit: Option<u64>| limit.map_or("any number of".to_owned(), |n| n.to_string());
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(
            target: LOG,
            "The limit of open files cannot be raised from {} to {}: {error}",
            shown(limit.current),
            shown(limit.maximum)
        );
    }
    let descriptors = Descriptors::now();
    let was = if limit.current == descriptors.limit {
        String::new()
    } else {
        format!(" (raised from {})", shown(limit.current))
    };
    match descriptors.limit {
        None => info!(target: LOG, "The system lets this server open any number of files{was}"),
        Some(max) => info!(
            target: LOG,
            "The system lets this server open {max} files{was}: {} client connections, and {} that are kept for the log, \
             snapshots, other servers and the AdminServer",
            descriptors.end_of_strangers().min(max_readers()),
            descriptors.reserve()
        ),
    }
}

/// How many connections may have a thread. A thread takes four of the pieces of memory that the system counts (its stack and
/// that of its signals, each with a guard page), and a process that gets no more of them is at its end.
#[must_use]
pub fn max_readers() -> u64 {
    let max = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    readers_for(max.and_then(|text| text.trim().parse().ok()).unwrap_or(DEFAULT_MAX_MAP_COUNT))
}

fn readers_for(max_map_count: u64) -> u64 {
    max_map_count.saturating_sub(RESERVED_MAPS.min(max_map_count / 2)) / MAPS_OF_A_THREAD
}

/// What the system allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    limit: Option<u64>,
}

impl Descriptors {
    /// As it is now.
    #[must_use]
    pub fn now() -> Self {
        Self { limit: getrlimit(Resource::Nofile).current }
    }

    /// How many are kept for what the server cannot do without: of a small limit a quarter.
    #[must_use]
    pub fn reserve(self) -> u64 {
        self.limit.map_or(RESERVE, |limit| RESERVE.min(limit / 4))
    }

    /// The first number that no stranger gets.
    fn end_of_strangers(self) -> u64 {
        self.limit.map_or(u64::MAX, |limit| limit - self.reserve())
    }

    /// Whether this one is the server's own.
    #[must_use]
    pub fn is_reserved(self, descriptor: &impl AsRawFd) -> bool {
        number(descriptor.as_raw_fd()) >= self.end_of_strangers()
    }

    /// Where the numbers begin that only strangers get that come from where few come.
    fn start_of_few(self) -> u64 {
        let end = self.end_of_strangers();
        end - FOR_FEW.min(end / 8)
    }

    /// Whether this one is in the upper half of those numbers, or beyond them.
    #[must_use]
    pub fn is_one_of_the_very_last(self, descriptor: &impl AsRawFd) -> bool {
        number(descriptor.as_raw_fd()) >= self.end_of_strangers().midpoint(self.start_of_few())
    }

    /// Whether this one is for strangers that come from where few come, who have so many of theirs: as many numbers before theirs
    /// are kept free, since a number that is let go goes to whoever comes next.
    #[must_use]
    pub fn is_for_few(self, descriptor: &impl AsRawFd, taken: u64) -> bool {
        number(descriptor.as_raw_fd()) >= self.start_of_few().saturating_sub(taken)
    }

    /// Whether this one is among those.
    #[must_use]
    pub fn is_one_of_the_last(self, descriptor: &impl AsRawFd) -> bool {
        self.is_for_few(descriptor, 0)
    }

    /// Whether strangers will soon be refused.
    #[must_use]
    pub fn is_scarce(self, descriptor: &impl AsRawFd, taken: u64) -> bool {
        let start = self.start_of_few().saturating_sub(taken);
        number(descriptor.as_raw_fd()) >= start - SHED_AHEAD.min(start / 8)
    }

    /// How many connections may be open at one port of other servers before they have said whose they are: each costs up to
    /// three of the reserve.
    #[must_use]
    pub fn greetings(self) -> usize {
        usize::try_from(self.reserve() / 8).unwrap_or(usize::MAX).max(1)
    }
}

fn number(descriptor: RawFd) -> u64 {
    u64::try_from(descriptor).unwrap_or_default()
}

/// Accepts at a port, also when no descriptor is left: then the connection is closed, so that its client goes elsewhere and
/// others get their turn. Belongs to the thread that accepts.
pub struct PatientAcceptor {
    /// Let go for the connection that is to be closed.
    spare: Option<File>,
    complaints: RateLogger,
}

impl PatientAcceptor {
    /// For the port of that logger.
    #[must_use]
    pub fn new(logger: &'static str, clock: Clock) -> Self {
        let complaints = RateLogger::with_interval(logger, LOG_INTERVAL_MS, clock);
        Self { spare: spare(), complaints }
    }

    /// The next connection. None when it was closed, because no descriptor was left for it; the log says so once a while.
    ///
    /// # Errors
    /// Of the port, and when not even the spare descriptor is there: then the caller waits a moment.
    pub fn accept(
        &mut self,
        listener: &TcpListener,
    ) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        match listener.accept() {
            Ok((stream, mut remote)) => {
                if self.spare.is_none() {
                    self.spare = spare();
                }
                // An IPv4 client that came by a socket of both families.
                remote.set_ip(remote.ip().to_canonical());
                Ok(Some((stream, remote)))
            }
            Err(error) if is_out_of_descriptors(&error) && self.spare.take().is_some() => {
                let closed = listener.accept().map(|(_closed, remote)| remote);
                self.spare = spare();
                self.complain(&closed?);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Says, once a while, that there was no descriptor for a connection.
    pub fn complain(&self, remote: &SocketAddr) {
        let message = "Error accepting new connection: no descriptor is left for it, so it is closed (see the limit of \
                       open files, ulimit -n)";
        self.complaints.rate_limit_log(message, Some(&format!("/{remote}")));
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Whether it fails because the process, or the system, has too many files open.
#[must_use]
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Number(RawFd);

    impl AsRawFd for Number {
        fn as_raw_fd(&self) -> RawFd {
            self.0
        }
    }

    #[test]
    fn readers_leave_memory_for_the_rest_of_the_process() {
        assert_eq!(readers_for(65_530), 14_334);
        assert_eq!(readers_for(1_048_576), 260_096);
        assert_eq!(readers_for(0), 0);
    }

    #[test]
    fn strangers_do_not_get_the_last_descriptors() {
        let of = |limit| Descriptors { limit: Some(limit) };
        for (limit, reserve) in [(20_000, 128), (1_024, 128), (200, 50), (3, 0), (0, 0)] {
            let descriptors = of(limit);
            assert_eq!(descriptors.reserve(), reserve, "of {limit}");
            let first = i32::try_from(limit - reserve).unwrap();
            assert!(descriptors.is_reserved(&Number(first)), "of {limit}");
            assert!(!descriptors.is_reserved(&Number(first - 1)) || first == 0, "of {limit}");
            assert!(descriptors.is_scarce(&Number(first), 0), "of {limit}");
            assert!(descriptors.greetings() > 0);
        }
        let of_many = of(1_024);
        assert!(
            of_many.is_one_of_the_last(&Number(800)) && !of_many.is_one_of_the_last(&Number(799))
        );
        assert!(
            of_many.is_one_of_the_very_last(&Number(848))
                && !of_many.is_one_of_the_very_last(&Number(847))
        );
        assert!(of_many.is_for_few(&Number(790), 10) && !of_many.is_for_few(&Number(789), 10));
        assert!(of_many.is_scarce(&Number(768), 0) && !of_many.is_scarce(&Number(767), 0));
        assert!(of_many.is_scarce(&Number(758), 10) && !of_many.is_scarce(&Number(757), 10));
        let unlimited = Descriptors { limit: None };
        assert!(!unlimited.is_reserved(&Number(RawFd::MAX)));
        assert!(!unlimited.is_scarce(&Number(RawFd::MAX), 0));
    }
}
