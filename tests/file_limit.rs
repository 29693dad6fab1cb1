//! The limit of open files. The server raises it at start. When descriptors run out, the server keeps those it needs,
//! and sessions keep their connections.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

#[macro_use]
mod common;
#[path = "common/ensemble.rs"]
mod ensemble;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use common::{
    Client, DEADLINE, Program, RawConnection, Server, ServerBuilder, client_config, wait_for,
    wait_until,
};
use crossbeam::channel::never;
use ensemble::Ensemble;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::ids::Zxid;
use zookeeper_server::internals::bench::crowd::Crowd;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::proto::{ConnectRequest, SetWatches};
use zookeeper_server::zoo_defs::ids;

/// The limit of a server whose descriptors must run out. The server keeps a quarter of them for its own files.
const FEW: u32 = 200;

/// More connections than that limit allows.
const MANY: usize = 400;

/// Longer than a connection without a session is sure to keep its place.
const GRACE: Duration = Duration::from_millis(1_100);

fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

fn open_files(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

/// The processor time that a server has used, in ticks of 10 ms.
fn cpu_ticks(server: &Server) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Waits while something must stay as it is.
fn lasts(time: Duration) {
    let _always_a_timeout = never::<()>().recv_timeout(time);
}

/// Opens connections to that port that send nothing.
fn silent(port: u16, count: usize) -> Vec<TcpStream> {
    (0..count).filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok()).collect()
}

/// How many of the streams the server has closed.
fn closed(streams: &[TcpStream]) -> usize {
    let is_closed = |mut stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        !matches!(stream.read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    };
    streams.iter().filter(|stream| is_closed(stream)).count()
}

fn write(client: &Client, count: usize) {
    let create = |_| {
        let mode = CreateMode::PersistentSequential;
        client.submit_create("/n-", Some(b"data"), ids::open_acl_unsafe(), mode)
    };
    let pending: Vec<_> = (0..count).map(create).collect();
    pending.into_iter().for_each(|one| drop(one.wait().unwrap()));
}

/// A connection with a session; `None` if the server closes it.
fn session_of(server: &Server) -> Option<RawConnection> {
    let mut raw = server.raw();
    let request =
        ConnectRequest { time_out: 30_000, passwd: Some(vec![0; 16]), ..Default::default() };
    let body = request.to_bytes();
    let len = i32::try_from(body.len()).unwrap().to_be_bytes();
    // The server may close the connection before everything is sent.
    let is_sent = raw.stream.write_all(&[&len[..], &body].concat()).is_ok();
    is_sent.then(|| raw.receive_frame()).flatten().map(|_| raw)
}

fn admin_answers(server: &Server) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", server.admin_port()))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(b"GET /commands/ruok HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains("200 OK"))
}

#[test]
fn the_limit_is_raised_and_more_sessions_are_served_than_the_soft_limit_allows() {
    raise_file_limit();
    let hard = u32::try_from(getrlimit(Resource::Nofile).maximum.unwrap_or(20_000)).unwrap();
    let server = ServerBuilder::new().files(1_024, hard).config("maxClientCnxns=0").start();
    for said in [&*format!("open {hard} files (raised from 1024): "), "and 128 that are kept"] {
        assert!(server.log().contains(said), "{said}");
    }
    let no_watches = |_, relative_zxid| SetWatches { relative_zxid, ..SetWatches::default() };
    let address = ([127, 0, 0, 1], server.client_port()).into();
    let mut crowd = Crowd::new(3_000, &[address], Zxid(0), no_watches).unwrap();
    let report = crowd.connect(DEADLINE).unwrap();
    assert_eq!((report.served_ms.len(), report.cut_off), (3_000, 0), "{report}");
    assert!(open_files(&server) > 3_000);
}

#[test]
fn silent_connections_make_room_and_take_nothing_that_the_server_needs() {
    let builder = ServerBuilder::new().files(FEW, FEW).admin_server();
    let server = builder.config("maxClientCnxns=0").property("zookeeper.snapCount", "50").start();
    let honest = server.client();
    let session = honest.session_id();
    let strangers = silent(server.client_port(), MANY);
    assert_eq!(strangers.len(), MANY, "nobody is left in the queue");
    wait_until("too many are refused", DEADLINE, || closed(&strangers) > MANY - 150);
    assert!(open_files(&server) <= 152, "{} of {FEW}", open_files(&server));
    // No thread spins, and the log does not fill with lines.
    let before = cpu_ticks(&server);
    lasts(Duration::from_secs(2));
    let used = cpu_ticks(&server) - before;
    assert!(used < 30, "{used} ticks of 10 ms in 2 s");
    let lines = server.log().matches("no descriptor is left").count();
    assert!((1..4).contains(&lines), "{lines} lines");
    // The log rolls, snapshots are taken, and the AdminServer answers.
    write(&honest, 300);
    let files = |name: &str| {
        let names = fs::read_dir(server.version_dir()).unwrap().map(|e| e.unwrap().file_name());
        names.filter(|file| file.to_string_lossy().starts_with(name)).count()
    };
    wait_until("logs and snapshots", DEADLINE, || files("log.") > 1 && files("snapshot.") > 1);
    assert!(admin_answers(&server), "the AdminServer");
    // A newcomer that asks for a session gets one: the server closes connections that have been silent for longest.
    // If the first newcomer is refused, it still makes the server close some for the next ones.
    let newcomers: Vec<_> =
        (0..10).map(|_| wait_for(DEADLINE, || session_of(&server)).expect("a session")).collect();
    assert!(server.four_letter_word("srvr").is_some(), "a probe");
    assert_eq!((honest.session_id(), closed_raw(&newcomers)), (session, 0));
    assert!(server.monitor("connection_rejected") > 0.0);
    write(&honest, 1);
}

/// Opens connections to that port that send nothing, from 8 addresses.
fn crowd_of(port: u16, count: usize) -> Vec<Socket> {
    let connect = |number: usize| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let address = [127, 66, 0, u8::try_from(number % 8).unwrap() + 1];
        socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
        // The server may refuse the connection.
        let _refused = socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into());
        socket
    };
    (0..count).map(connect).collect()
}

#[test]
fn who_comes_alone_gets_a_session_beside_a_crowd_that_has_just_come() {
    let server = ServerBuilder::new().files(FEW, FEW).start();
    let mut crowds = Vec::new();
    let mut sessions = Vec::new();
    for round in 0..14 {
        crowds.push(crowd_of(server.client_port(), MANY));
        let session = session_of(&server);
        assert!(session.is_some(), "in round {round}");
        sessions.extend(session);
        let answer = server.four_letter_word("ruok");
        assert_eq!(
            answer.as_deref(),
            Some("imok\n"),
            "in round {round}, {} files",
            open_files(&server)
        );
    }
    assert_eq!(closed_raw(&sessions), 0);
}

fn closed_raw(connections: &[RawConnection]) -> usize {
    connections.iter().map(|raw| closed(std::slice::from_ref(&raw.stream))).sum()
}

#[test]
fn sessions_keep_their_connections_when_more_come_than_there_is_room_for() {
    let server = ServerBuilder::new().files(FEW, FEW).config("maxClientCnxns=0").start();
    let honest = server.client();
    let mut sessions = Vec::new();
    let refused = wait_for(DEADLINE, || {
        match session_of(&server) {
            Some(raw) => sessions.push(raw),
            None => return Some(()),
        }
        None
    });
    assert!(refused.is_some() && sessions.len() > 100, "{} sessions", sessions.len());
    lasts(GRACE);
    drop(silent(server.client_port(), 20));
    assert_eq!(closed_raw(&sessions), 0, "of {} sessions", sessions.len());
    write(&honest, 10);
    sessions.truncate(50);
    let served = wait_for(DEADLINE, || server.four_letter_word("mntr"));
    assert!(served.is_some_and(|answer| answer.contains("zk_connection_rejected")));
}

#[test]
fn a_member_joins_an_ensemble_whose_descriptors_are_used_up_by_strangers() {
    let mut ensemble = Ensemble::start(Program::Ours, 3, 0);
    for member in &mut ensemble.members {
        member.kill9();
        member.server.set_files(FEW, FEW);
        member.start();
    }
    ensemble.wait_serving();
    let leader = ensemble.wait_leader();
    let follower = (leader + 1) % 3;
    let ports = ensemble.members[leader].server.ports_of_members()[leader];
    let client = Client::connect(&ensemble.members[leader].server.address(), client_config());
    ensemble.members[follower].kill9();
    let mut strangers = silent(ensemble.members[leader].server.client_port(), MANY);
    for port in ports {
        strangers.extend(silent(port, 100));
    }
    lasts(GRACE);
    ensemble.members[follower].start();
    ensemble.wait_serving();
    assert_eq!(ensemble.wait_leader(), leader, "it still leads");
    assert!(open_files(&ensemble.members[leader].server) < 200);
    write(&client, 10);
    drop(strangers);
}
