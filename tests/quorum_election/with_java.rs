//! Elections with Java's servers. They tell our server whom they follow, or follow our server.
//!
//! `PEERS_DIR` is the directory with the Java servers. The default is `tests/.peers`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};
use zookeeper_server::ids::{PeerEpoch, Sid, Zxid};
use zookeeper_server::internals::server::quorum::election::ElectionPeer;
use zookeeper_server::internals::server::quorum::states::ServerState;

use crate::common::{DEADLINE, TempDir, free_port, wait_for, wait_until};
use crate::member::Ensemble;

/// A Java server.
struct Java {
    process: Child,
    log: PathBuf,
}

impl Java {
    fn start(ensemble: &Ensemble, sid: i64, version: &str, dir: &Path) -> Self {
        let dir = dir.join(sid.to_string());
        fs::create_dir_all(dir.join("data")).unwrap();
        fs::write(dir.join("data/myid"), sid.to_string()).unwrap();
        let mut lines = vec![
            "tickTime=2000".to_owned(),
            "initLimit=30".to_owned(),
            "syncLimit=30".to_owned(),
            format!("dataDir={}", dir.join("data").display()),
            format!("clientPort={}", free_port()),
        ];
        if version != "3.4.14" {
            lines.push("admin.enableServer=false".to_owned());
        }
        let servers = ensemble.members.servers.values();
        lines.extend(servers.map(|server| format!("server.{}={server}", server.id)));
        let config = dir.join("zoo.cfg");
        fs::write(&config, lines.join("\n")).unwrap();
        let log = dir.join("java.log");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/java_server.sh");
        let output = File::create(dir.join("java.out")).unwrap();
        let process = Command::new(script)
            .arg(version)
            .args([&config, &log])
            .env("JVMFLAGS", "-Dzookeeper.admin.enableServer=false")
            .stdin(Stdio::null())
            .stderr(output.try_clone().unwrap())
            .stdout(output)
            .process_group(0)
            .spawn()
            .unwrap();
        Self { process, log }
    }

    fn has_logged(&self, words: &str) -> bool {
        fs::read_to_string(&self.log).is_ok_and(|log| log.contains(words))
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        let group = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _gone_already = kill_process_group(group, Signal::KILL);
        }
        let _reaped = self.process.wait();
    }
}

/// Two Java servers form an ensemble. Our server comes later with a longer history, and learns whom to follow.
fn ours_comes_late(versions: [&str; 2]) {
    let ensemble = Ensemble::of(&[1, 2, 3]);
    let dir = TempDir::new("election-late");
    let javas: Vec<Java> = (1..)
        .zip(versions)
        .map(|(sid, version)| Java::start(&ensemble, sid, version, dir.path()))
        .collect();
    wait_until("one of Java's leads", DEADLINE, || {
        javas.iter().any(|java| java.has_logged("LEADING - LEADER ELECTION TOOK"))
    });
    wait_until("one of Java's follows", DEADLINE, || {
        javas.iter().any(|java| java.has_logged("FOLLOWING - LEADER ELECTION TOOK"))
    });
    let leader = javas.iter().position(|java| java.has_logged("LEADING - LEADER ELECTION TOOK"));
    let leader = Sid(i64::try_from(leader.unwrap()).unwrap() + 1);
    let three = ensemble.member(3, Zxid::new(7, 7), PeerEpoch(7));
    assert_eq!(three.look_for_leader().expect("a leader").id, leader);
    assert_eq!(three.peer.peer_state(), ServerState::Following);
}

/// Our server has a longer history than the one Java server. Our server leads and Java follows, whichever of the two
/// has the larger id and so keeps the connection.
fn ours_leads(version: &str, java_sid: i64) {
    let ensemble = Ensemble::of(&[1, 2, 3]);
    let dir = TempDir::new("election-lead");
    let two = ensemble.member(2, Zxid::new(1, 7), PeerEpoch(1));
    thread::scope(|scope| {
        let looking = scope.spawn(|| two.look_for_leader());
        let java = Java::start(&ensemble, java_sid, version, dir.path());
        let vote = wait_for(DEADLINE, || looking.is_finished().then_some(()));
        assert!(vote.is_some(), "no leader in time");
        assert_eq!(looking.join().unwrap().expect("a leader").id, Sid(2));
        assert_eq!(two.peer.peer_state(), ServerState::Leading);
        wait_until("Java's follows", DEADLINE, || java.has_logged("FOLLOWING"));
    });
}

#[test]
#[ignore = "needs Java 3.4"]
fn ours_is_told_the_leader_by_3_4() {
    ours_comes_late(["3.4.14", "3.4.14"]);
}

#[test]
#[ignore = "needs Java 3.5"]
fn ours_is_told_the_leader_by_3_5() {
    ours_comes_late(["3.5.10", "3.5.10"]);
}

#[test]
#[ignore = "needs Java 3.9"]
fn ours_is_told_the_leader_by_3_9() {
    ours_comes_late(["3.9.5", "3.9.5"]);
}

#[test]
#[ignore = "needs Java 3.4 and 3.9"]
fn ours_is_told_the_leader_by_3_4_and_3_9() {
    ours_comes_late(["3.4.14", "3.9.5"]);
}

#[test]
#[ignore = "needs Java 3.4"]
fn ours_is_followed_by_3_4() {
    ours_leads("3.4.14", 1);
    ours_leads("3.4.14", 3);
}

#[test]
#[ignore = "needs Java 3.5"]
fn ours_is_followed_by_3_5() {
    ours_leads("3.5.10", 1);
    ours_leads("3.5.10", 3);
}

#[test]
#[ignore = "needs Java 3.9"]
fn ours_is_followed_by_3_9() {
    ours_leads("3.9.5", 1);
    ours_leads("3.9.5", 3);
}
