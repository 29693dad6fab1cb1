//! The settings of a client port (Java: the fields and properties of server/NIOServerCnxnFactory.java).

use std::io;
use std::net::SocketAddr;
use std::thread;

use crate::common::zk_config::SystemProperties;
use crate::server::connection_limits::max_cnxns_from_properties;

/// The property that names the class of the factory.
const FACTORY: &str = "zookeeper.serverCnxnFactory";

/// The factory that gives each connection a thread.
pub(in crate::server) const BLOCKING_FACTORY: &str =
    "org.apache.zookeeper.server.BlockingServerCnxnFactory";

/// How many connections have a thread of their own, if `nio.maxReaderThreads` is not set. One or two clients are answered
/// sooner by threads, more clients by selectors; ARCHITECTURE.md has the measurements.
const READER_THREADS: usize = 4;

/// The settings.
#[derive(Clone, Debug)]
pub struct CnxnFactoryConfig {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The limit of connections from one address; 0 is no limit.
    pub max_client_cnxns: i32,
    /// The limit of connections in total; 0 is no limit.
    pub max_cnxns: usize,
    /// The number of clients that may wait to be accepted; -1 is as many as the system allows (Java: 50).
    pub listen_backlog: i32,
    /// How long a connection without a session may be silent, ms.
    pub sessionless_timeout_ms: i32,
    /// Whether the system probes for dead connections (`zookeeper.clientTcpKeepAlive`).
    pub tcp_keep_alive: bool,
    /// How many connections have threads of their own (`zookeeper.nio.maxReaderThreads`), as long as there are no more
    /// clients than half of that, or if they send many requests at a time. Selectors read the others.
    pub reader_threads: usize,
    /// How many selectors there are (`zookeeper.nio.numSelectorThreads`); 0 if every connection has a thread.
    pub selectors: usize,
    /// How many threads do the selectors' work (`zookeeper.nio.numWorkerThreads`); 0 if they do it themselves.
    pub workers: usize,
}

impl CnxnFactoryConfig {
    /// Listens on `address`. The remaining settings come from the properties.
    #[must_use]
    pub fn new(
        address: SocketAddr,
        max_client_cnxns: i32,
        listen_backlog: i32,
        properties: &SystemProperties,
    ) -> Self {
        let (reader_threads, selectors, workers) = readers(properties);
        Self {
            address,
            max_client_cnxns,
            max_cnxns: max_cnxns_from_properties(properties),
            listen_backlog,
            sessionless_timeout_ms: properties
                .number_or("zookeeper.nio.sessionlessCnxnTimeout", 10_000),
            tcp_keep_alive: properties.bool("zookeeper.clientTcpKeepAlive"),
            reader_threads,
            selectors,
            workers,
        }
    }

    /// Checks that there is something that reads every connection.
    ///
    /// # Errors
    /// When there are no selectors, and not all connections have a thread.
    pub(in crate::server) fn check(&self) -> io::Result<()> {
        if self.selectors > 0 || self.reader_threads == usize::MAX {
            return Ok(());
        }
        let what = "zookeeper.nio.numSelectorThreads must be at least 1";
        Err(io::Error::new(io::ErrorKind::InvalidInput, what))
    }
}

/// The number of reader threads, of selectors and of workers.
fn readers(properties: &SystemProperties) -> (usize, usize, usize) {
    if properties.get(FACTORY) == Some(BLOCKING_FACTORY) {
        return (usize::MAX, 0, 0);
    }
    let number = |key: &str, default: usize| {
        properties.number::<i64>(key).map_or(default, |set| usize::try_from(set).unwrap_or(0))
    };
    let threads = number("zookeeper.nio.maxReaderThreads", READER_THREADS);
    // Java's default is two workers for each processor. Without them, a request needs one thread less.
    let workers = number("zookeeper.nio.numWorkerThreads", 0);
    (threads, number("zookeeper.nio.numSelectorThreads", default_selectors(workers)), workers)
}

/// With workers Java's default, the square root of half of the processors. Without them, selectors do all the work, so
/// there is one for two processors, which leaves the others to the processors of requests. At least one.
fn default_selectors(workers: usize) -> usize {
    let half = thread::available_parallelism().map_or(1, usize::from) / 2;
    if workers > 0 { half.isqrt().max(1) } else { half.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_read_what_has_no_thread() {
        let readers =
            |pairs: &[(&str, &str)]| readers(&SystemProperties::from_pairs(pairs.iter().copied()));
        let default = (READER_THREADS, default_selectors(0), 0);
        assert_eq!(readers(&[]), default);
        assert_eq!(
            readers(&[(FACTORY, "org.apache.zookeeper.server.NIOServerCnxnFactory")]),
            default
        );
        assert_eq!(readers(&[(FACTORY, BLOCKING_FACTORY)]), (usize::MAX, 0, 0));
        let set =
            [("zookeeper.nio.maxReaderThreads", "0"), ("zookeeper.nio.numSelectorThreads", "3")];
        assert_eq!(readers(&set), (0, 3, 0));
        let workers = [("zookeeper.nio.numWorkerThreads", "5")];
        assert_eq!(readers(&workers), (READER_THREADS, default_selectors(5), 5));
        let none =
            [("zookeeper.nio.numSelectorThreads", "-1"), ("zookeeper.nio.maxReaderThreads", "-1")];
        assert_eq!(readers(&none), (0, 0, 0));
        let check = |pairs: &[(&str, &str)]| {
            let properties = SystemProperties::from_pairs(pairs.iter().copied());
            CnxnFactoryConfig::new(([127, 0, 0, 1], 0).into(), 0, -1, &properties).check()
        };
        assert!(check(&none).is_err());
        assert!(check(&[]).is_ok() && check(&[(FACTORY, BLOCKING_FACTORY)]).is_ok());
    }
}
