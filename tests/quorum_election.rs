//! Elections between our servers, with scripted servers of other versions, with Java's servers, and with programs
//! that are not servers (Java: FastLeaderElection.java, QuorumCnxManager.java).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod common;
#[path = "quorum_election/member.rs"]
mod member;
#[path = "quorum_election/scripted.rs"]
mod scripted;
#[path = "quorum_election/with_java.rs"]
mod with_java;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{DEADLINE, Server, ServerBuilder, free_port, wait_until};
use member::{Ensemble, Member};
use scripted::{Scripted, notification_3_4};
use zookeeper_server::ids::{PeerEpoch, Sid, Zxid};
use zookeeper_server::internals::common::time;
use zookeeper_server::internals::server::exit_code::ExitCode;
use zookeeper_server::internals::server::quorum::election::{Election, ElectionPeer};
use zookeeper_server::internals::server::quorum::fast_leader_election::notification::NotificationFrame;
use zookeeper_server::internals::server::quorum::states::{LearnerType, ServerState};
use zookeeper_server::internals::server::quorum::vote::Vote;

const EPOCH: PeerEpoch = PeerEpoch(1);

/// Lets these members look for a leader at the same time. Returns the leader that each has found, and its state. The
/// result is certain only if the quorum needs all their votes.
fn elect(members: &[&Member]) -> Vec<(Sid, ServerState)> {
    thread::scope(|scope| {
        let looking: Vec<_> =
            members.iter().map(|member| scope.spawn(|| member.look_for_leader())).collect();
        let found = looking.into_iter().zip(members);
        found
            .map(|(vote, member)| {
                (vote.join().unwrap().expect("a leader").id, member.peer.peer_state())
            })
            .collect()
    })
}

#[test]
fn the_server_with_the_most_history_leads() {
    let ensemble = Ensemble::of(&[1, 2, 3]);
    let two = ensemble.member(2, Zxid::new(1, 9), EPOCH);
    let three = ensemble.member(3, Zxid::new(1, 7), EPOCH);
    let (following, leading) = (ServerState::Following, ServerState::Leading);
    assert_eq!(elect(&[&two, &three]), [(Sid(2), leading), (Sid(2), following)]);
    let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
    assert_eq!(elect(&[&one]), [(Sid(2), following)]);
    let votes = two.peer.leading_vote_set().expect("the votes for the leader");
    assert!(votes.has_all_quorums());
}

#[test]
fn a_later_epoch_counts_for_more_than_transactions_and_ids_decide_last() {
    let ensemble = Ensemble::of(&[1, 2, 3]);
    let one = ensemble.member(1, Zxid::new(1, 5), PeerEpoch(2));
    let two = ensemble.member(2, Zxid::new(1, 9), EPOCH);
    assert_eq!(elect(&[&one, &two])[1], (Sid(1), ServerState::Following));
    let ensemble = Ensemble::of(&[4, 5, 6]);
    let four = ensemble.member(4, Zxid::new(1, 5), EPOCH);
    let five = ensemble.member(5, Zxid::new(1, 5), EPOCH);
    let (following, leading) = (ServerState::Following, ServerState::Leading);
    assert_eq!(elect(&[&four, &five]), [(Sid(5), following), (Sid(5), leading)]);
    let six = ensemble.member(6, Zxid::new(1, 5), EPOCH);
    assert_eq!(elect(&[&six]), [(Sid(5), following)], "it comes late");
}

#[test]
fn one_of_three_finds_nobody_until_another_comes() {
    let ensemble = Ensemble::of(&[1, 2, 3]);
    let three = ensemble.member(3, Zxid::new(1, 9), EPOCH);
    thread::scope(|scope| {
        let looking = scope.spawn(|| three.look_for_leader());
        wait_until("it has asked in vain", DEADLINE, || {
            three.manager.have_delivered() || three.election.logical_clock() > 0
        });
        assert!(!looking.is_finished());
        let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
        assert_eq!(elect(&[&one]), [(Sid(3), ServerState::Following)]);
        assert_eq!(looking.join().unwrap().unwrap().id, Sid(3));
    });
}

#[test]
fn who_comes_late_joins_the_leader_even_with_more_history() {
    let ensemble = Ensemble::of(&[1, 2, 3]);
    let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
    let two = ensemble.member(2, Zxid::new(1, 5), EPOCH);
    assert_eq!(elect(&[&one, &two])[0].0, Sid(2));
    let three = ensemble.member(3, Zxid::new(1, 9), PeerEpoch(3));
    assert_eq!(elect(&[&three]), [(Sid(2), ServerState::Following)]);
    wait_until("the leader hears of it", DEADLINE, || two.peer.looking_sids().contains(&Sid(3)));
}

/// A process of our server, for the last of three voters, with this line in zoo.cfg.
fn third_server(ensemble: &Ensemble, line: &str) -> Server {
    let servers = ensemble.members.servers.values();
    let builder = servers.fold(ServerBuilder::new().config(line), |builder, server| {
        builder.config(&format!("server.{}={server}", server.id))
    });
    let mut server = builder.config("initLimit=60").config("syncLimit=30").prepare();
    fs::write(server.dir().join("data/myid"), "3").unwrap();
    server.spawn();
    server
}

#[test]
fn a_leader_quits_when_its_voter_looks_again_and_the_time_for_its_epoch_is_over() {
    let ensemble = Ensemble::of(&[1, 2, 3]);
    let server = third_server(&ensemble, "leader.maxTimeToWaitForEpoch=0");
    let voter = ensemble.member(1, Zxid::ZERO, PeerEpoch(0));
    assert_eq!(elect(&[&voter]), [(Sid(3), ServerState::Following)]);
    wait_until("it leads", DEADLINE, || server.log().contains("LEADING - LEADER ELECTION TOOK"));
    // The voter does not connect to the leader, but looks for one again. It finds one when the leader has quit: the
    // leader alone is no quorum that has a leader. Otherwise it would look for two minutes, the initLimit.
    let started = time::now();
    assert_eq!(elect(&[&voter]), [(Sid(3), ServerState::Following)]);
    assert!(server.log().contains("Quit leading due to voter changed mind."));
    assert!(started.elapsed() < DEADLINE, "{:?}", started.elapsed());
}

#[test]
fn an_observer_learns_who_leads_and_is_not_counted() {
    let ensemble = Ensemble::with_observers(&[1, 2], &[7]);
    let seven = ensemble.member(7, Zxid::new(9, 9), PeerEpoch(9));
    assert_eq!(seven.peer.learner_type(), LearnerType::Observer);
    thread::scope(|scope| {
        let looking = scope.spawn(|| seven.look_for_leader());
        let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
        let two = ensemble.member(2, Zxid::new(1, 5), EPOCH);
        assert_eq!(elect(&[&one, &two])[0].0, Sid(2));
        assert_eq!(looking.join().unwrap().expect("a leader").id, Sid(2));
        assert_eq!(seven.peer.peer_state(), ServerState::Observing);
    });
}

#[test]
fn when_the_leader_is_gone_the_others_elect_another_one_in_a_later_round() {
    let ensemble = Ensemble::of(&[1, 2, 3]);
    let two = ensemble.member(2, Zxid::new(1, 6), EPOCH);
    let three = ensemble.member(3, Zxid::new(1, 7), EPOCH);
    assert_eq!(elect(&[&two, &three])[1], (Sid(3), ServerState::Leading));
    let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
    assert_eq!(elect(&[&one]), [(Sid(3), ServerState::Following)]);
    let round = one.election.logical_clock();
    drop(three);
    wait_until("they have heard its last words", DEADLINE, || {
        [&one, &two].iter().all(|member| !member.manager.connected_to_peer(Sid(3)))
    });
    assert_eq!(elect(&[&one, &two])[0], (Sid(2), ServerState::Following));
    assert!(one.election.logical_clock() > round);
    let three = ensemble.member(3, Zxid::new(1, 7), EPOCH);
    assert_eq!(elect(&[&three]), [(Sid(2), ServerState::Following)], "it comes back");
}

#[test]
fn a_host_that_accepts_and_says_nothing_stalls_nobody() {
    let mut ensemble = Ensemble::of(&[1, 2, 3]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    ensemble.set_election_port(3, silent.local_addr().unwrap().port());
    let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
    let two = ensemble.member(2, Zxid::new(1, 6), EPOCH);
    assert_eq!(elect(&[&one, &two])[0].0, Sid(2));
}

#[test]
fn an_end_while_looking_is_no_leader_and_leaves_no_thread() {
    let ensemble = Ensemble::of(&[1, 2, 3]);
    let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
    thread::scope(|scope| {
        let looking = scope.spawn(|| one.look_for_leader());
        wait_until("it looks", DEADLINE, || one.election.logical_clock() > 0);
        one.election.shutdown();
        assert!(looking.join().unwrap().is_none());
    });
    assert_eq!(one.manager.thread_count(), 0);
    one.election.shutdown();
    let manager = Arc::downgrade(&one.manager);
    drop(one);
    assert!(manager.upgrade().is_none(), "nobody keeps it");
}

#[test]
fn data_that_cannot_be_read_give_no_vote() {
    let ensemble = Ensemble::of(&[1, 2, 3]);
    let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
    one.peer.lose_data();
    assert!(one.look_for_leader().is_none());
}

#[test]
fn a_port_that_is_taken_ends_the_process_after_some_attempts() {
    let mut ensemble = Ensemble::of(&[1, 2, 3]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    ensemble.set_election_port(1, taken.local_addr().unwrap().port());
    ensemble.settings.port_bind_max_retry = 1;
    let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
    wait_until("it gives up", DEADLINE, || {
        one.peer.exit_code() == Some(ExitCode::UnableToBindQuorumPort)
    });
}

/// Programs that are not servers connect to the election port, and an election still succeeds.
#[test]
fn garbage_at_the_election_port_hurts_nobody() {
    let mut ensemble = Ensemble::of(&[1, 2, 3]);
    ensemble.settings.greeting_timeout = Duration::from_secs(3600);
    let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
    let two = ensemble.member(2, Zxid::new(1, 6), EPOCH);
    let port = ensemble.election_port(1);
    wait_until("it listens", DEADLINE, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let connect = || TcpStream::connect(("127.0.0.1", port)).unwrap();
    let greeting = 99_i64.to_be_bytes();
    let frame = |length: i32, body: &[u8]| [&greeting[..], &length.to_be_bytes(), body].concat();
    let length_of = |body: &[u8]| i32::try_from(body.len()).unwrap();
    // These connections send nothing more within the hour of the greeting timeout. There are more of them than the
    // server keeps waiting.
    let mut silent: Vec<TcpStream> = (0..60).map(|_| connect()).collect();
    for stream in &mut silent[..30] {
        stream.write_all(b"\0").unwrap();
    }
    let partial = [0; 30];
    let lying = [&[0_u8; 36][..], &2_i32.to_be_bytes(), &i32::MAX.to_be_bytes()].concat();
    let bad_config = NotificationFrame {
        state: 0,
        leader: Sid(99),
        zxid: Zxid(9),
        election_epoch: 7,
        peer_epoch: EPOCH,
        version: 2,
        config: Some(b"server.1=\nversion=7fffffffffffffff".to_vec()),
    }
    .encode();
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        (-1_i64).to_be_bytes().to_vec(),
        [&(-65536_i64).to_be_bytes()[..], &[0; 8], &i32::MAX.to_be_bytes()].concat(),
        [&(-65536_i64).to_be_bytes()[..], &[0; 8], &1_i32.to_be_bytes(), b"|"].concat(),
        1_i64.to_be_bytes().to_vec(),
        frame(i32::MAX, b""),
        frame(0, b""),
        frame(-5, b""),
        frame(1, b"x"),
        frame(100, b"too little"),
        frame(length_of(&partial), &partial),
        frame(length_of(&lying), &lying),
        frame(length_of(&bad_config), &bad_config),
    ] {
        let mut stream = connect();
        stream.write_all(&bytes).unwrap();
        // The connection may be closed already, in either direction.
        let _closed_before = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        // The server resets or closes the connection. In any case, the connection ends.
        let _end = stream.read_to_end(&mut answer);
    }
    assert_eq!(elect(&[&one, &two])[0].0, Sid(2));
    drop(silent);
}

#[test]
fn strangers_are_talked_to_but_only_so_many() {
    let mut ensemble = Ensemble::of(&[1, 2, 3]);
    ensemble.settings.cnxn_threads_size = 100;
    let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
    let mut strangers: Vec<Scripted> = Vec::new();
    for sid in 1_000..1_100 {
        strangers.push(Scripted::connect_as_3_4(ensemble.election_port(1), sid));
    }
    wait_until("64 are kept and the others sent away", DEADLINE, || {
        strangers.iter().filter(|stranger| stranger.is_gone()).count() == 36
    });
    assert_eq!(one.manager.connection_count(), 64);
    let vote = Vote::new(Sid(1_000), Zxid(9), EPOCH);
    let first = strangers.iter_mut().find(|stranger| !stranger.is_gone()).unwrap();
    first.send(&notification_3_4(ServerState::Looking, &vote, 1));
    let answer = NotificationFrame::decode(&first.receive()).unwrap();
    assert_eq!((answer.leader, answer.state), (Sid(1), ServerState::Looking.code()));
}

/// The messages of a server of 3.4.14 with the larger id, byte for byte.
#[test]
fn a_server_of_3_4_is_understood_and_understands() {
    let ensemble = Ensemble::of(&[1, 9]);
    let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
    thread::scope(|scope| {
        let looking = scope.spawn(|| one.look_for_leader());
        let mut nine = Scripted::connect_as_3_4(ensemble.election_port(1), 9);
        let config = one.peer.quorum_verifier().to_text();
        let first = nine.receive();
        let mut expected = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 5];
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
        expected.extend_from_slice(&i32::try_from(config.len()).unwrap().to_be_bytes());
        expected.extend_from_slice(config.as_bytes());
        assert_eq!(first, expected);
        let vote = Vote::new(Sid(9), Zxid::new(1, 6), EPOCH);
        nine.send(&notification_3_4(ServerState::Looking, &vote, 1));
        assert_eq!(looking.join().unwrap().unwrap().id, Sid(9));
    });
    assert_eq!(one.peer.peer_state(), ServerState::Following);
}

/// The other server was not looking yet when this one sent its vote. This one answers it at once, long before it
/// would repeat its vote.
#[test]
fn who_votes_for_somebody_worse_is_told_at_once() {
    let mut ensemble = Ensemble::of(&[1, 8, 9]);
    ensemble.settings.min_notification_interval = Duration::from_secs(3600);
    let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
    thread::scope(|scope| {
        let looking = scope.spawn(|| one.look_for_leader());
        let mut nine = Scripted::connect_as_3_4(ensemble.election_port(1), 9);
        let first = nine.receive();
        let worse = Vote::new(Sid(9), Zxid::new(1, 4), EPOCH);
        nine.send(&notification_3_4(ServerState::Looking, &worse, 1));
        assert_eq!(nine.receive(), first);
        let better = Vote::new(Sid(1), Zxid::new(1, 5), EPOCH);
        nine.send(&notification_3_4(ServerState::Looking, &better, 1));
        assert_eq!(looking.join().unwrap().unwrap().id, Sid(1));
    });
}

/// The larger of two servers connects back to the address that the smaller one has sent, and repeats its last
/// message.
#[test]
fn the_larger_server_calls_back_and_repeats_its_last_words() {
    let mut ensemble = Ensemble::of(&[1, 9]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let real_port = listener.local_addr().unwrap().port();
    // The configuration is wrong: nobody listens on that port.
    ensemble.set_election_port(1, free_port());
    let nine = ensemble.member(9, Zxid::new(1, 5), EPOCH);
    thread::scope(|scope| {
        let looking = scope.spawn(|| nine.look_for_leader());
        let mut said = Vec::new();
        for _ in 0..2 {
            Scripted::greet_as_3_5(ensemble.election_port(9), 1, real_port);
            let mut one = Scripted::accept(&listener);
            assert_eq!(one.receive_greeting(), (-65536, 9));
            said.push(one.receive());
        }
        assert_eq!(said[0], said[1]);
        nine.election.shutdown();
        assert!(looking.join().unwrap().is_none());
    });
}

/// Two settled servers, one with the oldest message format and one with a newer one, disagree about the epoch. This
/// server still finds the leader.
#[test]
fn settled_servers_of_different_formats_need_only_agree_on_the_leader() {
    let ensemble = Ensemble::of(&[1, 8, 9]);
    let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
    thread::scope(|scope| {
        let looking = scope.spawn(|| one.look_for_leader());
        let mut eight = Scripted::connect_as_3_4(ensemble.election_port(1), 8);
        let mut nine = Scripted::connect_as_3_4(ensemble.election_port(1), 9);
        eight.receive();
        nine.receive();
        let old = Vote::in_round(Sid(9), Zxid::new(1, 5), 77, PeerEpoch(1));
        eight.send(&notification_3_4(ServerState::Following, &old, 77));
        let new = NotificationFrame {
            state: ServerState::Leading.code(),
            leader: Sid(9),
            zxid: Zxid::new(1, 3),
            election_epoch: 78,
            peer_epoch: PeerEpoch(2),
            version: 2,
            config: None,
        };
        nine.send(&new.encode());
        assert_eq!(looking.join().unwrap().unwrap().id, Sid(9));
    });
    // The round is that of the server that was heard last.
    assert!([77, 78].contains(&one.election.logical_clock()));
}

#[test]
fn a_leader_that_only_others_speak_of_is_not_followed() {
    let ensemble = Ensemble::of(&[1, 7, 8, 9]);
    let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
    thread::scope(|scope| {
        let looking = scope.spawn(|| one.look_for_leader());
        let mut others: Vec<Scripted> =
            [7, 8].map(|sid| Scripted::connect_as_3_4(ensemble.election_port(1), sid)).into();
        let mut nine = Scripted::connect_as_3_4(ensemble.election_port(1), 9);
        let vote = Vote::in_round(Sid(9), Zxid::new(1, 5), 5, PeerEpoch(1));
        for other in &mut others {
            other.receive();
            other.send(&notification_3_4(ServerState::Following, &vote, 5));
            // The server answers a message of an older round. By then, it has read the message before.
            other.send(&notification_3_4(ServerState::Looking, &vote, 0));
            other.receive();
        }
        assert_eq!(one.peer.peer_state(), ServerState::Looking);
        nine.receive();
        nine.send(&notification_3_4(ServerState::Following, &vote, 5));
        nine.send(&notification_3_4(ServerState::Looking, &vote, 0));
        nine.receive();
        assert_eq!(one.peer.peer_state(), ServerState::Looking, "it follows itself");
        nine.send(&notification_3_4(ServerState::Leading, &vote, 5));
        assert_eq!(looking.join().unwrap().unwrap().id, Sid(9));
    });
}

#[test]
fn a_newer_configuration_is_taken_over_and_the_election_starts_anew() {
    let ensemble = Ensemble::of(&[1, 9]);
    let one = ensemble.member(1, Zxid::new(1, 5), EPOCH);
    let newer = ensemble.text_with(&[1, 8, 9], 0x1_0000_0005);
    thread::scope(|scope| {
        let looking = scope.spawn(|| one.look_for_leader());
        let mut nine = Scripted::connect_as_3_4(ensemble.election_port(1), 9);
        nine.receive();
        let frame = NotificationFrame {
            state: ServerState::Looking.code(),
            leader: Sid(9),
            zxid: Zxid::new(1, 5),
            election_epoch: 1,
            peer_epoch: EPOCH,
            version: 2,
            config: Some(newer.clone().into_bytes()),
        };
        nine.send(&frame.encode());
        assert!(looking.join().unwrap().is_none());
    });
    assert!(one.peer.is_election_to_restart());
    assert_eq!(one.peer.quorum_verifier().to_text(), newer);
}
