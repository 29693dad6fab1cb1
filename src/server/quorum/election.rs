//! Leader election, and what it needs of its server (Java: server/quorum/Election.java; what FastLeaderElection.java
//! and QuorumCnxManager.java ask of QuorumPeer).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use log::info;

use super::flexible::quorum_verifier::QuorumVerifier;
use super::multiple_addresses::{MultiAddressConfig, MultipleAddresses};
use super::quorum_peer_settings::CNXN_THREADS_SIZE;
use super::states::{LearnerType, ServerState};
use super::synced_learner_tracker::SyncedLearnerTracker;
use super::vote::Vote;
use crate::common::config_exception::ConfigError;
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::ids::{PeerEpoch, Sid, Zxid};
use crate::server::exit_code::ExitCode;
use crate::server::first_bytes::HttpPorts;

/// A leader election algorithm.
pub trait Election: Send + Sync {
    /// Runs an election until a leader is found; the peer's state then tells the server's role. Returns `None` if the
    /// election was stopped, if the peer left the LOOKING state by itself, or if the peer's data cannot be read,
    /// which is logged.
    fn look_for_leader(&self) -> Option<Vote>;

    /// Ends the election, its threads and its connections. A second call is harmless.
    fn shutdown(&self);
}

/// The election addresses of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionAddresses {
    /// The addresses in the configuration in effect.
    pub current: Option<MultipleAddresses>,
    /// The addresses in the last seen configuration, if they differ.
    pub next: Option<MultipleAddresses>,
}

/// The server that takes part in elections.
pub trait ElectionPeer: Send + Sync {
    /// The server's id.
    fn my_id(&self) -> Sid;

    /// The settings for elections.
    fn election_settings(&self) -> ElectionSettings;

    /// The clock.
    fn clock(&self) -> &Clock;

    /// The server's current state.
    fn peer_state(&self) -> ServerState;

    /// Sets the server's state.
    fn set_peer_state(&self, state: ServerState);

    /// Whether the server is a participant or an observer.
    fn learner_type(&self) -> LearnerType;

    /// The vote that the server casts, or the leader that it has.
    fn current_vote(&self) -> Option<Vote>;

    /// The zxid of the server's last logged transaction.
    ///
    /// # Errors
    /// A message when the data cannot be read. The server must not vote then.
    fn last_logged_zxid(&self) -> Result<Zxid, String>;

    /// The server's current epoch.
    fn current_epoch(&self) -> PeerEpoch;

    /// The configuration in effect.
    fn quorum_verifier(&self) -> Arc<dyn QuorumVerifier>;

    /// The last seen configuration.
    fn last_seen_quorum_verifier(&self) -> Option<Arc<dyn QuorumVerifier>>;

    /// The voters of the configuration in effect and of the last seen one.
    fn current_and_next_config_voters(&self) -> BTreeSet<Sid>;

    /// Parses a configuration that another server has sent.
    ///
    /// # Errors
    /// When the text is not a valid configuration.
    fn config_from_string(&self, text: &str) -> Result<Arc<dyn QuorumVerifier>, ConfigError>;

    /// Puts a newer configuration into effect, without changing the role and without a new election (Java:
    /// processReconfig with null, null, false).
    fn process_reconfig(&self, verifier: &Arc<dyn QuorumVerifier>);

    /// Makes the next election start from scratch, with new connections (Java: shuttingDownLE).
    fn set_shutting_down_election(&self);

    /// This server's own election addresses; not empty if it is a member.
    fn my_election_addresses(&self) -> MultipleAddresses;

    /// The election addresses of another server. Host names are resolved again, so the call may block for a while.
    fn election_addresses_of(&self, sid: Sid) -> ElectionAddresses;

    /// Passes the votes that elected this server on to the leader (Java: Leader.setLeadingVoteSet).
    fn set_leading_vote_set(&self, votes: SyncedLearnerTracker);

    /// Reports that a server is LOOKING while this one leads (Java: Leader.reportLookingSid). Does nothing unless it
    /// leads.
    fn report_looking_sid(&self, sid: Sid);

    /// Asks for the end of the process.
    fn request_exit(&self, exit_code: ExitCode);
}

/// The settings for elections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionSettings {
    /// The timeout for the first notification (`zookeeper.fastleader.minNotificationInterval`).
    pub min_notification_interval: Duration,
    /// The upper limit of the growing notification timeout (`zookeeper.fastleader.maxNotificationInterval`).
    pub max_notification_interval: Duration,
    /// The connect timeout (`zookeeper.cnxTimeout`).
    pub cnx_timeout: Duration,
    /// The time limit for the initial message of a connection (`zookeeper.quorumCnxnTimeoutMs`, or syncLimit).
    pub greeting_timeout: Duration,
    /// Whether TCP keepalive is on (`zookeeper.tcpKeepAlive`).
    pub tcp_keep_alive: bool,
    /// How often the server tries to bind the election port; 0 means for ever (`zookeeper.electionPortBindRetry`).
    pub port_bind_max_retry: u32,
    /// Whether the election port listens on all addresses.
    pub listen_on_all_ips: bool,
    /// Whether "all addresses" means those of IPv4 only (`java.net.preferIPv4Stack`).
    pub prefer_ipv4_stack: bool,
    /// Whether the IPv6 addresses of a host come first (`java.net.preferIPv6Addresses`).
    pub prefer_ipv6: bool,
    /// The limit of concurrent outgoing connects, and of initial messages being awaited (`quorum.cnxn.threads.size`).
    pub cnxn_threads_size: usize,
    /// The settings for servers with several addresses.
    pub multi_address: MultiAddressConfig,
    /// The HTTP ports, named to a client that speaks HTTP at the election port.
    pub http_ports: HttpPorts,
}

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.FastLeaderElection";

/// How long a server waits for a better vote before it concludes an election (Java: finalizeWait).
pub(crate) const FINALIZE_WAIT: Duration = Duration::from_millis(200);

/// Java's maxNotificationInterval, ms.
const MAX_NOTIFICATION_INTERVAL_MS: u64 = 60_000;

/// Java's cnxTO, ms.
const CNX_TIMEOUT_MS: u64 = 5_000;

/// Java's DEFAULT_PORT_BIND_MAX_RETRY.
const PORT_BIND_MAX_RETRY: u32 = 3;

impl ElectionSettings {
    /// Reads the settings from system properties; the initial message may take `greeting_timeout_ms`.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties, greeting_timeout_ms: i32) -> Self {
        let ms = |key: &str, default: u64| {
            let value = properties.number_or(key, default).max(1);
            info!(target: LOG, "{key} = {value} ms");
            Duration::from_millis(value)
        };
        let finalize_wait_ms = u64::try_from(FINALIZE_WAIT.as_millis()).unwrap_or(u64::MAX);
        Self {
            min_notification_interval: ms(
                "zookeeper.fastleader.minNotificationInterval",
                finalize_wait_ms,
            ),
            max_notification_interval: ms(
                "zookeeper.fastleader.maxNotificationInterval",
                MAX_NOTIFICATION_INTERVAL_MS,
            ),
            cnx_timeout: Duration::from_millis(
                properties.number_or("zookeeper.cnxTimeout", CNX_TIMEOUT_MS).max(1),
            ),
            greeting_timeout: Duration::from_millis(
                u64::try_from(greeting_timeout_ms).unwrap_or(CNX_TIMEOUT_MS).max(1),
            ),
            tcp_keep_alive: properties.bool("zookeeper.tcpKeepAlive"),
            port_bind_max_retry: properties
                .number_or("zookeeper.electionPortBindRetry", PORT_BIND_MAX_RETRY),
            listen_on_all_ips: false,
            prefer_ipv4_stack: properties.bool("java.net.preferIPv4Stack"),
            prefer_ipv6: properties.bool("java.net.preferIPv6Addresses"),
            cnxn_threads_size: CNXN_THREADS_SIZE,
            multi_address: MultiAddressConfig::default(),
            http_ports: HttpPorts::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_settings_are_javas_and_nonsense_counts_as_unset() {
        let none = SystemProperties::from_pairs::<&str, &str>([]);
        let unset = ElectionSettings::from_properties(&none, 10_000);
        assert_eq!(unset.min_notification_interval, Duration::from_millis(200));
        assert_eq!(unset.max_notification_interval, Duration::from_secs(60));
        assert_eq!(unset.cnx_timeout, Duration::from_secs(5));
        assert_eq!(unset.greeting_timeout, Duration::from_secs(10));
        assert_eq!((unset.port_bind_max_retry, unset.cnxn_threads_size), (3, 20));
        let odd = SystemProperties::from_pairs([
            ("zookeeper.electionPortBindRetry", "-1"),
            ("zookeeper.cnxTimeout", "soon"),
            ("zookeeper.fastleader.minNotificationInterval", "50"),
        ]);
        let odd = ElectionSettings::from_properties(&odd, 0);
        assert_eq!(odd.port_bind_max_retry, 3);
        assert_eq!(odd.cnx_timeout, Duration::from_secs(5));
        assert_eq!(odd.min_notification_interval, Duration::from_millis(50));
        assert_eq!(odd.greeting_timeout, Duration::from_millis(1));
    }
}
