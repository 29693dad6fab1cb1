//! Limits that keep a real server alive: connections, large requests, requests in flight (Java:
//! ServerCnxnFactory.java, BlueThrottle.java, RequestThrottler.java, and the large requests of ZooKeeperServer.java).

#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

#[macro_use]
mod common;

use common::{DEADLINE, RawConnection, Server, ServerBuilder, wait_for, wait_until};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::proto::{ConnectRequest, GetDataRequest, SetDataRequest};
use zookeeper_server::keeper_exception::KeeperError;
use zookeeper_server::zoo_defs::{OpCode, ids};

/// Opens a connection with a session; `None` if the server refuses it.
fn try_session(server: &Server) -> Option<RawConnection> {
    let mut raw = server.raw();
    let request =
        ConnectRequest { time_out: 30_000, passwd: Some(vec![0; 16]), ..ConnectRequest::default() };
    let mut bytes = request.to_bytes();
    let len = i32::try_from(bytes.len()).unwrap().to_be_bytes();
    bytes.splice(..0, len);
    // The server may have closed the connection already.
    std::io::Write::write_all(&mut raw.stream, &bytes).ok()?;
    raw.receive_frame()?;
    Some(raw)
}

/// Opens sessions up to the limit. The four-letter words that asked whether the server serves may count as
/// connections for a moment longer.
fn sessions(server: &Server, wanted: usize) -> Vec<RawConnection> {
    let mut held = Vec::new();
    wait_until("there are as many sessions as allowed", DEADLINE, || {
        held.extend(try_session(server));
        held.len() == wanted
    });
    held
}

mod bodies {
    use super::*;

    pub(crate) fn one_address_has_no_more_than_its_share_of_connections(builder: ServerBuilder) {
        let server = builder.config("maxClientCnxns=2").start();
        let mut held = sessions(&server, 2);
        for _ in 0..5 {
            assert!(try_session(&server).is_none(), "a third connection is closed");
        }
        held.pop();
        assert!(wait_for(DEADLINE, || try_session(&server)).is_some(), "there is room again");
        let log = server.log();
        assert!(log.contains("Too many connections from /127.0.0.1 - max is 2"), "{log}");
    }

    pub(crate) fn all_addresses_share_the_limit_in_all(builder: ServerBuilder) {
        let server = builder.property("zookeeper.maxCnxns", "3").start();
        let _held = sessions(&server, 3);
        for _ in 0..5 {
            assert!(try_session(&server).is_none(), "a fourth connection is closed");
        }
        assert!(server.log().contains("Too many connections 3 - max is 3"));
    }

    pub(crate) fn who_connects_too_fast_is_turned_away(builder: ServerBuilder) {
        let server = builder
            .property("zookeeper.connection_throttle_tokens", "3")
            .property("zookeeper.connection_throttle_fill_time", "3600000")
            .start();
        let taken: Vec<_> = (0..10).map(|_| try_session(&server)).collect();
        let accepted: Vec<bool> = taken.iter().map(Option::is_some).collect();
        assert_eq!(accepted[..3], [true; 3]);
        assert_eq!(accepted[3..], [false; 7]);
    }

    pub(crate) fn a_large_request_that_does_not_fit_ends_its_connection(builder: ServerBuilder) {
        let server = builder
            .property("zookeeper.largeRequestThreshold", "1000")
            .property("zookeeper.largeRequestMaxBytes", "10000")
            .start();
        let client = server.client();
        client.create("/a", None, ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
        client.set_data("/a", Some(&[1; 5000]), -1).unwrap();
        client.set_data("/a", Some(&[1; 5000]), -1).unwrap();
        let mut raw = server.raw();
        raw.new_session();
        let too_large =
            SetDataRequest { path: "/a".into(), data: Some(vec![2; 20_000]), version: -1 };
        raw.send_request(1, OpCode::SetData.code(), &too_large.to_bytes());
        assert!(raw.receive_frame().is_none(), "the connection is closed");
        assert_eq!(client.get_data("/a", false).unwrap().0.unwrap(), [1; 5000]);
        assert!(server.monitor("large_requests_rejected") >= 1.0);
    }

    pub(crate) fn a_frame_that_is_too_long_or_negative_ends_its_connection(builder: ServerBuilder) {
        let server = builder.property("jute.maxbuffer", "2000").start();
        for len in [2001, i32::MAX, -1, i32::MIN] {
            let mut raw = server.raw();
            raw.new_session();
            raw.send_bytes(&len.to_be_bytes());
            assert!(raw.receive_frame().is_none(), "length {len}");
        }
        wait_until("it serves", DEADLINE, || server.serves());
    }

    pub(crate) fn requests_wait_their_turn_and_keep_their_order(builder: ServerBuilder) {
        let server = builder
            .property("zookeeper.request_throttle_max_requests", "2")
            .property("zookeeper.request_throttle_stall_time", "5")
            // Only two writes at most share an fsync here. On a slow disk, the requests would take longer than a
            // session lives.
            .property("zookeeper.forceSync", "no")
            .start();
        let clients: Vec<_> = (0..4).map(|_| server.client()).collect();
        for (n, client) in clients.iter().enumerate() {
            let path = format!("/n{n}");
            client.create(&path, None, ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
        }
        let pending: Vec<Vec<_>> = clients
            .iter()
            .enumerate()
            .map(|(n, client)| {
                let path = format!("/n{n}");
                (0..200).map(|_| client.submit_set_data(&path, Some(b"x"), -1)).collect()
            })
            .collect();
        for of_client in pending {
            for (version, pending) in (1..).zip(of_client) {
                assert_eq!(pending.wait().unwrap().stat.version, version);
            }
        }
        assert!(server.monitor("request_throttle_wait_count") >= 1.0);
        assert_eq!(server.monitor("stale_requests_dropped"), 0.0);
    }
}

against_both! {
    ServerBuilder::new(), ServerBuilder::java();
    one_address_has_no_more_than_its_share_of_connections, java_limits_connections_of_an_address;
    all_addresses_share_the_limit_in_all, java_limits_connections_in_all;
    who_connects_too_fast_is_turned_away, java_turns_away_who_connects_too_fast;
    a_large_request_that_does_not_fit_ends_its_connection, java_rejects_large_requests;
    a_frame_that_is_too_long_or_negative_ends_its_connection, java_rejects_long_frames;
    requests_wait_their_turn_and_keep_their_order, java_lets_requests_wait;
}

#[test]
fn a_throttled_operation_is_answered_with_its_own_error() {
    let server = ServerBuilder::new()
        .property("zookeeper.request_throttle_max_requests", "1")
        .property("zookeeper.request_throttle_stall_time", "200")
        .property("zookeeper.throttled_op_wait_time", "1")
        .start();
    let client = server.client();
    // The server may throttle this request, too.
    let created = wait_for(DEADLINE, || {
        client.create("/a", None, ids::open_acl_unsafe(), CreateMode::Persistent).ok()
    });
    assert!(created.is_some());
    let mut raw = server.raw();
    raw.new_session();
    let read = GetDataRequest { path: "/a".into(), watch: false }.to_bytes();
    let answered = wait_for(DEADLINE, || {
        let writes: Vec<_> =
            (0..500).map(|_| client.submit_set_data("/a", Some(&[0; 1000]), -1)).collect();
        raw.send_request(7, OpCode::GetData.code(), &read);
        let (header, _) = raw.receive_reply().unwrap();
        let codes = writes
            .into_iter()
            .map(|write| write.wait().err().and_then(|error| error.keeper_error()));
        let throttled = codes.filter(|code| *code == Some(KeeperError::ThrottledOp)).count() > 0;
        (throttled || header.err == KeeperError::ThrottledOp.code()).then_some(())
    });
    assert!(answered.is_some(), "no operation was throttled");
    assert!(server.monitor("throttled_ops") >= 1.0);
}
