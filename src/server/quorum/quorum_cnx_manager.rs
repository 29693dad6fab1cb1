//! One connection between each two servers, for elections (Java: server/quorum/QuorumCnxManager.java).
//!
//! The server with the larger id keeps its connection; the other one says who it is, hangs up and waits to be called.
//! What is to be said to a server waits in a queue of one: the newest message replaces the one before, and the last one that
//! was sent is said again on a new connection.
//!
//! Threads: `ListenerHandler-ADDR` accepts; `QuorumConnectionThread-[myid=N]-I` greets or is greeted, and is gone then;
//! `SendWorker:SID` and `RecvWorker:SID` for each connection. All are joined by [`halt`](QuorumCnxManager::halt).
//! Locks: `Leaf`, for an instant; nobody is called under it.
//!
//! The face: queues and connections. `connections` makes connections, `workers` uses them, `listener` accepts them,
//! [`initial_message`] is what is said first.
//!
//! Differs from Java: greetings are awaited by threads of their own, so that a connection that says nothing keeps nobody out;
//! when too many say nothing, the oldest goes. Host names are looked up by the thread that connects. A server that is no
//! member is talked to, but only so many of them. While a configuration is being replaced, both its addresses of a server
//! are tried, and those of the configuration after the one that a greeting names. Who greets while he is being called in vain
//! is called again, where Java waits until he greets once more.

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

/// Messages that wait to be read (Java: RECV_CAPACITY).
const RECV_CAPACITY: usize = 100;

/// The longest message, in bytes (Java: PACKETMAXSIZE).
pub const PACKET_MAX_SIZE: i32 = 1024 * 512;

/// Servers that are no members and are talked to all the same: those that are about to become members.
const MAX_STRANGERS: usize = 64;

/// What a server has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its words.
    pub bytes: Arc<[u8]>,
    /// The server.
    pub sid: Sid,
}

/// What is kept for another server.
#[derive(Default)]
struct PeerQueue {
    /// What is to be said next (Java: queueSendMap).
    next: Option<Arc<[u8]>>,
    /// What was said last (Java: lastMessageSent).
    last_sent: Option<Arc<[u8]>>,
    /// The connection (Java: senderWorkerMap).
    connection: Option<Arc<Connection>>,
}

/// A connection whose greeting is awaited.
struct Greeting {
    number: u64,
    ip: IpAddr,
    stream: Arc<TcpStream>,
}

#[derive(Default)]
struct Table {
    peers: BTreeMap<Sid, PeerQueue>,
    /// Servers that are being called (Java: inprogressConnections).
    connecting: BTreeSet<Sid>,
    /// Where such servers have said to be meanwhile: there they are called next.
    greeted_meanwhile: BTreeMap<Sid, MultipleAddresses>,
    /// Connections whose greeting is awaited, the oldest first.
    greetings: Vec<Greeting>,
    /// From where connections came of late.
    recent: RecentArrivals,
    threads: Vec<JoinHandle<()>>,
    is_halted: bool,
}

/// The connections.
pub struct QuorumCnxManager {
    me: Weak<Self>,
    peer: Arc<dyn ElectionPeer>,
    my_id: Sid,
    settings: ElectionSettings,
    table: RankedMutex<Table>,
    /// Something has changed for those who send.
    changed: RankedCondvar,
    recv_queue: CircularBlockingQueue<Message>,
    listener: Listener,
    next_thread: AtomicU64,
    observer_counter: AtomicI64,
    is_halted: AtomicBool,
}

impl QuorumCnxManager {
    /// A manager without connections. It keeps the peer until both are let go; the peer lets it go when it ends.
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

    /// Begins to accept connections (Java: listener.start). A port that cannot be bound is tried again, and ends the process
    /// in the end.
    ///
    /// # Errors
    /// When the system has no room for the threads.
    pub fn start(&self) -> io::Result<()> {
        self.start_listener()
    }

    /// Says something to a server; to this one, too. Never waits: a server without a connection is called meanwhile (Java:
    /// toSend).
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

    /// The next message of any server; `None` when there is none in that time or the manager is halted (Java: pollRecvQueue).
    pub fn poll_recv_queue(&self, timeout: Duration) -> Option<Message> {
        self.recv_queue.poll(timeout)
    }

    /// Calls a server unless there is a connection. Returns at once; another thread calls (Java: connectOne).
    pub fn connect_one(&self, sid: Sid) {
        self.call(sid, None);
    }

    /// Calls all servers to which something was said (Java: connectAll).
    pub fn connect_all(&self) {
        let sids: Vec<Sid> = self.table.lock().peers.keys().copied().collect();
        for sid in sids {
            self.connect_one(sid);
        }
    }

    /// Whether some server has got all that it was to be told (Java: haveDelivered).
    #[must_use]
    pub fn have_delivered(&self) -> bool {
        self.table.lock().peers.values().any(|peer| peer.next.is_none())
    }

    /// Whether there is a connection to that server (Java: connectedToPeer).
    #[must_use]
    pub fn is_connected_to(&self, sid: Sid) -> bool {
        self.table.lock().peers.get(&sid).is_some_and(|peer| peer.connection.is_some())
    }

    /// How many connections there are.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.table.lock().peers.values().filter(|peer| peer.connection.is_some()).count()
    }

    /// How many threads work for it (Java: getThreadCount and getConnectionThreadCount).
    #[must_use]
    pub fn thread_count(&self) -> usize {
        self.table.lock().threads.iter().filter(|thread| !thread.is_finished()).count()
    }

    /// Ends it: closes all connections and joins all threads. A second call is harmless; never called by one of its threads.
    pub fn halt(&self) {
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
        greetings.iter().for_each(|greeting| workers::shut_down(&greeting.stream));
        self.recv_queue.close();
        loop {
            // One that was about to end may have started another before it saw the end.
            let threads = std::mem::take(&mut self.table.lock().threads);
            if threads.is_empty() {
                break;
            }
            threads.into_iter().for_each(zookeeper_thread::join);
        }
    }

    /// Whether it has been ended.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.is_halted.load(Ordering::Acquire)
    }

    /// Whether that server is a member, now or next.
    fn is_member(&self, sid: Sid) -> bool {
        let is_in_next = || {
            let next = self.peer.last_seen_quorum_verifier();
            next.is_some_and(|next| next.members().servers.contains_key(&sid))
        };
        self.peer.quorum_verifier().members().servers.contains_key(&sid) || is_in_next()
    }

    /// Starts a thread that [`halt`](Self::halt) joins; under the lock, so that it is joined even if it comes late.
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
}
