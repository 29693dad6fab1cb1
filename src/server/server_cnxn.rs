//! `ServerCnxn`: the server's side of one client's connection (Java: server/ServerCnxn.java, and what of
//! server/NIOServerCnxn.java is not about sockets).
//!
//! Does no I/O itself: bytes come in through [`CnxnInput`], replies go out through a [`Transport`], and the owner of
//! the socket reads it. Threads: one reader processes the input; the processors append replies and events.
//! Locks: the output and the queue of waiting requests, for short operations; none during a socket call.

mod input;
mod input_buffer;
mod memory;
mod output;
mod pending;
mod recv_gate;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use byteorder::{BigEndian, ByteOrder};
use log::{debug, info};

pub use self::input::InputState;
pub use self::input_buffer::CnxnInput;
pub use self::output::Transport;
use self::output::{Output, Sent};
use self::pending::PendingRequests;
use self::recv_gate::RecvGate;
pub(super) use self::recv_gate::{CnxnSelector, Gate, Stop};
use super::auth::auth_info::AuthInfo;
use super::cnxn_stats::CnxnStats;
use super::memory_account::RequestAccount;
// tidy: layer: a connection keeps the reads that wait
use super::request::Request;
use super::server_cnxn_factory::ServerCnxnFactory;
use super::server_watcher::ServerWatcher;
use super::session_tracker::Session;
use super::zoo_trace::{self, EVENT_DELIVERY_TRACE_MASK};
// tidy: layer: a connection knows its server, as in Java
use super::zookeeper_server::ZooKeeperServer;
use crate::common::time::TimeSource;
use crate::data::{ACL, Id};
use crate::ids::{SessionId, Zxid};
use crate::jute::{BinaryOutputArchive, OutputArchive};
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};
use crate::watched_event::WatchedEvent;
use crate::zoo_defs::perms;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.NIOServerCnxn";

/// The xid of watch events.
const NOTIFICATION_XID: i32 = -1;

/// Why a connection ends (Java: ServerCnxn.DisconnectReason).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// No reason was given.
    Unknown,
    /// The server shuts down.
    ServerShutdown,
    /// All connections are closed by command.
    CloseAllConnectionsForced,
    /// This connection is closed by command.
    ConnectionCloseForced,
    /// Nothing arrived for longer than the session's timeout.
    ConnectionExpired,
    /// The client has closed the connection.
    ClientClosedConnection,
    /// The session has ended.
    ClientClosedSession,
    /// The socket's input has ended.
    UnableToReadFromClient,
    /// The server is read-only, and the client does not accept that.
    NotReadOnlyClient,
    /// The server is read-only, and the session belongs to the ensemble.
    RenewGlobalSessionInRoMode,
    /// The client has seen a newer zxid than this server.
    ClientZxidAhead,
    /// A four-letter word was answered.
    InfoProbe,
    /// The client has connected again.
    ClientReconnect,
    /// The socket has failed, or the client sent something invalid.
    IoException,
    /// The session could not be set up.
    IoExceptionInSessionInit,
    /// The statistics were reset.
    ResetCommand,
    /// A four-letter word was answered and its connection is done.
    CloseConnectionCommand,
    /// Too many connections.
    ClientCnxLimit,
    /// Too many requests.
    ClientRateLimit,
    /// Tidying up.
    CleanUp,
}

impl DisconnectReason {
    /// Java's text, as metrics show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::ServerShutdown => "server_shutdown",
            Self::CloseAllConnectionsForced => "close_all_connections_forced",
            Self::ConnectionCloseForced => "connection_close_forced",
            Self::ConnectionExpired => "connection_expired",
            Self::ClientClosedConnection => "client_closed_connection",
            Self::ClientClosedSession => "client_closed_session",
            Self::UnableToReadFromClient => "unable_to_read_from_client",
            Self::NotReadOnlyClient => "not_read_only_client",
            Self::RenewGlobalSessionInRoMode => "renew a global session in readonly mode",
            Self::ClientZxidAhead => "client_zxid_ahead",
            Self::InfoProbe => "info_probe",
            Self::ClientReconnect => "client_reconnect",
            Self::IoException => "io_exception",
            Self::IoExceptionInSessionInit => "io_exception_in_session_init",
            Self::ResetCommand => "reset_command",
            Self::CloseConnectionCommand => "close_connection_command",
            Self::ClientCnxLimit => "Client hits connection limiting threshold",
            Self::ClientRateLimit => "Client hits rate limiting threshold",
            Self::CleanUp => "clean_up",
        }
    }
}

/// One client's connection.
pub struct ServerCnxn {
    me: Weak<Self>,
    server: Option<Arc<ZooKeeperServer>>,
    factory: Weak<dyn ServerCnxnFactory>,
    remote: SocketAddr,
    session: OnceLock<Arc<Session>>,
    session_id: AtomicI64,
    session_timeout_ms: AtomicI32,
    auth_info: AuthInfo,
    /// Whether the client knows of read-only servers (Java: ProtocolManager.isReadonlyAvailable).
    read_only_available: AtomicBool,
    outstanding: AtomicI64,
    /// Its requests that wait or are being processed.
    held: RequestAccount,
    pending: PendingRequests,
    output: Output,
    /// Whether the connection is queued for a flush.
    event_queued: AtomicBool,
    /// Whether the client has sent a four-letter word.
    probe: AtomicBool,
    /// Whether its first frame, or a four-letter word instead, has arrived.
    greeted: AtomicBool,
    stale: AtomicBool,
    invalid: AtomicBool,
    recv_stopped: AtomicBool,
    /// The room in bytes for which its reader waits, for an answer and for a frame; 0 if it does not wait.
    awaited_answer: AtomicUsize,
    awaited_frame: AtomicUsize,
    /// A long frame that has arrived only in part: its length, and since when, ms of the server's clock.
    half_frame: AtomicUsize,
    half_frame_since_ms: AtomicI64,
    recv_gate: RankedMutex<RecvGate>,
    recv_wake: RankedCondvar,
    /// Set if a selector reads it. Otherwise it has a thread of its own, which waits at `recv_wake`.
    selector: OnceLock<Arc<dyn CnxnSelector>>,
    is_look_queued: AtomicBool,
    stats: CnxnStats,
}

impl ServerCnxn {
    /// A connection from `remote`, whose first id is its address. `server` is none while no server is running; only
    /// four-letter words are answered then.
    #[must_use]
    pub fn new(
        server: Option<Arc<ZooKeeperServer>>,
        factory: Weak<dyn ServerCnxnFactory>,
        transport: Box<dyn Transport>,
        remote: SocketAddr,
        sessionless_timeout_ms: i32,
        clock: &dyn TimeSource,
    ) -> Arc<Self> {
        let accounts = server.as_ref().map(|server| Arc::clone(server.memory()));
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            server,
            factory,
            remote,
            session: OnceLock::new(),
            session_id: AtomicI64::new(0),
            session_timeout_ms: AtomicI32::new(sessionless_timeout_ms),
            auth_info: AuthInfo::of_address(remote.ip()),
            read_only_available: AtomicBool::new(false),
            outstanding: AtomicI64::new(0),
            held: RequestAccount::default(),
            pending: PendingRequests::new(),
            output: Output::new(Arc::from(transport), accounts),
            event_queued: AtomicBool::new(false),
            probe: AtomicBool::new(false),
            greeted: AtomicBool::new(false),
            stale: AtomicBool::new(false),
            invalid: AtomicBool::new(false),
            recv_stopped: AtomicBool::new(false),
            awaited_answer: AtomicUsize::new(0),
            awaited_frame: AtomicUsize::new(0),
            half_frame: AtomicUsize::new(0),
            half_frame_since_ms: AtomicI64::new(0),
            recv_gate: RankedMutex::new(Rank::Leaf, "receive gate", RecvGate::default()),
            recv_wake: RankedCondvar::new(),
            selector: OnceLock::new(),
            is_look_queued: AtomicBool::new(false),
            stats: CnxnStats::new(clock.wall_ms(), clock.elapsed_ms()),
        })
    }

    /// The server that was running when the connection was accepted, if there was one.
    #[must_use]
    pub fn server(&self) -> Option<&Arc<ZooKeeperServer>> {
        self.server.as_ref()
    }

    /// The client's address.
    #[must_use]
    pub const fn remote_socket_address(&self) -> SocketAddr {
        self.remote
    }

    /// Counters of this connection, as `cons` shows them.
    #[must_use]
    pub const fn stats(&self) -> &CnxnStats {
        &self.stats
    }

    /// The number of requests with a positive xid that are not answered yet.
    #[must_use]
    pub fn outstanding_requests(&self) -> i64 {
        self.outstanding.load(Ordering::Relaxed)
    }

    /// The session's id; 0 before there is a session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        SessionId(self.session_id.load(Ordering::Relaxed))
    }

    /// Sets the session's id (Java: setSessionId).
    pub fn set_session_id(&self, session_id: SessionId) {
        self.session_id.store(session_id.0, Ordering::Relaxed);
        if let (Some(factory), Some(me)) = (self.factory.upgrade(), self.me.upgrade()) {
            factory.add_session(session_id, &me);
        }
    }

    /// The tracker's entry of the session, once the session is set up.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<Session>> {
        self.session.get()
    }

    /// The negotiated timeout; before that, how long a connection without a session may be silent, ms.
    #[must_use]
    pub fn session_timeout_ms(&self) -> i32 {
        self.session_timeout_ms.load(Ordering::Relaxed)
    }

    /// Sets the negotiated timeout, ms.
    pub fn set_session_timeout_ms(&self, timeout_ms: i32) {
        self.session_timeout_ms.store(timeout_ms, Ordering::Relaxed);
    }

    /// The ids of the connection.
    #[must_use]
    pub fn auth_info(&self) -> Arc<[Id]> {
        self.auth_info.ids()
    }

    /// The length of all ids of the connection together, in bytes.
    #[must_use]
    pub fn auth_info_bytes(&self) -> usize {
        self.auth_info.bytes()
    }

    /// Adds an id, unless the connection has it already.
    pub fn add_auth_info(&self, id: Id) {
        self.auth_info.add(id);
    }

    /// Removes an id. Returns false if the connection does not have it.
    pub fn remove_auth_info(&self, id: &Id) -> bool {
        self.auth_info.remove(id)
    }

    /// Whether the client's ConnectRequest had a `readOnly` byte. The answer then has one, too.
    #[must_use]
    pub fn is_read_only_available(&self) -> bool {
        self.read_only_available.load(Ordering::Relaxed)
    }

    /// Whether the connection was used for a four-letter word instead of a session.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.probe.load(Ordering::Relaxed)
    }

    /// Whether the first frame, or a four-letter word instead, has arrived completely.
    pub(super) fn has_greeted(&self) -> bool {
        self.greeted.load(Ordering::Relaxed)
    }

    /// Whether its last answer is queued. From then on, the reader only waits for the end of the connection.
    pub(super) fn is_ending(&self) -> bool {
        self.output.is_ending()
    }

    /// For the reader: the client says nothing more, which is logged and counted.
    pub(super) fn end_of_stream(&self) -> DisconnectReason {
        if let Some(server) = self.server()
            && !self.is_stale()
        {
            server.server_metrics().connection_drop_count.add(1);
            info!(
                target: LOG,
                "Unable to read additional data from client, it probably closed the socket: address = /{}, \
                 session = {}",
                self.remote_socket_address(),
                self.session_id()
            );
        }
        DisconnectReason::UnableToReadFromClient
    }

    /// For the reader: nothing came from the client in time, which is logged and counted.
    pub(super) fn expired(&self) -> DisconnectReason {
        debug!(target: LOG, "nothing came from {self} in time");
        if let Some(server) = self.server() {
            server.server_metrics().sessionless_connections_expired.add(1);
        }
        DisconnectReason::ConnectionExpired
    }

    /// How many bytes the client has not taken yet.
    pub(super) fn unsent(&self) -> usize {
        self.output.unsent()
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// Whether its requests must not be processed any more.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        self.invalid.load(Ordering::Relaxed)
    }

    /// From now on its requests must not be processed. The connection is closed, which tells the client.
    pub fn set_invalid(&self) {
        if !self.invalid.swap(true, Ordering::Relaxed) && !self.is_stale() {
            self.send_close_session();
        }
    }

    /// Appends a frame: a reply header and what `body` writes. Returns the frame's length without its length field.
    ///
    /// Nothing is sent before [`flush`](Self::flush). Java: sendResponse.
    pub fn append_response(
        &self,
        xid: i32,
        zxid: Zxid,
        err: i32,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        let mut len = 0;
        self.output.append(|bytes| len = write_frame(bytes, xid, zxid, err, body));
        if len > 0 {
            self.note_response(len);
        }
        len
    }

    /// Counts a reply that was appended.
    fn note_response(&self, len: usize) {
        self.note_packets_sent(1);
        if let Some(server) = &self.server {
            server.server_stats().update_client_response_size(len);
        }
    }

    fn note_packets_sent(&self, packets: i64) {
        self.stats.packets_were_sent(packets);
        if let Some(server) = &self.server {
            server.server_stats().packets_were_sent(packets);
        }
    }

    /// Appends complete answers to `count` requests, of which `numbered` have a positive xid. The content of
    /// `answers` is unspecified afterwards.
    pub(super) fn append_replies(&self, answers: &mut Vec<u8>, count: u32, numbered: u32) {
        let bytes = answers.len();
        if self.output.append_answers(answers) {
            self.stats.packets_were_sent(i64::from(count));
            if let Some(server) = &self.server {
                let stats = server.server_stats();
                stats.packets_were_sent(i64::from(count));
                // The average if there are several answers. As in Java, it does not include the length field.
                let size = bytes / usize::try_from(count.max(1)).unwrap_or(1);
                stats.update_client_response_size(size.saturating_sub(4));
            }
        }
        if numbered > 0 {
            self.outstanding.fetch_sub(i64::from(numbered), Ordering::Relaxed);
        }
    }

    /// Appends a reply to a request, which is no longer outstanding.
    pub fn append_reply(
        &self,
        xid: i32,
        zxid: Zxid,
        err: i32,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        let len = self.append_response(xid, zxid, err, body);
        self.reply_done(xid);
        len
    }

    fn reply_done(&self, xid: i32) {
        if xid > 0 {
            self.outstanding.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Appends bytes unchanged (the answer to a ConnectRequest, or to a four-letter word). They count as `packets`
    /// packets.
    pub fn append_raw(&self, mut bytes: Vec<u8>, packets: usize) {
        if self.output.append_answers(&mut bytes) {
            self.note_packets_sent(i64::try_from(packets).unwrap_or(i64::MAX));
        }
    }

    /// Sends what was appended, as far as the socket accepts it now.
    pub fn flush(&self) {
        self.event_queued.store(false, Ordering::Release);
        let sent = self.output.send();
        self.after_sending(sent);
    }

    /// For the transport: continues when the socket accepts bytes again.
    pub fn continue_sending(&self) {
        let sent = self.output.continue_sending();
        self.after_sending(sent);
        self.wake_reader();
    }

    fn after_sending(&self, sent: Sent) {
        match sent {
            Sent::All | Sent::Blocked => {}
            Sent::Close => self.close(DisconnectReason::ClientClosedConnection),
        }
    }

    /// Closes the connection when everything appended is sent (Java: sendCloseSession).
    pub fn send_close_session(&self) {
        self.output.close_when_sent();
        self.queue_flush();
    }

    /// Queues the connection for a [`flush`](Self::flush), which happens as soon as no lock is held.
    pub(super) fn queue_flush(&self) {
        if self.event_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        if let (Some(server), Some(me)) = (&self.server, self.me.upgrade()) {
            server.flush_list().add(me);
        }
    }

    /// Stores the session, which is set up now (Java: ZooKeeperServer.finishSessionInit calls this part).
    pub(super) fn session_established(&self, session: Arc<Session>) {
        if self.session.set(session).is_err() {
            debug!(target: LOG, "{self} has its session already");
        }
    }

    /// Whether no request of this session is pending. For the reader.
    pub(super) fn pending_is_idle(&self) -> bool {
        self.pending.is_idle()
    }

    /// Called when the first request of the queue, which was in the processors, is answered. Returns a read that may
    /// run now.
    pub(super) fn pipeline_done(&self) -> Option<Box<Request>> {
        let next = self.pending.pipeline_done();
        self.wake_freed_reader();
        next
    }

    /// Called when the read that was returned last is answered. Returns the next one.
    pub(super) fn read_done(&self) -> Option<Box<Request>> {
        let next = self.pending.read_done();
        self.wake_freed_reader();
        next
    }

    fn wake_freed_reader(&self) {
        if self.pending.frees_reader() {
            self.wake_reader();
        }
    }

    /// Drops all waiting requests, because a request was refused in a way that ends the connection or its session.
    pub(super) fn abandon_pending(&self) {
        self.pending.abandon();
        self.wake_freed_reader();
    }

    /// Records that a request enters the processors.
    pub(super) fn pipeline_entered(&self) {
        self.pending.add_in_pipeline();
    }

    /// Closes the connection and removes its watches. A second call does nothing. The caller must not hold the
    /// tree's lock.
    pub fn close(&self, reason: DisconnectReason) {
        self.stale.store(true, Ordering::Relaxed);
        // Nobody waits for the answers. A request in the processors may never come back, and those behind it would
        // keep their memory and this connection.
        self.pending.abandon();
        self.end_recv();
        let Some(me) = self.me.upgrade() else { return };
        let is_registered = self.factory.upgrade().is_none_or(|factory| factory.remove_cnxn(&me));
        if is_registered {
            if let Some(server) = &self.server {
                server.remove_cnxn(&me);
            }
            debug!(
                target: LOG,
                "Closed socket connection for client {} {}: {}",
                self.remote,
                match self.session_id() {
                    SessionId(0) => "(no session established for client)".to_owned(),
                    id => format!("which had sessionid {id}"),
                },
                reason.as_str()
            );
        }
        if reason == DisconnectReason::ClientCnxLimit {
            self.output.close_at_once();
        } else {
            self.output.close();
        }
    }
}

impl ServerWatcher for ServerCnxn {
    fn process(&self, event: &WatchedEvent<'_>, znode_acl: Option<&[ACL]>) {
        let Some(server) = &self.server else { return };
        if let Some(acl) = znode_acl {
            let allowed = server.check_acl(acl, perms::READ, &self.auth_info(), event.path, None);
            if allowed.is_err() {
                trace_event(format_args!(
                    "Not delivering event {event} to {} (filtered by ACL)",
                    self.session_id()
                ));
                return;
            }
        }
        trace_event(format_args!("Deliver event {event} to {} through {self}", self.session_id()));
        let mut len = 0;
        self.output.append_event(|bytes| {
            len = write_frame(bytes, NOTIFICATION_XID, event.zxid, 0, |bytes| {
                let mut archive = BinaryOutputArchive::new(bytes);
                archive.write_int(event.event_type.code(), "type");
                archive.write_int(event.keeper_state.code(), "state");
                archive.write_string(Some(event.path), "path");
            });
        });
        if len > 0 {
            self.note_response(len);
        }
        server.server_metrics().watch_bytes.add(i64::try_from(len).unwrap_or(i64::MAX));
        self.queue_flush();
    }

    fn session_id(&self) -> SessionId {
        self.session_id()
    }

    fn is_stale(&self) -> bool {
        self.is_stale()
    }
}

impl fmt::Display for ServerCnxn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ip: /{} sessionId: {}", self.remote, self.session_id())
    }
}

fn trace_event(message: fmt::Arguments<'_>) {
    zoo_trace::log_trace_message(LOG, EVENT_DELIVERY_TRACE_MASK, message);
}

/// Appends a frame. Returns its length without the length field.
pub(super) fn write_frame(
    bytes: &mut Vec<u8>,
    xid: i32,
    zxid: Zxid,
    err: i32,
    body: impl FnOnce(&mut Vec<u8>),
) -> usize {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&xid.to_be_bytes());
    bytes.extend_from_slice(&zxid.0.to_be_bytes());
    bytes.extend_from_slice(&err.to_be_bytes());
    body(bytes);
    let len = bytes.len() - start - 4;
    // A frame is far below 2 GiB, because the tree contains nothing longer.
    let field = u32::try_from(len).unwrap_or(u32::MAX);
    BigEndian::write_u32(&mut bytes[start..start + 4], field);
    len
}
