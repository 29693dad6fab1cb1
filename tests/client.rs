//! Tests the client of this repository against real servers (no Java twin).
//!
//! The tests against Java prove the client, so that other tests can use it to prove the server. The tests against our
//! server ask the same of the server.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

#[macro_use]
mod common;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::{Server, ServerBuilder, client_config, wait_until};
use zookeeper_server::add_watch_mode::AddWatchMode;
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::data::{ACL, Id};
use zookeeper_server::ids::SessionId;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::proto::{ConnectResponse, CreateRequest};
use zookeeper_server::keeper_exception::KeeperError;
use zookeeper_server::op::Op;
use zookeeper_server::op_result::OpResult;
use zookeeper_server::watcher::{EventType, KeeperState, WatcherType};
use zookeeper_server::zoo_defs::{ids, perms};
use zookeeper_server::zookeeper::{
    ClientConfig, HostPort, HostProvider, InvalidConnectString, MultiError, NextHost, States,
    StaticHostProvider, ZooKeeper,
};

fn with_all_types(builder: ServerBuilder) -> Server {
    builder.property("zookeeper.extendedTypesEnabled", "true").start()
}

fn open() -> Vec<ACL> {
    ids::open_acl_unsafe()
}

mod bodies {
    use super::*;

    pub(crate) fn every_operation_gives_what_the_server_answers(server: &mut Server) {
        let client = server.client();
        assert_eq!(client.create("/a", Some(b"1"), open(), CreateMode::Persistent).unwrap(), "/a");
        let (path, stat) =
            client.create2("/a/s-", None, open(), CreateMode::PersistentSequential).unwrap();
        assert_eq!((path.as_str(), stat.data_length), ("/a/s-0000000000", 0));
        let (path, stat) = client.create2("/c", None, open(), CreateMode::Container).unwrap();
        // The server does not show clients the special owner of a container.
        assert_eq!((path.as_str(), stat.ephemeral_owner), ("/c", 0));
        client.create_ttl("/t", None, open(), CreateMode::PersistentWithTtl, 60_000).unwrap();
        client.create("/a/e", Some(b""), open(), CreateMode::Ephemeral).unwrap();

        let (data, stat) = client.get_data("/a", false).unwrap();
        assert_eq!((data.as_deref(), stat.num_children), (Some(&b"1"[..]), 2));
        assert_eq!(client.get_data("/a/s-0000000000", false).unwrap().0, None);
        assert_eq!(client.set_data("/a", Some(b"2"), 0).unwrap().version, 1);
        let refused = client.set_data("/a", None, 7).unwrap_err();
        assert_eq!(refused.to_string(), "KeeperErrorCode = BadVersion for /a");
        assert_eq!(client.exists("/nope", false).unwrap(), None);
        assert_eq!(client.exists("/a", false).unwrap().unwrap().version, 1);

        let mut children = client.get_children("/a", false).unwrap();
        children.sort();
        assert_eq!(children, ["e", "s-0000000000"]);
        assert_eq!(client.get_children2("/a", false).unwrap().1.num_children, 2);
        assert_eq!(client.get_all_children_number("/a").unwrap(), 2);
        assert_eq!(client.get_ephemerals("/").unwrap(), ["/a/e"]);
        assert_eq!(client.who_am_i().unwrap()[0].auth_scheme, "ip");
        client.sync("/").unwrap();

        let bad = client.create("a", None, open(), CreateMode::Persistent).unwrap_err();
        assert_eq!(bad.to_string(), "Path must start with / character");
        client.delete("/a/e", -1).unwrap();
        assert_eq!(
            client.delete("/a", -1).unwrap_err().to_string(),
            "KeeperErrorCode = Directory not empty for /a"
        );
        client.close();
        assert_eq!(client.state(), States::Closed);
    }

    pub(crate) fn a_multi_does_all_or_nothing(server: &mut Server) {
        let client = server.client();
        let results = client
            .multi(vec![
                Op::create("/m", Some(b"x".to_vec()), open(), CreateMode::Persistent),
                Op::create("/m/c", None, open(), CreateMode::Container),
                Op::set_data("/m", None, 0),
                Op::check("/m", 1),
                Op::delete("/m/c", -1),
            ])
            .unwrap();
        assert_eq!(results[0], OpResult::Create { path: "/m".into() });
        assert!(matches!(&results[1], OpResult::Create2 { path, .. } if path == "/m/c"));
        assert!(matches!(&results[2], OpResult::SetData { stat } if stat.version == 1));
        assert_eq!(results[3..], [OpResult::Check, OpResult::Delete]);

        let failed = client.multi(vec![
            Op::set_data("/m", Some(b"y".to_vec()), -1),
            Op::delete("/nope", -1),
            Op::check("/m", 99),
        ]);
        let Err(MultiError::Part { error, results }) = failed else { panic!("{failed:?}") };
        assert_eq!(error.keeper_error(), Some(KeeperError::NoNode));
        assert_eq!(results.iter().map(OpResult::err).collect::<Vec<_>>(), [0, -101, -2]);
        assert_eq!(client.get_data("/m", false).unwrap().1.version, 1);

        let read = client.multi(vec![Op::get_data("/m"), Op::get_children("/nope")]).unwrap();
        assert!(matches!(&read[0], OpResult::GetData { data: None, .. }));
        assert_eq!(read[1], OpResult::Error { err: -101 });
    }

    pub(crate) fn watches_fire_and_are_set_again_after_a_broken_connection(server: &mut Server) {
        let (client, other) = (server.client(), server.client());
        other.create("/w", None, open(), CreateMode::Persistent).unwrap();
        client.exists("/w/new", true).unwrap();
        client.get_data("/w", true).unwrap();
        other.set_data("/w", None, -1).unwrap();
        let event = client.next_watch_event();
        assert_eq!(
            (event.event_type, event.path.as_deref()),
            (EventType::NodeDataChanged, Some("/w"))
        );
        assert_eq!(event.zxid, other.last_zxid());

        client.add_watch("/w", AddWatchMode::PersistentRecursive).unwrap();
        client.get_children("/w", true).unwrap();
        client.cnxn().break_connection();
        wait_until("the client is connected again", common::DEADLINE, || {
            client.events.try_iter().any(|event| event.keeper_state == KeeperState::Disconnected)
        });
        assert!(client.wait_connected(common::DEADLINE));
        client.sync("/").unwrap();
        other.create("/w/new", None, open(), CreateMode::Persistent).unwrap();
        client.sync("/").unwrap();
        let mut events: Vec<_> = client
            .watch_events()
            .into_iter()
            .map(|event| (event.event_type, event.path.unwrap()))
            .collect();
        events.sort_by_key(|(event_type, _)| event_type.code());
        assert_eq!(
            events,
            [
                (EventType::NodeCreated, "/w/new".to_owned()),
                (EventType::NodeChildrenChanged, "/w".to_owned())
            ]
        );
        client.remove_all_watches("/w", WatcherType::Any, false).unwrap();
        assert_eq!(client.next_watch_event().event_type, EventType::PersistentWatchRemoved);
        let none = client.remove_all_watches("/w", WatcherType::Any, false).unwrap_err();
        assert_eq!(none.keeper_error(), Some(KeeperError::NoWatcher));
    }

    pub(crate) fn a_session_can_be_taken_up_with_its_password_only(server: &mut Server) {
        let first = server.client();
        first.create("/e", None, open(), CreateMode::Ephemeral).unwrap();
        let (id, passwd) = (first.session_id(), first.session_passwd());
        first.cnxn().abandon();
        let session = Some((id, passwd.clone()));
        let second = server.client_with(ClientConfig { session, ..client_config() });
        assert_eq!(second.session_id(), id);
        assert_eq!(second.exists("/e", false).unwrap().unwrap().ephemeral_owner, id.0);

        let session = Some((id, vec![7; 16]));
        let config = ClientConfig { session, ..client_config() };
        let (thief, events) = ZooKeeper::connect(&server.address(), config).unwrap();
        assert!(!thief.wait_connected(common::DEADLINE));
        assert_eq!(thief.state(), States::Closed);
        let event = events.recv_timeout(common::DEADLINE).unwrap();
        assert_eq!(event.keeper_state, KeeperState::Expired);
        let refused = thief.exists("/", false).unwrap_err();
        assert_eq!(refused.keeper_error(), Some(KeeperError::SessionExpired));
    }

    pub(crate) fn credentials_open_what_is_closed_also_after_a_reconnect(server: &mut Server) {
        let (client, other) = (server.client(), server.client());
        client.add_auth_info("digest", b"bob:secret").unwrap();
        let auth = Id { scheme: "auth".into(), id: String::new() };
        let own = vec![ACL { perms: perms::ALL, id: auth }];
        client.create("/own", Some(b"x"), own, CreateMode::Persistent).unwrap();
        let refused = other.get_data("/own", false).unwrap_err();
        assert_eq!(refused.keeper_error(), Some(KeeperError::NoAuth));
        client.cnxn().break_connection();
        let again = common::wait_for(common::DEADLINE, || client.get_data("/own", false).ok());
        assert_eq!(again.unwrap().0.as_deref(), Some(&b"x"[..]));
        client.add_auth_info("digest", b"eve:secret").unwrap();
        assert_eq!(client.get_acl("/own").unwrap().0[0].id.scheme, "digest");

        let refused = other.add_auth_info("nonsense", b"").unwrap_err();
        assert_eq!(refused.keeper_error(), Some(KeeperError::AuthFailed));
        wait_until("the client is at its end", common::DEADLINE, || {
            other.state() == States::AuthFailed
        });
    }

    pub(crate) fn answers_come_in_order_when_many_are_on_their_way(server: &mut Server) {
        let client = server.client();
        client.create("/p", None, open(), CreateMode::Persistent).unwrap();
        let pending: Vec<_> = (0..1000_u32)
            .map(|n| client.submit_set_data("/p", Some(&n.to_be_bytes()), -1))
            .collect();
        let read = client.submit_get_data("/p", false);
        for (version, pending) in (1..).zip(pending) {
            assert_eq!(pending.wait().unwrap().stat.version, version);
        }
        assert_eq!(read.wait().unwrap().data.unwrap(), 999_u32.to_be_bytes());
    }

    pub(crate) fn a_chroot_is_not_seen_by_its_client(server: &mut Server) {
        let root = server.client();
        root.create("/app", None, open(), CreateMode::Persistent).unwrap();
        let client = server.client_below("/app", client_config());
        assert_eq!(client.create("/x", None, open(), CreateMode::Persistent).unwrap(), "/x");
        client.get_data("/x", true).unwrap();
        root.set_data("/app/x", None, -1).unwrap();
        assert_eq!(client.next_watch_event().path.as_deref(), Some("/x"));
        assert_eq!(client.get_children("/", false).unwrap(), ["x"]);
    }

    pub(crate) fn a_client_without_a_server_loses_its_operations_and_comes_back(
        server: &mut Server,
    ) {
        let client = server.client();
        let session = client.session_id();
        server.kill9();
        let lost = client.get_children("/", false).unwrap_err();
        assert_eq!(lost.keeper_error(), Some(KeeperError::ConnectionLoss));
        server.start_again();
        let back = common::wait_for(common::DEADLINE, || client.get_children("/", false).ok());
        assert!(back.is_some());
        assert_eq!(client.session_id(), session);
        assert_ne!(session, SessionId(0));
    }
}

against_both! {
    &mut with_all_types(ServerBuilder::new()), &mut with_all_types(ServerBuilder::java());
    every_operation_gives_what_the_server_answers, java_answers_every_operation;
    a_multi_does_all_or_nothing, java_does_a_multi_as_a_whole;
    watches_fire_and_are_set_again_after_a_broken_connection,
        java_fires_watches_also_after_a_broken_connection;
    a_session_can_be_taken_up_with_its_password_only,
        java_gives_a_session_back_for_its_password_only;
    credentials_open_what_is_closed_also_after_a_reconnect, java_opens_for_credentials_what_is_closed;
    answers_come_in_order_when_many_are_on_their_way, java_answers_in_order;
    a_chroot_is_not_seen_by_its_client, java_serves_a_chroot;
    a_client_without_a_server_loses_its_operations_and_comes_back, java_may_die_and_come_back;
}

/// A Java server that gets a ConnectRequest before its database is made keeps the connection and never answers. The
/// client must not wait there for its whole session timeout: the server forgets the session in the same time.
/// Answers a ConnectRequest, without reading it.
fn give_session(stream: &mut TcpStream, read_only: bool) {
    let response = ConnectResponse {
        time_out: 600_000,
        session_id: SessionId(7),
        passwd: Some(vec![1; 16]),
        read_only,
        ..ConnectResponse::default()
    };
    let body = response.to_bytes();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &body].concat()).unwrap();
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a server of the test")]
fn a_client_leaves_a_server_that_does_not_answer_its_connect_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (silent, _) = listener.accept().unwrap();
        let (mut serving, _) = listener.accept().unwrap();
        give_session(&mut serving, false);
        (silent, serving)
    });
    let config = ClientConfig {
        session_timeout_ms: 600_000,
        connect_timeout: Some(Duration::from_millis(100)),
        ..client_config()
    };
    let (client, _events) = ZooKeeper::connect(&address, config).unwrap();
    assert!(client.wait_connected(common::DEADLINE), "{}", client.state());
    assert_eq!(client.session_id(), SessionId(7));
    client.cnxn().abandon();
    drop(server.join().unwrap());
}

/// The read-only server answers `isro` as such at first, so that the client asks it at least twice.
#[test]
#[allow(clippy::disallowed_methods, reason = "a server of the test")]
fn a_client_leaves_a_read_only_server_for_one_that_takes_writes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut read_only, _) = listener.accept().unwrap();
        give_session(&mut read_only, true);
        for answer in ["ro", "rw"] {
            let (mut asks, _) = listener.accept().unwrap();
            let mut word = [0; 4];
            asks.read_exact(&mut word).unwrap();
            assert_eq!(&word, b"isro");
            asks.write_all(answer.as_bytes()).unwrap();
        }
        let (mut serving, _) = listener.accept().unwrap();
        give_session(&mut serving, false);
        (read_only, serving)
    });
    let config =
        ClientConfig { session_timeout_ms: 600_000, can_be_read_only: true, ..client_config() };
    let (client, events) = ZooKeeper::connect(&address, config).unwrap();
    let mut states = Vec::new();
    while states.last() != Some(&KeeperState::SyncConnected) {
        states.push(events.recv_timeout(common::DEADLINE).unwrap().keeper_state);
    }
    let expected =
        [KeeperState::ConnectedReadOnly, KeeperState::Disconnected, KeeperState::SyncConnected];
    assert_eq!(states, expected);
    client.cnxn().abandon();
    drop(server.join().unwrap());
}

/// A server that does not answer one request answers none of those behind it.
#[test]
#[allow(clippy::disallowed_methods, reason = "a server of the test")]
fn a_client_leaves_a_server_that_does_not_answer_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut silent, _) = listener.accept().unwrap();
        give_session(&mut silent, false);
        silent.read_to_end(&mut Vec::new()).unwrap();
        let (mut serving, _) = listener.accept().unwrap();
        give_session(&mut serving, false);
        serving
    });
    let config = ClientConfig {
        session_timeout_ms: 600_000,
        request_timeout: Some(Duration::from_millis(100)),
        ..client_config()
    };
    let (client, events) = ZooKeeper::connect(&address, config).unwrap();
    assert!(client.wait_connected(common::DEADLINE));
    let error = client.get_data("/", false).unwrap_err();
    assert_eq!(error.keeper_error(), Some(KeeperError::RequestTimeout));
    for state in [KeeperState::SyncConnected, KeeperState::Disconnected, KeeperState::SyncConnected]
    {
        assert_eq!(events.recv_timeout(common::DEADLINE).unwrap().keeper_state, state);
    }
    client.cnxn().abandon();
    drop(server.join().unwrap());
}

/// Whether this machine has sent a SYN to the port and has no answer.
fn hangs(port: u16) -> bool {
    let port = format!(":{port:04X}");
    fs::read_to_string("/proc/net/tcp").unwrap().lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.len() > 3 && fields[2].ends_with(&port) && fields[3] == "02"
    })
}

/// A server that does not accept connections, in whose queue there is no room, and the connections that fill it.
fn full_server() -> (socket2::Socket, Vec<TcpStream>, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
    let filling = std::iter::from_fn(|| connect().ok()).collect();
    (socket, filling, address)
}

/// The servers that were there have gone: one takes the ConnectRequest and is silent, the other one does not even take
/// the connection. The client would wait for each of them for its whole session timeout.
#[test]
#[allow(clippy::disallowed_methods, reason = "a server of the test")]
fn a_new_list_of_servers_ends_an_attempt_to_connect() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let serving = TcpListener::bind("127.0.0.1:0").unwrap();
    let serving_address = serving.local_addr().unwrap();
    let (_full, _filling, full_address) = full_server();
    let config =
        ClientConfig { session_timeout_ms: 600_000, connect_timeout: None, ..client_config() };
    let first = silent.local_addr().unwrap().to_string();
    let (client, _events) = ZooKeeper::connect(&first, config).unwrap();
    let (mut stream, _) = silent.accept().unwrap();
    stream.read_exact(&mut [0; 40]).unwrap();
    assert_eq!(client.cnxn().server().unwrap().to_string(), first);
    assert!(client.update_server_list(&full_address.to_string()).unwrap());
    wait_until("the client tries the next one", common::DEADLINE, || hangs(full_address.port()));
    assert_eq!(client.cnxn().server(), None);
    assert!(client.update_server_list(&serving_address.to_string()).unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = serving.accept().unwrap();
        give_session(&mut stream, false);
        stream
    });
    assert!(client.wait_connected(common::DEADLINE), "{}", client.state());
    assert_eq!(client.cnxn().server().unwrap().port, serving_address.port());
    // It stays where it is if it may, and a list without servers is no list.
    let both = format!("{first},{serving_address}/any");
    assert!(!client.update_server_list(&serving_address.to_string()).unwrap());
    assert_eq!(client.update_server_list("/any"), Err(InvalidConnectString::Empty));
    client.update_server_list(&both).unwrap();
    client.cnxn().abandon();
    drop(server.join().unwrap());
}

/// A provider of one's own, which counts what it is asked.
#[derive(Clone, Debug)]
struct CountingHostProvider {
    servers: Arc<StaticHostProvider>,
    asked: Arc<AtomicUsize>,
    connected: Arc<AtomicUsize>,
}

impl HostProvider for CountingHostProvider {
    fn size(&self) -> usize {
        self.servers.size()
    }

    fn next(&self) -> NextHost {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.servers.next()
    }

    fn resolve(&self, server: &HostPort) -> io::Result<Vec<SocketAddr>> {
        self.servers.resolve(server)
    }

    fn on_connected(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
        self.servers.on_connected();
    }

    fn update_server_list(
        &self,
        servers: &[HostPort],
        current: Option<&HostPort>,
    ) -> Result<bool, InvalidConnectString> {
        self.servers.update_server_list(servers, current)
    }
}

#[test]
fn a_client_may_have_a_provider_of_its_own() {
    let server = ServerBuilder::new().start();
    let root = server.client();
    root.create("/app", None, open(), CreateMode::Persistent).unwrap();
    let (host, port) = ("127.0.0.1".to_owned(), server.client_port());
    let provider = CountingHostProvider {
        servers: Arc::new(StaticHostProvider::new(&[HostPort { host, port }]).unwrap()),
        asked: Arc::default(),
        connected: Arc::default(),
    };
    let connect =
        |chroot| ZooKeeper::connect_with(Box::new(provider.clone()), chroot, client_config());
    assert!(connect(Some("app")).is_err());
    let (client, _events) = connect(Some("/app")).unwrap();
    client.create("/x", None, open(), CreateMode::Persistent).unwrap();
    assert!(root.exists("/app/x", false).unwrap().is_some());
    client.close();
    let counts = [&provider.asked, &provider.connected].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counts, [1, 1]);
}

#[test]
fn a_multi_is_checked_before_it_is_sent() {
    let server = ServerBuilder::new().start();
    let client = server.client();
    assert_eq!(client.multi(Vec::new()).unwrap(), []);
    let before = client.last_zxid();
    let open = ids::open_acl_unsafe;
    for (part, error) in [
        (Op::delete("no-slash", -1), None),
        (Op::set_data("/a/", None, -1), None),
        (Op::create("/a//b", None, open(), CreateMode::Persistent), None),
        (
            Op::Create(CreateRequest {
                path: "/a".into(),
                data: None,
                acl: Some(open()),
                flags: 9,
            }),
            Some(KeeperError::BadArguments),
        ),
    ] {
        let good = Op::create("/good-", None, open(), CreateMode::PersistentSequential);
        let refused = client.multi(vec![good, part]).unwrap_err();
        assert!(matches!(refused, MultiError::Request(_)), "{refused}");
        assert_eq!(refused.keeper_error(), error);
    }
    assert_eq!((client.last_zxid(), client.get_children("/", false).unwrap().len()), (before, 1));
}
