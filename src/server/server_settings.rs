//! The settings of a server, read once (Java: the static fields of server/ZooKeeperServer.java and the properties that
//! its processors read).

use log::{info, warn};

use super::blue_throttle::BlueThrottleConfig;
use super::ephemeral_type::EphemeralTypes;
use super::first_bytes::HttpPorts;
use super::large_requests::LargeRequestsConfig;
use super::memory_account::MemoryLimits;
use super::request_throttler::RequestStaleness;
use super::server_config::ServerConfig;
use crate::common::zk_config::SystemProperties;
use crate::jute::Limits;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ZooKeeperServer";

/// The default of the shortest session timeout, in ticks.
const MIN_SESSION_TIMEOUT_TICKS: i32 = 2;

/// The default of the longest session timeout, in ticks.
const MAX_SESSION_TIMEOUT_TICKS: i32 = 20;

/// Java's default of `zookeeper.globalOutstandingLimit`, requests.
const GLOBAL_OUTSTANDING_LIMIT: i64 = 1000;

/// Java's default of `zookeeper.snapCount`, transactions.
const SNAP_COUNT: i32 = 100_000;

/// Java's default of `zookeeper.snapSizeLimitInKb`: 4 GiB.
const SNAP_SIZE_LIMIT_KB: i64 = 4 << 20;

/// When to take a snapshot (Java: snapCount, snapSizeLimitInKb).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapSettings {
    /// Transactions between snapshots, at least 2. A snapshot is taken at a random point in the upper half.
    pub snap_count: u32,
    /// Bytes of log between snapshots; none for no limit.
    pub snap_size_bytes: Option<u64>,
}

impl SnapSettings {
    /// Reads the settings `zookeeper.snapCount` and `zookeeper.snapSizeLimitInKb`.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        let mut count = properties.number_or::<i32>("zookeeper.snapCount", SNAP_COUNT);
        if count < 2 {
            warn!(target: LOG, "SnapCount should be 2 or more. Now, snapCount is reset to 2");
            count = 2;
        }
        let kb = properties.number_or::<i64>("zookeeper.snapSizeLimitInKb", SNAP_SIZE_LIMIT_KB);
        if kb <= 0 {
            info!(
                target: LOG,
                "zookeeper.snapSizeLimitInKb set to a non-positive value {kb}; disabling feature"
            );
        }
        Self {
            snap_count: u32::try_from(count).unwrap_or(2),
            snap_size_bytes: u64::try_from(kb)
                .ok()
                .filter(|kb| *kb > 0)
                .map(|kb| kb.saturating_mul(1024)),
        }
    }
}

/// When a group is closed (Java: flushDelay, maxWriteQueuePollTime, maxBatchSize).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushSettings {
    /// How long a group may wait for more, ms; 0 is not at all.
    pub flush_delay_ms: u64,
    /// How long to wait for the next request of a group, ms.
    pub max_write_queue_poll_ms: u64,
    /// How many requests a group may have.
    pub max_batch_size: usize,
}

/// The settings of a server, which do not change while it runs.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// This server's id in its ensemble, 0 without one.
    pub server_id: i64,
    /// The length of a tick, ms.
    pub tick_time_ms: i32,
    /// The shortest session timeout, ms.
    pub min_session_timeout_ms: i32,
    /// The longest session timeout, ms.
    pub max_session_timeout_ms: i32,
    /// How many clients may wait to be accepted; -1 is the platform's default.
    pub listen_backlog: i32,
    /// Whether a request may change the membership.
    pub reconfig_enabled: bool,
    /// The text of the configuration file.
    pub initial_config: String,
    /// Whether digests are computed and compared.
    pub digest_enabled: bool,
    /// Whether the transaction that closes a session lists its ephemeral nodes.
    pub close_session_txn_enabled: bool,
    /// Whether snapshots contain the zxid at which they ended.
    pub serialize_last_processed_zxid_enabled: bool,
    /// Whether hard quotas refuse writes.
    pub enforce_quota: bool,
    /// Requests under way in the whole server above which connections wait.
    pub global_outstanding_limit: i64,
    /// The maximum lengths that are accepted in input.
    pub limits: Limits,
    /// How transactions are grouped for the log.
    pub flush: FlushSettings,
    /// When to take a snapshot.
    pub snap: SnapSettings,
    /// How the owner field of a node is interpreted.
    pub ephemeral_types: EphemeralTypes,
    /// The limit of large requests.
    pub large_requests: LargeRequestsConfig,
    /// The limits of waiting requests and answers in memory.
    pub memory: MemoryLimits,
    /// The throttle for new connections.
    pub conn_throttle: BlueThrottleConfig,
    /// The ports for HTTP, for a hint to clients that speak it at another port.
    pub http_ports: HttpPorts,
    /// When nobody waits for an answer any more.
    pub staleness: RequestStaleness,
}

impl ServerSettings {
    /// The settings of a server without an ensemble.
    #[must_use]
    pub fn new(config: &ServerConfig, properties: &SystemProperties) -> Self {
        let tick = config.tick_time_ms;
        let ticks_or =
            |set: i32, ticks: i32| if set == -1 { tick.saturating_mul(ticks) } else { set };
        let settings = Self {
            server_id: 0,
            tick_time_ms: tick,
            min_session_timeout_ms: ticks_or(
                config.min_session_timeout_ms,
                MIN_SESSION_TIMEOUT_TICKS,
            ),
            max_session_timeout_ms: ticks_or(
                config.max_session_timeout_ms,
                MAX_SESSION_TIMEOUT_TICKS,
            ),
            listen_backlog: config.listen_backlog,
            reconfig_enabled: config.reconfig_enabled,
            initial_config: config.initial_config.clone().unwrap_or_default(),
            digest_enabled: properties.bool_or("zookeeper.digest.enabled", true),
            close_session_txn_enabled: properties
                .bool_or("zookeeper.closeSessionTxn.enabled", true),
            serialize_last_processed_zxid_enabled: properties
                .bool_or("zookeeper.serializeLastProcessedZxid.enabled", true),
            enforce_quota: properties.bool("zookeeper.enforceQuota"),
            global_outstanding_limit: properties
                .number_or("zookeeper.globalOutstandingLimit", GLOBAL_OUTSTANDING_LIMIT),
            limits: limits(properties),
            flush: flush_settings(properties),
            snap: SnapSettings::from_properties(properties),
            ephemeral_types: EphemeralTypes::from_properties(properties),
            large_requests: LargeRequestsConfig::from_properties(properties),
            memory: MemoryLimits::from_properties(properties, limits(properties)),
            conn_throttle: BlueThrottleConfig::from_properties(properties),
            http_ports: HttpPorts::new(config, properties),
            staleness: RequestStaleness::from_properties(properties),
        };
        info!(target: LOG, "minSessionTimeout set to {} ms", settings.min_session_timeout_ms);
        info!(target: LOG, "maxSessionTimeout set to {} ms", settings.max_session_timeout_ms);
        info!(target: LOG, "zookeeper.digest.enabled = {}", settings.digest_enabled);
        info!(
            target: LOG,
            "zookeeper.closeSessionTxn.enabled = {}", settings.close_session_txn_enabled
        );
        if settings.enforce_quota {
            info!(target: LOG, "zookeeper.enforceQuota = true, Quota Enforce enables");
        }
        settings
    }
}

/// Reads the settings `jute.maxbuffer` and `zookeeper.jute.maxbuffer.extrasize`.
#[must_use]
pub(crate) fn limits(properties: &SystemProperties) -> Limits {
    let default = Limits::default();
    let bytes = |key: &str, default: usize| {
        properties
            .number::<i32>(key)
            .map_or(default, |bytes| usize::try_from(bytes).unwrap_or_default())
    };
    let max_buffer = bytes("jute.maxbuffer", default.max_buffer);
    Limits::new(max_buffer, bytes("zookeeper.jute.maxbuffer.extrasize", max_buffer))
}

fn flush_settings(properties: &SystemProperties) -> FlushSettings {
    let ms = |key: &str, default: i64| {
        u64::try_from(properties.number_or::<i64>(key, default)).unwrap_or_default()
    };
    let delay = properties.number_or::<i64>("zookeeper.flushDelay", 0);
    let batch = properties.number_or::<i32>("zookeeper.maxBatchSize", 1000);
    FlushSettings {
        flush_delay_ms: ms("zookeeper.flushDelay", 0),
        max_write_queue_poll_ms: ms("zookeeper.maxWriteQueuePollTime", delay / 3),
        max_batch_size: usize::try_from(batch).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_timeouts_follow_the_tick_unless_they_are_set() {
        let mut config = ServerConfig::new(None, "/nowhere");
        config.tick_time_ms = 2000;
        config.max_session_timeout_ms = 5;
        let settings = ServerSettings::new(&config, &SystemProperties::new());
        assert_eq!(settings.min_session_timeout_ms, 4000);
        assert_eq!(settings.max_session_timeout_ms, 5);
    }

    #[test]
    fn the_extra_size_follows_jute_maxbuffer() {
        let properties = SystemProperties::from_pairs([("jute.maxbuffer", "4096")]);
        assert_eq!(limits(&properties).max_length(), 8192);
        assert_eq!(limits(&SystemProperties::new()), Limits::default());
    }

    #[test]
    fn a_snap_count_below_two_is_two_and_a_size_limit_below_one_is_none() {
        let properties = SystemProperties::from_pairs([
            ("zookeeper.snapCount", "1"),
            ("zookeeper.snapSizeLimitInKb", "-1"),
        ]);
        let settings = SnapSettings::from_properties(&properties);
        assert_eq!(settings, SnapSettings { snap_count: 2, snap_size_bytes: None });
    }
}
