//! Parses and checks zoo.cfg (Java: server/quorum/QuorumPeerConfig.java).
//!
//! This file holds the public interface: it reads the static file and the dynamic file that it may name, and checks
//! them as Java does. The keys are in `keys`, the members of the ensemble in [`dynamic_file`].
//!
//! Differs from Java: Errors name the file and the line. A duplicate key, a tickTime below 1, and group members that
//! are neither participants nor have a weight are reported. `multiAddress.enabled` in zoo.cfg allows several
//! addresses for a server; Java reads only the system property. Features that are not supported yet are refused by
//! name ([`QuorumPeerConfig::check_supported`]).

pub mod config_files;
pub(crate) mod dynamic_file;
mod keys;
mod not_served;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use log::{info, warn};

use super::flexible::quorum_members::QuorumMembers;
use super::multiple_addresses::MultiAddressConfig;
use super::states::LearnerType;
use crate::common::config_exception::{ConfigError, Place};
use crate::common::net_utils::{self, InetSocketAddress, ResolveHost};
use crate::common::properties::Properties;
use crate::common::string_utils;
use crate::common::zk_config::SystemProperties;
use crate::ids::Sid;
use crate::server::ephemeral_type::EphemeralTypes;
use crate::server::server_config::{JvmPauseMonitorConfig, ServerConfig};
use dynamic_file::Reading;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.QuorumPeerConfig";

/// The suffix of the file, beside the static one, with the last proposed configuration, which may not be in effect
/// yet.
pub(crate) const NEXT_DYNAMIC_CONFIG_FILE_SUFFIX: &str = ".dynamic.next";

/// The minimum number of snapshots that the purge task keeps.
const MIN_SNAP_RETAIN_COUNT: i32 = 3;

/// The content of zoo.cfg. Fields are named like their keys; -1 means "not set" where it does in Java.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumPeerConfig {
    /// The client address, from clientPort and clientPortAddress or from this server's line.
    pub client_port_address: Option<InetSocketAddress>,
    /// The client address for TLS.
    pub secure_client_port_address: Option<InetSocketAddress>,
    /// The port at which any server accepts observers; 0 is off.
    pub observer_master_port: i32,
    /// The directory of snapshots, `myid` and epochs.
    pub data_dir: PathBuf,
    /// The directory of transaction logs; `data_dir` if not set.
    pub data_log_dir: PathBuf,
    /// The dynamic file, if the members are not in zoo.cfg.
    pub dynamic_config_file: Option<PathBuf>,
    /// The path of zoo.cfg; `None` when the settings came from elsewhere.
    pub config_file: Option<PathBuf>,
    /// The text of zoo.cfg.
    pub initial_config: Option<String>,
    /// The length of a tick.
    pub tick_time_ms: i32,
    /// The limit of connections per client address; 0 means no limit.
    pub max_client_cnxns: i32,
    /// The shortest session timeout: two ticks if not set.
    pub min_session_timeout_ms: i32,
    /// The longest session timeout: twenty ticks if not set.
    pub max_session_timeout_ms: i32,
    /// Java's class name of the metrics provider.
    pub metrics_provider_class_name: String,
    /// The provider's settings, without their prefix.
    pub metrics_provider_configuration: BTreeMap<String, String>,
    /// Whether a session may be local to one server.
    pub local_sessions_enabled: bool,
    /// Whether a local session becomes a global one when it creates an ephemeral node.
    pub local_sessions_upgrading_enabled: bool,
    /// The backlog of the client port; -1 means Java's 50.
    pub client_port_listen_backlog: i32,
    /// The limit for a learner to connect and to load the leader's data; required in an ensemble.
    pub init_limit_ticks: i32,
    /// How far a learner may fall behind; required in an ensemble.
    pub sync_limit_ticks: i32,
    /// The limit for a learner to reach its master; 0 means `init_limit_ticks`.
    pub connect_to_learner_master_limit_ticks: i32,
    /// Always 3, fast leader election over TCP.
    pub election_alg: i32,
    /// Whether the quorum and election ports listen on all addresses.
    pub quorum_listen_on_all_ips: bool,
    /// The number in `myid`; `None` when that file is missing.
    pub server_id: Option<Sid>,
    /// The members of the ensemble (Java: quorumVerifier).
    pub quorum_members: QuorumMembers,
    /// The members that were proposed last, from the file `.dynamic.next` (Java: lastSeenQuorumVerifier).
    pub last_seen_quorum_members: Option<QuorumMembers>,
    /// The number of snapshots that the purge task keeps.
    pub snap_retain_count: i32,
    /// Hours between two purges; 0 or less is off.
    pub purge_interval_hours: i32,
    /// Whether an observer writes logs and snapshots.
    pub sync_enabled: bool,
    /// The role of this server; the list of servers wins over the key.
    pub peer_type: LearnerType,
    /// Whether a single participant runs standalone (Java: static).
    pub standalone_enabled: bool,
    /// Whether the membership may change at run time (Java: static).
    pub reconfig_enabled: bool,
    /// Whether servers use TLS between each other.
    pub ssl_quorum: bool,
    /// Whether the ports accept servers with and without TLS.
    pub port_unification: bool,
    /// Whether certificates are reloaded when their files change.
    pub ssl_quorum_reload_cert_files: bool,
    /// SASL between servers.
    pub quorum_auth: QuorumAuthConfig,
    /// The number of threads that open connections between servers.
    pub quorum_cnxn_threads_size: i32,
    /// The settings for servers with several addresses.
    pub multi_address: MultiAddressConfig,
    /// The oracle file, which decides between two participants.
    pub oracle_path: Option<PathBuf>,
    /// The settings of the JVM pause monitor.
    pub jvm_pause_monitor: JvmPauseMonitorConfig,
    /// The line number of each key.
    lines: BTreeMap<String, usize>,
}

/// SASL between servers (Java: quorum/auth/QuorumAuth.java).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumAuthConfig {
    /// Whether servers may authenticate with SASL.
    pub enable_sasl: bool,
    /// Whether a server accepts only servers that authenticate.
    pub server_require_sasl: bool,
    /// Whether a learner connects only to servers that authenticate.
    pub learner_require_sasl: bool,
    /// The login context of a learner.
    pub learner_login_context: String,
    /// The login context of a server.
    pub server_login_context: String,
    /// The Kerberos principal of the servers.
    pub service_principal: String,
}

impl Default for QuorumAuthConfig {
    fn default() -> Self {
        Self {
            enable_sasl: false,
            server_require_sasl: false,
            learner_require_sasl: false,
            learner_login_context: "QuorumLearner".into(),
            server_login_context: "QuorumServer".into(),
            service_principal: "zkquorum/localhost".into(),
        }
    }
}

/// The state while a file is parsed.
struct Parsing<'a> {
    config: QuorumPeerConfig,
    properties: &'a mut SystemProperties,
    file: &'a Path,
    resolve: ResolveHost<'a>,
    has_dynamic_config_file: bool,
    client_port: Option<u16>,
    client_port_address: Option<String>,
    secure_client_port: Option<u16>,
    secure_client_port_address: Option<String>,
}

impl Default for QuorumPeerConfig {
    /// Java's defaults; the directories are empty until a file sets them.
    fn default() -> Self {
        let server = ServerConfig::new(None, "");
        Self {
            client_port_address: None,
            secure_client_port_address: None,
            observer_master_port: 0,
            data_dir: PathBuf::new(),
            data_log_dir: PathBuf::new(),
            dynamic_config_file: None,
            config_file: None,
            initial_config: None,
            tick_time_ms: server.tick_time_ms,
            max_client_cnxns: 60,
            min_session_timeout_ms: -1,
            max_session_timeout_ms: -1,
            metrics_provider_class_name: server.metrics_provider_class_name,
            metrics_provider_configuration: BTreeMap::new(),
            local_sessions_enabled: false,
            local_sessions_upgrading_enabled: false,
            client_port_listen_backlog: -1,
            init_limit_ticks: 0,
            sync_limit_ticks: 0,
            connect_to_learner_master_limit_ticks: 0,
            election_alg: 3,
            quorum_listen_on_all_ips: false,
            server_id: None,
            quorum_members: QuorumMembers::default(),
            last_seen_quorum_members: None,
            snap_retain_count: 3,
            purge_interval_hours: 0,
            sync_enabled: true,
            peer_type: LearnerType::Participant,
            standalone_enabled: true,
            reconfig_enabled: false,
            ssl_quorum: false,
            port_unification: false,
            ssl_quorum_reload_cert_files: false,
            quorum_auth: QuorumAuthConfig::default(),
            quorum_cnxn_threads_size: 20,
            multi_address: MultiAddressConfig::default(),
            oracle_path: None,
            jvm_pause_monitor: JvmPauseMonitorConfig::default(),
            lines: BTreeMap::new(),
        }
    }
}

impl QuorumPeerConfig {
    /// Reads zoo.cfg and the dynamic file that it may name. Keys without a field become properties.
    ///
    /// # Errors
    /// [`ConfigError`]; Java's ConfigException and, inside it, IllegalArgumentException.
    pub fn parse(path: &Path, properties: &mut SystemProperties) -> Result<Self, ConfigError> {
        let prefer_ipv6 = properties.bool("java.net.preferIPv6Addresses");
        Self::parse_with(path, properties, &|host| net_utils::resolve_host(host, prefer_ipv6))
    }

    /// Like [`parse`](Self::parse), with a custom resolver of host names.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_with(
        path: &Path,
        properties: &mut SystemProperties,
        resolve: ResolveHost<'_>,
    ) -> Result<Self, ConfigError> {
        info!(target: LOG, "Reading configuration from: {}", path.display());
        let (settings, text) = load(path)?;
        let mut config = Self::parse_properties(&settings, path, properties, resolve)?;
        config.initial_config = Some(text);
        if let Some(file) = config.dynamic_config_file.clone() {
            let dynamic = dynamic_file::load_dynamic_file(&file)?;
            config.setup_quorum_peer_config(&dynamic, &file, false, resolve)?;
            config.last_seen_quorum_members = config.next_members(path, resolve)?;
        }
        Ok(config)
    }

    /// Parses the settings of one file (Java: parseProperties). `file` is for messages.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_properties(
        settings: &Properties,
        file: &Path,
        properties: &mut SystemProperties,
        resolve: ResolveHost<'_>,
    ) -> Result<Self, ConfigError> {
        let config = Self {
            config_file: Some(file.into()),
            multi_address: multi_address_from(properties)?,
            ..Self::default()
        };
        let mut parsing = Parsing {
            config,
            properties,
            file,
            resolve,
            has_dynamic_config_file: settings.get("dynamicConfigFile").is_some(),
            client_port: None,
            client_port_address: None,
            secure_client_port: None,
            secure_client_port_address: None,
        };
        for replaced in settings.replaced() {
            warn!(
                target: LOG,
                "{}:{}: {} is set again below; this value has no effect",
                file.display(),
                replaced.line,
                replaced.key
            );
        }
        for property in settings.iter() {
            let key = string_utils::trim(&property.key);
            let value = string_utils::trim(&property.value);
            parsing.config.lines.insert(key.to_owned(), property.line);
            keys::put(&mut parsing, &keys::Setting { file, line: property.line, key, value })?;
        }
        parsing.config.check_quorum_auth(file)?;
        parsing.complete_storage()?;
        parsing.complete_ports()?;
        let mut config = parsing.config;
        config.complete_timeouts(file)?;
        info!(target: LOG, "metricsProvider.className is {}", config.metrics_provider_class_name);
        if config.dynamic_config_file.is_none() {
            config.setup_quorum_peer_config(settings, file, true, resolve)?;
        }
        Ok(config)
    }

    /// Whether this server is a member of an ensemble; otherwise it runs standalone (Java: isDistributed).
    #[must_use]
    pub fn is_distributed(&self) -> bool {
        !self.standalone_enabled || self.quorum_members.voting_members().count() > 1
    }

    /// The settings that a standalone server needs (Java: ServerConfig.readFrom).
    #[must_use]
    pub fn server_config(&self) -> ServerConfig {
        ServerConfig {
            client_port_address: self.client_port_address.clone(),
            secure_client_port_address: self.secure_client_port_address.clone(),
            data_dir: self.data_dir.clone(),
            data_log_dir: self.data_log_dir.clone(),
            tick_time_ms: self.tick_time_ms,
            max_client_cnxns: self.max_client_cnxns,
            min_session_timeout_ms: self.min_session_timeout_ms,
            max_session_timeout_ms: self.max_session_timeout_ms,
            metrics_provider_class_name: self.metrics_provider_class_name.clone(),
            metrics_provider_configuration: self.metrics_provider_configuration.clone(),
            listen_backlog: self.client_port_listen_backlog,
            initial_config: self.initial_config.clone(),
            reconfig_enabled: self.reconfig_enabled,
            jvm_pause_monitor: self.jvm_pause_monitor,
        }
    }

    /// The id of this member.
    ///
    /// # Errors
    /// When the id is missing, or so large that the owners of TTL nodes have no room beside it.
    pub fn my_id(&self, properties: &SystemProperties) -> Result<Sid, ConfigError> {
        let rule = |what: String| ConfigError::Rule {
            place: Place { file: self.data_dir.join("myid"), line: 1 },
            what,
        };
        let id = self.server_id.ok_or_else(|| rule("the N of server.N is needed".into()))?;
        let types = EphemeralTypes::from_properties(properties);
        types.validate_server_id(id.0).map_err(rule)?;
        Ok(id)
    }

    /// The line number of a key.
    #[must_use]
    pub fn line_of(&self, key: &str) -> Option<usize> {
        self.lines.get(key).copied()
    }

    /// Copies zoo.cfg to `zoo.cfg.bak` if it lists the members and a reconfiguration would remove them from it (Java
    /// does so while it reads the file).
    ///
    /// # Errors
    /// When the copy cannot be written.
    pub fn backup_old_config(&self) -> Result<(), ConfigError> {
        let Some(file) = &self.config_file else { return Ok(()) };
        if self.dynamic_config_file.is_some() || !self.is_distributed() || !self.reconfig_enabled {
            return Ok(());
        }
        config_files::backup_old_config(file).map_err(|source| ConfigError::Rule {
            place: Place { file: file.clone(), line: 0 },
            what: format!(
                "with reconfigEnabled a copy of this file is kept beside it, and that cannot be written: {source}; let the \
                 server write there, or remove reconfigEnabled"
            ),
        })
    }

    fn check_quorum_auth(&self, file: &Path) -> Result<(), ConfigError> {
        let auth = &self.quorum_auth;
        let (disabled, key) = if !auth.enable_sasl && auth.server_require_sasl {
            ("enableSasl", "serverRequireSasl")
        } else if !auth.enable_sasl && auth.learner_require_sasl {
            ("enableSasl", "learnerRequireSasl")
        } else if !auth.learner_require_sasl && auth.server_require_sasl {
            // A server that requires SASL but does not use it itself could not join others like it.
            ("learnerRequireSasl", "serverRequireSasl")
        } else {
            return Ok(());
        };
        let key = format!("quorum.auth.{key}");
        let what = format!("quorum.auth.{disabled} is disabled, so cannot enable {key}");
        let line = self.line_of(&key).unwrap_or_default();
        Err(ConfigError::Rule { place: Place { file: file.into(), line }, what })
    }

    fn complete_timeouts(&mut self, file: &Path) -> Result<(), ConfigError> {
        let rule = |key: &str, what: &str| {
            let place = Place { file: file.into(), line: self.line_of(key).unwrap_or_default() };
            ConfigError::Rule { place, what: what.into() }
        };
        let ticks = |ticks: i32| {
            let product = self.tick_time_ms.checked_mul(ticks);
            product.ok_or_else(|| rule("tickTime", "20 ticks are longer than 2147483647 ms"))
        };
        let min = match self.min_session_timeout_ms {
            -1 => ticks(2)?,
            timeout => timeout,
        };
        let max = match self.max_session_timeout_ms {
            -1 => ticks(20)?,
            timeout => timeout,
        };
        if min > max {
            let what = format!(
                "minSessionTimeout must not be larger than maxSessionTimeout; they are {min} and \
                 {max} ms"
            );
            return Err(rule("minSessionTimeout", &what));
        }
        (self.min_session_timeout_ms, self.max_session_timeout_ms) = (min, max);
        Ok(())
    }

    /// Sets up members, id, client port and role of this server (Java: setupQuorumPeerConfig).
    fn setup_quorum_peer_config(
        &mut self,
        settings: &Properties,
        file: &Path,
        among_other_keys: bool,
        resolve: ResolveHost<'_>,
    ) -> Result<(), ConfigError> {
        let reading = self.reading(file, among_other_keys, resolve);
        self.quorum_members = reading.parse_dynamic_config(settings)?;
        self.setup_my_id()?;
        self.setup_client_port(file)?;
        self.setup_peer_type();
        self.check_validity(file)
    }

    fn reading<'a>(
        &self,
        file: &'a Path,
        among_other_keys: bool,
        resolve: ResolveHost<'a>,
    ) -> Reading<'a> {
        Reading {
            file,
            among_other_keys,
            standalone_enabled: self.standalone_enabled,
            has_oracle: self.oracle_path.is_some(),
            multi_address: self.multi_address.enabled,
            resolve,
        }
    }

    /// The members in `zoo.cfg.dynamic.next`, if that file exists.
    fn next_members(
        &self,
        config_file: &Path,
        resolve: ResolveHost<'_>,
    ) -> Result<Option<QuorumMembers>, ConfigError> {
        let mut next = config_file.as_os_str().to_owned();
        next.push(NEXT_DYNAMIC_CONFIG_FILE_SUFFIX);
        let next = PathBuf::from(next);
        if !next.exists() {
            return Ok(None);
        }
        match load(&next) {
            Ok((settings, _)) => {
                let mut reading = self.reading(&next, false, resolve);
                reading.has_oracle = false; // Java leaves the oracle out here
                let members = reading.create_quorum_members(&settings)?;
                reading.check_groups(&members)?;
                Ok(Some(members))
            }
            Err(ConfigError::Unreadable { source, .. }) => {
                warn!(target: LOG, "NextQuorumVerifier is initiated to null: {source}");
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// A standalone server needs no `myid`, but an existing one must be valid.
    fn setup_my_id(&mut self) -> Result<(), ConfigError> {
        let file = self.data_dir.join("myid");
        if !file.is_file() {
            return Ok(());
        }
        let text = fs::read(&file)
            .map_err(|source| ConfigError::Unreadable { file: file.clone(), source })?;
        let text = String::from_utf8_lossy(&text);
        let first_line = text.split(['\n', '\r']).next().unwrap_or_default();
        match first_line.parse() {
            Ok(id) => {
                // Java's value of an id that is not set.
                self.server_id = Some(Sid(id)).filter(|sid| *sid != Sid(-1));
                Ok(())
            }
            Err(_) => Err(ConfigError::Rule {
                place: Place { file, line: 1 },
                what: format!(
                    "serverid {first_line:?} is not a number; write the N of server.N alone"
                ),
            }),
        }
    }

    fn setup_client_port(&mut self, file: &Path) -> Result<(), ConfigError> {
        let Some(id) = self.server_id else { return Ok(()) };
        let Some(server) = self.quorum_members.servers.get_mut(&id) else { return Ok(()) };
        let Some(dynamic) = &server.client_address else {
            server.client_address = self.client_port_address.clone();
            server.is_client_address_from_static = true;
            return Ok(());
        };
        if let Some(fixed) = &self.client_port_address {
            let same =
                if fixed.is_any_local() { fixed.port == dynamic.port } else { fixed == dynamic };
            if !same {
                let what = format!(
                    "client address for this server (id = {id}) in static config file is {fixed} \
                     is different from \
                     client address found in dynamic file: {dynamic}; remove clientPort from the \
                     static file"
                );
                return Err(ConfigError::Rule {
                    place: Place { file: file.into(), line: 0 },
                    what,
                });
            }
        }
        self.client_port_address = Some(dynamic.clone());
        Ok(())
    }

    fn setup_peer_type(&mut self) {
        let own = self.server_id.and_then(|id| self.quorum_members.servers.get(&id));
        let listed = own.map_or(LearnerType::Participant, |server| server.learner_type);
        if listed != self.peer_type {
            warn!(
                target: LOG,
                "Peer type from servers list ({listed}) doesn't match peerType ({}). Defaulting to \
                 servers list.",
                self.peer_type
            );
            self.peer_type = listed;
        }
    }

    fn check_validity(&self, file: &Path) -> Result<(), ConfigError> {
        if !self.is_distributed() {
            return Ok(());
        }
        let what = if self.init_limit_ticks == 0 {
            "initLimit is not set; an ensemble needs it".into()
        } else if self.sync_limit_ticks == 0 {
            "syncLimit is not set; an ensemble needs it".into()
        } else if self.server_id.is_none() {
            format!(
                "myid file is missing; write the N of this server's server.N line into {}",
                self.data_dir.join("myid").display()
            )
        } else {
            return Ok(());
        };
        Err(ConfigError::Rule { place: Place { file: file.into(), line: 0 }, what })
    }
}

impl Parsing<'_> {
    fn complete_storage(&mut self) -> Result<(), ConfigError> {
        let config = &mut self.config;
        // PurgeTxnLog does not accept a smaller number.
        if config.snap_retain_count < MIN_SNAP_RETAIN_COUNT {
            warn!(
                target: LOG,
                "Invalid autopurge.snapRetainCount: {}. Defaulting to {MIN_SNAP_RETAIN_COUNT}",
                config.snap_retain_count
            );
            config.snap_retain_count = MIN_SNAP_RETAIN_COUNT;
        }
        if config.data_dir.as_os_str().is_empty() {
            return Err(ConfigError::Rule {
                place: Place { file: self.file.into(), line: 0 },
                what: "dataDir is not set; name the directory for the data".into(),
            });
        }
        if config.data_log_dir.as_os_str().is_empty() {
            config.data_log_dir.clone_from(&config.data_dir);
        }
        Ok(())
    }

    fn complete_ports(&mut self) -> Result<(), ConfigError> {
        let (port, address) = (self.client_port, self.client_port_address.as_deref());
        let bound = keys::bind_at(self, port, address, "clientPort")?;
        self.config.client_port_address = bound;
        let (port, address) = (self.secure_client_port, self.secure_client_port_address.as_deref());
        let bound = keys::bind_at(self, port, address, "secureClientPort")?;
        self.config.secure_client_port_address = bound;
        if self.config.secure_client_port_address.is_some() {
            self.configure_ssl_auth()?;
        }
        if self.config.observer_master_port <= 0 {
            info!(target: LOG, "observerMasterPort is not set");
            self.config.observer_master_port = 0;
        } else {
            info!(target: LOG, "observerMasterPort is {}", self.config.observer_master_port);
        }
        Ok(())
    }

    /// Clients with TLS need a provider that reads their certificates (Java: configureSSLAuth).
    fn configure_ssl_auth(&mut self) -> Result<(), ConfigError> {
        let scheme = self.properties.get("zookeeper.ssl.authProvider").unwrap_or("x509");
        let provider = format!("zookeeper.authProvider.{scheme}");
        if self.properties.get(&provider).is_some() {
            return Ok(());
        }
        if scheme == "x509" {
            let class = "org.apache.zookeeper.server.auth.X509AuthenticationProvider";
            self.properties.set(provider, class);
            return Ok(());
        }
        Err(ConfigError::Rule {
            place: Place { file: self.file.into(), line: 0 },
            what: format!(
                "No auth provider configured for the SSL authentication scheme '{scheme}'; set \
                 {provider}"
            ),
        })
    }
}

/// Reads the three settings that may also come from the command line; a line in zoo.cfg wins.
fn multi_address_from(properties: &SystemProperties) -> Result<MultiAddressConfig, ConfigError> {
    let default = MultiAddressConfig::default();
    let timeout_key = "zookeeper.multiAddress.reachabilityCheckTimeoutMs";
    let timeout = properties.get(timeout_key);
    Ok(MultiAddressConfig {
        enabled: properties.bool_or("zookeeper.multiAddress.enabled", default.enabled),
        reachability_check_enabled: properties.bool_or(
            "zookeeper.multiAddress.reachabilityCheckEnabled",
            default.reachability_check_enabled,
        ),
        reachability_check_timeout_ms: match timeout {
            None => default.reachability_check_timeout_ms,
            Some(text) => text.parse().map_err(|_| {
                ConfigError::Arguments(format!("-D{timeout_key}={text}: a whole number is needed"))
            })?,
        },
    })
}

/// Reads a file: its settings and its text.
fn load(file: &Path) -> Result<(Properties, String), ConfigError> {
    let bytes = fs::read(file).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ConfigError::Missing { file: file.into() },
        _ => ConfigError::Unreadable { file: file.into(), source },
    })?;
    let settings = Properties::load(&bytes).map_err(|malformed| ConfigError::Rule {
        place: Place { file: file.into(), line: malformed.line },
        what: "\\u must be followed by four hex digits that form a character".into(),
    })?;
    Ok((settings, String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests;
