//! The table of zoo.cfg's keys (Java: the chain of comparisons in
//! QuorumPeerConfig.parseProperties).
//!
//! A key that is not in the table becomes the system property `zookeeper.<key>`. As in Java, it overrides a property
//! of that name from the command line.

use std::path::{Path, PathBuf};

use super::{LOG, Parsing};
use crate::common::config_exception::{ConfigError, Place};
use crate::common::net_utils::InetSocketAddress;
use crate::server::quorum::states::LearnerType;
use crate::server::util::verifying_file_factory::VerifyingFileFactory;

/// One line of the file: key and value without surrounding blanks.
pub(super) struct Setting<'a> {
    pub(super) file: &'a Path,
    pub(super) line: usize,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

type Put = fn(&mut Parsing<'_>, &Setting<'_>) -> Result<(), ConfigError>;

/// Declares the table: key, field, and how the value is parsed.
macro_rules! keys {
    ($($key:literal => $($field:ident).+ = $read:ident;)*) => {
        &[$(($key, |p, s| {
            p.$($field).+ = s.$read()?;
            Ok(())
        }),)*]
    };
}

/// All keys that have a field, in Java's order.
const KEYS: &[(&str, Put)] = keys! {
    "dataDir" => config.data_dir = path;
    "dataLogDir" => config.data_log_dir = path;
    "clientPort" => client_port = some_port;
    "localSessionsEnabled" => config.local_sessions_enabled = boolean;
    "localSessionsUpgradingEnabled" => config.local_sessions_upgrading_enabled = boolean;
    "clientPortAddress" => client_port_address = some_text;
    "secureClientPort" => secure_client_port = some_port;
    "secureClientPortAddress" => secure_client_port_address = some_text;
    "observerMasterPort" => config.observer_master_port = observer_master_port;
    "clientPortListenBacklog" => config.client_port_listen_backlog = int;
    "tickTime" => config.tick_time_ms = tick_time;
    "maxClientCnxns" => config.max_client_cnxns = int;
    "minSessionTimeout" => config.min_session_timeout_ms = int;
    "maxSessionTimeout" => config.max_session_timeout_ms = int;
    "initLimit" => config.init_limit_ticks = int;
    "syncLimit" => config.sync_limit_ticks = int;
    "connectToLearnerMasterLimit" => config.connect_to_learner_master_limit_ticks = int;
    "electionAlg" => config.election_alg = election_alg;
    "quorumListenOnAllIPs" => config.quorum_listen_on_all_ips = boolean;
    "peerType" => config.peer_type = peer_type;
    "syncEnabled" => config.sync_enabled = boolean;
    "dynamicConfigFile" => config.dynamic_config_file = some_path;
    "autopurge.snapRetainCount" => config.snap_retain_count = int;
    "autopurge.purgeInterval" => config.purge_interval_hours = int;
    "standaloneEnabled" => config.standalone_enabled = boolean;
    "reconfigEnabled" => config.reconfig_enabled = boolean;
    "sslQuorum" => config.ssl_quorum = boolean;
    "portUnification" => config.port_unification = boolean;
    "sslQuorumReloadCertFiles" => config.ssl_quorum_reload_cert_files = boolean;
    "quorum.auth.enableSasl" => config.quorum_auth.enable_sasl = boolean;
    "quorum.auth.serverRequireSasl" => config.quorum_auth.server_require_sasl = boolean;
    "quorum.auth.learnerRequireSasl" => config.quorum_auth.learner_require_sasl = boolean;
    "quorum.auth.learner.saslLoginContext" => config.quorum_auth.learner_login_context = text;
    "quorum.auth.server.saslLoginContext" => config.quorum_auth.server_login_context = text;
    "quorum.auth.kerberos.servicePrincipal" => config.quorum_auth.service_principal = text;
    "quorum.cnxn.threads.size" => config.quorum_cnxn_threads_size = int;
    "jvm.pause.info-threshold.ms" => config.jvm_pause_monitor.info_threshold_ms = long;
    "jvm.pause.warn-threshold.ms" => config.jvm_pause_monitor.warn_threshold_ms = long;
    "jvm.pause.sleep.time.ms" => config.jvm_pause_monitor.sleep_time_ms = long;
    "jvm.pause.monitor" => config.jvm_pause_monitor.enabled = boolean;
    "metricsProvider.className" => config.metrics_provider_class_name = metrics_provider;
    "multiAddress.enabled" => config.multi_address.enabled = boolean;
    "multiAddress.reachabilityCheckTimeoutMs" =>
        config.multi_address.reachability_check_timeout_ms = int;
    "multiAddress.reachabilityCheckEnabled" =>
        config.multi_address.reachability_check_enabled = boolean;
    "oraclePath" => config.oracle_path = some_path;
};

/// The prefix of the metrics provider's keys.
const METRICS_PROVIDER_PREFIX: &str = "metricsProvider.";

/// The available metrics providers, by Java class name.
const METRICS_PROVIDERS: [&str; 3] = [
    crate::server::server_config::DEFAULT_METRICS_PROVIDER,
    "org.apache.zookeeper.metrics.impl.NullMetricsProvider",
    "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
];

/// Stores one setting in its field, in the provider's settings, or as a property.
pub(super) fn put(parsing: &mut Parsing<'_>, setting: &Setting<'_>) -> Result<(), ConfigError> {
    if let Some((_, put)) = KEYS.iter().find(|(key, _)| *key == setting.key) {
        return put(parsing, setting);
    }
    let is_member = ["server.", "group", "weight"].iter().any(|p| setting.key.starts_with(p));
    if is_member && parsing.has_dynamic_config_file {
        let what = format!("parameter: {} must be in a separate dynamic config file", setting.key);
        return Err(ConfigError::Rule { place: setting.place(), what });
    }
    if let Some(key) = setting.key.strip_prefix(METRICS_PROVIDER_PREFIX) {
        let configuration = &mut parsing.config.metrics_provider_configuration;
        configuration.insert(key.to_owned(), setting.value.to_owned());
    } else {
        parsing.properties.set(format!("zookeeper.{}", setting.key), setting.value);
    }
    Ok(())
}

impl Setting<'_> {
    fn place(&self) -> Place {
        Place { file: self.file.into(), line: self.line }
    }

    fn bad(&self, accepted: impl Into<String>) -> ConfigError {
        ConfigError::BadValue {
            place: self.place(),
            key: self.key.into(),
            value: self.value.into(),
            accepted: accepted.into(),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "one of the readers of the table")]
    fn text(&self) -> Result<String, ConfigError> {
        Ok(self.value.to_owned())
    }

    fn some_text(&self) -> Result<Option<String>, ConfigError> {
        self.text().map(Some)
    }

    fn some_path(&self) -> Result<Option<PathBuf>, ConfigError> {
        self.text().map(|path| Some(path.into()))
    }

    fn boolean(&self) -> Result<bool, ConfigError> {
        if self.value.eq_ignore_ascii_case("true") {
            Ok(true)
        } else if self.value.eq_ignore_ascii_case("false") {
            Ok(false)
        } else {
            Err(self.bad(format!(
                "Invalid option {} for {}. Choose 'true' or 'false.'",
                self.value, self.key
            )))
        }
    }

    fn int(&self) -> Result<i32, ConfigError> {
        self.value.parse().map_err(|_| {
            self.bad(format!("a whole number from {} to {} is needed", i32::MIN, i32::MAX))
        })
    }

    fn long(&self) -> Result<i64, ConfigError> {
        self.value.parse().map_err(|_| self.bad("a whole number is needed"))
    }

    fn port(&self) -> Result<u16, ConfigError> {
        self.value.parse().map_err(|_| self.bad("a port is needed, a number from 0 to 65535"))
    }

    fn some_port(&self) -> Result<Option<u16>, ConfigError> {
        self.port().map(Some)
    }

    /// Java accepts a negative tick and fails later.
    fn tick_time(&self) -> Result<i32, ConfigError> {
        match self.int()? {
            0 => Err(self.bad("tickTime is not set; a number of milliseconds above 0 is needed")),
            negative if negative < 0 => Err(self.bad("a number of milliseconds above 0 is needed")),
            tick_time_ms => Ok(tick_time_ms),
        }
    }

    /// Java accepts a number above 65535, and no follower can follow then.
    fn observer_master_port(&self) -> Result<i32, ConfigError> {
        match self.int()? {
            port if port > i32::from(u16::MAX) => {
                Err(self.bad("a port is a number from 1 to 65535; 0 or less means none"))
            }
            port => Ok(port),
        }
    }

    fn election_alg(&self) -> Result<i32, ConfigError> {
        match self.int()? {
            3 => Ok(3),
            _ => Err(self.bad("Invalid electionAlg value. Only 3 is supported.")),
        }
    }

    fn peer_type(&self) -> Result<LearnerType, ConfigError> {
        LearnerType::from_name(self.value).ok_or_else(|| {
            self.bad(format!("Unrecognised peertype: {}; participant and observer are", self.value))
        })
    }

    fn path(&self) -> Result<PathBuf, ConfigError> {
        if self.value.is_empty() {
            return Err(self.bad(format!("{} is not set; name a directory", self.key)));
        }
        if !self.value.is_ascii() {
            log::warn!(
                target: LOG,
                "{}: {} is read as ISO 8859-1, as Java reads it: the directory is {:?}",
                self.place(),
                self.key,
                self.value
            );
        }
        VerifyingFileFactory::new(LOG).warn_for_relative_path().create(self.value)
    }

    fn metrics_provider(&self) -> Result<String, ConfigError> {
        if METRICS_PROVIDERS.contains(&self.value) {
            return self.text();
        }
        let known = METRICS_PROVIDERS.join(", ");
        Err(self.bad(format!("metrics provider class was not found; there are {known}")))
    }
}

/// The address that a port binds to: the given address, or else all addresses.
pub(super) fn bind_at(
    parsing: &Parsing<'_>,
    port: Option<u16>,
    address: Option<&str>,
    key: &str,
) -> Result<Option<InetSocketAddress>, ConfigError> {
    let place = |key: &str| Place {
        file: parsing.file.into(),
        line: parsing.config.line_of(key).unwrap_or_default(),
    };
    let address_key = format!("{key}Address");
    let Some(port) = port else {
        log::info!(target: LOG, "{key} is not set");
        return match address {
            Some(_) => Err(ConfigError::Rule {
                place: place(&address_key),
                what: format!("{address_key} is set but {key} is not set"),
            }),
            None => Ok(None),
        };
    };
    let bound = match address {
        None => InetSocketAddress::any(port),
        Some(host) => InetSocketAddress::new(host, port, parsing.resolve),
    };
    if bound.address.is_none() {
        return Err(ConfigError::BadValue {
            place: place(&address_key),
            key: address_key,
            value: bound.host,
            accepted: "nobody knows this host; an address of this machine is needed".into(),
        });
    }
    log::info!(target: LOG, "{address_key} is {bound}");
    Ok(Some(bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_stands_twice_in_the_table() {
        let mut names: Vec<_> = KEYS.iter().map(|(key, _)| *key).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KEYS.len());
    }
}
