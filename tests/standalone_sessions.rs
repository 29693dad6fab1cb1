//! Sessions of a real server: when they end, who can resume them, what survives the server, and many sessions at once
//! (Java: SessionTrackerImpl.java, ExpiryQueue.java, and the connects of ZooKeeperServer.java).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

#[macro_use]
mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use common::{DEADLINE, RawConnection, Server, ServerBuilder, decode, wait_until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::ids::{SessionId, Zxid};
use zookeeper_server::internals::common::time;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::proto::{
    ConnectRequest, ConnectResponse, CreateRequest, ExistsRequest, GetDataRequest, ReplyHeader,
    SetWatches, WatcherEvent,
};
use zookeeper_server::watcher::EventType;
use zookeeper_server::zoo_defs::{OpCode, ids};

/// The server's tick, ms. Sessions end together at a tick.
const TICK_MS: u64 = 500;

/// How much longer a busy machine may take, ms.
const SLACK_MS: u64 = 30_000;

/// The xids of packets that are not requests of the session.
const NOTIFICATION: i32 = -1;
const PING: i32 = -2;
const SET_WATCHES: i32 = -8;

/// What a client must know about its session.
#[derive(Clone, Debug)]
struct Session {
    id: SessionId,
    passwd: Vec<u8>,
    timeout_ms: u64,
}

fn with_short_ticks(builder: ServerBuilder) -> ServerBuilder {
    builder
        .config(&format!("tickTime={TICK_MS}"))
        .config("maxSessionTimeout=60000")
        .config("maxClientCnxns=0")
}

fn connect_request(timeout_ms: u64, id: SessionId, passwd: &[u8]) -> ConnectRequest {
    ConnectRequest {
        time_out: i32::try_from(timeout_ms).unwrap(),
        session_id: id,
        passwd: Some(passwd.to_vec()),
        ..ConnectRequest::default()
    }
}

/// A connection with a new session.
#[track_caller]
fn new_session(server: &Server, timeout_ms: u64) -> (RawConnection, Session) {
    let mut raw = server.raw();
    let answer = raw.handshake(&connect_request(timeout_ms, SessionId(0), &[0; 16]), true);
    let answer: ConnectResponse = decode(&answer.expect("a session")).0;
    let timeout_ms = u64::try_from(answer.time_out).unwrap();
    (raw, Session { id: answer.session_id, passwd: answer.passwd.unwrap(), timeout_ms })
}

/// Opens many connections with new sessions.
#[track_caller]
fn new_sessions(server: &Server, timeout_ms: u64, count: usize) -> Vec<RawConnection> {
    let connect = connect_request(timeout_ms, SessionId(0), &[0; 16]).to_bytes();
    let mut sessions = Vec::with_capacity(count);
    while sessions.len() < count {
        // Opens only some connections at once, because the server's backlog is limited.
        let at_once = (count - sessions.len()).min(40);
        let mut new: Vec<_> = (0..at_once).map(|_| server.raw()).collect();
        new.iter_mut().for_each(|raw| raw.send_frame(&connect));
        for raw in &mut new {
            let answer: ConnectResponse = decode(&raw.receive_frame().expect("a session")).0;
            assert_eq!(u64::try_from(answer.time_out), Ok(timeout_ms));
        }
        sessions.append(&mut new);
    }
    sessions
}

/// Resumes a session. Returns false if the server refuses the session and closes the connection.
#[track_caller]
fn take_up(server: &Server, session: &Session) -> (RawConnection, bool) {
    let mut raw = server.raw();
    let request = connect_request(session.timeout_ms, session.id, &session.passwd);
    let answer: ConnectResponse = decode(&raw.handshake(&request, true).expect("an answer")).0;
    if answer.time_out > 0 {
        assert_eq!((answer.session_id, answer.passwd), (session.id, Some(session.passwd.clone())));
        return (raw, true);
    }
    assert_eq!((answer.session_id, answer.passwd), (SessionId(0), Some(vec![0; 16])));
    assert_eq!(raw.receive_frame(), None, "the server closes");
    (raw, false)
}

#[track_caller]
fn create_ephemeral(raw: &mut RawConnection, path: &str) {
    let acl = Some(ids::open_acl_unsafe());
    let flags = CreateMode::Ephemeral.flag();
    let request = CreateRequest { path: path.to_owned(), data: None, acl, flags };
    let (header, _) = raw.ask(1, OpCode::Create, &request);
    assert_eq!(header.err, 0, "{path}");
}

/// Whether a node exists. Proves that the session is served.
#[track_caller]
fn exists(raw: &mut RawConnection, path: &str) -> bool {
    let (header, _) =
        raw.ask(7, OpCode::Exists, &ExistsRequest { path: path.to_owned(), watch: false });
    assert_eq!(header.xid, 7);
    header.err == 0
}

/// Receives the event of a watch.
#[track_caller]
fn receive_event(raw: &mut RawConnection) -> (EventType, String) {
    let (header, body) = raw.receive_reply().expect("the connection stays");
    assert_eq!(header.xid, NOTIFICATION);
    let event: WatcherEvent = decode(&body).0;
    (EventType::from_code(event.r#type).unwrap(), event.path)
}

/// Raises the limit of open files of this process, and of servers that it starts, to the maximum. Returns whether
/// `wanted` files are allowed.
fn allow_open_files(wanted: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    limit.maximum.is_none_or(|most| most >= wanted)
}

mod bodies {
    use super::*;

    pub(crate) fn a_silent_session_ends_after_its_timeout_and_within_a_tick(
        builder: ServerBuilder,
    ) {
        let server = with_short_ticks(builder).start();
        let watcher = server.client();
        let mut silent = Vec::new();
        for (number, timeout_ms) in [8000, 8300, 8750, 12_000].into_iter().enumerate() {
            let (mut raw, session) = new_session(&server, timeout_ms);
            assert_eq!(session.timeout_ms, timeout_ms);
            let path = format!("/e{number}");
            create_ephemeral(&mut raw, &path);
            let asked = time::now();
            assert!(exists(&mut raw, &path));
            silent.push((raw, session, path, asked, time::now()));
            assert!(watcher.exists(&silent[number].2, true).unwrap().is_some());
        }
        // Sessions that end at the same tick end in any order.
        while !silent.is_empty() {
            let event = watcher.next_watch_event();
            assert_eq!(event.event_type, EventType::NodeDeleted);
            let path = event.path.unwrap();
            let at = silent.iter().position(|(_, _, of, ..)| *of == path).expect("each once");
            let (mut raw, session, _, asked, answered) = silent.swap_remove(at);
            let timeout = Duration::from_millis(session.timeout_ms);
            assert!(asked.elapsed() > timeout, "{path} after {:?} only", asked.elapsed());
            let latest = timeout + Duration::from_millis(TICK_MS + SLACK_MS);
            assert!(answered.elapsed() < latest, "{path} after {:?}", answered.elapsed());
            assert!(watcher.exists(&path, false).unwrap().is_none());
            assert_eq!(raw.receive_frame(), None, "the server has closed the connection");
            assert!(!take_up(&server, &session).1, "the session is gone");
        }
    }

    pub(crate) fn a_session_that_pings_does_not_end(builder: ServerBuilder) {
        let server = with_short_ticks(builder).start();
        // The timeout is so long that the session survives if the machine stands still for some seconds.
        let (mut raw, session) = new_session(&server, 20_000);
        create_ephemeral(&mut raw, "/e");
        let first = server.session_end(session.id).expect("the session is there");
        wait_until("the pings have put its end off", DEADLINE, || {
            raw.send_request(PING, OpCode::Ping.code(), &[]);
            assert_eq!(raw.receive_reply().expect("the session is alive").0.xid, PING);
            let end = server.session_end(session.id).expect("the session is there");
            end.is_later_by(4, first)
        });
        assert!(exists(&mut raw, "/e"));
    }

    pub(crate) fn a_second_connection_takes_the_session_from_the_first(builder: ServerBuilder) {
        let server = with_short_ticks(builder).start();
        let (mut first, session) = new_session(&server, 30_000);
        create_ephemeral(&mut first, "/e");
        let (mut second, taken) = take_up(&server, &session);
        assert!(taken);
        assert_eq!(first.receive_frame(), None, "the first connection is closed");
        assert!(exists(&mut second, "/e"));
        let stat = server.client().exists("/e", false).unwrap().unwrap();
        assert_eq!(stat.ephemeral_owner, session.id.0);
    }

    /// A client that knows only the session's id does not get the session. It ends the connection of the client that
    /// has the session, as in Java.
    pub(crate) fn a_wrong_password_does_not_give_the_session(builder: ServerBuilder) {
        let server = with_short_ticks(builder).start();
        let (mut first, session) = new_session(&server, 30_000);
        create_ephemeral(&mut first, "/e");
        for passwd in [vec![7; 16], vec![0; 16], Vec::new(), session.passwd[..15].to_vec()] {
            assert!(!take_up(&server, &Session { passwd, ..session.clone() }).1);
        }
        let unknown = Session { id: SessionId(session.id.0 + 1), ..session.clone() };
        assert!(!take_up(&server, &unknown).1);
        assert_eq!(first.receive_frame(), None);
        let (mut again, taken) = take_up(&server, &session);
        assert!(taken, "the session has not suffered");
        assert!(exists(&mut again, "/e"));
    }

    pub(crate) fn a_session_outlives_the_server(builder: ServerBuilder) {
        let mut server = with_short_ticks(builder).start();
        let (mut raw, session) = new_session(&server, 60_000);
        create_ephemeral(&mut raw, "/e");
        for is_killed in [false, true, true, false] {
            if is_killed {
                server.kill9();
            } else {
                server.stop();
            }
            assert_eq!(raw.receive_frame(), None);
            server.start_again();
            let other = server.client();
            let stat = other.exists("/e", false).unwrap().expect("the ephemeral is there");
            assert_eq!(stat.ephemeral_owner, session.id.0);
            let (taken_up, taken) = take_up(&server, &session);
            assert!(taken, "the session is there");
            raw = taken_up;
            assert!(exists(&mut raw, "/e"));
        }
        raw.send_request(9, OpCode::CloseSession.code(), &[]);
        assert_eq!(raw.receive_reply().unwrap().0.xid, 9);
        assert!(server.client().exists("/e", false).unwrap().is_none());
    }

    pub(crate) fn a_session_that_nobody_takes_up_ends_after_the_restart(builder: ServerBuilder) {
        let mut server = with_short_ticks(builder).start();
        // The timeout is so long that the test sees the session end even after a slow start.
        let (mut raw, session) = new_session(&server, 20_000);
        create_ephemeral(&mut raw, "/e");
        server.kill9();
        let start = time::now();
        server.start_again();
        let serves = time::now();
        let watcher = server.client();
        if watcher.exists("/e", true).unwrap().is_some() {
            let event = watcher.next_watch_event();
            assert_eq!(event.event_type, EventType::NodeDeleted);
        }
        let timeout = Duration::from_millis(session.timeout_ms);
        assert!(start.elapsed() > timeout, "{:?} after the start", start.elapsed());
        let latest = timeout + Duration::from_millis(TICK_MS + SLACK_MS);
        assert!(serves.elapsed() < latest, "{:?} after the start", serves.elapsed());
        assert!(!take_up(&server, &session).1);
    }

    pub(crate) fn what_happened_meanwhile_is_told_when_watches_are_set_again(
        builder: ServerBuilder,
    ) {
        let mut server = with_short_ticks(builder).start();
        let create = |path: &str| {
            let client = server.client();
            client.create(path, None, ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
            client.last_zxid()
        };
        let [.., seen] = ["/data", "/parent", "/gone", "/same", "/late"].map(create);
        let (raw, session) = new_session(&server, 60_000);
        drop(raw);
        let client = server.client();
        client.set_data("/data", Some(b"new"), -1).unwrap();
        client.create("/parent/c", None, ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
        client.delete("/gone", -1).unwrap();
        client.create("/new", None, ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
        client.close();
        for is_restarted in [false, true] {
            if is_restarted {
                server.kill9();
                server.start_again();
            }
            let (mut raw, taken) = take_up(&server, &session);
            assert!(taken);
            assert_eq!(missed(&mut raw, seen), {
                [
                    (EventType::NodeChildrenChanged, "/parent"),
                    (EventType::NodeCreated, "/new"),
                    (EventType::NodeDataChanged, "/data"),
                    (EventType::NodeDeleted, "/gone"),
                ]
                .map(|(event, path)| (event, path.to_owned()))
            });
            // The server watches what has not changed.
            server.client().set_data("/same", None, -1).unwrap();
            assert_eq!(receive_event(&mut raw), (EventType::NodeDataChanged, "/same".to_owned()));
            server.client().set_data("/late", None, -1).unwrap();
            assert!(exists(&mut raw, "/late"), "no event comes of what is not watched");
        }
    }

    /// Sets watches as a client that has seen `seen`. Returns the events of later changes.
    fn missed(raw: &mut RawConnection, seen: Zxid) -> Vec<(EventType, String)> {
        let paths = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
        // `/same` is not among them, because it has changed, too, when this runs again.
        let request = SetWatches {
            relative_zxid: seen,
            data_watches: paths(&["/data", "/gone"]),
            exist_watches: paths(&["/new", "/nowhere"]),
            child_watches: paths(&["/parent", "/late"]),
        };
        raw.send_request(SET_WATCHES, OpCode::SetWatches.code(), &request.to_bytes());
        let mut events: Vec<_> = (0..4).map(|_| receive_event(raw)).collect();
        assert_eq!(raw.receive_reply().unwrap().0.xid, SET_WATCHES);
        events.sort_by(|a, b| format!("{:?}", a.0).cmp(&format!("{:?}", b.0)));
        let watch = GetDataRequest { path: "/same".into(), watch: true };
        assert_eq!(raw.ask(3, OpCode::GetData, &watch).0.xid, 3);
        events
    }

    pub(crate) fn a_thousand_connections_that_watch_one_node_are_all_told(builder: ServerBuilder) {
        assert!(allow_open_files(3000), "this test needs more open files");
        // None of these clients pings.
        const TIMEOUT_MS: u64 = 600_000;
        let server =
            with_short_ticks(builder).config(&format!("maxSessionTimeout={TIMEOUT_MS}")).start();
        let client = server.client();
        client.create("/w", None, ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
        let watch = GetDataRequest { path: "/w".into(), watch: true };
        let mut watchers = new_sessions(&server, TIMEOUT_MS, 1000);
        for raw in &mut watchers {
            assert_eq!(raw.ask(1, OpCode::GetData, &watch).0.err, 0);
        }
        client.set_data("/w", Some(b"1"), -1).unwrap();
        client.set_data("/w", Some(b"2"), -1).unwrap();
        for raw in &mut watchers {
            assert_eq!(receive_event(raw), (EventType::NodeDataChanged, "/w".to_owned()));
            // The watch has fired, so nobody is told of the second change.
            assert!(exists(raw, "/w"));
        }
    }

    pub(crate) fn a_server_that_is_asked_to_end_ends_with_all_its_connections(
        builder: ServerBuilder,
    ) {
        let mut server = with_short_ticks(builder).start();
        let (mut idle, _) = new_session(&server, 60_000);
        let (mut halfway, _) = new_session(&server, 60_000);
        halfway.send_bytes(&[0, 0, 0, 100, 1, 2, 3]);
        let mut nobody = server.raw();
        let client = server.client();
        let large = vec![7; 500_000];
        client.create("/l", Some(&large), ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
        let (mut does_not_read, _) = new_session(&server, 60_000);
        for xid in 1..=50 {
            let read = GetDataRequest { path: "/l".into(), watch: false };
            does_not_read.send_request(xid, OpCode::GetData.code(), &read.to_bytes());
        }
        let status = server.stop();
        // A JVM exits with 128 and the number of the signal.
        assert!([Some(0), Some(128 + 15)].contains(&status.code()), "{status}");
        for raw in [&mut idle, &mut halfway, &mut nobody] {
            assert_eq!(raw.receive_frame(), None);
        }
        let mut rest = Vec::new();
        let end = does_not_read.stream.read_to_end(&mut rest);
        assert!(end.is_ok_and(|bytes| bytes < 50 * large.len()) || rest.len() < 50 * large.len());
        let refused = TcpStream::connect(("127.0.0.1", server.client_port())).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        server.start_again();
        assert_eq!(server.client().get_data("/l", false).unwrap().0, Some(large));
    }
}

against_both! {
    ServerBuilder::new(), ServerBuilder::java();
    a_silent_session_ends_after_its_timeout_and_within_a_tick, java_ends_a_silent_session_in_time;
    a_session_that_pings_does_not_end, java_keeps_a_session_that_pings;
    a_second_connection_takes_the_session_from_the_first, java_gives_a_session_to_a_second_connection;
    a_wrong_password_does_not_give_the_session, java_gives_no_session_for_a_wrong_password;
    a_session_outlives_the_server, java_keeps_a_session_over_a_restart;
    a_session_that_nobody_takes_up_ends_after_the_restart, java_ends_a_session_after_a_restart;
    what_happened_meanwhile_is_told_when_watches_are_set_again, java_tells_what_was_missed;
    a_thousand_connections_that_watch_one_node_are_all_told, java_tells_a_thousand_connections;
    a_server_that_is_asked_to_end_ends_with_all_its_connections, java_ends_when_it_is_asked_to;
}

#[test]
fn five_thousand_idle_sessions_are_all_kept() {
    const SESSIONS: usize = 5000;
    const TIMEOUT_MS: u64 = 16_000;
    const PING_INTERVAL: Duration = Duration::from_millis(TIMEOUT_MS / 4);
    assert!(allow_open_files(12_000), "this test needs more open files");
    let server = with_short_ticks(ServerBuilder::new())
        .property("zookeeper.root.logger", "WARN,CONSOLE")
        .start();
    let ping = [&8_i32.to_be_bytes()[..], &PING.to_be_bytes(), &OpCode::Ping.code().to_be_bytes()];
    let ping = ping.concat();
    let ping_all = |sessions: &mut [RawConnection]| {
        for raw in &mut *sessions {
            raw.stream.write_all(&ping).expect("the connection stays");
        }
        for raw in sessions {
            let frame = raw.receive_frame().expect("the session is alive");
            let header: ReplyHeader = decode(&frame).0;
            assert_eq!((header.xid, header.err), (PING, 0));
        }
    };
    let pace = crossbeam::channel::tick(PING_INTERVAL);
    let mut sessions: Vec<RawConnection> = Vec::with_capacity(SESSIONS);
    while sessions.len() < SESSIONS {
        // Pings meanwhile, because on a slow machine the first sessions would end before the last ones begin.
        if pace.try_recv().is_ok() {
            ping_all(&mut sessions);
        }
        sessions.append(&mut new_sessions(&server, TIMEOUT_MS, 40));
    }
    // Pings for longer than a session timeout.
    let (start, pace) = (time::now(), crossbeam::channel::tick(PING_INTERVAL));
    while start.elapsed() <= Duration::from_millis(TIMEOUT_MS) {
        ping_all(&mut sessions);
        pace.recv().unwrap();
    }
    assert_eq!(server.monitor("global_sessions"), SESSIONS as f64);
    assert_eq!(server.monitor("stale_sessions_expired"), 0.0);
    // All clients disconnect, and the server must then be as before.
    let groups_before = server.monitor("cnt_sync_processor_batch_size");
    drop(sessions);
    wait_until("the connections are gone", DEADLINE, || {
        server.monitor("num_alive_connections") <= 1.0
    });
    wait_until("the sessions end", DEADLINE, || server.monitor("global_sessions") == 0.0);
    // Many sessions end with one write to the disk.
    let groups = server.monitor("cnt_sync_processor_batch_size") - groups_before;
    assert!(groups > 0.0 && groups < SESSIONS as f64 / 10.0, "{groups} writes to the disk");
    wait_until("it serves", DEADLINE, || server.serves());
}
