//! Our leader, with learners that the test scripts.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]
#![allow(unreachable_pub, reason = "a module of several test crates")]
#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use zookeeper_server::ids::{PeerEpoch, Sid, Zxid};
use zookeeper_server::internals::jute::{Limits, Record};
use zookeeper_server::internals::server::quorum::leader::Leader;
use zookeeper_server::internals::server::quorum::learner_info::{LearnerInfo, PROTOCOL_VERSION};
use zookeeper_server::internals::server::quorum::quorum_packet::{
    PacketType, QuorumPacket, read_packet,
};
use zookeeper_server::zoo_defs::OpCode;

use crate::common::{DEADLINE, RawConnection, TempDir, free_port, wait_until};
use crate::scripted_leader::{Member, bare, txn_bytes};

const fn z(epoch: i64, counter: i64) -> Zxid {
    Zxid::new(epoch, counter)
}

/// Server 2 of three, which leads.
pub struct Leading {
    pub leader: Arc<Leader>,
    pub thread: Option<JoinHandle<()>>,
    pub member: Member,
    pub address: SocketAddr,
}

impl Leading {
    /// A leader with these transactions of epoch 1.
    pub fn new(counters: std::ops::RangeInclusive<i64>) -> Self {
        Self::with(counters, "")
    }

    /// The same, with another line in zoo.cfg.
    pub fn with(counters: std::ops::RangeInclusive<i64>, line: &str) -> Self {
        let member = Self::candidate(Arc::new(TempDir::new("leader")), line);
        let database = member.peer.database();
        for counter in counters {
            let (header, bytes) = txn_bytes(z(1, counter));
            database.snap_log().append(&header, &bytes).unwrap();
        }
        database.fast_forward_data_base().unwrap();
        Self::of(member)
    }

    /// A member that can lead, with the data in this directory.
    pub fn candidate(dir: Arc<TempDir>, line: &str) -> Member {
        let servers = format!(
            "{line}\nserver.1=127.0.0.1:2:3\nserver.2=127.0.0.1:{}:{}\nserver.3=127.0.0.1:4:5",
            free_port(),
            free_port()
        );
        Member::among(dir, &servers, Sid(2))
    }

    /// Lets the member lead. Its epochs are 1 before that.
    pub fn of(member: Member) -> Self {
        member.peer.set_accepted_epoch(PeerEpoch(1)).unwrap();
        member.peer.set_current_epoch(PeerEpoch(1)).unwrap();
        let leader = Leader::new(&member.peer).unwrap();
        let address = leader.local_addresses()[0];
        let leads = Arc::clone(&leader);
        let thread = std::thread::Builder::new().spawn(move || {
            // Tests ask the leader itself how it has ended.
            let _ended = leads.lead();
            leads.shutdown("end of the test");
        });
        Self { leader, thread: Some(thread.unwrap()), member, address }
    }

    /// A follower that tells the leader that it has everything up to `last`.
    pub fn follower(&self, sid: i64, last: Zxid) -> Learner {
        let mut learner = Learner::connect(self.address);
        learner.greet(PacketType::FollowerInfo, sid);
        learner.ack_epoch(last);
        learner
    }

    /// Begins epoch 2 with this follower, which has all transactions.
    pub fn with_follower(&self, sid: i64, last: Zxid) -> Learner {
        let mut learner = self.follower(sid, last);
        assert_eq!(learner.expect(PacketType::Diff).zxid, last);
        learner.acknowledge_new_leader();
        learner
    }

    pub fn client(&self) -> RawConnection {
        wait_until("the leader serves", DEADLINE, || self.leader.uptime_ms() > 0);
        RawConnection::open(self.member.client_port)
    }
}

impl Leading {
    /// Ends the leader and everything that it has started.
    pub fn end(&mut self) {
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

/// A learner that the test scripts.
pub struct Learner {
    pub stream: TcpStream,
    pub input: BufReader<TcpStream>,
}

impl Learner {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let input = BufReader::new(stream.try_clone().unwrap());
        Self { stream, input }
    }

    pub fn send(&mut self, packet: &QuorumPacket) {
        self.stream.write_all(&packet.to_bytes()).unwrap();
    }

    /// The next packet that is not a PING. PINGs are skipped without an answer.
    pub fn receive(&mut self) -> Option<QuorumPacket> {
        loop {
            let packet = read_packet(&mut self.input, Limits::default()).ok()?;
            if packet.packet_type() != Some(PacketType::Ping) {
                return Some(packet);
            }
        }
    }

    #[track_caller]
    pub fn expect(&mut self, packet_type: PacketType) -> QuorumPacket {
        let packet = self.receive().expect("a packet");
        assert_eq!(packet.packet_type(), Some(packet_type), "{packet:?}");
        packet
    }

    #[track_caller]
    pub fn expect_ping(&mut self) -> QuorumPacket {
        let packet = read_packet(&mut self.input, Limits::default()).unwrap();
        assert_eq!(packet.packet_type(), Some(PacketType::Ping), "{packet:?}");
        packet
    }

    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(self.receive(), None);
    }

    pub fn greet(&mut self, packet_type: PacketType, sid: i64) {
        let info = LearnerInfo {
            serverid: Sid(sid),
            protocol_version: PROTOCOL_VERSION,
            config_version: 0,
        };
        self.send(&QuorumPacket::new(packet_type, z(1, 0), Some(info.to_bytes())));
    }

    pub fn ack_epoch(&mut self, last: Zxid) {
        let offered = self.expect(PacketType::LeaderInfo);
        assert_eq!(offered.zxid, z(2, 0));
        assert_eq!(offered.data.unwrap(), PROTOCOL_VERSION.to_be_bytes());
        let epoch = 1_i32.to_be_bytes().to_vec();
        self.send(&QuorumPacket::new(PacketType::AckEpoch, last, Some(epoch)));
    }

    pub fn acknowledge_new_leader(&mut self) {
        let new_leader = self.expect(PacketType::NewLeader);
        assert_eq!(new_leader.zxid, z(2, 0));
        let config = String::from_utf8(new_leader.data.unwrap()).unwrap();
        assert!(config.contains("server.2=") && config.contains("version="), "{config}");
        self.ack(z(2, 0));
        self.expect(PacketType::UpToDate);
        self.ack(z(2, 0));
    }

    pub fn ack(&mut self, zxid: Zxid) {
        self.send(&bare(PacketType::Ack, zxid));
    }

    /// Asks whether that session lives. Returns the answer. Skips PINGs without answering them.
    #[track_caller]
    pub fn revalidate(&mut self, session: i64) -> Vec<u8> {
        let data = [&session.to_be_bytes()[..], &40_000_i32.to_be_bytes()].concat();
        self.send(&QuorumPacket::new(PacketType::Revalidate, Zxid::NONE, Some(data)));
        self.expect(PacketType::Revalidate).data.unwrap()
    }

    /// Answers PINGs until another packet comes.
    pub fn answer_pings(&mut self) -> QuorumPacket {
        loop {
            let packet = read_packet(&mut self.input, Limits::default()).unwrap();
            if packet.packet_type() != Some(PacketType::Ping) {
                return packet;
            }
            let answer = QuorumPacket::new(PacketType::Ping, packet.zxid, Some(Vec::new()));
            self.send(&answer);
        }
    }

    pub fn request(&mut self, session: i64, cxid: i32, op: OpCode, payload: &[u8]) {
        let mut data = session.to_be_bytes().to_vec();
        data.extend_from_slice(&cxid.to_be_bytes());
        data.extend_from_slice(&op.code().to_be_bytes());
        data.extend_from_slice(payload);
        self.send(&QuorumPacket::new(PacketType::Request, Zxid::NONE, Some(data)));
    }
}

impl Leading {
    /// Server 3, which joins after the epoch has begun.
    pub fn with_late_follower(&self) -> Learner {
        let mut learner = Learner::connect(self.address);
        learner.greet(PacketType::FollowerInfo, 3);
        learner.ack_epoch(z(2, 0));
        assert_eq!(learner.expect(PacketType::Diff).zxid, z(2, 0));
        learner.acknowledge_new_leader();
        learner
    }
}
