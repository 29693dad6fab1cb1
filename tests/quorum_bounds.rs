//! The bounds on what waits in a member of an ensemble while nothing is committed (no Java twin).
//!
//! The tests read the memory of the process from outside, and allow much slack. Without the bounds, each of these
//! cases takes several times as much.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

#[macro_use]
mod common;
#[path = "common/ensemble.rs"]
mod ensemble;

use std::io::Write;
use std::time::Duration;

use common::{DEADLINE, Program, RawConnection, Server, request_frame, wait_until};
use ensemble::{Ensemble, Mode};
use socket2::SockRef;
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::proto::{GetDataRequest, SetDataRequest};
use zookeeper_server::zoo_defs::{OpCode, ids};

/// How many requests a connection tries to send.
const REQUESTS: usize = 300;

fn connect(server: &Server) -> RawConnection {
    let mut raw = server.raw();
    raw.new_session();
    raw.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    // The close takes effect at once, and does not wait behind bytes that the server does not read.
    SockRef::from(&raw.stream).set_linger(Some(Duration::ZERO)).unwrap();
    raw
}

fn set_data(data: Vec<u8>) -> Vec<u8> {
    SetDataRequest { path: "/a".into(), data: Some(data), version: -1 }.to_bytes()
}

/// Sends requests until the server stops reading. Returns how many it has taken, including those in the socket
/// buffers.
fn send_until_stopped(
    raw: &mut RawConnection,
    requests: usize,
    op: OpCode,
    payload: &[u8],
) -> usize {
    let taken = (1..=requests).take_while(|xid| {
        let xid = i32::try_from(*xid).unwrap() + 1;
        raw.stream.write_all(&request_frame(xid, op.code(), payload)).is_ok()
    });
    taken.count()
}

/// Sends short reads and reads with paths of nearly a megabyte behind a write, and writes of that length, to one member
/// while nobody commits.
#[track_caller]
fn check_bounds(server: &Server, name: &str) {
    let before = server.resident_mib();
    let long = vec![b'x'; 900_000];
    let read = |path: &[u8]| {
        let path = String::from_utf8(path.to_vec()).unwrap();
        GetDataRequest { path, watch: false }.to_bytes()
    };

    // Such reads do not wait in the server: nothing is read until the write is answered.
    let mut long_reads = connect_frozen(server);
    long_reads
        .stream
        .write_all(&request_frame(1, OpCode::SetData.code(), &set_data(Vec::new())))
        .unwrap();
    let taken = send_until_stopped(&mut long_reads, REQUESTS, OpCode::GetData, &read(&long));
    assert!(taken < 60, "{name}: {taken} reads of 0.9 MB were taken behind a write");

    let mut reads = connect_frozen(server);
    reads
        .stream
        .write_all(&request_frame(1, OpCode::SetData.code(), &set_data(Vec::new())))
        .unwrap();
    let taken =
        send_until_stopped(&mut reads, 10 * REQUESTS, OpCode::GetData, &read(&long[..15_000]));
    assert!(taken < 2_000, "{name}: {taken} reads of 15 kB were taken behind a write");
    let reads_wait = || server.monitor("outstanding_requests") >= 200.0;
    wait_until(&format!("{name}: some reads wait"), DEADLINE, reads_wait);

    let mut writes = connect_frozen(server);
    let taken = send_until_stopped(&mut writes, REQUESTS, OpCode::SetData, &set_data(long));
    assert!(taken < 60, "{name}: {taken} writes of 0.9 MB were taken");

    let grown = server.resident_mib().saturating_sub(before);
    assert!(grown < 150, "{name}: {grown} MiB for requests that wait");
    let waiting = server.monitor("outstanding_requests");
    assert!((200.0..400.0).contains(&waiting), "{name}: {waiting} requests wait");

    // The leader keeps the writes that it has received until they are committed. Reads are dropped with their
    // connection.
    drop(reads);
    let reads_are_gone = || server.monitor("outstanding_requests") < waiting - 190.0;
    wait_until(&format!("{name}: the reads are let go"), DEADLINE, reads_are_gone);
    drop((long_reads, writes));
}

/// A connection with a session from before. A session can only be opened while transactions are committed.
fn connect_frozen(server: &Server) -> RawConnection {
    SESSIONS.with_borrow_mut(|sessions| {
        let at = sessions.iter().position(|(port, _)| *port == server.client_port()).unwrap();
        sessions.swap_remove(at).1
    })
}

thread_local! {
    /// Connections with sessions, with the client port of their member.
    static SESSIONS: std::cell::RefCell<Vec<(u16, RawConnection)>> =
        const { std::cell::RefCell::new(Vec::new()) };
}

fn open_sessions(server: &Server, count: usize) {
    for _ in 0..count {
        let raw = connect(server);
        SESSIONS.with_borrow_mut(|sessions| sessions.push((server.client_port(), raw)));
    }
}

#[test]
fn what_waits_for_commits_is_bounded_on_every_role_and_let_go() {
    let ensemble = Ensemble::start(Program::Ours, 3, 1);
    let leader = ensemble.wait_leader();
    let client = ensemble.members[leader].server.client();
    client.create("/a", None, ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
    client.close();
    let followers: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    let observer = ensemble.wait_at(Mode::Observer);
    for at in [leader, followers[0], observer] {
        open_sessions(&ensemble.members[at].server, 3);
    }
    let of = |at: usize| &ensemble.members[at];

    of(leader).freeze();
    check_bounds(&of(followers[0]).server, "follower");
    check_bounds(&of(observer).server, "observer");
    of(leader).thaw();
    for at in [followers[0], observer] {
        wait_until("nothing waits any more", DEADLINE, || {
            of(at).server.monitor("outstanding_requests") == 0.0
        });
    }

    ensemble.wait_leader();
    followers.iter().for_each(|at| of(*at).freeze());
    check_bounds(&of(leader).server, "leader");
    followers.iter().for_each(|at| of(*at).thaw());
    wait_until("nothing waits any more", DEADLINE, || {
        of(leader).server.monitor("outstanding_requests") == 0.0
    });
}

/// Clients ask for answers of a megabyte each behind a write that waits. The server makes all the answers when the
/// write is committed, and nobody reads them.
#[test]
fn answers_behind_a_write_have_a_bound() {
    let ensemble = Ensemble::start_of(
        &[Program::Ours; 3],
        3,
        &["maxResponseBytes=2097152", "globalUnsentBytesLimit=16777216"],
    );
    let leader = ensemble.wait_leader();
    let follower = ensemble.wait_at(Mode::Follower);
    let server = &ensemble.members[follower].server;
    let client = ensemble.members[leader].server.client();
    let data = vec![b'x'; 1_000_000];
    client.create("/a", Some(&data), ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
    let other = server.client();
    let mut raws: Vec<RawConnection> = (0..10).map(|_| connect(server)).collect();
    other.sync("/a").unwrap();
    let before = server.resident_mib();

    ensemble.members[leader].freeze();
    let read = GetDataRequest { path: "/a".into(), watch: false }.to_bytes();
    for raw in &mut raws {
        raw.stream
            .write_all(&request_frame(1, OpCode::SetData.code(), &set_data(data.clone())))
            .unwrap();
        for xid in 2..40 {
            raw.stream.write_all(&request_frame(xid, OpCode::GetData.code(), &read)).unwrap();
        }
    }
    wait_until("all of it waits", DEADLINE, || server.monitor("outstanding_requests") >= 390.0);
    ensemble.members[leader].thaw();
    wait_until("nothing waits any more", DEADLINE, || {
        server.monitor("outstanding_requests") == 0.0
    });
    let grown = server.peak_mib() - before;
    assert!(grown < 200, "{grown} MiB for 380 answers of 1 MB");
    let cut = server.log().contains("have no room in memory");
    assert!(cut, "a connection that asks for too much is cut off");
    assert!(other.exists("/a", false).unwrap().is_some(), "others are served");
    drop(raws);
}
