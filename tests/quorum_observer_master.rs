//! Observers that follow a follower (Java: ObserverMaster.java, Observer.java; ObserverMasterTest.java).
//!
//! `cargo test --test quorum_observer_master -- --ignored java` runs the tests that need no server of this repository
//! against Java's servers, to test the tests. `tests/ensemble/observer_masters.py` mixes both.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]
#![allow(clippy::print_stdout, reason = "figures of a run, shown when it fails")]

mod common;
#[path = "common/ensemble.rs"]
mod ensemble;
#[path = "quorum/scripted_leader.rs"]
mod scripted_leader;

use std::io::{BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use common::{Client, DEADLINE, Program, RawConnection, decode, free_port, wait_for, wait_until};
use crossbeam::channel::never;
use ensemble::{CatchUp, Ensemble, Mode, create, on_both, under_load};
use scripted_leader::{As, Member, bare, commit, new_leader, proposal, txn_bytes, up_to_date};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::ids::{SessionId, Sid, Zxid};
use zookeeper_server::internals::common::time;
use zookeeper_server::internals::jute::{Limits, Record};
use zookeeper_server::internals::proto::{
    ConnectRequest, ConnectResponse, CreateRequest, SyncRequest,
};
use zookeeper_server::internals::server::quorum::learner::LearnerError;
use zookeeper_server::internals::server::quorum::learner_info::{LearnerInfo, PROTOCOL_VERSION};
use zookeeper_server::internals::server::quorum::quorum_packet::{
    PacketType, QuorumPacket, read_packet,
};
use zookeeper_server::zoo_defs::{OpCode, ids};

const JAVA: Program = Program::Java("3.9.5");

/// More transactions than a member keeps in memory.
const MORE_THAN_COMMITTED_LOG: usize = 620;

/// The xid of a client's ping.
const PING_XID: i32 = -2;

/// Until an observer whose master is gone follows the next one: connecting in vain to the leader, which serves no
/// observers at this port, takes half a second, and each try begins with an election.
const NEXT_MASTER: Duration = Duration::from_secs(15);

/// An ensemble whose observers follow followers. Each member has its own address, since all followers listen at the
/// same port.
struct Fleet {
    ensemble: Ensemble,
    port: u16,
}

fn host(at: usize) -> String {
    format!("127.0.0.{}", at + 1)
}

impl Fleet {
    #[track_caller]
    fn start(program: Program, voters: usize, observers: usize, more: &[&str]) -> Self {
        let port = free_port();
        let setting = format!("observerMasterPort={port}");
        let lines = [more, &[&setting, "admin.enableServer=true"]].concat();
        let programs = vec![program; voters + observers];
        let ensemble = Ensemble::start_on_hosts(&programs, voters, &lines, host);
        Self { ensemble, port }
    }

    /// The index of the member that an observer follows; `None` while it follows nobody.
    fn master_of(&self, observer: usize) -> Option<usize> {
        let answer = self.ensemble.members[observer].server.four_letter_word("mntr")?;
        let id = answer.lines().find_map(|line| line.strip_prefix("zk_observer_master_id\t"))?;
        id.parse::<usize>().ok()?.checked_sub(1)
    }

    /// Waits until the observer serves, and follows a follower. Returns that follower.
    #[track_caller]
    fn wait_master_of(&self, observer: usize) -> usize {
        let found = wait_for(DEADLINE, || {
            (self.ensemble.members[observer].mode()? == Mode::Observer).then_some(())?;
            let master = self.master_of(observer)?;
            (self.ensemble.members[master].mode()? == Mode::Follower).then_some(master)
        });
        found.unwrap_or_else(|| panic!("member {} observes no follower", observer + 1))
    }

    /// The place where a follower serves observers.
    fn master_address(&self, at: usize) -> SocketAddr {
        SocketAddr::new(host(at).parse::<IpAddr>().unwrap(), self.port)
    }

    /// The answer of a member's AdminServer.
    fn admin(&self, at: usize, command: &str) -> String {
        let port = self.ensemble.members[at].server.admin_port();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = "HTTP/1.0\r\nAuthorization: ip x\r\n\r\n";
        write!(stream, "GET /commands/{command} {head}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// A client of that member.
    fn client(&self, at: usize) -> Client {
        self.ensemble.members[at].server.client()
    }
}

/// Reads, writes, watches, syncs and ephemeral nodes work through an observer of a follower, and what its members tell
/// of it is true.
fn serves_through_a_follower(program: Program) {
    let fleet = Fleet::start(program, 3, 1, &[]);
    let (leader, observer) = (fleet.ensemble.wait_leader(), 3);
    let master = fleet.wait_master_of(observer);
    let other = (0..3).find(|at| ![leader, master].contains(at)).unwrap();
    let (at_leader, at_observer) = (fleet.client(leader), fleet.client(observer));
    assert_eq!(at_observer.exists("/n", true).unwrap(), None);
    create(&at_leader, "/n", CreateMode::Persistent).unwrap();
    assert_eq!(at_observer.next_watch_event().path.as_deref(), Some("/n"));
    create(&at_observer, "/n/e", CreateMode::Ephemeral).unwrap();
    at_leader.sync("/").unwrap();
    let stat = at_leader.exists("/n/e", false).unwrap().unwrap();
    assert_eq!(stat.ephemeral_owner, at_observer.session_id().0);
    for round in 0..20 {
        // What was written through the leader before a sync is read through the observer after it.
        let data = format!("{round}");
        at_leader.set_data("/n", Some(data.as_bytes()), -1).unwrap();
        at_observer.sync("/n").unwrap();
        assert_eq!(
            at_observer.get_data("/n", false).unwrap().0.unwrap_or_default(),
            data.as_bytes()
        );
    }
    let synced = |at: usize| fleet.ensemble.members[at].server.monitor("synced_observers");
    assert_eq!([synced(leader), synced(master), synced(other)], [0.0, 1.0, 0.0]);
    for metric in ["cnt_om_proposal_process_time_ms", "cnt_om_commit_process_time_ms"] {
        let count = |at: usize| fleet.ensemble.members[at].server.monitor(metric);
        assert!(count(master) >= 20.0 && count(other) >= 20.0, "{metric}");
        assert_eq!(count(leader), 0.0, "{metric}");
    }
    let answer = fleet.admin(master, "observers");
    assert!(answer.contains("\"synced_observers\" : 1"), "{answer}");
    assert!(answer.contains("\"sid\" : 4"), "{answer}");
    assert!(!answer.contains("\"packets_received\" : 0,"), "{answer}");
    fleet.admin(master, "observer_connection_stat_reset");
    let answer = fleet.admin(other, "observers");
    assert!(answer.contains("\"synced_observers\" : 0"), "{answer}");
    let answer = fleet.admin(observer, "leader");
    assert!(answer.contains(&format!("\"leader_id\" : {}", master + 1)), "{answer}");
    at_observer.close();
    at_leader.sync("/").unwrap();
    assert_eq!(at_leader.exists("/n/e", false).unwrap(), None, "its session was closed");
    at_leader.close();
    fleet.ensemble.same_trees();
}

/// Continues a session on that member.
#[track_caller]
fn resume(fleet: &Fleet, at: usize, session: &ConnectResponse) -> RawConnection {
    let request = ConnectRequest {
        time_out: session.time_out,
        session_id: session.session_id,
        passwd: session.passwd.clone(),
        ..ConnectRequest::default()
    };
    let mut connection = fleet.ensemble.members[at].server.raw();
    let answer = connection.handshake(&request, true).expect("an answer");
    let answer: ConnectResponse = decode(&answer).0;
    assert_eq!(answer.session_id, session.session_id, "the session at member {}", at + 1);
    connection
}

/// A session with an ephemeral node moves between the leader, a follower and an observer of a follower. It lives on at
/// the observer by the signs of life that the observer passes on through its master, and can write everywhere.
fn sessions_move(program: Program) {
    let fleet = Fleet::start(program, 3, 1, &["minSessionTimeout=4000"]);
    let (leader, observer) = (fleet.ensemble.wait_leader(), 3);
    let master = fleet.wait_master_of(observer);
    let mut connection = fleet.ensemble.members[leader].server.raw();
    let session = connection.new_session_for(4_000);
    let node = |path: &str| CreateRequest {
        path: path.into(),
        data: None,
        acl: Some(ids::open_acl_unsafe()),
        flags: CreateMode::Ephemeral.flag(),
    };
    assert_eq!(connection.ask(1, OpCode::Create, &node("/first")).0.err, 0);
    for (number, at) in [observer, master, observer, leader, observer].into_iter().enumerate() {
        connection = resume(&fleet, at, &session);
        let path = format!("/at-{number}");
        assert_eq!(connection.ask(2, OpCode::Create, &node(&path)).0.err, 0, "{path}");
    }
    // Two timeouts and more, in which only the observer hears of the client.
    let start = time::now();
    while start.elapsed() < Duration::from_millis(10_000) {
        connection.send_request(PING_XID, OpCode::Ping.code(), &[]);
        assert_eq!(connection.receive_reply().expect("an answer to the ping").0.xid, PING_XID);
        let _always_a_timeout = never::<()>().recv_timeout(Duration::from_millis(500));
    }
    let client = fleet.client(leader);
    client.sync("/").unwrap();
    for path in ["/first", "/at-0", "/at-1", "/at-2", "/at-3", "/at-4"] {
        let stat = client.exists(path, false).unwrap().expect(path);
        assert_eq!(stat.ephemeral_owner, session.session_id.0);
    }
    // A session that nobody knows is not taken on.
    let unknown = ConnectRequest {
        time_out: 4_000,
        session_id: SessionId(session.session_id.0 + 1_000),
        passwd: session.passwd.clone(),
        ..ConnectRequest::default()
    };
    let answer = fleet.ensemble.members[observer].server.raw().handshake(&unknown, true);
    assert!(answer.is_none_or(|answer| decode::<ConnectResponse>(&answer).0.session_id.0 == 0));
    drop(connection);
    wait_until("the session expires when its client is gone", DEADLINE, || {
        client.exists("/first", false).unwrap().is_none()
    });
    client.close();
    fleet.ensemble.same_trees();
}

/// Kills the masters of an observer and then the leader under load, one after the other.
fn survives_masters_and_leaders(program: Program) {
    let mut fleet = Fleet::start(program, 3, 2, &[]);
    let port = fleet.port;
    let told = under_load(&mut fleet.ensemble, |ensemble, load| {
        let mut fleet = Fleet { ensemble: std::mem::replace(ensemble, Ensemble::none()), port };
        for _ in 0..2 {
            load.goes_on();
            let master = fleet.wait_master_of(3);
            fleet.ensemble.members[master].kill9();
            let start = time::now();
            let next = fleet.wait_master_of(3);
            assert_ne!(next, master);
            println!("the next master after {:?}", start.elapsed());
            assert!(start.elapsed() < NEXT_MASTER, "{:?}", start.elapsed());
            load.goes_on();
            fleet.ensemble.members[master].start();
            fleet.ensemble.wait_serving();
        }
        let leader = fleet.ensemble.wait_leader();
        fleet.ensemble.members[leader].kill9();
        fleet.ensemble.wait_serving();
        for observer in [3, 4] {
            assert_ne!(fleet.wait_master_of(observer), leader);
        }
        load.goes_on();
        fleet.ensemble.members[leader].start();
        fleet.ensemble.wait_serving();
        *ensemble = fleet.ensemble;
    });
    let tree = fleet.ensemble.same_trees();
    for writer in &told {
        writer.check(&tree);
        println!("{} acknowledged, {} lost", writer.count(), writer.lost);
    }
}

/// An observer misses `missed` transactions, and its master brings it up to date in the given way.
fn catches_up(program: Program, missed: usize, way: CatchUp) {
    let mut fleet = Fleet::start(program, 3, 1, &[]);
    // Without earlier transactions, there is nothing from which a DIFF could be made.
    fleet.ensemble.write(5);
    fleet.ensemble.same_trees();
    fleet.ensemble.members[3].stop();
    fleet.ensemble.write(missed);
    fleet.ensemble.members[3].start();
    fleet.wait_master_of(3);
    assert_eq!(fleet.ensemble.members[3].caught_up_by(), [way]);
    fleet.ensemble.same_trees();
}

/// With next to nothing kept for them, observers that come under load miss nothing: they are told to come again, or get
/// it from the tree.
fn little_is_kept(program: Program) {
    for limit in ["0", "2000"] {
        let line = format!("observerMaster.sizeLimit={limit}");
        let mut fleet = Fleet::start(program, 3, 1, &[&line]);
        let port = fleet.port;
        let told = under_load(&mut fleet.ensemble, |ensemble, load| {
            let mut fleet = Fleet { ensemble: std::mem::replace(ensemble, Ensemble::none()), port };
            for _ in 0..3 {
                load.goes_on();
                fleet.ensemble.members[3].kill9();
                load.goes_on();
                fleet.ensemble.members[3].start();
                fleet.wait_master_of(3);
            }
            load.goes_on();
            *ensemble = fleet.ensemble;
        });
        let tree = fleet.ensemble.same_trees();
        told.iter().for_each(|writer| writer.check(&tree));
    }
}

/// A follower counts the requests of observers if it is asked not to let them wait for their commit.
fn requests_of_observers_are_counted(program: Program) {
    for (setting, counts) in [("true", 3.0), ("false", 0.0)] {
        let line = format!("follower.skipLearnerRequestToNextProcessor={setting}");
        let fleet = Fleet::start(program, 3, 1, &[&line]);
        let master = fleet.wait_master_of(3);
        let counted = || {
            let metric = "skip_learner_request_to_next_processor_count";
            fleet.ensemble.members[master].server.monitor(metric)
        };
        let before = counted();
        for at in [3, master] {
            let client = fleet.client(at);
            create(&client, &format!("/at-{at}"), CreateMode::Persistent).unwrap();
            client.close();
        }
        assert_eq!(counted() - before, counts, "a session, its node, and its end: {setting}");
    }
}

/// An operator moves an observer to another master; nobody else's connections are closed.
#[test]
fn an_observer_moves_to_the_master_that_it_is_told_to() {
    let fleet = Fleet::start(Program::Ours, 3, 1, &[]);
    let (leader, observer) = (fleet.ensemble.wait_leader(), 3);
    let master = fleet.wait_master_of(observer);
    let other = (0..3).find(|at| ![leader, master].contains(at)).unwrap();
    let answer = fleet.admin(observer, "learner_master?to=77");
    assert!(answer.contains("400") && answer.contains("Not a valid learner master"), "{answer}");
    let answer = fleet.admin(master, &format!("learner_master?to={}", other + 1));
    assert!(answer.contains("Not a valid learner master"), "not an observer: {answer}");
    let at_follower = fleet.client(other);
    let answer = fleet.admin(observer, &format!("learner_master?to={}", other + 1));
    assert!(answer.contains("\"error\" : null"), "{answer}");
    wait_until("it has moved", DEADLINE, || fleet.master_of(observer) == Some(other));
    assert_eq!(fleet.wait_master_of(observer), other);
    let answer =
        fleet.admin(observer, &format!("learner_master?to={}:{}", host(master), fleet.port));
    assert!(answer.contains("\"error\" : null"), "{answer}");
    wait_until("it has moved back", DEADLINE, || fleet.master_of(observer) == Some(master));
    // The leader serves no observers at that port, so the observer goes on to one that does.
    let answer = fleet.admin(observer, &format!("learner_master?to={}", leader + 1));
    assert!(answer.contains("\"error\" : null"), "{answer}");
    let log = |fleet: &Fleet| fleet.ensemble.members[observer].server.log();
    let sought = format!("Observing new leader sid={} ", leader + 1);
    wait_until("it has tried the leader", DEADLINE, || log(&fleet).contains(&sought));
    assert_ne!(fleet.wait_master_of(observer), leader);
    assert!(at_follower.exists("/", false).unwrap().is_some());
}

/// An observer that the test scripts, at the port of a follower.
struct Scripted {
    stream: TcpStream,
    input: BufReader<TcpStream>,
    /// The transactions that it has received.
    txns: Vec<Zxid>,
}

impl Scripted {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let input = BufReader::new(stream.try_clone().unwrap());
        Self { stream, input, txns: Vec::new() }
    }

    fn send(&mut self, packet_type: PacketType, zxid: Zxid, data: Option<Vec<u8>>) {
        let packet = QuorumPacket::new(packet_type, zxid, data);
        // If the other side has closed the connection, the test sees that when it reads.
        let _seen_later = self.stream.write_all(&packet.to_bytes());
    }

    /// The next packet that is not a PING; `None` at the end.
    fn receive(&mut self) -> Option<QuorumPacket> {
        loop {
            let packet = read_packet(&mut self.input, Limits::default()).ok()?;
            match packet.packet_type() {
                Some(PacketType::Ping) => continue,
                Some(PacketType::Proposal | PacketType::Inform) => self.txns.push(packet.zxid),
                _ => {}
            }
            return Some(packet);
        }
    }

    #[track_caller]
    fn expect(&mut self, packet_type: PacketType) -> QuorumPacket {
        let packet = self.receive().expect("a packet");
        assert_eq!(packet.packet_type(), Some(packet_type), "{packet:?}");
        packet
    }

    #[track_caller]
    fn expect_end(&mut self, what: &str) {
        while let Some(packet) = self.receive() {
            let known = [PacketType::Inform, PacketType::UpToDate];
            assert!(known.map(Some).contains(&packet.packet_type()), "{what}: {packet:?}");
        }
    }

    fn greet(&mut self, packet_type: PacketType, config_version: i64) {
        let info =
            LearnerInfo { serverid: Sid(4), protocol_version: PROTOCOL_VERSION, config_version };
        self.send(packet_type, Zxid::ZERO, Some(info.to_bytes()));
    }

    /// Becomes an observer that is up to date. Returns the start of the epoch.
    #[track_caller]
    fn join(&mut self, last: Zxid) -> Zxid {
        self.greet(PacketType::ObserverInfo, 0);
        let epoch = self.expect(PacketType::LeaderInfo).zxid;
        self.send(PacketType::AckEpoch, last, Some((-1_i32).to_be_bytes().to_vec()));
        self.expect(PacketType::Diff);
        while let Some(packet) = self.receive() {
            if packet.packet_type() == Some(PacketType::NewLeader) {
                break;
            }
        }
        self.send(PacketType::Ack, epoch, None);
        self.expect(PacketType::UpToDate);
        self.send(PacketType::Ack, epoch, None);
        epoch
    }

    fn request(&mut self, session: i64, cxid: i32, op: OpCode, payload: &[u8]) {
        let mut data = session.to_be_bytes().to_vec();
        data.extend_from_slice(&cxid.to_be_bytes());
        data.extend_from_slice(&op.code().to_be_bytes());
        data.extend_from_slice(payload);
        self.send(PacketType::Request, Zxid::NONE, Some(data));
    }
}

/// Sends something that no observer sends.
type Send<'a> = &'a dyn Fn(&mut Scripted);

/// The last zxid of a member.
fn last_zxid(fleet: &Fleet, at: usize) -> Zxid {
    let answer = fleet.ensemble.members[at].server.wait_four_letter_word("srvr");
    let zxid = answer.lines().find_map(|line| line.strip_prefix("Zxid: 0x")).unwrap();
    Zxid(i64::from_str_radix(zxid, 16).unwrap())
}

/// A fleet whose observer is not running, a follower of it, and a client of that follower with which things are written.
fn with_free_place() -> (Fleet, usize, Client) {
    let mut fleet = Fleet::start(Program::Ours, 3, 1, &[]);
    fleet.wait_master_of(3);
    fleet.ensemble.members[3].stop();
    let follower = fleet.ensemble.wait_at(Mode::Follower);
    let client = fleet.client(follower);
    create(&client, "/a", CreateMode::Persistent).unwrap();
    (fleet, follower, client)
}

#[test]
fn a_master_answers_an_observer_in_the_leaders_order() {
    let (fleet, follower, client) = with_free_place();
    let mut observer = Scripted::connect(fleet.master_address(follower));
    observer.join(last_zxid(&fleet, follower));
    let session = client.session_id().0;
    // Whether a session lives is asked of the leader, in the order of the questions.
    for id in [session, 99, session] {
        let data = [&id.to_be_bytes()[..], &30_000_i32.to_be_bytes()].concat();
        observer.send(PacketType::Revalidate, Zxid::NONE, Some(data));
    }
    for (id, lives) in [(session, 1), (99, 0), (session, 1)] {
        let answer = observer.expect(PacketType::Revalidate).data.unwrap();
        assert_eq!(answer, [&id.to_be_bytes()[..], &[lives]].concat());
    }
    // A sync is answered after the INFORM of what was committed before it.
    let body = SyncRequest { path: "/".into() }.to_bytes();
    for round in 0..10 {
        let node = CreateRequest {
            path: format!("/of-observer-{round}"),
            data: Some(vec![1]),
            acl: Some(ids::open_acl_unsafe()),
            flags: 0,
        };
        observer.request(session, 1_000 + 2 * round, OpCode::Create, &node.to_bytes());
        observer.request(session, 1_001 + 2 * round, OpCode::Sync, &body);
        let inform = observer.expect(PacketType::Inform);
        let data = inform.data.unwrap();
        assert_eq!(
            data[..12],
            [&session.to_be_bytes()[..], &(1_000 + 2 * round).to_be_bytes()].concat()
        );
        let sync = observer.expect(PacketType::Sync);
        assert_eq!((sync.zxid, sync.data), (Zxid::ZERO, None));
        assert!(client.exists(&node.path, false).unwrap().is_some());
    }
    // The follower's own syncs are its clients'.
    client.sync("/").unwrap();
    create(&client, "/b", CreateMode::Persistent).unwrap();
    observer.expect(PacketType::Inform);
    client.close();
}

#[test]
fn whoever_comes_to_the_observers_port_can_only_end_its_own_connection() {
    let (mut fleet, follower, client) = with_free_place();
    let address = fleet.master_address(follower);
    let mut honest = Scripted::connect(address);
    let epoch = honest.join(last_zxid(&fleet, follower));
    for greeting in [&b"GET / HTTP/1.0\r\n\r\n"[..], b"ruok", &[0xff; 200], &[0, 0, 0, 16, 0, 0]] {
        let mut stranger = Scripted::connect(address);
        stranger.stream.write_all(greeting).unwrap();
        stranger.stream.shutdown(std::net::Shutdown::Write).unwrap();
        stranger.expect_end("a stranger");
    }
    let mut follower_here = Scripted::connect(address);
    follower_here.greet(PacketType::FollowerInfo, 0);
    follower_here.expect_end("a follower");
    let mut newer = Scripted::connect(address);
    newer.greet(PacketType::ObserverInfo, i64::MAX);
    newer.expect_end("one with a newer configuration");
    let session = client.session_id().0;
    let bad: [(&str, Send<'_>); 5] = [
        ("an ACK", &|o| o.send(PacketType::Ack, Zxid(epoch.0 + 1), None)),
        ("a short request", &|o| o.send(PacketType::Request, Zxid::NONE, Some(vec![1, 2]))),
        ("a short question", &|o| o.send(PacketType::Revalidate, Zxid::NONE, Some(vec![1]))),
        ("sessions cut off", &|o| o.send(PacketType::Ping, Zxid::NONE, Some(vec![1; 13]))),
        ("a body that is no create", &|o| o.request(session, 7, OpCode::Create, &[1, 2, 3])),
    ];
    for (what, send) in bad {
        let mut observer = Scripted::connect(address);
        observer.join(last_zxid(&fleet, follower));
        send(&mut observer);
        observer.expect_end(what);
    }
    // Nothing of this has reached the leader, or another observer.
    create(&client, "/after", CreateMode::Persistent).unwrap();
    honest.expect(PacketType::Inform);
    client.close();
    drop(honest);
    fleet.ensemble.members[3].start();
    fleet.wait_master_of(3);
    fleet.ensemble.same_trees();
}

#[test]
fn an_observer_that_is_ahead_of_its_master_waits_or_is_truncated() {
    let (fleet, follower, client) = with_free_place();
    let address = fleet.master_address(follower);
    let last = last_zxid(&fleet, follower);
    // It tells of a transaction that the follower gets while the observer waits.
    let mut observer = Scripted::connect(address);
    observer.greet(PacketType::ObserverInfo, 0);
    observer.expect(PacketType::LeaderInfo);
    let answer = Some((-1_i32).to_be_bytes().to_vec());
    observer.send(PacketType::AckEpoch, last.next(), answer.clone());
    create(&client, "/now", CreateMode::Persistent).unwrap();
    let first = observer.receive().unwrap();
    // On a slow machine the follower may not wait long enough; then it truncates, as it does below.
    println!("{first:?}");
    let is_known = [Some(PacketType::Diff), Some(PacketType::Trunc)];
    assert!(is_known.contains(&first.packet_type()), "{first:?}");
    // It tells of a transaction that does not exist.
    let mut observer = Scripted::connect(address);
    observer.greet(PacketType::ObserverInfo, 0);
    observer.expect(PacketType::LeaderInfo);
    observer.send(PacketType::AckEpoch, Zxid(last.0 + 1_000), answer);
    let trunc = observer.expect(PacketType::Trunc);
    assert_eq!(trunc.zxid, last.next());
    client.close();
}

/// The follower has a proposal when it begins to serve, which is committed later. Java's follower never sends it to
/// observers.
#[test]
fn an_observer_gets_what_was_proposed_before_its_master_was_ready() {
    let z = |epoch, counter| Zxid::new(epoch, counter);
    let port = free_port();
    let history: Vec<Zxid> = (1..=3).map(|counter| z(1, counter)).collect();
    let mut member = Member::configured(&format!("observerMasterPort={port}"), &history);
    let mut leader = member.follow_in_epoch(As::Follower, 2);
    leader.send_all(&[bare(PacketType::Diff, z(1, 3)), new_leader(2)]);
    leader.expect_ack(z(2, 0));
    leader.send_all(&[proposal(z(2, 1)), proposal(z(2, 2)), commit(z(2, 1)), up_to_date()]);
    for acknowledged in [z(2, 0), z(2, 1), z(2, 2)] {
        leader.expect_ack(acknowledged);
    }
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut early = Scripted::connect(address);
    assert_eq!(early.join(z(1, 3)), z(2, 0));
    assert_eq!(early.txns, [z(2, 1)]);
    leader.send(&commit(z(2, 2)));
    assert_eq!(early.expect(PacketType::Inform).zxid, z(2, 2));
    let mut late = Scripted::connect(address);
    late.join(z(1, 3));
    assert_eq!(late.txns, [z(2, 1), z(2, 2)]);
    // A reconfiguration comes with the designated leader.
    let leader_id = 3_i64.to_be_bytes();
    let activate =
        |zxid| QuorumPacket::new(PacketType::CommitAndActivate, zxid, Some(leader_id.to_vec()));
    leader.send_all(&[proposal(z(2, 3)), activate(z(2, 3))]);
    for observer in [&mut early, &mut late] {
        let packet = observer.expect(PacketType::InformAndActivate);
        assert_eq!(packet.zxid, z(2, 3));
        assert_eq!(packet.data.unwrap(), [&leader_id[..], &txn_bytes(z(2, 3)).1].concat());
    }
    // Its observers leave a follower that has lost its leader.
    drop(leader);
    early.expect_end("an observer without a master");
    late.expect_end("an observer without a master");
    assert!(matches!(member.ended(), LearnerError::Packet(_)));
    assert_eq!(member.exit_code(), None);
}

/// Two followers with one address: the second cannot listen for observers, and says so.
#[test]
fn a_follower_that_cannot_listen_for_observers_does_not_follow() {
    let port = free_port();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut ensemble = Ensemble::start_of(&[Program::Ours; 3], 3, &[]);
    let follower = ensemble.wait_at(Mode::Follower);
    ensemble.members[follower].stop();
    let config = ensemble.members[follower].server.dir().join("zoo.cfg");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}observerMasterPort={port}\n")).unwrap();
    ensemble.members[follower].start();
    let server = &ensemble.members[follower].server;
    wait_until("it says why it does not follow", DEADLINE, || {
        let log = server.log();
        log.contains("cannot listen at observerMasterPort") && log.contains(&format!(":{port}"))
    });
    assert_eq!(ensemble.members[follower].mode(), None);
}

on_both! {
    an_observer_of_a_follower_serves: serves_through_a_follower;
    sessions_move_to_an_observer_of_a_follower: sessions_move;
    the_requests_of_observers_are_counted: requests_of_observers_are_counted;
    masters_and_leaders_die_and_nothing_is_lost: survives_masters_and_leaders;
    an_observer_that_misses_little_gets_a_diff: |program| catches_up(program, 50, CatchUp::Diff);
    an_observer_that_misses_much_gets_a_snapshot:
        |program| catches_up(program, MORE_THAN_COMMITTED_LOG, CatchUp::Snap);
}

/// Java's observers that connect when nothing is kept may miss what the tree has not yet.
#[test]
fn an_observer_misses_nothing_whatever_is_kept_for_it() {
    little_is_kept(Program::Ours);
}
