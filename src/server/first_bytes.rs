//! Guesses from its first bytes which protocol a client at the wrong port speaks (no Java twin).
//!
//! Only log messages depend on the guess: a connection is closed because its bytes are invalid, not because of what
//! they look like.

use std::fmt;

use byteorder::{BigEndian, ByteOrder};

use super::command::four_letter_commands;
use super::server_config::ServerConfig;
use crate::common::zk_config::SystemProperties;
use crate::metrics::metrics_provider::PROMETHEUS_CLASS_NAME;

/// How HTTP requests begin.
const METHODS: [&[u8]; 9] =
    [b"GET ", b"POST", b"HEAD", b"PUT ", b"DELE", b"OPTI", b"CONN", b"PATC", b"PRI "];

/// The length of a client's ConnectRequest, from the first protocol version to one with a password longer than ours.
const CONNECT_REQUEST: std::ops::RangeInclusive<u32> = 28..=4096;

/// The types of FOLLOWERINFO and OBSERVERINFO.
const LEARNER_INFO: [u32; 2] = [11, 16];

/// The possible lengths of such a packet's data: none, an id, an id with a protocol version, also with a
/// configuration version.
const LEARNER_DATA: [u32; 5] = [u32::MAX, 0, 8, 12, 20];

/// The protocol versions in greetings for elections.
const ELECTION_VERSIONS: [i64; 2] = [-65536, -65535];

/// The number of first bytes that is enough for a guess.
pub(crate) const ENOUGH: usize = 16;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LooksLike {
    /// A browser, a scraper, curl.
    Http,
    /// A client that expects TLS.
    Tls,
    /// An SSH client.
    Ssh,
    /// A four-letter word.
    FourLetterWord(&'static str),
    /// A ZooKeeper client.
    Client,
    /// A server that connects for an election.
    Elector,
    /// A server that wants to follow or observe.
    Learner,
}

/// The ports where this server speaks HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpPorts {
    /// The AdminServer's port, if it is enabled.
    pub admin: Option<u16>,
    /// The port for Prometheus, if it is enabled.
    pub metrics: Option<u16>,
}

/// The protocol that the bytes suggest; `None` if they match no protocol of another port.
#[must_use]
pub(crate) fn looks_like(first: &[u8]) -> Option<LooksLike> {
    let word = first.first_chunk::<4>()?;
    if METHODS.contains(&word.as_slice()) {
        return Some(LooksLike::Http);
    }
    // A handshake record, of any version of TLS.
    if word.starts_with(&[0x16, 0x03]) {
        return Some(LooksLike::Tls);
    }
    if word == b"SSH-" {
        return Some(LooksLike::Ssh);
    }
    if let Some(name) = four_letter_commands::command_string(BigEndian::read_i32(word)) {
        return Some(LooksLike::FourLetterWord(name));
    }
    let long = BigEndian::read_i64(first.get(..8)?);
    if ELECTION_VERSIONS.contains(&long) {
        return Some(LooksLike::Elector);
    }
    let number = BigEndian::read_u32(word);
    // A length, then version 0 of the protocol.
    if CONNECT_REQUEST.contains(&number) && first[4..8] == [0; 4] {
        return Some(LooksLike::Client);
    }
    let data = BigEndian::read_u32(first.get(12..16)?);
    let is_learner = LEARNER_INFO.contains(&number) && LEARNER_DATA.contains(&data);
    is_learner.then_some(LooksLike::Learner)
}

impl LooksLike {
    /// Says what the bytes look like, and which port is the right one. `http` has this server's ports for HTTP, if
    /// they are known.
    #[must_use]
    pub(crate) fn hint(self, http: Option<HttpPorts>) -> String {
        format!("it looks like {self}: {}", self.advice(http))
    }

    fn advice(self, http: Option<HttpPorts>) -> String {
        match self {
            Self::Http => http.map_or_else(
                || {
                    "HTTP is for the ports of the AdminServer (admin.serverPort) and of metrics \
                     (metricsProvider.httpPort)"
                        .to_owned()
                },
                HttpPorts::advice,
            ),
            Self::Tls => {
                "this server has no TLS (no secureClientPort): connect without it".to_owned()
            }
            Self::Ssh => "this is no port for SSH".to_owned(),
            Self::FourLetterWord(_) => "four-letter words are for the clientPort".to_owned(),
            Self::Client => "clients connect to the clientPort".to_owned(),
            Self::Elector => {
                "it goes to the election port, the second one of a server's line in zoo.cfg"
                    .to_owned()
            }
            Self::Learner => {
                "it goes to the quorum port, the first one of a server's line in zoo.cfg".to_owned()
            }
        }
    }
}

impl fmt::Display for LooksLike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http => f.write_str("an HTTP request"),
            Self::Tls => f.write_str("a TLS handshake"),
            Self::Ssh => f.write_str("an SSH client"),
            Self::FourLetterWord(name) => write!(f, "the four-letter word {name}"),
            Self::Client => f.write_str("the ConnectRequest of a ZooKeeper client"),
            Self::Elector => f.write_str("a server's greeting for an election"),
            Self::Learner => f.write_str("a server that wants to follow a leader"),
        }
    }
}

impl HttpPorts {
    /// The ports in the settings.
    #[must_use]
    pub fn new(config: &ServerConfig, properties: &SystemProperties) -> Self {
        let has_admin = properties.get("zookeeper.admin.enableServer") != Some("false");
        let admin = properties.number_or("zookeeper.admin.serverPort", 8080);
        let has_metrics = config.metrics_provider_class_name == PROMETHEUS_CLASS_NAME;
        let metrics = config.metrics_provider_configuration.get("httpPort");
        let metrics = metrics.and_then(|port| port.trim().parse().ok()).unwrap_or(7000);
        Self { admin: has_admin.then_some(admin), metrics: has_metrics.then_some(metrics) }
    }

    fn advice(self) -> String {
        let admin = self.admin.map(|port| format!("the AdminServer at port {port}"));
        let metrics = self.metrics.map(|port| format!("/metrics at port {port}"));
        let ports: Vec<String> = admin.into_iter().chain(metrics).collect();
        if ports.is_empty() {
            "this server has no port for HTTP (admin.enableServer=false, and no Prometheus provider)"
                .to_owned()
        } else {
            format!("HTTP is for {}", ports.join(" and "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learner(packet_type: i32, data: &[u8]) -> Vec<u8> {
        let length = i32::try_from(data.len()).unwrap();
        [&packet_type.to_be_bytes()[..], &(7_i64 << 32).to_be_bytes(), &length.to_be_bytes(), data]
            .concat()
    }

    #[test]
    fn strangers_are_known_by_their_first_bytes() {
        use LooksLike::{Client, Elector, FourLetterWord, Http, Learner, Ssh, Tls};
        let connect = [&45_i32.to_be_bytes()[..], &[0; 45]].concat();
        let elector = [&(-65536_i64).to_be_bytes()[..], &3_i64.to_be_bytes()].concat();
        for (first, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], Some(Http)),
            (b"GET ", Some(Http)),
            (b"POST /commands", Some(Http)),
            (b"PRI * HTTP/2.0", Some(Http)),
            (b"\x16\x03\x01\x02\x00\x01", Some(Tls)),
            (b"SSH-2.0-OpenSSH_9.6\r\n", Some(Ssh)),
            (b"ruok", Some(FourLetterWord("ruok"))),
            (b"srvr\n", Some(FourLetterWord("srvr"))),
            (&connect, Some(Client)),
            (&connect[..8], Some(Client)),
            (&elector, Some(Elector)),
            (&learner(11, &[0; 20]), Some(Learner)),
            (&learner(16, &[]), Some(Learner)),
            (b"", None),
            (b"GET", None),
            (b"hello, world", None),
            (&[0; 16], None),
            (&[0xff; 16], None),
            // A server's id of 3.4, a request within a session, a packet of a leader.
            (&3_i64.to_be_bytes(), None),
            (&[0, 0, 0, 45, 0, 0, 0, 1, 0, 0, 0, 4], None),
            (&learner(10, &[0; 20]), None),
            (&connect[..4], None),
        ] {
            assert_eq!(looks_like(first), expected, "{first:?}");
        }
    }

    #[test]
    fn it_is_said_which_port_is_meant() {
        let ports = |admin, metrics| Some(HttpPorts { admin, metrics });
        assert_eq!(
            LooksLike::Http.hint(ports(Some(8080), Some(7000))),
            "it looks like an HTTP request: HTTP is for the AdminServer at port 8080 and /metrics at port 7000"
        );
        let none = LooksLike::Http.hint(ports(None, None));
        assert!(none.contains("no port for HTTP"), "{none}");
        assert!(LooksLike::Http.hint(None).contains("admin.serverPort"));
        let word = LooksLike::FourLetterWord("ruok").hint(None);
        assert_eq!(
            word,
            "it looks like the four-letter word ruok: four-letter words are for the clientPort"
        );
        assert!(LooksLike::Tls.hint(None).contains("without it"));
    }

    #[test]
    fn the_ports_for_http_are_those_that_are_configured() {
        let mut config = ServerConfig::new(None, "");
        let ports = HttpPorts::new(&config, &SystemProperties::new());
        assert_eq!(ports, HttpPorts { admin: Some(8080), metrics: None });
        config.metrics_provider_class_name = PROMETHEUS_CLASS_NAME.to_owned();
        config.metrics_provider_configuration.insert("httpPort".to_owned(), "7001".to_owned());
        let properties = SystemProperties::from_pairs([("zookeeper.admin.enableServer", "false")]);
        let ports = HttpPorts::new(&config, &properties);
        assert_eq!(ports, HttpPorts { admin: None, metrics: Some(7001) });
    }
}
