//! A client's session and the connection that carries it (Java: ClientCnxn.java).
//!
//! Threads: `main-SendThread` connects, reads replies and events, sends pings, and reconnects. The calling thread
//! writes its own request to the socket; as in Java's outgoing queue, requests wait only while there is no
//! connection. Events go to a channel, in place of Java's EventThread.
//! Locks: `output` is held while a frame is written, so that frames stay whole and in the order of their xids. Below
//! it, `state`, `watches` and `socket` are held for a few instructions. No lock is held while the host provider works.
//! The operations are in [`ZooKeeper`](crate::zookeeper::ZooKeeper). SASL and TLS are not implemented.

mod client_cnxn_socket;
mod packet;
mod send_thread;
mod zk_watch_manager;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use log::debug;

use crate::client::connect_string_parser::{ConnectStringParser, HostPort, InvalidConnectString};
use crate::client::host_provider::HostProvider;
use crate::client::static_host_provider::StaticHostProvider;
use crate::common::path_utils::InvalidPath;
use crate::common::time;
use crate::ids::{SessionId, Zxid};
use crate::jute::{InputError, Limits, Record};
use crate::keeper_exception::KeeperError;
use crate::proto::AuthPacket;
use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};
use crate::watcher::{EventType, KeeperState};
use crate::zoo_defs::OpCode;

pub use packet::Pending;
pub(crate) use packet::decode_nothing;
use packet::{Packet, frame};
pub(crate) use packet::{WatchKind, WatchRegistration};
pub(crate) use send_thread::{prepend_chroot, strip_chroot};
pub(crate) use zk_watch_manager::ZkWatchManager;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.ClientCnxn";

/// The xids of packets that are not requests of the session (Java: ClientCnxn).
pub(crate) mod xids {
    /// A watch has fired.
    pub(crate) const NOTIFICATION: i32 = -1;
    /// Keeps the session alive.
    pub(crate) const PING: i32 = -2;
    /// Sends credentials.
    pub(crate) const AUTH: i32 = -4;
    /// Sets watches again after a reconnect.
    pub(crate) const SET_WATCHES: i32 = -8;
}

/// The longest frame that the client accepts, in bytes. Java's client accepts 1 MiB unless `jute.maxbuffer` says
/// otherwise.
const LONGEST_FRAME: usize = 64 * 1024 * 1024;

/// How a client connects.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The session timeout to ask for, in ms.
    pub session_timeout_ms: i32,
    /// Whether the client accepts a read-only server. Meanwhile it looks for one that takes writes, and moves there.
    pub can_be_read_only: bool,
    /// An existing session to continue, with its password.
    pub session: Option<(SessionId, Vec<u8>)>,
    /// How long an operation may take; `None` waits until the connection is lost.
    pub request_timeout: Option<Duration>,
    /// Before the client connects again, it pauses for a random time up to this one, in ms; when it has tried all
    /// servers, for this time in addition (Java: 1000).
    pub reconnect_pause_ms: u64,
    /// How long one server may take to accept the connection and to answer the ConnectRequest. `None` is Java's rule:
    /// the session timeout divided by the number of servers. A Java server that is starting can take a connection
    /// and never answer on it; a client that waits less finds the server before its session expires.
    pub connect_timeout: Option<Duration>,
    /// Limits for the lengths in answers.
    pub limits: Limits,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            session_timeout_ms: 30_000,
            can_be_read_only: false,
            session: None,
            request_timeout: None,
            reconnect_pause_ms: 1000,
            connect_timeout: None,
            limits: Limits::new(LONGEST_FRAME, 0),
        }
    }
}

/// Why an operation has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server, or the client on its behalf, refused the operation. The text is that of Java's exception.
    #[error("KeeperErrorCode = {}{}", error.code_message(), for_path(path.as_deref()))]
    Keeper {
        /// The error code.
        error: KeeperError,
        /// The node.
        path: Option<String>,
    },
    /// The server refused the operation with an unknown code.
    #[error("KeeperErrorCode = Unknown error {code}{}", for_path(path.as_deref()))]
    UnknownCode {
        /// The code.
        code: i32,
        /// The node.
        path: Option<String>,
    },
    /// The path is not valid.
    #[error(transparent)]
    InvalidPath(#[from] InvalidPath),
    /// The answer cannot be decoded.
    #[error("the answer cannot be decoded: {0}")]
    Malformed(#[from] InputError),
}

fn for_path(path: Option<&str>) -> String {
    path.filter(|path| !path.is_empty()).map_or_else(String::new, |path| format!(" for {path}"))
}

impl ClientError {
    /// The error code, if it is a known one.
    #[must_use]
    pub const fn keeper_error(&self) -> Option<KeeperError> {
        match self {
            Self::Keeper { error, .. } => Some(*error),
            Self::UnknownCode { .. } | Self::InvalidPath(_) | Self::Malformed(_) => None,
        }
    }

    /// The error for a code from the wire.
    #[must_use]
    pub fn of_code(code: i32, path: Option<&str>) -> Self {
        let path = path.map(str::to_owned);
        match KeeperError::try_from(code) {
            Ok(error) => Self::Keeper { error, path },
            Err(unknown) => Self::UnknownCode { code: unknown.0, path },
        }
    }

    /// The same error, for an operation on that node.
    #[must_use]
    pub fn at(self, node: &str) -> Self {
        let path = Some(node.to_owned());
        match self {
            Self::Keeper { error, .. } => Self::Keeper { error, path },
            Self::UnknownCode { code, .. } => Self::UnknownCode { code, path },
            other => other,
        }
    }
}

/// The client's state (Java: ZooKeeper.States).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum States {
    /// Looks for a server.
    Connecting,
    /// A server serves it.
    Connected,
    /// A read-only server serves it.
    ConnectedReadOnly,
    /// Closed, or the session has expired.
    Closed,
    /// The server refused its credentials.
    AuthFailed,
}

impl States {
    /// Whether a server serves the client, or can still do so.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        !matches!(self, Self::Closed | Self::AuthFailed)
    }

    /// Whether a server serves it.
    #[must_use]
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::Connected | Self::ConnectedReadOnly)
    }

    /// The error for operations that this state has ended (Java: conLossPacket).
    const fn error(self) -> KeeperError {
        match self {
            Self::AuthFailed => KeeperError::AuthFailed,
            Self::Closed => KeeperError::SessionExpired,
            Self::Connecting | Self::Connected | Self::ConnectedReadOnly => {
                KeeperError::ConnectionLoss
            }
        }
    }
}

/// Prints the names of Java's constants.
impl fmt::Display for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "CONNECTING",
            Self::Connected => "CONNECTED",
            Self::ConnectedReadOnly => "CONNECTEDREADONLY",
            Self::Closed => "CLOSED",
            Self::AuthFailed => "AUTH_FAILED",
        })
    }
}

/// An event for the client: a watch fired, or the client's state changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientEvent {
    /// What happened.
    pub event_type: EventType,
    /// The client's state.
    pub keeper_state: KeeperState,
    /// The node, relative to the chroot; `None` if the client's state changed.
    pub path: Option<String>,
    /// The zxid of the transaction that caused the event, or [`Zxid::NONE`].
    pub zxid: Zxid,
}

impl ClientEvent {
    const fn of_state(keeper_state: KeeperState) -> Self {
        Self { event_type: EventType::None, keeper_state, path: None, zxid: Zxid::NONE }
    }
}

/// Prints the same text as Java's WatchedEvent.
impl fmt::Display for ClientEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "WatchedEvent state:{:?} type:{:?} path:{} zxid: {}",
            self.keeper_state,
            self.event_type,
            self.path.as_deref().unwrap_or("null"),
            self.zxid.0
        )
    }
}

/// The session, and the packets that wait.
struct State {
    states: States,
    /// No more packets are accepted.
    is_closing: bool,
    /// No more packets are sent.
    is_abandoned: bool,
    session_id: SessionId,
    passwd: Vec<u8>,
    negotiated_timeout_ms: i32,
    /// Whether a read-write server has known the session.
    seen_rw_server_before: bool,
    last_zxid: Zxid,
    next_xid: i32,
    auth_info: Vec<AuthPacket>,
    /// Packets that wait for a connection.
    outgoing: VecDeque<Packet>,
    /// Packets that wait for their answer, in the order in which they were sent.
    pending: VecDeque<Packet>,
    /// The same for credentials, whose packets have no xid of their own. `None` stands for credentials that were sent
    /// again.
    pending_auth: VecDeque<Option<Packet>>,
    last_send: Instant,
    /// The server to which the client is connected, also before it has accepted the session.
    server: Option<HostPort>,
    /// A new list of servers demands that the client leaves the server that it has chosen before.
    must_move: bool,
}

impl State {
    /// Takes all waiting packets, and the error with which the state ends them.
    fn take_waiting(&mut self) -> (KeeperError, Vec<Packet>) {
        let waiting = self.pending.drain(..).chain(self.outgoing.drain(..));
        let packets = waiting.chain(self.pending_auth.drain(..).flatten()).collect();
        (self.states.error(), packets)
    }

    /// The xid of the next request, which is always positive (Java: getXid).
    fn take_xid(&mut self) -> i32 {
        if self.next_xid == i32::MAX {
            self.next_xid = 1;
        }
        self.next_xid += 1;
        self.next_xid - 1
    }

    /// Records that the packet is sent, and returns its frame.
    fn send(&mut self, mut packet: Packet) -> Vec<u8> {
        let payload = std::mem::take(&mut packet.payload);
        self.last_send = time::now();
        if packet.op == OpCode::Auth {
            self.pending_auth.push_back(Some(packet));
            return frame(xids::AUTH, OpCode::Auth, &payload);
        }
        packet.xid = self.take_xid();
        let bytes = frame(packet.xid, packet.op, &payload);
        self.pending.push_back(packet);
        bytes
    }
}

struct Shared {
    config: ClientConfig,
    /// The prefix of all paths of the client; `None` is the root.
    chroot_path: Option<String>,
    host_provider: Box<dyn HostProvider>,
    /// The socket of the connection or of the attempt to connect. Another thread shuts it down to end that.
    socket: RankedMutex<Option<TcpStream>>,
    output: RankedMutex<Option<TcpStream>>,
    state: RankedMutex<State>,
    changed: RankedCondvar,
    watches: RankedMutex<ZkWatchManager>,
    events: Sender<ClientEvent>,
}

impl Shared {
    fn tell(&self, event: ClientEvent) {
        // If nobody receives events any more, the event is dropped.
        let _nobody_listens = self.events.send(event);
    }

    /// Writes frames to the server. The reading thread notices a failure.
    fn write(&self, output: &mut Option<TcpStream>, bytes: &[u8]) {
        let Some(stream) = output else { return };
        if let Err(error) = stream.write_all(bytes) {
            debug!(target: LOG, "cannot write to the server: {error}");
            let _already_closed = stream.shutdown(Shutdown::Both);
        }
    }

    /// Breaks the connection, or the attempt to connect. The reading thread notices it, and connects again.
    fn break_connection(&self) {
        if let Some(stream) = &*self.socket.lock() {
            let _already_closed = stream.shutdown(Shutdown::Both);
        }
    }

    /// Sends a packet, or queues it until there is a connection (Java: queuePacket).
    fn queue_packet(&self, packet: Packet) {
        let mut output = self.output.lock();
        let mut state = self.state.lock();
        if !state.states.is_alive() || state.is_closing {
            let error = state.states.error();
            drop(state);
            return packet.finish(Err(error));
        }
        if packet.op == OpCode::CloseSession {
            state.is_closing = true;
        }
        if !state.states.is_connected() {
            state.outgoing.push_back(packet);
            return;
        }
        let bytes = state.send(packet);
        drop(state);
        self.write(&mut output, &bytes);
    }

    /// Sends a packet that is not a request of the session.
    fn send_unnumbered(&self, xid: i32, op: OpCode, payload: &[u8]) {
        let mut output = self.output.lock();
        self.state.lock().last_send = time::now();
        self.write(&mut output, &frame(xid, op, payload));
    }
}

/// A session.
pub struct ClientCnxn {
    shared: Arc<Shared>,
    /// Wakes the thread while it pauses. Dropping it ends the thread.
    stop: RankedMutex<Option<Sender<()>>>,
    thread: RankedMutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for ClientCnxn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}, {}", self.session_id(), self.states())
    }
}

/// Why a client could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The text names no servers.
    #[error(transparent)]
    ConnectString(#[from] InvalidConnectString),
    /// The system has no room for another thread.
    #[error("cannot start the client's thread: {0}")]
    Thread(#[source] io::Error),
}

impl ClientCnxn {
    /// Starts to connect. The channel reports when the client is connected. It keeps events until they are received.
    ///
    /// # Errors
    /// If the text names no servers, or the system has no room for another thread.
    pub fn start(
        connect_string: &str,
        config: ClientConfig,
    ) -> Result<(Self, Receiver<ClientEvent>), StartError> {
        let ConnectStringParser { server_addresses, chroot_path } =
            ConnectStringParser::new(connect_string)?;
        let host_provider = StaticHostProvider::new(&server_addresses)?;
        Self::start_with(Box::new(host_provider), chroot_path, config)
    }

    /// As [`start`](Self::start), with servers from a provider of one's own.
    ///
    /// # Errors
    /// If the system has no room for another thread.
    pub fn start_with(
        host_provider: Box<dyn HostProvider>,
        chroot_path: Option<String>,
        config: ClientConfig,
    ) -> Result<(Self, Receiver<ClientEvent>), StartError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "bounded by the watches that the client has set and the reconnects that it makes"
        )]
        let (events, receiver) = crossbeam::channel::unbounded();
        let (session_id, passwd) = config.session.clone().unwrap_or((SessionId(0), vec![0; 16]));
        let state = State {
            states: States::Connecting,
            is_closing: false,
            is_abandoned: false,
            seen_rw_server_before: session_id != SessionId(0),
            session_id,
            passwd,
            negotiated_timeout_ms: config.session_timeout_ms,
            last_zxid: Zxid::ZERO,
            next_xid: 1,
            auth_info: Vec::new(),
            outgoing: VecDeque::new(),
            pending: VecDeque::new(),
            pending_auth: VecDeque::new(),
            last_send: time::now(),
            server: None,
            must_move: false,
        };
        let shared = Arc::new(Shared {
            config,
            chroot_path,
            host_provider,
            socket: RankedMutex::new(Rank::Leaf, "ClientCnxn.socket", None),
            output: RankedMutex::new(Rank::ConnectionOutput, "ClientCnxn.output", None),
            state: RankedMutex::new(Rank::Leaf, "ClientCnxn.state", state),
            changed: RankedCondvar::new(),
            watches: RankedMutex::new(Rank::Leaf, "ClientCnxn.watches", ZkWatchManager::default()),
            events,
        });
        let (stop, stopped) = bounded(0);
        let of_thread = Arc::clone(&shared);
        let thread = zookeeper_thread::spawn("main-SendThread", None, move || {
            send_thread::run(&of_thread, &stopped);
            Ok::<(), std::convert::Infallible>(())
        })
        .map_err(StartError::Thread)?;
        let cnxn = Self {
            shared,
            stop: RankedMutex::new(Rank::Leaf, "ClientCnxn.stop", Some(stop)),
            thread: RankedMutex::new(Rank::Leaf, "ClientCnxn.thread", Some(thread)),
        };
        Ok((cnxn, receiver))
    }

    /// Sends a request without waiting for its answer. The server answers requests in the order in which they were
    /// sent.
    pub fn submit<T>(
        &self,
        op: OpCode,
        payload: Vec<u8>,
        watch: Option<WatchRegistration>,
        decode: fn(&[u8], Limits) -> Result<T, InputError>,
    ) -> Pending<T> {
        let (packet, pending) = Packet::new(op, payload, watch, decode, &self.shared);
        self.shared.queue_packet(packet);
        pending
    }

    /// As [`submit`](Self::submit), for an answer that is a record.
    pub fn submit_record<T: Record>(
        &self,
        op: OpCode,
        request: &impl Record,
        watch: Option<WatchRegistration>,
    ) -> Pending<T> {
        self.submit(op, request.to_bytes(), watch, packet::decode_record::<T>)
    }

    /// Sends credentials to the server, now and after every reconnect.
    pub fn add_auth_info(&self, scheme: &str, auth: Option<Vec<u8>>) -> Pending<()> {
        let packet = AuthPacket { r#type: 0, scheme: scheme.to_owned(), auth };
        let payload = packet.to_bytes();
        {
            let mut state = self.shared.state.lock();
            if state.states.is_alive() {
                state.auth_info.push(packet);
            }
        }
        self.submit(OpCode::Auth, payload, None, decode_nothing)
    }

    /// The current state.
    #[must_use]
    pub fn states(&self) -> States {
        self.shared.state.lock().states
    }

    /// The session id; 0 before there is a session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.shared.state.lock().session_id
    }

    /// The session's password.
    #[must_use]
    pub fn session_passwd(&self) -> Vec<u8> {
        self.shared.state.lock().passwd.clone()
    }

    /// The session timeout that the server granted, in ms.
    #[must_use]
    pub fn session_timeout_ms(&self) -> i32 {
        self.shared.state.lock().negotiated_timeout_ms
    }

    /// The zxid of the last answer that had one.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.shared.state.lock().last_zxid
    }

    /// The prefix of all paths of the client.
    #[must_use]
    pub fn chroot_path(&self) -> Option<&str> {
        self.shared.chroot_path.as_deref()
    }

    /// The server to which the client is connected (Java: getRemoteSocketAddress).
    #[must_use]
    pub fn server(&self) -> Option<HostPort> {
        self.shared.state.lock().server.clone()
    }

    /// Replaces the list of servers. Returns whether the client leaves its server for another one: then the requests
    /// that wait end with a lost connection, and the session goes on at that one.
    ///
    /// # Errors
    /// If the list is empty.
    pub fn update_server_list(&self, servers: &[HostPort]) -> Result<bool, InvalidConnectString> {
        let current = self.server();
        let moves = self.shared.host_provider.update_server_list(servers, current.as_ref())?;
        if moves {
            self.shared.state.lock().must_move = true;
            self.shared.break_connection();
        }
        Ok(moves)
    }

    /// The paths with watches.
    pub(crate) fn watches(&self) -> &RankedMutex<ZkWatchManager> {
        &self.shared.watches
    }

    /// Adds an event of the client itself to those of the server.
    pub(crate) fn tell(&self, event_type: EventType, path: &str) {
        self.shared.tell(ClientEvent {
            event_type,
            keeper_state: KeeperState::SyncConnected,
            path: Some(path.to_owned()),
            zxid: Zxid::NONE,
        });
    }

    /// Waits until a server serves the client, or until the timeout. Returns the state after the wait.
    pub fn wait_connected(&self, timeout: Duration) -> States {
        let deadline = time::now() + timeout;
        let mut state = self.shared.state.lock();
        while state.states == States::Connecting {
            let left = deadline.saturating_duration_since(time::now());
            if left.is_zero() || self.shared.changed.wait_for(&mut state, left) {
                break;
            }
        }
        state.states
    }

    /// Breaks the connection as if the network had failed. The client reconnects.
    pub fn break_connection(&self) {
        self.shared.break_connection();
    }

    /// Closes the session. The server removes its ephemeral nodes. A second call does nothing.
    pub fn close(&self) {
        let is_alive = {
            let state = self.shared.state.lock();
            state.states.is_alive() && !state.is_closing
        };
        if is_alive {
            let closed = self.submit(OpCode::CloseSession, Vec::new(), None, decode_nothing);
            if let Err(error) = closed.wait() {
                debug!(target: LOG, "the session was not closed in order: {error}");
            }
        }
        self.end();
    }

    /// Ends the client without closing the session. The session stays until it expires, or until another client
    /// continues it.
    pub fn abandon(&self) {
        self.end();
    }

    /// Ends the thread. The thread sees the flag before it serves a connection, or finds that its connection is
    /// broken.
    fn stop_thread(&self) {
        {
            let mut state = self.shared.state.lock();
            state.is_closing = true;
            state.is_abandoned = true;
        }
        drop(self.stop.lock().take());
        self.break_connection();
    }

    fn end(&self) {
        self.stop_thread();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            zookeeper_thread::join(thread);
        }
    }
}

/// Dropping a client does not close its session.
impl Drop for ClientCnxn {
    fn drop(&mut self) {
        self.stop_thread();
    }
}
