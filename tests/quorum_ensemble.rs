//! Ensembles of our servers: they serve together, members are killed under load, and learners catch up in every way
//! (no Java twin).
//!
//! `cargo test --test quorum_ensemble -- --ignored java` runs the same tests against Java's servers, to test the
//! tests. `tests/ensemble/run.py` has mixed ensembles and more scenarios.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]
#![allow(clippy::print_stdout, reason = "figures of a run, shown when it fails")]

mod common;
#[path = "common/ensemble.rs"]
mod ensemble;

use common::{DEADLINE, Program, wait_for, wait_until};
use ensemble::{CatchUp, Ensemble, Mode, create, on_both, tree_of, under_load};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::ids::Zxid;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::proto::CreateRequest;
use zookeeper_server::zoo_defs::{OpCode, ids};

const JAVA: Program = Program::Java("3.9.5");

/// More transactions than a leader keeps in memory.
const MORE_THAN_COMMITTED_LOG: usize = 620;

const KILLS: usize = 3;

/// A client of each member can read what was written through every other member.
fn serves(program: Program, voters: usize, observers: usize) {
    let mut ensemble = Ensemble::start(program, voters, observers);
    let clients: Vec<_> = ensemble.members.iter().map(|member| member.server.client()).collect();
    for client in &clients {
        let path = ensemble.new_root("through");
        for other in &clients {
            assert_eq!(other.exists(&path, true).unwrap(), None);
        }
        create(client, &path, CreateMode::Persistent).unwrap();
        create(client, &format!("{path}/e"), CreateMode::Ephemeral).unwrap();
        for other in &clients {
            assert_eq!(other.next_watch_event().path.as_deref(), Some(path.as_str()));
            other.sync(&path).unwrap();
            let stat = other.exists(&format!("{path}/e"), false).unwrap().unwrap();
            assert_eq!(stat.ephemeral_owner, client.session_id().0);
        }
    }
    for client in clients {
        client.close();
    }
    let tree = ensemble.same_trees();
    assert!(tree.values().all(|(_, stat, _)| stat.ephemeral_owner == 0), "{tree:?}");
}

/// Kills members in that mode under load, one after the other, and starts them again.
fn killed_under_load(program: Program, voters: usize, mode: Mode) {
    let mut ensemble = Ensemble::start(program, voters, 0);
    let told = under_load(&mut ensemble, |ensemble, load| {
        for _ in 0..KILLS {
            load.goes_on();
            ensemble.wait_leader();
            let victim = ensemble.wait_at(mode);
            ensemble.members[victim].kill9();
            ensemble.wait_serving();
            load.goes_on();
            ensemble.members[victim].start();
            ensemble.wait_serving();
        }
    });
    let tree = ensemble.same_trees();
    for writer in &told {
        writer.check(&tree);
        println!("{} acknowledged, {} lost", writer.count(), writer.lost);
        assert!(writer.count() > KILLS, "there was a load");
    }
}

/// A follower and an observer miss `missed` transactions, and catch up in the given way.
fn catches_up(program: Program, missed: usize, way: CatchUp) {
    let mut ensemble = Ensemble::start(program, 3, 1);
    // Without earlier transactions, the leader has nothing from which it could make a DIFF.
    ensemble.write(5);
    ensemble.same_trees();
    for mode in [Mode::Follower, Mode::Observer] {
        let learner = ensemble.wait_at(mode);
        ensemble.members[learner].stop();
        ensemble.write(missed);
        ensemble.members[learner].start();
        ensemble.wait_serving();
        assert_eq!(ensemble.members[learner].caught_up_by(), [way], "{mode:?}");
        ensemble.same_trees();
    }
}

/// A leader is killed with a proposal that no other member has seen. It must forget this proposal.
fn forgets_its_own(program: Program) {
    // The long syncLimit keeps leader and followers together until the leader has logged the proposal.
    // The long session timeouts keep sessions from ending in the next epoch before the old leader is back. After such
    // a transaction, the new leader could not tell it to truncate.
    let lines = ["syncLimit=60", "minSessionTimeout=120000", "maxSessionTimeout=120000"];
    let mut ensemble = Ensemble::start_of(&[program; 3], 3, &lines);
    let leader = ensemble.wait_leader();
    let root = ensemble.new_root("lost");
    create(&ensemble.members[leader].server.client(), &root, CreateMode::Persistent).unwrap();
    ensemble.same_trees();
    let mut cnxn = ensemble.members[leader].server.raw();
    // The session must exist before the other members are frozen, because a new session needs them.
    assert!(cnxn.new_session().session_id.0 != 0);
    let others: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    for other in &others {
        ensemble.members[*other].freeze();
    }
    let log_dir = ensemble.members[leader].server.version_dir();
    let request = CreateRequest {
        path: format!("{root}/never"),
        data: None,
        acl: Some(ids::open_acl_unsafe()),
        flags: 0,
    };
    cnxn.send_request(1, OpCode::Create.code(), &request.to_bytes());
    wait_until("the leader has logged what it proposed", DEADLINE, || {
        let files = std::fs::read_dir(&log_dir).unwrap().map(|entry| entry.unwrap().path());
        let mut logs = files.filter(|path| path.to_string_lossy().contains("/log."));
        logs.any(|path| {
            let log = std::fs::read(path).unwrap();
            log.windows(request.path.len()).any(|bytes| bytes == request.path.as_bytes())
        })
    });
    ensemble.members[leader].kill9();
    // The other members have never read the proposal.
    for other in &others {
        ensemble.members[*other].kill9();
    }
    for other in &others {
        ensemble.members[*other].start();
    }
    ensemble.wait_serving();
    ensemble.members[leader].start();
    ensemble.wait_serving();
    assert_eq!(ensemble.members[leader].caught_up_by(), [CatchUp::Trunc]);
    let tree = tree_of(&ensemble.members[leader].server.client());
    assert!(!tree.contains_key(&request.path), "what was never committed is there");
    ensemble.same_trees();
}

/// Each epoch begins near the end of its zxids. When they are used up, the leader steps down, and nothing is lost.
fn epochs_end(program: Program) {
    let line = format!("testingonly.initialZxid={}", u32::MAX - 300);
    let mut ensemble = Ensemble::start_of(&[program; 3], 3, &[&line]);
    let epoch = |ensemble: &Ensemble| {
        let leader = &ensemble.members[ensemble.at(Mode::Leader)?];
        let answer = leader.server.four_letter_word("srvr")?;
        let zxid = answer.lines().find_map(|line| line.strip_prefix("Zxid: 0x"))?;
        Some(Zxid(i64::from_str_radix(zxid, 16).ok()?).epoch())
    };
    let first = wait_for(DEADLINE, || epoch(&ensemble)).expect("a leader");
    let told = under_load(&mut ensemble, |ensemble, load| {
        wait_until("three epochs have used up their zxids", 2 * DEADLINE, || {
            epoch(ensemble).is_some_and(|now| now >= first + 3)
        });
        load.goes_on();
    });
    let words = "zxid lower 32 bits have rolled over";
    assert!(ensemble.members.iter().any(|member| member.server.log().contains(words)));
    let tree = ensemble.same_trees();
    for writer in &told {
        writer.check(&tree);
        println!("{} acknowledged, {} lost", writer.count(), writer.lost);
    }
}

on_both! {
    a_leader_whose_zxids_are_used_up_steps_down_and_nothing_is_lost: epochs_end;
    three_members_serve_together: |program| serves(program, 3, 0);
    five_members_serve_together: |program| serves(program, 5, 0);
    three_voters_and_two_observers_serve_together: |program| serves(program, 3, 2);
    killed_leaders_lose_nothing: |program| killed_under_load(program, 3, Mode::Leader);
    killed_followers_lose_nothing: |program| killed_under_load(program, 5, Mode::Follower);
    who_misses_little_gets_a_diff: |program| catches_up(program, 50, CatchUp::Diff);
    who_misses_much_gets_a_snapshot:
        |program| catches_up(program, MORE_THAN_COMMITTED_LOG, CatchUp::Snap);
    what_nobody_else_has_seen_is_truncated: forgets_its_own;
}
