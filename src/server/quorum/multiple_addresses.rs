//! The addresses of one server (Java: server/quorum/MultipleAddresses.java).
//!
//! Differs from Java: Instances are immutable, addresses keep the order in which they were written, and a host that
//! cannot be resolved keeps its old address. As an unprivileged Java process does, it checks whether a host is
//! reachable at the host's echo port; any answer counts. All hosts are probed at the same time, on the caller's
//! thread.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use log::debug;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::common::net_utils::{InetSocketAddress, ResolveHost};
use crate::common::time;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.MultipleAddresses";

/// The default timeout for probing a host.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// A reachable host accepts or refuses a connection to this port at once.
const ECHO_PORT: u16 = 7;

/// The settings for servers with several addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultiAddressConfig {
    /// Whether several addresses are allowed.
    pub enabled: bool,
    /// Whether addresses are probed before one is chosen.
    pub reachability_check_enabled: bool,
    /// The timeout for probing an address.
    pub reachability_check_timeout_ms: i32,
}

impl Default for MultiAddressConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            reachability_check_enabled: true,
            reachability_check_timeout_ms: 1000,
        }
    }
}

/// The addresses of one server, without duplicates.
#[derive(Clone, Debug)]
pub struct MultipleAddresses {
    addresses: Vec<InetSocketAddress>,
    timeout: Duration,
}

impl MultipleAddresses {
    /// An instance with these addresses; `timeout` limits how long hosts are probed.
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = InetSocketAddress>, timeout: Duration) -> Self {
        let mut this = Self { addresses: Vec::new(), timeout };
        for address in addresses {
            if !this.addresses.contains(&address) {
                this.addresses.push(address);
            }
        }
        this
    }

    /// Whether there are no addresses.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// The number of addresses.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.addresses.len()
    }

    /// All addresses (Java: getAllAddresses).
    #[must_use]
    pub fn all(&self) -> &[InetSocketAddress] {
        &self.addresses
    }

    /// The wildcard address at each port, without duplicates (Java: getWildcardAddresses).
    #[must_use]
    pub fn wildcard_addresses(&self) -> Vec<InetSocketAddress> {
        self.ports().into_iter().map(InetSocketAddress::any).collect()
    }

    /// The ports, without duplicates (Java: getAllPorts).
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let mut ports = Vec::new();
        for address in &self.addresses {
            if !ports.contains(&address.port) {
                ports.push(address.port);
            }
        }
        ports
    }

    /// The first address (Java: getOne, any one).
    #[must_use]
    pub fn one(&self) -> Option<&InetSocketAddress> {
        self.addresses.first()
    }

    /// A reachable address; the first one if none is reachable. A single address is not probed (Java:
    /// getReachableOrOne). May take as long as the timeout.
    #[must_use]
    pub fn reachable_or_one(&self) -> Option<&InetSocketAddress> {
        if self.addresses.len() <= 1 {
            return self.one();
        }
        self.reachable(1).into_iter().next().or_else(|| self.one())
    }

    /// A reachable address (Java: getReachableAddress). May take as long as the timeout.
    #[must_use]
    pub fn reachable_address(&self) -> Option<&InetSocketAddress> {
        self.reachable(1).into_iter().next()
    }

    /// The reachable addresses; all if none is reachable. A single address is not probed (Java:
    /// getAllReachableAddressesOrAll). Takes as long as the timeout unless all hosts answer.
    #[must_use]
    pub fn all_reachable_or_all(&self) -> Vec<&InetSocketAddress> {
        if self.addresses.len() > 1 {
            let reachable = self.reachable(self.addresses.len());
            if !reachable.is_empty() {
                return reachable;
            }
        }
        self.addresses.iter().collect()
    }

    fn reachable(&self, enough: usize) -> Vec<&InetSocketAddress> {
        let hosts: Vec<Option<SocketAddr>> = self
            .addresses
            .iter()
            .map(|address| {
                InetSocketAddress { port: ECHO_PORT, ..address.clone() }.socket_address()
            })
            .collect();
        match probe(&hosts, self.timeout, enough) {
            Ok(found) => found.into_iter().map(|number| &self.addresses[number]).collect(),
            Err(problem) => {
                debug!(target: LOG, "nobody can be asked: {problem}");
                Vec::new()
            }
        }
    }

    /// Resolves the same hosts again, since their addresses may have changed. A host that cannot be resolved keeps
    /// its address (Java: recreateSocketAddresses).
    #[must_use]
    pub fn recreate_socket_addresses(&self, resolve: ResolveHost<'_>) -> Self {
        let again = self.addresses.iter().map(|address| {
            let new = InetSocketAddress::new(&address.host, address.port, resolve);
            if new.address.is_some() { new } else { address.clone() }
        });
        Self::new(again, self.timeout)
    }
}

/// Two instances are equal if they have the same addresses, in any order.
impl PartialEq for MultipleAddresses {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.addresses.iter().all(|address| other.addresses.contains(address))
    }
}

impl Eq for MultipleAddresses {}

/// The format `host:port|host:port`.
impl fmt::Display for MultipleAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, address) in self.addresses.iter().enumerate() {
            let pipe = if number == 0 { "" } else { "|" };
            write!(f, "{pipe}{address}")?;
        }
        Ok(())
    }
}

/// Probes hosts until `enough` have answered or the timeout has passed; returns the indexes of those that have
/// answered.
fn probe(hosts: &[Option<SocketAddr>], timeout: Duration, enough: usize) -> io::Result<Vec<usize>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(16);
    let mut asked: Vec<Option<TcpStream>> = Vec::new();
    let mut found = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        let stream = match host.map(TcpStream::connect) {
            Some(Ok(mut stream)) => {
                poll.registry().register(&mut stream, Token(number), Interest::WRITABLE)?;
                Some(stream)
            }
            Some(Err(problem)) => {
                if problem.kind() == io::ErrorKind::ConnectionRefused {
                    found.push(number);
                }
                None
            }
            None => None,
        };
        asked.push(stream);
    }
    let deadline = time::now() + timeout;
    while found.len() < enough && asked.iter().any(Option::is_some) {
        let left = deadline.saturating_duration_since(time::now());
        if left.is_zero() {
            break;
        }
        match poll.poll(&mut events, Some(left)) {
            Err(problem) if problem.kind() != io::ErrorKind::Interrupted => return Err(problem),
            _ => {}
        }
        for event in &events {
            let number = event.token().0;
            if let Some(stream) = asked.get_mut(number).and_then(Option::take)
                && has_answered(&stream)
            {
                found.push(number);
            }
        }
    }
    Ok(found)
}

/// Whether the host has accepted or refused the connection.
fn has_answered(stream: &TcpStream) -> bool {
    match stream.take_error() {
        Ok(None) => stream.peer_addr().is_ok(),
        Ok(Some(problem)) => problem.kind() == io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[(&str, u16)]) -> MultipleAddresses {
        let resolve = |_: &str| None;
        let addresses =
            list.iter().map(|(host, port)| InetSocketAddress::new(host, *port, &resolve));
        MultipleAddresses::new(addresses, Duration::from_millis(200))
    }

    #[test]
    fn each_address_is_kept_once_and_order_does_not_count() {
        let some = addresses(&[("a", 1), ("b", 2), ("a", 1), ("c", 1)]);
        assert_eq!(some.len(), 3);
        assert_eq!(some.ports(), [1, 2]);
        assert_eq!(some.to_string(), "a:1|b:2|c:1");
        assert_eq!(some, addresses(&[("c", 1), ("b", 2), ("a", 1)]));
        assert_ne!(some, addresses(&[("c", 1), ("b", 2)]));
        let wildcards: Vec<String> =
            some.wildcard_addresses().iter().map(InetSocketAddress::to_string).collect();
        assert_eq!(wildcards, ["0.0.0.0:1", "0.0.0.0:2"]);
    }

    #[test]
    fn a_host_that_answers_is_preferred() {
        let some = addresses(&[("unknown", 1), ("nowhere", 2), ("127.0.0.1", 3)]);
        assert_eq!(some.reachable_or_one().unwrap().port, 3);
        assert_eq!(some.reachable_address().unwrap().port, 3);
        let all: Vec<u16> = some.all_reachable_or_all().iter().map(|found| found.port).collect();
        assert_eq!(all, [3]);
    }

    #[test]
    fn if_nobody_answers_the_first_one_is_as_good_as_any() {
        let some = addresses(&[("unknown", 1), ("nowhere", 2)]);
        assert_eq!(some.reachable_address(), None);
        assert_eq!(some.reachable_or_one().unwrap().port, 1);
        assert_eq!(some.all_reachable_or_all().len(), 2);
        assert_eq!(addresses(&[]).reachable_or_one(), None);
    }

    #[test]
    fn hosts_are_looked_up_again_and_unknown_ones_stay() {
        let known = |host: &str| (host == "a").then(|| "10.0.0.1".parse().unwrap());
        let some = addresses(&[("a", 1), ("b", 2)]).recreate_socket_addresses(&known);
        assert_eq!(some.all()[0].address, Some("10.0.0.1".parse().unwrap()));
        let later = some.recreate_socket_addresses(&|_| None);
        assert_eq!(later, some);
    }
}
