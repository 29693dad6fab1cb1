//! How the configuration of an ensemble affects its members: an oracle for two members, and a leader of Java or of ours
//! that changes the membership of both kinds (Java: QuorumOracleMaj.java, QuorumPeer.processReconfig).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod common;
#[path = "common/ensemble.rs"]
mod ensemble;

use std::collections::BTreeSet;
use std::fs;

use common::{DEADLINE, Program, TempDir, free_port, wait_for, wait_until};
use ensemble::{Ensemble, Mode, create};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::internals::proto::ReconfigRequest;
use zookeeper_server::zoo_defs::OpCode;

const JAVA: Program = Program::Java("3.9.5");

/// A member goes on alone while its oracle allows that, and stops when the oracle no longer does.
fn goes_on_alone(program: Program) {
    let dir = TempDir::new("oracle");
    let oracle = dir.path().join("oracle");
    fs::write(&oracle, "0").unwrap();
    let line = format!("oraclePath={}", oracle.display());
    let mut ensemble = Ensemble::start_of(&[program; 2], 2, &[&line]);
    ensemble.write(10);
    let follower = ensemble.wait_at(Mode::Follower);
    let leader = ensemble.wait_leader();
    fs::write(&oracle, "1").unwrap();
    ensemble.members[follower].kill9();
    let client = ensemble.members[leader].server.client();
    let made = wait_for(DEADLINE, || create(&client, "/alone", CreateMode::Persistent).ok());
    assert_eq!(made.as_deref(), Some("/alone"));
    client.close();
    fs::write(&oracle, "0").unwrap();
    wait_until("it leads no more", DEADLINE, || {
        let answer = ensemble.members[leader].server.four_letter_word("srvr");
        answer.is_some_and(|answer| !answer.contains("Mode: leader"))
    });
    ensemble.members[follower].start();
    ensemble.wait_serving();
    assert!(ensemble.same_trees().contains_key("/alone"));
}

#[test]
fn one_of_two_goes_on_alone_when_the_oracle_says_so() {
    goes_on_alone(Program::Ours);
}

#[test]
#[ignore = "needs Java"]
fn one_of_two_of_java_goes_on_alone_when_the_oracle_says_so() {
    goes_on_alone(JAVA);
}

/// Asks the leader to reconfigure. Returns the new configuration.
fn reconfigure(ensemble: &Ensemble, joining: &str) -> String {
    let mut raw = ensemble.members[ensemble.wait_leader()].server.raw();
    raw.new_session();
    let request = ReconfigRequest {
        joining_servers: Some(joining.into()),
        leaving_servers: None,
        new_members: None,
        cur_config_id: -1,
    };
    let (header, body) = raw.ask(1, OpCode::Reconfig, &request);
    assert_eq!(header.err, 0, "{joining}");
    let length = i32::from_be_bytes(body[..4].try_into().unwrap());
    String::from_utf8(body[4..4 + usize::try_from(length).unwrap()].to_vec()).unwrap()
}

/// The lines of a configuration, without their order. A member that begins a role writes its own text, in which the
/// lines may have another order (as in Java).
fn lines_of(config: &str) -> BTreeSet<&str> {
    config.lines().collect()
}

/// Waits until all members have that configuration, in the tree and in their files.
fn all_have(ensemble: &Ensemble, config: &str) {
    let version = config.lines().find_map(|line| line.strip_prefix("version=")).unwrap();
    for (at, member) in ensemble.members.iter().enumerate() {
        let file = member.server.dir().join(format!("zoo.cfg.dynamic.{version}"));
        wait_until(&format!("member {} has a file of {version}", at + 1), DEADLINE, || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let servers = config.lines().filter(|line| line.starts_with("server."));
            servers.into_iter().all(|line| text.contains(line))
        });
        let mut shown = String::new();
        let is_shown = wait_for(DEADLINE, || {
            let client = member.server.client();
            let (data, _) = client.get_data("/zookeeper/config", false).ok()?;
            client.close();
            shown = String::from_utf8(data.unwrap_or_default()).unwrap();
            (lines_of(&shown) == lines_of(config)).then_some(())
        });
        assert!(is_shown.is_some(), "member {} shows\n{shown}\nnot\n{config}", at + 1);
    }
}

/// One of the followers becomes an observer, a server joins, and the observer becomes a follower.
fn the_leader_changes_the_membership(programs: &[Program], of_leader: Program) {
    let lines = ["reconfigEnabled=true", "skipACL=yes"];
    let mut ensemble = Ensemble::start_of(programs, 3, &lines);
    assert_eq!(programs[ensemble.wait_leader()], of_leader);
    ensemble.write(10);
    let line = |sid: i32, role: &str| {
        let (quorum, election, client) = (free_port(), free_port(), free_port());
        format!("server.{sid}=127.0.0.1:{quorum}:{election}:{role};127.0.0.1:{client}")
    };
    let config = reconfigure(&ensemble, &line(9, "observer"));
    assert!(config.contains("server.9="), "{config}");
    all_have(&ensemble, &config);
    // An observer becomes a follower at the same addresses.
    let observer = config.lines().find(|line| line.starts_with("server.4=")).unwrap();
    let (addresses, _) = observer.split_once(":observer").unwrap();
    let client_port = ensemble.members[3].server.client_port();
    let voter = format!("{addresses}:participant;127.0.0.1:{client_port}");
    let config = reconfigure(&ensemble, &voter);
    ensemble.members[3].is_observer = false;
    ensemble.wait_serving();
    all_have(&ensemble, &config);
    ensemble.write(10);
    ensemble.same_trees();
}

#[test]
#[ignore = "needs Java"]
fn a_java_leader_changes_the_membership_and_our_members_follow() {
    let ours = Program::Ours;
    the_leader_changes_the_membership(&[ours, JAVA, JAVA, ours], JAVA);
}

#[test]
#[ignore = "needs Java"]
fn our_leader_changes_the_membership_and_java_members_follow() {
    let ours = Program::Ours;
    the_leader_changes_the_membership(&[JAVA, JAVA, ours, JAVA], ours);
}
