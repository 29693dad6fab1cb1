//! Sends and receives on one connection (Java: SendWorker and RecvWorker of server/quorum/QuorumCnxManager.java).
//!
//! Threads: `SendWorker:SID`, `RecvWorker:SID`. When one of them ends, the other one does. Locks: the manager's table.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use byteorder::{BigEndian, ReadBytesExt};
use log::{debug, warn};

use super::{LOG, MAX_STRANGERS, Message, PACKET_MAX_SIZE, QuorumCnxManager, Table};
use crate::common::net_utils::{self, InetSocketAddress};
use crate::ids::Sid;
use crate::server::descriptor_reserve::Descriptors;
use crate::server::quorum::flexible::quorum_verifier::QuorumVerifier;
use crate::server::quorum::multiple_addresses::MultipleAddresses;

/// The timeout for checking whether the host of a connection is reachable.
const VALIDATION_TIMEOUT: Duration = Duration::from_millis(500);

/// A connection to another server.
pub(super) struct Connection {
    pub(super) sid: Sid,
    stream: TcpStream,
    /// When the last complete message was received, or else when the connection was made.
    heard_ms: AtomicI64,
    is_running: AtomicBool,
    /// A check of its host is in progress (Java: ongoingAsyncValidation).
    is_validated: AtomicBool,
}

impl Connection {
    fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Acquire)
    }

    /// Closes the connection; both workers notice.
    pub(super) fn close(&self) {
        self.is_running.store(false, Ordering::Release);
        close_socket(&self.stream);
    }

    /// Sends a message with its length, in one write.
    fn send(&self, message: &[u8]) -> io::Result<()> {
        let length = i32::try_from(message.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a message is too long"))?;
        let mut stream = &self.stream;
        stream.write_all(&[&length.to_be_bytes()[..], message].concat())
    }
}

/// Shuts a socket down in both directions.
pub(super) fn close_socket(stream: &TcpStream) {
    if let Err(problem) = stream.shutdown(Shutdown::Both) {
        debug!(target: LOG, "Exception while closing: {problem}");
    }
}

impl QuorumCnxManager {
    /// Starts to use a connection, in place of the previous one.
    pub(super) fn start_workers(&self, sid: Sid, stream: TcpStream) {
        let members = self.peer.quorum_verifier();
        let is_member = self.is_member(sid);
        if let Err(problem) = stream.set_read_timeout(None) {
            warn!(target: LOG, "Error while accessing socket for {sid}: {problem}");
            return;
        }
        let connection = Arc::new(Connection {
            sid,
            stream,
            heard_ms: AtomicI64::new(self.peer.clock().elapsed_ms()),
            is_running: AtomicBool::new(true),
            is_validated: AtomicBool::new(false),
        });
        let replaced = {
            let mut table = self.table.lock();
            if table.is_halted {
                return;
            }
            if !is_member {
                if Descriptors::now().is_reserved(&connection.stream) {
                    drop(table);
                    warn!(
                        target: LOG,
                        "server {sid} is no member of the ensemble, and few descriptors are left: closing its connection"
                    );
                    connection.close();
                    return;
                }
                make_room(&mut table, &*members, sid);
            }
            let replaced =
                table.peers.entry(sid).or_default().connection.replace(Arc::clone(&connection));
            self.changed.notify_all();
            self.spawn_workers(&mut table, &connection);
            replaced
        };
        if let Some(replaced) = replaced {
            replaced.close();
        }
    }

    fn spawn_workers(&self, table: &mut Table, connection: &Arc<Connection>) {
        let sid = connection.sid;
        let (sending, receiving) = (Arc::clone(connection), Arc::clone(connection));
        let both = self
            .spawn(table, &format!("SendWorker:{sid}"), move |this| this.run_send(&sending))
            && self.spawn(table, &format!("RecvWorker:{sid}"), move |this| {
                this.run_receive(&receiving);
            });
        if !both {
            connection.close();
            if let Some(peer) = table.peers.get_mut(&sid) {
                peer.connection = None;
            }
        }
    }

    /// Closes a connection and ends its other worker.
    pub(super) fn finish(&self, connection: &Arc<Connection>) {
        connection.close();
        let is_member = self.is_member(connection.sid);
        let mut table = self.table.lock();
        if let Some(peer) = table.peers.get_mut(&connection.sid)
            && peer.connection.as_ref().is_some_and(|now| Arc::ptr_eq(now, connection))
        {
            peer.connection = None;
            if !is_member {
                table.peers.remove(&connection.sid);
            }
        }
        self.changed.notify_all();
    }

    fn run_send(&self, connection: &Arc<Connection>) {
        let (sid, my_id) = (connection.sid, self.my_id);
        debug!(target: LOG, "SendWorker thread started towards {sid}. myId: {my_id}");
        let mut is_first = true;
        while let Some(message) = self.next_message(connection, is_first) {
            is_first = false;
            if let Err(problem) = connection.send(&message) {
                warn!(
                    target: LOG,
                    "Exception when using channel: for id {sid} my id = {my_id}: {problem}"
                );
                break;
            }
        }
        self.finish(connection);
        warn!(target: LOG, "Send worker leaving thread id {sid} my id = {my_id}");
    }

    /// The next message to send; on a new connection, the last message again if there is no newer one. `None` when
    /// the connection must end.
    fn next_message(&self, connection: &Arc<Connection>, is_first: bool) -> Option<Arc<[u8]>> {
        let mut table = self.table.lock();
        loop {
            if table.is_halted || !connection.is_running() {
                return None;
            }
            let peer = table.peers.get_mut(&connection.sid)?;
            if !peer.connection.as_ref().is_some_and(|now| Arc::ptr_eq(now, connection)) {
                return None;
            }
            if let Some(message) = peer.next.take() {
                peer.last_sent = Some(Arc::clone(&message));
                return Some(message);
            }
            if is_first && let Some(last) = &peer.last_sent {
                debug!(target: LOG, "Attempting to send lastMessage to sid={}", connection.sid);
                return Some(Arc::clone(last));
            }
            self.changed.wait(&mut table);
        }
    }

    /// Closes a connection if its host is not reachable any more, so that another address of the server is tried.
    /// Another thread does the check (Java: asyncValidateIfSocketIsStillReachable).
    pub(super) fn async_validate_if_socket_is_still_reachable(
        &self,
        table: &mut Table,
        connection: &Arc<Connection>,
    ) {
        let sid = connection.sid;
        if connection.is_validated.swap(true, Ordering::AcqRel) {
            debug!(target: LOG, "the host of the connection to sid {sid} is being asked already");
            return;
        }
        let connection = Arc::clone(connection);
        self.spawn(table, &format!("QuorumConnectionValidation:{sid}"), move |this| {
            if is_host_reachable(&connection.stream) {
                connection.is_validated.store(false, Ordering::Release);
                return;
            }
            warn!(
                target: LOG,
                "destination address not reachable anymore, shutting down the SendWorker for sid {sid}"
            );
            this.finish(&connection);
        });
    }

    fn run_receive(&self, connection: &Arc<Connection>) {
        let (sid, my_id) = (connection.sid, self.my_id);
        debug!(target: LOG, "RecvWorker thread towards {sid} started. myId: {my_id}");
        let mut input = BufReader::new(&connection.stream);
        while connection.is_running() && !self.is_halted() {
            match read_message(&mut input) {
                Ok(bytes) => {
                    connection.heard_ms.store(self.peer.clock().elapsed_ms(), Ordering::Relaxed);
                    self.recv_queue.offer(Message { bytes, sid });
                }
                Err(problem) => {
                    if !self.is_halted() {
                        warn!(
                            target: LOG,
                            "Connection broken for id {sid}, my id = {my_id}: {problem}"
                        );
                    }
                    break;
                }
            }
        }
        debug!(
            target: LOG,
            "Interrupting SendWorker thread from RecvWorker. sid: {sid}. myId: {my_id}"
        );
        self.finish(connection);
    }
}

/// Makes room for a server that is not a member. If too many of these are connected, the one whose last complete
/// message is oldest is disconnected.
fn make_room(table: &mut Table, members: &dyn QuorumVerifier, newcomer: Sid) {
    let members = &members.members().servers;
    let strangers = table.peers.iter().filter_map(|(sid, peer)| {
        let is_stranger = *sid != newcomer && !members.contains_key(sid);
        peer.connection.as_ref().filter(|_| is_stranger)
    });
    let mut strangers: Vec<_> = strangers.map(Arc::clone).collect();
    if strangers.len() < MAX_STRANGERS {
        return;
    }
    strangers.sort_by_key(|connection| connection.heard_ms.load(Ordering::Relaxed));
    let Some(longest) = strangers.first() else { return };
    warn!(
        target: LOG,
        "server {newcomer} is no member of the ensemble, and there are connections to {MAX_STRANGERS} such servers \
         already: closing the one of server {}, which has said nothing for longest",
        longest.sid
    );
    longest.close();
    // Its workers notice, and end.
    table.peers.remove(&longest.sid);
}

fn is_host_reachable(stream: &TcpStream) -> bool {
    let Ok(remote) = stream.peer_addr() else { return false };
    let host = net_utils::socket_host_address(remote);
    let address = InetSocketAddress::new(&host, remote.port(), &|_| None);
    MultipleAddresses::new([address], VALIDATION_TIMEOUT).reachable_address().is_some()
}

fn read_message(input: &mut impl Read) -> io::Result<Arc<[u8]>> {
    let length = input.read_i32::<BigEndian>()?;
    let bytes = match usize::try_from(length) {
        Ok(bytes) if bytes > 0 && length <= PACKET_MAX_SIZE => bytes,
        _ => {
            let what = format!("Received packet with invalid packet: {length}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
    };
    let mut message = vec![0; bytes];
    input.read_exact(&mut message)?;
    Ok(message.into())
}
