//! Decides who may use the last file descriptors of the process (no Java twin: the JVM raises the limit,
//! -XX:+MaxFDLimit, and keeps nothing back).
//!
//! Threads: those that accept connections. No locks.
//!
//! The system gives the lowest free number to each new file or socket. So a socket gets the number `n` only if all
//! numbers below `n` are taken. The accepting thread learns from `n` how many descriptors are left, without counting
//! everything that is open. Strangers, which are clients and everybody else who can reach a port, get no number of
//! the reserve. It is left for the log, snapshots, epoch files, and members of the ensemble.

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

/// The number of descriptors before the reserve that are only for strangers from addresses with few connections.
const FOR_FEW: u64 = 96;

/// When fewer than this number are left before those, the least important connections are closed.
const SHED_AHEAD: u64 = 32;

/// The memory mappings that are kept for everything except readers.
const RESERVED_MAPS: u64 = 8_192;

const MAPS_OF_A_THREAD: u64 = 4;

/// The default of Linux.
const DEFAULT_MAX_MAP_COUNT: u64 = 65_530;

/// How often the log repeats that descriptors are used up, ms.
const LOG_INTERVAL_MS: i64 = 10_000;

/// Raises the limit of open files to the maximum that the system allows, and logs the result.
pub(crate) fn raise_file_limit() {
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
            descriptors.end_of_strangers(),
            descriptors.reserve()
        ),
    }
}

/// How many connections may have a thread. A thread takes four of the memory mappings that the system counts (its
/// stack and its signal stack, each with a guard page), and a process that gets no more of them cannot go on.
#[must_use]
pub(crate) fn max_readers() -> u64 {
    let max = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    readers_for(max.and_then(|text| text.trim().parse().ok()).unwrap_or(DEFAULT_MAX_MAP_COUNT))
}

fn readers_for(max_map_count: u64) -> u64 {
    max_map_count.saturating_sub(RESERVED_MAPS.min(max_map_count / 2)) / MAPS_OF_A_THREAD
}

/// The limit of open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptors {
    limit: Option<u64>,
}

impl Descriptors {
    /// The current limit.
    #[must_use]
    pub(crate) fn now() -> Self {
        Self { limit: getrlimit(Resource::Nofile).current }
    }

    /// How many descriptors are kept for what the server cannot do without: at most a quarter of the limit.
    #[must_use]
    pub(crate) fn reserve(self) -> u64 {
        self.limit.map_or(RESERVE, |limit| RESERVE.min(limit / 4))
    }

    /// The first number that no stranger gets.
    fn end_of_strangers(self) -> u64 {
        self.limit.map_or(u64::MAX, |limit| limit - self.reserve())
    }

    /// Whether this descriptor belongs to the reserve.
    #[must_use]
    pub(crate) fn is_reserved(self, descriptor: &impl AsRawFd) -> bool {
        number(descriptor.as_raw_fd()) >= self.end_of_strangers()
    }

    /// The first number that is only for strangers from addresses with few connections.
    fn start_of_few(self) -> u64 {
        let end = self.end_of_strangers();
        end - FOR_FEW.min(end / 8)
    }

    /// Whether this descriptor is only for strangers from addresses with few connections, which have `taken` of
    /// their numbers. The range then begins `taken` numbers earlier, because a freed number goes to whoever comes
    /// next.
    #[must_use]
    pub(crate) fn is_for_few(self, descriptor: &impl AsRawFd, taken: u64) -> bool {
        number(descriptor.as_raw_fd()) >= self.start_of_few().saturating_sub(taken)
    }

    /// Whether this descriptor is in that range when none of its numbers is taken.
    #[must_use]
    pub(crate) fn is_one_of_the_last(self, descriptor: &impl AsRawFd) -> bool {
        self.is_for_few(descriptor, 0)
    }

    /// Whether this descriptor is only for strangers from addresses with very few connections: the second half of that
    /// range.
    #[must_use]
    pub(crate) fn is_one_of_the_very_last(self, descriptor: &impl AsRawFd) -> bool {
        let end = self.end_of_strangers();
        number(descriptor.as_raw_fd()) >= end - (end - self.start_of_few()) / 2
    }

    /// Whether descriptors are so scarce that connections must be closed, before strangers are refused.
    #[must_use]
    pub(crate) fn is_scarce(self, descriptor: &impl AsRawFd, taken: u64) -> bool {
        let start = self.start_of_few().saturating_sub(taken);
        number(descriptor.as_raw_fd()) >= start - SHED_AHEAD.min(start / 8)
    }

    /// How many connections may be open at one port for other servers before the servers have identified themselves.
    /// Each costs up to three descriptors of the reserve.
    #[must_use]
    pub(crate) fn greetings(self) -> usize {
        usize::try_from(self.reserve() / 8).unwrap_or(usize::MAX).max(1)
    }
}

fn number(descriptor: RawFd) -> u64 {
    u64::try_from(descriptor).unwrap_or_default()
}

/// Accepts connections at a port, even when no descriptor is left: it then closes the connection, so that the client
/// tries another server and other clients get their turn. Belongs to the accepting thread.
pub(crate) struct PatientAcceptor {
    /// Freed in order to accept and close a connection.
    spare: Option<File>,
    complaints: RateLogger,
}

impl PatientAcceptor {
    /// Creates an acceptor that complains to this logger.
    #[must_use]
    pub(crate) fn new(logger: &'static str, clock: Clock) -> Self {
        let complaints = RateLogger::with_interval(logger, LOG_INTERVAL_MS, clock);
        Self { spare: spare(), complaints }
    }

    /// The next connection. None when it was closed because no descriptor was left for it; the log says so from time
    /// to time.
    ///
    /// # Errors
    /// Errors of the port, and when even the spare descriptor is missing. The caller then waits a moment.
    pub(crate) fn accept(
        &mut self,
        listener: &TcpListener,
    ) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        match listener.accept() {
            Ok((stream, mut remote)) => {
                if self.spare.is_none() {
                    self.spare = spare();
                }
                // The address of an IPv4 client at a socket of both families.
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

    /// Logs, at a limited rate, that there was no descriptor for a connection.
    pub(crate) fn complain(&self, remote: &SocketAddr) {
        let message = "Error accepting new connection: no descriptor is left for it, so it is closed (see the limit of \
                       open files, ulimit -n)";
        self.complaints.rate_limit_log(message, Some(&format!("/{remote}")));
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Whether the error means that the process or the system has too many open files.
#[must_use]
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
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
