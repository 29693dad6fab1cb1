//! The members of the ensemble: `server.N`, `group.N`, `weight.N`, `version` (Java:
//! QuorumPeerConfig.parseDynamicConfig and the reading half of flexible/QuorumMaj.java and
//! flexible/QuorumHierarchical.java).
//!
//! They are in a separate file (dynamicConfigFile) or among the other keys of zoo.cfg. Which of them form a quorum is
//! decided elsewhere.

use std::path::Path;

use log::{error, info, warn};

use super::LOG;
use crate::common::config_exception::{ConfigError, Place};
use crate::common::net_utils::ResolveHost;
use crate::common::properties::{Properties, Property};
use crate::common::string_utils;
use crate::ids::Sid;
use crate::server::quorum::flexible::create_quorum_verifier::from_members;
use crate::server::quorum::flexible::quorum_members::{Hierarchy, QuorumMembers};
use crate::server::quorum::quorum_server::QuorumServer;

/// The parameters for parsing the members.
pub(in crate::server::quorum) struct Reading<'a> {
    /// The file, for messages.
    pub(in crate::server::quorum) file: &'a Path,
    /// Whether the members are among other keys, which are then ignored (Java: configBackwardCompatibilityMode).
    pub(in crate::server::quorum) among_other_keys: bool,
    /// Whether a single participant runs standalone.
    pub(in crate::server::quorum) standalone_enabled: bool,
    /// Whether there is an oracle for two participants; groups are then ignored (Java: oraclePath).
    pub(in crate::server::quorum) has_oracle: bool,
    /// Whether a server may have several addresses.
    pub(in crate::server::quorum) multi_address: bool,
    pub(in crate::server::quorum) resolve: ResolveHost<'a>,
}

impl Reading<'_> {
    /// Parses and checks the members (Java: parseDynamicConfig).
    pub(super) fn parse_dynamic_config(
        &self,
        config: &Properties,
    ) -> Result<QuorumMembers, ConfigError> {
        self.check_keys(config)?;
        let members = self.create_quorum_members(config)?;
        self.check_groups(&members)?;
        self.check(&members)?;
        Ok(members)
    }

    /// Refuses unknown keys in a dynamic file.
    pub(in crate::server::quorum) fn check_keys(
        &self,
        config: &Properties,
    ) -> Result<(), ConfigError> {
        for property in config.iter() {
            let key = string_utils::trim(&property.key);
            let known = key.starts_with("server.") || is_hierarchical(key) || key == "version";
            if !self.among_other_keys && !known {
                return Err(self.rule(
                    property.line,
                    format!(
                        "Unrecognised parameter: {key}; a dynamic file has server.N, group.N and \
                         weight.N, every \
                         other key belongs into the static file"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Parses the members without checking them (Java: createQuorumVerifier).
    pub(in crate::server::quorum) fn create_quorum_members(
        &self,
        config: &Properties,
    ) -> Result<QuorumMembers, ConfigError> {
        let hierarchical =
            !self.has_oracle && config.iter().any(|p| is_hierarchical(string_utils::trim(&p.key)));
        let mut members = QuorumMembers::default();
        let mut hierarchy = Hierarchy::default();
        for property in config.iter() {
            let key = property.key.as_str();
            if key.starts_with("server.") {
                let server = self.server(property)?;
                members.servers.insert(server.id, server);
            } else if key == "version" {
                members.version = i64::from_str_radix(&property.value, 16)
                    .map_err(|_| self.bad_value(property, "a hexadecimal number is needed"))?;
            } else if hierarchical && key.starts_with("group") {
                self.add_group(property, &mut hierarchy)?;
            } else if hierarchical && key.starts_with("weight") {
                let weight = property
                    .value
                    .parse()
                    .map_err(|_| self.bad_value(property, "a whole number is needed"))?;
                hierarchy.weight_of.insert(Sid(self.number_behind_dot(property)?), weight);
            }
        }
        if hierarchical {
            self.complete(&mut hierarchy, &members)?;
            members.hierarchy = Some(hierarchy);
        }
        Ok(members)
    }

    fn server(&self, property: &Property) -> Result<QuorumServer, ConfigError> {
        let sid = Sid(self.number_behind_dot(property)?);
        QuorumServer::parse(sid, &property.value, self.multi_address, self.resolve)
            .map_err(|error| self.bad_value(property, error.to_string()))
    }

    fn add_group(&self, property: &Property, hierarchy: &mut Hierarchy) -> Result<(), ConfigError> {
        let group = self.number_behind_dot(property)?;
        for sid in string_utils::split(&property.value, ':') {
            let sid = sid.parse().map_err(|_| {
                self.bad_value(property, "ids of servers, separated by colons, are needed")
            })?;
            if hierarchy.group_of.insert(Sid(sid), group).is_some() {
                return Err(self.bad_value(property, format!("Server {sid} is in multiple groups")));
            }
        }
        Ok(())
    }

    /// Adds the default weights. Refuses participants without a group.
    fn complete(
        &self,
        hierarchy: &mut Hierarchy,
        members: &QuorumMembers,
    ) -> Result<(), ConfigError> {
        for server in members.voting_members() {
            if !hierarchy.group_of.contains_key(&server.id) {
                let what = format!(
                    "Server {} is not in a group; add it to one of the group.N lines",
                    server.id
                );
                return Err(self.rule(0, what));
            }
            hierarchy.weight_of.entry(server.id).or_insert(1);
        }
        Ok(())
    }

    /// Refuses group members that are neither participants nor have a weight (where Java fails with a
    /// NullPointerException).
    pub(in crate::server::quorum) fn check_groups(
        &self,
        members: &QuorumMembers,
    ) -> Result<(), ConfigError> {
        let Some(hierarchy) = &members.hierarchy else { return Ok(()) };
        match hierarchy.group_of.keys().find(|sid| !hierarchy.weight_of.contains_key(*sid)) {
            Some(sid) => Err(self.rule(
                0,
                format!(
                    "server {sid} is in a group but is no participant; take it out of the group.N \
                     line or give it a \
                     weight.{sid}"
                ),
            )),
            None => Ok(()),
        }
    }

    /// Checks for everything that Java refuses or warns of in a list of servers.
    pub(in crate::server::quorum) fn check(
        &self,
        members: &QuorumMembers,
    ) -> Result<(), ConfigError> {
        let participants = members.voting_members().count();
        let has_observers = members.observing_members().next().is_some();
        match participants {
            0 if !self.standalone_enabled => Err(self.rule(
                0,
                "standaloneEnabled = false then number of participants should be >0; name this \
                 server in a server.N \
                 line"
                    .into(),
            )),
            0 if has_observers => Err(self.rule(
                0,
                "Observers w/o participants is an invalid configuration; name the servers that \
                 vote, too"
                    .into(),
            )),
            0 => Ok(()),
            1 if self.standalone_enabled => {
                error!(target: LOG, "Invalid configuration, only one server specified (ignoring)");
                if has_observers {
                    return Err(self.rule(
                        0,
                        "Observers w/o quorum is an invalid configuration; name more servers that \
                         vote, or set \
                         standaloneEnabled=false"
                            .into(),
                    ));
                }
                Ok(())
            }
            1 | 2 => {
                warn!(target: LOG, "No server failure will be tolerated. You need at least 3 \
                    servers.");
                Ok(())
            }
            _ => {
                if participants.is_multiple_of(2) {
                    warn!(target: LOG, "Non-optimal configuration, consider an odd number of \
                        servers.");
                }
                Ok(())
            }
        }
    }

    /// The N of `server.N`; without a dot, Java takes the whole key as the number.
    fn number_behind_dot(&self, property: &Property) -> Result<i64, ConfigError> {
        let number = property.key.split_once('.').map_or(property.key.as_str(), |(_, n)| n);
        number.parse().map_err(|_| {
            self.bad_value(property, format!("{number:?} in the key must be a whole number"))
        })
    }

    fn bad_value(&self, property: &Property, accepted: impl Into<String>) -> ConfigError {
        ConfigError::BadValue {
            place: Place { file: self.file.into(), line: property.line },
            key: property.key.clone(),
            value: property.value.clone(),
            accepted: accepted.into(),
        }
    }

    fn rule(&self, line: usize, what: String) -> ConfigError {
        ConfigError::Rule { place: Place { file: self.file.into(), line }, what }
    }
}

fn is_hierarchical(key: &str) -> bool {
    key.starts_with("group") || key.starts_with("weight")
}

/// Checks the members in a file that the shell reads, and returns them as a request names them (Java: parseDynamicConfig
/// as cli/ReconfigCommand.java calls it). Names of hosts are not looked up: only the leader connects to them.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn members_for_reconfig(
    config: &Properties,
    file: &Path,
    multi_address: bool,
) -> Result<String, ConfigError> {
    let reading = Reading {
        file,
        among_other_keys: false,
        standalone_enabled: true,
        has_oracle: false,
        multi_address,
        resolve: &|_| None,
    };
    Ok(from_members(reading.parse_dynamic_config(config)?, None).to_text())
}

/// The version at the end of a dynamic file's name: `zoo.cfg.dynamic.1001` has 0x1001. `None` when the name does not
/// end in a hexadecimal number (Java: QuorumPeerConfig.getVersionFromFilename, which hands it out as text).
#[must_use]
pub fn version_from_filename(name: &str) -> Option<i64> {
    let (_, version) = name.rsplit_once('.')?;
    i64::from_str_radix(version, 16).ok()
}

/// Reads a dynamic file (Java: the second half of QuorumPeerConfig.parse).
pub(super) fn load_dynamic_file(file: &Path) -> Result<Properties, ConfigError> {
    let mut config = super::load(file)?.0;
    if config.get("version").is_some() {
        let what = "dynamic file shouldn't have version inside; it is the end of the file's name";
        return Err(ConfigError::Rule {
            place: Place { file: file.into(), line: 0 },
            what: what.into(),
        });
    }
    if let Some(version) = version_from_filename(&file.to_string_lossy()) {
        config.put(Property { key: "version".into(), value: format!("{version:x}"), line: 0 });
    }
    info!(target: LOG, "Dynamic configuration is in {}", file.display());
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, change: fn(&mut Reading<'_>)) -> Result<QuorumMembers, ConfigError> {
        let mut reading = Reading {
            file: Path::new("zoo.cfg"),
            among_other_keys: false,
            standalone_enabled: true,
            has_oracle: false,
            multi_address: false,
            resolve: &|_| None,
        };
        change(&mut reading);
        reading.parse_dynamic_config(&Properties::load(text.as_bytes()).unwrap())
    }

    const THREE: &str = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";

    #[test]
    fn servers_groups_weights_and_version_are_read() {
        let text = "group.1=1:2\ngroup.2=3:4\nweight.2=5\nweight.4=0\nserver.4=d:1:2:observer\n\
                    version=1f";
        let members = parse(&(THREE.to_owned() + text), |_| ()).unwrap();
        assert_eq!(members.version, 0x1f);
        assert_eq!(members.voting_members().count(), 3);
        let observers: Vec<_> = members.observing_members().map(|server| server.id).collect();
        assert_eq!(observers, [Sid(4)]);
        let hierarchy = members.hierarchy.unwrap();
        assert_eq!(hierarchy.group_of[&Sid(3)], 2);
        let weights: Vec<_> = hierarchy.weight_of.values().copied().collect();
        assert_eq!(weights, [1, 5, 1, 0]);
    }

    #[test]
    fn an_oracle_makes_groups_count_for_nothing() {
        let members = parse(&(THREE.to_owned() + "group.1=1"), |r| r.has_oracle = true).unwrap();
        assert_eq!(members.hierarchy, None);
    }

    #[test]
    fn what_java_refuses_is_refused_with_its_line() {
        for (text, message) in [
            ("server.x=a:1:2", "zoo.cfg:1: server.x=a:1:2: \"x\" in the key"),
            ("server.1.2=a:1:2", "\"1.2\" in the key"),
            ("server.1=a:1", "zoo.cfg:1: server.1=a:1: does not have the form"),
            ("clientPort=2181", "zoo.cfg:1: Unrecognised parameter: clientPort"),
            ("version=xyz", "hexadecimal"),
            ("server.1=a:1:2:observer", "Observers w/o participants"),
            ("server.1=a:1:2\nserver.2=b:1:2:observer", "Observers w/o quorum"),
            ("server.1=a:1:2\ngroup.1=2", "Server 1 is not in a group"),
            ("server.1=a:1:2\ngroup.1=1:1", "zoo.cfg:2: group.1=1:1: Server 1 is in multiple"),
            ("server.1=a:1:2\ngroup.1=1:2", "server 2 is in a group but is no participant"),
            ("group.1=1,2", "separated by colons"),
            ("groups=1", "\"groups\" in the key"),
            ("weight.1=heavy", "whole number"),
        ] {
            let error = parse(text, |_| ()).expect_err(text).to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
        let error = parse("", |r| r.standalone_enabled = false).unwrap_err().to_string();
        assert!(error.contains("number of participants should be >0"), "{error}");
    }

    #[test]
    fn other_keys_are_passed_over_only_in_the_static_file() {
        let members = parse("server.1=a:1:2\ntickTime=x", |r| r.among_other_keys = true).unwrap();
        assert_eq!(members.servers.len(), 1);
    }

    #[test]
    fn the_version_is_the_hexadecimal_end_of_the_files_name() {
        for (name, version) in [
            ("zoo.cfg.dynamic.0", Some(0)),
            ("/etc/zoo.cfg.dynamic.1001", Some(0x1001)),
            ("zoo.cfg.dynamic", None),
            ("zoo", None),
            ("zoo.", None),
        ] {
            assert_eq!(version_from_filename(name), version, "{name}");
        }
    }
}
