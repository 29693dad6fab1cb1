//! A small HTTP server for the AdminServer and for metrics (no Java twin: Jetty's place).
//!
//! Threads: `<name>-acceptor` accepts connections and queues them. `<name>-starter` starts a thread
//! `<name>-<address>` for each queued connection. Locks: one for the queue and the table of connections, held
//! only briefly. The owner calls [`HttpServer::shutdown`], which returns when all threads have ended.
//!
//! The number of connections is limited, and so are the times for a whole request and for reading the answer.
//! When all places are taken, a newcomer replaces the connection that has kept the server waiting longest;
//! connections from the address with the most of them go first. Addresses take turns in getting a thread, so
//! that a single client does not wait behind a crowd.

mod connections;

use std::convert::Infallible;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use log::{debug, info, warn};

use self::connections::{
    Activity, Arrival, Connection, Connections, NoPlace, READING, WORKING, WRITING,
};
use super::http_message::{Body, Head, Request, RequestError, Response, Status};
use crate::common::deadline::{Deadline, DeadlineStream};
use crate::common::net_utils::{InetSocketAddress, resolve_host};
use crate::common::time::{self, Clock};
use crate::server::descriptor_reserve::{Descriptors, PatientAcceptor};
use crate::server::first_bytes::looks_like;
use crate::server::rate_logger::RateLogger;
use crate::server::zookeeper_thread;
use crate::util::listening_socket::{self, LARGEST_BACKLOG};
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};

/// The logger's name.
const LOG: &str = "org.apache.zookeeper.server.admin.HttpServer";

/// The stack size of a connection's thread, in bytes. Commands run on that thread.
const STACK: usize = 1 << 20;
/// How much of a body that the handler left unread is read before the connection is closed, in bytes.
const DRAIN_LIMIT: u64 = 64 * 1024;
/// How long the acceptor waits after a failed accept, for instance when there are no file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The longest wait for the threads of closed connections to end.
const ENDING_WAIT: Duration = Duration::from_millis(500);

/// A long body or answer at this rate, in bytes per second, is not cut off by its time limit.
const MIN_RATE: u64 = 64 * 1024;
/// The minimum time between two log lines about too many connections, in ms.
const LOG_INTERVAL_MS: i64 = 10_000;

/// The time limits for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HttpTimeouts {
    /// How long a connection may be silent.
    pub idle: Duration,
    /// How long a request may take from its first byte on, and how long sending an answer may take. Long ones
    /// get more time according to `min_rate`.
    pub request: Duration,
    /// The rate, in bytes per second, at which a long request or answer is not cut off.
    pub min_rate: u64,
}

impl HttpTimeouts {
    /// Creates limits with the default rate.
    #[must_use]
    pub(crate) const fn new(idle: Duration, request: Duration) -> Self {
        Self { idle, request, min_rate: MIN_RATE }
    }
}

/// Handles requests.
pub(crate) trait HttpHandler: Send + Sync {
    /// Answers a request. `HEAD` must be answered like `GET`; the server leaves the body out.
    fn handle(&self, request: &mut Request<'_>) -> Response;
}

/// A server that listens on one port.
pub(crate) struct HttpServer {
    shared: Arc<Shared>,
    local_address: SocketAddr,
    /// The listening socket. Shutting it down wakes the acceptor.
    listener: Arc<TcpListener>,
    running: RankedMutex<Option<Running>>,
}

struct Running {
    stop: Sender<Infallible>,
    acceptor: JoinHandle<()>,
    starter: JoinHandle<()>,
}

struct Shared {
    name: String,
    timeouts: HttpTimeouts,
    clock: Clock,
    handler: Arc<dyn HttpHandler>,
    connections: RankedMutex<Connections>,
    /// Notified when a connection leaves the table.
    one_has_ended: RankedCondvar,
    /// The number of turns given out so far. The server gives a connection a turn when it starts to wait for a
    /// request.
    turns: AtomicU64,
    full: RateLogger,
}

/// The socket of a connection. It records what the connection waits for, which is only used as a hint.
struct ClientStream<'a> {
    stream: DeadlineStream<'a>,
    activity: &'a Activity,
    /// The first bytes that the client sent, for the log.
    first: Option<[u8; 4]>,
}

impl Read for ClientStream<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.activity.stage.store(READING, Ordering::Relaxed);
        let read = self.stream.read(bytes)?;
        self.activity.stage.store(WORKING, Ordering::Relaxed);
        if self.first.is_none() {
            self.first = bytes[..read].first_chunk().copied();
        }
        Ok(read)
    }
}

impl Write for ClientStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.activity.stage.store(WRITING, Ordering::Relaxed);
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl HttpServer {
    /// Binds the port and starts to accept. `host` is a name, an address, or `0.0.0.0` for all addresses of
    /// both families, as in Java. Port 0 is any free port.
    ///
    /// # Errors
    /// When the host is unknown, the port cannot be bound, or a thread cannot be started.
    pub(crate) fn start(
        name: &str,
        host: &str,
        port: u16,
        timeouts: HttpTimeouts,
        clock: Clock,
        handler: Arc<dyn HttpHandler>,
    ) -> io::Result<Self> {
        let address = InetSocketAddress::new(host, port, &|host| resolve_host(host, false));
        let address = address.bind_address(false).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("unknown host {host}"))
        })?;
        let listener = Arc::new(listening_socket::listen_any_family(address, LARGEST_BACKLOG)?);
        let connections = RankedMutex::new(Rank::Leaf, "HTTP connections", Connections::default());
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            timeouts,
            full: RateLogger::with_interval(LOG, LOG_INTERVAL_MS, Arc::clone(&clock)),
            clock,
            handler,
            connections,
            one_has_ended: RankedCondvar::new(),
            turns: AtomicU64::new(0),
        });
        let (stop, stopped) = bounded(0);
        // A single message announces any number of arrivals.
        let (has_come, come) = bounded(1);
        let starter = {
            let shared = Arc::clone(&shared);
            let start = move || {
                start_threads(&shared, &come);
                Ok::<_, Infallible>(())
            };
            zookeeper_thread::spawn(&format!("{name}-starter"), Some(STACK), start)?
        };
        let acceptor = {
            let (shared, listener) = (Arc::clone(&shared), Arc::clone(&listener));
            let accept = move || {
                accept(&shared, &listener, &stopped, &has_come);
                Ok::<_, Infallible>(())
            };
            zookeeper_thread::spawn(&format!("{name}-acceptor"), Some(STACK), accept)?
        };
        Ok(Self {
            shared,
            local_address: listener.local_addr()?,
            listener,
            running: RankedMutex::new(
                Rank::Leaf,
                "HTTP acceptor",
                Some(Running { stop, acceptor, starter }),
            ),
        })
    }

    /// The bound address.
    #[must_use]
    pub(crate) const fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Closes the port and all connections, and waits for the threads. A second call does nothing.
    pub(crate) fn shutdown(&self) {
        let Some(Running { stop, acceptor, starter }) = self.running.lock().take() else { return };
        drop(stop);
        if let Err(error) = listening_socket::shut_down(&self.listener) {
            debug!(target: LOG, "{}: the acceptor was not woken: {error}", self.shared.name);
        }
        zookeeper_thread::join(acceptor);
        zookeeper_thread::join(starter);
        let threads = {
            let mut connections = self.shared.connections.lock();
            connections.stopped = true;
            let mut threads = std::mem::take(&mut connections.ended);
            for connection in connections.open.values_mut() {
                let _closed = connection.stream.shutdown(Shutdown::Both); // it may be closed already
                threads.extend(connection.thread.take());
            }
            threads
        };
        threads.into_iter().for_each(zookeeper_thread::join);
    }
}

/// The body of the acceptor thread.
fn accept(
    shared: &Shared,
    listener: &TcpListener,
    stopped: &Receiver<Infallible>,
    has_come: &Sender<()>,
) {
    use crossbeam::channel::{RecvTimeoutError, TryRecvError};
    let mut acceptor = PatientAcceptor::new(LOG, Arc::clone(&shared.clock));
    while stopped.try_recv() == Err(TryRecvError::Empty) {
        match acceptor.accept(listener) {
            Ok(None) => {}
            Ok(Some((stream, remote))) => {
                if let Some(refused) = shared.enqueue(stream, remote) {
                    shared.log_error(shared.refuse(&refused.stream), refused.remote);
                }
                // A message may be pending already, or the starter may have ended with a panic.
                let _told = has_come.try_send(());
            }
            Err(_) if stopped.try_recv() == Err(TryRecvError::Disconnected) => return,
            Err(error) => {
                warn!(target: LOG, "{}: cannot accept a connection: {error}", shared.name);
                if stopped.recv_timeout(ACCEPT_RETRY) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        }
    }
}

/// The body of the starter thread.
fn start_threads(shared: &Arc<Shared>, come: &Receiver<()>) {
    while come.recv().is_ok() {
        loop {
            let gone = shared.connections.lock().take_gone();
            gone.into_iter().for_each(zookeeper_thread::join);
            let Some(arrival) = shared.connections.lock().arrivals.pop() else { break };
            let remote = arrival.remote;
            shared.log_error(shared.open(arrival), remote);
        }
    }
}

impl Shared {
    /// Queues a connection for the starter. Returns a connection that must be refused: this one or one of a
    /// crowd.
    fn enqueue(&self, stream: TcpStream, remote: SocketAddr) -> Option<Arrival> {
        let is_last = Descriptors::now().is_one_of_the_last(&stream);
        let arrival = Arrival { stream, remote, is_last };
        self.connections.lock().enqueue(arrival, self.clock.elapsed_ms())
    }

    fn refuse(&self, stream: &TcpStream) -> io::Result<()> {
        let busy = Response::error_page(Status::SERVICE_UNAVAILABLE, "too many connections");
        busy.write(&mut &*stream, self.clock.wall_ms(), true, false)
    }

    fn log_error(&self, result: io::Result<()>, remote: SocketAddr) {
        if let Err(error) = result {
            debug!(target: LOG, "{}: connection of {remote}: {error}", self.name);
        }
    }

    /// Starts a thread that serves the connection, or refuses the connection.
    fn open(self: &Arc<Self>, arrival: Arrival) -> io::Result<()> {
        let Arrival { stream, remote, is_last } = arrival;
        stream.set_read_timeout(Some(self.timeouts.idle))?;
        stream.set_write_timeout(Some(self.timeouts.idle))?;
        stream.set_nodelay(true)?;
        let stream = Arc::new(stream);
        let activity = Arc::new(Activity::default());
        self.takes_turn(&activity);
        let newcomer = Connection {
            is_last,
            stream: Arc::clone(&stream),
            ip: remote.ip(),
            since_ms: self.clock.elapsed_ms(),
            activity: Arc::clone(&activity),
            thread: None,
            is_ending: false,
        };
        let Some(id) = self.register(newcomer) else { return self.refuse(&stream) };
        let entry = OpenConnection { shared: Arc::clone(self), id };
        let name = format!("{}-{remote}", self.name);
        let thread = zookeeper_thread::spawn(&name, Some(STACK), move || {
            entry.shared.serve(&stream, &activity, remote);
            drop(entry);
            Ok::<_, Infallible>(())
        })?;
        let mut connections = self.connections.lock();
        match connections.open.get_mut(&id) {
            Some(connection) => connection.thread = Some(thread),
            None => connections.ended.push(thread), // it was quick
        }
        Ok(())
    }

    /// Enters a connection into the table; `None` if there is no place for it. Waits for a moment if there will be one
    /// when the thread of a closed connection has ended. A crowd that returns quickly has many such threads, and it
    /// must not keep out a client that comes alone.
    fn register(&self, newcomer: Connection) -> Option<u64> {
        let deadline = time::now() + ENDING_WAIT;
        let mut connections = self.connections.lock();
        let were_full = loop {
            match connections.find_place(&newcomer) {
                Ok(were_full) => break were_full,
                Err(NoPlace::AllAreServed) => return None,
                Err(NoPlace::UntilOneEnds) => {
                    let left = deadline.saturating_duration_since(time::now());
                    if left.is_zero() || self.one_has_ended.wait_for(&mut connections, left) {
                        return None;
                    }
                }
            }
        };
        let id = connections.enter(newcomer);
        drop(connections);
        if let Some(most) = were_full {
            let message = format!(
                "{}: {most} connections are open: who has let the server wait longest is \
                 closed for a newcomer",
                self.name
            );
            self.full.rate_limit_log(&message, None);
        }
        Some(id)
    }

    /// Gives the connection the next turn: from now on the server waits for its client.
    fn takes_turn(&self, activity: &Activity) {
        activity.turn.store(self.turns.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Answers requests until the client or the server ends the connection.
    fn serve(&self, stream: &TcpStream, activity: &Activity, remote: SocketAddr) {
        let timed = || {
            let HttpTimeouts { idle, min_rate, .. } = self.timeouts;
            let stream = DeadlineStream::new(stream).with_silence(idle).with_min_rate(min_rate);
            ClientStream { stream, activity, first: None }
        };
        let mut input = BufReader::new(timed());
        let mut output = timed();
        loop {
            input.get_mut().stream.begin_with_first_byte(self.timeouts.request);
            match self.serve_one(&mut input, &mut output, remote) {
                // The first turn was given when the connection got its place, however late this thread starts.
                Ok(true) => self.takes_turn(activity),
                Ok(false) | Err(RequestError::Closed) => break,
                Err(RequestError::Refused { status, what }) => {
                    let first = input.get_ref().first.unwrap_or_default();
                    match looks_like(&first) {
                        Some(other) => info!(
                            target: LOG,
                            "{}: request of {remote} refused: {what}: {}",
                            self.name,
                            other.hint(None)
                        ),
                        None => {
                            debug!(target: LOG, "{}: request of {remote} refused: {what}", self.name);
                        }
                    }
                    let page = Response::error_page(status, what);
                    output.stream.begin(Deadline::after(self.timeouts.request));
                    // The client may be gone. The connection is closed either way.
                    let _sent = page.write(&mut output, self.clock.wall_ms(), true, false);
                    break;
                }
                Err(RequestError::Io(error)) => {
                    debug!(target: LOG, "{}: connection of {remote}: {error}", self.name);
                    break;
                }
            }
        }
        let _closed = stream.shutdown(Shutdown::Both); // it may be closed already
    }

    /// Reads and answers one request. Returns whether the connection stays open.
    fn serve_one(
        &self,
        input: &mut BufReader<ClientStream<'_>>,
        output: &mut ClientStream<'_>,
        remote: SocketAddr,
    ) -> Result<bool, RequestError> {
        let head = Head::read(input)?;
        let framing = head.body_framing()?;
        let expects_word = head.is_http_1_1
            && head.header("expect").is_some_and(|word| word.eq_ignore_ascii_case("100-continue"));
        let go_on = expects_word.then(|| output.stream.get_ref());
        let mut body = Body::new(input, framing, go_on);
        let mut request = Request { head: &head, remote, body: &mut body };
        let response = self.handler.handle(&mut request);
        let close =
            head.wants_close() || !body.drain(DRAIN_LIMIT) || self.connections.lock().stopped;
        output.stream.begin(Deadline::after(self.timeouts.request));
        let mut output = BufWriter::new(output);
        response.write(&mut output, self.clock.wall_ms(), close, head.method == "HEAD")?;
        Ok(!close)
    }
}

/// An entry in the table of connections. Dropping it, even after a panic, removes the connection from the
/// table.
struct OpenConnection {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let mut connections = self.shared.connections.lock();
        if let Some(Connection { thread: Some(thread), .. }) = connections.open.remove(&self.id) {
            connections.ended.push(thread);
        }
        drop(connections);
        self.shared.one_has_ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::common::time::SystemClock;

    /// A handler that answers with the request.
    struct Echo;

    impl HttpHandler for Echo {
        fn handle(&self, request: &mut Request<'_>) -> Response {
            assert_ne!(request.head.path, "/panic", "expected by the test");
            let mut text = format!("{} {}", request.head.method, request.head.path);
            if request.head.path == "/long" {
                text += &" ".repeat(64 << 20);
            }
            if request.head.path == "/read" {
                text += " ";
                request.body.read_to_string(&mut text).unwrap();
            }
            Response::text(Status::OK, "text/plain", text)
        }
    }

    const LONG: Duration = Duration::from_secs(30);

    fn server() -> HttpServer {
        server_with(HttpTimeouts::new(LONG, LONG))
    }

    fn server_with(timeouts: HttpTimeouts) -> HttpServer {
        let clock = SystemClock::shared();
        HttpServer::start("Test", "127.0.0.1", 0, timeouts, clock, Arc::new(Echo)).unwrap()
    }

    /// Sends the bytes and reads until the server closes.
    fn ask(server: &HttpServer, bytes: &str) -> String {
        let mut stream = TcpStream::connect(server.local_address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn bodies(answer: &str) -> Vec<&str> {
        let after_heads = answer.split("\r\n\r\n").skip(1);
        after_heads.map(|part| part.split("HTTP/1.1").next().unwrap()).collect()
    }

    #[test]
    fn requests_of_one_connection_are_answered_in_order() {
        let server = server();
        let answer = ask(
            &server,
            "GET /a HTTP/1.1\r\n\r\nPOST /read HTTP/1.1\r\nContent-Length: 2\r\n\r\nxy\
             POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyzHEAD /c HTTP/1.1\r\n\r\n\
             GET /d HTTP/1.0\r\n\r\n",
        );
        assert_eq!(bodies(&answer), ["GET /a", "POST /read xy", "POST /b", "", "GET /d"]);
        server.shutdown();
    }

    #[test]
    fn a_client_that_waits_for_a_word_gets_it_when_its_body_is_wanted() {
        let server = server();
        let request = |path: &str| {
            format!(
                "POST {path} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\
                 Connection: close\r\n\r\nxy"
            )
        };
        let read = ask(&server, &request("/read"));
        assert!(read.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{read}");
        let unread = ask(&server, &request("/unread"));
        assert!(unread.starts_with("HTTP/1.1 200 OK\r\n"), "{unread}");
        server.shutdown();
    }

    #[test]
    fn a_newcomer_waits_for_the_end_of_those_that_are_closed_already() {
        let server = server();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let connection = |is_ending| Connection {
            stream: Arc::clone(&stream),
            ip: [127, 0, 0, 2].into(),
            since_ms: 0,
            activity: Arc::default(),
            thread: None,
            is_last: false,
            is_ending,
        };
        let ending: Vec<u64> = {
            let mut table = server.shared.connections.lock();
            for _ in 0..64 {
                table.enter(connection(false));
            }
            (0..80).map(|_| table.enter(connection(true))).collect()
        };
        let refused = ask(&server, "");
        assert!(refused.contains("503"), "{refused}");
        let answer = thread::scope(|scope| {
            let asking = scope.spawn(|| ask(&server, "GET /a HTTP/1.0\r\n\r\n"));
            // The starter takes a turn for a newcomer, and then looks for a place.
            while server.shared.turns.load(Ordering::Relaxed) < 2 {
                thread::yield_now();
            }
            drop(OpenConnection { shared: Arc::clone(&server.shared), id: ending[0] });
            asking.join().unwrap()
        });
        assert!(answer.ends_with("GET /a"), "{answer}");
    }

    #[test]
    fn a_wrong_request_is_refused_and_the_connection_closed() {
        let server = server();
        let answer = ask(&server, "GET nothing\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1);
        server.shutdown();
    }

    #[test]
    fn a_handler_that_panics_ends_its_connection_only() {
        let server = server();
        assert_eq!(ask(&server, "GET /panic HTTP/1.1\r\n\r\n"), "");
        assert!(ask(&server, "GET /a HTTP/1.0\r\n\r\n").ends_with("GET /a"));
        server.shutdown();
        let connections = server.shared.connections.lock();
        assert!(connections.open.is_empty());
    }

    #[test]
    fn shutdown_ends_idle_connections_and_frees_the_port() {
        let server = server();
        let address = server.local_address();
        let mut idle = TcpStream::connect(address).unwrap();
        assert!(ask(&server, "GET /a HTTP/1.0\r\n\r\n").ends_with("GET /a"));
        server.shutdown();
        server.shutdown();
        assert_eq!(idle.read(&mut [0; 1]).unwrap_or(0), 0);
        drop(TcpListener::bind(address).unwrap());
    }

    fn open_connections(server: &HttpServer) -> usize {
        server.shared.connections.lock().open.len()
    }

    /// Waits until all connections are closed; false after a time limit.
    fn all_are_gone(server: &HttpServer) -> bool {
        let (_never, pause) = bounded::<()>(0);
        let end = time::now() + LONG;
        while open_connections(server) > 0 && time::now() < end {
            let _a_moment = pause.recv_timeout(Duration::from_millis(10));
        }
        open_connections(server) == 0
    }

    #[test]
    fn who_drips_a_body_that_is_read_keeps_its_connection_for_the_time_of_a_request_only() {
        let server = server_with(HttpTimeouts::new(LONG, Duration::from_millis(300)));
        let mut slow = TcpStream::connect(server.local_address()).unwrap();
        slow.write_all(b"POST /b HTTP/1.1\r\nContent-Length: 9999\r\n\r\n").unwrap();
        let started = time::now();
        // The write fails once the server has closed the connection.
        while slow.write_all(b"x").is_ok() && started.elapsed() < LONG {
            let (_never, pause) = bounded::<()>(0);
            let _a_moment = pause.recv_timeout(Duration::from_millis(20));
        }
        assert!(started.elapsed() < LONG / 2);
        assert!(all_are_gone(&server));
        server.shutdown();
    }

    #[test]
    fn who_takes_an_answer_byte_by_byte_keeps_its_connection_for_the_time_of_an_answer_only() {
        let request = Duration::from_millis(300);
        let server = server_with(HttpTimeouts { idle: LONG, request, min_rate: 64 << 20 });
        let mut slow = TcpStream::connect(server.local_address()).unwrap();
        slow.write_all(b"GET /long HTTP/1.1\r\n\r\n").unwrap();
        let started = time::now();
        slow.read_exact(&mut [0; 1]).unwrap();
        while open_connections(&server) > 0 && started.elapsed() < LONG {
            slow.read_exact(&mut [0; 1]).unwrap();
            let (_never, pause) = bounded::<()>(0);
            let _a_moment = pause.recv_timeout(Duration::from_millis(20));
        }
        assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
        server.shutdown();
    }

    #[test]
    fn a_newcomer_is_served_and_who_has_let_the_server_wait_longest_is_closed() {
        let server = server();
        let connect = || {
            let stream = TcpStream::connect(server.local_address()).unwrap();
            stream.set_read_timeout(Some(LONG)).unwrap();
            stream
        };
        let mut oldest = connect();
        oldest.write_all(b"POST /read HTTP/1.1\r\nContent-Length: 9\r\n\r\nx").unwrap();
        let mut others: Vec<TcpStream> = (1..64).map(|_| connect()).collect();
        for number in 0..3 {
            assert!(ask(&server, "GET /a HTTP/1.0\r\n\r\n").ends_with("GET /a"), "{number}");
        }
        assert_eq!(oldest.read(&mut [0; 1]).unwrap_or(0), 0, "it is closed");
        let youngest = others.last_mut().unwrap();
        youngest.write_all(b"GET /b HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        youngest.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("GET /b"), "{answer}");
        server.shutdown();
    }

    #[test]
    fn a_port_that_is_taken_is_an_error() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let timeouts = HttpTimeouts::new(LONG, LONG);
        let clock = SystemClock::shared();
        let start = |host| {
            HttpServer::start("Test", host, port, timeouts, clock.clone(), Arc::new(Echo)).map(drop)
        };
        assert_eq!(start("127.0.0.1").unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(start("0.0.0.0").unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
