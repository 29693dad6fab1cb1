//! The settings of a member (no Java twin: the fields of QuorumPeer that QuorumPeerMain sets).

use std::path::PathBuf;

use log::info;

use super::multiple_addresses::MultiAddressConfig;
use super::quorum_peer_config::QuorumPeerConfig;
use crate::common::zk_config::SystemProperties;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.QuorumPeer";

/// Java's quorumCnxnThreadsSize.
pub(super) const CNXN_THREADS_SIZE: usize = 20;

/// The settings of a member, fixed for its life.
#[derive(Clone, Debug)]
pub struct QuorumPeerSettings {
    /// The length of a tick, in ms.
    pub tick_time_ms: i32,
    /// The limit for a learner to connect and to load the leader's data.
    pub init_limit_ticks: i32,
    /// How far a learner may fall behind.
    pub sync_limit_ticks: i32,
    /// The limit for a learner to reach its master; 0 means `init_limit_ticks`.
    pub connect_to_learner_master_limit_ticks: i32,
    /// The port at which followers serve observers, if they do (`observerMasterPort`). An observer with this setting
    /// follows a voter at that port.
    pub observer_master_port: Option<u16>,
    /// Whether an observer writes logs and snapshots.
    pub sync_enabled: bool,
    /// Whether the quorum and election ports listen on all addresses.
    pub quorum_listen_on_all_ips: bool,
    /// The time limit for the initial message of an election connection, in ms (`zookeeper.quorumCnxnTimeoutMs`).
    pub quorum_cnxn_timeout_ms: i32,
    /// Whether a session may be local to one server.
    pub local_sessions_enabled: bool,
    /// Whether a local session may become a global one.
    pub local_sessions_upgrading_enabled: bool,
    /// Whether a server without a leader serves reads (`readonlymode.enabled`).
    pub read_only_mode_enabled: bool,
    /// Whether the membership may change.
    pub reconfig_enabled: bool,
    /// Whether a server that is the only participant runs without an ensemble.
    pub standalone_enabled: bool,
    /// The number of threads that open connections between servers.
    pub quorum_cnxn_threads_size: usize,
    /// The settings for servers with several addresses.
    pub multi_address: MultiAddressConfig,
    /// The oracle file, which decides between two participants.
    pub oracle_path: Option<PathBuf>,
    /// The path of zoo.cfg; dynamic files are written beside it.
    pub config_file: Option<PathBuf>,
}

impl QuorumPeerSettings {
    /// The settings of a configuration (Java: createFromConfig).
    #[must_use]
    pub fn new(config: &QuorumPeerConfig, properties: &SystemProperties) -> Self {
        let timeout_ms = properties.number_or::<i32>("zookeeper.quorumCnxnTimeoutMs", -1);
        info!(target: LOG, "zookeeper.quorumCnxnTimeoutMs={timeout_ms}");
        let sync_limit_ms = config.tick_time_ms.saturating_mul(config.sync_limit_ticks);
        let sync_enabled = match properties.get("zookeeper.observer.syncEnabled") {
            Some(_) => properties.bool("zookeeper.observer.syncEnabled"),
            None => config.sync_enabled,
        };
        Self {
            tick_time_ms: config.tick_time_ms,
            init_limit_ticks: config.init_limit_ticks,
            sync_limit_ticks: config.sync_limit_ticks,
            connect_to_learner_master_limit_ticks: config.connect_to_learner_master_limit_ticks,
            observer_master_port: u16::try_from(config.observer_master_port)
                .ok()
                .filter(|port| *port > 0),
            sync_enabled,
            quorum_listen_on_all_ips: config.quorum_listen_on_all_ips,
            quorum_cnxn_timeout_ms: if timeout_ms > 0 { timeout_ms } else { sync_limit_ms },
            local_sessions_enabled: config.local_sessions_enabled,
            local_sessions_upgrading_enabled: config.local_sessions_upgrading_enabled,
            read_only_mode_enabled: properties.bool("readonlymode.enabled"),
            reconfig_enabled: config.reconfig_enabled,
            standalone_enabled: config.standalone_enabled,
            // As in Java, fewer than the default have no effect.
            quorum_cnxn_threads_size: usize::try_from(config.quorum_cnxn_threads_size)
                .unwrap_or_default()
                .max(CNXN_THREADS_SIZE),
            multi_address: config.multi_address,
            oracle_path: config.oracle_path.clone(),
            config_file: config.config_file.clone(),
        }
    }

    /// The length of so many ticks, in ms.
    pub(super) const fn ticks_ms(&self, ticks: i32) -> i64 {
        self.tick_time_ms as i64 * ticks as i64
    }
}
