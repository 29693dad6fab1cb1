//! An ensemble that changes while it runs (Java: ReconfigTest, ReconfigLegacyTest, ReconfigRecoveryTest,
//! ReconfigExceptionTest, ReconfigFailureCasesTest and StandaloneDisabledTest).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod common;
#[path = "common/ensemble.rs"]
mod ensemble;
#[path = "quorum_reconfig/garbage.rs"]
mod garbage;
#[path = "quorum_election/scripted.rs"]
mod scripted;
#[path = "quorum/scripted_leader.rs"]
mod scripted_leader;
#[path = "quorum_reconfig/site.rs"]
mod site;

use std::thread;

use common::{Client, DEADLINE, Program, client_config, free_port, wait_for, wait_until};
use ensemble::{Mode, create};
use scripted_leader::{As, Member, SESSION, bare, new_leader, up_to_date};
use site::{Site, lines_of, version_of};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::ids::{PeerEpoch, SessionId, Zxid};
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::server::quorum::quorum_packet::{PacketType, QuorumPacket};
use zookeeper_server::internals::txn::{SetDataTxn, TxnHeader};
use zookeeper_server::keeper_exception::KeeperError;
use zookeeper_server::zoo_defs::{OpCode, ids};

/// Everybody may change the ensemble.
const OPEN: &str = "skipACL=yes";

#[track_caller]
fn write(site: &Site, at: usize, path: &str) {
    let client = site.peers[at].server.client();
    create(&client, path, CreateMode::Persistent).unwrap_or_else(|error| panic!("{path}: {error}"));
    client.close();
}

/// Waits until all members that run have the node.
#[track_caller]
fn all_know(site: &Site, path: &str) {
    for peer in site.peers.iter().filter(|peer| peer.up) {
        let what = format!("server {} has {path}", peer.sid);
        wait_until(&what, DEADLINE, || {
            let client = peer.server.client();
            let knows = client.exists(path, false).is_ok_and(|stat| stat.is_some());
            client.close();
            knows
        });
    }
}

#[test]
fn one_grows_to_three_restarts_and_shrinks_to_one_and_keeps_its_data() {
    let mut site = Site::start(1, &[OPEN]);
    write(&site, 0, "/one");
    let first = site.peers[0].config().unwrap();
    assert!(version_of(&first) != "0", "{first}");
    for _ in 0..2 {
        let at = site.come(&[0], "participant");
        site.peers[at].wait_mode(Mode::Follower);
        let config = site.change(&site.peers[at].line("participant"), "");
        site.all_have(&config);
    }
    write(&site, 2, "/three");
    all_know(&site, "/one");
    // The members find each other again by the files that they have written.
    site.peers.iter_mut().for_each(site::Peer::kill9);
    site.peers.iter_mut().for_each(site::Peer::start);
    site.wait_serving();
    write(&site, 1, "/again");
    all_know(&site, "/again");
    // All but the leader leave, one after the other.
    let leader = site.leader();
    for at in (0..3).filter(|at| *at != leader) {
        let config = site.change("", &site.peers[at].sid.to_string());
        site.all_have(&config);
    }
    for at in (0..3).filter(|at| *at != leader) {
        site.peers[at].kill9();
    }
    write(&site, leader, "/alone");
    for path in ["/one", "/three", "/again", "/alone"] {
        all_know(&site, path);
    }
}

/// A standalone server has nothing to reconfigure. With `standaloneEnabled=false`, the same server is an ensemble.
#[test]
fn a_session_stays_while_a_standalone_server_becomes_one_of_three_and_is_alone_again() {
    let mut site = Site::prepared(&[Program::Ours], &[OPEN, "standaloneEnabled=true"]);
    site.peers[0].start();
    wait_until("it serves", DEADLINE, || site.peers[0].server.serves());
    let client = site.peers[0].server.client();
    let session = client.session_id();
    client.create("/mine", Some(b"1"), ids::open_acl_unsafe(), CreateMode::Ephemeral).unwrap();
    client.create("/watched", None, ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
    client.get_data("/watched", true).unwrap();
    for joining in [None, Some("server.2=127.0.0.1:1:2;3"), Some("nonsense")] {
        let refusal = client.reconfigure(joining, None, None, -1).unwrap_err();
        assert_eq!(refusal.keeper_error(), Some(KeeperError::Unimplemented), "{joining:?}");
    }
    assert!(site.peers[0].server.stop().success());
    let file = site.peers[0].server.dir().join("zoo.cfg");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("standaloneEnabled=true", "standaloneEnabled=false");
    std::fs::write(&file, text).unwrap();
    site.peers[0].start();
    site.wait_serving();
    wait_until("the client is back", DEADLINE, || client.exists("/mine", false).is_ok());
    let states_so_far = client.events.try_iter().filter(|event| event.path.is_none()).count();
    assert!(states_so_far > 0, "it was disconnected");
    for _ in 0..2 {
        let at = site.come(&[0], "participant");
        site.peers[at].wait_mode(Mode::Follower);
        let config = site.change(&site.peers[at].line("participant"), "");
        site.all_have(&config);
        all_know(&site, "/mine");
    }
    for at in [1, 2] {
        let config = site.change("", &site.peers[at].sid.to_string());
        site.all_have(&config);
        site.peers[at].kill9();
    }
    assert_eq!(site.leader(), 0);
    let states = client.events.try_iter().filter(|event| event.path.is_none()).count();
    assert_eq!(states, 0, "the connection stays through all changes");
    let other = site.peers[0].server.client();
    other.set_data("/watched", Some(b"2"), -1).unwrap();
    assert_eq!(client.next_watch_event().path.as_deref(), Some("/watched"));
    let owner = other.exists("/mine", false).unwrap().unwrap().ephemeral_owner;
    assert_eq!((SessionId(owner), client.session_id()), (session, session));
    client.close();
    assert_eq!(other.exists("/mine", false).unwrap(), None);
    other.close();
}

#[test]
fn a_follower_becomes_an_observer_and_a_voter_again() {
    let site = Site::start(3, &[OPEN]);
    let at = site.follower();
    let config = site.change(&site.peers[at].line("observer"), "");
    site.peers[at].wait_mode(Mode::Observer);
    site.all_have(&config);
    write(&site, at, "/by-an-observer");
    let config = site.change(&site.peers[at].line("participant"), "");
    site.peers[at].wait_mode(Mode::Follower);
    site.all_have(&config);
    write(&site, at, "/by-a-voter");
    all_know(&site, "/by-a-voter");
}

#[test]
fn an_observer_follows_all_changes_and_may_come_as_one() {
    let mut site = Site::start(3, &[OPEN]);
    let at = site.come(&[0, 1, 2], "observer");
    // As long as it is not a member, it follows without a vote.
    site.peers[at].wait_mode(Mode::Follower);
    let config = site.change(&site.peers[at].line("observer"), "");
    site.peers[at].wait_mode(Mode::Observer);
    site.all_have(&config);
    let moved = site.follower();
    site.peers[moved].election = free_port();
    let config = site.change(&site.peers[moved].line("participant"), "");
    site.all_have(&config);
    let config = site.change(&site.peers[at].line("participant"), "");
    site.peers[at].wait_mode(Mode::Follower);
    site.all_have(&config);
    write(&site, at, "/by-the-fourth");
    all_know(&site, "/by-the-fourth");
}

#[test]
fn ports_move_while_clients_stay() {
    let mut site = Site::start(3, &[OPEN]);
    let at = site.follower();
    let stays = site.peers[at].server.client();
    let old_port = site.peers[at].client;
    site.peers[at].client = free_port();
    let new_port = site.peers[at].client;
    let joining = site.peers[at].line("participant");
    let (config, _) = site.ask(at, &joining, "", -1).unwrap();
    site.peers[at].server.set_client_port(new_port);
    site.all_have(&config);
    assert!(std::net::TcpStream::connect(("127.0.0.1", old_port)).is_err(), "nobody listens");
    create(&stays, "/stays", CreateMode::Persistent).unwrap();
    stays.close();
    // The AdminServer shows the voters of now, and the zoo.cfg of the start.
    for peer in &site.peers {
        let view = peer.admin("voting_view");
        assert!(
            view.contains(&format!("0.0.0.0:{new_port}"))
                || view.contains(&format!("127.0.0.1:{new_port}")),
            "{view}"
        );
        let own = format!(
            "clientPort={}",
            if peer.sid == site.peers[at].sid { old_port } else { peer.client }
        );
        let initial = peer.admin("initial_configuration");
        assert!(initial.contains(&own) && initial.contains("server.3="), "{initial}");
    }
    // Both followers get new ports for the others. They elect one of themselves when the leader is gone.
    let leader = site.leader();
    for at in (0..3).filter(|at| *at != leader) {
        site.peers[at].quorum = free_port();
        site.peers[at].election = free_port();
        let config = site.change(&site.peers[at].line("participant"), "");
        site.all_have(&config);
    }
    site.peers[leader].kill9();
    assert_ne!(site.leader(), leader);
    site.wait_serving();
    site.peers[leader].start();
    site.wait_serving();
    write(&site, leader, "/after-the-move");
    all_know(&site, "/after-the-move");
    all_know(&site, "/stays");
    // The thread of the peer is named after the port for clients, and renamed when that moves, as in Java.
    let log = site.peers[at].server.log();
    for port in [old_port, new_port] {
        let logs = |host: &str| {
            let address = format!("(plain={host}:{port})(secure=disabled):");
            log.contains(&format!("[QuorumPeer[myid={}]{address}", site.peers[at].sid))
        };
        assert!(logs("127.0.0.1") || logs("[0:0:0:0:0:0:0:0]"), "{port}\n{log}");
    }
}

#[test]
fn a_client_port_that_is_taken_leaves_the_old_one() {
    let mut site = Site::start(3, &[OPEN]);
    let at = site.follower();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    site.peers[at].client = taken.local_addr().unwrap().port();
    let config = site.change(&site.peers[at].line("participant"), "");
    site.all_have(&config);
    let log = site.peers[at].server.log();
    assert_eq!(log.matches("Error reconfiguring client port to").count(), 1, "{log}");
    write(&site, at, "/through-the-old-port");
    all_know(&site, "/through-the-old-port");
}

#[test]
fn a_leader_that_is_removed_hands_over_and_goes_on_without_a_vote() {
    let site = Site::start(3, &[OPEN]);
    let old = site.leader();
    let at = site.follower();
    write(&site, old, "/before");
    let (config, _) = site.ask(at, "", &site.peers[old].sid.to_string(), -1).unwrap();
    wait_until("another member leads", DEADLINE, || {
        (0..3).any(|at| at != old && site.peers[at].mode() == Some(Mode::Leader))
    });
    site.peers[old].wait_mode(Mode::Follower);
    site.all_have(&config);
    write(&site, old, "/through-the-removed-one");
    all_know(&site, "/through-the-removed-one");
    let log = site.peers[old].server.log();
    assert!(log.contains("this leader is not the designated leader anymore"), "{log}");
    // It comes back as a voter.
    let config = site.change(&site.peers[old].line("participant"), "");
    site.all_have(&config);
    write(&site, old, "/back");
    all_know(&site, "/back");
}

#[test]
fn a_leader_that_moves_or_becomes_an_observer_hands_over() {
    let mut site = Site::start(3, &[OPEN]);
    let old = site.leader();
    let at = site.follower();
    site.peers[old].quorum = free_port();
    let (config, _) = site.ask(at, &site.peers[old].line("participant"), "", -1).unwrap();
    wait_until("another member leads", DEADLINE, || {
        (0..3).any(|at| at != old && site.peers[at].mode() == Some(Mode::Leader))
    });
    site.peers[old].wait_mode(Mode::Follower);
    site.all_have(&config);
    let second = site.leader();
    let (config, _) = site.ask(old, &site.peers[second].line("observer"), "", -1).unwrap();
    site.peers[second].wait_mode(Mode::Observer);
    assert_ne!(site.leader(), second);
    site.all_have(&config);
    write(&site, second, "/handed-over");
    all_know(&site, "/handed-over");
}

#[test]
fn what_cannot_be_is_refused_by_every_member_and_changes_nothing() {
    let site = Site::start(3, &[OPEN]);
    let before = site.peers[0].config().unwrap();
    let version = i64::from_str_radix(version_of(&before), 16).unwrap();
    let stranger = |sid: i64| {
        let [quorum, election, client] = [(); 3].map(|()| free_port());
        format!("server.{sid}=127.0.0.1:{quorum}:{election};127.0.0.1:{client}")
    };
    let many: Vec<String> = (7..12).map(stranger).collect();
    for at in 0..3 {
        for (joining, leaving, from, answer) in [
            (stranger(4), "", version + 1, KeeperError::BadVersion),
            (stranger(4), "", 0, KeeperError::BadVersion),
            (many.join(","), "", -1, KeeperError::NewConfigNoQuorum),
            (String::new(), "1,2,3", -1, KeeperError::BadArguments),
            ("server.4=127.0.0.1:1:2".to_owned(), "", -1, KeeperError::BadArguments),
            ("nonsense".to_owned(), "", -1, KeeperError::BadArguments),
            (String::new(), "nobody", -1, KeeperError::MarshallingError),
        ] {
            let told = site.ask(at, &joining, leaving, from);
            assert_eq!(told.err(), Some(answer), "member {at}: +{joining} -{leaving} v{from}");
        }
        assert_eq!(site.ask_for(at, "clientPort=1").err(), Some(KeeperError::BadArguments));
        assert_eq!(
            site.ask_for(at, "server.1=127.0.0.1:1:2:observer").err(),
            Some(KeeperError::MarshallingError)
        );
    }
    site.all_have(&before);
    // The expected version counts.
    let (after, stat) = site.ask(site.follower(), "", "", version).unwrap();
    assert_ne!(version_of(&before), version_of(&after));
    let zxid = i64::from_str_radix(version_of(&after), 16).unwrap();
    assert_eq!((stat.version, stat.mzxid.0, stat.czxid.0), (-1, zxid, 0));
    site.all_have(&after);
}

#[test]
fn who_may_not_write_the_node_may_not_change_the_ensemble() {
    // test:test
    let line = "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=";
    let site = Site::start(3, &[line]);
    let at = site.follower();
    assert_eq!(site.ask(at, "", "", -1).err(), Some(KeeperError::NoAuth));
    let client = site.peers[at].server.client();
    client.add_auth_info("digest", b"super:test").unwrap();
    client.reconfigure(None, None, None, -1).unwrap();
    // The super user lets another one do it, too.
    let (acl, _) = client.get_acl("/zookeeper/config").unwrap();
    let mut open = ids::open_acl_unsafe();
    open.extend(acl);
    client.set_acl("/zookeeper/config", open, -1).unwrap();
    client.close();
    site.ask(at, "", "", -1).unwrap();
}

#[test]
fn a_member_without_the_switch_refuses() {
    let site = Site::start(3, &[OPEN, "reconfigEnabled=false"]);
    for at in 0..3 {
        assert_eq!(site.ask(at, "", "", -1).err(), Some(KeeperError::ReconfigDisabled));
        assert!(site.peers[at].file(".bak").is_none(), "no file is touched");
    }
}

#[test]
fn one_change_at_a_time_and_a_pending_one_outlives_its_leader() {
    let mut site = Site::start(3, &[OPEN]);
    let leader = site.leader();
    let followers: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    let client = site.peers[leader].server.client();
    let other = site.peers[leader].server.client();
    followers.iter().for_each(|at| site.peers[*at].server.freeze());
    let joining = site.peers[followers[0]].line("observer");
    thread::scope(|scope| {
        let asks = || client.reconfigure(Some(&joining), None, None, -1).map(|(data, _)| data);
        let first = scope.spawn(asks);
        wait_until("it is proposed", DEADLINE, || {
            site.peers[leader].file(".dynamic.next").is_some()
        });
        let second = scope.spawn(|| other.reconfigure(None, None, None, -1));
        wait_until("the leader has both", DEADLINE, || {
            site.peers[leader].server.monitor("outstanding_requests") >= 2.0
        });
        followers.iter().for_each(|at| site.peers[*at].server.thaw());
        assert!(first.join().unwrap().is_ok());
        let refusal = second.join().unwrap().err().and_then(|error| error.keeper_error());
        assert_eq!(refusal, Some(KeeperError::ReconfigInProgress));
    });
    client.close();
    other.close();
    let config = site.peers[leader].config().unwrap();
    site.peers[followers[0]].wait_mode(Mode::Observer);
    site.all_have(&config);
    // The next one is pending when the leader is killed. Whether it takes effect depends on whether a follower got
    // it; all agree on that.
    let voter = followers[1];
    let client = site.peers[leader].server.client();
    site.peers[voter].server.freeze();
    let joining = site.peers[followers[0]].line("participant");
    thread::scope(|scope| {
        let asks = || client.reconfigure(Some(&joining), None, None, -1);
        let asked = scope.spawn(asks);
        wait_until("it is proposed", DEADLINE, || {
            site.peers[leader].file(".dynamic.next").is_some()
        });
        kill(&site, leader);
        assert!(asked.join().unwrap().is_err());
    });
    client.close();
    site.peers[voter].server.thaw();
    site.peers[leader].kill9();
    site.peers[leader].start();
    site.wait_serving();
    let config = site.peers[site.leader()].config().unwrap();
    site.all_have(&config);
    write(&site, voter, "/agreed");
    all_know(&site, "/agreed");
}

/// Kills a process that the caller may not change otherwise at the moment.
fn kill(site: &Site, at: usize) {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = i32::try_from(site.peers[at].server.pid()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn a_pending_configuration_is_known_after_a_restart_and_completed() {
    let mut site = Site::start(3, &[OPEN]);
    let leader = site.leader();
    let config = site.peers[leader].config().unwrap();
    let followers: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    site.peers.iter_mut().for_each(site::Peer::kill9);
    // All members have logged that the leader leaves, and it has not taken effect anywhere.
    let of_leader = format!("server.{}=", leader + 1);
    let left =
        config.lines().filter(|line| !line.starts_with(&of_leader) && !line.starts_with("version"));
    let version = i64::from_str_radix(version_of(&config), 16).unwrap() + 1;
    let next = format!("{}\nversion={version:x}", left.collect::<Vec<_>>().join("\n"));
    for peer in &site.peers {
        let file = peer.server.dir().join("zoo.cfg.dynamic.next");
        std::fs::write(file, &next).unwrap();
    }
    site.peers.iter_mut().for_each(site::Peer::start);
    site.all_have(&next);
    site.wait_serving();
    assert_ne!(site.leader(), leader);
    // A file that is left over from a change that has taken effect does no harm.
    let at = followers[1];
    site.peers[at].kill9();
    let file = site.peers[at].server.dir().join("zoo.cfg.dynamic.next");
    std::fs::write(file, format!("{next}\n")).unwrap();
    site.peers[at].start();
    site.wait_serving();
    site.all_have(&next);
    let config = site.change(&site.peers[leader].line("participant"), "");
    site.all_have(&config);
}

#[test]
fn a_watch_on_the_node_fires_and_clients_compete() {
    let site = Site::start(3, &[OPEN]);
    let at = site.follower();
    let client = site.peers[at].server.client();
    client.get_data("/zookeeper/config", true).unwrap();
    let config = site.change("", "");
    let event = client.next_watch_event();
    assert_eq!(event.path.as_deref(), Some("/zookeeper/config"));
    client.close();
    // Some clients change the same version. One of them wins.
    let version = i64::from_str_radix(version_of(&config), 16).unwrap();
    let site = &site;
    let answers: Vec<_> = thread::scope(|scope| {
        let asks: Vec<_> =
            (0..6).map(|n| scope.spawn(move || site.ask(n % 3, "", "", version))).collect();
        asks.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let won: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    for refusal in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        let expected = [KeeperError::BadVersion, KeeperError::ReconfigInProgress];
        assert!(expected.contains(refusal), "{refusal}");
    }
    site.all_have(&won[0].0);
}

#[test]
fn groups_come_by_a_list_of_all_members_and_a_weightless_group_decides_nothing() {
    let mut site = Site::start(3, &[OPEN]);
    let fourth = site.come(&[0, 1, 2], "participant");
    let all: Vec<String> = site.peers.iter().map(|peer| peer.line("participant")).collect();
    let groups = "group.1=1:2:3,group.2=4,weight.4=0";
    let (config, _) = site.ask_for(site.leader(), &format!("{},{groups}", all.join(","))).unwrap();
    assert!(config.contains("weight.4=0"), "{config}");
    site.all_have(&config);
    assert_eq!(
        site.ask(site.leader(), "", "4", -1).err(),
        Some(KeeperError::BadArguments),
        "groups change as a whole"
    );
    write(&site, fourth, "/by-the-weightless-one");
    // A weightless member is missed by nobody, and never leads.
    site.peers[fourth].kill9();
    write(&site, site.leader(), "/without-it");
    site.peers[fourth].start();
    site.wait_serving();
    let leader = site.leader();
    site.peers[leader].kill9();
    assert_ne!(site.leader(), fourth);
    write(&site, fourth, "/another-leader");
    site.peers[leader].start();
    site.wait_serving();
    all_know(&site, "/another-leader");
    let config = site.ask_for(site.leader(), &all.join("\n")).unwrap().0;
    assert!(!config.contains("group"), "{config}");
    site.all_have(&config);
}

/// Under load, members are replaced one by one until nobody of the first ones is left.
#[test]
fn all_members_are_replaced_and_clients_stay() {
    let mut site = Site::start(3, &[OPEN]);
    write(&site, 0, "/first");
    let mut members: Vec<usize> = vec![0, 1, 2];
    for _ in 0..3 {
        let new = site.come(&members, "participant");
        let config = site.change(&site.peers[new].line("participant"), "");
        site.all_have(&config);
        members.push(new);
        let old = members.remove(0);
        let through = members.iter().copied().find(|at| *at != site.leader()).unwrap();
        // The client that asks may lose its connection when the leader changes.
        let sid = site.peers[old].sid.to_string();
        let done = wait_for(DEADLINE, || match site.ask(through, "", &sid, -1) {
            Ok(_) => Some(()),
            Err(KeeperError::ConnectionLoss) => None,
            Err(other) => panic!("-{sid}: {other}"),
        });
        assert!(done.is_some());
        wait_until("a remaining member leads", DEADLINE, || {
            members.iter().any(|at| site.peers[*at].mode() == Some(Mode::Leader))
        });
        let left = format!("server.{sid}=");
        let config = wait_for(DEADLINE, || {
            site.peers[site.leader()].config().filter(|config| !config.contains(&left))
        });
        site.all_have(&config.expect("a configuration without it"));
        site.peers[old].kill9();
    }
    write(&site, members[0], "/last");
    all_know(&site, "/first");
    all_know(&site, "/last");
}

/// A transaction with this text as the new configuration.
fn reconfig_txn(zxid: Zxid, text: &str) -> Vec<u8> {
    let (client_id, r#type) = (SESSION, OpCode::Reconfig.code());
    let header = TxnHeader { client_id, cxid: 0, zxid, time: 1, r#type };
    let path = "/zookeeper/config".to_owned();
    let txn = SetDataTxn { path, data: Some(text.as_bytes().to_vec()), version: -1 };
    [header.to_bytes(), txn.to_bytes()].concat()
}

fn changeable(history: &[Zxid]) -> (Member, String) {
    let member = Member::configured("reconfigEnabled=true", history);
    let file = member.dir.path().join("zoo.cfg");
    (member, std::fs::read_to_string(file).unwrap())
}

#[test]
fn a_configuration_is_seen_with_the_proposal_and_counts_with_the_activation() {
    let (mut member, _) = changeable(&[Zxid::new(1, 1)]);
    let next = Zxid::start_of(PeerEpoch(2)).next();
    let text = member.peer.quorum_verifier().to_text();
    let text = text.replace("version=0", &format!("version={:x}", next.0));
    let text = text.replace("server.3=127.0.0.1:4:5", "server.3=127.0.0.1:4:6");
    let mut leader = member.follow_in_epoch(As::Follower, 2);
    leader.send(&bare(PacketType::Diff, Zxid::new(1, 1)));
    leader.let_serve(2);
    leader.send(&QuorumPacket::new(PacketType::Proposal, next, Some(reconfig_txn(next, &text))));
    leader.expect_ack(next);
    let dir = member.dir.path().to_owned();
    let on_disk = std::fs::read_to_string(dir.join("zoo.cfg.dynamic.next")).unwrap();
    assert_eq!(lines_of(&on_disk), lines_of(&text), "on disk before the ACK");
    assert_eq!(member.peer.quorum_verifier().version(), 0);
    // The leader names server 3 in its place: the member leaves it.
    let data = Some(3_i64.to_be_bytes().to_vec());
    leader.send(&QuorumPacket::new(PacketType::CommitAndActivate, next, data));
    leader.expect_end();
    let ended = member.ended();
    assert_eq!(ended.to_string(), "changes proposed in reconfig");
    assert_eq!(member.peer.quorum_verifier().to_text(), text);
    assert_eq!(member.peer.current_vote().unwrap().id.0, 3);
    let applied = member.peer.database().last_processed_zxid();
    assert_eq!(applied, next, "it is applied before the member leaves");
    assert!(!dir.join("zoo.cfg.dynamic.next").exists());
    assert!(dir.join(format!("zoo.cfg.dynamic.{:x}", next.0)).exists());
}

#[test]
fn a_leader_that_knows_an_older_configuration_takes_a_pending_one_back() {
    let (mut member, _) = changeable(&[Zxid::new(1, 1)]);
    let text = member.peer.quorum_verifier().to_text();
    let of = |version: i64| text.replace("version=0", &format!("version={version:x}"));
    let next = Zxid::start_of(PeerEpoch(2)).next();
    let mut leader = member.follow_in_epoch(As::Follower, 2);
    leader.send(&bare(PacketType::Diff, Zxid::new(1, 1)));
    leader.let_serve(2);
    let data = reconfig_txn(next, &of(next.0));
    leader.send(&QuorumPacket::new(PacketType::Proposal, next, Some(data)));
    leader.expect_ack(next);
    drop(leader);
    member.ended();
    let seen = |member: &Member| member.peer.last_seen_quorum_verifier().unwrap().version();
    assert_eq!(seen(&member), next.0);
    let mut leader = member.follow_in_epoch(As::Follower, 3);
    leader.send(&bare(PacketType::Diff, next));
    let mut packet = new_leader(3);
    packet.data = Some(of(7).into_bytes());
    leader.send(&packet);
    leader.expect_ack(packet.zxid);
    assert_eq!(seen(&member), 7);
    assert_eq!(member.peer.quorum_verifier().version(), 0);
    leader.send(&up_to_date());
    leader.expect_ack(packet.zxid);
    wait_until("the older one counts", DEADLINE, || member.peer.quorum_verifier().version() == 7);
    drop(leader);
    member.ended();
}

/// Clients of a member that is removed are served on.
#[test]
fn sessions_survive_changes_of_the_ensemble() {
    let site = Site::start(3, &[OPEN]);
    let at = site.follower();
    let addresses: Vec<String> = site.peers.iter().map(|peer| peer.server.address()).collect();
    let client = Client::connect(&addresses.join(","), client_config());
    let session = client.session_id();
    client.create("/mine", Some(b""), ids::open_acl_unsafe(), CreateMode::Ephemeral).unwrap();
    let config = site.change(&site.peers[at].line("observer"), "");
    site.all_have(&config);
    let leader = site.leader();
    let other = (0..3).find(|other| *other != leader && *other != at).unwrap();
    site.ask(other, "", &site.peers[leader].sid.to_string(), -1).err();
    let stays = wait_for(DEADLINE, || client.exists("/mine", false).ok().flatten());
    assert!(stays.is_some());
    assert_eq!(client.session_id(), session);
    client.close();
}
