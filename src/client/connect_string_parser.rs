//! `host:port,host:port/chroot` (Java: client/ConnectStringParser.java).

use std::fmt;

use crate::common::net_utils;
use crate::common::path_utils::{self, InvalidPath};

/// The port of a server if the text names none.
const DEFAULT_PORT: u16 = 2181;

/// A text that is not a valid connect string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConnectString {
    /// The part after the servers is not a valid path.
    #[error(transparent)]
    Chroot(#[from] InvalidPath),
    /// A port that is not a number from 0 to 65535.
    #[error("{0}: the port is no number from 0 to 65535")]
    Port(
        /// The server.
        String,
    ),
    /// Brackets around an IPv6 address that do not match or are empty.
    #[error("{0} starts with '[' but is no IPv6 address in brackets")]
    Brackets(
        /// The server.
        String,
    ),
    /// The text names no server.
    #[error("A HostProvider may not be empty!")]
    Empty,
}

/// A server as the text names it. Its address is resolved again for every connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The name or the address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Whether both mean the same server: host names do not differ by case.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }
}

/// The text of Java's NetUtils.formatInetAddr: `host:port`, with brackets around an IPv6 address.
impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", net_utils::delimited_host(&self.host), self.port)
    }
}

/// The parts of a connect string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectStringParser {
    /// The servers, in their order; at least one.
    pub server_addresses: Vec<HostPort>,
    /// The prefix of all paths of the client; `None` is the root.
    pub chroot_path: Option<String>,
}

impl ConnectStringParser {
    /// Parses the text.
    ///
    /// # Errors
    /// If the text names no server, or a part of it is not a valid server.
    pub fn new(connect_string: &str) -> Result<Self, InvalidConnectString> {
        let (hosts, chroot_path) = match connect_string.find('/') {
            Some(at) => {
                let (hosts, chroot) = connect_string.split_at(at);
                if chroot.len() > 1 {
                    path_utils::validate_path(chroot)?;
                }
                (hosts, Some(chroot).filter(|chroot| chroot.len() > 1))
            }
            None => (connect_string, None),
        };
        let hosts = hosts.split(',').map(str::trim).filter(|host| !host.is_empty());
        let server_addresses = hosts.map(host_port).collect::<Result<Vec<_>, _>>()?;
        if server_addresses.is_empty() {
            return Err(InvalidConnectString::Empty);
        }
        Ok(Self { server_addresses, chroot_path: chroot_path.map(str::to_owned) })
    }
}

fn host_port(text: &str) -> Result<HostPort, InvalidConnectString> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let brackets = || InvalidConnectString::Brackets(text.to_owned());
        let (host, port) = rest.rsplit_once(']').ok_or_else(brackets)?;
        if host.is_empty() || !(port.is_empty() || port.starts_with(':')) {
            return Err(brackets());
        }
        (host, port.strip_prefix(':').unwrap_or_default())
    } else {
        text.rsplit_once(':').unwrap_or((text, ""))
    };
    let port = if port.is_empty() {
        DEFAULT_PORT
    } else {
        port.parse().map_err(|_| InvalidConnectString::Port(text.to_owned()))?
    };
    Ok(HostPort { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(Vec<String>, Option<String>)> {
        let parser = ConnectStringParser::new(text).ok()?;
        let hosts = parser.server_addresses.iter();
        Some((hosts.map(|a| format!("{} {}", a.host, a.port)).collect(), parser.chroot_path))
    }

    #[test]
    fn servers_ports_and_the_chroot_are_told_apart() {
        for (text, hosts, chroot) in [
            ("a", &["a 2181"][..], None),
            ("a:1,b:2/", &["a 1", "b 2"], None),
            (" a:1 , ,b /app/x", &["a 1", "b 2181"], Some("/app/x")),
            ("a:", &["a 2181"], None),
            ("[::1]:5,[2001:db8::1]", &["::1 5", "2001:db8::1 2181"], None),
            ("10.0.0.1:99/app", &["10.0.0.1 99"], Some("/app")),
        ] {
            let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            assert_eq!(parts(text), Some((hosts, chroot.map(str::to_owned))), "{text}");
        }
    }

    #[test]
    fn what_names_no_server_is_refused() {
        for text in ["", ",", "/app", "a:x", "a:65536", "[::1", "[]:1", "[::1]x", "a/app/", "a//b"]
        {
            assert_eq!(parts(text), None, "{text}");
        }
    }
}
