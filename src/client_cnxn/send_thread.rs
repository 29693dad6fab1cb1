//! Connects, reads replies and events, sends pings, and reconnects (Java: ClientCnxn.SendThread).

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError};
use log::{debug, info, warn};

use super::client_cnxn_socket::{self, FrameReader};
use super::packet::{Packet, Reply, length};
use super::{ClientEvent, LOG, Shared, States, xids};
use crate::client::connect_string_parser::HostPort;
use crate::client::four_letter_word_main::send_4_letter_word_within;
use crate::common::time;
use crate::ids::{SessionId, Zxid};
use crate::jute::{BinaryInputArchive, InputError, Record};
use crate::keeper_exception::KeeperError;
use crate::proto::{ConnectRequest, ConnectResponse, ReplyHeader, SetWatches, WatcherEvent};
use crate::util::random::random;
use crate::watcher::{EventType, KeeperState};
use crate::zoo_defs::{CONFIG_NODE, OpCode, ZOOKEEPER_NODE_SUBTREE};

/// The client sends a ping at the latest after this time without sending anything.
const MAX_SEND_PING_INTERVAL: Duration = Duration::from_secs(10);

/// How long a client of a read-only server waits before it asks another server whether that takes writes.
const MIN_PING_RW_TIMEOUT: Duration = Duration::from_millis(100);
const MAX_PING_RW_TIMEOUT: Duration = Duration::from_secs(60);

/// The time limit for such a question.
const PING_RW_SOCKET_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum CnxnError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the server has closed the connection")]
    Closed,
    #[error("Packet len {0} is out of range!")]
    FrameLength(i32),
    #[error("{0}")]
    Malformed(#[from] InputError),
    #[error("Xid out of order. Got Xid {got} with err {err} expected Xid {expected}")]
    XidOutOfOrder { got: i32, err: i32, expected: i32 },
    #[error("Nothing in the queue, but got {0}")]
    NothingAsked(i32),
    #[error("have not heard from server in {0:?}")]
    Silent(Duration),
    #[error("Unable to reconnect to ZooKeeper service, session {0} has expired")]
    SessionExpired(SessionId),
    #[error("the credentials were refused")]
    AuthFailed,
    #[error("Majority server found at {0}")]
    RwServerFound(HostPort),
    #[error("the client leaves the server because of a new list of servers")]
    Moves,
}

/// Runs until the client is closed or its session has ended.
pub(super) fn run(shared: &Shared, stopped: &Receiver<()>) {
    let mut last_heard = time::now();
    let mut is_first = true;
    let mut rw_server = None;
    while let Some(server) = next_server(shared, stopped, is_first, rw_server.take()) {
        is_first = false;
        let result = connect(shared, &server)
            .and_then(|connection| serve(shared, connection, &mut last_heard));
        // A thread that waits for room in a full socket holds the lock of the output.
        shared.break_connection();
        *shared.socket.lock() = None;
        *shared.output.lock() = None;
        let mut state = shared.state.lock();
        state.server = None;
        let session_timeout = millis(state.negotiated_timeout_ms) * 4 / 3;
        if state.session_id != SessionId(0) && last_heard.elapsed() > session_timeout {
            state.states = States::Closed;
        }
        if state.is_closing || !state.states.is_alive() {
            break;
        }
        state.states = States::Connecting;
        let session_id = state.session_id;
        let (error, packets) = state.take_waiting();
        drop(state);
        if let Err(reason) = result {
            if let CnxnError::RwServerFound(found) = &reason {
                rw_server = Some(found.clone());
            }
            warn!(
                target: LOG,
                "Session {session_id} for server {server}, Closing socket connection. Attempting reconnect: {reason}"
            );
        }
        finish_all(packets, error);
        shared.tell(ClientEvent::of_state(KeeperState::Disconnected));
    }
    end(shared);
}

/// Ends the client: waiting packets end with an error, and nothing is sent any more.
fn end(shared: &Shared) {
    let mut state = shared.state.lock();
    let (was_closing, states) = (state.is_closing, state.states);
    if states.is_alive() {
        state.states = States::Closed;
    }
    let (_, packets) = state.take_waiting();
    drop(state);
    // Packets that wait when the client closes end with a lost connection, not with a lost session.
    let error = if states.is_alive() { KeeperError::ConnectionLoss } else { states.error() };
    finish_all(packets, error);
    shared.changed.notify_all();
    if was_closing {
        shared.tell(ClientEvent::of_state(KeeperState::Closed));
    } else if states == States::Closed {
        shared.tell(ClientEvent::of_state(KeeperState::Expired));
    }
}

fn finish_all(packets: Vec<Packet>, error: KeeperError) {
    for packet in packets {
        packet.finish(Err(error));
    }
}

/// The server to connect to, when it is time to do so; `None` if the client is closed.
fn next_server(
    shared: &Shared,
    stopped: &Receiver<()>,
    is_first: bool,
    rw_server: Option<HostPort>,
) -> Option<HostPort> {
    shared.state.lock().must_move = false;
    let longest_ms = shared.config.reconnect_pause_ms.max(1);
    let (server, all_tried) = match rw_server {
        Some(server) => (server, false),
        None => {
            let next = shared.host_provider.next();
            (next.server, next.all_tried)
        }
    };
    let mut pause_ms = if all_tried { longest_ms } else { 0 };
    if !is_first {
        // The time is random, so that many clients do not reconnect at once.
        pause_ms += random() % longest_ms;
    }
    let was_stopped = pause_ms > 0 && !pause(stopped, Duration::from_millis(pause_ms));
    (!was_stopped && !shared.state.lock().is_closing).then_some(server)
}

/// Waits. Returns false if the client is closed.
fn pause(stopped: &Receiver<()>, pause: Duration) -> bool {
    matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout))
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// A connection on which the session is established.
struct Connection {
    stream: TcpStream,
    frames: FrameReader,
    read_timeout: Duration,
}

fn connect(shared: &Shared, server: &HostPort) -> Result<Connection, CnxnError> {
    let timeout_ms = shared.state.lock().negotiated_timeout_ms;
    let servers = u32::try_from(shared.host_provider.size().max(1)).unwrap_or(u32::MAX);
    let share = millis(timeout_ms) / servers;
    let connect_timeout = shared.config.connect_timeout.map_or(share, |timeout| timeout.min(share));
    let connect_timeout = connect_timeout.max(Duration::from_millis(1));
    info!(target: LOG, "Opening socket connection to server {server}.");
    let addresses = shared.host_provider.resolve(server).map_err(|error| {
        io::Error::new(error.kind(), format!("Unable to resolve address: {server}: {error}"))
    })?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match client_cnxn_socket::connect(shared, address, connect_timeout) {
            Ok(stream) => {
                shared.state.lock().server = Some(server.clone());
                return establish(shared, stream, connect_timeout);
            }
            Err(CnxnError::Io(error)) => last = error,
            Err(other) => return Err(other),
        }
    }
    shared.check_goes_on()?;
    Err(last.into())
}

impl Shared {
    /// An error if the client is closed or must leave the server.
    pub(super) fn check_goes_on(&self) -> Result<(), CnxnError> {
        let state = self.state.lock();
        if state.is_abandoned {
            return Err(CnxnError::Closed);
        }
        if state.must_move { Err(CnxnError::Moves) } else { Ok(()) }
    }
}

/// Opens the session, and sends the server the state of the session again (Java: primeConnection, onConnected).
fn establish(
    shared: &Shared,
    mut stream: TcpStream,
    connect_timeout: Duration,
) -> Result<Connection, CnxnError> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(connect_timeout))?;
    stream.set_write_timeout(Some(millis(shared.config.session_timeout_ms)))?;
    let request = connect_request(shared);
    let bytes = request.to_bytes();
    stream.write_all(&[&length(bytes.len())[..], &bytes].concat())?;
    let mut frames = FrameReader::default();
    let deadline = time::now() + connect_timeout;
    let body = loop {
        match frames.next(&mut stream)? {
            Some(body) => break body,
            None if time::now() >= deadline => return Err(CnxnError::Silent(connect_timeout)),
            None => {}
        }
    };
    let response = connect_response(&body)?;
    if response.time_out <= 0 {
        let mut state = shared.state.lock();
        state.states = States::Closed;
        return Err(CnxnError::SessionExpired(state.session_id));
    }
    shared.check_goes_on()?;
    shared.host_provider.on_connected();
    let output = stream.try_clone()?;
    let read_timeout = millis(response.time_out) * 2 / 3;
    info!(
        target: LOG,
        "Session establishment complete on server {}, session id = {}, negotiated timeout = {}{}",
        stream.peer_addr()?,
        response.session_id,
        response.time_out,
        if response.read_only { " (READ-ONLY mode)" } else { "" }
    );
    take_over(shared, output, response)?;
    Ok(Connection { stream, frames, read_timeout })
}

fn connect_request(shared: &Shared) -> ConnectRequest {
    let state = shared.state.lock();
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: state.last_zxid,
        time_out: shared.config.session_timeout_ms,
        session_id: if state.seen_rw_server_before { state.session_id } else { SessionId(0) },
        passwd: Some(state.passwd.clone()),
        read_only: shared.config.can_be_read_only,
    }
}

/// Only servers since 3.4 send the last byte (Java: ProtocolManager.deserializeConnectResponse).
fn connect_response(body: &[u8]) -> Result<ConnectResponse, InputError> {
    let limits = crate::jute::Limits::default();
    let with_read_only =
        |body: &[u8]| ConnectResponse::deserialize(&mut BinaryInputArchive::new(body, limits));
    match with_read_only(body) {
        Err(error) if error.is_end_of_input() => with_read_only(&[body, &[0]].concat()),
        result => result,
    }
}

/// Uses the connection for the client from now on. Sends credentials and watches first, then the packets that have
/// waited.
fn take_over(
    shared: &Shared,
    stream: TcpStream,
    response: ConnectResponse,
) -> Result<(), CnxnError> {
    let mut output = shared.output.lock();
    let mut state = shared.state.lock();
    if state.is_abandoned {
        return Err(CnxnError::Closed);
    }
    if state.must_move {
        return Err(CnxnError::Moves);
    }
    state.session_id = response.session_id;
    state.passwd = response.passwd.unwrap_or_default();
    state.negotiated_timeout_ms = response.time_out;
    state.seen_rw_server_before |= !response.read_only;
    state.last_send = time::now();
    let keeper_state = if response.read_only {
        state.states = States::ConnectedReadOnly;
        KeeperState::ConnectedReadOnly
    } else {
        state.states = States::Connected;
        KeeperState::SyncConnected
    };
    let mut bytes = Vec::new();
    let auth_waits = state.outgoing.iter().filter(|packet| packet.op == OpCode::Auth).count();
    // Credentials that still wait to be sent for the first time are the last ones in the list.
    let known = state.auth_info.len() - auth_waits.min(state.auth_info.len());
    for packet in &state.auth_info[..known] {
        bytes.extend(super::packet::frame(xids::AUTH, OpCode::Auth, &packet.to_bytes()));
    }
    state.pending_auth.extend(std::iter::repeat_with(|| None).take(known));
    let last_zxid = state.last_zxid;
    let waiting: Vec<Packet> = state.outgoing.drain(..).collect();
    drop(state);
    bytes.extend(watches_again(shared, last_zxid));
    // This event comes before any answer, so that events come in the order in which things happened.
    shared.tell(ClientEvent::of_state(keeper_state));
    let mut state = shared.state.lock();
    for packet in waiting {
        let frame = state.send(packet);
        bytes.extend(frame);
    }
    drop(state);
    *output = Some(stream);
    shared.write(&mut output, &bytes);
    drop(output);
    shared.changed.notify_all();
    Ok(())
}

fn watches_again(shared: &Shared, last_zxid: Zxid) -> Vec<u8> {
    let chroot = shared.chroot_path.as_deref();
    // In Java, the watch on the configuration is lost here if the client has a chroot, which does not apply to it.
    let chroot_of = |path: &str| chroot.filter(|_| path != CONFIG_NODE);
    let requests =
        shared.watches.lock().set_watches(last_zxid, |path| prepend_chroot(chroot_of(path), path));
    let mut bytes = Vec::new();
    for request in requests {
        let (op, payload) = if request.persistent_watches.is_empty()
            && request.persistent_recursive_watches.is_empty()
        {
            let request = SetWatches {
                relative_zxid: request.relative_zxid,
                data_watches: request.data_watches,
                exist_watches: request.exist_watches,
                child_watches: request.child_watches,
            };
            // Servers before 3.6 know only this request.
            (OpCode::SetWatches, request.to_bytes())
        } else {
            (OpCode::SetWatches2, request.to_bytes())
        };
        bytes.extend(super::packet::frame(xids::SET_WATCHES, op, &payload));
    }
    bytes
}

/// The path on the server (Java: prependChroot).
pub(crate) fn prepend_chroot(chroot: Option<&str>, path: &str) -> String {
    match chroot {
        Some(chroot) if path == "/" => chroot.to_owned(),
        Some(chroot) => format!("{chroot}{path}"),
        None => path.to_owned(),
    }
}

/// The path relative to the chroot (Java: stripChroot). The system's own nodes keep their full path.
pub(crate) fn strip_chroot(chroot: Option<&str>, path: &str) -> String {
    let Some(chroot) = chroot else { return path.to_owned() };
    match path.strip_prefix(chroot) {
        Some("") => "/".into(),
        Some(rest) => rest.to_owned(),
        None => {
            if !path.starts_with(ZOOKEEPER_NODE_SUBTREE) {
                warn!(
                    target: LOG,
                    "Got server path {path} which is not descendant of chroot path {chroot}."
                );
            }
            path.to_owned()
        }
    }
}

/// The search of a client of a read-only server for a server that takes writes (Java: pingRwServer).
struct RwServerSearch {
    asked: Instant,
    /// How long to wait before the next question. It doubles with each one.
    pause: Duration,
}

impl RwServerSearch {
    fn new() -> Self {
        Self { asked: time::now(), pause: MIN_PING_RW_TIMEOUT }
    }

    fn until_next(&self) -> Duration {
        self.pause.saturating_sub(self.asked.elapsed())
    }

    /// Asks the next server. Returns the server if it takes writes.
    fn ping_rw_server(&mut self, shared: &Shared) -> Option<HostPort> {
        let server = shared.host_provider.next().server;
        debug!(target: LOG, "Checking server {server} for being r/w.");
        let (host, port) = (&server.host, server.port);
        let answer = send_4_letter_word_within(host, port, "isro", PING_RW_SOCKET_TIMEOUT);
        self.pause = (self.pause * 2).min(MAX_PING_RW_TIMEOUT);
        self.asked = time::now();
        match answer {
            Ok(answer) if answer.trim_end() == "rw" => Some(server),
            Ok(_) => None,
            Err(error) => {
                debug!(target: LOG, "cannot ask {server}: {error}");
                None
            }
        }
    }
}

/// Reads replies and events until the connection ends.
fn serve(
    shared: &Shared,
    mut connection: Connection,
    last_heard: &mut Instant,
) -> Result<(), CnxnError> {
    *last_heard = time::now();
    let is_read_only = shared.state.lock().states == States::ConnectedReadOnly;
    let mut search = is_read_only.then(RwServerSearch::new);
    loop {
        if let Some(search) = &mut search
            && search.until_next().is_zero()
            && let Some(server) = search.ping_rw_server(shared)
        {
            return Err(CnxnError::RwServerFound(server));
        }
        let until_ping = until_ping(shared, connection.read_timeout);
        if until_ping.is_zero() {
            shared.send_unnumbered(xids::PING, OpCode::Ping, &[]);
            continue;
        }
        let silent = last_heard.elapsed();
        let Some(until_lost) = connection.read_timeout.checked_sub(silent) else {
            return Err(CnxnError::Silent(silent));
        };
        let until_search = search.as_ref().map_or(until_lost, RwServerSearch::until_next);
        // A timeout of zero would disable the timeout.
        let timeout = until_ping.min(until_lost).min(until_search).max(Duration::from_millis(1));
        connection.stream.set_read_timeout(Some(timeout))?;
        if let Some(body) = connection.frames.next(&mut connection.stream)? {
            *last_heard = time::now();
            process(shared, &body)?;
            while let Some(body) = connection.frames.buffered()? {
                process(shared, &body)?;
            }
        }
    }
}

fn until_ping(shared: &Shared, read_timeout: Duration) -> Duration {
    let idle = shared.state.lock().last_send.elapsed();
    // As in Java: the first ping is early enough that a second one can follow if the first is lost.
    let early = if idle > Duration::from_secs(1) { Duration::from_secs(1) } else { Duration::ZERO };
    (read_timeout / 2).min(MAX_SEND_PING_INTERVAL).saturating_sub(idle + early)
}

/// Processes one frame (Java: readResponse).
fn process(shared: &Shared, frame: &[u8]) -> Result<(), CnxnError> {
    let mut archive = BinaryInputArchive::new(frame, shared.config.limits);
    let header = ReplyHeader::deserialize(&mut archive)?;
    match header.xid {
        xids::PING | xids::SET_WATCHES => Ok(()),
        xids::AUTH => process_auth(shared, &header),
        xids::NOTIFICATION => {
            let event = WatcherEvent::deserialize(&mut archive)?;
            notify(shared, &event, header.zxid);
            Ok(())
        }
        _ => process_reply(shared, &header, archive.into_input()),
    }
}

fn process_auth(shared: &Shared, header: &ReplyHeader) -> Result<(), CnxnError> {
    let mut state = shared.state.lock();
    // No thread waits for credentials that were sent again after a reconnect.
    let packet = state.pending_auth.pop_front().flatten();
    let has_failed = header.err == KeeperError::AuthFailed.code();
    if has_failed {
        state.states = States::AuthFailed;
    }
    drop(state);
    if has_failed {
        shared.tell(ClientEvent::of_state(KeeperState::AuthFailed));
    }
    if let Some(packet) = packet {
        packet.finish(Ok(Reply { zxid: header.zxid, err: header.err, body: Vec::new() }));
    }
    if has_failed { Err(CnxnError::AuthFailed) } else { Ok(()) }
}

fn notify(shared: &Shared, event: &WatcherEvent, zxid: Zxid) {
    let (Some(event_type), Some(keeper_state)) =
        (EventType::from_code(event.r#type), KeeperState::from_code(event.state))
    else {
        warn!(target: LOG, "unknown event type {} or state {}", event.r#type, event.state);
        return;
    };
    let path = strip_chroot(shared.chroot_path.as_deref(), &event.path);
    shared.watches.lock().fired(event_type, &path);
    let event = ClientEvent { event_type, keeper_state, path: Some(path), zxid };
    debug!(target: LOG, "Got {event}");
    shared.tell(event);
}

fn process_reply(shared: &Shared, header: &ReplyHeader, body: &[u8]) -> Result<(), CnxnError> {
    let mut state = shared.state.lock();
    let mut packet = state.pending.pop_front().ok_or(CnxnError::NothingAsked(header.xid))?;
    if packet.xid != header.xid {
        let expected = packet.xid;
        drop(state);
        packet.finish(Err(KeeperError::ConnectionLoss));
        return Err(CnxnError::XidOutOfOrder { got: header.xid, err: header.err, expected });
    }
    if header.zxid > Zxid::ZERO {
        state.last_zxid = header.zxid;
    }
    drop(state);
    if let Some(watch) = packet.watch.take() {
        shared.watches.lock().register(watch, header.err);
    }
    packet.finish(Ok(Reply { zxid: header.zxid, err: header.err, body: body.to_vec() }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_below_the_chroot() {
        for (chroot, client, server) in
            [(None, "/a", "/a"), (Some("/app"), "/a", "/app/a"), (Some("/app"), "/", "/app")]
        {
            assert_eq!(prepend_chroot(chroot, client), server);
            assert_eq!(strip_chroot(chroot, server), client);
        }
        assert_eq!(strip_chroot(Some("/app"), "/zookeeper/config"), "/zookeeper/config");
    }

    #[test]
    fn a_connect_response_may_lack_its_last_byte() {
        let response = ConnectResponse {
            time_out: 5,
            session_id: SessionId(7),
            passwd: Some(vec![1; 16]),
            read_only: true,
            ..ConnectResponse::default()
        };
        let bytes = response.to_bytes();
        assert_eq!(connect_response(&bytes).unwrap(), response);
        let old = connect_response(&bytes[..36]).unwrap();
        assert_eq!(old, ConnectResponse { read_only: false, ..response });
    }
}
