//! Settings that Java knows and that have no effect here (no Java twin).
//!
//! If a setting asks for security that is missing here (TLS, SASL, Kerberos), or for something else whose absence an
//! operator would notice too late, the server does not start. If Java would not use the setting either, or nothing is
//! lost, the log says once that it has no effect. [`NOT_SERVED`] has every setting of Java 3.9.5 for TLS, SASL and
//! Kerberos, both of zoo.cfg and of the JVM's command line.

use std::collections::BTreeMap;
use std::path::Path;

use log::warn;

use super::{LOG, QuorumPeerConfig};
use crate::common::config_exception::{ConfigError, Place};
use crate::common::jaas;
use crate::common::zk_config::SystemProperties;
use crate::environment;
use crate::server::auth::provider_registry;
use crate::server::nio_server_cnxn_factory::BLOCKING_FACTORY;

/// The prefix of properties from keys in zoo.cfg that have no field.
const PREFIX: &str = "zookeeper.";

/// A setting, the verdict on it, and the reason.
struct Row {
    /// The property, or the key of zoo.cfg if Java makes no property of it. A `*` at the end matches any ending. The
    /// first matching row counts.
    name: &'static str,
    asks: Asks,
    verdict: Verdict,
    why: &'static str,
}

/// When a setting counts as asking for something.
#[derive(Clone, Copy)]
enum Asks {
    /// Whenever it is set.
    Set,
    /// When it is `true`.
    True,
    /// When the parsed value of a key in zoo.cfg asks for it.
    Field(fn(&QuorumPeerConfig) -> bool),
    /// When the key is in zoo.cfg.
    Line,
    /// When it names a provider class that is not available here.
    Provider,
    /// When authentication is enforced and a scheme in the list is not available here.
    Schemes,
    /// When the JAAS file has a section for the server, or cannot be read.
    LoginConfig,
    /// When it names a connection factory without a counterpart here.
    Factory,
}

/// The reaction to a setting that asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The server does not start; the text says what to do.
    Refused(&'static str),
    /// A member of an ensemble does not start; a standalone server has nothing to secure.
    RefusedInEnsemble(&'static str),
    /// The server does not start if it has an AdminServer.
    RefusedWithAdminServer(&'static str),
    /// The log says that it has no effect.
    Noticed,
}
use Verdict::{Noticed, Refused, RefusedInEnsemble, RefusedWithAdminServer};

const fn row(name: &'static str, asks: Asks, verdict: Verdict, why: &'static str) -> Row {
    Row { name, asks, verdict, why }
}

const PROXY: &str = "remove it, or let a proxy in front end the TLS";
const BETWEEN_SERVERS: &str =
    "remove it, and keep the quorum and election ports in a network of their own or in a tunnel";
const OTHER_SCHEME: &str =
    "remove it, and let clients authenticate by the scheme digest, or admit them by ip";
const SUPER_DIGEST: &str =
    "remove it; DigestAuthenticationProvider.superDigest makes a super user who has a password";

const NO_TLS_PORT: &str = "no port of this server speaks TLS";
const NO_TLS_QUORUM: &str = "servers do not speak TLS with each other";
const NO_SASL: &str = "nobody authenticates with SASL or Kerberos here";
const NO_SASL_QUORUM: &str = "servers do not authenticate with SASL";
const JVM_ONLY: &str = "only a JVM has such a setting";

/// The settings of Java 3.9.5 for security, and others whose absence would be noticed too late.
const NOT_SERVED: &[Row] = &[
    // TLS for clients.
    row(
        "secureClientPort",
        Asks::Field(|config| config.secure_client_port_address.is_some()),
        Refused(PROXY),
        "TLS for clients",
    ),
    row("zookeeper.client.portUnification", Asks::True, Refused(PROXY), "TLS at the client port"),
    row("zookeeper.client.certReload", Asks::True, Noticed, NO_TLS_PORT),
    row("zookeeper.X509*", Asks::Set, Refused(SUPER_DIGEST), "clients with certificates"),
    // TLS for the AdminServer.
    row(
        "zookeeper.admin.portUnification",
        Asks::True,
        RefusedWithAdminServer(PROXY),
        "TLS for the AdminServer",
    ),
    row(
        "zookeeper.admin.forceHttps",
        Asks::True,
        RefusedWithAdminServer(PROXY),
        "TLS for the AdminServer",
    ),
    row("zookeeper.admin.needClientAuth", Asks::True, Noticed, NO_TLS_PORT),
    // TLS between servers.
    row(
        "sslQuorum",
        Asks::Field(|config| config.ssl_quorum),
        RefusedInEnsemble(BETWEEN_SERVERS),
        "TLS between servers",
    ),
    row(
        "portUnification",
        Asks::Field(|config| config.port_unification),
        RefusedInEnsemble(BETWEEN_SERVERS),
        "TLS between servers",
    ),
    row(
        "sslQuorumReloadCertFiles",
        Asks::Field(|config| config.ssl_quorum_reload_cert_files),
        Noticed,
        NO_TLS_QUORUM,
    ),
    // Keys, certificates and parameters. Java does not use them either unless one of the settings above is on.
    row("zookeeper.ssl.quorum.*", Asks::Set, Noticed, NO_TLS_QUORUM),
    row("zookeeper.ssl.*", Asks::Set, Noticed, NO_TLS_PORT),
    row("zookeeper.fips-mode", Asks::Set, Noticed, NO_TLS_PORT),
    row("zookeeper.netty.server.*", Asks::Set, Noticed, NO_TLS_PORT),
    // SASL for clients.
    row(jaas::LOGIN_CONFIG, Asks::LoginConfig, Refused(OTHER_SCHEME), "SASL for clients"),
    row("zookeeper.sasl.serverconfig", Asks::Set, Refused(OTHER_SCHEME), "SASL for clients"),
    row("zookeeper.sasl.*", Asks::Set, Noticed, NO_SASL),
    row(
        "zookeeper.sessionRequireClientSASLAuth",
        Asks::True,
        Refused(OTHER_SCHEME),
        "SASL for clients",
    ),
    row(
        "zookeeper.requireKerberosConfig",
        Asks::True,
        Refused(OTHER_SCHEME),
        "Kerberos for clients",
    ),
    row(
        "zookeeper.enforce.auth.schemes",
        Asks::Schemes,
        Refused(OTHER_SCHEME),
        "SASL and certificates of clients",
    ),
    row("zookeeper.authProvider.*", Asks::Provider, Refused(OTHER_SCHEME), "a provider's class"),
    row("zookeeper.superUser", Asks::Set, Refused(SUPER_DIGEST), "a super user by SASL"),
    row("zookeeper.SASL*", Asks::Set, Refused(SUPER_DIGEST), "a super user by SASL"),
    row("zookeeper.letAnySaslUserDoX", Asks::Set, Noticed, NO_SASL),
    row("zookeeper.allowSaslFailedClients", Asks::True, Noticed, NO_SASL),
    row("zookeeper.kerberos.*", Asks::Set, Noticed, NO_SASL),
    row("zookeeper.security.auth_to_local", Asks::Set, Noticed, NO_SASL),
    row("zookeeper.server.realm", Asks::Set, Noticed, NO_SASL),
    row("zookeeper.kinit", Asks::Set, Noticed, NO_SASL),
    // SASL between servers.
    row(
        "quorum.auth.enableSasl",
        Asks::Field(|config| config.quorum_auth.enable_sasl),
        RefusedInEnsemble(BETWEEN_SERVERS),
        "SASL between servers",
    ),
    row(
        "quorum.auth.serverRequireSasl",
        Asks::Field(|config| config.quorum_auth.server_require_sasl),
        RefusedInEnsemble(BETWEEN_SERVERS),
        "SASL between servers",
    ),
    row(
        "quorum.auth.learnerRequireSasl",
        Asks::Field(|config| config.quorum_auth.learner_require_sasl),
        RefusedInEnsemble(BETWEEN_SERVERS),
        "SASL between servers",
    ),
    row("quorum.auth.learner.saslLoginContext", Asks::Line, Noticed, NO_SASL_QUORUM),
    row("quorum.auth.server.saslLoginContext", Asks::Line, Noticed, NO_SASL_QUORUM),
    row("quorum.auth.kerberos.servicePrincipal", Asks::Line, Noticed, NO_SASL_QUORUM),
    // Not security, but an operator must know that it is missing.
    row(
        "zookeeper.serverCnxnFactory",
        Asks::Factory,
        Refused("name one of them, or remove it"),
        "there are only NIOServerCnxnFactory, which also takes the place of NettyServerCnxnFactory, and \
         BlockingServerCnxnFactory, all in org.apache.zookeeper.server",
    ),
    // Settings of the JVM itself.
    row("javax.net.ssl.*", Asks::Set, Noticed, JVM_ONLY),
    row("javax.security.auth.*", Asks::Set, Noticed, JVM_ONLY),
    row("jdk.tls.*", Asks::Set, Noticed, JVM_ONLY),
    row("java.security.*", Asks::Set, Noticed, JVM_ONLY),
    row("sun.security.*", Asks::Set, Noticed, JVM_ONLY),
    row("com.sun.net.ssl.*", Asks::Set, Noticed, JVM_ONLY),
    row("com.sun.security.*", Asks::Set, Noticed, JVM_ONLY),
];

/// Authentication schemes of Java that are not available here.
const MISSING_SCHEMES: [&str; 2] = ["sasl", "x509"];

/// Properties of ensemble members that control nothing here, each with the reason.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("zookeeper.commitProcessor.numWorkerThreads", NO_COMMIT_WORKERS),
    ("zookeeper.commitProcessor.shutdownTimeout", NO_COMMIT_WORKERS),
    ("zookeeper.commitProcessor.maxReadBatchSize", NO_COMMIT_WORKERS),
    ("zookeeper.commitProcessor.maxCommitBatchSize", NO_COMMIT_WORKERS),
    ("zookeeper.leader.closeSocketAsync", "closing a socket never waits"),
    ("zookeeper.learner.closeSocketAsync", "closing a socket never waits"),
    ("zookeeper.learner.asyncSending", "sending never waits"),
    ("zookeeper.messageTracker.Enabled", "messages are not kept"),
    ("zookeeper.messageTracker.BufferSize", "messages are not kept"),
];

/// Properties of the client port that control nothing here, each with the reason.
const PORT_WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("zookeeper.nio.shutdownTimeout", "the end waits until every worker has ended"),
    ("zookeeper.nio.directBufferBytes", "answers are sent from where they were made"),
];

/// The receiving thread serves reads, and commits are applied at once.
const NO_COMMIT_WORKERS: &str = "reads and commits have no workers";

/// The connection factories that have a counterpart here.
const SERVER_CNXN_FACTORIES: [&str; 3] = [
    BLOCKING_FACTORY,
    "org.apache.zookeeper.server.NIOServerCnxnFactory",
    "org.apache.zookeeper.server.NettyServerCnxnFactory",
];

/// A setting in use that matches a row.
struct Found {
    /// The key in the file or the property, as the operator wrote it.
    key: String,
    /// The file and line, or the command line.
    place: String,
    verdict: Verdict,
    why: String,
}

impl Found {
    fn refusal(&self, way_out: &str) -> String {
        format!("{}: {}: not supported yet: {}; {way_out}", self.place, self.key, self.why)
    }

    /// The message about a setting that is not refused.
    fn notice(self) -> String {
        match self.verdict {
            RefusedInEnsemble(_) => "a server alone talks to no other".into(),
            RefusedWithAdminServer(_) => "there is no AdminServer".into(),
            Refused(_) | Noticed => self.why,
        }
    }
}

/// The place of a property that does not come from the file.
const COMMAND_LINE: &str = "command line (-D)";

impl QuorumPeerConfig {
    /// Refuses settings that Java supports and this server does not support yet, instead of ignoring them.
    ///
    /// # Errors
    /// [`ConfigError::NotSupported`] with all such settings.
    pub fn check_supported(&self, properties: &SystemProperties) -> Result<(), ConfigError> {
        let (distributed, has_admin_server) = (self.is_distributed(), has_admin_server(properties));
        let found = self.asked_for(properties);
        let mut items: Vec<String> = found
            .iter()
            .filter_map(|found| {
                Some(found.refusal(found.verdict.way_out(distributed, has_admin_server)?))
            })
            .collect();
        items.extend(login_config_at_home(environment::user_home().as_deref(), properties));
        if items.is_empty() { Ok(()) } else { Err(ConfigError::NotSupported { items }) }
    }

    /// Logs the settings that have no effect, so that nobody relies on them.
    pub fn warn_of_what_has_no_effect(&self, properties: &SystemProperties) {
        for what in self.without_effect(properties) {
            warn!(target: LOG, "{what}");
        }
    }

    pub(super) fn without_effect(&self, properties: &SystemProperties) -> Vec<String> {
        let mut said = Vec::new();
        if self.jvm_pause_monitor.enabled {
            said.push("jvm.pause.monitor has no effect: there is no JVM that pauses".to_owned());
        }
        let mut noticed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for found in self.asked_for(properties) {
            let name = format!("{} ({})", found.key, found.place);
            noticed.entry(found.notice()).or_default().push(name);
        }
        for (why, names) in noticed {
            let have = if names.len() == 1 { "has" } else { "have" };
            said.push(format!("{} {have} no effect: {why}", names.join(", ")));
        }
        if self.reconfig_enabled && !self.is_distributed() {
            said.push(self.reconfig_of_a_server_alone());
        }
        let of_member = if self.is_distributed() { WITHOUT_EFFECT } else { &[] };
        for (key, why) in PORT_WITHOUT_EFFECT.iter().chain(of_member) {
            // Java also reads some of them by their old names, which have no prefix.
            for name in [Some(*key), key.strip_prefix("zookeeper.")].into_iter().flatten() {
                if properties.get(name).is_some() {
                    said.push(format!("{name} has no effect: {why}"));
                }
            }
        }
        said
    }

    /// The setting has an effect on a server alone: the error with which it refuses.
    fn reconfig_of_a_server_alone(&self) -> String {
        let what = "a standalone server answers reconfig with Unimplemented; with \
                    standaloneEnabled=false, a server starts an ensemble of one member, to which \
                    reconfig can add others";
        let found = self.key("reconfigEnabled", Noticed, what.into());
        format!("{} ({}): {what}", found.key, found.place)
    }

    /// All settings that match a row of [`NOT_SERVED`] and ask for something.
    fn asked_for(&self, properties: &SystemProperties) -> Vec<Found> {
        let mut found: Vec<Found> = NOT_SERVED
            .iter()
            .filter(|row| match row.asks {
                Asks::Field(asks) => asks(self),
                Asks::Line => self.line_of(row.name).is_some(),
                _ => false,
            })
            .map(|row| self.key(row.name, row.verdict, row.why.into()))
            .collect();
        let of_properties = properties.iter().filter_map(|(name, value)| {
            let row = NOT_SERVED.iter().find(|row| row.fits(name))?;
            self.judge(row, name, value, properties)
        });
        found.extend(of_properties);
        found
    }

    fn judge(
        &self,
        row: &Row,
        name: &str,
        value: &str,
        properties: &SystemProperties,
    ) -> Option<Found> {
        let asks = match row.asks {
            Asks::Set => true,
            Asks::True => properties.bool(name),
            Asks::Schemes => {
                properties.bool("zookeeper.enforce.auth.enabled")
                    && value.split(',').any(|scheme| MISSING_SCHEMES.contains(&scheme.trim()))
            }
            Asks::LoginConfig => {
                let (verdict, why) = judge_login_config(row, properties);
                return Some(self.property(name, verdict, why));
            }
            Asks::Provider => {
                // The provider of the secure port was added by the server, not by the operator, and the port itself
                // is refused.
                let is_own = self.secure_client_port_address.is_some() && name.ends_with(".x509");
                let problem = provider_registry::refused_provider(value).filter(|_| !is_own)?;
                let found = self.property(name, row.verdict, problem);
                return Some(Found { key: format!("{}={}", found.key, value.trim()), ..found });
            }
            Asks::Factory => !SERVER_CNXN_FACTORIES.contains(&value),
            Asks::Field(_) | Asks::Line => false,
        };
        asks.then(|| self.property(name, row.verdict, row.why.into()))
    }

    /// A key of zoo.cfg that does not become a property.
    fn key(&self, key: &str, verdict: Verdict, why: String) -> Found {
        let file = self.config_file.clone().unwrap_or_default();
        let place = Place { file, line: self.line_of(key).unwrap_or_default() };
        Found { key: key.into(), place: place.to_string(), verdict, why }
    }

    /// A property from zoo.cfg, which takes precedence, or from the command line.
    fn property(&self, name: &str, verdict: Verdict, why: String) -> Found {
        match name.strip_prefix(PREFIX).filter(|key| self.line_of(key).is_some()) {
            Some(key) => self.key(key, verdict, why),
            None => Found { key: name.into(), place: COMMAND_LINE.into(), verdict, why },
        }
    }
}

/// If the file has a section for the server, a Java server authenticates clients with SASL; if Java cannot read the
/// file, it does not start. The other sections are for clients, and for members that authenticate to each other.
fn judge_login_config(row: &Row, properties: &SystemProperties) -> (Verdict, String) {
    let section = server_section(properties);
    match jaas::sections_of(properties) {
        Some(Ok(names)) if names.iter().any(|name| name == section) => {
            (row.verdict, format!("{} (the file's section {section})", row.why))
        }
        Some(Ok(_)) | None => (
            Noticed,
            format!("the file has no section {section}, and its others are not for a server"),
        ),
        Some(Err(problem)) => (row.verdict, format!("{} (the file {problem})", row.why)),
    }
}

/// The name of the server's section in a JAAS file.
fn server_section(properties: &SystemProperties) -> &str {
    properties.get("zookeeper.sasl.serverconfig").unwrap_or("Server")
}

/// Without a configured JAAS file, a JVM looks for one in the user's home directory.
fn login_config_at_home(home: Option<&Path>, properties: &SystemProperties) -> Option<String> {
    if properties.get(jaas::LOGIN_CONFIG).is_some() {
        return None;
    }
    let file = home?.join(".java.login.config");
    let sections = jaas::read_sections(&file).ok()?;
    let section = server_section(properties);
    sections.iter().any(|name| name == section).then(|| {
        format!(
            "{}: not supported yet: SASL for clients (the file's section {section}); {OTHER_SCHEME}",
            file.display()
        )
    })
}

fn has_admin_server(properties: &SystemProperties) -> bool {
    properties.get("zookeeper.admin.enableServer") != Some("false")
}

impl Row {
    fn fits(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.name,
        }
    }
}

impl Verdict {
    /// The advice if the setting is refused; `None` if it is not.
    const fn way_out(self, distributed: bool, has_admin_server: bool) -> Option<&'static str> {
        match self {
            Refused(way_out) => Some(way_out),
            RefusedInEnsemble(way_out) if distributed => Some(way_out),
            RefusedWithAdminServer(way_out) if has_admin_server => Some(way_out),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::properties::Properties;
    use crate::server::persistence::test_dir::TestDir;

    const SASL: &str = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider";
    const X509: &str = "org.apache.zookeeper.server.auth.X509AuthenticationProvider";

    fn config(dir: &TestDir, members: bool, line: &str) -> (QuorumPeerConfig, SystemProperties) {
        let mut text = format!("dataDir={}\n{line}\n", dir.path().display());
        if members {
            std::fs::write(dir.path().join("myid"), "1").unwrap();
            text += "initLimit=1\nsyncLimit=1\nserver.1=a:1:2\nserver.2=b:1:2\n";
        }
        let settings = Properties::load(text.as_bytes()).unwrap();
        let mut properties = SystemProperties::new();
        let file = Path::new("zoo.cfg");
        let config =
            QuorumPeerConfig::parse_properties(&settings, file, &mut properties, &|_| None);
        (config.unwrap(), properties)
    }

    /// The reaction to one more line in zoo.cfg: the refusal, or the message that it has no effect.
    fn verdict(dir: &TestDir, members: bool, line: &str) -> Result<String, Vec<String>> {
        let (config, properties) = config(dir, members, line);
        match config.check_supported(&properties) {
            Err(refusal) => Ok(refusal.to_string()),
            Ok(()) => Err(config.without_effect(&properties)),
        }
    }

    #[track_caller]
    fn assert_refused(said: Result<String, Vec<String>>, beginning: &str) {
        let refusal = said.expect(beginning);
        assert!(refusal.starts_with(&format!("Error processing {beginning}: ")), "{refusal}");
        assert!(refusal.contains("not supported yet: ") && refusal.contains("; "), "{refusal}");
    }

    #[track_caller]
    fn assert_noticed(said: Result<String, Vec<String>>, beginning: &str) {
        let said = said.expect_err(beginning);
        assert_eq!(said.len(), 1, "{beginning}: {said:?}");
        assert!(said[0].starts_with(beginning), "{beginning}: {said:?}");
        assert!(said[0].contains("no effect: "), "{said:?}");
    }

    /// A setting for each row: a line of zoo.cfg, whether a standalone server is refused, and whether a member is.
    const LINES: &[(&str, bool, bool)] = &[
        ("secureClientPort=2281", true, true),
        ("client.portUnification=true", true, true),
        ("client.certReload=true", false, false),
        ("X509AuthenticationProvider.superUser=CN=x", true, true),
        ("admin.portUnification=true", true, true),
        ("admin.forceHttps=true", true, true),
        ("admin.needClientAuth=true", false, false),
        ("sslQuorum=true", false, true),
        ("portUnification=true", false, true),
        ("sslQuorumReloadCertFiles=true", false, false),
        ("ssl.quorum.keyStore.location=/k", false, false),
        ("ssl.keyStore.location=/k", false, false),
        ("ssl.trustStore.password=hush", false, false),
        ("ssl.clientAuth=need", false, false),
        ("ssl.authProvider=x509", false, false),
        ("ssl.sslProvider=OPENSSL", false, false),
        ("fips-mode=true", false, false),
        ("serverCnxnFactory=my.Factory", true, true),
        ("netty.server.outstandingHandshake.limit=5", false, false),
        ("sasl.serverconfig=Other", true, true),
        ("sasl.client=false", false, false),
        ("sessionRequireClientSASLAuth=true", true, true),
        ("requireKerberosConfig=true", true, true),
        ("authProvider.1=com.example.Provider", true, true),
        ("superUser=super", true, true),
        ("SASLAuthenticationProvider.superPassword=hush", true, true),
        ("SASL.superPassword=hush", true, true),
        ("letAnySaslUserDoX=x", false, false),
        ("allowSaslFailedClients=true", false, false),
        ("kerberos.removeHostFromPrincipal=true", false, false),
        ("security.auth_to_local=DEFAULT", false, false),
        ("server.realm=X", false, false),
        ("kinit=/usr/bin/kinit", false, false),
        ("quorum.auth.enableSasl=true", false, true),
        ("quorum.auth.learner.saslLoginContext=L", false, false),
        ("quorum.auth.server.saslLoginContext=S", false, false),
        ("quorum.auth.kerberos.servicePrincipal=zk/_HOST", false, false),
    ];

    #[test]
    fn a_line_that_asks_for_security_is_refused_or_spoken_of_by_file_line_and_key() {
        let dir = TestDir::new();
        for &(line, alone, member) in LINES {
            // In zoo.cfg `server.realm` would count as a member's key, so it comes from the command line.
            if line.starts_with("server.") {
                continue;
            }
            // A class is reported together with its key.
            let key = if line.starts_with("auth") { line } else { line.split('=').next().unwrap() };
            for (members, refused) in [(false, alone), (true, member)] {
                let said = verdict(&dir, members, line);
                if refused {
                    assert_refused(said, &format!("zoo.cfg:2: {key}"));
                } else {
                    assert_noticed(said, &format!("{key} (zoo.cfg:2) has no effect: "));
                }
            }
        }
    }

    #[test]
    fn the_same_on_the_command_line_names_the_property_even_without_a_file() {
        for &(line, alone, _) in LINES {
            let (key, value) = line.split_once('=').unwrap();
            let name = format!("zookeeper.{key}");
            let row = NOT_SERVED.iter().find(|row| row.fits(&name));
            // Java reads these from zoo.cfg only.
            let Some(_) = row.filter(|row| !matches!(row.asks, Asks::Field(_) | Asks::Line)) else {
                continue;
            };
            let properties = SystemProperties::from_pairs([(name.as_str(), value)]);
            let config = QuorumPeerConfig::default();
            let said = match config.check_supported(&properties) {
                Err(refusal) => Ok(refusal.to_string()),
                Ok(()) => Err(config.without_effect(&properties)),
            };
            if alone {
                let class =
                    if line.starts_with("auth") { format!("={value}") } else { String::new() };
                assert_refused(said, &format!("command line (-D): {name}{class}"));
            } else {
                assert_noticed(said, &format!("{name} (command line (-D)) has no effect: "));
            }
        }
    }

    #[test]
    fn every_row_is_tested() {
        let files = ["java.security.auth.login.config", "zookeeper.enforce.auth.schemes"];
        let sasl_between_servers =
            ["quorum.auth.serverRequireSasl", "quorum.auth.learnerRequireSasl"];
        let has_row = |line: &&(&str, bool, bool), row: &Row| {
            let key = line.0.split('=').next().unwrap();
            let of_property = NOT_SERVED.iter().find(|row| row.fits(&format!("{PREFIX}{key}")));
            row.name == key || of_property.is_some_and(|found| found.name == row.name)
        };
        for row in NOT_SERVED {
            let is_of_a_jvm = row.why == JVM_ONLY;
            let elsewhere = files.contains(&row.name) || sasl_between_servers.contains(&row.name);
            let tested = LINES.iter().any(|line| has_row(&line, row));
            assert!(tested || is_of_a_jvm || elsewhere, "{}", row.name);
        }
    }

    #[test]
    fn what_is_switched_off_asks_for_nothing() {
        let dir = TestDir::new();
        for line in [
            "client.portUnification=false",
            "client.certReload=false",
            "sslQuorum=false",
            "quorum.auth.enableSasl=false",
            "sessionRequireClientSASLAuth=false",
            "requireKerberosConfig=false",
            "admin.forceHttps=false",
            "allowSaslFailedClients=false",
            "enforce.auth.schemes=sasl",
            "enforce.auth.enabled=true\nenforce.auth.schemes=digest,ip",
            "authProvider.1=org.apache.zookeeper.server.auth.KeyAuthenticationProvider",
        ] {
            for members in [false, true] {
                assert_eq!(verdict(&dir, members, line), Err(Vec::new()), "{line}");
            }
        }
        let off = "admin.forceHttps=true\nadmin.enableServer=false";
        assert_noticed(verdict(&dir, false, off), "admin.forceHttps (zoo.cfg:2) has no effect: ");
    }

    #[test]
    fn old_names_of_properties_are_noticed_too() {
        let dir = TestDir::new();
        for name in ["zookeeper.learner.asyncSending", "learner.asyncSending"] {
            let properties = SystemProperties::from_pairs([(name, "true")]);
            let said = config(&dir, true, "").0.without_effect(&properties);
            assert_eq!(said, [format!("{name} has no effect: sending never waits")]);
            let said = config(&dir, false, "").0.without_effect(&properties);
            assert_eq!(said, Vec::<String>::new());
        }
    }

    #[test]
    fn settings_of_a_jvm_are_spoken_of_in_one_line() {
        let mut properties = SystemProperties::new();
        for row in NOT_SERVED.iter().filter(|row| row.why == JVM_ONLY) {
            properties.set(row.name.replace('*', "x"), "y");
        }
        let config = QuorumPeerConfig::default();
        config.check_supported(&properties).unwrap();
        let said = config.without_effect(&properties);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].ends_with(&format!(" have no effect: {JVM_ONLY}")), "{said:?}");
        for (name, _) in properties.iter() {
            assert!(said[0].contains(&format!("{name} (")), "{name}: {said:?}");
        }
    }

    #[test]
    fn a_login_file_is_judged_by_its_sections() {
        let dir = TestDir::new();
        let file = dir.path().join("jaas.conf");
        let said = |text: Option<&str>, section: Option<&str>| {
            let _gone = std::fs::remove_file(&file);
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            let path = file.display().to_string();
            let mut properties = SystemProperties::from_pairs([(jaas::LOGIN_CONFIG, path)]);
            if let Some(section) = section {
                properties.set("zookeeper.sasl.serverconfig", section);
            }
            let config = QuorumPeerConfig::default();
            match config.check_supported(&properties) {
                Err(refusal) => Ok(refusal.to_string()),
                Ok(()) => Err(config.without_effect(&properties)),
            }
        };
        let client = "Client { a.B required username=\"x\"; };";
        let server = "Server { a.B required user_x=\"y\"; };";
        let refused = format!("command line (-D): {}", jaas::LOGIN_CONFIG);
        let noticed = format!("{} (command line (-D)) has no effect: ", jaas::LOGIN_CONFIG);
        assert_noticed(said(Some(client), None), &noticed);
        assert_noticed(said(Some("QuorumServer { a.B required; };"), None), &noticed);
        assert_refused(said(Some(server), None), &refused);
        assert_refused(said(Some(&format!("{client}\n{server}")), None), &refused);
        assert_refused(said(Some("Server {"), None), &refused);
        assert_refused(said(None, None), &refused);
        let other = said(Some(client), Some("Client")).unwrap();
        assert!(other.contains("section Client") && other.contains("sasl.serverconfig"), "{other}");

        let home = dir.path();
        let none = SystemProperties::new();
        assert_eq!(login_config_at_home(Some(home), &none), None);
        std::fs::write(home.join(".java.login.config"), server).unwrap();
        let refusal = login_config_at_home(Some(home), &none).unwrap();
        assert!(
            refusal.starts_with(&home.join(".java.login.config").display().to_string()),
            "{refusal}"
        );
        let other = SystemProperties::from_pairs([(jaas::LOGIN_CONFIG, "/x")]);
        assert_eq!(login_config_at_home(Some(home), &other), None, "a JVM reads the named one");
    }

    #[test]
    fn schemes_that_are_not_here_are_refused_where_they_are_enforced() {
        let dir = TestDir::new();
        for schemes in ["sasl", "x509", "digest, sasl"] {
            let line = format!("enforce.auth.schemes={schemes}\nenforce.auth.enabled=true");
            assert_refused(verdict(&dir, false, &line), "zoo.cfg:2: enforce.auth.schemes");
        }
        for class in [SASL, X509] {
            let said = verdict(&dir, false, &format!("\nauthProvider.7={class}"));
            assert_refused(said, &format!("zoo.cfg:3: authProvider.7={class}"));
        }
    }

    #[test]
    fn all_that_is_refused_is_named_at_once_and_no_password_is_shown() {
        let dir = TestDir::new();
        let lines = "secureClientPort=1\nsslQuorum=true\nssl.keyStore.password=hush\n\
                     SASLAuthenticationProvider.superPassword=hush\nserverCnxnFactory=my.Factory\n\
                     quorum.auth.enableSasl=true\nquorum.auth.learnerRequireSasl=true\nquorum.auth.serverRequireSasl=true";
        let refusal = verdict(&dir, true, lines).unwrap();
        for part in [
            "Error processing zoo.cfg:2: secureClientPort: not supported yet: TLS for clients; remove it",
            "zoo.cfg:3: sslQuorum: ",
            "zoo.cfg:5: SASLAuthenticationProvider.superPassword: ",
            "zoo.cfg:6: serverCnxnFactory: ",
            "zoo.cfg:7: quorum.auth.enableSasl: ",
            "zoo.cfg:8: quorum.auth.learnerRequireSasl: ",
            "zoo.cfg:9: quorum.auth.serverRequireSasl: ",
        ] {
            assert!(refusal.contains(part), "{part}: {refusal}");
        }
        assert!(!refusal.contains("hush") && !refusal.contains("authProvider"), "{refusal}");
        let stores =
            "ssl.keyStore.password=hush\nssl.trustStore.password=hush\nssl.quorum.ocsp=true";
        let said = verdict(&dir, true, stores).unwrap_err();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(!said.concat().contains("hush"), "{said:?}");
        for factory in SERVER_CNXN_FACTORIES {
            let line = format!("serverCnxnFactory={factory}");
            assert_eq!(verdict(&dir, false, &line), Err(Vec::new()));
        }
    }

    #[test]
    fn reconfig_enabled_says_what_a_server_alone_answers() {
        let dir = TestDir::new();
        let said = verdict(&dir, false, "reconfigEnabled=true").unwrap_err();
        let beginning = "reconfigEnabled (zoo.cfg:2): a standalone server answers reconfig with ";
        assert!(said.len() == 1 && said[0].starts_with(beginning), "{said:?}");
        assert_eq!(verdict(&dir, true, "reconfigEnabled=true"), Err(Vec::new()));
        for members in [false, true] {
            assert_eq!(verdict(&dir, members, "reconfigEnabled=false"), Err(Vec::new()));
        }
    }
}
