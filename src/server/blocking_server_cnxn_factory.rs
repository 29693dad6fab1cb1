//! Accepts clients, a reader thread for each (no Java twin; in the place of server/NIOServerCnxnFactory.java).
//!
//! Threads: the acceptor `NIOServerCxnFactory.AcceptThread:ADDR`; a reader for each connection; `SlowWriter`, which goes on
//! sending where a socket was full. All are joined at shutdown.
//! Locks: the table of connections, for a moment.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use log::{debug, error, info, warn};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::blocking_server_cnxn::{Reader, SocketTransport};
use super::command::abstract_four_letter_command::CommandContext;
use super::command::command_executor::CommandExecutor;
use super::connection_limits::{
    ConnectionLimits, ConnectionSlot, TooManyConnections, max_cnxns_from_properties,
};
use super::server_cnxn::{DisconnectReason, ServerCnxn};
use super::server_cnxn_factory::ServerCnxnFactory;
use super::zookeeper_server::ZooKeeperServer;
use super::{zookeeper_critical_thread, zookeeper_thread};
use crate::common::java_date;
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::ids::SessionId;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.NIOServerCnxnFactory";

/// Stack of a reader, in bytes: what it needs at most, with the deepest decoding and logging, several times over. Only
/// what is used of it takes memory.
const READER_STACK: usize = 256 << 10;

/// The platform's backlog where none is set: Java's.
const DEFAULT_BACKLOG: i32 = 50;

/// What the factory is told once.
#[derive(Clone, Debug)]
pub struct CnxnFactoryConfig {
    /// Where to listen.
    pub address: SocketAddr,
    /// Connections that one address may have; 0 for any number.
    pub max_client_cnxns: i32,
    /// Connections in all; 0 for any number.
    pub max_cnxns: usize,
    /// Clients that may wait to be accepted; -1 is the platform's default.
    pub listen_backlog: i32,
    /// How long a connection without a session may be silent, ms.
    pub sessionless_timeout_ms: i32,
    /// Whether the system looks after dead connections (`zookeeper.clientTcpKeepAlive`).
    pub tcp_keep_alive: bool,
}

impl CnxnFactoryConfig {
    /// Listens at `address` with what the properties say besides.
    #[must_use]
    pub fn new(
        address: SocketAddr,
        max_client_cnxns: i32,
        listen_backlog: i32,
        properties: &SystemProperties,
    ) -> Self {
        Self {
            address,
            max_client_cnxns,
            max_cnxns: max_cnxns_from_properties(properties),
            listen_backlog,
            sessionless_timeout_ms: properties
                .number_or("zookeeper.nio.sessionlessCnxnTimeout", 10_000),
            tcp_keep_alive: properties.bool("zookeeper.clientTcpKeepAlive"),
        }
    }
}

#[derive(Default)]
struct Table {
    /// By the address of the connection, which is its own for as long as it is here.
    cnxns: HashMap<usize, (Arc<ServerCnxn>, ConnectionSlot)>,
    sessions: HashMap<SessionId, Arc<ServerCnxn>>,
    /// Those that may not have said what they want, by their age.
    newcomers: BTreeMap<u64, Weak<ServerCnxn>>,
    readers: HashMap<u64, JoinHandle<()>>,
}

/// The factory.
pub struct BlockingServerCnxnFactory {
    me: Weak<Self>,
    config: CnxnFactoryConfig,
    local_address: SocketAddr,
    listener: TcpListener,
    clock: Clock,
    words: CommandExecutor,
    server: RankedMutex<Option<Arc<ZooKeeperServer>>>,
    table: RankedMutex<Table>,
    limits: Arc<ConnectionLimits>,
    slow_writer: Arc<SlowWriter>,
    next_reader: AtomicU64,
    stopped: AtomicBool,
    threads: RankedMutex<Vec<JoinHandle<()>>>,
}

impl BlockingServerCnxnFactory {
    /// Binds the port. Clients are accepted from [`start`](Self::start) on.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn new(
        config: CnxnFactoryConfig,
        words: CommandExecutor,
        clock: Clock,
    ) -> io::Result<Arc<Self>> {
        info!(target: LOG, "binding to port {}", config.address);
        let socket =
            Socket::new(Domain::for_address(config.address), Type::STREAM, Some(Protocol::TCP))?;
        if config.address.is_ipv6() {
            // As Java's: a wildcard takes IPv4 as well.
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&config.address.into())?;
        let backlog =
            if config.listen_backlog > 0 { config.listen_backlog } else { DEFAULT_BACKLOG };
        socket.listen(backlog)?;
        let listener = TcpListener::from(socket);
        let local_address = listener.local_addr()?;
        if config.address.port() == 0 {
            info!(target: LOG, "bound to port {local_address}");
        }
        let slow_writer = Arc::new(SlowWriter::new()?);
        let max_client_cnxns = usize::try_from(config.max_client_cnxns).unwrap_or(0);
        let limits = ConnectionLimits::new(config.max_cnxns, max_client_cnxns);
        Ok(Arc::new_cyclic(|me| Self {
            me: me.clone(),
            local_address,
            listener,
            clock,
            words,
            server: RankedMutex::new(Rank::Leaf, "server of the connections", None),
            table: RankedMutex::new(Rank::ConnectionTable, "connections", Table::default()),
            limits,
            slow_writer,
            next_reader: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            threads: RankedMutex::new(Rank::Leaf, "threads of the connections", Vec::new()),
            config,
        }))
    }

    /// Accepts clients.
    ///
    /// # Errors
    /// When the system has no room for the threads.
    pub fn start(self: &Arc<Self>) -> io::Result<()> {
        let this = Arc::clone(self);
        let name = format!("NIOServerCxnFactory.AcceptThread:{}", self.local_address);
        let acceptor = zookeeper_thread::spawn(&name, None, move || {
            this.accept_loop();
            Ok::<(), io::Error>(())
        })?;
        let writer = Arc::clone(&self.slow_writer);
        let slow = zookeeper_thread::spawn("SlowWriter", None, move || writer.run())?;
        self.threads.lock().extend([acceptor, slow]);
        Ok(())
    }

    fn accept_loop(self: &Arc<Self>) {
        while !self.stopped.load(Ordering::Acquire) {
            match self.listener.accept() {
                Ok(_) if self.stopped.load(Ordering::Acquire) => break,
                Ok((stream, mut remote)) => {
                    // An IPv4 client that came by a socket of both families.
                    remote.set_ip(remote.ip().to_canonical());
                    if let Err(error) = self.accept(stream, remote) {
                        debug!(target: LOG, "Error accepting new connection from /{remote}: {error}");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // No descriptors are left, or the client was gone before it was greeted. What has ended meanwhile makes
                    // room; trying again at once would only burn the processor.
                    warn!(target: LOG, "Error accepting new connection: {error}");
                    self.slow_writer.pause();
                }
            }
        }
        info!(target: LOG, "accept thread exitted run method");
    }

    fn accept(self: &Arc<Self>, stream: TcpStream, remote: SocketAddr) -> io::Result<()> {
        let server = self.zookeeper_server();
        let mut admitted = self.limits.admit(remote.ip());
        if let Err(too_many) = admitted
            && self.close_longest_silent(match too_many {
                TooManyConnections::InAll { .. } => None,
                TooManyConnections::FromAddress { ip, .. } => Some(ip),
            })
        {
            admitted = self.limits.admit(remote.ip());
        }
        match admitted {
            Ok(slot) => self.add_cnxn(server, stream, remote, slot),
            Err(too_many) => {
                warn!(target: LOG, "Error accepting new connection: {too_many}");
                if let Some(server) = &server {
                    server.server_metrics().connection_rejected.add(1);
                }
                Ok(())
            }
        }
    }

    /// Closes the connection that has been there longest without saying what it wants: a whole ConnectRequest, or a word.
    /// `from` is the address whose connections count, if not all do. False when there is none.
    fn close_longest_silent(&self, from: Option<IpAddr>) -> bool {
        let longest = {
            let mut table = self.table.lock();
            let is_silent = |cnxn: &Arc<ServerCnxn>| !cnxn.has_greeted() && !cnxn.is_stale();
            table.newcomers.retain(|_, cnxn| cnxn.upgrade().is_some_and(|cnxn| is_silent(&cnxn)));
            let is_from = |cnxn: &Arc<ServerCnxn>| {
                let ip = cnxn.remote_socket_address().ip().to_canonical();
                from.is_none_or(|from| from == ip)
            };
            table.newcomers.values().filter_map(Weak::upgrade).find(is_from)
        };
        let Some(longest) = longest else { return false };
        debug!(target: LOG, "{longest} has said nothing for longest: closed for a newcomer");
        longest.close(DisconnectReason::ClientCnxLimit);
        true
    }

    fn add_cnxn(
        self: &Arc<Self>,
        server: Option<Arc<ZooKeeperServer>>,
        stream: TcpStream,
        remote: SocketAddr,
        slot: ConnectionSlot,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_linger(None)?;
        socket.set_keepalive(self.config.tcp_keep_alive)?;
        let listener = server.as_ref().map(|server| server.listener());
        let transport = Arc::new(SocketTransport::new(stream, Arc::clone(&self.slow_writer)));
        let factory: Weak<dyn ServerCnxnFactory> = self.me.clone();
        let cnxn = ServerCnxn::new(
            server,
            factory,
            Box::new(Arc::clone(&transport)),
            remote,
            self.config.sessionless_timeout_ms,
            &*self.clock,
        );
        let reader = Reader::new(transport, Arc::clone(&cnxn));
        let number = self.next_reader.fetch_add(1, Ordering::Relaxed);
        let this = Arc::clone(self);
        let key = key(&cnxn);
        let mut table = self.table.lock();
        table.newcomers.insert(number, Arc::downgrade(&cnxn));
        table.cnxns.insert(key, (cnxn, slot));
        let name = format!("NIOWorkerThread-{remote}");
        let body = move || {
            reader.run();
            this.reader_ended(number);
            Ok::<(), io::Error>(())
        };
        // Under the lock: the reader finds its handle there when it ends. Readers prepare, write and apply requests: a
        // panic of theirs may leave a change half made, and the server must not go on.
        let thread = match listener {
            Some(listener) => zookeeper_critical_thread::spawn_with_stack(
                &name,
                Some(READER_STACK),
                listener,
                body,
            ),
            None => zookeeper_thread::spawn(&name, Some(READER_STACK), body),
        };
        match thread {
            Ok(thread) => {
                table.readers.insert(number, thread);
                Ok(())
            }
            Err(error) => {
                error!(target: LOG, "no thread for the connection from /{remote}: {error}");
                table.newcomers.remove(&number);
                table.cnxns.remove(&key);
                Err(error)
            }
        }
    }

    /// A reader has ended: its handle is let go, unless it is being joined.
    fn reader_ended(&self, number: u64) {
        let mut table = self.table.lock();
        table.newcomers.remove(&number);
        let ended = table.readers.remove(&number);
        drop(table);
        drop(ended);
    }
}

/// The identity of a connection.
fn key(cnxn: &Arc<ServerCnxn>) -> usize {
    Arc::as_ptr(cnxn).addr()
}

impl ServerCnxnFactory for BlockingServerCnxnFactory {
    fn local_port(&self) -> u16 {
        self.local_address.port()
    }

    fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    fn max_client_cnxns_per_host(&self) -> i32 {
        self.config.max_client_cnxns
    }

    fn socket_listen_backlog(&self) -> i32 {
        self.config.listen_backlog
    }

    fn zookeeper_server(&self) -> Option<Arc<ZooKeeperServer>> {
        self.server.lock().clone()
    }

    fn set_zookeeper_server(&self, server: Option<Arc<ZooKeeperServer>>) {
        if let (Some(server), Some(me)) = (&server, self.me.upgrade()) {
            let factory: Arc<dyn ServerCnxnFactory> = me;
            server.set_server_cnxn_factory(&factory);
        }
        *self.server.lock() = server;
    }

    fn four_letter_word(&self, word: i32, argument: Option<i64>) -> Option<String> {
        let server = self.zookeeper_server();
        let context = server.as_deref().map(|server| server as &dyn CommandContext);
        self.words.execute(word, argument, false, context)
    }

    fn word_argument_bytes(&self, word: i32) -> usize {
        self.words.commands().argument_bytes(word)
    }

    fn dump_connections(&self, out: &mut String) {
        let interval_ms = i64::from(self.config.sessionless_timeout_ms).max(1);
        let wall_offset_ms = self.clock.wall_ms() - self.clock.elapsed_ms();
        dump_connections(&self.connections(), interval_ms, wall_offset_ms, out);
    }

    fn connections(&self) -> Vec<Arc<ServerCnxn>> {
        self.table.lock().cnxns.values().map(|(cnxn, _)| Arc::clone(cnxn)).collect()
    }

    fn num_alive_connections(&self) -> usize {
        self.table.lock().cnxns.len()
    }

    fn add_session(&self, session_id: SessionId, cnxn: &Arc<ServerCnxn>) {
        let mut table = self.table.lock();
        // Nobody would take out one that was closed meanwhile.
        if table.cnxns.contains_key(&key(cnxn)) {
            table.sessions.insert(session_id, Arc::clone(cnxn));
        }
    }

    fn remove_cnxn(&self, cnxn: &Arc<ServerCnxn>) -> bool {
        let mut table = self.table.lock();
        let Some(removed) = table.cnxns.remove(&key(cnxn)) else { return false };
        let session_id = cnxn.session_id();
        if table.sessions.get(&session_id).is_some_and(|of| Arc::ptr_eq(of, cnxn)) {
            table.sessions.remove(&session_id);
        }
        drop(table);
        drop(removed);
        true
    }

    fn cnxn_of_session(&self, session_id: SessionId) -> Option<Arc<ServerCnxn>> {
        self.table.lock().sessions.get(&session_id).cloned()
    }

    fn shutdown(&self) {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        // The acceptor sleeps in accept: a connection of our own wakes it.
        if let Err(error) = TcpStream::connect(wake_address(self.local_address)) {
            debug!(target: LOG, "the acceptor was not woken: {error}");
        }
        self.close_all(DisconnectReason::ServerShutdown);
        self.slow_writer.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().for_each(zookeeper_thread::join);
        self.close_all(DisconnectReason::ServerShutdown);
        let readers = std::mem::take(&mut self.table.lock().readers);
        readers.into_values().for_each(zookeeper_thread::join);
    }
}

/// The connections by when they expire if they stay silent (Java: ExpiryQueue.dump).
fn dump_connections(
    cnxns: &[Arc<ServerCnxn>],
    interval_ms: i64,
    wall_offset_ms: i64,
    out: &mut String,
) {
    let mut sets: BTreeMap<i64, Vec<&Arc<ServerCnxn>>> = BTreeMap::new();
    for cnxn in cnxns {
        let expires_ms = cnxn.stats().last_alive_ms() + i64::from(cnxn.session_timeout_ms());
        sets.entry((expires_ms / interval_ms + 1) * interval_ms).or_default().push(cnxn);
    }
    out.push_str(&format!("Connections Sets ({})/({}):\n", sets.len(), cnxns.len()));
    for (expires_ms, set) in sets {
        out.push_str(&format!(
            "{} expire at {}:\n",
            set.len(),
            java_date::date_string(expires_ms + wall_offset_ms)
        ));
        for cnxn in set {
            out.push_str(&format!("\t{cnxn}\n"));
        }
    }
}

/// Where to reach our own listener: a wildcard is reached at the loopback address.
fn wake_address(local: SocketAddr) -> SocketAddr {
    let mut address = local;
    if local.ip().is_unspecified() {
        address.set_ip(match local {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// A connection that waits for its socket.
type Slow = (Arc<ServerCnxn>, Arc<SocketTransport>);

/// Goes on sending to sockets that were full, when they take bytes again.
pub(super) struct SlowWriter {
    poll: RankedMutex<Poll>,
    registry: Registry,
    waker: Waker,
    waiting: RankedMutex<HashMap<Token, Slow>>,
    next_token: AtomicU64,
    stopped: AtomicBool,
}

/// The token of the waker.
const WAKE: Token = Token(usize::MAX);

/// Events that are taken at once.
const EVENTS: usize = 64;

impl SlowWriter {
    fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = Waker::new(&registry, WAKE)?;
        Ok(Self {
            poll: RankedMutex::new(Rank::TxnLog, "slow writer", poll),
            registry,
            waker,
            waiting: RankedMutex::new(Rank::Leaf, "slow connections", HashMap::new()),
            next_token: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        })
    }

    /// Waits for the socket of the connection, which stays open for as long as it waits here.
    pub(super) fn add(&self, cnxn: Arc<ServerCnxn>, socket: Arc<SocketTransport>) {
        let fd = socket.fd();
        let number = self.next_token.fetch_add(1, Ordering::Relaxed);
        let token = Token(usize::try_from(number).unwrap_or_default());
        self.waiting.lock().insert(token, (Arc::clone(&cnxn), socket));
        if let Err(error) = self.registry.register(&mut SourceFd(&fd), token, Interest::WRITABLE) {
            warn!(target: LOG, "cannot wait for the socket of {cnxn}: {error}");
            self.waiting.lock().remove(&token);
            cnxn.close(DisconnectReason::IoException);
        }
    }

    fn run(&self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while !self.stopped.load(Ordering::Acquire) {
            let polled = self.poll.lock().poll(&mut events, None);
            if let Err(error) = polled
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error);
            }
            for event in &events {
                let ready = self.waiting.lock().remove(&event.token());
                if let Some((cnxn, socket)) = ready {
                    if let Err(error) = self.registry.deregister(&mut SourceFd(&socket.fd())) {
                        debug!(target: LOG, "the socket of {cnxn} is gone: {error}");
                    }
                    cnxn.continue_sending();
                }
            }
        }
        Ok(())
    }

    /// Lets a moment pass.
    fn pause(&self) {
        let (_never, wait) = crossbeam::channel::bounded::<()>(0);
        let moment = std::time::Duration::from_millis(50);
        let timed_out = wait.recv_timeout(moment).is_err();
        debug_assert!(timed_out, "nobody sends");
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        if let Err(error) = self.waker.wake() {
            warn!(target: LOG, "the slow writer was not woken: {error}");
        }
        self.waiting.lock().clear();
    }
}
