//! One server of the ensemble, from a `server.N` line (Java: QuorumPeer.QuorumServer).
//!
//! It does not check which of several addresses is reachable.

use std::fmt;

use thiserror::Error;

use super::states::LearnerType;
use crate::common::net_utils::{InetSocketAddress, ResolveHost, delimited_host};
use crate::common::string_utils;
use crate::ids::Sid;

/// One server of the ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumServer {
    /// The N of `server.N`.
    pub id: Sid,
    /// The addresses that learners connect to while it leads; several with multiAddress.
    pub addresses: Vec<InetSocketAddress>,
    /// Its election addresses; as many as `addresses`, in the same order.
    pub election_addresses: Vec<InetSocketAddress>,
    /// The address that clients connect to; `None` if the line has none.
    pub client_address: Option<InetSocketAddress>,
    /// Whether `client_address` comes from the static file; the line is then written without it.
    pub is_client_address_from_static: bool,
    /// The host of its last address, which identifies the server in Kerberos.
    pub hostname: String,
    /// Whether it is a participant or an observer.
    pub learner_type: LearnerType,
}

/// Why a `server.N` line is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QuorumServerError {
    /// The line has the wrong form.
    #[error(
        "does not have the form server_config or server_config;client_config where server_config \
         is the pipe separated \
         list of host:port:port or host:port:port:type and client_config is port or host:port"
    )]
    Form,
    /// A `[` has no matching `]`.
    #[error("{0} starts with '[' but has no matching ']:'")]
    Bracket(String),
    /// Nothing follows `[host]:`.
    #[error("{0} doesn't have a port after colon")]
    NoPort(String),
    /// A port is not a number.
    #[error("Address unresolved: {0}:{1:?} (a port is a number from 0 to 65535, without blanks)")]
    Port(String, String),
    /// Several addresses are given, but not allowed.
    #[error(
        "Multiple address feature is disabled, but multiple addresses were specified for sid {0}; \
         set \
         multiAddress.enabled=true if all servers are 3.6 or newer"
    )]
    MultiAddress(Sid),
    /// Quorum and election port are the same.
    #[error(
        "Client and election port must be different! Please update the configuration file on \
         server.{0}"
    )]
    SamePort(Sid),
    /// The role is neither participant nor observer.
    #[error("Unrecognised peertype: {0}; participant and observer are")]
    PeerType(String),
    /// The addresses of one server have different roles.
    #[error("Multiple addresses should have similar roles: {0} vs {1}")]
    Roles(LearnerType, LearnerType),
}

impl QuorumServer {
    /// Parses `host:port:electionPort[:role][|...][;[host:]clientPort]`.
    ///
    /// `multi_address` allows more than one address (Java: the property `zookeeper.multiAddress.enabled`).
    ///
    /// # Errors
    /// [`QuorumServerError`]; faults are found in the same order as in Java.
    pub fn parse(
        id: Sid,
        text: &str,
        multi_address: bool,
        resolve: ResolveHost<'_>,
    ) -> Result<Self, QuorumServerError> {
        let parts = string_utils::split(text, ';');
        let (servers, client) = match parts.as_slice() {
            [servers] => (*servers, None),
            [servers, client] => (*servers, Some(*client)),
            _ => return Err(QuorumServerError::Form),
        };
        let mut server = Self {
            id,
            addresses: Vec::new(),
            election_addresses: Vec::new(),
            client_address: client.map(|client| client_address(client, resolve)).transpose()?,
            is_client_address_from_static: false,
            hostname: String::new(),
            learner_type: LearnerType::Participant,
        };
        let servers = string_utils::split(servers, '|');
        if servers.len() > 1 && !multi_address {
            return Err(QuorumServerError::MultiAddress(id));
        }
        let mut role = None;
        for address in servers {
            server.add_address(address, &mut role, resolve)?;
        }
        if server.addresses.is_empty() {
            return Err(QuorumServerError::Form);
        }
        server.learner_type = role.unwrap_or_default();
        Ok(server)
    }

    /// Parses `host:port:electionPort[:role]`.
    fn add_address(
        &mut self,
        text: &str,
        role: &mut Option<LearnerType>,
        resolve: ResolveHost<'_>,
    ) -> Result<(), QuorumServerError> {
        let parts = host_and_port(text)?;
        let (host, port, election_port, own_role) = match parts.as_slice() {
            [host, port, election_port] => (*host, *port, *election_port, None),
            [host, port, election_port, role] => (*host, *port, *election_port, Some(*role)),
            _ => return Err(QuorumServerError::Form),
        };
        let port = parse_port(host, port)?;
        let election_port = parse_port(host, election_port)?;
        if port == election_port {
            return Err(QuorumServerError::SamePort(self.id));
        }
        if let Some(name) = own_role {
            let own = LearnerType::from_name(string_utils::trim(name))
                .ok_or_else(|| QuorumServerError::PeerType(name.into()))?;
            let first = *role.get_or_insert(own);
            if first != own {
                return Err(QuorumServerError::Roles(first, own));
            }
        }
        let address = InetSocketAddress::new(host, port, resolve);
        let election_address = InetSocketAddress { port: election_port, ..address.clone() };
        // Java keeps the addresses in sets, which drops duplicates.
        if !self.addresses.contains(&address) {
            self.addresses.push(address);
        }
        if !self.election_addresses.contains(&election_address) {
            self.election_addresses.push(election_address);
        }
        self.hostname = host.to_owned();
        Ok(())
    }

    /// Checks that no address of this server is also an address of the other one. Wildcard, loopback and unresolved
    /// addresses do not count (Java: checkAddressDuplicate, excludedSpecialAddresses).
    ///
    /// # Errors
    /// The two addresses that are the same.
    pub(crate) fn check_address_duplicate(&self, other: &Self) -> Result<(), String> {
        for mine in self.checked_addresses() {
            if let Some(theirs) = other.checked_addresses().find(|theirs| *theirs == mine) {
                return Err(format!(
                    "{mine} of server.{} conflicts {theirs} of server.{}",
                    self.id, other.id
                ));
            }
        }
        Ok(())
    }

    fn checked_addresses(&self) -> impl Iterator<Item = &InetSocketAddress> {
        let all = self.addresses.iter().chain(&self.client_address).chain(&self.election_addresses);
        all.filter(|one| {
            one.address.is_some_and(|address| !address.is_unspecified() && !address.is_loopback())
        })
    }
}

/// Parses `[host:]port`; without a host it means all addresses.
fn client_address(
    text: &str,
    resolve: ResolveHost<'_>,
) -> Result<InetSocketAddress, QuorumServerError> {
    let parts = host_and_port(text)?;
    let (host, port) = match parts.as_slice() {
        [port] => ("0.0.0.0", *port),
        [host, port] => (*host, *port),
        _ => return Err(QuorumServerError::Form),
    };
    Ok(InetSocketAddress::new(host, parse_port(host, port)?, resolve))
}

/// Splits a text at its colons, except within brackets at the start (Java: ConfigUtils.getHostAndPort).
pub(crate) fn host_and_port(text: &str) -> Result<Vec<&str>, QuorumServerError> {
    let Some(rest) = text.strip_prefix('[') else {
        return Ok(string_utils::split(text, ':'));
    };
    let Some((host, after)) = rest.split_once(']') else {
        return Err(QuorumServerError::Bracket(text.into()));
    };
    let mut parts = vec![host];
    let mut after = after.chars();
    if after.next().is_some() {
        // Java accepts any character in place of this colon.
        if after.as_str().is_empty() {
            return Err(QuorumServerError::NoPort(text.into()));
        }
        parts.append(&mut string_utils::split(after.as_str(), ':'));
    }
    Ok(parts)
}

fn parse_port(host: &str, port: &str) -> Result<u16, QuorumServerError> {
    port.parse().map_err(|_| QuorumServerError::Port(host.into(), port.into()))
}

/// The format of a line in a dynamic file, without `server.N=`.
impl fmt::Display for QuorumServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut addresses: Vec<_> = self.addresses.iter().collect();
        let mut election_addresses: Vec<_> = self.election_addresses.iter().collect();
        addresses.sort_by(|a, b| a.host.cmp(&b.host));
        election_addresses.sort_by(|a, b| a.host.cmp(&b.host));
        for (at, (address, election)) in addresses.iter().zip(election_addresses).enumerate() {
            let pipe = if at == 0 { "" } else { "|" };
            write!(
                f,
                "{pipe}{}:{}:{}",
                delimited_host(&address.host),
                address.port,
                election.port
            )?;
        }
        f.write_str(match self.learner_type {
            LearnerType::Participant => ":participant",
            LearnerType::Observer => ":observer",
        })?;
        match &self.client_address {
            Some(address) if !self.is_client_address_from_static => write!(f, ";{address}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<QuorumServer, QuorumServerError> {
        QuorumServer::parse(Sid(0), text, true, &|_| None)
    }

    #[test]
    fn every_form_is_written_as_java_writes_it() {
        for (given, written) in [
            ("127.0.0.1:1234:1236", "127.0.0.1:1234:1236:participant"),
            (
                "127.0.0.1:1234:1236:participant;0.0.0.0:1237",
                "127.0.0.1:1234:1236:participant;0.0.0.0:1237",
            ),
            ("127.0.0.1:1234:1236;1237", "127.0.0.1:1234:1236:participant;0.0.0.0:1237"),
            (
                "127.0.0.1:1234:1236:Observer ;1.2.3.4:1237",
                "127.0.0.1:1234:1236:observer;1.2.3.4:1237",
            ),
            ("example.com:1:2:participant;3", "example.com:1:2:participant;0.0.0.0:3"),
            ("[::1]:1234:1236:participant", "[0:0:0:0:0:0:0:1]:1234:1236:participant"),
            ("a:1:2;[::1]:1237", "a:1:2:participant;[0:0:0:0:0:0:0:1]:1237"),
            ("b:3:4|a:1:2", "a:1:2|b:3:4:participant"),
            ("a:1:2:observer|b:3:4:observer;", "a:1:2|b:3:4:observer"),
            ("a:1:2::", "a:1:2:participant"),
        ] {
            assert_eq!(parse(given).unwrap().to_string(), written, "{given}");
        }
    }

    #[test]
    fn what_java_refuses_is_refused() {
        for (given, message) in [
            ("", "does not have the form"),
            (";", "does not have the form"),
            ("|", "does not have the form"),
            ("a", "does not have the form"),
            ("a:1", "does not have the form"),
            ("a:1:2:observer:x", "does not have the form"),
            ("a:1:2;b:1:2", "does not have the form"),
            ("a:1:2;3;4", "does not have the form"),
            ("a:1:2;:", "does not have the form"),
            ("[::1:1234:1236", "no matching"),
            ("a:1:2;[::1:1237", "no matching"),
            ("[::1]:", "port after colon"),
            ("a:1:2;[::1]", "Address unresolved"),
            ("a:x:2", "Address unresolved: a:\"x\""),
            ("a:1:2 ", "Address unresolved: a:\"2 \""),
            ("a:1:70000", "Address unresolved"),
            ("a:2888:2888", "must be different"),
            ("a:1:2:voter", "Unrecognised peertype: voter"),
            ("a:1:2:observer|b:1:2:participant", "similar roles: OBSERVER vs PARTICIPANT"),
        ] {
            let error = parse(given).expect_err(given).to_string();
            assert!(error.contains(message), "{given}: {error}");
        }
    }

    #[test]
    fn several_addresses_need_the_switch() {
        let error = QuorumServer::parse(Sid(3), "a:1:2|b:1:2", false, &|_| None).unwrap_err();
        assert_eq!(error, QuorumServerError::MultiAddress(Sid(3)));
    }
}
