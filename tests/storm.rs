//! All clients come back at once, and the server accepts them: ten thousand clients with a hundred watches each, at
//! one server, and at an ensemble whose leader was killed (no Java twin).
//!
//! `cargo test --release --test storm -- --ignored --nocapture --test-threads=1` tests the binary `ZOOKEEPER_BIN` or
//! `target/release/zookeeper`. With `SUBJECT=java:3.9.5` it tests Java's server (`JVMFLAGS=-Xmx2g`). The test process
//! and each server need 20,000 open files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]
#![allow(clippy::print_stderr, reason = "the times are what one wants to know")]

#[macro_use]
mod common;
#[path = "common/ensemble.rs"]
mod ensemble;

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use common::{Client, Program, Server, ServerBuilder, client_config, free_port};
use ensemble::Ensemble;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::ids::Zxid;
use zookeeper_server::internals::bench::crowd::{Crowd, Report};
use zookeeper_server::internals::common::time;
use zookeeper_server::internals::proto::{ConnectRequest, SetWatches};
use zookeeper_server::zoo_defs::{OpCode, ids};

const CLIENTS: usize = 10_000;

const WATCHES: usize = 100;

/// The number of watched nodes. A tenth of the clients watches each node.
const NODES: usize = 1_000;

/// The longest time until the last client is served.
const LIMIT: Duration = Duration::from_secs(5);

/// The time after which the test gives up.
const GIVE_UP: Duration = Duration::from_secs(120);

#[expect(clippy::disallowed_methods, reason = "as all suites that compare servers")]
fn program() -> Program {
    match std::env::var("SUBJECT").as_deref() {
        Ok("java:3.9.5") => Program::Java("3.9.5"),
        Ok("ours") | Err(_) => Program::Release,
        Ok(other) => panic!("SUBJECT={other}: ours or java:3.9.5"),
    }
}

/// Raises the limit of open files, because this process has a socket for each client.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

fn path(node: usize) -> String {
    format!("/storm/config-{node:04}")
}

/// The watches of client `number`.
fn watches(number: usize, relative_zxid: Zxid) -> SetWatches {
    SetWatches {
        relative_zxid,
        data_watches: (0..WATCHES).map(|at| path((number + at * 7) % NODES)).collect(),
        exist_watches: Vec::new(),
        child_watches: Vec::new(),
    }
}

/// Creates the watched nodes. Returns the last zxid.
fn make_nodes(client: &Client) -> Zxid {
    let mode = CreateMode::Persistent;
    client.create("/storm", None, ids::open_acl_unsafe(), mode).unwrap();
    let submit = |node| {
        let data = Some(&b"some configuration"[..]);
        client.submit_create(&path(node), data, ids::open_acl_unsafe(), mode)
    };
    let pending: Vec<_> = (0..NODES).map(submit).collect();
    for one in pending {
        one.wait().unwrap();
    }
    client.exists("/storm", false).unwrap().unwrap().pzxid
}

fn address(server: &Server) -> SocketAddr {
    ([127, 0, 0, 1], server.client_port()).into()
}

/// Checks that all clients were served in time, no connection was cut off, and every session was kept.
#[track_caller]
fn check(what: &str, report: &Report) {
    eprintln!("{what}: {report}");
    assert_eq!(report.served_ms.len(), CLIENTS, "{what}: {report}");
    assert_eq!((report.cut_off, report.lost_sessions), (0, 0), "{what}: {report}");
    if program() == Program::Release {
        assert!(report.percentile_ms(100) <= LIMIT.as_millis(), "{what}: {report}");
    }
}

#[test]
#[ignore = "takes an optimised build and both processors"]
fn ten_thousand_clients_that_come_at_once_to_one_server_are_served_in_time() {
    raise_file_limit();
    let builder = ServerBuilder::new().program(program()).config("maxClientCnxns=0");
    let mut server = builder.start();
    let last_zxid = make_nodes(&server.client());
    let mut crowd = Crowd::new(CLIENTS, &[address(&server)], last_zxid, watches).unwrap();
    let report = crowd.connect(GIVE_UP).unwrap();
    check("one server", &report);
    assert_eq!(report.turned_away, 0, "{report}");
    assert!(server.monitor("watch_count") >= (CLIENTS * WATCHES) as f64);
    // After a crash, all clients connect again with their sessions.
    server.kill9();
    let start = time::now();
    server.spawn();
    let sessions = crowd.sessions();
    let report = crowd.come_back(start, GIVE_UP).unwrap();
    check("one server that was killed and started", &report);
    assert_eq!(crowd.sessions(), sessions, "every session is kept");
}

#[test]
#[ignore = "takes an optimised build and both processors"]
fn ten_thousand_sessions_come_back_in_time_when_their_leader_is_killed() {
    raise_file_limit();
    let mut ensemble = Ensemble::start_of(&[program(); 3], 3, &["tickTime=2000", "syncLimit=5"]);
    let client = Client::connect(&ensemble.addresses(), client_config());
    let last_zxid = make_nodes(&client);
    client.close();
    let servers: Vec<_> = ensemble.members.iter().map(|member| address(&member.server)).collect();
    let mut crowd = Crowd::new(CLIENTS, &servers, last_zxid, watches).unwrap();
    let report = crowd.connect(GIVE_UP).unwrap();
    eprintln!("three members: {report}");
    assert_eq!((report.served_ms.len(), report.cut_off), (CLIENTS, 0), "three members: {report}");
    let sessions = crowd.sessions();
    let leader = ensemble.wait_leader();
    ensemble.members[leader].kill9();
    let report = crowd.come_back(time::now(), GIVE_UP).unwrap();
    check("three members, their leader killed", &report);
    assert_eq!(crowd.sessions(), sessions, "every session is kept");
    // The two other members have stayed in the quorum since.
    for (at, member) in ensemble.members.iter().enumerate().filter(|(at, _)| *at != leader) {
        let elections = member.server.log().matches("LEADER ELECTION TOOK").count();
        assert_eq!(elections, 2, "elections of member {}", at + 1);
    }
}

/// While nobody accepts, a backlog of 50, as Java has, lets the 52nd connection wait.
#[track_caller]
fn takes_a_hundred(what: &str, port: u16) {
    let address = ([127, 0, 0, 1], port).into();
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(900));
    let connected: Vec<_> = (0..100).map_while(|at| connect(at).ok()).collect();
    assert_eq!(connected.len(), 100, "connections to {what} while nobody accepts");
}

#[test]
fn all_ports_keep_many_who_wait_to_be_accepted() {
    let metrics_port = free_port();
    let provider = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";
    let server = ServerBuilder::new()
        .config(&format!("metricsProvider.className={provider}"))
        .config(&format!("metricsProvider.httpPort={metrics_port}"))
        .admin_server()
        .start();
    server.freeze();
    takes_a_hundred("the client port", server.client_port());
    takes_a_hundred("the AdminServer", server.admin_port());
    takes_a_hundred("the metrics", metrics_port);
    let ensemble = Ensemble::start(Program::Ours, 3, 0);
    let leader = ensemble.wait_leader();
    let server = &ensemble.members[leader].server;
    let [quorum, election] = server.ports_of_members()[leader];
    server.freeze();
    takes_a_hundred("the leader's client port", server.client_port());
    takes_a_hundred("the quorum port", quorum);
    takes_a_hundred("the election port", election);
}

/// Checks that the crowd notices a lost session.
#[test]
fn a_session_that_is_not_kept_is_seen() {
    let server = Server::start();
    let last_zxid = make_nodes(&server.client());
    let mut crowd = Crowd::new(10, &[address(&server)], last_zxid, watches).unwrap();
    let report = crowd.connect(GIVE_UP).unwrap();
    assert_eq!((report.served_ms.len(), report.cut_off), (10, 0), "{report}");
    let (session_id, passwd) = crowd.sessions().swap_remove(3);
    let mut raw = server.raw();
    let request = ConnectRequest {
        time_out: 30_000,
        session_id,
        passwd: Some(passwd),
        ..ConnectRequest::default()
    };
    assert!(raw.handshake(&request, true).is_some());
    let start = time::now();
    raw.send_request(1, OpCode::CloseSession.code(), &[]);
    assert!(raw.receive_reply().is_some());
    let report = crowd.come_back_one(start, GIVE_UP).unwrap();
    assert_eq!((report.lost_sessions, report.unserved), (1, 0), "{report}");
}
