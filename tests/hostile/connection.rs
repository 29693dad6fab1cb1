//! Feeds a client's bytes into the connection core of a real server, without a socket (no Java twin).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::cell::RefCell;
use std::io;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use zookeeper_server::ids::SessionId;
use zookeeper_server::internals::common::time::{self, SystemClock};
use zookeeper_server::internals::common::zk_config::SystemProperties;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::proto::ConnectRequest;
use zookeeper_server::internals::server::server_cnxn::{
    CnxnInput, DisconnectReason, InputState, ServerCnxn, Transport,
};
use zookeeper_server::internals::server::server_cnxn_factory::ServerCnxnFactory;
use zookeeper_server::internals::server::server_config::ServerConfig;
use zookeeper_server::internals::server::zookeeper_server::ZooKeeperServer;
use zookeeper_server::internals::server::zookeeper_server_main::StandaloneServer;

use super::temporary::TempDir;

/// How long a server may take to answer its requests.
const DEADLINE: Duration = Duration::from_secs(30);

/// When the tree has more nodes than this, a new server replaces this one, so that answers stay short.
const MAX_NODES: usize = 2_000;

/// After this many connections, a new server replaces this one, because its connection table keeps the sessions of
/// connections without sockets.
const MAX_CONNECTIONS: usize = 10_000;

thread_local! {
    /// [`finish`] ends this server. It must not end in the thread's destructors, because the data that check the lock
    /// order may be gone by then.
    static SERVER: RefCell<Option<ManuallyDrop<Hosted>>> = const { RefCell::new(None) };
}

/// A transport that accepts all bytes at once and discards them.
struct Nowhere;

impl Transport for Nowhere {
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn finish_later(&self) {}

    fn close(&self) {}
}

/// The real factory, except that it knows no sockets.
struct Factory {
    real: Arc<dyn ServerCnxnFactory>,
}

impl ServerCnxnFactory for Factory {
    fn local_port(&self) -> u16 {
        self.real.local_port()
    }

    fn local_address(&self) -> SocketAddr {
        self.real.local_address()
    }

    fn max_client_cnxns_per_host(&self) -> i32 {
        self.real.max_client_cnxns_per_host()
    }

    fn socket_listen_backlog(&self) -> i32 {
        self.real.socket_listen_backlog()
    }

    fn zookeeper_server(&self) -> Option<Arc<ZooKeeperServer>> {
        self.real.zookeeper_server()
    }

    fn set_zookeeper_server(&self, server: Option<Arc<ZooKeeperServer>>) {
        self.real.set_zookeeper_server(server);
    }

    fn connections(&self) -> Vec<Arc<ServerCnxn>> {
        self.real.connections()
    }

    fn num_alive_connections(&self) -> usize {
        self.real.num_alive_connections()
    }

    fn add_session(&self, session_id: SessionId, cnxn: &Arc<ServerCnxn>) {
        self.real.add_session(session_id, cnxn);
    }

    /// Always answers that the connection was known, so that the server removes its watches.
    fn remove_cnxn(&self, cnxn: &Arc<ServerCnxn>) -> bool {
        self.real.remove_cnxn(cnxn);
        true
    }

    fn cnxn_of_session(&self, session_id: SessionId) -> Option<Arc<ServerCnxn>> {
        self.real.cnxn_of_session(session_id)
    }

    fn reset_all_connection_stats(&self) {
        self.real.reset_all_connection_stats();
    }

    fn dump_connections(&self, out: &mut String) {
        self.real.dump_connections(out);
    }

    fn four_letter_word(&self, word: i32, argument: Option<i64>) -> Option<String> {
        self.real.four_letter_word(word, argument)
    }

    fn word_argument_bytes(&self, word: i32) -> usize {
        self.real.word_argument_bytes(word)
    }

    fn shutdown(&self) {
        self.real.shutdown();
    }
}

/// A server in this process.
struct Hosted {
    standalone: StandaloneServer,
    factory: Arc<dyn ServerCnxnFactory>,
    connections: usize,
    _dir: TempDir,
}

impl Hosted {
    fn start() -> Self {
        let dir = TempDir::new();
        let properties = SystemProperties::from_pairs([
            ("zookeeper.admin.enableServer", "false"),
            ("zookeeper.forceSync", "no"),
            ("zookeeper.4lw.commands.whitelist", "*"),
            ("zookeeper.extendedTypesEnabled", "true"),
            ("zookeeper.enforceQuota", "true"),
            ("zookeeper.pathStats.enabled", "true"),
            ("zookeeper.pathStats.sampleRate", "1.0"),
        ]);
        let mut config = ServerConfig::new(Some(0), dir.path());
        config.tick_time_ms = 20;
        let standalone = StandaloneServer::start(&config, &properties).expect("a server");
        let real = standalone.server().server_cnxn_factory().expect("it has a port");
        Self { standalone, factory: Arc::new(Factory { real }), connections: 0, _dir: dir }
    }

    fn server(&self) -> &Arc<ZooKeeperServer> {
        self.standalone.server()
    }

    /// Runs a connection that receives these bytes and then ends.
    fn connection(&self, pieces: &[&[u8]]) {
        let server = Arc::clone(self.server());
        let remote = SocketAddr::from(([127, 0, 0, 1], 1));
        let factory: Weak<dyn ServerCnxnFactory> = Arc::downgrade(&self.factory);
        let cnxn =
            ServerCnxn::new(Some(server), factory, Box::new(Nowhere), remote, 0, &SystemClock);
        let mut input = CnxnInput::new();
        let is_open = pieces.iter().all(|piece| feed(&cnxn, &mut input, piece));
        cnxn.close(if is_open {
            DisconnectReason::UnableToReadFromClient
        } else {
            DisconnectReason::ClientClosedConnection
        });
        let deadline = time::now() + DEADLINE;
        while self.server().in_process() > 0 && self.server().is_running() {
            assert!(time::now() < deadline, "requests are left unanswered");
            thread::yield_now();
        }
        assert!(self.server().is_running(), "the server has failed");
    }
}

/// Returns false when the connection must be closed.
fn feed(cnxn: &Arc<ServerCnxn>, input: &mut CnxnInput, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let space = input.space();
        let len = space.len().min(bytes.len());
        space[..len].copy_from_slice(&bytes[..len]);
        input.filled(len);
        bytes = &bytes[len..];
        loop {
            match cnxn.process_input(input) {
                InputState::More => break,
                InputState::Stopped if cnxn.wait_until_readable() => {}
                InputState::Stopped | InputState::Done | InputState::Close(_) => return false,
            }
        }
    }
    true
}

fn on_server(pieces: &[&[u8]]) {
    SERVER.with_borrow_mut(|slot| {
        let hosted = slot.get_or_insert_with(|| ManuallyDrop::new(Hosted::start()));
        hosted.connection(pieces);
        hosted.connections += 1;
        let nodes = hosted.server().zk_database().tree().read().node_count();
        if nodes > MAX_NODES || hosted.connections > MAX_CONNECTIONS {
            end(slot);
        }
    });
}

fn end(slot: &mut Option<ManuallyDrop<Hosted>>) {
    if let Some(hosted) = slot.take() {
        let Hosted { standalone, .. } = ManuallyDrop::into_inner(hosted);
        standalone.shutdown();
    }
}

/// Ends the server that this thread has started for its connections.
pub fn finish() {
    SERVER.with_borrow_mut(end);
}

/// The whole input of a connection.
pub fn connection(bytes: &[u8]) {
    on_server(&[bytes]);
}

/// The input of a connection after the handshake.
pub fn handshaken(bytes: &[u8]) {
    let connect =
        ConnectRequest { time_out: 500, passwd: Some(vec![0; 16]), ..ConnectRequest::default() }
            .to_bytes();
    let len = u32::try_from(connect.len()).unwrap().to_be_bytes();
    on_server(&[&len, &connect, bytes]);
}
