//! What clients see of the members of an ensemble: local sessions that become global, writes that are refused early,
//! watches that survive the restart of a member, and quorums of groups (Java: QuorumZooKeeperServer.java,
//! LeaderRequestProcessor.java, QuorumHierarchical.java).
//!
//! `cargo test --test quorum_clients -- --ignored java` runs the same tests against Java's servers, to test the
//! tests. `tests/ensemble/sessions.py` tests more of this, with members of several versions.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod common;
#[path = "common/ensemble.rs"]
mod ensemble;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Client, DEADLINE, Program, client_config, request_frame, wait_for, wait_until};
use ensemble::{Ensemble, Member, Mode, create, on_both};
use zookeeper_server::add_watch_mode::AddWatchMode;
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::data::{ACL, Id};
use zookeeper_server::ids::Zxid;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::proto::{ConnectRequest, CreateRequest, SetDataRequest};
use zookeeper_server::keeper_exception::KeeperError;
use zookeeper_server::op::Op;
use zookeeper_server::watcher::EventType;
use zookeeper_server::zoo_defs::{OpCode, ids, perms};

const JAVA: Program = Program::Java("3.9.5");

const MODES: [Mode; 3] = [Mode::Leader, Mode::Follower, Mode::Observer];

const LOCAL_SESSIONS: [&str; 2] =
    ["localSessionsEnabled=true", "localSessionsUpgradingEnabled=true"];

/// A client of the first member in that mode.
fn client_at(ensemble: &Ensemble, mode: Mode) -> Client {
    ensemble.members[ensemble.wait_at(mode)].server.client()
}

/// The last zxid of the leader.
fn newest_zxid(ensemble: &Ensemble) -> Zxid {
    let answer = ensemble.members[ensemble.wait_leader()].server.wait_four_letter_word("srvr");
    let zxid = answer.lines().find_map(|line| line.strip_prefix("Zxid: 0x")).expect("a zxid");
    Zxid(i64::from_str_radix(zxid, 16).unwrap())
}

fn global_sessions(ensemble: &Ensemble) -> f64 {
    ensemble.members[ensemble.wait_leader()].server.monitor("global_sessions")
}

fn exists_everywhere(ensemble: &Ensemble, path: &str) -> Vec<bool> {
    let looks = ensemble.members.iter().map(|member| {
        let client = member.server.client();
        client.sync("/").unwrap();
        let there = client.exists(path, false).unwrap().is_some();
        client.close();
        there
    });
    looks.collect()
}

/// A local session costs no transaction until it creates an ephemeral node. Then it costs one, whatever the request
/// looks like.
fn local_sessions_become_global_once(program: Program) {
    let ensemble = Ensemble::start_of(&[program; 4], 3, &LOCAL_SESSIONS);
    for mode in MODES {
        let before = newest_zxid(&ensemble);
        for _ in 0..3 {
            let client = client_at(&ensemble, mode);
            client.get_data("/", false).unwrap();
            client.close();
        }
        assert_eq!(newest_zxid(&ensemble), before, "{mode:?}: sessions that come and go");

        let global_before = global_sessions(&ensemble);
        let client = client_at(&ensemble, mode);
        let path = format!("/{mode:?}");
        create(&client, &path, CreateMode::Persistent).unwrap();
        let made = client.exists(&path, false).unwrap().unwrap().czxid;
        // One ephemeral node in a multi is enough. The session's own transaction precedes the multi.
        let ops = ["/e", "/p", "/q"].map(|name| {
            let mode = if name == "/p" { CreateMode::Persistent } else { CreateMode::Ephemeral };
            Op::create(format!("{path}{name}"), Some(b"x".to_vec()), ids::open_acl_unsafe(), mode)
        });
        client.multi(ops.to_vec()).unwrap();
        let ephemeral = client.exists(&format!("{path}/e"), false).unwrap().unwrap();
        assert_eq!(ephemeral.czxid.0, made.0 + 2, "{mode:?}");
        assert_eq!(ephemeral.ephemeral_owner, client.session_id().0);
        create(&client, &format!("{path}/r"), CreateMode::Ephemeral).unwrap();
        let next = client.exists(&format!("{path}/r"), false).unwrap().unwrap();
        assert_eq!(next.czxid.0, ephemeral.czxid.0 + 1, "{mode:?}: it is global already");
        wait_until("the leader counts it", DEADLINE, || {
            global_sessions(&ensemble) == global_before + 1.0
        });
        client.close();
        assert_eq!(exists_everywhere(&ensemble, &format!("{path}/e")), [false; 4], "{mode:?}");

        // These sessions are closed before the server has answered.
        for _ in 0..5 {
            let client = client_at(&ensemble, mode);
            let path = format!("{path}/brief");
            let open = ids::open_acl_unsafe();
            let _not_awaited = client.submit_create(&path, None, open, CreateMode::Ephemeral);
            client.close();
        }
        assert_eq!(exists_everywhere(&ensemble, &format!("{path}/brief")), [false; 4], "{mode:?}");
    }
    wait_until("no session is left", DEADLINE, || global_sessions(&ensemble) == 0.0);
    ensemble.same_trees();
}

/// The member that a client asks refuses a write without permission itself: without a transaction, without a zxid,
/// and in the order of the requests.
fn refusals_use_no_transaction(program: Program) {
    let mut ensemble = Ensemble::start_of(&[program; 4], 3, &["enableEagerACLCheck=true"]);
    ensemble.write(1);
    let read_only =
        vec![ACL { perms: perms::READ, id: Id { scheme: "world".into(), id: "anyone".into() } }];
    let owner = client_at(&ensemble, Mode::Leader);
    owner.create("/closed", None, read_only, CreateMode::Persistent).unwrap();
    create(&owner, "/open", CreateMode::Persistent).unwrap();
    for mode in MODES {
        let member = &ensemble.members[ensemble.wait_at(mode)].server;
        let mut raw = member.raw();
        raw.new_session();
        member.client().sync("/").unwrap();
        let before = newest_zxid(&ensemble);
        let refused = SetDataRequest { path: "/closed".into(), data: None, version: -1 };
        let below = CreateRequest {
            path: "/closed/a".into(),
            data: None,
            acl: Some(ids::open_acl_unsafe()),
            flags: 0,
        };
        for xid in 1..=5 {
            let (header, body) = raw.ask(xid, OpCode::SetData, &refused);
            assert_eq!((header.xid, header.zxid.0), (xid, 0), "{mode:?}");
            assert_eq!((header.err, body.len()), (KeeperError::NoAuth.code(), 0), "{mode:?}");
            assert_eq!(raw.ask(xid, OpCode::Create, &below).0.err, KeeperError::NoAuth.code());
        }
        // The client that has synced may have closed its session since, which is one transaction.
        let after = newest_zxid(&ensemble);
        assert!(after.0 <= before.0 + 1, "{mode:?}: {before:?}, {after:?}");
        let allowed = SetDataRequest { path: "/open".into(), data: None, version: -1 };
        if program == Program::Ours {
            for (xid, request) in (10..).zip([&allowed, &refused, &allowed, &refused]) {
                raw.send_request(xid, OpCode::SetData.code(), &request.to_bytes());
            }
            for (xid, err) in (10..).zip([0, -102, 0, -102]) {
                let (header, _) = raw.receive_reply().unwrap();
                assert_eq!((header.xid, header.err), (xid, err), "{mode:?}");
            }
        }
        wait_until("nothing is outstanding", DEADLINE, || {
            member.monitor("outstanding_requests") == 0.0
        });
    }
    ensemble.same_trees();
}

/// A client's only member is killed and restarted. The client then gets all events that its watches have missed, and
/// the members agree on their digests.
fn watches_outlive_a_member(program: Program) {
    let mut ensemble = Ensemble::start(program, 3, 0);
    let follower = ensemble.wait_at(Mode::Follower);
    let writer = client_at(&ensemble, Mode::Leader);
    for path in ["/data", "/parent", "/gone", "/gone2", "/gone3", "/p", "/r"] {
        create(&writer, path, CreateMode::Persistent).unwrap();
    }
    let watcher = Client::connect(&ensemble.members[follower].server.address(), client_config());
    watcher.sync("/").unwrap();
    watcher.exists("/data", true).unwrap();
    watcher.exists("/new", true).unwrap();
    watcher.get_data("/gone", true).unwrap();
    watcher.exists("/gone2", true).unwrap();
    watcher.get_children("/gone3", true).unwrap();
    watcher.get_children("/parent", true).unwrap();
    watcher.add_watch("/p", AddWatchMode::Persistent).unwrap();
    watcher.add_watch("/r", AddWatchMode::PersistentRecursive).unwrap();
    ensemble.members[follower].kill9();
    writer.set_data("/data", Some(b"new"), -1).unwrap();
    create(&writer, "/new", CreateMode::Persistent).unwrap();
    for path in ["/gone", "/gone2", "/gone3"] {
        writer.delete(path, -1).unwrap();
    }
    create(&writer, "/parent/c", CreateMode::Persistent).unwrap();
    create(&writer, "/r/missed", CreateMode::Persistent).unwrap();
    ensemble.members[follower].start();
    ensemble.wait_serving();
    assert!(watcher.wait_connected(DEADLINE), "{}", watcher.state());
    let mut told: Vec<_> = (0..6).map(|_| watcher.next_watch_event()).collect();
    told.sort_by(|a, b| a.path.cmp(&b.path));
    let told: Vec<_> =
        told.into_iter().map(|event| (event.event_type, event.path.unwrap())).collect();
    let missed = [
        (EventType::NodeDataChanged, "/data"),
        (EventType::NodeDeleted, "/gone"),
        (EventType::NodeDeleted, "/gone2"),
        (EventType::NodeDeleted, "/gone3"),
        (EventType::NodeCreated, "/new"),
        (EventType::NodeChildrenChanged, "/parent"),
    ];
    assert_eq!(told, missed.map(|(event, path)| (event, path.to_owned())));
    // Persistent watches report only what happens from now on.
    writer.set_data("/p", None, -1).unwrap();
    create(&writer, "/r/new", CreateMode::Persistent).unwrap();
    let told = [watcher.next_watch_event(), watcher.next_watch_event()];
    let told = told.map(|event| (event.event_type, event.path.unwrap()));
    let later = [(EventType::NodeDataChanged, "/p"), (EventType::NodeCreated, "/r/new")];
    assert_eq!(told, later.map(|(event, path)| (event, path.to_owned())));
    ensemble.same_trees();
    for member in &ensemble.members {
        assert_eq!(member.server.monitor("digest_mismatches_count"), 0.0);
    }
}

/// A quorum of groups needs both {1} and {2, 3}, and server 3 has no weight. Without a quorum no member serves, not
/// even an observer. A server without weight never leads.
fn groups_decide_about_quorums(program: Program) {
    let lines = ["group.1=1", "group.2=2:3", "weight.1=1", "weight.2=1", "weight.3=0"];
    let mut ensemble = Ensemble::start_of(&[program; 4], 3, &lines);
    ensemble.write(5);
    assert_eq!(ensemble.wait_leader(), 1, "the highest id of those that count");
    ensemble.members[2].kill9();
    ensemble.write(5);
    let observer = client_at(&ensemble, Mode::Observer);
    create(&observer, "/by-observer", CreateMode::Persistent).unwrap();
    ensemble.members[2].start();
    ensemble.wait_serving();
    ensemble.members[0].kill9();
    for at in [1, 2, 3] {
        wait_until("a majority that is no quorum does not serve", DEADLINE, || {
            let answer = ensemble.members[at].server.four_letter_word("srvr");
            answer.is_some_and(|answer| answer.contains("not currently serving"))
        });
    }
    ensemble.members[0].start();
    ensemble.wait_serving();
    assert_ne!(ensemble.wait_leader(), 2);
    assert!(observer.wait_connected(DEADLINE));
    create(&observer, "/by-observer/later", CreateMode::Persistent).unwrap();
    let tree = ensemble.same_trees();
    assert!(tree.contains_key("/by-observer/later"));
}

/// Requests that follow the end of a session in the same bytes are not executed on any member.
fn nothing_is_done_behind_a_sessions_end(ensemble: &Ensemble) {
    for mode in MODES {
        let mut raw = ensemble.members[ensemble.wait_at(mode)].server.raw();
        raw.new_session();
        let mut bytes = request_frame(1, OpCode::CloseSession.code(), &[]);
        for (flags, name) in [(0, "persistent"), (1, "ephemeral")] {
            let request = CreateRequest {
                path: format!("/behind-{name}"),
                data: None,
                acl: Some(ids::open_acl_unsafe()),
                flags,
            };
            bytes.extend(request_frame(2 + flags, OpCode::Create.code(), &request.to_bytes()));
        }
        raw.send_bytes(&bytes);
        while raw.receive_frame().is_some() {}
        for name in ["/behind-persistent", "/behind-ephemeral"] {
            assert_eq!(exists_everywhere(ensemble, name), [false; 4], "{mode:?}: {name}");
        }
    }
}

/// A leader that serves no clients (`leaderServes=no`) leads and answers its AdminServer. Its clients go elsewhere.
fn leader_serves_no_clients(program: Program) {
    let mut ensemble = Ensemble::start_of(&[program; 3], 3, &["admin.enableServer=true"]);
    for member in &mut ensemble.members {
        member.stop();
        let config = member.server.dir().join("zoo.cfg");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("{text}leaderServes=no\n")).unwrap();
    }
    ensemble.members.iter_mut().for_each(Member::start);
    let followers = wait_for(DEADLINE, || {
        let modes = ensemble.members.iter().map(Member::mode).collect::<Vec<_>>();
        let follows: Vec<usize> = (0..3).filter(|at| modes[*at] == Some(Mode::Follower)).collect();
        (follows.len() == 2).then_some(follows)
    });
    let followers = followers.expect("two followers serve");
    let leader = (0..3).find(|at| !followers.contains(at)).unwrap();
    let server = &ensemble.members[leader].server;
    let answer = server.wait_four_letter_word("srvr");
    assert!(answer.contains("not currently serving requests"), "{answer}");
    let mut stream = TcpStream::connect(("127.0.0.1", server.admin_port())).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET /commands/leader HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"is_leader\" : true"), "{answer}");
    // Its port is open, and every client is sent away.
    let request =
        ConnectRequest { time_out: 30_000, passwd: Some(vec![0; 16]), ..Default::default() };
    let mut raw = server.raw();
    raw.send_frame(&request.to_bytes());
    assert_eq!(raw.receive_frame(), None);
    let client = Client::connect(&ensemble.addresses(), client_config());
    create(&client, "/elsewhere", CreateMode::Persistent).unwrap();
    client.close();
    for at in followers {
        let client = ensemble.members[at].server.client();
        client.sync("/").unwrap();
        assert!(client.exists("/elsewhere", false).unwrap().is_some());
        client.close();
    }
}

/// A leader counts the requests of learners if it is asked not to let them wait for their commit.
fn requests_of_learners_are_not_forwarded(program: Program) {
    let disabled = "forward_learner_requests_to_commit_processor_disabled=true";
    let ensemble = Ensemble::start_of(&[program; 3], 3, &[disabled]);
    let leader = ensemble.wait_at(Mode::Leader);
    let counted =
        || ensemble.members[leader].server.monitor("requests_not_forwarded_to_commit_processor");
    let before = counted();
    let client = client_at(&ensemble, Mode::Follower);
    create(&client, "/of-a-learner", CreateMode::Persistent).unwrap();
    client.close();
    assert_eq!(counted() - before, 3.0, "a session, its node, and its end");
    let client = client_at(&ensemble, Mode::Leader);
    create(&client, "/of-the-leader", CreateMode::Persistent).unwrap();
    client.close();
    assert_eq!(counted() - before, 3.0);
}

on_both! {
    a_leader_that_serves_no_clients_leads: leader_serves_no_clients;
    the_requests_of_learners_are_counted: requests_of_learners_are_not_forwarded;
    a_local_session_becomes_global_once_and_costs_one_transaction: local_sessions_become_global_once;
    a_write_that_is_refused_early_uses_no_transaction: refusals_use_no_transaction;
    watches_tell_what_they_missed_when_their_member_is_back: watches_outlive_a_member;
    groups_and_not_numbers_decide_about_a_quorum: groups_decide_about_quorums;
    what_comes_behind_a_sessions_end_is_not_done:
        |program| nothing_is_done_behind_a_sessions_end(&Ensemble::start(program, 3, 1));
}
