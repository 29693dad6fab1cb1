//! Our leader and learners that a test plays: who gets what, when something is committed, when a `sync` is answered, and what a
//! learner cannot do to it (Java: Leader.java, LearnerHandler.java).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod common;
#[path = "quorum/scripted_leader.rs"]
mod scripted_leader;

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use common::{DEADLINE, RawConnection, TempDir, decode, free_port, wait_until};
use scripted_leader::{Member, bare, path_of, txn_bytes};
use zookeeper_server::ids::{PeerEpoch, SessionId, Sid, Zxid};
use zookeeper_server::jute::{BinaryOutputArchive, Limits, Record};
use zookeeper_server::proto::{ConnectResponse, CreateRequest, SyncRequest};
use zookeeper_server::server::quorum::leader::Leader;
use zookeeper_server::server::quorum::learner_info::{LearnerInfo, PROTOCOL_VERSION};
use zookeeper_server::server::quorum::quorum_packet::{PacketType, QuorumPacket, read_packet};
use zookeeper_server::txn::{CreateSessionTxn, TxnHeader};
use zookeeper_server::zoo_defs::{OpCode, ids};

/// The transaction of that epoch and number.
const fn z(epoch: i64, counter: i64) -> Zxid {
    Zxid::new(epoch, counter)
}

/// Server 2 of three, which leads.
struct Leading {
    leader: Arc<Leader>,
    thread: Option<JoinHandle<()>>,
    member: Member,
    address: SocketAddr,
}

impl Leading {
    /// With a history of epoch 1.
    fn new(counters: std::ops::RangeInclusive<i64>) -> Self {
        Self::with(counters, "")
    }

    /// The same, with another line in zoo.cfg.
    fn with(counters: std::ops::RangeInclusive<i64>, line: &str) -> Self {
        let servers = format!(
            "{line}\nserver.1=127.0.0.1:2:3\nserver.2=127.0.0.1:{}:{}\nserver.3=127.0.0.1:4:5",
            free_port(),
            free_port()
        );
        let member = Member::among(Arc::new(TempDir::new("leader")), &servers, Sid(2));
        let database = member.peer.database();
        for counter in counters {
            let (header, bytes) = txn_bytes(z(1, counter));
            database.snap_log().append(&header, &bytes).unwrap();
        }
        database.fast_forward_data_base().unwrap();
        member.peer.set_accepted_epoch(PeerEpoch(1)).unwrap();
        member.peer.set_current_epoch(PeerEpoch(1)).unwrap();
        let leader = Leader::new(&member.peer).unwrap();
        let address = leader.local_addresses()[0];
        let leads = Arc::clone(&leader);
        let thread = std::thread::Builder::new().spawn(move || {
            // How it ends is what the tests ask the leader for.
            let _ended = leads.lead();
            leads.shutdown("end of the test");
        });
        Self { leader, thread: Some(thread.unwrap()), member, address }
    }

    /// A follower that has everything up to `last`, as far as the leader asks; the epoch that it was offered.
    fn follower(&self, sid: i64, last: Zxid) -> Learner {
        let mut learner = Learner::connect(self.address);
        learner.greet(PacketType::FollowerInfo, sid);
        learner.ack_epoch(last);
        learner
    }

    /// Epoch 2 with that follower, which has everything.
    fn with_follower(&self, sid: i64, last: Zxid) -> Learner {
        let mut learner = self.follower(sid, last);
        assert_eq!(learner.expect(PacketType::Diff).zxid, last);
        learner.acknowledge_new_leader();
        learner
    }

    fn client(&self) -> RawConnection {
        wait_until("the leader serves", DEADLINE, || self.leader.uptime_ms() > 0);
        RawConnection::open(self.member.client_port)
    }
}

impl Leading {
    /// Ends it, with all that it has started.
    fn end(&mut self) {
        self.leader.shutdown("the test is over");
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.end();
    }
}

/// A learner that the test plays.
struct Learner {
    stream: TcpStream,
    input: BufReader<TcpStream>,
}

impl Learner {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let input = BufReader::new(stream.try_clone().unwrap());
        Self { stream, input }
    }

    fn send(&mut self, packet: &QuorumPacket) {
        self.stream.write_all(&packet.to_bytes()).unwrap();
    }

    /// The next packet that is no PING; those are not answered.
    fn receive(&mut self) -> Option<QuorumPacket> {
        loop {
            let packet = read_packet(&mut self.input, Limits::default()).ok()?;
            if packet.packet_type() != Some(PacketType::Ping) {
                return Some(packet);
            }
        }
    }

    #[track_caller]
    fn expect(&mut self, packet_type: PacketType) -> QuorumPacket {
        let packet = self.receive().expect("a packet");
        assert_eq!(packet.packet_type(), Some(packet_type), "{packet:?}");
        packet
    }

    #[track_caller]
    fn expect_end(&mut self) {
        assert_eq!(self.receive(), None);
    }

    fn greet(&mut self, packet_type: PacketType, sid: i64) {
        let info = LearnerInfo {
            serverid: Sid(sid),
            protocol_version: PROTOCOL_VERSION,
            config_version: 0,
        };
        self.send(&QuorumPacket::new(packet_type, z(1, 0), Some(info.to_bytes())));
    }

    fn ack_epoch(&mut self, last: Zxid) {
        let offered = self.expect(PacketType::LeaderInfo);
        assert_eq!(offered.zxid, z(2, 0));
        assert_eq!(offered.data.unwrap(), PROTOCOL_VERSION.to_be_bytes());
        let epoch = 1_i32.to_be_bytes().to_vec();
        self.send(&QuorumPacket::new(PacketType::AckEpoch, last, Some(epoch)));
    }

    fn acknowledge_new_leader(&mut self) {
        let new_leader = self.expect(PacketType::NewLeader);
        assert_eq!(new_leader.zxid, z(2, 0));
        let config = String::from_utf8(new_leader.data.unwrap()).unwrap();
        assert!(config.contains("server.2=") && config.contains("version="), "{config}");
        self.ack(z(2, 0));
        self.expect(PacketType::UpToDate);
        self.ack(z(2, 0));
    }

    fn ack(&mut self, zxid: Zxid) {
        self.send(&bare(PacketType::Ack, zxid));
    }

    /// Answers PINGs until something else comes.
    fn answer_pings(&mut self) -> QuorumPacket {
        loop {
            let packet = read_packet(&mut self.input, Limits::default()).unwrap();
            if packet.packet_type() != Some(PacketType::Ping) {
                return packet;
            }
            let answer = QuorumPacket::new(PacketType::Ping, packet.zxid, Some(Vec::new()));
            self.send(&answer);
        }
    }

    fn request(&mut self, session: i64, cxid: i32, op: OpCode, payload: &[u8]) {
        let mut data = session.to_be_bytes().to_vec();
        data.extend_from_slice(&cxid.to_be_bytes());
        data.extend_from_slice(&op.code().to_be_bytes());
        data.extend_from_slice(payload);
        self.send(&QuorumPacket::new(PacketType::Request, Zxid::NONE, Some(data)));
    }
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

    // A client of the follower.
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
    // One that comes now gets what it lacks.
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
    // A write that a majority has logged afterwards says as much, and the answer comes before its commit.
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
                // The leader may be gone.
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
    // It would have to lead: it has more than the leader.
    long.expect_end();
    let mut follower = leading.with_follower(3, z(1, 5));
    let mut empty = leading.follower(1, Zxid::ZERO);
    let snap = empty.expect(PacketType::Snap);
    assert_eq!(snap.zxid, z(2, 0));
    let mut tree = Vec::new();
    let mut byte = [0];
    let mut end = Vec::new();
    zookeeper_server::jute::OutputArchive::write_string(
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
    // Since the epoch began something else has happened elsewhere: it never was committed.
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
    // Acknowledgements of what was never proposed.
    for zxid in [z(2, 9), z(9, 9), Zxid(i64::MAX), Zxid(i64::MIN)] {
        follower.ack(zxid);
    }
    let timeout = CreateSessionTxn { time_out: 40_000 }.to_bytes();
    follower.request(8, 0, OpCode::CreateSession, &timeout);
    assert_eq!(follower.expect(PacketType::Proposal).zxid, z(2, 1));
    follower.ack(z(2, 1));
    assert_eq!(follower.expect(PacketType::Commit).zxid, z(2, 1));
}

impl Leading {
    /// Server 3, which comes when the epoch has begun.
    fn with_late_follower(&self) -> Learner {
        let mut learner = Learner::connect(self.address);
        learner.greet(PacketType::FollowerInfo, 3);
        learner.ack_epoch(z(2, 0));
        assert_eq!(learner.expect(PacketType::Diff).zxid, z(2, 0));
        learner.acknowledge_new_leader();
        learner
    }
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
        let mut data = session.to_be_bytes().to_vec();
        data.extend_from_slice(&40_000_i32.to_be_bytes());
        follower.send(&QuorumPacket::new(PacketType::Revalidate, Zxid::NONE, Some(data)));
        let answer = follower.expect(PacketType::Revalidate).data.unwrap();
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
