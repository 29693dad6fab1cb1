//! Host names, addresses and ports (Java: org/apache/zookeeper/common/NetUtils.java, and
//! java.net.InetSocketAddress as far as settings show it).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// Looks a host name up; `None` when nobody knows it. Injected, so that a configuration can be
/// checked without a network.
pub type ResolveHost<'a> = &'a dyn Fn(&str) -> Option<IpAddr>;

/// A host and a port as a setting names them, with the address if the host could be looked up
/// (Java: InetSocketAddress).
#[derive(Clone, Debug)]
pub struct InetSocketAddress {
    /// The name that was given, or the address in Java's spelling when an address was given (Java:
    /// getHostString).
    pub host: String,
    /// What the name stood for when it was read.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

impl InetSocketAddress {
    /// All addresses of this machine.
    #[must_use]
    pub fn any(port: u16) -> Self {
        Self { host: "0.0.0.0".into(), address: Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port }
    }

    /// The host, looked up; it stays unresolved when nobody knows it.
    #[must_use]
    pub fn new(host: &str, port: u16, resolve: ResolveHost<'_>) -> Self {
        match literal(host) {
            Some(address) => Self { host: host_address(address), address: Some(address), port },
            None => Self { host: host.to_owned(), address: resolve(host), port },
        }
    }

    /// Whether it stands for all addresses of this machine.
    #[must_use]
    pub fn is_any_local(&self) -> bool {
        self.address.is_some_and(|address| address.is_unspecified())
    }

    /// What a socket is bound to. A JVM's sockets are of both families unless
    /// `java.net.preferIPv4Stack` is true, and "all addresses" then includes IPv6 however it is
    /// spelled: `[::]`, to be bound with `IPV6_V6ONLY` off, and where the system has no IPv6,
    /// `0.0.0.0`. `None` while the host is unresolved.
    #[must_use]
    pub fn bind_address(&self, prefer_ipv4_stack: bool) -> Option<SocketAddr> {
        let address = self.address?;
        let any = if prefer_ipv4_stack {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        Some(SocketAddr::new(if address.is_unspecified() { any } else { address }, self.port))
    }
}

/// As [`format_inet_addr`].
impl fmt::Display for InetSocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_inet_addr(self))
    }
}

/// Resolved ones are the same when address and port are; unresolved ones when the names are, in any
/// case.
impl PartialEq for InetSocketAddress {
    fn eq(&self, other: &Self) -> bool {
        let same_host = match (self.address, other.address) {
            (Some(address), Some(other)) => address == other,
            (None, None) => self.host.eq_ignore_ascii_case(&other.host),
            _ => false,
        };
        same_host && self.port == other.port
    }
}

impl Eq for InetSocketAddress {}

/// `host:port`, with brackets around an IPv6 address (Java: NetUtils.formatInetAddr).
#[must_use]
pub fn format_inet_addr(address: &InetSocketAddress) -> String {
    format!("{}:{}", delimited_host(&address.host), address.port)
}

/// The host, in brackets when it contains colons (Java: QuorumServer.delimitedHostString).
#[must_use]
pub fn delimited_host(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Asks the system. Of several addresses the first IPv4 one counts unless `prefer_ipv6` (Java:
/// `java.net.preferIPv6Addresses`).
#[must_use]
pub fn resolve_host(host: &str, prefer_ipv6: bool) -> Option<IpAddr> {
    let found: Vec<IpAddr> = (host, 0).to_socket_addrs().ok()?.map(|found| found.ip()).collect();
    let preferred = found.iter().find(|address| address.is_ipv6() == prefer_ipv6);
    preferred.or(found.first()).copied()
}

/// An address that needs no look-up. An IPv4 address dressed as IPv6 counts as IPv4, as in Java.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
        .ok()
        .map(|a| a.to_canonical())
}

/// The address in Java's spelling: IPv6 with all its eight groups (Java:
/// InetAddress.getHostAddress).
#[must_use]
pub fn host_address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let groups: Vec<String> =
                address.segments().iter().map(|group| format!("{group:x}")).collect();
            groups.join(":")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_spelled_as_java_spells_them_and_need_no_look_up() {
        let nobody = |host: &str| panic!("{host} looked up");
        for (host, text) in [
            ("127.0.0.1", "127.0.0.1:1"),
            ("::1", "[0:0:0:0:0:0:0:1]:1"),
            ("[fe80::A]", "[fe80:0:0:0:0:0:0:a]:1"),
            ("::ffff:1.2.3.4", "1.2.3.4:1"),
        ] {
            assert_eq!(InetSocketAddress::new(host, 1, &nobody).to_string(), text, "{host}");
        }
    }

    #[test]
    fn a_name_stays_a_name_and_may_stay_unresolved() {
        let unknown = InetSocketAddress::new("Zoo1", 1, &|_| None);
        assert_eq!(unknown, InetSocketAddress::new("zoo1", 1, &|_| None));
        assert_eq!(unknown.bind_address(false), None);
        let known = InetSocketAddress::new("zoo1", 1, &|_| Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_ne!(unknown, known);
        assert_eq!(known.to_string(), "zoo1:1");
        assert_eq!(known, InetSocketAddress::new("127.0.0.1", 1, &|_| None));
    }

    #[test]
    fn all_addresses_means_both_families_unless_ipv4_is_preferred() {
        for any in [InetSocketAddress::any(5), InetSocketAddress::new("::", 5, &|_| None)] {
            assert!(any.is_any_local());
            assert_eq!(any.bind_address(false).unwrap().to_string(), "[::]:5");
            assert_eq!(any.bind_address(true).unwrap().to_string(), "0.0.0.0:5");
        }
    }

    #[test]
    fn of_several_addresses_ipv4_is_preferred() {
        assert!(resolve_host("localhost", false).unwrap().is_loopback());
        assert!(resolve_host("localhost", false).unwrap().is_ipv4());
    }
}
