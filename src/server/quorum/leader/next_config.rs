//! The configuration that a `reconfig` request asks for, or why it is refused (Java: the case reconfig of pRequest2Txn
//! in server/PrepRequestProcessor.java).
//!
//! Pure: it knows no socket and takes no lock. Differs from Java: what Java answers with MARSHALLINGERROR because of an
//! exception that it does not expect (a number that is none, a configuration without voters) gets the same answer here,
//! and the log says what is wrong.

use std::path::Path;
use std::sync::Arc;

use log::{info, warn};

use crate::common::net_utils::ResolveHost;
use crate::common::properties::Properties;
use crate::common::string_utils;
use crate::ids::{Sid, Zxid};
use crate::keeper_exception::KeeperError;
use crate::proto::ReconfigRequest;
use crate::server::quorum::flexible::create_quorum_verifier::from_members;
use crate::server::quorum::flexible::quorum_members::QuorumMembers;
use crate::server::quorum::flexible::quorum_verifier::{QuorumVerifier, VerifierKind};
use crate::server::quorum::quorum_peer_config::dynamic_file::Reading;
use crate::server::quorum::quorum_server::{QuorumServer, QuorumServerError};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.PrepRequestProcessor";

/// The name that messages show instead of a file name.
const FROM_A_CLIENT: &str = "(members in a reconfig request)";

/// What decides about a request, besides the request itself.
pub(super) struct Ensemble<'a> {
    /// The configuration in effect.
    pub(super) current: &'a dyn QuorumVerifier,
    /// The configuration that was proposed last.
    pub(super) last_seen: &'a dyn QuorumVerifier,
    /// Whether another configuration was made and is not proposed yet.
    pub(super) is_one_planned: bool,
    /// Whether a single voter would run standalone, so that an ensemble needs two.
    pub(super) standalone_enabled: bool,
    /// Whether a server may have several addresses.
    pub(super) multi_address: bool,
    /// Looks up a host name.
    pub(super) resolve: ResolveHost<'a>,
    /// Whether a quorum of a configuration is connected and synced.
    pub(super) is_quorum_synced: &'a dyn Fn(&dyn QuorumVerifier) -> bool,
}

/// The configuration that the request asks for. It gets `zxid` as its version.
///
/// # Errors
/// The answer to the client.
pub(super) fn next_config(
    request: &ReconfigRequest,
    zxid: Zxid,
    ensemble: &Ensemble<'_>,
) -> Result<Arc<dyn QuorumVerifier>, KeeperError> {
    let last_seen = ensemble.last_seen.version();
    if last_seen != ensemble.current.version() || ensemble.is_one_planned {
        return Err(KeeperError::ReconfigInProgress);
    }
    let expected = request.cur_config_id;
    if expected != -1 && expected != last_seen {
        info!(
            target: LOG,
            "Reconfiguration from version {expected} failed -- last seen version is {last_seen}"
        );
        return Err(KeeperError::BadVersion);
    }
    let mut members = match &request.new_members {
        Some(new_members) => {
            info!(target: LOG, "Non-incremental reconfig");
            all_members(new_members, ensemble)?
        }
        None => {
            info!(target: LOG, "Incremental reconfig");
            changed_members(request, ensemble)?
        }
    };
    members.version = zxid.0;
    let verifier = from_members(members, ensemble.current.oracle_path());
    check_voters(&*verifier, ensemble)?;
    Ok(verifier)
}

/// Looks up each host that the request names.
pub(super) fn name_hosts(request: &ReconfigRequest, resolve: ResolveHost<'_>) {
    let servers = request.new_members.as_deref().or(request.joining_servers.as_deref());
    for line in servers.unwrap_or_default().split([',', '\n']) {
        if let Some((_, spec)) = line.split_once('=') {
            // What is wrong with it is found when the configuration is made.
            let _parsed = QuorumServer::parse(Sid(0), string_utils::trim(spec), true, resolve);
        }
    }
}

fn check_voters(verifier: &dyn QuorumVerifier, ensemble: &Ensemble<'_>) -> Result<(), KeeperError> {
    let voters = verifier.voters().len();
    if ensemble.standalone_enabled && voters < 2 {
        warn!(target: LOG, "Reconfig failed - new configuration must include at least 2 followers");
        return Err(KeeperError::BadArguments);
    }
    if voters < 1 {
        warn!(target: LOG, "Reconfig failed - new configuration must include at least 1 follower");
        return Err(KeeperError::BadArguments);
    }
    if !(ensemble.is_quorum_synced)(verifier) {
        warn!(
            target: LOG,
            "Reconfig failed - there must be a connected and synced quorum in new configuration"
        );
        return Err(KeeperError::NewConfigNoQuorum);
    }
    Ok(())
}

/// The members of a request that names all of them. Commas and line ends separate the lines.
fn all_members(text: &str, ensemble: &Ensemble<'_>) -> Result<QuorumMembers, KeeperError> {
    let text = text.replace(',', "\n");
    let settings =
        Properties::load_str(&text).map_err(|malformed| refuse_as_malformed(&malformed))?;
    let reading = Reading {
        file: Path::new(FROM_A_CLIENT),
        among_other_keys: false,
        standalone_enabled: ensemble.standalone_enabled,
        has_oracle: ensemble.last_seen.oracle_path().is_some(),
        multi_address: ensemble.multi_address,
        resolve: ensemble.resolve,
    };
    reading.check_keys(&settings).map_err(|problem| refuse(&problem))?;
    check_numbers(&settings, ensemble)?;
    let members = reading.create_quorum_members(&settings).map_err(|problem| refuse(&problem))?;
    // In Java, what follows are exceptions that nobody expects there.
    reading.check_groups(&members).map_err(|problem| refuse_as_malformed(&problem))?;
    reading.check(&members).map_err(|problem| refuse_as_malformed(&problem))?;
    Ok(members)
}

/// Numbers that are none end Java's reading with an exception that it does not expect.
fn check_numbers(settings: &Properties, ensemble: &Ensemble<'_>) -> Result<(), KeeperError> {
    for property in settings.iter() {
        let (key, value) = (property.key.as_str(), property.value.as_str());
        let number = key.split_once('.').map_or(key, |(_, number)| number);
        let is_group_or_weight = key != "version" && !key.starts_with("server.");
        if is_group_or_weight && ensemble.last_seen.oracle_path().is_some() {
            continue;
        }
        let problem = if key == "version" {
            i64::from_str_radix(value, 16).err().map(|error| error.to_string())
        } else if let Err(error) = number.parse::<i64>() {
            Some(format!("{number:?} in the key must be a whole number: {error}"))
        } else if key.starts_with("server.") {
            server(Sid(0), value, ensemble).err().filter(is_out_of_range).map(|e| e.to_string())
        } else if key.starts_with("group") {
            let mut sids = string_utils::split(value, ':').into_iter();
            sids.find_map(|sid| sid.parse::<i64>().err()).map(|error| error.to_string())
        } else {
            value.parse::<i64>().err().map(|error| error.to_string())
        };
        if let Some(problem) = problem {
            return Err(refuse_as_malformed(&format!("{key}={value}: {problem}")));
        }
    }
    Ok(())
}

/// The members of the last seen configuration, without those that leave and with those that join.
fn changed_members(
    request: &ReconfigRequest,
    ensemble: &Ensemble<'_>,
) -> Result<QuorumMembers, KeeperError> {
    if ensemble.last_seen.kind() == VerifierKind::Hierarchical {
        warn!(
            target: LOG,
            "Incremental reconfiguration requested but last configuration seen has a non-majority quorum system"
        );
        return Err(KeeperError::BadArguments);
    }
    let mut members = ensemble.last_seen.members().clone();
    let listed = |servers: &Option<String>| -> Vec<String> {
        let all = string_utils::split_trimmed(servers.as_deref().unwrap_or_default(), ',');
        all.into_iter().map(str::to_owned).collect()
    };
    for leaving in listed(&request.leaving_servers) {
        members.servers.remove(&sid(&leaving)?);
    }
    for joining in listed(&request.joining_servers) {
        let joiner = joiner(&joining, ensemble)?;
        let others = members.servers.values().filter(|other| other.id != joiner.id);
        for other in others {
            joiner.check_address_duplicate(other).map_err(|problem| refuse(&problem))?;
        }
        members.servers.insert(joiner.id, joiner);
    }
    Ok(members)
}

/// A server that joins: `server.N=server_spec;client_spec`, with a client port.
fn joiner(text: &str, ensemble: &Ensemble<'_>) -> Result<QuorumServer, KeeperError> {
    let parts = string_utils::split_trimmed(text, '=');
    let [key, spec] = parts.as_slice() else {
        return Err(refuse(&format!("Wrong format of server string: {text}")));
    };
    let number = key.rsplit_once('.').map_or(*key, |(_, number)| number);
    let joiner = server(sid(number)?, spec, ensemble).map_err(|problem| {
        let problem_text = format!("{text}: {problem}");
        if is_out_of_range(&problem) {
            refuse_as_malformed(&problem_text)
        } else {
            refuse(&problem_text)
        }
    })?;
    if joiner.client_address.is_none() {
        return Err(refuse(&format!(
            "Wrong format of server string {text} - each server should have 3 ports specified"
        )));
    }
    Ok(joiner)
}

fn server(
    sid: Sid,
    spec: &str,
    ensemble: &Ensemble<'_>,
) -> Result<QuorumServer, QuorumServerError> {
    QuorumServer::parse(sid, spec, ensemble.multi_address, ensemble.resolve)
}

fn sid(number: &str) -> Result<Sid, KeeperError> {
    number.parse().map(Sid).map_err(|error| {
        refuse_as_malformed(&format!("{number:?} is not the id of a server: {error}"))
    })
}

/// Whether the port is a number, but not that of a port.
fn is_out_of_range(error: &QuorumServerError) -> bool {
    matches!(error, QuorumServerError::Port(_, port) if port.parse::<i32>().is_ok())
}

fn refuse(problem: &dyn std::fmt::Display) -> KeeperError {
    warn!(target: LOG, "Reconfiguration failed: {problem}");
    KeeperError::BadArguments
}

fn refuse_as_malformed(problem: &dyn std::fmt::Display) -> KeeperError {
    warn!(target: LOG, "Reconfiguration failed, the request is malformed: {problem}");
    KeeperError::MarshallingError
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::quorum::flexible::test_members::{majority_of, server, voters};
    use crate::server::quorum::states::LearnerType;

    const ZXID: Zxid = Zxid::new(3, 7);

    struct Given {
        current: Arc<dyn QuorumVerifier>,
        last_seen: Arc<dyn QuorumVerifier>,
        is_one_planned: bool,
        standalone_enabled: bool,
        /// The servers that are connected and synced.
        synced: Vec<i64>,
    }

    impl Given {
        fn voters(sids: &[i64]) -> Self {
            let current = majority_of(sids);
            Self {
                last_seen: Arc::clone(&current),
                current,
                is_one_planned: false,
                standalone_enabled: true,
                synced: sids.to_vec(),
            }
        }

        fn ask(&self, request: &ReconfigRequest) -> Result<Arc<dyn QuorumVerifier>, KeeperError> {
            let is_synced = |verifier: &dyn QuorumVerifier| {
                let synced = self.synced.iter().map(|sid| Sid(*sid));
                let synced = synced.filter(|sid| verifier.is_voter(*sid)).collect();
                verifier.contains_quorum(&synced)
            };
            let ensemble = Ensemble {
                current: &*self.current,
                last_seen: &*self.last_seen,
                is_one_planned: self.is_one_planned,
                standalone_enabled: self.standalone_enabled,
                multi_address: false,
                resolve: &|host| (host == "h").then(|| [10, 0, 0, 1].into()),
                is_quorum_synced: &is_synced,
            };
            next_config(request, ZXID, &ensemble)
        }
    }

    fn request(joining: &str, leaving: &str, all: &str) -> ReconfigRequest {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ReconfigRequest {
            joining_servers: given(joining),
            leaving_servers: given(leaving),
            new_members: given(all),
            cur_config_id: -1,
        }
    }

    fn refusal(given: &Given, request: &ReconfigRequest) -> Option<KeeperError> {
        given.ask(request).err()
    }

    #[test]
    fn servers_join_leave_and_change() {
        let mut given = Given::voters(&[1, 2, 3]);
        given.synced.push(4);
        let config = given.ask(&request("server.4=h:1:2:participant;3", "1, 9", "")).unwrap();
        assert_eq!(config.version(), ZXID.0);
        let ids: Vec<i64> = config.members().servers.keys().map(|sid| sid.0).collect();
        assert_eq!(ids, [2, 3, 4]);
        let config =
            given.ask(&request("server.3=h:1:2:observer;3,x.y.4=h:4:5;6", "", "")).unwrap();
        assert_eq!(config.voters().iter().map(|sid| sid.0).collect::<Vec<_>>(), [1, 2, 4]);
        let config = given.ask(&request("", "", "")).unwrap();
        assert!(config.same_as(&*given.current), "nothing but the version changes");
    }

    #[test]
    fn all_members_are_named_with_commas_or_lines() {
        let given = Given::voters(&[1, 2, 3]);
        let all = "server.1=h:1:2;3,server.2=h:4:5;6\nserver.3=h:7:8";
        let config = given.ask(&request("", "", all)).unwrap();
        assert_eq!(config.voters().len(), 3);
        assert_eq!(config.version(), ZXID.0);
        let grouped = format!("{all},group.1=1:2,group.2=3,weight.3=0");
        assert_eq!(
            given.ask(&request("", "", &grouped)).unwrap().kind(),
            VerifierKind::Hierarchical
        );
        // What is to join or to leave does not count beside all members.
        assert!(given.ask(&request("nonsense", "x", all)).is_ok());
    }

    #[test]
    fn one_at_a_time_and_from_the_expected_version_only() {
        let mut given = Given::voters(&[1, 2, 3]);
        let mut versioned = request("", "3", "");
        versioned.cur_config_id = 5;
        assert_eq!(refusal(&given, &versioned), Some(KeeperError::BadVersion));
        versioned.cur_config_id = 0;
        assert_eq!(refusal(&given, &versioned), None);
        given.is_one_planned = true;
        assert_eq!(refusal(&given, &versioned), Some(KeeperError::ReconfigInProgress));
        given.is_one_planned = false;
        let mut pending = voters(&[1, 2]);
        pending.version = 9;
        given.last_seen = from_members(pending, None);
        versioned.cur_config_id = 5;
        assert_eq!(refusal(&given, &versioned), Some(KeeperError::ReconfigInProgress));
    }

    #[test]
    fn a_synced_quorum_and_enough_voters_are_needed() {
        let mut given = Given::voters(&[1, 2, 3]);
        let add_two = request("server.4=h:1:2;3,server.5=h:4:5;6", "", "");
        assert_eq!(refusal(&given, &add_two), None, "three of five are synced");
        given.synced.pop();
        assert_eq!(refusal(&given, &add_two), Some(KeeperError::NewConfigNoQuorum));
        assert_eq!(refusal(&given, &request("", "2,3", "")), Some(KeeperError::BadArguments));
        given.standalone_enabled = false;
        assert_eq!(refusal(&given, &request("", "2,3", "")), None);
        assert_eq!(refusal(&given, &request("", "1,2,3", "")), Some(KeeperError::BadArguments));
    }

    #[test]
    fn groups_change_only_as_a_whole() {
        let mut members = voters(&[1, 2]);
        members.hierarchy = Some(crate::server::quorum::flexible::quorum_members::Hierarchy {
            group_of: [(Sid(1), 1), (Sid(2), 1)].into(),
            weight_of: [(Sid(1), 1), (Sid(2), 1)].into(),
        });
        let mut given = Given::voters(&[1, 2]);
        given.current = from_members(members, None);
        given.last_seen = Arc::clone(&given.current);
        assert_eq!(refusal(&given, &request("", "9", "")), Some(KeeperError::BadArguments));
        let all = "server.1=h:1:2,server.2=h:4:5,group.1=1,group.2=2";
        assert_eq!(refusal(&given, &request("", "", all)), None);
    }

    #[test]
    fn malformed_requests_get_javas_answers() {
        let (bad, malformed) = (KeeperError::BadArguments, KeeperError::MarshallingError);
        let mut given = Given::voters(&[1, 2, 3]);
        let mut near = server(3, LearnerType::Participant);
        for address in near.addresses.iter_mut().chain(&mut near.election_addresses) {
            address.address = Some([10, 0, 0, 1].into());
        }
        let mut members = voters(&[1, 2]);
        members.servers.insert(Sid(3), near);
        given.current = from_members(members, None);
        given.last_seen = Arc::clone(&given.current);
        for (joining, answer) in [
            ("nonsense", bad),
            ("server.4=h:1:2", bad),
            ("server.4=h:1:2=;3", bad),
            ("server.4=h:1;3", bad),
            ("server.4=h:1:1;3", bad),
            ("server.4=h:x:1;3", bad),
            ("server.4=h:1:2:voter;3", bad),
            ("server.4=h:1:2|i:1:2;3", bad),
            ("server.4=h:31:2;3", bad),
            ("server.4=h:1:2;h:32", bad),
            ("server.x=h:1:2;3", malformed),
            ("server.4=h:1:70000;3", malformed),
            ("server.4=h:-1:2;3", malformed),
        ] {
            assert_eq!(refusal(&given, &request(joining, "", "")), Some(answer), "{joining}");
        }
        assert_eq!(refusal(&given, &request("", "one", "")), Some(malformed));
        let two = "server.1=h:1:2,server.2=h:3:4";
        for (all, answer) in [
            ("nonsense", bad),
            ("tickTime=3", bad),
            ("server.1=h", bad),
            ("server.1=h:1:2;3", bad),
            (&format!("{two},group.1=1"), bad),
            (&format!("{two},group.1=1:2,group.2=2"), bad),
            ("server.x=h:1:2", malformed),
            ("server.1=h:1:70000", malformed),
            (&format!("{two},version=x"), malformed),
            (&format!("{two},group.1=1:x"), malformed),
            (&format!("{two},group.1=1:2:9"), malformed),
            (&format!("{two},group.1=1:2,weight.1=x"), malformed),
            ("server.1=h:1:2:observer", malformed),
            ("server.1=h:1:2,server.2=h:3:4:observer", malformed),
        ] {
            assert_eq!(refusal(&given, &request("", "", all)), Some(answer), "{all}");
        }
    }
}
