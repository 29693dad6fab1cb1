//! Our follower and observer with Java leaders of every release line (Java: Learner.java against Leader.java and
//! LearnerHandler.java). Java's servers elect the leader, and the test tells our member who leads.
//!
//! The tests need the Java servers that `tests/peers/install.sh` installs: `cargo test --test quorum_learner_java --
//! --ignored`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod common;
#[path = "quorum/scripted_leader.rs"]
mod scripted_leader;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use common::{
    Client, DEADLINE, Program, Server, ServerBuilder, TempDir, client_config, free_port, wait_for,
    wait_until,
};
use scripted_leader::{As, Member};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::ids::{Sid, Zxid};
use zookeeper_server::internals::server::zookeeper_thread;
use zookeeper_server::zoo_defs::ids;

/// Java servers 1 and 3, which are a quorum of three.
struct Ensemble {
    servers: [Server; 2],
    lines: String,
}

impl Ensemble {
    fn start(version: &'static str) -> Self {
        let line = |n| format!("server.{n}=127.0.0.1:{}:{}", free_port(), free_port());
        let lines: Vec<String> = (1..=3).map(line).collect();
        let server = |id: &str| {
            let mut builder = ServerBuilder::new().program(Program::Java(version));
            for line in ["tickTime=500", "initLimit=40", "syncLimit=20", "maxSessionTimeout=60000"]
            {
                builder = builder.config(line);
            }
            builder = lines.iter().fold(builder, |builder, line| builder.config(line));
            let mut server = builder.prepare();
            fs::write(server.dir().join("data/myid"), id).unwrap();
            server.spawn();
            server
        };
        let ensemble = Self { servers: [server("1"), server("3")], lines: lines.join("\n") };
        wait_until("the Java servers serve", DEADLINE, || {
            ensemble.servers.iter().all(Server::serves)
        });
        ensemble
    }

    fn leader(&self) -> (&Server, Sid) {
        let leads = |server: &&Server| {
            server.four_letter_word("srvr").is_some_and(|answer| answer.contains("Mode: leader"))
        };
        let found = wait_for(DEADLINE, || self.servers.iter().position(|server| leads(&server)));
        let at = found.expect("somebody leads");
        (&self.servers[at], if at == 0 { Sid(1) } else { Sid(3) })
    }
}

fn client_of(member: &Member) -> Client {
    Client::connect(&format!("127.0.0.1:{}", member.client_port), client_config())
}

fn create(client: &Client, path: &str) {
    let acl = ids::open_acl_unsafe();
    client.zk.create(path, Some(path.as_bytes()), acl, CreateMode::Persistent).unwrap();
}

/// The data and stat of all nodes except those of the system, by path.
fn tree(client: &Client) -> Vec<String> {
    client.zk.sync("/").unwrap();
    let mut paths = vec!["/".to_owned()];
    let mut nodes = Vec::new();
    while let Some(path) = paths.pop() {
        let (data, stat) = client.zk.get_data(&path, false).unwrap();
        nodes.push(format!("{path} {data:?} {stat:?}"));
        let mut children = client.zk.get_children(&path, false).unwrap();
        children.sort();
        let below = |child| format!("{}/{child}", if path == "/" { "" } else { &path });
        paths.extend(children.iter().filter(|child| *child != "zookeeper").map(below));
    }
    nodes
}

#[track_caller]
fn expect_same(java: &Client, ours: &Client) {
    assert_eq!(tree(java), tree(ours));
}

/// A member joins with no data, comes back a little behind, comes back far behind, and restarts.
fn comes_and_goes(version: &'static str, what: As) {
    let ensemble = Ensemble::start(version);
    let (leader, sid) = ensemble.leader();
    let java = leader.client();
    (0..20).for_each(|n| create(&java, &format!("/before{n}")));
    let dir = Arc::new(TempDir::new("learner-java"));
    let mut member = Member::among(Arc::clone(&dir), &ensemble.lines, sid);
    member.start(what);
    let ours = client_of(&member);
    expect_same(&java, &ours);
    (0..20).for_each(|n| create(&ours, &format!("/through{n}")));
    let ephemeral = (ids::open_acl_unsafe(), CreateMode::Ephemeral);
    ours.zk.create("/ephemeral", None, ephemeral.0, ephemeral.1).unwrap();
    ours.zk.delete("/before3", -1).unwrap();
    assert!(ours.zk.delete("/before3", -1).is_err());
    assert!(
        ours.zk.create("/through1", None, ids::open_acl_unsafe(), CreateMode::Persistent).is_err()
    );
    (0..20).for_each(|n| create(&java, &format!("/beside{n}")));
    expect_same(&java, &ours);
    ours.zk.close();
    wait_until("the session's node is gone", DEADLINE, || {
        java.zk.exists("/ephemeral", false).unwrap().is_none()
    });
    for (round, txns) in [(1, 5), (2, 700)] {
        member.role().shutdown();
        member.ended();
        (0..txns).for_each(|n| create(&java, &format!("/round{round}-{n}")));
        member.start(what);
        let ours = client_of(&member);
        expect_same(&java, &ours);
        create(&ours, &format!("/again{round}"));
        expect_same(&java, &ours);
    }
    member.role().shutdown();
    member.ended();
    let last = member.peer.last_logged_zxid().unwrap();
    drop(member);
    let mut member = Member::among(dir, &ensemble.lines, sid);
    assert_eq!(member.peer.last_logged_zxid().unwrap(), last, "what was applied was on disk");
    assert!(last > Zxid::ZERO && member.exit_code().is_none());
    member.start(what);
    expect_same(&java, &client_of(&member));
}

/// A member is ended again and again, at any point, while a client writes.
fn comes_and_goes_under_load(version: &'static str, what: As) {
    const ROUNDS: u32 = 40;
    let ensemble = Ensemble::start(version);
    let (leader, sid) = ensemble.leader();
    let java = leader.client();
    let (written, is_over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let load = {
        let (client, written) = (leader.client(), Arc::clone(&written));
        let is_over = Arc::clone(&is_over);
        zookeeper_thread::spawn("Load", None, move || {
            while !is_over.load(Ordering::Relaxed) {
                create(&client, &format!("/load{}", written.fetch_add(1, Ordering::Relaxed)));
            }
            Ok::<(), String>(())
        })
    };
    let dir = Arc::new(TempDir::new("learner-java"));
    let mut member = Member::among(Arc::clone(&dir), &ensemble.lines, sid);
    for round in 0..ROUNDS {
        let wait_for_writes = |more: u32| {
            let until = written.load(Ordering::Relaxed) + more;
            wait_until("more is written", DEADLINE * (1 + more / 100), || {
                written.load(Ordering::Relaxed) >= until
            });
        };
        member.start(what);
        if round % 4 == 0 {
            create(&client_of(&member), &format!("/round{round}"));
        }
        // Each round waits for another number of writes, beginning with none.
        wait_for_writes(round * 7 % 50);
        member.role().shutdown();
        member.ended();
        assert_eq!(member.exit_code(), None);
        if round % 5 == 0 {
            drop(member);
            member = Member::among(Arc::clone(&dir), &ensemble.lines, sid);
        }
        if round % 13 == 0 {
            wait_for_writes(600);
        }
    }
    is_over.store(true, Ordering::Relaxed);
    zookeeper_thread::join(load.unwrap());
    member.start(what);
    expect_same(&java, &client_of(&member));
    member.role().shutdown();
    member.ended();
    drop(member);
    let again = Member::among(dir, &ensemble.lines, sid);
    let count = written.load(Ordering::Relaxed);
    for n in 0..count {
        let path = format!("/load{n}");
        assert!(again.peer.database().tree().read().node(&path).is_some(), "{path} of {count}");
    }
}

#[test]
#[ignore = "needs Java"]
fn a_follower_of_java_3_9_that_is_ended_under_load() {
    comes_and_goes_under_load("3.9.5", As::Follower);
}

#[test]
#[ignore = "needs Java"]
fn a_follower_of_java_3_4_that_is_ended_under_load() {
    comes_and_goes_under_load("3.4.14", As::Follower);
}

#[test]
#[ignore = "needs Java"]
fn an_observer_of_java_3_9_that_is_ended_under_load() {
    comes_and_goes_under_load("3.9.5", As::Observer);
}

#[test]
#[ignore = "needs Java"]
fn a_follower_of_java_3_9() {
    comes_and_goes("3.9.5", As::Follower);
}

#[test]
#[ignore = "needs Java"]
fn a_follower_of_java_3_8() {
    comes_and_goes("3.8.6", As::Follower);
}

#[test]
#[ignore = "needs Java"]
fn a_follower_of_java_3_6() {
    comes_and_goes("3.6.4", As::Follower);
}

#[test]
#[ignore = "needs Java"]
fn a_follower_of_java_3_5() {
    comes_and_goes("3.5.10", As::Follower);
}

#[test]
#[ignore = "needs Java"]
fn a_follower_of_java_3_4() {
    comes_and_goes("3.4.14", As::Follower);
}

#[test]
#[ignore = "needs Java"]
fn an_observer_of_java_3_9() {
    comes_and_goes("3.9.5", As::Observer);
}

#[test]
#[ignore = "needs Java"]
fn an_observer_of_java_3_4() {
    comes_and_goes("3.4.14", As::Observer);
}
