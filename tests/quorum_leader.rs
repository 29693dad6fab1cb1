//! Our leader and learners that a test scripts: what each learner is sent, when a transaction is committed, when a
//! `sync` is answered, and what a learner cannot do to the leader (Java: Leader.java, LearnerHandler.java).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod common;
#[path = "quorum/scripted_leader.rs"]
mod scripted_leader;
#[path = "quorum/scripted_learners.rs"]
mod scripted_learners;

use std::io::{Read, Write};

use common::{DEADLINE, decode, wait_until};
use scripted_leader::{bare, path_of, txn_bytes};
use scripted_learners::{Leading, Learner};
use zookeeper_server::ids::{PeerEpoch, SessionId, Zxid};
use zookeeper_server::internals::jute::{BinaryOutputArchive, Limits, Record};
use zookeeper_server::internals::proto::{ConnectResponse, CreateRequest, SyncRequest};
use zookeeper_server::internals::server::quorum::quorum_packet::{
    PacketType, QuorumPacket, read_packet,
};
use zookeeper_server::internals::txn::{CreateSessionTxn, TxnHeader};
use zookeeper_server::zoo_defs::{OpCode, ids};

/// The zxid with that epoch and counter.
const fn z(epoch: i64, counter: i64) -> Zxid {
    Zxid::new(epoch, counter)
}

fn header_of(proposal: &QuorumPacket) -> TxnHeader {
    decode::<TxnHeader>(proposal.data.as_deref().unwrap()).0
}

fn create(path: &str) -> CreateRequest {
    CreateRequest { path: path.into(), data: None, acl: Some(ids::open_acl_unsafe()), flags: 0 }
}

#[test]
fn a_write_is_committed_when_a_majority_has_it_and_everybody_gets_it_in_order() {
    let leading = Leading::new(1..=3);
    let mut follower = leading.with_follower(1, z(1, 3));
    let mut observer = Learner::connect(leading.address);
    observer.greet(PacketType::ObserverInfo, 9);
    observer.ack_epoch(z(2, 0));
    observer.expect(PacketType::Diff);
    observer.acknowledge_new_leader();

    // Requests from a client of the follower.
    let session = 0x0100_0000_0000_0007;
    let timeout = CreateSessionTxn { time_out: 40_000 }.to_bytes();
    follower.request(session, 0, OpCode::CreateSession, &timeout);
    follower.request(session, 1, OpCode::Create, &create("/a").to_bytes());
    for (counter, op) in [(1, OpCode::CreateSession), (2, OpCode::Create)] {
        let proposal = follower.expect(PacketType::Proposal);
        let header = header_of(&proposal);
        assert_eq!((proposal.zxid, header.zxid), (z(2, counter), z(2, counter)));
        assert_eq!((header.client_id, header.r#type), (SessionId(session), op.code()));
    }
    assert!(leading.member.peer.database().tree().read().node("/a").is_none());
    follower.ack(z(2, 1));
    follower.ack(z(2, 2));
    for counter in [1, 2] {
        assert_eq!(follower.expect(PacketType::Commit).zxid, z(2, counter));
        let inform = observer.expect(PacketType::Inform);
        assert_eq!((inform.zxid, header_of(&inform).zxid), (z(2, counter), z(2, counter)));
    }
    let database = leading.member.peer.database();
    wait_until("it is applied", DEADLINE, || database.tree().read().node("/a").is_some());
    // A follower that joins now gets the transactions that it lacks.
    let mut late = leading.follower(3, z(1, 3));
    assert_eq!(late.expect(PacketType::Diff).zxid, z(2, 2));
    for counter in [1, 2] {
        assert_eq!(late.expect(PacketType::Proposal).zxid, z(2, counter));
        assert_eq!(late.expect(PacketType::Commit).zxid, z(2, counter));
    }
    late.acknowledge_new_leader();
}

#[test]
fn clients_of_the_leader_are_answered_when_a_majority_has_their_writes() {
    let leading = Leading::new(1..=3);
    let mut follower = leading.with_follower(3, z(1, 3));
    let mut client = leading.client();
    let asking = std::thread::Builder::new().spawn(move || {
        let session: ConnectResponse = client.new_session();
        assert_ne!(session.session_id, SessionId(0));
        let (reply, _) = client.ask(1, OpCode::Create, &create("/b"));
        (reply.zxid, reply.err)
    });
    for counter in [1, 2] {
        assert_eq!(follower.expect(PacketType::Proposal).zxid, z(2, counter));
        follower.ack(z(2, counter));
        assert_eq!(follower.expect(PacketType::Commit).zxid, z(2, counter));
    }
    assert_eq!(asking.unwrap().join().unwrap(), (z(2, 2), 0));
}

/// Anybody who reaches the port can say that he is a follower. Java sends each of them the tree, any number at once.
#[test]
fn strangers_get_the_history_two_at_a_time_whatever_they_say_they_are() {
    let leading = Leading::new(1..=3);
    let _follower = leading.with_follower(1, z(1, 3));
    let stranger = |packet_type: PacketType, sid: i64| {
        let mut stranger = Learner::connect(leading.address);
        stranger.greet(packet_type, sid);
        // Nothing that it has is in the leader's history: it needs the tree.
        stranger.ack_epoch(z(1, 99));
        stranger
    };
    let mut first = stranger(PacketType::FollowerInfo, 101);
    first.expect(PacketType::Trunc);
    let mut second = stranger(PacketType::ObserverInfo, -1);
    second.expect(PacketType::Trunc);
    for packet_type in [PacketType::FollowerInfo, PacketType::ObserverInfo] {
        stranger(packet_type, 103).expect_end();
    }
    // A member is not kept waiting by them.
    let mut late = leading.follower(3, z(1, 3));
    assert_eq!(late.expect(PacketType::Diff).zxid, z(1, 3));
    late.acknowledge_new_leader();
    // Who is up to date, or gone, makes room.
    first.acknowledge_new_leader();
    let mut third = stranger(PacketType::FollowerInfo, 104);
    third.expect(PacketType::Trunc);
    drop(second);
    wait_until("there is room again", DEADLINE, || {
        stranger(PacketType::ObserverInfo, 105).receive().is_some()
    });
}

#[test]
fn a_sync_is_answered_only_when_a_majority_says_that_it_still_follows() {
    let leading = Leading::new(1..=3);
    let mut follower = leading.with_follower(1, z(1, 3));
    let payload = SyncRequest { path: "/".into() }.to_bytes();
    follower.request(7, 1, OpCode::Sync, &payload);
    let ping = read_packet(&mut follower.input, Limits::default()).unwrap();
    assert_eq!(ping.packet_type(), Some(PacketType::Ping), "not the answer");
    wait_until("it waits", DEADLINE, || leading.leader.pending_syncs() == 1);
    follower.send(&QuorumPacket::new(PacketType::Ping, ping.zxid, Some(Vec::new())));
    assert_eq!(follower.answer_pings().packet_type(), Some(PacketType::Sync));
    assert_eq!(leading.leader.pending_syncs(), 0);
    // A later write that a majority has logged proves the same. The sync is answered before the commit of that write.
    follower.request(7, 2, OpCode::Sync, &payload);
    let timeout = CreateSessionTxn { time_out: 40_000 }.to_bytes();
    follower.request(8, 0, OpCode::CreateSession, &timeout);
    assert_eq!(follower.expect(PacketType::Proposal).zxid, z(2, 1));
    follower.ack(z(2, 1));
    assert_eq!(follower.expect(PacketType::Sync).zxid, Zxid::ZERO);
    assert_eq!(follower.expect(PacketType::Commit).zxid, z(2, 1));
}

#[test]
fn a_sync_of_a_client_of_the_leader_waits_for_a_majority_too() {
    let leading = Leading::new(1..=3);
    let mut follower = leading.with_follower(3, z(1, 3));
    let mut client = leading.client();
    let asking = std::thread::Builder::new().spawn(move || {
        client.new_session();
        let (reply, _) = client.ask(1, OpCode::Sync, &SyncRequest { path: "/".into() });
        reply.err
    });
    assert_eq!(follower.expect(PacketType::Proposal).zxid, z(2, 1));
    follower.ack(z(2, 1));
    assert_eq!(follower.expect(PacketType::Commit).zxid, z(2, 1));
    wait_until("it waits", DEADLINE, || leading.leader.pending_syncs() == 1);
    let answering = std::thread::Builder::new().spawn(move || {
        while let Ok(packet) = read_packet(&mut follower.input, Limits::default()) {
            let answer = QuorumPacket::new(PacketType::Ping, packet.zxid, Some(Vec::new()));
            if packet.packet_type() == Some(PacketType::Ping) {
                // The leader may have closed the connection.
                let _sent = follower.stream.write_all(&answer.to_bytes());
            }
        }
    });
    assert_eq!(asking.unwrap().join().unwrap(), 0);
    assert_eq!(leading.leader.pending_syncs(), 0);
    drop(leading);
    answering.unwrap().join().unwrap();
}

#[test]
fn who_has_too_much_is_cut_off_and_who_has_too_little_gets_the_tree() {
    let leading = Leading::new(3..=5);
    let mut long = leading.follower(1, z(1, 7));
    // This server has more transactions than the leader, so it should lead.
    long.expect_end();
    let mut follower = leading.with_follower(3, z(1, 5));
    let mut empty = leading.follower(1, Zxid::ZERO);
    let snap = empty.expect(PacketType::Snap);
    assert_eq!(snap.zxid, z(2, 0));
    let mut tree = Vec::new();
    let mut byte = [0];
    let mut end = Vec::new();
    zookeeper_server::internals::jute::OutputArchive::write_string(
        &mut BinaryOutputArchive::new(&mut end),
        Some("BenWasHere"),
        "signature",
    );
    while !tree.ends_with(&end) {
        empty.input.read_exact(&mut byte).unwrap();
        tree.push(byte[0]);
    }
    let path = path_of(z(1, 4));
    assert!(tree.windows(path.len()).any(|window| window == path.as_bytes()));
    empty.acknowledge_new_leader();
    drop(empty);
    // Epoch 2 has begun without transactions 6 to 9 of epoch 1, so they were never committed.
    let mut old = leading.follower(1, z(1, 9));
    assert_eq!(old.expect(PacketType::Trunc).zxid, z(1, 5));
    old.acknowledge_new_leader();
    follower.ack(z(2, 0));
}

#[test]
fn what_a_learner_sends_cannot_hurt_more_than_its_own_connection() {
    let leading = Leading::new(1..=3);
    let mut follower = leading.with_follower(1, z(1, 3));
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n0123456789"[..],
        &[0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff][..],
        &bare(PacketType::Ack, z(1, 1)).to_bytes(),
        &QuorumPacket::new(PacketType::FollowerInfo, z(1, 0), Some(vec![1, 2, 3])).to_bytes()[..20],
    ] {
        let mut bad = Learner::connect(leading.address);
        bad.stream.write_all(garbage).unwrap();
        bad.stream.shutdown(std::net::Shutdown::Write).unwrap();
        bad.expect_end();
    }
    for (packet_type, data) in [
        (PacketType::Request, Some(vec![1, 2, 3])),
        (PacketType::Request, None),
        (PacketType::Ping, Some(vec![1; 13])),
        (PacketType::Ping, None),
        (PacketType::Revalidate, Some(vec![1])),
    ] {
        let mut bad = leading.with_late_follower();
        bad.send(&QuorumPacket::new(packet_type, Zxid::ZERO, data));
        bad.expect_end();
    }
    // Acknowledges zxids that were never proposed.
    for zxid in [z(2, 9), z(9, 9), Zxid(i64::MAX), Zxid(i64::MIN)] {
        follower.ack(zxid);
    }
    let timeout = CreateSessionTxn { time_out: 40_000 }.to_bytes();
    follower.request(8, 0, OpCode::CreateSession, &timeout);
    assert_eq!(follower.expect(PacketType::Proposal).zxid, z(2, 1));
    follower.ack(z(2, 1));
    assert_eq!(follower.expect(PacketType::Commit).zxid, z(2, 1));
}

#[test]
fn a_session_that_comes_back_through_a_learner_belongs_to_it() {
    let leading = Leading::new(1..=3);
    let mut follower = leading.with_follower(1, z(1, 3));
    let timeout = CreateSessionTxn { time_out: 40_000 }.to_bytes();
    follower.request(8, 0, OpCode::CreateSession, &timeout);
    assert_eq!(follower.expect(PacketType::Proposal).zxid, z(2, 1));
    follower.ack(z(2, 1));
    assert_eq!(follower.expect(PacketType::Commit).zxid, z(2, 1));
    for (session, lives) in [(8_i64, 1), (9, 0)] {
        let answer = follower.revalidate(session);
        let mut expected = session.to_be_bytes().to_vec();
        expected.push(lives);
        assert_eq!(answer, expected);
    }
}

#[test]
fn what_is_before_the_committed_log_comes_from_the_disk() {
    const LAST: i64 = 600;
    let leading = Leading::new(1..=LAST);
    let mut follower = leading.follower(1, z(1, 50));
    assert_eq!(follower.expect(PacketType::Diff).zxid, z(1, LAST));
    for counter in 51..=LAST {
        let proposal = follower.expect(PacketType::Proposal);
        assert_eq!(proposal.zxid, z(1, counter));
        assert_eq!(proposal.data.unwrap(), txn_bytes(z(1, counter)).1);
        assert_eq!(follower.expect(PacketType::Commit).zxid, z(1, counter));
    }
    follower.acknowledge_new_leader();
}

#[test]
fn what_was_logged_and_not_committed_counts_in_the_next_election() {
    let mut leading = Leading::new(1..=3);
    let mut follower = leading.with_follower(1, z(1, 3));
    let timeout = CreateSessionTxn { time_out: 40_000 }.to_bytes();
    follower.request(8, 0, OpCode::CreateSession, &timeout);
    assert_eq!(follower.expect(PacketType::Proposal).zxid, z(2, 1));
    leading.end();
    follower.expect_end();
    assert_eq!(leading.member.peer.last_logged_zxid().unwrap(), z(2, 1));
    assert_eq!(leading.member.peer.current_epoch(), PeerEpoch(2));
    assert_eq!(leading.leader.learners().len(), 0);
}

#[test]
fn a_leader_that_has_used_up_its_zxids_makes_room_for_a_new_epoch() {
    let leading = Leading::with(1..=3, "testingonly.initialZxid=4294967293");
    let mut follower = leading.with_follower(1, z(1, 3));
    let timeout = CreateSessionTxn { time_out: 40_000 }.to_bytes();
    follower.request(8, 0, OpCode::CreateSession, &timeout);
    let last = z(2, 0xffff_fffe);
    assert_eq!(follower.expect(PacketType::Proposal).zxid, last);
    follower.ack(last);
    assert_eq!(follower.expect(PacketType::Commit).zxid, last);
    follower.request(9, 0, OpCode::CreateSession, &timeout);
    follower.expect_end();
    let thread = leading.thread.as_ref().unwrap();
    wait_until("it leads no more", DEADLINE, || thread.is_finished());
    assert_eq!(leading.member.peer.last_logged_zxid().unwrap(), last);
}

/// Short ticks, ten per second.
const SHORT_TICKS: &str = "tickTime=100\ninitLimit=600\nsyncLimit=60";
const SYNC_LIMIT: i32 = 60;

impl Leading {
    /// Waits until the leader gives up. Returns the tick.
    #[track_caller]
    fn expect_to_give_up(&self) -> i32 {
        let thread = self.thread.as_ref().unwrap();
        wait_until("it leads no more", DEADLINE, || thread.is_finished());
        assert_eq!(self.leader.learners().len(), 0);
        self.member.peer.tick()
    }
}

#[test]
fn a_leader_whose_majority_says_nothing_gives_up_within_sync_limit() {
    let leading = Leading::with(1..=3, SHORT_TICKS);
    let mut follower = leading.with_follower(1, z(1, 3));
    // The leader leads as long as the follower answers.
    let begin = leading.member.peer.tick();
    while leading.member.peer.tick() <= begin + SYNC_LIMIT {
        let ping = follower.expect_ping();
        follower.send(&QuorumPacket::new(PacketType::Ping, ping.zxid, Some(Vec::new())));
    }
    // When the leader answers this request, it has read everything that the follower sends.
    follower.revalidate(9);
    let tick = leading.member.peer.tick();
    assert!(!leading.thread.as_ref().unwrap().is_finished(), "{tick}");
    let last = leading.expect_to_give_up();
    assert!(last <= tick + SYNC_LIMIT + 2, "silence since tick {tick}, and it led until {last}");
    while follower.receive().is_some() {}
}

#[test]
fn a_leader_whose_majority_is_gone_gives_up_in_the_next_tick() {
    let leading = Leading::with(1..=3, SHORT_TICKS);
    let follower = leading.with_follower(1, z(1, 3));
    wait_until("the first tick", DEADLINE, || leading.member.peer.tick() > 0);
    drop(follower);
    wait_until("it is missed", DEADLINE, || leading.leader.learners().is_empty());
    let tick = leading.member.peer.tick();
    assert!(leading.expect_to_give_up() <= tick + 1);
}

#[test]
fn who_is_not_up_to_date_is_pinged_and_need_not_answer() {
    let leading = Leading::with(1..=3, "tickTime=100\ninitLimit=600\nsyncLimit=600");
    let mut follower = leading.with_follower(1, z(1, 3));
    let mut late = leading.follower(3, z(1, 3));
    for expected in [PacketType::Diff, PacketType::NewLeader] {
        late.expect(expected);
    }
    for _ in 0..4 {
        late.expect_ping();
        let ping = follower.expect_ping();
        follower.send(&QuorumPacket::new(PacketType::Ping, ping.zxid, Some(Vec::new())));
    }
    late.ack(z(2, 0));
    late.expect(PacketType::UpToDate);
    late.ack(z(2, 0));
    drop(follower);
    // The PINGs without answers do not count against this learner, and later answers are not taken for theirs. With
    // this learner alone, the leader goes on leading.
    let payload = SyncRequest { path: "/".into() }.to_bytes();
    late.request(7, 1, OpCode::Sync, &payload);
    wait_until("the sync waits", DEADLINE, || leading.leader.pending_syncs() == 1);
    assert_eq!(late.answer_pings().packet_type(), Some(PacketType::Sync));
}
