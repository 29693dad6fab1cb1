//! Who may connect to a standalone server, and for how long without a session (Java: NIOServerCnxnFactory.java,
//! BlueThrottle.java, and the client port of QuorumPeerConfig.java). `limits.rs` tests the limits on numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

#[macro_use]
mod common;

use std::fs;
use std::io::ErrorKind;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use common::{DEADLINE, Server, ServerBuilder, request_frame, wait_until};
use zookeeper_server::internals::common::time;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::proto::{
    ConnectRequest, ConnectResponse, CreateRequest, ExistsRequest, GetDataRequest, SetDataRequest,
};
use zookeeper_server::zoo_defs::{OpCode, ids};

/// Asks for a new session, or resumes a known one. Returns `None` if the server closes the connection.
fn ask_for_session(
    server: &Server,
    known: Option<&ConnectResponse>,
) -> Option<(common::RawConnection, ConnectResponse)> {
    let mut raw = server.raw();
    let request = ConnectRequest {
        time_out: 30_000,
        session_id: known.map(|known| known.session_id).unwrap_or_default(),
        passwd: known.map_or(Some(vec![0; 16]), |known| known.passwd.clone()),
        ..ConnectRequest::default()
    };
    let bytes = request.to_bytes();
    let len = i32::try_from(bytes.len()).unwrap().to_be_bytes();
    // The server may have closed the connection already.
    std::io::Write::write_all(&mut raw.stream, &[&len[..], &bytes].concat()).ok()?;
    let answer = raw.receive_frame()?;
    Some((raw, common::decode(&answer).0))
}

mod bodies {
    use super::*;

    pub(crate) fn a_connection_without_a_session_ends_after_its_time_and_one_with_a_session_does_not(
        builder: ServerBuilder,
    ) {
        let server = builder.property("zookeeper.nio.sessionlessCnxnTimeout", "1000").start();
        let mut with_session = server.raw();
        with_session.new_session();
        let start = time::now();
        let mut silent = server.raw();
        let mut halfway = server.raw();
        halfway.send_bytes(&[0, 0, 0, 44, 0, 0]);
        assert!(silent.receive_frame().is_none());
        assert!(halfway.receive_frame().is_none());
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(900), "{took:?}");
        assert!(server.monitor("sessionless_connections_expired") >= 2.0);
        // A four-letter word still comes in time.
        assert_eq!(server.four_letter_word("ruok").unwrap().trim_end(), "imok");
        let request = GetDataRequest { path: "/".into(), watch: false };
        assert_eq!(with_session.ask(1, OpCode::GetData, &request).0.err, 0);
    }

    pub(crate) fn new_sessions_weigh_more_than_those_that_come_back(builder: ServerBuilder) {
        let throttle = |key: &str| format!("zookeeper.connection_throttle_{key}");
        // A new session costs 3 tokens, and a resumed one 2. There are as many tokens as four new sessions need.
        let server = builder
            .property(&throttle("weight_enabled"), "true")
            .property(&throttle("tokens"), "4")
            .property(&throttle("fill_time"), "3600000")
            .start();
        let (_held, first) = ask_for_session(&server, None).expect("3 of 12 tokens");
        let (_held, _) = ask_for_session(&server, None).expect("6 of 12 tokens");
        for used in [8, 10, 12] {
            let (_held, again) = ask_for_session(&server, Some(&first)).expect("2 more");
            assert_eq!(again.session_id, first.session_id, "{used} of 12 tokens");
        }
        assert!(ask_for_session(&server, Some(&first)).is_none(), "there are no tokens left");
        assert!(ask_for_session(&server, None).is_none(), "there are no tokens left");
        assert!(server.monitor("connection_rejected") >= 2.0);
    }

    pub(crate) fn the_client_port_listens_at_its_address_alone(builder: ServerBuilder) {
        let server = builder.config("clientPortAddress=127.0.0.1").start();
        assert!(server.serves());
        let elsewhere = TcpStream::connect(("127.0.0.2", server.client_port())).unwrap_err();
        assert_eq!(elsewhere.kind(), ErrorKind::ConnectionRefused);
    }

    pub(crate) fn what_comes_behind_a_sessions_end_is_not_done(builder: ServerBuilder) {
        let server = builder.start();
        for round in 0..10 {
            let mut raw = server.raw();
            raw.new_session();
            let create = |path: &str, flags| CreateRequest {
                path: format!("/{path}-{round}"),
                data: None,
                acl: Some(ids::open_acl_unsafe()),
                flags,
            };
            let bytes = [
                request_frame(1, OpCode::Create.code(), &create("before", 0).to_bytes()),
                request_frame(2, OpCode::Create.code(), &create("ephemeral-before", 1).to_bytes()),
                request_frame(3, OpCode::CloseSession.code(), &[]),
                request_frame(4, OpCode::Create.code(), &create("behind", 0).to_bytes()),
                request_frame(5, OpCode::Create.code(), &create("ephemeral-behind", 1).to_bytes()),
            ];
            raw.send_bytes(&bytes.concat());
            for xid in 1..=3 {
                let (header, _) = raw.receive_reply().expect("an answer");
                assert_eq!((header.xid, header.err), (xid, 0));
            }
            while raw.receive_frame().is_some() {}
            let mut left = server.client().get_children("/", false).unwrap();
            left.retain(|name| name.ends_with(&format!("-{round}")));
            assert_eq!(left, [format!("before-{round}")]);
        }
    }

    pub(crate) fn connections_that_come_and_go_leave_nothing_open(builder: ServerBuilder) {
        let server = builder.config("maxClientCnxns=0").start();
        let open = || server.monitor("open_file_descriptor_count");
        let connect_and_close = || {
            for _ in 0..30 {
                let client = server.client();
                client.exists("/", false).unwrap();
                client.close();
            }
        };
        connect_and_close();
        let before = open();
        for _ in 0..3 {
            connect_and_close();
        }
        wait_until("they are all closed", DEADLINE, || open() <= before + 3.0);
        wait_until("no session is left", DEADLINE, || server.monitor("global_sessions") == 0.0);
    }
}

/// How many connections have a thread of their own.
fn readers(server: &Server) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.starts_with("NIOWorkerThread")).count()
}

/// As long as clients are few, each has a thread. When there are more than half of the threads, a client that waits for
/// each answer moves to the selector, and nothing of it is lost; one that sends many requests at a time keeps its thread.
#[test]
fn few_clients_have_threads_and_many_a_selector() {
    // Workers have the same name.
    let server = ServerBuilder::new()
        .property("zookeeper.nio.maxReaderThreads", "4")
        .property("zookeeper.nio.numWorkerThreads", "0")
        .start();
    let exists = |watch| ExistsRequest { path: "/".into(), watch };
    let connect = || {
        let mut raw = server.raw();
        raw.new_session();
        assert_eq!(raw.ask(1, OpCode::Exists, &exists(false)).0.err, 0);
        raw
    };
    let ask_singly = |raw: &mut common::RawConnection| {
        for xid in 2..60 {
            let (header, _) = raw.ask(xid, OpCode::Exists, &exists(xid == 2));
            assert_eq!((header.xid, header.err), (xid, 0));
        }
    };
    let ask_many_at_a_time = |raw: &mut common::RawConnection| {
        for first in (2..300).step_by(5) {
            let body = exists(false).to_bytes();
            let frame = |xid| request_frame(xid, OpCode::Exists.code(), &body);
            raw.send_bytes(&(first..first + 5).flat_map(frame).collect::<Vec<_>>());
            for xid in first..first + 5 {
                assert_eq!(raw.receive_reply().unwrap().0.xid, xid);
            }
        }
    };
    wait_until("nobody is connected", DEADLINE, || readers(&server) == 0);
    let (mut single, mut many) = (connect(), connect());
    ask_singly(&mut single);
    assert_eq!(readers(&server), 2, "there are no more");
    let mut third = connect();
    assert_eq!(readers(&server), 3);
    ask_many_at_a_time(&mut many);
    ask_singly(&mut single);
    wait_until("one has moved", DEADLINE, || readers(&server) == 2);
    ask_many_at_a_time(&mut many);
    assert_eq!(readers(&server), 2);
    let others: Vec<_> = std::iter::repeat_with(connect).take(5).collect();
    assert_eq!(readers(&server), 4, "no more than that");

    // The watch was set before the move.
    let data = SetDataRequest { path: "/".into(), data: None, version: -1 };
    assert_eq!(third.ask(2, OpCode::SetData, &data).0.err, 0);
    assert_eq!(single.receive_reply().unwrap().0.xid, -1);
    assert_eq!(single.ask(100, OpCode::SetData, &data).0.err, 0);
    drop((single, third, others));
    wait_until("one is left", DEADLINE, || readers(&server) == 1);
    let mut newcomer = connect();
    ask_singly(&mut newcomer);
    assert_eq!(readers(&server), 2, "they are few again");
    ask_many_at_a_time(&mut many);
}

/// Java closes such a connection, too, but it does not answer the last request.
#[test]
fn what_ends_behind_its_last_bytes_is_closed_at_once() {
    let server =
        ServerBuilder::new().property("zookeeper.nio.sessionlessCnxnTimeout", "60000").start();
    let drops = || server.monitor("connection_drop_count");
    let end = |raw: &common::RawConnection| raw.stream.shutdown(Shutdown::Write).unwrap();
    // Each in one piece with the end of the stream: a part of a ConnectRequest, a request, a part of a request.
    let mut halfway = server.raw();
    halfway.send_bytes(&[0, 0]);
    end(&halfway);
    let (mut whole, mut part) = (server.raw(), server.raw());
    whole.new_session_for(60_000);
    part.new_session_for(60_000);
    let exists = ExistsRequest { path: "/".into(), watch: false };
    whole.send_request(1, OpCode::Exists.code(), &exists.to_bytes());
    end(&whole);
    part.send_bytes(&[0, 0, 0, 99, 0]);
    end(&part);
    let start = time::now();
    assert_eq!(whole.receive_reply().unwrap().0.err, 0);
    for raw in [&mut halfway, &mut whole, &mut part] {
        assert!(raw.receive_frame().is_none());
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    wait_until("the ends are counted", DEADLINE, || drops() >= 3.0);
}

against_both! {
    ServerBuilder::new(), ServerBuilder::java();
    a_connection_without_a_session_ends_after_its_time_and_one_with_a_session_does_not,
        java_ends_connections_without_sessions;
    new_sessions_weigh_more_than_those_that_come_back, java_weighs_sessions;
    the_client_port_listens_at_its_address_alone, java_listens_at_its_address_alone;
    what_comes_behind_a_sessions_end_is_not_done, java_does_not_do_what_comes_behind_an_end;
    connections_that_come_and_go_leave_nothing_open, java_leaves_nothing_open;
}
