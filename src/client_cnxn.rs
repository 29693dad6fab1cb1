//! A client's session and the connection that carries it (Java: ClientCnxn.java).
//!
//! Threads: `main-SendThread` connects, reads what comes, pings, and connects again; whoever calls writes its own request,
//! which is Java's outgoing queue without the queue. Events go to a channel, in the place of Java's EventThread.
//! Locks: `output` is held across the write of a frame, since it keeps frames whole and in the order of their numbers;
//! below it, for a few instructions, `state` and `watches`.
//! Left to others: the operations ([`ZooKeeper`](crate::zookeeper::ZooKeeper)). Without SASL, TLS, and the search for a
//! read-write server from a read-only one.

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

use crate::client::connect_string_parser::{ConnectStringParser, InvalidConnectString};
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

pub(crate) use packet::decode_nothing;
use packet::{Packet, frame};
pub use packet::{Pending, Reply, WatchKind, WatchRegistration};
pub(crate) use send_thread::{prepend_chroot, strip_chroot};
pub use zk_watch_manager::ZkWatchManager;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.ClientCnxn";

/// Numbers of packets that are no requests of the session (Java: ClientCnxn).
pub(crate) mod xids {
    /// A watch has fired.
    pub(crate) const NOTIFICATION: i32 = -1;
    /// Keeps the session alive.
    pub(crate) const PING: i32 = -2;
    /// Credentials.
    pub(crate) const AUTH: i32 = -4;
    /// Watches that are set again.
    pub(crate) const SET_WATCHES: i32 = -8;
}

/// The longest frame that is taken, in bytes. Java's client takes 1 MiB unless `jute.maxbuffer` says otherwise.
const LONGEST_FRAME: usize = 64 * 1024 * 1024;

/// How a client connects.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The session timeout that is asked for, ms.
    pub session_timeout_ms: i32,
    /// Whether a read-only server will do.
    pub can_be_read_only: bool,
    /// A session to take up again, with its password.
    pub session: Option<(SessionId, Vec<u8>)>,
    /// How long an operation may take; `None` waits until the connection is lost.
    pub request_timeout: Option<Duration>,
    /// The longest pause between two attempts to connect, ms.
    pub reconnect_pause_ms: u64,
    /// What is believed of lengths in answers.
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
            limits: Limits::new(LONGEST_FRAME, 0),
        }
    }
}

/// Why an operation gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server, or the client in its name, has refused it. The text is that of Java's exception.
    #[error("KeeperErrorCode = {}{}", error.code_message(), for_path(path.as_deref()))]
    Keeper {
        /// Why.
        error: KeeperError,
        /// The node.
        path: Option<String>,
    },
    /// The server has refused it with a code that is not known.
    #[error("KeeperErrorCode = Unknown error {code}{}", for_path(path.as_deref()))]
    UnknownCode {
        /// The code.
        code: i32,
        /// The node.
        path: Option<String>,
    },
    /// The path cannot be one.
    #[error(transparent)]
    InvalidPath(#[from] InvalidPath),
    /// The answer is not what it should be.
    #[error("the answer cannot be decoded: {0}")]
    Malformed(#[from] InputError),
}

fn for_path(path: Option<&str>) -> String {
    path.filter(|path| !path.is_empty()).map_or_else(String::new, |path| format!(" for {path}"))
}

impl ClientError {
    /// The code, when it is one that is known.
    #[must_use]
    pub const fn keeper_error(&self) -> Option<KeeperError> {
        match self {
            Self::Keeper { error, .. } => Some(*error),
            Self::UnknownCode { .. } | Self::InvalidPath(_) | Self::Malformed(_) => None,
        }
    }

    /// The error of that code on the wire.
    #[must_use]
    pub fn of_code(code: i32, path: Option<&str>) -> Self {
        let path = path.map(str::to_owned);
        match KeeperError::try_from(code) {
            Ok(error) => Self::Keeper { error, path },
            Err(unknown) => Self::UnknownCode { code: unknown.0, path },
        }
    }

    /// The same error, of an operation on that node.
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
    /// The server has refused its credentials.
    AuthFailed,
}

impl States {
    /// Whether it may still be served.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        !matches!(self, Self::Closed | Self::AuthFailed)
    }

    /// Whether a server serves it.
    #[must_use]
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::Connected | Self::ConnectedReadOnly)
    }

    /// The error of an operation that this state has ended (Java: conLossPacket).
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

/// As Java's constants.
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

/// What a client is told: a watch has fired, or its own state has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientEvent {
    /// What happened.
    pub event_type: EventType,
    /// The client's state.
    pub keeper_state: KeeperState,
    /// The node, below the chroot; `None` when the client's state has changed.
    pub path: Option<String>,
    /// The transaction that did it, or [`Zxid::NONE`].
    pub zxid: Zxid,
}

impl ClientEvent {
    const fn of_state(keeper_state: KeeperState) -> Self {
        Self { event_type: EventType::None, keeper_state, path: None, zxid: Zxid::NONE }
    }
}

/// As Java's WatchedEvent prints itself.
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

/// The session and what waits for answers.
struct State {
    states: States,
    /// Nothing else is taken.
    is_closing: bool,
    /// Nothing else is sent.
    is_abandoned: bool,
    session_id: SessionId,
    passwd: Vec<u8>,
    negotiated_timeout_ms: i32,
    /// Whether the session is one that a read-write server knows.
    seen_rw_server_before: bool,
    last_zxid: Zxid,
    next_xid: i32,
    auth_info: Vec<AuthPacket>,
    /// Waits for a connection.
    outgoing: VecDeque<Packet>,
    /// Waits for its answer, in the order in which it was sent.
    pending: VecDeque<Packet>,
    /// The same for credentials, which have no numbers; `None` for those that were sent again.
    pending_auth: VecDeque<Option<Packet>>,
    last_send: Instant,
}

impl State {
    /// Takes all that waits; it is ended with the error of the state.
    fn take_waiting(&mut self) -> (KeeperError, Vec<Packet>) {
        let waiting = self.pending.drain(..).chain(self.outgoing.drain(..));
        let packets = waiting.chain(self.pending_auth.drain(..).flatten()).collect();
        (self.states.error(), packets)
    }

    /// The number of the next request: always positive (Java: getXid).
    fn take_xid(&mut self) -> i32 {
        if self.next_xid == i32::MAX {
            self.next_xid = 1;
        }
        self.next_xid += 1;
        self.next_xid - 1
    }

    /// Notes that the packet has been sent, and gives its frame.
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
    servers: ConnectStringParser,
    output: RankedMutex<Option<TcpStream>>,
    state: RankedMutex<State>,
    changed: RankedCondvar,
    watches: RankedMutex<ZkWatchManager>,
    events: Sender<ClientEvent>,
}

impl Shared {
    fn tell(&self, event: ClientEvent) {
        // Nobody listens any more: then there is nobody to tell.
        let _nobody_listens = self.events.send(event);
    }

    /// Writes frames to the server. A failure is noticed by the thread that reads.
    fn write(&self, output: &mut Option<TcpStream>, bytes: &[u8]) {
        let Some(stream) = output else { return };
        if let Err(error) = stream.write_all(bytes) {
            debug!(target: LOG, "cannot write to the server: {error}");
            let _already_closed = stream.shutdown(Shutdown::Both);
        }
    }

    /// Sends a packet, or lets it wait for a connection (Java: queuePacket).
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

    /// Sends what is no request of the session's own.
    fn send_unnumbered(&self, xid: i32, op: OpCode, payload: &[u8]) {
        let mut output = self.output.lock();
        self.state.lock().last_send = time::now();
        self.write(&mut output, &frame(xid, op, payload));
    }
}

/// A session.
pub struct ClientCnxn {
    shared: Arc<Shared>,
    /// Wakes the thread when it pauses; dropped to end it.
    stop: RankedMutex<Option<Sender<()>>>,
    thread: RankedMutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for ClientCnxn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}, {}", self.session_id(), self.states())
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The text names no servers.
    #[error(transparent)]
    ConnectString(#[from] InvalidConnectString),
    /// There is no room for a thread.
    #[error("cannot start the client's thread: {0}")]
    Thread(#[source] io::Error),
}

impl ClientCnxn {
    /// Starts to connect; the channel tells when that has succeeded. Events that nobody takes from it stay there.
    ///
    /// # Errors
    /// When the text names no servers, or the system has no room for another thread.
    pub fn start(
        connect_string: &str,
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
        };
        let shared = Arc::new(Shared {
            servers: ConnectStringParser::new(connect_string)?,
            config,
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

    /// Sends a request; its answer can be waited for later. Requests are answered in the order in which they were sent.
    pub fn submit<T>(
        &self,
        op: OpCode,
        payload: Vec<u8>,
        watch: Option<WatchRegistration>,
        decode: fn(&[u8], Limits) -> Result<T, InputError>,
    ) -> Pending<T> {
        let (packet, pending) = Packet::new(op, payload, watch, decode, self.shared.config.clone());
        self.shared.queue_packet(packet);
        pending
    }

    /// The same for an answer that is a record.
    pub fn submit_record<T: Record>(
        &self,
        op: OpCode,
        request: &impl Record,
        watch: Option<WatchRegistration>,
    ) -> Pending<T> {
        self.submit(op, request.to_bytes(), watch, packet::decode_record::<T>)
    }

    /// Gives credentials to the server, now and whenever it connects again.
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

    /// The state now.
    #[must_use]
    pub fn states(&self) -> States {
        self.shared.state.lock().states
    }

    /// The session; 0 before there is one.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.shared.state.lock().session_id
    }

    /// The session's password.
    #[must_use]
    pub fn session_passwd(&self) -> Vec<u8> {
        self.shared.state.lock().passwd.clone()
    }

    /// The session's timeout as the server has set it, ms.
    #[must_use]
    pub fn session_timeout_ms(&self) -> i32 {
        self.shared.state.lock().negotiated_timeout_ms
    }

    /// The last transaction that an answer has named.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.shared.state.lock().last_zxid
    }

    /// What all paths are below of.
    #[must_use]
    pub fn chroot_path(&self) -> Option<&str> {
        self.shared.servers.chroot_path.as_deref()
    }

    /// The paths with watches.
    pub(crate) fn watches(&self) -> &RankedMutex<ZkWatchManager> {
        &self.shared.watches
    }

    /// Puts an event of the client's own among the server's.
    pub(crate) fn tell(&self, event_type: EventType, path: &str) {
        self.shared.tell(ClientEvent {
            event_type,
            keeper_state: KeeperState::SyncConnected,
            path: Some(path.to_owned()),
            zxid: Zxid::NONE,
        });
    }

    /// Waits until a server serves the client; the state at the end.
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

    /// Ends the connection as if the network had failed; the client connects again.
    pub fn break_connection(&self) {
        if let Some(stream) = &*self.shared.output.lock() {
            let _already_closed = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends the session: the server removes its ephemeral nodes. A second call finds nothing to do.
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

    /// Goes away without a word: the session stays until it expires, or until another client takes it up.
    pub fn abandon(&self) {
        self.end();
    }

    /// The thread ends: it sees the flag before it serves a connection, or finds the connection broken.
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

/// A client that is let go has gone without a word.
impl Drop for ClientCnxn {
    fn drop(&mut self) {
        self.stop_thread();
    }
}
