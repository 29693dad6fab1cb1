//! Accepts clients, and has each connection read by a thread of its own or by a selector (Java:
//! server/NIOServerCnxnFactory.java).
//!
//! The first connections (`nio.maxReaderThreads`) have a thread each, which answers a single client soonest. Selectors
//! read all others: a thread that serves many connections is woken less often for each request. When there are more
//! clients than half of the threads, connections that have a thread move to a selector, so that they are not served much
//! sooner than the others, unless their clients send many requests at a time. They do not move back. With
//! `BlockingServerCnxnFactory` as `serverCnxnFactory`, all connections have a thread.
//!
//! Threads: the acceptor `NIOServerCxnFactory.AcceptThread:ADDR` only takes connections from the system's queue, so
//! that the queue has space when thousands of clients connect at once. `NIOServerCxnFactory.AdmissionThread` applies
//! the limits and assigns the connections. `NIOServerCxnFactory.SelectorThread-N` read; if `nio.numWorkerThreads` is
//! set, `NIOWorkerThread-N` do so for them. `NIOLongReadThread-N` answer reads that take long. `SlowWriter` continues
//! sends to the full sockets of connections that have a thread. Shutdown joins all of them. Locks: the table of
//! connections, for short operations.
//!
//! When descriptors run out, the factory closes connections without a session: those from a crowded address first,
//! otherwise the oldest ones. It never closes a connection with a session for this reason.
//!
//! Elsewhere: doIO and what else concerns one connection is in `nio_server_cnxn`. Not here: the ConnectionExpirerThread,
//! because each selector closes its own connections.

mod config;
mod connection_table;
mod newcomers;
mod reader_threads;
pub(super) mod selector_thread;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use log::{debug, info, warn};
use socket2::SockRef;

pub(super) use self::config::BLOCKING_FACTORY;
pub use self::config::CnxnFactoryConfig;
use self::connection_table::ConnectionTable;
use self::newcomers::{Accepted, Newcomers, Verdict};
use self::reader_threads::ReaderThreads;
use self::selector_thread::SelectorThread;
use super::blocking_server_cnxn::{FirstTurns, Reader, Selectors};
use super::cnxn_socket::CnxnSocket;
use super::cnxn_socket::slow_writer::SlowWriter;
use super::command::abstract_four_letter_command::CommandContext;
use super::command::command_executor::CommandExecutor;
use super::connection_limits::{ConnectionLimits, ConnectionSlot, TooManyConnections};
use super::descriptor_reserve::{Descriptors, PatientAcceptor, max_readers};
use super::nio_server_cnxn::NIOServerCnxn;
use super::rate_logger::RateLogger;
use super::server_cnxn::{CnxnInput, DisconnectReason, ServerCnxn};
use super::server_cnxn_factory::ServerCnxnFactory;
use super::strangers::{LastPlace, MakesRoom, StrangerSlot, Strangers};
use super::worker_service::WorkerService;
use super::zookeeper_server::ZooKeeperServer;
use super::zookeeper_server_listener::ZooKeeperServerListener;
use super::{zookeeper_critical_thread, zookeeper_thread};
use crate::common::java_date;
use crate::common::time::Clock;
use crate::ids::SessionId;
use crate::util::listening_socket::{self, LARGEST_BACKLOG};
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.NIOServerCnxnFactory";

/// When descriptors are scarce, a connection without a session is not closed before it is this old, because its
/// client may be about to send a request, ms. Connections from a crowded address have no such grace period.
const GRACE_MS: i64 = 1_000;

/// The number of connections to close when a newcomer gets no place, or one of the last places.
const SHED_AT_ONCE: usize = 16;

/// How often the factory checks the connections that wait for a running server, ms.
const LOOK_INTERVAL_MS: i64 = 10;

/// How often the log repeats why connections are closed, ms.
const LOG_INTERVAL_MS: i64 = 10_000;

/// An accepted connection that has no reader yet.
struct Arrival {
    stream: TcpStream,
    remote: SocketAddr,
    stranger: StrangerSlot,
    last_place: Option<LastPlace>,
    /// When it was accepted, in elapsed time, ms.
    since_ms: i64,
}

/// A port that clients connect to.
struct Port {
    listener: TcpListener,
    local_address: SocketAddr,
    is_closed: AtomicBool,
}

impl Port {
    /// Accepts nothing more, and wakes the acceptor.
    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        if let Err(error) = listening_socket::shut_down(&self.listener) {
            debug!(target: LOG, "the acceptor was not woken: {error}");
        }
    }
}

/// What counts a connection as long as it is in the table.
struct Places {
    _slot: ConnectionSlot,
    _last_place: Option<LastPlace>,
}

/// Accepts clients and owns their connections.
pub struct NIOServerCnxnFactory {
    me: Weak<Self>,
    config: CnxnFactoryConfig,
    port: RankedMutex<Arc<Port>>,
    /// The way from acceptors to the admission, from the start to the shutdown.
    to_admission: RankedMutex<Option<Sender<Arrival>>>,
    clock: Clock,
    words: CommandExecutor,
    server: RankedMutex<Option<Arc<ZooKeeperServer>>>,
    table: ConnectionTable,
    limits: Arc<ConnectionLimits>,
    strangers: Arc<Strangers>,
    slow_writer: Arc<SlowWriter>,
    readers: Arc<ReaderThreads>,
    first_turns: FirstTurns,
    selectors: Vec<Arc<SelectorThread>>,
    workers: Option<Arc<WorkerService>>,
    long_reads: Arc<WorkerService>,
    next_selector: AtomicUsize,
    /// Since when there is no server, ms.
    unserved_since_ms: AtomicI64,
    stopped: AtomicBool,
    threads: RankedMutex<Vec<JoinHandle<()>>>,
}

impl NIOServerCnxnFactory {
    /// Binds the port. Clients are accepted after [`start`](Self::start).
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn new(
        config: CnxnFactoryConfig,
        words: CommandExecutor,
        clock: Clock,
    ) -> io::Result<Arc<Self>> {
        let max_readers = usize::try_from(max_readers()).unwrap_or(usize::MAX);
        let readers = ReaderThreads::new(config.reader_threads.min(max_readers));
        match config.selectors {
            0 => {
                info!(target: LOG, "Each connection has a thread, of which there are {} at most", readers.max())
            }
            selectors => info!(
                target: LOG,
                "Up to {} connections have a thread each; {selectors} selector thread(s) and {} worker threads \
                 read the others",
                readers.max(),
                config.workers
            ),
        }
        let port = bind(&config, config.address)?;
        let slow_writer = Arc::new(SlowWriter::new()?);
        let workers = (config.workers > 0).then(|| WorkerService::new("NIOWorker", config.workers));
        let readers = Arc::new(readers);
        let selectors = (0..config.selectors)
            .map(|_| SelectorThread::new(workers.clone(), Arc::clone(&readers)));
        let selectors = selectors.collect::<io::Result<_>>()?;
        let max_client_cnxns = usize::try_from(config.max_client_cnxns).unwrap_or(0);
        let limits = ConnectionLimits::new(config.max_cnxns, max_client_cnxns);
        Ok(Arc::new_cyclic(|me| Self {
            me: me.clone(),
            port: RankedMutex::new(Rank::Leaf, "client port", port),
            to_admission: RankedMutex::new(Rank::Leaf, "way to the admission", None),
            unserved_since_ms: AtomicI64::new(clock.elapsed_ms()),
            clock,
            words,
            server: RankedMutex::new(Rank::Leaf, "server of the connections", None),
            table: ConnectionTable::new(),
            limits,
            strangers: Strangers::new(),
            slow_writer,
            readers,
            first_turns: FirstTurns::default(),
            selectors,
            workers,
            long_reads: WorkerService::new("NIOLongRead", long_readers()),
            next_selector: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            threads: RankedMutex::new(Rank::Leaf, "threads of the connections", Vec::new()),
            config,
        }))
    }

    /// Starts to accept clients. `listener` ends the process if a selector fails.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(self: &Arc<Self>, listener: &Arc<dyn ZooKeeperServerListener>) -> io::Result<()> {
        #[expect(clippy::disallowed_methods, reason = "a socket each: the limit of open files")]
        let (sender, accepted) = unbounded();
        *self.to_admission.lock() = Some(sender);
        let this = Arc::clone(self);
        self.spawn("NIOServerCxnFactory.AdmissionThread", move || {
            this.admit_arrivals(&accepted);
            Ok(())
        })?;
        if let Some(workers) = &self.workers {
            workers.start(listener)?;
        }
        if !self.selectors.is_empty() {
            self.long_reads.start(listener)?;
        }
        for (number, selector) in self.selectors.iter().enumerate() {
            let name = format!("NIOServerCxnFactory.SelectorThread-{number}");
            let selector = Arc::clone(selector);
            // A selector prepares and applies requests. A panic may leave a change half applied.
            let listener = Arc::clone(listener);
            let thread = zookeeper_critical_thread::spawn(&name, listener, move || selector.run())?;
            self.threads.lock().push(thread);
        }
        self.start_accepting()?;
        let writer = Arc::clone(&self.slow_writer);
        self.spawn("SlowWriter", move || writer.run())
    }

    fn start_accepting(&self) -> io::Result<()> {
        let port = Arc::clone(&self.port.lock());
        let sender = self.to_admission.lock().clone();
        // Otherwise it is not started yet, or ends.
        let (Some(this), Some(sender)) = (self.me.upgrade(), sender) else { return Ok(()) };
        let name = format!("NIOServerCxnFactory.AcceptThread:{}", port.local_address);
        self.spawn(&name, move || {
            this.accept_loop(&port, &sender);
            Ok(())
        })
    }

    /// Listens at another address from now on. Connections that are open stay open (Java: reconfigure).
    ///
    /// # Errors
    /// When the address cannot be bound. The old one is kept (Java closes it).
    pub fn reconfigure(&self, address: SocketAddr) -> io::Result<()> {
        let old = Arc::clone(&self.port.lock());
        if old.local_address == address {
            info!(target: LOG, "port {address} is bound already");
            return Ok(());
        }
        let (port, problem) = match bind(&self.config, address) {
            Err(problem) if problem.kind() == io::ErrorKind::AddrInUse => {
                // The old address and the new one may overlap.
                old.close();
                match bind(&self.config, address) {
                    Ok(port) => (port, None),
                    Err(problem) => (bind(&self.config, old.local_address)?, Some(problem)),
                }
            }
            bound => (bound?, None),
        };
        *self.port.lock() = port;
        self.start_accepting()?;
        old.close();
        problem.map_or(Ok(()), Err)
    }

    fn spawn(
        &self,
        name: &str,
        body: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let thread = zookeeper_thread::spawn(name, None, body)?;
        let mut threads = self.threads.lock();
        // A client port that has moved leaves the acceptor of the old one.
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    fn accept_loop(&self, port: &Port, to_admission: &Sender<Arrival>) {
        let mut acceptor = PatientAcceptor::new(LOG, Arc::clone(&self.clock));
        let shed = RateLogger::with_interval(LOG, LOG_INTERVAL_MS, Arc::clone(&self.clock));
        let has_ended =
            || self.stopped.load(Ordering::Acquire) || port.is_closed.load(Ordering::Acquire);
        while !has_ended() {
            match acceptor.accept(&port.listener) {
                Ok(Some((stream, remote))) => {
                    let Some(arrival) = self.place(stream, remote, &shed) else {
                        self.count_rejected();
                        acceptor.complain(&remote);
                        continue;
                    };
                    // Sending fails only during shutdown, when the connection is to be closed anyway.
                    let _sent = to_admission.send(arrival);
                }
                Ok(None) => self.count_rejected(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if has_ended() => break,
                Err(error) => {
                    // The client is gone already, or even the spare descriptor is missing. Descriptors may become
                    // free during the pause; an immediate retry would only use processor time.
                    shed.rate_limit_log(&format!("Error accepting new connection: {error}"), None);
                    self.slow_writer.pause();
                }
            }
        }
        info!(target: LOG, "accept thread exitted run method");
    }

    /// Decides whether a newcomer gets a place. When descriptors are scarce, closes other connections for later
    /// newcomers.
    fn place(&self, stream: TcpStream, remote: SocketAddr, shed: &RateLogger) -> Option<Arrival> {
        let stranger = self.strangers.enter(remote.ip());
        let since_ms = self.clock.elapsed_ms();
        let descriptors = Descriptors::now();
        let taken = self.strangers.last_places();
        if !descriptors.is_scarce(&stream, taken) {
            return Some(Arrival { stream, remote, stranger, last_place: None, since_ms });
        }
        let makes_room = self.strangers.who_makes_room_for(&stranger);
        let is_last = descriptors.is_one_of_the_last(&stream);
        let has_few = |stream: &TcpStream| {
            if descriptors.is_one_of_the_very_last(stream) {
                self.limits.has_very_few_connections(remote.ip())
            } else {
                self.limits.has_few_connections(remote.ip())
            }
        };
        let fits_one_of_few = |stream: &TcpStream| {
            !descriptors.is_reserved(stream)
                && (!descriptors.is_one_of_the_last(stream) || has_few(stream))
        };
        let has_place = match makes_room {
            MakesRoom::OldestForOneOfMany => !descriptors.is_for_few(&stream, taken),
            MakesRoom::Crowd(_) | MakesRoom::OldestForOneOfFew => fits_one_of_few(&stream),
        };
        // For a newcomer that gets one of the last places, or none, several connections of the crowd are closed:
        // reconnecting clients of the crowd take most of their descriptors.
        let wanted = if has_place && !is_last { 1 } else { SHED_AT_ONCE };
        let closed = (0..wanted).take_while(|_| self.shed_one(makes_room)).count();
        if closed > 0 {
            shed.rate_limit_log(
                "Descriptors run out: connections without a session are closed",
                None,
            );
        }
        if !has_place && closed > 0 && makes_room != MakesRoom::OldestForOneOfMany {
            // The lowest free descriptor is one of those that were just closed.
            let again = stream.try_clone().ok().filter(fits_one_of_few)?;
            let is_last = descriptors.is_one_of_the_last(&again);
            let last_place = is_last.then(|| self.strangers.take_last_place());
            return Some(Arrival { stream: again, remote, stranger, last_place, since_ms });
        }
        has_place.then(|| {
            let last_place = is_last.then(|| self.strangers.take_last_place());
            Arrival { stream, remote, stranger, last_place, since_ms }
        })
    }

    /// Counts the connection against the limits. At a limit, closes the oldest connection that has not sent a
    /// complete ConnectRequest or a four-letter word yet, to make room.
    fn admit(&self, arrival: Arrival) -> Option<Accepted> {
        let remote = arrival.remote;
        let mut admitted = self.limits.admit(remote.ip());
        if let Err(too_many) = admitted {
            let from = match too_many {
                TooManyConnections::InAll { .. } => None,
                TooManyConnections::FromAddress { ip, .. } => Some(ip),
            };
            if self.close_oldest(|_, cnxn| !cnxn.has_greeted() && is_from(cnxn, from)) {
                admitted = self.limits.admit(remote.ip());
            }
        }
        match admitted {
            Ok(slot) => Some(Accepted { arrival, slot }),
            Err(too_many) => {
                warn!(target: LOG, "Error accepting new connection: {too_many}");
                self.count_rejected();
                None
            }
        }
    }

    fn count_rejected(&self) {
        if let Some(server) = self.zookeeper_server() {
            server.server_metrics().connection_rejected.add(1);
        }
    }

    /// Closes one connection to make room. Returns false if there is none to close, or only new ones that may be
    /// about to send a request.
    fn shed_one(&self, makes_room: MakesRoom) -> bool {
        let came_before_ms = self.clock.elapsed_ms() - GRACE_MS;
        self.close_oldest(|since_ms, cnxn| match makes_room {
            MakesRoom::Crowd(ip) => is_from(cnxn, Some(ip)),
            MakesRoom::OldestForOneOfFew | MakesRoom::OldestForOneOfMany => {
                since_ms <= came_before_ms
            }
        })
    }

    /// Closes the oldest connection without a session for which `is_meant` is true. Returns false if there is none.
    fn close_oldest(&self, is_meant: impl Fn(i64, &ServerCnxn) -> bool) -> bool {
        let oldest = self.table.oldest_without_session(is_meant);
        let Some(oldest) = oldest else { return false };
        debug!(target: LOG, "{oldest} has no session for longest: closed for a newcomer");
        oldest.close(DisconnectReason::ClientCnxLimit);
        true
    }

    /// The body of the thread that admits connections, or lets them wait for a server.
    fn admit_arrivals(self: &Arc<Self>, arrivals: &Receiver<Arrival>) {
        let complaints = RateLogger::with_interval(LOG, LOG_INTERVAL_MS, Arc::clone(&self.clock));
        let mut newcomers = Newcomers::default();
        let look_interval = Duration::from_millis(LOOK_INTERVAL_MS.unsigned_abs());
        let mut next_look_ms = 0;
        loop {
            let next = match newcomers.is_empty() {
                true => arrivals.recv().map_err(RecvTimeoutError::from),
                false => arrivals.recv_timeout(look_interval),
            };
            let is_served = self.zookeeper_server().is_some_and(|server| server.is_running());
            match next {
                _ if self.stopped.load(Ordering::Acquire) => return,
                Ok(arrival) => match self.admit(arrival) {
                    Some(accepted) if is_served => self.start_reading(accepted, &complaints),
                    Some(accepted) => newcomers.push(accepted),
                    None => {}
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now_ms = self.clock.elapsed_ms();
            if is_served {
                newcomers.take_all().for_each(|accepted| self.start_reading(accepted, &complaints));
            } else if now_ms >= next_look_ms {
                next_look_ms = now_ms + LOOK_INTERVAL_MS;
                let unserved_ms = now_ms - self.unserved_since_ms.load(Ordering::Relaxed);
                for (accepted, verdict) in newcomers.take_decided(now_ms, unserved_ms) {
                    if verdict == Verdict::Reader {
                        self.start_reading(accepted, &complaints);
                    } else {
                        let remote = format!("/{}", accepted.arrival.remote);
                        let message = "Close of session 0x0: ZooKeeperServer not running";
                        complaints.rate_limit_log(message, Some(&remote));
                    }
                }
            }
        }
    }

    fn start_reading(self: &Arc<Self>, accepted: Accepted, complaints: &RateLogger) {
        let remote = format!("/{}", accepted.arrival.remote);
        if let Err(error) = self.add_cnxn(accepted) {
            self.count_rejected();
            let message = format!("no thread for a connection: {error}");
            complaints.rate_limit_log(&message, Some(&remote));
        }
    }

    /// Gives the connection a thread if there is room for one more, else to a selector (Java: createConnection,
    /// addAcceptedConnection).
    fn add_cnxn(self: &Arc<Self>, accepted: Accepted) -> io::Result<()> {
        let Accepted { arrival, slot } = accepted;
        let Arrival { stream, remote, stranger, last_place, since_ms } = arrival;
        let places = Places { _slot: slot, _last_place: last_place };
        let server = self.zookeeper_server();
        let listener = server.as_ref().map(|server| server.listener());
        let has_thread = self.readers.has_room();
        if !has_thread && self.selectors.is_empty() {
            let what = format!("there are {} (see vm.max_map_count)", self.readers.max());
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, what));
        }
        let socket = Arc::new(CnxnSocket::new(stream, Arc::clone(&self.slow_writer)));
        let factory: Weak<dyn ServerCnxnFactory> = self.me.clone();
        let transport = Box::new(Arc::clone(&socket));
        let timeout_ms = self.config.sessionless_timeout_ms;
        let cnxn = ServerCnxn::new(server, factory, transport, remote, timeout_ms, &*self.clock);
        self.table.add(Arc::clone(&cnxn), places, stranger, since_ms);
        if !has_thread {
            self.take_over(cnxn, socket, CnxnInput::new());
            return Ok(());
        }
        let selectors = Arc::clone(self) as Arc<dyn Selectors>;
        let turns = self.first_turns.clone();
        // Otherwise it was closed meanwhile.
        let Some(reader) = Reader::new(socket, Arc::clone(&cnxn), turns, selectors) else {
            return Ok(());
        };
        let name = format!("NIOWorkerThread-{remote}");
        let started = self.readers.start(&name, listener, reader);
        started.inspect_err(|_| {
            cnxn.close(DisconnectReason::IoException);
            if !self.selectors.is_empty() {
                self.readers.stay_as_they_are();
            }
        })
    }

    /// The selectors, in turn.
    fn next_selector(&self) -> Option<&Arc<SelectorThread>> {
        let next = self.next_selector.fetch_add(1, Ordering::Relaxed);
        self.selectors.get(next.checked_rem(self.selectors.len())?)
    }
}

impl Selectors for NIOServerCnxnFactory {
    fn are_needed(&self) -> bool {
        !self.selectors.is_empty() && self.table.sessions() > self.readers.max().div_ceil(2)
    }

    fn take_over(&self, cnxn: Arc<ServerCnxn>, socket: Arc<CnxnSocket>, mut input: CnxnInput) {
        let Some(selector) = self.next_selector() else {
            return cnxn.close(DisconnectReason::Unknown);
        };
        input.settle();
        let timeout_ms = self.config.sessionless_timeout_ms;
        let long_reads = Arc::clone(&self.long_reads);
        let nio = NIOServerCnxn::new(cnxn, socket, input, timeout_ms, long_reads);
        selector.add_accepted_connection(nio);
    }
}

impl ServerCnxnFactory for NIOServerCnxnFactory {
    fn local_port(&self) -> u16 {
        self.local_address().port()
    }

    fn local_address(&self) -> SocketAddr {
        self.port.lock().local_address
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
        let is_lost = server.is_none();
        let before = std::mem::replace(&mut *self.server.lock(), server);
        // If there was no server before, the start of the time without one does not change.
        if is_lost && before.is_some() {
            self.unserved_since_ms.store(self.clock.elapsed_ms(), Ordering::Relaxed);
        }
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
        self.table.all()
    }

    fn num_alive_connections(&self) -> usize {
        self.table.len()
    }

    fn add_session(&self, session_id: SessionId, cnxn: &Arc<ServerCnxn>) {
        self.table.add_session(session_id, cnxn);
    }

    fn remove_cnxn(&self, cnxn: &Arc<ServerCnxn>) -> bool {
        self.table.remove(cnxn)
    }

    fn cnxn_of_session(&self, session_id: SessionId) -> Option<Arc<ServerCnxn>> {
        self.table.of_session(session_id)
    }

    fn shutdown(&self) {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        drop(self.to_admission.lock().take());
        let port = Arc::clone(&self.port.lock());
        port.close();
        self.close_all(DisconnectReason::ServerShutdown);
        self.slow_writer.stop();
        if let Some(workers) = &self.workers {
            workers.stop();
        }
        self.long_reads.stop();
        self.selectors.iter().for_each(|selector| selector.stop());
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().for_each(zookeeper_thread::join);
        self.close_all(DisconnectReason::ServerShutdown);
        self.readers.join();
    }
}

/// Listens at an address.
fn bind(config: &CnxnFactoryConfig, address: SocketAddr) -> io::Result<Arc<Port>> {
    info!(target: LOG, "binding to port {address}");
    let backlog = if config.listen_backlog > 0 { config.listen_backlog } else { LARGEST_BACKLOG };
    let listener = listening_socket::listen(address, backlog)?;
    // Accepted sockets inherit these options.
    let options = SockRef::from(&listener);
    options.set_tcp_nodelay(true)?;
    options.set_keepalive(config.tcp_keep_alive)?;
    let local_address = listener.local_addr()?;
    if address.port() == 0 {
        info!(target: LOG, "bound to port {local_address}");
    }
    Ok(Arc::new(Port { listener, local_address, is_closed: AtomicBool::new(false) }))
}

/// Writes the connections, grouped by when they expire if they stay silent (Java: ExpiryQueue.dump).
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

/// How many threads answer the long reads of all selectors: few, so that they do not take all processors from the
/// clients that have short ones.
fn long_readers() -> usize {
    thread::available_parallelism().map_or(1, usize::from).div_ceil(2).max(2)
}

/// Whether the connection comes from this address. Without an address, every connection matches.
fn is_from(cnxn: &ServerCnxn, address: Option<IpAddr>) -> bool {
    let ip = cnxn.remote_socket_address().ip().to_canonical();
    address.is_none_or(|address| address == ip)
}
