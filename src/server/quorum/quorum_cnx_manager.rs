//! One connection between any two servers, for elections (Java: server/quorum/QuorumCnxManager.java).
//!
//! The server with the larger id keeps the connection that it opened. The other one sends its initial message, closes
//! the connection and waits to be called. The queue of messages to a server holds one message: a newer message
//! replaces it. The last message sent is sent again on a new connection.
//!
//! Threads: `ListenerHandler-ADDR` accepts. `QuorumConnectionThread-[myid=N]-I` opens a connection, and
//! `QuorumConnectionReceiverThread-ADDR` waits for the initial message of an accepted one; both then end.
//! `SendWorker:SID` and `RecvWorker:SID` serve each connection. [`halt`](QuorumCnxManager::halt) joins all threads.
//! Locks: `Leaf`, held briefly; nothing else is called under it.
//!
//! This file holds the public interface with the queues. `connections` opens connections, `workers` uses them,
//! `listener` accepts them, [`initial_message`] is the first message on each.
//!
//! Differs from Java: Separate threads wait for initial messages, so a silent connection keeps nobody out; if too
//! many are silent, the oldest is closed. The connecting thread resolves host names. Servers that are not members are
//! accepted, but only a limited number. While a configuration is being replaced, a server is tried at its addresses
//! in both configurations, after the address in its initial message. A server whose initial message arrives during a
//! failing connection attempt is called again at once; Java waits for its next message.
//!
//! Elsewhere: receiveConnectionAsync is `receive_connection`, softHalt is a part of `halt`, addToSendQueue and
//! pollSendQueue are the field `PeerQueue::next`, addToRecvQueue is `recv_queue.offer`.

mod connect;
mod connections;
pub mod initial_message;
mod listener;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use log::{debug, error};

use self::listener::Listener;
use self::workers::Connection;
use super::election::{ElectionPeer, ElectionSettings};
use super::multiple_addresses::MultipleAddresses;
use crate::ids::Sid;
use crate::server::strangers::RecentArrivals;
use crate::server::zookeeper_thread;
use crate::util::circular_blocking_queue::CircularBlockingQueue;
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.QuorumCnxManager";

/// The capacity of the queue of received messages (Java: RECV_CAPACITY).
const RECV_CAPACITY: usize = 100;

/// The longest message, in bytes (Java: PACKETMAXSIZE).
pub(crate) const PACKET_MAX_SIZE: i32 = 1024 * 512;

/// The limit of connected servers that are not members, such as those that are about to join.
const MAX_STRANGERS: usize = 64;

/// A message from a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The message.
    pub bytes: Arc<[u8]>,
    /// The sender.
    pub sid: Sid,
}

/// The messages to another server, and the connection to it.
#[derive(Default)]
struct PeerQueue {
    /// The next message to send (Java: queueSendMap).
    next: Option<Arc<[u8]>>,
    /// The last message sent (Java: lastMessageSent).
    last_sent: Option<Arc<[u8]>>,
    /// The connection (Java: senderWorkerMap).
    connection: Option<Arc<Connection>>,
}

/// An accepted connection whose initial message is awaited.
struct Greeting {
    number: u64,
    ip: IpAddr,
    stream: Arc<TcpStream>,
}

#[derive(Default)]
struct Table {
    peers: BTreeMap<Sid, PeerQueue>,
    /// Servers to which a connection is being opened (Java: inprogressConnections).
    connecting: BTreeSet<Sid>,
    /// The addresses that such servers have sent meanwhile; they are tried next.
    greeted_meanwhile: BTreeMap<Sid, MultipleAddresses>,
    /// The accepted connections whose initial message is awaited, oldest first.
    greetings: Vec<Greeting>,
    /// The source addresses of recent connections.
    recent: RecentArrivals,
    threads: Vec<JoinHandle<()>>,
    is_halted: bool,
}

/// The connections for elections.
pub struct QuorumCnxManager {
    me: Weak<Self>,
    peer: Arc<dyn ElectionPeer>,
    my_id: Sid,
    settings: ElectionSettings,
    table: RankedMutex<Table>,
    /// Wakes the senders after a change in the table.
    changed: RankedCondvar,
    recv_queue: CircularBlockingQueue<Message>,
    listener: Listener,
    next_thread: AtomicU64,
    observer_counter: AtomicI64,
    is_halted: AtomicBool,
}

impl QuorumCnxManager {
    /// A manager without connections. It keeps `peer` alive; the peer drops the manager when it ends.
    #[must_use]
    pub fn new(peer: Arc<dyn ElectionPeer>) -> Arc<Self> {
        let settings = peer.election_settings();
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            my_id: peer.my_id(),
            table: RankedMutex::new(Rank::Leaf, "connections of elections", Table::default()),
            changed: RankedCondvar::new(),
            recv_queue: CircularBlockingQueue::new(RECV_CAPACITY),
            listener: Listener::new(Arc::clone(peer.clock())),
            next_thread: AtomicU64::new(1),
            observer_counter: AtomicI64::new(-1),
            is_halted: AtomicBool::new(false),
            settings,
            peer,
        })
    }

    /// Starts to accept connections (Java: listener.start). Binding the port is retried; if it finally fails, the
    /// process ends.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(&self) -> io::Result<()> {
        self.start_listener()
    }

    /// Starts a thread that [`halt`](Self::halt) joins. Called under the lock, so that even a late thread is joined.
    fn spawn(
        &self,
        table: &mut Table,
        name: &str,
        body: impl FnOnce(Arc<Self>) + Send + 'static,
    ) -> bool {
        let Some(this) = self.me.upgrade() else { return false };
        let thread = zookeeper_thread::spawn(name, None, move || {
            body(this);
            Ok::<(), io::Error>(())
        });
        match thread {
            Ok(thread) => {
                table.threads.retain(|thread| !thread.is_finished());
                table.threads.push(thread);
                true
            }
            Err(problem) => {
                error!(target: LOG, "no thread for {name}: {problem}");
                false
            }
        }
    }

    /// Queues a message to a server, or to this one. Never blocks; if there is no connection, one is opened in the
    /// background (Java: toSend).
    pub fn to_send(&self, sid: Sid, message: Arc<[u8]>) {
        if sid == self.my_id {
            self.recv_queue.offer(Message { bytes: message, sid });
            return;
        }
        let is_member = self.is_member(sid);
        {
            let mut table = self.table.lock();
            if !is_member && !table.peers.contains_key(&sid) {
                debug!(target: LOG, "nobody knows where server {sid} is: it has to call again");
                return;
            }
            table.peers.entry(sid).or_default().next = Some(message);
            self.changed.notify_all();
        }
        self.connect_one(sid);
    }

    /// Connects to a server unless there is a connection. Returns at once; another thread connects (Java:
    /// connectOne).
    pub fn connect_one(&self, sid: Sid) {
        self.initiate_connection_async(sid, None);
    }

    /// Connects to all servers for which a message was ever queued (Java: connectAll).
    pub fn connect_all(&self) {
        let sids: Vec<Sid> = self.table.lock().peers.keys().copied().collect();
        for sid in sids {
            self.connect_one(sid);
        }
    }

    /// Whether the message for at least one server was sent (Java: haveDelivered).
    #[must_use]
    pub fn have_delivered(&self) -> bool {
        self.table.lock().peers.values().any(|peer| peer.next.is_none())
    }

    /// Closes all connections and joins all threads. A second call is harmless. Must not be called on one of its
    /// threads.
    pub fn halt(&self) {
        self.stop();
        loop {
            // A thread that was about to end may have started another one before it saw the halt.
            let threads = std::mem::take(&mut self.table.lock().threads);
            if threads.is_empty() {
                break;
            }
            threads.into_iter().for_each(zookeeper_thread::join);
        }
    }

    /// Closes all connections and tells all threads to end, without waiting for them. A second call is harmless.
    pub fn stop(&self) {
        debug!(target: LOG, "Halting listener");
        self.is_halted.store(true, Ordering::Release);
        self.listener.halt();
        let (connections, greetings) = {
            let mut table = self.table.lock();
            table.is_halted = true;
            let connections: Vec<Arc<Connection>> =
                table.peers.values_mut().filter_map(|peer| peer.connection.take()).collect();
            self.changed.notify_all();
            (connections, std::mem::take(&mut table.greetings))
        };
        connections.iter().for_each(|connection| connection.close());
        greetings.iter().for_each(|greeting| workers::close_socket(&greeting.stream));
        self.recv_queue.close();
    }

    /// Whether the manager was halted.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.is_halted.load(Ordering::Acquire)
    }

    /// The number of connections.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.table.lock().peers.values().filter(|peer| peer.connection.is_some()).count()
    }

    /// The number of its running threads (Java: getThreadCount and getConnectionThreadCount).
    #[must_use]
    pub fn thread_count(&self) -> usize {
        self.table.lock().threads.iter().filter(|thread| !thread.is_finished()).count()
    }

    /// Whether the server is a member of the current or the last seen configuration.
    fn is_member(&self, sid: Sid) -> bool {
        self.peer.quorum_verifier().is_member(sid)
            || self.peer.last_seen_quorum_verifier().is_some_and(|next| next.is_member(sid))
    }

    /// The next message from any server; `None` after the timeout or when the manager is halted (Java:
    /// pollRecvQueue).
    pub fn poll_recv_queue(&self, timeout: Duration) -> Option<Message> {
        self.recv_queue.poll(timeout)
    }

    /// Whether there is a connection to that server (Java: connectedToPeer).
    #[must_use]
    pub fn connected_to_peer(&self, sid: Sid) -> bool {
        self.table.lock().peers.get(&sid).is_some_and(|peer| peer.connection.is_some())
    }
}
