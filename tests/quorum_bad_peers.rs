//! Peers that send what no server of an ensemble sends, to a running ensemble. The ensemble goes on serving and keeps
//! its leader. It takes no more memory, threads and files than before, and logs in few lines what was wrong.
//!
//! The long test prints its seed. `cargo test --release --test quorum_bad_peers -- --ignored million seed=N frames=N`
//! repeats it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]
#![allow(clippy::print_stdout, reason = "figures of a run, shown when it fails")]

mod common;
#[path = "common/ensemble.rs"]
mod ensemble;
#[path = "hostile/frames.rs"]
mod frames;
#[path = "hostile/mutation.rs"]
mod mutation;
#[path = "hostile/process.rs"]
mod process;
#[path = "hostile/random.rs"]
mod random;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::{Client, DEADLINE, Program, wait_until};
use ensemble::{Ensemble, Mode, create};
use mutation::mutate;
use process::Taken;
use random::Random;
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::ids::{PeerEpoch, Sid, Zxid};
use zookeeper_server::internals::common::time::{Clock, SystemClock};
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::proto::GetDataRequest;
use zookeeper_server::internals::server::quorum::fast_leader_election::notification::{
    CURRENT_VERSION, NotificationFrame,
};
use zookeeper_server::internals::server::quorum::learner_info::{LearnerInfo, PROTOCOL_VERSION};
use zookeeper_server::internals::server::quorum::quorum_packet::{PacketType, QuorumPacket};
use zookeeper_server::zoo_defs::OpCode;

const MIB: u64 = 1 << 20;

/// How much more memory than before a member may have afterwards, in bytes, because its allocator has not given it
/// back.
const TOLERATED_GROWTH: u64 = 64 * MIB;

/// An id that no member has.
const STRANGER: i64 = 99;

/// How many threads attack the election ports at the same time. As many attack the quorum port.
const ATTACKERS: u64 = 2;

/// The length of a flood: packets of one kind that nobody should send, on one connection.
const FLOOD: usize = 3000;

/// The most lines that one connection may log: who connected, what was wrong, and that the connection ends.
const LINES: usize = 8;

/// The ensemble, and the resources that its members used before.
struct Target {
    ensemble: Ensemble,
    leader: usize,
    quorum_port: u16,
    election_ports: Vec<u16>,
    before: Vec<Taken>,
    clock: Clock,
    started_ms: i64,
}

impl Target {
    fn new() -> Self {
        Self::with(&[])
    }

    /// Starts an ensemble with more lines in zoo.cfg.
    fn with(lines: &[&str]) -> Self {
        let ensemble = Ensemble::start_of(&[Program::Ours; 3], 3, lines);
        let leader = ensemble.wait_leader();
        let text = fs::read_to_string(ensemble.members[0].server.dir().join("zoo.cfg")).unwrap();
        let line = |line: &str| {
            let ports = line.strip_prefix("server.")?.split_once("127.0.0.1:")?.1.to_owned();
            let (quorum, election) = ports.split_once(':')?;
            Some((quorum.parse::<u16>().ok()?, election.parse::<u16>().ok()?))
        };
        let ports: Vec<(u16, u16)> = text.lines().filter_map(line).collect();
        assert_eq!(ports.len(), 3, "{text}");
        let clock = SystemClock::shared();
        let mut target = Self {
            ensemble,
            leader,
            quorum_port: ports[leader].0,
            election_ports: ports.iter().map(|(_, election)| *election).collect(),
            before: Vec::new(),
            started_ms: clock.elapsed_ms(),
            clock,
        };
        // What a member takes for its first clients does not count as growth.
        Witness::new(&target).look();
        target.before = target.taken();
        target
    }

    fn taken(&self) -> Vec<Taken> {
        self.ensemble.members.iter().map(|member| Taken::by(member.server.pid())).collect()
    }

    fn log_lines(&self) -> Vec<usize> {
        let members = self.ensemble.members.iter();
        members.map(|member| member.server.log().lines().count()).collect()
    }

    /// Checks that the same member leads as at the start, and has led all the time.
    #[track_caller]
    fn still_serves(&self) {
        assert_eq!(self.ensemble.wait_leader(), self.leader);
        let elapsed =
            Duration::from_millis((self.clock.elapsed_ms() - self.started_ms).unsigned_abs());
        let uptime_ms = self.ensemble.members[self.leader].server.monitor("leader_uptime");
        let has_led = Duration::from_secs_f64(uptime_ms / 1000.0);
        assert!(has_led >= elapsed, "it leads for {has_led:?} of {elapsed:?}");
        Witness::new(self).look();
        for member in &self.ensemble.members {
            assert!(!member.server.log().contains("panicked"), "a thread has panicked");
        }
    }

    /// Waits until the members have given back everything that they took for the peers.
    #[track_caller]
    fn gives_back(&self) {
        for (at, before) in self.before.iter().enumerate() {
            let pid = self.ensemble.members[at].server.pid();
            let calm = |now: Taken| {
                now.threads <= before.threads + 4
                    && now.open_files <= before.open_files + 4
                    && now.resident_bytes <= before.resident_bytes + TOLERATED_GROWTH
            };
            let mut now = Taken::by(pid);
            wait_until(&format!("member {} gives back: {before:?}", at + 1), DEADLINE, || {
                now = Taken::by(pid);
                calm(now)
            });
            println!("member {}: {before:?} before, {now:?} after", at + 1);
        }
    }
}

/// A client that notices when the ensemble does not serve.
struct Witness {
    client: Client,
    version: i32,
}

impl Witness {
    const PATH: &str = "/witness";

    fn new(target: &Target) -> Self {
        let follower = target.ensemble.wait_at(Mode::Follower);
        let client = target.ensemble.members[follower].server.client();
        // The node may exist from an earlier witness.
        let _made = create(&client, Self::PATH, CreateMode::Persistent);
        let version = client.exists(Self::PATH, false).unwrap().unwrap().version;
        Self { client, version }
    }

    #[track_caller]
    fn look(&mut self) {
        let stat = self.client.set_data(Self::PATH, Some(b"seen"), self.version).unwrap();
        self.version += 1;
        assert_eq!(stat.version, self.version);
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the port is open");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends only these bytes, and reads until the other side closes the connection. Returns the local address, as logs
/// show it.
fn say(port: u16, bytes: &[u8]) -> String {
    let mut stream = connect(port);
    let from = stream.local_addr().unwrap().to_string();
    // The other side may have closed the connection at any point.
    let _closed = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answers = [0; 4096];
    while let Ok(1..) = stream.read(&mut answers) {}
    from
}

// --- the messages of good peers

fn packet(packet_type: PacketType, zxid: i64, data: Option<Vec<u8>>) -> Vec<u8> {
    QuorumPacket::new(packet_type, Zxid(zxid), data).to_bytes()
}

/// A learner's messages up to its first answers to PINGs, with requests of its clients.
fn learner(packet_type: PacketType, sid: i64) -> Vec<Vec<u8>> {
    let info =
        LearnerInfo { serverid: Sid(sid), protocol_version: PROTOCOL_VERSION, config_version: 0 };
    let touched = [&7_i64.to_be_bytes()[..], &30_000_i32.to_be_bytes()].concat();
    let mut request = [&7_i64.to_be_bytes()[..], &1_i32.to_be_bytes()].concat();
    request.extend(OpCode::SetData.code().to_be_bytes());
    request.extend(GetDataRequest { path: "/witness".into(), watch: false }.to_bytes());
    vec![
        packet(packet_type, 0, Some(info.to_bytes())),
        packet(PacketType::AckEpoch, 1, Some(1_i32.to_be_bytes().to_vec())),
        packet(PacketType::Ack, 1 << 32, None),
        packet(PacketType::Ack, 1 << 32, None),
        packet(PacketType::Ping, 1 << 32, Some(touched.clone())),
        packet(PacketType::Revalidate, 0, Some(touched)),
        packet(PacketType::Request, 0, Some(request)),
        packet(PacketType::Ack, (1 << 32) + 1, None),
    ]
}

fn greeting(sid: i64) -> Vec<u8> {
    let address = b"127.0.0.1:1";
    let length = i32::try_from(address.len()).unwrap().to_be_bytes();
    [&(-65536_i64).to_be_bytes()[..], &sid.to_be_bytes(), &length, address].concat()
}

fn notification(state: i32) -> Vec<u8> {
    notification_with(state, b"server.1=127.0.0.1:1:2:participant\nversion=0")
}

/// A notification with garbage that claims to be the newest configuration.
fn newer_configuration() -> Vec<u8> {
    notification_with(0, b"server.1=\nversion=7fffffffffffffff")
}

fn notification_with(state: i32, config: &[u8]) -> Vec<u8> {
    let frame = NotificationFrame {
        state,
        leader: Sid(STRANGER),
        zxid: Zxid(0x7_0000_0009),
        election_epoch: 7,
        peer_epoch: PeerEpoch(7),
        version: CURRENT_VERSION,
        config: Some(config.to_vec()),
    }
    .encode();
    [&i32::try_from(frame.len()).unwrap().to_be_bytes()[..], &frame].concat()
}

fn elector(sid: i64) -> Vec<Vec<u8>> {
    let mut messages = vec![greeting(sid)];
    messages.extend((0..4).map(notification));
    messages
}

// --- what bad peers make of them

#[derive(Default)]
struct Sent {
    connections: AtomicU64,
    frames: AtomicU64,
}

/// Sends good conversations with changes in them, one connection after the other.
fn attack(target: &Target, seed: u64, part: u64, enough: &AtomicBool, sent: &Sent) {
    let mut random = Random::of_part(seed, part);
    let at_election = part < ATTACKERS;
    while !enough.load(Ordering::Relaxed) {
        let mut messages = if at_election {
            elector(STRANGER)
        } else {
            let kind = *random.pick(&[PacketType::FollowerInfo, PacketType::ObserverInfo]);
            learner(kind, STRANGER)
        };
        let others = messages.clone();
        for _ in 0..random.below(40) {
            messages.push(random.pick(&others).clone());
        }
        for message in &mut messages {
            if random.one_in(6) {
                mutate(&mut random, message, &others);
            }
        }
        if random.one_in(4) {
            let (one, other) = (random.below(messages.len()), random.below(messages.len()));
            messages.swap(one, other);
        }
        sent.frames.fetch_add(u64::try_from(messages.len()).unwrap(), Ordering::Relaxed);
        sent.connections.fetch_add(1, Ordering::Relaxed);
        let mut bytes = messages.concat();
        if random.one_in(4) {
            bytes.truncate(random.below(bytes.len()));
        }
        let port =
            if at_election { *random.pick(&target.election_ports) } else { target.quorum_port };
        say(port, &bytes);
    }
}

/// Attacks all ports until `frames` frames were sent, while a client writes.
fn attack_all(target: &Target, seed: u64, frames: u64) {
    let lines = target.log_lines();
    let (sent, enough) = (Sent::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        for part in 0..2 * ATTACKERS {
            let (sent, enough) = (&sent, &enough);
            scope.spawn(move || attack(target, seed, part, enough, sent));
        }
        // Also ends the attack when the witness panics.
        let _stop = StopAtEnd(&enough);
        let mut witness = Witness::new(target);
        while sent.frames.load(Ordering::Relaxed) < frames {
            witness.look();
        }
    });
    let connections = sent.connections.load(Ordering::Relaxed);
    println!("{} frames in {connections} connections", sent.frames.load(Ordering::Relaxed));
    for (before, after) in lines.iter().zip(target.log_lines()) {
        let lines = after - before;
        println!("{lines} lines logged");
        assert!(lines < LINES * usize::try_from(connections).unwrap(), "{lines} lines");
    }
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether a line contains this address, and not only a longer one that begins with it.
fn names(line: &str, address: &str) -> bool {
    line.split(address).skip(1).any(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
}

/// The name of each script, and the bytes that it sends.
fn scripts() -> Vec<(&'static str, Vec<u8>)> {
    let info = |packet_type| learner(packet_type, STRANGER).swap_remove(0);
    let follower = || info(PacketType::FollowerInfo);
    let with_length = |at: usize, length: i32| {
        let mut bytes = follower();
        bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
        bytes
    };
    let sid = |sid: i64| learner(PacketType::FollowerInfo, sid).concat();
    let version = |version: i32| {
        let mut bytes = follower();
        bytes[24..28].copy_from_slice(&version.to_be_bytes());
        bytes
    };
    vec![
        ("nothing", Vec::new()),
        ("a line of text", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("zeros", vec![0; 5000]),
        ("ones", vec![0xff; 5000]),
        ("half a packet", follower()[..17].to_vec()),
        ("a huge length", with_length(12, i32::MAX)),
        ("a negative length", with_length(12, -77)),
        (
            "many ids",
            [&packet(PacketType::Request, 0, None)[..16], &i32::MAX.to_be_bytes()].concat(),
        ),
        ("a negative sid", sid(-5)),
        ("the leader's sid", sid(3)),
        ("the largest sid", sid(i64::MAX)),
        ("version 0", [version(0), packet(PacketType::Ack, 0, None)].concat()),
        ("a future version", version(i32::MAX)),
        ("a future configuration", {
            let mut bytes = follower();
            bytes[28..36].copy_from_slice(&i64::MAX.to_be_bytes());
            bytes
        }),
        ("an ACK first", packet(PacketType::Ack, 1, None)),
        ("a leader's packet first", packet(PacketType::NewLeader, 1 << 40, None)),
        ("a greeting twice", [follower(), follower()].concat()),
        ("an unknown type", [follower(), vec![0xee; 40]].concat()),
        (
            "the wrong epoch",
            [follower(), packet(PacketType::AckEpoch, -1, Some(i32::MAX.to_be_bytes().to_vec()))]
                .concat(),
        ),
        ("many unknown types", {
            let mut messages = learner(PacketType::ObserverInfo, STRANGER);
            let unknown = QuorumPacket { r#type: 77, ..QuorumPacket::default() }.to_bytes();
            messages.extend(vec![unknown; FLOOD]);
            messages.concat()
        }),
        ("many of a leader's packets", {
            let mut messages = learner(PacketType::ObserverInfo, STRANGER);
            messages.extend(vec![packet(PacketType::Commit, 1 << 32, None); FLOOD]);
            messages.concat()
        }),
        ("many acknowledgements of the future", {
            let mut messages = learner(PacketType::FollowerInfo, STRANGER);
            messages.extend(vec![packet(PacketType::Ack, 1 << 50, None); FLOOD]);
            messages.concat()
        }),
        ("a short epoch", [follower(), packet(PacketType::AckEpoch, 1, Some(vec![1]))].concat()),
        ("no epoch", [follower(), packet(PacketType::AckEpoch, 1, None)].concat()),
    ]
}

fn election_scripts() -> Vec<(&'static str, Vec<u8>)> {
    let framed =
        |length: i32, body: &[u8]| [&greeting(STRANGER)[..], &length.to_be_bytes(), body].concat();
    let lying = [&[0_u8; 36][..], &2_i32.to_be_bytes(), &i32::MAX.to_be_bytes()].concat();
    vec![
        ("a line of text", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("an unknown version", (-1_i64).to_be_bytes().to_vec()),
        (
            "a huge address",
            [&(-65536_i64).to_be_bytes()[..], &[0; 8], &i32::MAX.to_be_bytes()].concat(),
        ),
        ("no address", [&(-65536_i64).to_be_bytes()[..], &[0; 8], &0_i32.to_be_bytes()].concat()),
        ("a negative sid", greeting(-5)),
        ("half a greeting", greeting(STRANGER)[..13].to_vec()),
        ("a huge frame", framed(i32::MAX, b"")),
        ("an empty frame", framed(0, b"")),
        ("a negative frame", framed(-5, b"")),
        ("half a frame", framed(100, b"too little")),
        ("a lying configuration", framed(i32::try_from(lying.len()).unwrap(), &lying)),
        ("zeros", vec![0; 3000]),
        ("many notifications", [greeting(STRANGER), notification(0).repeat(FLOOD)].concat()),
        ("many short notifications", {
            let short = [&10_i32.to_be_bytes()[..], &[7; 10]].concat();
            [greeting(STRANGER), short.repeat(FLOOD)].concat()
        }),
        ("many newer configurations", {
            [greeting(STRANGER), newer_configuration().repeat(FLOOD)].concat()
        }),
        ("many unknown states", [greeting(STRANGER), notification(-9).repeat(FLOOD)].concat()),
    ]
}

#[test]
fn bad_peers_leave_a_running_ensemble_alone() {
    let target = Target::new();
    // Some peers send nothing or only the first bytes, and keep their connections open.
    let mut held = Vec::new();
    for number in 0..120_usize {
        let ports = [target.election_ports[number % 3], target.quorum_port];
        let mut stream = connect(ports[number % 2]);
        stream.write_all(&vec![0; number % 5]).unwrap();
        held.push(stream);
    }
    let before = target.log_lines();
    let (mut witness, mut said) = (Witness::new(&target), Vec::new());
    for (name, bytes) in scripts() {
        said.push((target.leader, name, say(target.quorum_port, &bytes)));
        witness.look();
    }
    for (name, bytes) in election_scripts() {
        for (at, port) in target.election_ports.iter().enumerate() {
            said.push((at, name, say(*port, &bytes)));
        }
        witness.look();
    }
    let mut wrong = Vec::new();
    for (at, name, from) in &said {
        let server = &target.ensemble.members[*at].server;
        let lines_from = || server.log().lines().filter(|line| names(line, from)).count();
        // A thread may not have logged yet how its connection ended.
        wait_until(&format!("a line about {name} from {from}"), DEADLINE, || lines_from() > 0);
        let lines = lines_from();
        println!("{lines} lines: {name}");
        wrong.extend((lines > LINES).then(|| format!("{lines} lines: {name}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // These are all new lines, also those without an address and those about the connections that only wait.
    let all = LINES * (said.len() + held.len());
    for (before, after) in before.iter().zip(target.log_lines()) {
        assert!(after - before < all, "{} lines of {} connections", after - before, all / LINES);
    }
    target.still_serves();
    attack_all(&target, random::seed("bad frames from peers", Some(1)), 4000);
    drop(held);
    target.still_serves();
    target.gives_back();
}

/// The leader gives such a learner up after syncLimit ticks. Until then, it keeps the packets for the learner.
#[test]
fn a_learner_that_never_reads_costs_no_more_than_is_written_until_it_is_given_up() {
    const WRITES: usize = 60;
    // Short enough for the learners to be given up within `DEADLINE`.
    let target = Target::with(&["syncLimit=20"]);
    let mut streams = Vec::new();
    for (number, kind) in [PacketType::FollowerInfo, PacketType::ObserverInfo].iter().enumerate() {
        let sid = STRANGER + i64::try_from(number).unwrap();
        let mut stream = connect(target.quorum_port);
        stream.write_all(&learner(*kind, sid)[..4].concat()).unwrap();
        streams.push(stream);
    }
    let leader = &target.ensemble.members[target.leader].server;
    wait_until("both are synced", DEADLINE, || {
        leader.monitor("synced_observers") >= 1.0 && leader.monitor("synced_followers") >= 3.0
    });
    let mut witness = Witness::new(&target);
    let data = vec![b'x'; 500_000];
    for _ in 0..WRITES {
        witness.client.set_data(Witness::PATH, Some(&data), -1).unwrap();
        witness.version += 1;
    }
    let most = Taken::by(leader.pid()).resident_bytes;
    let written = u64::try_from(WRITES * data.len()).unwrap();
    let allowed = target.before[target.leader].resident_bytes + 4 * written + TOLERATED_GROWTH;
    println!("{} MiB at most for {} MiB written", most / MIB, written / MIB);
    assert!(most < allowed, "{most} bytes for {written} that were written");
    wait_until("both are given up", DEADLINE, || {
        leader.monitor("synced_observers") < 1.0 && leader.monitor("synced_followers") < 3.0
    });
    witness.look();
    witness.client.set_data(Witness::PATH, Some(b""), -1).unwrap();
    target.still_serves();
    drop(streams);
}

#[test]
#[ignore = "takes minutes"]
fn a_million_bad_frames_from_peers() {
    let seed = random::seed("a million bad frames from peers", Some(2));
    let target = Target::new();
    attack_all(&target, seed, random::argument("frames").unwrap_or(1_000_000));
    target.still_serves();
    target.gives_back();
}
