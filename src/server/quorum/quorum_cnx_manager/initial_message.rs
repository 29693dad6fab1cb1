//! The first message of a server on the election port (Java: InitialMessage and the first half of startConnection of
//! server/quorum/QuorumCnxManager.java).
//!
//! A server of 3.4 sends its id only. Later versions send a negative protocol version, their id, and their election
//! address: one since 3.5, several since 3.6 if multiAddress is enabled. There is no answer.
//!
//! Differs from Java: An id that no server can have (a line of text, TLS, the protocol of another program) ends the
//! connection with one clear message. Java accepts it as a server id and then finds an invalid length.

use std::fmt;
use std::io::{self, Read};

use byteorder::{BigEndian, ReadBytesExt};

use crate::common::net_utils::{InetSocketAddress, ResolveHost};
use crate::common::string_utils;
use crate::ids::Sid;
use crate::server::quorum::multiple_addresses::MultipleAddresses;
use crate::server::quorum::quorum_server::host_and_port;

/// The protocol version with one address, since 3.5.
pub const PROTOCOL_VERSION_V1: i64 = -65536;

/// The protocol version with several addresses, since 3.6; 3.5 does not understand it.
pub const PROTOCOL_VERSION_V2: i64 = -65535;

/// The maximum length of the addresses, in bytes (Java: maxBuffer).
pub const MAX_BUFFER: i32 = 2048;

/// The id that an old observer may send instead of its own (Java: QuorumPeer.OBSERVER_ID).
pub const OBSERVER_ID: Sid = Sid(i64::MAX);

/// The largest plausible id: a larger one does not fit into a session id, and the first bytes of a text are larger.
const MAX_PLAUSIBLE_ID: i64 = (1 << 56) - 1;

/// The initial message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialMessage {
    /// The sender's id.
    pub sid: Sid,
    /// The sender's election addresses, if it sent any; wildcard addresses are left out.
    pub election_addresses: Vec<InetSocketAddress>,
}

/// Why a message is not a valid initial message.
#[derive(Debug, thiserror::Error)]
pub enum InitialMessageError {
    /// The connection has ended, or nothing arrived in time.
    #[error("it ends, or is silent: {0}")]
    Io(#[from] io::Error),
    /// The sender is another program.
    #[error("the first bytes are no server's: \"{0}\"")]
    NoServer(String),
    /// The first bytes identify another program, or a client of another port.
    #[error("this is no server that takes part in elections; {0}")]
    Stranger(String),
    /// The protocol version is unknown.
    #[error("Got unrecognized protocol version {0}")]
    ProtocolVersion(i64),
    /// The length of the addresses is zero, negative or too large.
    #[error("Unreasonable buffer length: {0}")]
    Length(i32),
    /// An address is malformed.
    #[error("Badly formed address: {0}")]
    Address(String),
    /// A port is malformed.
    #[error("Bad port number: {0}")]
    Port(String),
}

impl InitialMessage {
    /// Reads an initial message, and no byte after it.
    ///
    /// # Errors
    /// When the message is not valid.
    pub fn parse(
        input: &mut impl Read,
        resolve: ResolveHost<'_>,
    ) -> Result<Self, InitialMessageError> {
        let first = input.read_i64::<BigEndian>()?;
        if first >= 0 {
            if first > MAX_PLAUSIBLE_ID && Sid(first) != OBSERVER_ID {
                let text = first.to_be_bytes().escape_ascii().to_string();
                return Err(InitialMessageError::NoServer(text));
            }
            return Ok(Self { sid: Sid(first), election_addresses: Vec::new() });
        }
        if first != PROTOCOL_VERSION_V1 && first != PROTOCOL_VERSION_V2 {
            return Err(InitialMessageError::ProtocolVersion(first));
        }
        let sid = Sid(input.read_i64::<BigEndian>()?);
        let length = input.read_i32::<BigEndian>()?;
        let bytes = match usize::try_from(length) {
            Ok(bytes) if bytes > 0 && length <= MAX_BUFFER => bytes,
            _ => return Err(InitialMessageError::Length(length)),
        };
        let mut text = vec![0; bytes];
        input.read_exact(&mut text)?;
        let election_addresses = parse_addresses(&String::from_utf8_lossy(&text), resolve)?;
        Ok(Self { sid, election_addresses })
    }
}

fn parse_addresses(
    text: &str,
    resolve: ResolveHost<'_>,
) -> Result<Vec<InetSocketAddress>, InitialMessageError> {
    let mut addresses = Vec::new();
    for text in string_utils::split(text, '|') {
        let bad = || InitialMessageError::Address(text.escape_debug().to_string());
        let parts = host_and_port(text).map_err(|_| bad())?;
        let [host, port] = parts.as_slice() else { return Err(bad()) };
        let port =
            port.parse().map_err(|_| InitialMessageError::Port(port.escape_debug().to_string()))?;
        let address = InetSocketAddress::new(host, port, resolve);
        if !address.is_any_local() {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

impl fmt::Display for InitialMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> =
            self.election_addresses.iter().map(ToString::to_string).collect();
        write!(f, "InitialMessage{{sid={}, electionAddr=[{}]}}", self.sid, addresses.join(", "))
    }
}

/// The initial message of a server with these election addresses. All of them are sent only if `multi_address` is on,
/// because 3.5 understands only one.
#[must_use]
pub fn greeting(my_id: Sid, addresses: &MultipleAddresses, multi_address: bool) -> Vec<u8> {
    let (version, text) = if multi_address {
        (PROTOCOL_VERSION_V2, addresses.to_string())
    } else {
        let one = addresses.one().map(ToString::to_string).unwrap_or_default();
        (PROTOCOL_VERSION_V1, one)
    };
    let length = i32::try_from(text.len()).unwrap_or(i32::MAX);
    let mut bytes = Vec::with_capacity(20 + text.len());
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.extend_from_slice(&my_id.0.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::quorum::multiple_addresses::DEFAULT_TIMEOUT;

    fn read(bytes: &[u8]) -> Result<InitialMessage, InitialMessageError> {
        InitialMessage::parse(&mut &*bytes, &|host| {
            (host == "everywhere").then(|| "0.0.0.0".parse().unwrap())
        })
    }

    fn with_text(version: i64, sid: i64, text: &str) -> Vec<u8> {
        let length = i32::try_from(text.len()).unwrap();
        [&version.to_be_bytes()[..], &sid.to_be_bytes(), &length.to_be_bytes(), text.as_bytes()]
            .concat()
    }

    fn shown(bytes: &[u8]) -> String {
        read(bytes).unwrap().to_string()
    }

    #[test]
    fn greetings_of_all_versions_are_understood() {
        assert_eq!(shown(&3_i64.to_be_bytes()), "InitialMessage{sid=3, electionAddr=[]}");
        let one = with_text(-65536, 5, "10.0.0.2:3888");
        assert_eq!(shown(&one), "InitialMessage{sid=5, electionAddr=[10.0.0.2:3888]}");
        let two = "InitialMessage{sid=5, electionAddr=[10.0.0.2:3888, zoo:1]}";
        assert_eq!(shown(&with_text(-65535, 5, "10.0.0.2:3888|zoo:1")), two);
        assert_eq!(shown(&with_text(-65536, 5, "10.0.0.2:3888|zoo:1")), two);
        assert_eq!(
            shown(&with_text(-65536, 5, "[::1]:3888")),
            "InitialMessage{sid=5, electionAddr=[[0:0:0:0:0:0:0:1]:3888]}"
        );
        assert_eq!(read(&i64::MAX.to_be_bytes()).unwrap().sid, OBSERVER_ID);
    }

    #[test]
    fn addresses_that_stand_for_all_are_left_out() {
        let text = "0.0.0.0:1|[::]:2|everywhere:3|zoo:4";
        let greeting = "InitialMessage{sid=5, electionAddr=[zoo:4]}";
        assert_eq!(shown(&with_text(-65535, 5, text)), greeting);
    }

    #[test]
    fn not_a_byte_more_is_read() {
        let mut bytes = with_text(-65536, 5, "zoo:4");
        bytes.extend_from_slice(&[1, 2, 3]);
        let mut input = &*bytes;
        InitialMessage::parse(&mut input, &|_| None).unwrap();
        assert_eq!(input, [1, 2, 3]);
    }

    #[test]
    fn what_is_no_greeting_is_refused_with_the_reason() {
        let length = |n: i32| [&(-65536_i64).to_be_bytes()[..], &[0; 8], &n.to_be_bytes()].concat();
        for (bytes, reason) in [
            (b"GET / HTTP/1.1\r\n".to_vec(), r#"no server's: "GET / HT""#),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01".to_vec(), r"\x16\x03\x01"),
            (b"ruok".to_vec(), "ends, or is silent"),
            ((-65534_i64).to_be_bytes().to_vec(), "unrecognized protocol version -65534"),
            (length(0), "Unreasonable buffer length: 0"),
            (length(-1), "Unreasonable buffer length: -1"),
            (length(2049), "Unreasonable buffer length: 2049"),
            (length(2048), "ends, or is silent"),
            (with_text(-65536, 1, "zoo"), "Badly formed address: zoo"),
            (with_text(-65536, 1, "zoo:1:2"), "Badly formed address"),
            (with_text(-65536, 1, "[::1"), "Badly formed address"),
            (with_text(-65536, 1, "zoo:1\n"), r"Bad port number: 1\n"),
            (with_text(-65536, 1, "zoo:70000"), "Bad port number: 70000"),
            (with_text(-65535, 1, "zoo:1||zoo:2"), "Badly formed address"),
        ] {
            let error = read(&bytes).unwrap_err().to_string();
            assert!(error.contains(reason), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn one_address_is_said_unless_several_are_switched_on() {
        let addresses = [("10.0.0.2", 3888), ("::1", 3889)];
        let addresses = addresses.map(|(host, port)| InetSocketAddress::new(host, port, &|_| None));
        let addresses = MultipleAddresses::new(addresses, DEFAULT_TIMEOUT);
        let expected = with_text(-65536, 7, "10.0.0.2:3888");
        assert_eq!(greeting(Sid(7), &addresses, false), expected);
        let expected = with_text(-65535, 7, "10.0.0.2:3888|[0:0:0:0:0:0:0:1]:3889");
        assert_eq!(greeting(Sid(7), &addresses, true), expected);
    }
}
