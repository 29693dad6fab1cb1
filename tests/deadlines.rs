//! Slow clients at every port. A whole request or greeting must arrive within a time limit, however slowly its bytes
//! drip. An honest newcomer is served before a dripping connection is kept. If a client speaks the protocol of
//! another port, the log says so. The tests count threads and files of the process before and after.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]
#![allow(clippy::print_stdout, reason = "figures of a run, shown when it fails")]

mod common;
#[path = "common/ensemble.rs"]
mod ensemble;
#[path = "hostile/process.rs"]
mod process;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use common::{DEADLINE, Program, Server, ServerBuilder, free_port, wait_for, wait_until};
use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use ensemble::{Ensemble, Mode, create};
use process::Taken;
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::ids::{Sid, Zxid};
use zookeeper_server::internals::common::time;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::server::quorum::learner_info::{LearnerInfo, PROTOCOL_VERSION};
use zookeeper_server::internals::server::quorum::quorum_packet::{PacketType, QuorumPacket};
use zookeeper_server::zoo_defs::OpCode;

/// The pause between two bytes of a connection.
const DRIP: Duration = Duration::from_millis(100);

/// The time limit for a whole request or greeting, ms.
const TIMEOUT: &str = "1500";

/// The time within which the server must end a connection, on a slow machine. Without a limit in the server, the
/// bytes would drip for longer.
const OVER: Duration = Duration::from_secs(15);

/// How many threads or files more than before the process may have, because some belong to the server itself.
const TOLERATED: u64 = 2;

/// The most connections that the HTTP server keeps.
const HTTP_CONNECTIONS: usize = 64;

const POST: &[u8] = b"POST /commands/restore HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";

/// Connections that send a byte now and then, until the server closes them or this value is dropped.
struct Drippers {
    open: crossbeam::channel::Receiver<usize>,
    stop: Option<Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drippers {
    /// Opens `count` connections. Each sends `begin`, and then `byte` again and again.
    #[expect(clippy::disallowed_methods, reason = "a thread of a test, joined when it is dropped")]
    fn new(port: u16, count: usize, begin: &[u8], byte: u8) -> Self {
        let mut streams: Vec<TcpStream> = (0..count).map(|_| say(port, begin)).collect();
        let (stop, stopped) = bounded(0);
        let (tell, open) = bounded(1);
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(DRIP) == Err(RecvTimeoutError::Timeout) {
                streams.retain_mut(|stream| is_open(stream) && stream.write_all(&[byte]).is_ok());
                // The channel is full if nobody has asked since the last number was sent.
                let _full = tell.try_send(streams.len());
            }
        });
        Self { open, stop: Some(stop), thread: Some(thread) }
    }

    /// Waits until the server has closed all but `left` connections.
    fn are_down_to(&self, left: usize, deadline: Duration) -> bool {
        let mut now = usize::MAX;
        let end = time::now() + deadline;
        while now > left && time::now() < end {
            now = self.open.recv_timeout(DEADLINE).expect("the bytes drip");
        }
        println!("{now} of the dripping connections are left");
        now <= left
    }
}

impl Drop for Drippers {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking());
        }
    }
}

/// Whether the other side has not closed the connection.
fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0; 4096]);
    stream.set_nonblocking(false).unwrap();
    match read {
        Ok(count) => count > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// Opens a connection and sends these bytes.
fn say(port: u16, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the port is open");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    // The other side may have closed the connection already.
    let _closed = stream.write_all(bytes);
    stream
}

/// The status line of the answer to GET.
fn get(port: u16, path: &str) -> String {
    let mut stream = say(port, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

/// Waits until the process has no more threads and files than before.
#[track_caller]
fn gives_back(server: &Server, before: Taken) {
    let mut now = Taken::by(server.pid());
    let calm = wait_for(OVER, || {
        now = Taken::by(server.pid());
        let files = before.open_files + usize::try_from(TOLERATED).unwrap();
        (now.threads <= before.threads + TOLERATED && now.open_files <= files).then_some(())
    });
    println!("{before:?} before, {now:?} after");
    assert!(calm.is_some(), "{before:?} before, {now:?} after");
}

/// Waits until the server has a thread for each of these connections. The number may be a quarter lower, because some
/// threads from before may have ended.
#[track_caller]
fn are_held(server: &Server, before: Taken, connections: usize) {
    let files = connections * 3 / 4;
    wait_until("they are held", OVER, || {
        Taken::by(server.pid()).open_files >= before.open_files + files
    });
}

/// Checks that requests that drip to this port are ended in time and leave nothing behind.
#[track_caller]
fn drippers_are_ended(server: &Server, port: u16, begin: &[u8], byte: u8) {
    let before = Taken::by(server.pid());
    let drippers = Drippers::new(port, 20, begin, byte);
    are_held(server, before, 20);
    assert!(drippers.are_down_to(0, OVER), "they are kept");
    gives_back(server, before);
}

fn with_http() -> (ServerBuilder, u16) {
    let port = free_port();
    let builder = ServerBuilder::new()
        .admin_server()
        .config(
            "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
        )
        .config("metricsProvider.httpHost=127.0.0.1")
        .config(&format!("metricsProvider.httpPort={port}"));
    (builder, port)
}

#[test]
fn a_request_over_http_that_drips_is_ended() {
    let (builder, metrics_port) = with_http();
    let server = builder
        .config(&format!("admin.requestTimeout={TIMEOUT}"))
        .config(&format!("metricsProvider.requestTimeout={TIMEOUT}"))
        .start();
    for port in [server.admin_port(), metrics_port] {
        drippers_are_ended(&server, port, POST, b'x');
        drippers_are_ended(&server, port, b"GET /metrics HTTP/1.1\r\nHost: ", b'x');
    }
}

#[test]
fn newcomers_over_http_are_served_while_others_drip() {
    let (builder, metrics_port) = with_http();
    let server = builder.start();
    for (port, path) in [(server.admin_port(), "/commands/ruok"), (metrics_port, "/metrics")] {
        let before = Taken::by(server.pid());
        let drippers = Drippers::new(port, HTTP_CONNECTIONS, POST, b'x');
        are_held(&server, before, HTTP_CONNECTIONS);
        for number in 0..10 {
            assert_eq!(get(port, path), "HTTP/1.1 200 OK", "newcomer {number}");
        }
        assert!(drippers.are_down_to(HTTP_CONNECTIONS - 1, OVER), "one gave way");
        drop(drippers);
        gives_back(&server, before);
    }
}

/// The first bytes of a client's ConnectRequest.
const HALF_CONNECT: [u8; 12] = [0, 0, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn a_client_whose_first_frame_or_word_drips_is_ended() {
    let server =
        ServerBuilder::new().property("zookeeper.nio.sessionlessCnxnTimeout", TIMEOUT).start();
    let before = server.monitor("sessionless_connections_expired");
    // The longest possible frame, and a frame as long as a ConnectRequest.
    for begin in [[0, 0x0f, 0xff, 0xff], [0, 0, 0, 45]] {
        drippers_are_ended(&server, server.client_port(), &begin, 0);
    }
    let expired = server.monitor("sessionless_connections_expired") - before;
    assert!(expired >= 40.0, "{expired} are counted");
}

#[test]
fn a_client_gets_the_place_of_one_that_has_not_said_what_it_wants() {
    let server = ServerBuilder::new()
        .config("maxClientCnxns=10")
        .property("zookeeper.maxCnxns", "10")
        .property("zookeeper.nio.sessionlessCnxnTimeout", "600000")
        .start();
    let before = Taken::by(server.pid());
    let drippers = Drippers::new(server.client_port(), 10, &HALF_CONNECT[..4], 0);
    let mut sessions = Vec::new();
    for number in 0..10 {
        let mut raw = server.raw();
        assert_ne!(raw.new_session().session_id.0, 0, "session {number}");
        sessions.push(raw);
    }
    assert!(drippers.are_down_to(0, OVER), "ten sessions have their places");
    // Clients with a session keep it.
    let _refused = say(server.client_port(), &HALF_CONNECT);
    wait_until("one too many is refused", DEADLINE, || {
        server.log().contains("Too many connections")
    });
    for raw in &mut sessions {
        raw.send_request(-2, OpCode::Ping.code(), &[]);
        assert_eq!(raw.receive_reply().unwrap().0.xid, -2);
    }
    drop((drippers, sessions));
    gives_back(&server, before);
}

#[test]
fn a_session_ends_that_only_drips_a_frame() {
    let server = ServerBuilder::new().config("tickTime=500").start();
    let before = Taken::by(server.pid());
    let mut raw = server.raw();
    assert_eq!(raw.new_session_for(1000).time_out, 1000);
    raw.send_bytes(&[0, 0x0f, 0, 0]);
    let started = time::now();
    let ended = wait_for(OVER, || {
        (!is_open(&mut raw.stream) || raw.stream.write_all(&[0]).is_err()).then_some(())
    });
    println!("ended after {:?}", started.elapsed());
    assert!(ended.is_some(), "it is kept");
    gives_back(&server, before);
}

/// A server whose answer to `wchp` is larger than the socket buffers.
fn with_large_answers(timeout: &str) -> (Server, common::Client) {
    const WATCHES: usize = 120;
    let server = ServerBuilder::new()
        .property("zookeeper.nio.sessionlessCnxnTimeout", timeout)
        .config("maxSessionTimeout=600000")
        .start();
    let client = server.client();
    let long = "x".repeat(50_000);
    for number in 0..WATCHES {
        let exists = client.exists(&format!("/{long}{number}"), true).unwrap();
        assert!(exists.is_none());
    }
    (server, client)
}

#[test]
fn the_answer_to_a_word_is_sent_as_a_whole_unless_nobody_takes_it() {
    let (server, client) = with_large_answers(TIMEOUT);
    let whole = server.four_letter_word("wchp").expect("an answer").len();
    assert!(whole > 6_000_000, "{whole} bytes: the end is missing");
    let before = Taken::by(server.pid());
    // The client sends more and more, and reads nothing.
    let mut silent = say(server.client_port(), b"wchp");
    let ended = wait_for(OVER, || {
        let taken = Taken::by(server.pid());
        let _closed = silent.write_all(b"x");
        (taken.open_files <= before.open_files).then_some(())
    });
    assert!(ended.is_some(), "it is kept");
    drop(client);
}

// --- ports of the ensemble

/// The quorum and the election port of a member.
fn ports(ensemble: &Ensemble, at: usize) -> (u16, u16) {
    let text = fs::read_to_string(ensemble.members[at].server.dir().join("zoo.cfg")).unwrap();
    let begin = format!("server.{}=127.0.0.1:", at + 1);
    let line = text.lines().find_map(|line| line.strip_prefix(begin.as_str())).unwrap();
    let mut ports = line.split(':').map(|port| port.parse().unwrap());
    (ports.next().unwrap(), ports.next().unwrap())
}

fn greeting(sid: i64) -> Vec<u8> {
    let address = b"127.0.0.1:1";
    let length = i32::try_from(address.len()).unwrap().to_be_bytes();
    [&(-65536_i64).to_be_bytes()[..], &sid.to_be_bytes(), &length, address].concat()
}

fn info(packet_type: PacketType, sid: i64) -> Vec<u8> {
    let info =
        LearnerInfo { serverid: Sid(sid), protocol_version: PROTOCOL_VERSION, config_version: 0 };
    QuorumPacket::new(packet_type, Zxid(0), Some(info.to_bytes())).to_bytes()
}

fn follower_info(sid: i64) -> Vec<u8> {
    info(PacketType::FollowerInfo, sid)
}

/// The start of a packet that announces much data.
fn long_packet(packet_type: PacketType) -> Vec<u8> {
    [&packet_type.code().to_be_bytes()[..], &[0; 8], &1_000_000_i32.to_be_bytes()].concat()
}

#[test]
fn a_greeting_that_drips_at_the_ports_of_an_ensemble_is_ended() {
    let ensemble = Ensemble::start_of(
        &[Program::Ours; 3],
        3,
        &[
            &format!("leader.learnerGreetingTimeout={TIMEOUT}"),
            &format!("quorumCnxnTimeoutMs={TIMEOUT}"),
        ],
    );
    let leader = ensemble.wait_leader();
    let (quorum, election) = ports(&ensemble, leader);
    let server = &ensemble.members[leader].server;
    drippers_are_ended(server, quorum, &long_packet(PacketType::FollowerInfo), 0);
    // The learner sends its id, and then drips its answer to LEADERINFO.
    let second = [follower_info(99), long_packet(PacketType::AckEpoch)].concat();
    drippers_are_ended(server, quorum, &second, 0);
    drippers_are_ended(server, election, &greeting(99)[..3], 0xff);
}

#[test]
fn servers_that_drip_make_room_for_others() {
    const STRANGERS: i64 = 64;
    const NEWCOMERS: i64 = 8;
    let mut ensemble = Ensemble::start(Program::Ours, 3, 0);
    let leader = ensemble.wait_leader();
    let (quorum, election) = ports(&ensemble, leader);
    let before = Taken::by(ensemble.members[leader].server.pid());
    // At the election port, servers that are not members send a greeting and nothing more. Each takes two threads.
    // They come in groups of eight, because too many greetings at once would push each other out.
    let mut held: Vec<TcpStream> = Vec::new();
    for sids in (100..100 + STRANGERS).collect::<Vec<_>>().chunks(8) {
        held.extend(sids.iter().map(|sid| say(election, &greeting(*sid))));
        let threads = before.threads + 2 * u64::try_from(held.len()).unwrap() - TOLERATED;
        let pid = ensemble.members[leader].server.pid();
        wait_until("they are held", OVER, || Taken::by(pid).threads >= threads);
    }
    assert!(held.iter_mut().all(is_open), "there is room for so many");
    let mut newcomers: Vec<TcpStream> =
        (90..90 + NEWCOMERS).map(|sid| say(election, &greeting(sid))).collect();
    let mut gone = 0;
    wait_until("as many gave way", OVER, || {
        held.retain_mut(is_open);
        gone = usize::try_from(STRANGERS).unwrap() - held.len();
        gone >= newcomers.len()
    });
    assert!(newcomers.iter_mut().all(is_open), "the newcomers stay");
    assert_eq!(gone, newcomers.len());
    // At the quorum port there are more connections than may greet at once. A member must still be able to come back.
    let follower = ensemble.wait_at(Mode::Follower);
    ensemble.members[follower].stop();
    // All connections arrive before the leader starts a thread for any of them.
    ensemble.members[leader].server.freeze();
    let drippers = Drippers::new(quorum, 120, &long_packet(PacketType::FollowerInfo), 0);
    ensemble.members[leader].server.thaw();
    ensemble.members[follower].start();
    ensemble.wait_serving();
    assert!(drippers.are_down_to(64, OVER), "more than may greet are kept");
    drop((held, newcomers, drippers));
    gives_back(&ensemble.members[leader].server, before);
}

/// Otherwise, ten such observers would take all the places of learners that get snapshots.
#[test]
fn a_learner_that_takes_its_snapshot_byte_by_byte_is_given_up() {
    let ensemble = Ensemble::start_of(
        &[Program::Ours; 3],
        3,
        &["initLimit=5", "forceSnapshotSync=true", "jute.maxbuffer=4000000"],
    );
    let leader = ensemble.wait_leader();
    let (quorum, _) = ports(&ensemble, leader);
    let server = &ensemble.members[leader].server;
    let client = server.client();
    let data = vec![b'x'; 1_000_000];
    for number in 0..16 {
        let path = format!("/n{number}");
        create(&client, &path, CreateMode::Persistent).unwrap();
        client.set_data(&path, Some(&data), -1).unwrap();
    }
    let before = Taken::by(server.pid());
    let epoch = QuorumPacket::new(PacketType::AckEpoch, Zxid(0), Some(vec![0, 0, 0, 1]));
    let mut slow = say(quorum, &[info(PacketType::ObserverInfo, 99), epoch.to_bytes()].concat());
    wait_until("it gets a snapshot", OVER, || {
        server.log().contains("Sending snapshot last zxid of peer")
            && Taken::by(server.pid()).threads > before.threads
    });
    let started = time::now();
    wait_until("it is given up", 2 * OVER, || {
        // At this pace, the client cannot read the whole snapshot within the time limit.
        let _taken = slow.read(&mut [0; 1]);
        server.log().contains("the connection of learner sid 99")
    });
    println!("given up after {:?}", started.elapsed());
    gives_back(server, before);
}

// --- clients that speak the protocol of another port

/// Sends the bytes, and waits for the line about this connection in the log.
#[track_caller]
fn is_told(server: &Server, port: u16, bytes: &[u8], key_words: &str, looks_like: &str) {
    let stream = say(port, bytes);
    let from = format!("127.0.0.1:{}", stream.local_addr().unwrap().port());
    let line = wait_for(OVER, || {
        let log = server.log();
        log.lines()
            .find(|line| line.contains(looks_like) && line.contains(&from))
            .map(str::to_owned)
    });
    let line = line.unwrap_or_else(|| panic!("no \"{looks_like}\" about {from}"));
    assert!(line.contains(key_words), "{line}");
    println!("{line}");
}

#[test]
fn who_speaks_to_the_wrong_port_is_told_so_in_the_log() {
    let (builder, metrics_port) = with_http();
    let server = builder.start();
    let (admin_port, port) = (server.admin_port(), server.client_port());
    let where_http =
        format!("AdminServer at port {admin_port} and /metrics at port {metrics_port}");
    let len = "Len error. A message from";
    is_told(&server, port, b"GET / HTTP/1.1\r\n\r\n", len, &where_http);
    is_told(&server, port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", len, "a TLS handshake");
    is_told(&server, port, b"SSH-2.0-OpenSSH_9.6\r\n", len, "an SSH client");
    is_told(&server, port, &greeting(3), len, "greeting for an election");
    is_told(&server, port, &follower_info(3), "is not a ConnectRequest", "follow a leader");
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\n\n";
    is_told(&server, admin_port, tls, "refused", "a TLS handshake");
}

#[test]
fn who_speaks_to_the_wrong_port_of_a_member_is_told_so_in_the_log() {
    let ensemble = Ensemble::start(Program::Ours, 3, 0);
    let leader = ensemble.wait_leader();
    let server = &ensemble.members[leader].server;
    let (quorum, election) = ports(&ensemble, leader);
    let connect = [&HALF_CONNECT[..], &[0; 37]].concat();
    for (port, key_words) in [
        (quorum, "before it was taken for a learner's"),
        (election, "Initial message parsing error!"),
    ] {
        is_told(server, port, b"GET / HTTP/1.1\r\n\r\n", key_words, "an HTTP request");
        is_told(server, port, b"\x16\x03\x01\x02\x00", key_words, "a TLS handshake");
        is_told(server, port, b"SSH-2.0-x\r\n", key_words, "an SSH client");
        is_told(server, port, b"ruok", key_words, "the four-letter word ruok");
        is_told(server, port, &connect, key_words, "the ConnectRequest of a ZooKeeper client");
    }
    is_told(server, quorum, &greeting(3), "no learner", "greeting for an election");
    is_told(server, election, &follower_info(3), "no server that takes part", "follow a leader");
    // The ensemble still serves.
    let client = server.client();
    create(&client, "/a", CreateMode::Persistent).unwrap();
}
