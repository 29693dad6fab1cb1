//! The settings of a server without an ensemble (Java: server/ServerConfig.java).
//!
//! `quorum::quorum_peer_config`, which knows all keys, makes it from zoo.cfg. Java's readFrom is in that module,
//! because this package must not depend on it. It can also be made from the arguments
//! `port dataDir [tickTime] [maxClientCnxns]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::common::config_exception::ConfigError;
use crate::common::net_utils::InetSocketAddress;

/// The default length of a tick (Java: ZooKeeperServer.DEFAULT_TICK_TIME).
pub(crate) const DEFAULT_TICK_TIME_MS: i32 = 3000;

/// The default provider.
pub(crate) const DEFAULT_METRICS_PROVIDER: &str =
    "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider";

/// The settings of a server without an ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The address for clients; `None` if no `clientPort` is set.
    pub client_port_address: Option<InetSocketAddress>,
    /// The address for clients with TLS.
    pub secure_client_port_address: Option<InetSocketAddress>,
    /// The directory of the snapshots, above `version-2`.
    pub data_dir: PathBuf,
    /// The directory of the transaction logs, above `version-2`.
    pub data_log_dir: PathBuf,
    /// The length of a tick.
    pub tick_time_ms: i32,
    /// The limit of connections from one client address; 0 is no limit.
    pub max_client_cnxns: i32,
    /// The shortest session timeout; -1 means two ticks.
    pub min_session_timeout_ms: i32,
    /// The longest session timeout; -1 means twenty ticks.
    pub max_session_timeout_ms: i32,
    /// Java's class name of the metrics provider.
    pub metrics_provider_class_name: String,
    /// The provider's own settings, without the prefix `metricsProvider.`.
    pub metrics_provider_configuration: BTreeMap<String, String>,
    /// Connections that may wait to be accepted; -1 means as many as the system allows.
    pub listen_backlog: i32,
    /// The complete text of zoo.cfg; `None` if there is no such file.
    pub initial_config: Option<String>,
    /// Whether the ensemble's configuration may be changed while it runs (Java: a static of
    /// QuorumPeerConfig).
    pub reconfig_enabled: bool,
    /// Without effect: there is no JVM that pauses.
    pub jvm_pause_monitor: JvmPauseMonitorConfig,
}

/// The settings of Java's pause monitor (Java: util/JvmPauseMonitor.java). They are read and checked, and then have no
/// effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JvmPauseMonitorConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// A pause of this length is logged at INFO.
    pub info_threshold_ms: i64,
    /// A pause of this length is logged at WARN.
    pub warn_threshold_ms: i64,
    /// The time between two checks.
    pub sleep_time_ms: i64,
}

impl Default for JvmPauseMonitorConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            info_threshold_ms: 1_000,
            warn_threshold_ms: 10_000,
            sleep_time_ms: 500,
        }
    }
}

impl ServerConfig {
    /// A server on `client_port` (`None`: without a port) with its data in `data_dir`. The other settings are Java's
    /// defaults for the command line, where the number of connections is not limited.
    #[must_use]
    pub fn new(client_port: Option<u16>, data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            client_port_address: client_port.map(InetSocketAddress::any),
            secure_client_port_address: None,
            data_log_dir: data_dir.clone(),
            data_dir,
            tick_time_ms: DEFAULT_TICK_TIME_MS,
            max_client_cnxns: 0,
            min_session_timeout_ms: -1,
            max_session_timeout_ms: -1,
            metrics_provider_class_name: DEFAULT_METRICS_PROVIDER.into(),
            metrics_provider_configuration: BTreeMap::new(),
            listen_backlog: -1,
            initial_config: None,
            reconfig_enabled: false,
            jvm_pause_monitor: JvmPauseMonitorConfig::default(),
        }
    }

    /// Parses `port dataDir [tickTime] [maxClientCnxns]` (Java: ServerConfig.parse(String[])).
    ///
    /// # Errors
    /// [`ConfigError::Arguments`] for a wrong number of arguments, and for an invalid number or port.
    pub fn parse_args<S: AsRef<str>>(args: &[S]) -> Result<Self, ConfigError> {
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        let (port, data_dir, rest) = match args.as_slice() {
            [port, data_dir, rest @ ..] if rest.len() <= 2 && !data_dir.is_empty() => {
                (port, data_dir, rest)
            }
            _ => {
                let given = args.join(", ");
                return Err(ConfigError::Arguments(format!(
                    "Invalid number of arguments:[{given}]; name a configuration file, or \
                     a port and a data directory"
                )));
            }
        };
        let port = port.parse().map_err(|_| bad_argument("port", port, "0 to 65535"))?;
        let mut config = Self::new(Some(port), *data_dir);
        if let Some(tick_time) = rest.first() {
            config.tick_time_ms = match tick_time.parse() {
                Ok(tick_time) if tick_time > 0 => tick_time,
                _ => return Err(bad_argument("tickTime", tick_time, "a number of milliseconds")),
            };
        }
        if let Some(connections) = rest.get(1) {
            config.max_client_cnxns = connections
                .parse()
                .map_err(|_| bad_argument("maxClientCnxns", connections, "a whole number"))?;
        }
        Ok(config)
    }

    /// The shortest session timeout that is granted.
    #[must_use]
    pub const fn effective_min_session_timeout_ms(&self) -> i32 {
        match self.min_session_timeout_ms {
            -1 => self.tick_time_ms.saturating_mul(2),
            timeout => timeout,
        }
    }

    /// The longest session timeout that is granted.
    #[must_use]
    pub const fn effective_max_session_timeout_ms(&self) -> i32 {
        match self.max_session_timeout_ms {
            -1 => self.tick_time_ms.saturating_mul(20),
            timeout => timeout,
        }
    }
}

fn bad_argument(name: &str, value: &str, accepted: &str) -> ConfigError {
    ConfigError::Arguments(format!("{name} is {value:?}; it must be {accepted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_to_four_arguments_are_a_configuration() {
        let config = ServerConfig::parse_args(&["2181", "/data"]).unwrap();
        assert_eq!(config, ServerConfig::new(Some(2181), "/data"));
        assert_eq!(config.max_client_cnxns, 0);
        assert_eq!(config.effective_min_session_timeout_ms(), 6_000);
        assert_eq!(config.effective_max_session_timeout_ms(), 60_000);

        let config = ServerConfig::parse_args(&["0", "d", "1000", "7"]).unwrap();
        assert_eq!((config.tick_time_ms, config.max_client_cnxns), (1000, 7));
        assert_eq!(config.client_port_address.unwrap().port, 0);
        assert_eq!(config.data_log_dir, PathBuf::from("d"));
    }

    #[test]
    fn other_arguments_are_refused_by_name() {
        for (args, message) in [
            (&[][..], "Invalid number of arguments:[]"),
            (&["2181"], "Invalid number of arguments:[2181]"),
            (&["1", "2", "3", "4", "5"], "Invalid number of arguments:[1, 2, 3, 4, 5]"),
            (&["70000", "d"], "port is \"70000\""),
            (&["1", "d", "fast"], "tickTime is \"fast\""),
            (&["1", "d", "0"], "tickTime is \"0\""),
            (&["1", "d", "5", ""], "maxClientCnxns is \"\""),
        ] {
            let error = ServerConfig::parse_args(args).unwrap_err();
            assert!(error.is_usage() && error.to_string().contains(message), "{error}");
        }
    }
}
