//! Host names, addresses and ports (Java: org/apache/zookeeper/common/NetUtils.java, and
//! java.net.InetSocketAddress as far as settings show it).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::os::unix::net::UnixDatagram;

use rustix::net::netdevice;

/// Resolves a host name; `None` if the name is unknown. The function is injected so that a configuration can be
/// checked without a network.
pub(crate) type ResolveHost<'a> = &'a dyn Fn(&str) -> Option<IpAddr>;

/// A host and a port as a setting names them, with the address if the host was resolved
/// (Java: InetSocketAddress).
#[derive(Clone, Debug)]
pub struct InetSocketAddress {
    /// The name as given, or Java's spelling of the address if an address was given (Java: getHostString).
    pub host: String,
    /// The address that the name resolved to when it was read.
    pub address: Option<IpAddr>,
    /// The interface index of an IPv6 address with a zone (`fe80::1%eth0`); 0 without a zone.
    pub scope_id: u32,
    /// The port.
    pub port: u16,
}

impl InetSocketAddress {
    /// The wildcard address: all addresses of this machine.
    #[must_use]
    pub fn any(port: u16) -> Self {
        let address = Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Self { host: "0.0.0.0".into(), address, scope_id: 0, port }
    }

    /// Resolves the host. The address stays unresolved if the name is unknown or the zone names no interface.
    #[must_use]
    pub fn new(host: &str, port: u16, resolve: ResolveHost<'_>) -> Self {
        match literal(host) {
            Literal::Address { address, zone } => Self {
                host: zone.as_ref().map_or_else(
                    || host_address(address),
                    |zone| format!("{}%{}", host_address(address), zone.name),
                ),
                address: Some(address),
                scope_id: zone.map_or(0, |zone| zone.scope_id),
                port,
            },
            Literal::Unknown => Self { host: host.to_owned(), address: None, scope_id: 0, port },
            Literal::Name => {
                Self { host: host.to_owned(), address: resolve(host), scope_id: 0, port }
            }
        }
    }

    /// The address that a socket connects to; `None` if the host is unresolved.
    #[must_use]
    pub fn socket_address(&self) -> Option<SocketAddr> {
        self.address.map(|address| socket_address(address, self.port, self.scope_id))
    }

    /// Whether this is the wildcard address.
    #[must_use]
    pub fn is_any_local(&self) -> bool {
        self.address.is_some_and(|address| address.is_unspecified())
    }

    /// The address that a socket binds to; `None` if the host is unresolved. A JVM's sockets serve both IPv4
    /// and IPv6 unless `java.net.preferIPv4Stack` is true, so either spelling of the wildcard address becomes
    /// `[::]`. The caller binds `[::]` with `IPV6_V6ONLY` off, and falls back to `0.0.0.0` on a system without
    /// IPv6.
    #[must_use]
    pub fn bind_address(&self, prefer_ipv4_stack: bool) -> Option<SocketAddr> {
        let address = self.address?;
        let any = if prefer_ipv4_stack {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        if address.is_unspecified() {
            return Some(SocketAddr::new(any, self.port));
        }
        self.socket_address()
    }
}

/// The text of [`format_inet_addr`].
impl fmt::Display for InetSocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_inet_addr(self))
    }
}

/// Resolved addresses are equal if address and port are; unresolved ones if the ports are equal and the names
/// are, ignoring case.
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
pub(crate) fn format_inet_addr(address: &InetSocketAddress) -> String {
    format!("{}:{}", delimited_host(&address.host), address.port)
}

/// The host, in brackets when it contains colons (Java: QuorumServer.delimitedHostString).
#[must_use]
pub(crate) fn delimited_host(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Resolves a name through the system. If there are several addresses, the first IPv4 one wins, or with
/// `prefer_ipv6` the first IPv6 one (Java: `java.net.preferIPv6Addresses`).
#[must_use]
pub(crate) fn resolve_host(host: &str, prefer_ipv6: bool) -> Option<IpAddr> {
    let found: Vec<IpAddr> = (host, 0).to_socket_addrs().ok()?.map(|found| found.ip()).collect();
    let preferred = found.iter().find(|address| address.is_ipv6() == prefer_ipv6);
    preferred.or(found.first()).copied()
}

/// The addresses that a client tries to connect to: all addresses of the host.
///
/// # Errors
/// When the host is unknown.
pub(crate) fn resolve_all(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match literal(host) {
        Literal::Address { address, zone } => {
            Ok(vec![socket_address(address, port, zone.map_or(0, |zone| zone.scope_id))])
        }
        Literal::Unknown => {
            Err(io::Error::new(io::ErrorKind::NotFound, format!("{host}: unknown host or zone")))
        }
        Literal::Name => Ok((host, port).to_socket_addrs()?.collect()),
    }
}

fn socket_address(address: IpAddr, port: u16, scope_id: u32) -> SocketAddr {
    match address {
        IpAddr::V4(_) => SocketAddr::new(address, port),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, scope_id).into(),
    }
}

/// What a host text is before it is looked up.
enum Literal {
    /// An address, which needs no look-up. An IPv4-mapped IPv6 address counts as IPv4, as in Java.
    Address { address: IpAddr, zone: Option<Zone> },
    /// A malformed address, or an address with a zone that this machine does not have.
    Unknown,
    /// A name, which must be looked up.
    Name,
}

/// The interface after the `%` of an IPv6 address.
struct Zone {
    /// The interface's name, or its number in Java's spelling.
    name: String,
    scope_id: u32,
}

/// Parses an address as Java's InetAddress does: IPv6 with or without brackets, with or without a zone.
fn literal(host: &str) -> Literal {
    let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let (text, zone) = match in_brackets.unwrap_or(host).split_once('%') {
        Some((text, zone)) => (text, Some(zone)),
        None => (in_brackets.unwrap_or(host), None),
    };
    if let (None, None, Some(address)) = (in_brackets, zone, ipv4_literal(text)) {
        return Literal::Address { address: address.into(), zone: None };
    }
    match (text.parse::<IpAddr>(), zone) {
        (Ok(address @ IpAddr::V6(_)), None) => {
            Literal::Address { address: address.to_canonical(), zone: None }
        }
        (Ok(IpAddr::V6(address)), Some(zone)) if address.to_ipv4_mapped().is_none() => {
            match zone_of(zone) {
                Some(zone) => Literal::Address { address: address.into(), zone: Some(zone) },
                None => Literal::Unknown,
            }
        }
        (Err(_), None) => Literal::Name,
        _ => Literal::Unknown,
    }
}

/// Parses up to four decimal numbers separated by dots. The last number fills all remaining bytes (`127.1`),
/// and leading zeros are ignored, where the C library would read octal
/// (Java: IPAddressUtil.textToNumericFormatV4).
fn ipv4_literal(text: &str) -> Option<Ipv4Addr> {
    let mut parts = text.split('.').map(|part| {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u64>().ok().filter(|_| is_number)
    });
    let mut bits = u64::from(u32::BITS);
    let mut address = 0;
    let mut last = parts.next()??;
    for part in parts {
        bits = bits.checked_sub(8).filter(|bits| *bits > 0 && last < 256)?;
        address = address << 8 | last;
        last = part?;
    }
    let address = (last >> bits == 0).then_some(address << bits | last)?;
    u32::try_from(address).ok().filter(|_| text.len() <= 15).map(Ipv4Addr::from)
}

/// A zone is the name of an interface, or a number, which is not checked.
fn zone_of(zone: &str) -> Option<Zone> {
    if !zone.is_empty() && zone.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = zone.parse::<i32>().ok()?;
        return Some(Zone { name: number.to_string(), scope_id: u32::try_from(number).ok()? });
    }
    // Any socket can be used to ask the kernel for an interface.
    let socket = UnixDatagram::unbound().ok()?;
    let scope_id = netdevice::name_to_index(&socket, zone).ok()?;
    Some(Zone { name: zone.to_owned(), scope_id })
}

/// A socket's address in Java's spelling, without the port. Java prints a zone as the interface's number.
#[must_use]
pub(crate) fn socket_host_address(address: SocketAddr) -> String {
    let host = host_address(address.ip().to_canonical());
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{host}%{}", v6.scope_id()),
        _ => host,
    }
}

/// An address in Java's spelling, where IPv6 has all eight groups (Java: InetAddress.getHostAddress).
#[must_use]
pub(crate) fn host_address(address: IpAddr) -> String {
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
    fn a_zone_is_an_interface_or_a_number_and_is_written_again_as_java_writes_it() {
        let nobody = |host: &str| panic!("{host} looked up");
        let lo = "[0:0:0:0:0:0:0:1%lo]:5";
        for (host, text, socket) in [
            ("::1%lo", lo, "[::1%1]:5"),
            ("0:0:0:0:0:0:0:1%lo", lo, "[::1%1]:5"),
            ("[::1%lo]", lo, "[::1%1]:5"),
            ("fe80::1%99", "[fe80:0:0:0:0:0:0:1%99]:5", "[fe80::1%99]:5"),
            ("::1%007", "[0:0:0:0:0:0:0:1%7]:5", "[::1%7]:5"),
        ] {
            let address = InetSocketAddress::new(host, 5, &nobody);
            assert_eq!(address.to_string(), text, "{host}");
            assert_eq!(address.bind_address(false).unwrap().to_string(), socket, "{host}");
            assert_eq!(address.socket_address(), address.bind_address(true), "{host}");
            assert_eq!(resolve_all(host, 5).unwrap(), [address.socket_address().unwrap()]);
            let again = InetSocketAddress::new(&address.host, 5, &nobody);
            assert_eq!((again.scope_id, again.host), (address.scope_id, address.host));
        }
        let any = InetSocketAddress::new("::%lo", 5, &nobody);
        assert_eq!(any.bind_address(false).unwrap().to_string(), "[::]:5");
        for address in ["[fe80::1%4]:5", "[::1]:5", "1.2.3.4:5"] {
            let socket: SocketAddr = address.parse().unwrap();
            let zone = if address.contains('%') { "%4" } else { "" };
            assert_eq!(socket_host_address(socket), host_address(socket.ip()) + zone);
        }
    }

    #[test]
    fn an_ipv4_address_may_be_short_or_have_zeros_before_its_numbers() {
        for (host, text) in [
            ("1.2.3.4", "1.2.3.4"),
            ("127.1", "127.0.0.1"),
            ("1.2.300", "1.2.1.44"),
            ("1.2.65535", "1.2.255.255"),
            ("70000", "0.1.17.112"),
            ("4294967295", "255.255.255.255"),
            ("010.0.0.1", "10.0.0.1"),
            ("00000000001", "0.0.0.1"),
        ] {
            let nobody = |host: &str| panic!("{host} looked up");
            let address = InetSocketAddress::new(host, 1, &nobody);
            assert_eq!(address.host, text, "{host}");
            assert_eq!(address.address, Some(text.parse().unwrap()), "{host}");
        }
    }

    /// Java leaves each of these unresolved, too.
    #[test]
    fn what_is_no_address_and_what_no_interface_is_called_stays_unresolved() {
        for host in [
            "fe80::1%no.such",
            "::1%",
            "::1%1x",
            "::1%-1",
            "::1%99999999999",
            "::1%lo%lo",
            "::1%an.interface.with.a.long.name",
            "::1%[lo]",
            "[::1]%lo",
            "[fe80::1",
            "fe80::1]",
            "[[::1]]",
            "[127.0.0.1]",
            "::ffff:1.2.3.4%lo",
            "1.2.3.4%lo",
            "localhost%lo",
            "1.2.65536",
            "4294967296",
            "18446744073709551616",
            "1.2.3.256",
            "1.256.3",
            "1.2.3.4.",
            "1.2.3.4.5",
            "1..2",
            "1.",
            "+1",
            "0x7f.1",
            "0000000000000001",
        ] {
            let address = InetSocketAddress::new(host, 1, &|_| None);
            assert_eq!((address.address, address.host.as_str()), (None, host));
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
