//! Elections, and what they need of the server that takes part (Java: server/quorum/Election.java; what
//! FastLeaderElection.java and QuorumCnxManager.java ask of QuorumPeer).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use log::info;

use super::flexible::quorum_verifier::QuorumVerifier;
use super::multiple_addresses::MultipleAddresses;
use super::quorum_peer::{LearnerType, ServerState};
use super::quorum_peer_config::MultiAddressConfig;
use super::synced_learner_tracker::SyncedLearnerTracker;
use super::vote::Vote;
use crate::common::config_exception::ConfigError;
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::ids::{PeerEpoch, Sid, Zxid};
use crate::server::exit_code::ExitCode;
use crate::server::first_bytes::HttpPorts;

/// A way to elect a leader.
pub trait Election: Send + Sync {
    /// Looks for a leader until there is one: the peer's state then says what follows. `None` when it was stopped, when the
    /// peer stopped looking by itself, or when the peer's data cannot be read, which was logged then.
    fn look_for_leader(&self) -> Option<Vote>;

    /// Ends it, with its threads and connections. A second call is harmless.
    fn shutdown(&self);
}

/// Where one server takes part in elections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionAddresses {
    /// In the configuration in effect.
    pub current: Option<MultipleAddresses>,
    /// In the configuration that was seen last, if it says something else.
    pub next: Option<MultipleAddresses>,
}

/// The server that takes part.
pub trait ElectionPeer: Send + Sync {
    /// Its id.
    fn my_id(&self) -> Sid;

    /// What is set for elections.
    fn election_settings(&self) -> ElectionSettings;

    /// The clock.
    fn clock(&self) -> &Clock;

    /// What it does.
    fn peer_state(&self) -> ServerState;

    /// It does something else from now on.
    fn set_peer_state(&self, state: ServerState);

    /// Whether it votes.
    fn learner_type(&self) -> LearnerType;

    /// The vote that it gives, or the leader that it has.
    fn current_vote(&self) -> Option<Vote>;

    /// Its last transaction.
    ///
    /// # Errors
    /// A message, when its data cannot be read: then it must not vote.
    fn last_logged_zxid(&self) -> Result<Zxid, String>;

    /// The epoch of its history.
    fn current_epoch(&self) -> PeerEpoch;

    /// The configuration in effect.
    fn quorum_verifier(&self) -> Arc<dyn QuorumVerifier>;

    /// The configuration that was seen last.
    fn last_seen_quorum_verifier(&self) -> Option<Arc<dyn QuorumVerifier>>;

    /// Those who vote in one of the two.
    fn current_and_next_config_voters(&self) -> BTreeSet<Sid>;

    /// Reads a configuration that another server has sent.
    ///
    /// # Errors
    /// When it is none.
    fn config_from_string(&self, text: &str) -> Result<Arc<dyn QuorumVerifier>, ConfigError>;

    /// Takes a newer configuration into effect, without a new role and without a new election (Java: processReconfig with
    /// null, null, false).
    fn process_reconfig(&self, verifier: &Arc<dyn QuorumVerifier>);

    /// Has the next election start from scratch, with new connections (Java: shuttingDownLE).
    fn set_shutting_down_election(&self);

    /// Where it takes part in elections itself; not empty for a member.
    fn my_election_addresses(&self) -> MultipleAddresses;

    /// Where another server does. Its hosts are looked up again, so this may take its time.
    fn election_addresses_of(&self, sid: Sid) -> ElectionAddresses;

    /// Who has voted for it as leader (Java: Leader.setLeadingVoteSet).
    fn set_leading_vote_set(&self, votes: SyncedLearnerTracker);

    /// That server looks for a leader while this one leads (Java: Leader.reportLookingSid); nothing happens unless it leads.
    fn report_looking_sid(&self, sid: Sid);

    /// Has the process end.
    fn request_exit(&self, exit_code: ExitCode);
}

/// What is set for elections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionSettings {
    /// How long to wait for the first notification (`zookeeper.fastleader.minNotificationInterval`).
    pub min_notification_interval: Duration,
    /// How long to wait for a notification at most (`zookeeper.fastleader.maxNotificationInterval`).
    pub max_notification_interval: Duration,
    /// How long connecting may take (`zookeeper.cnxTimeout`).
    pub cnx_timeout: Duration,
    /// How long the greeting on a connection may take (`zookeeper.quorumCnxnTimeoutMs`, or syncLimit).
    pub greeting_timeout: Duration,
    /// Whether the system looks after dead connections (`zookeeper.tcpKeepAlive`).
    pub tcp_keep_alive: bool,
    /// How often binding the election port is tried; 0 is for ever (`zookeeper.electionPortBindRetry`).
    pub port_bind_max_retry: u32,
    /// Whether the election port is bound at all addresses.
    pub listen_on_all_ips: bool,
    /// Whether "all addresses" are those of IPv4 (`java.net.preferIPv4Stack`).
    pub prefer_ipv4_stack: bool,
    /// Which address of a host counts (`java.net.preferIPv6Addresses`).
    pub prefer_ipv6: bool,
    /// Connections that may be opened, and greetings that may be awaited, at once (`quorum.cnxn.threads.size`).
    pub cnxn_threads_size: usize,
    /// Several addresses for a server.
    pub multi_address: MultiAddressConfig,
    /// Where HTTP is spoken, for those who speak it at the election port.
    pub http_ports: HttpPorts,
}

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.FastLeaderElection";

/// How long a server waits once it believes in the end of an election (Java: finalizeWait).
pub const FINALIZE_WAIT: Duration = Duration::from_millis(200);

/// Java's maxNotificationInterval, ms.
const MAX_NOTIFICATION_INTERVAL_MS: u64 = 60_000;

/// Java's cnxTO, ms.
const CNX_TIMEOUT_MS: u64 = 5_000;

/// Java's DEFAULT_PORT_BIND_MAX_RETRY.
const PORT_BIND_MAX_RETRY: u32 = 3;

/// Java's quorumCnxnThreadsSize.
const CNXN_THREADS_SIZE: usize = 20;

impl ElectionSettings {
    /// What the properties say; a greeting may take `greeting_timeout_ms`.
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
