//! A small HTTP server (no Java twin: Jetty's place), for the AdminServer and for metrics.
//!
//! Threads: `<name>-acceptor`, and one for each connection, `<name>-<address>`. Locks: the table of
//! connections, for a moment. Whoever starts a server calls [`HttpServer::shutdown`], which returns
//! when all of its threads are gone.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, BufReader, BufWriter};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use log::{debug, warn};

use super::http_message::{Body, Head, Request, RequestError, Response, Status, head_deadline};
use crate::common::net_utils::{InetSocketAddress, resolve_host};
use crate::common::time::Clock;
use crate::server::descriptor_reserve::{Descriptors, PatientAcceptor};
use crate::server::zookeeper_thread;
use crate::util::listening_socket::{self, LARGEST_BACKLOG};
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name.
const LOG: &str = "org.apache.zookeeper.server.admin.HttpServer";

/// Connections at a time; more are answered 503.
const MAX_CONNECTIONS: usize = 64;
/// The same when the last descriptors are in use: an operator is to see what happens.
const MAX_RESERVED: usize = 4;
/// The stack of a connection's thread, in bytes: a command runs on it.
const STACK: usize = 1 << 20;
/// What of a body is read when its handler did not, before the connection is given up, in bytes.
const DRAIN_LIMIT: u64 = 64 * 1024;
/// How long the acceptor waits when it cannot accept, for instance without file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Answers requests.
pub trait HttpHandler: Send + Sync {
    /// The answer to a request. `HEAD` is to be answered as `GET`: the body is not sent.
    fn handle(&self, request: &mut Request<'_>) -> Response;
}

/// A server that accepts connections.
pub struct HttpServer {
    shared: Arc<Shared>,
    local_address: SocketAddr,
    /// Keeps the port; shut down to wake the acceptor.
    listener: Arc<TcpListener>,
    running: RankedMutex<Option<Running>>,
}

struct Running {
    stop: Sender<Infallible>,
    acceptor: JoinHandle<()>,
}

struct Shared {
    name: String,
    idle_timeout: Duration,
    clock: Clock,
    handler: Arc<dyn HttpHandler>,
    connections: RankedMutex<Connections>,
}

/// The connections that are open, and the threads that have ended and are not joined.
#[derive(Default)]
struct Connections {
    next: u64,
    stopped: bool,
    open: HashMap<u64, (TcpStream, Option<JoinHandle<()>>)>,
    ended: Vec<JoinHandle<()>>,
}

impl HttpServer {
    /// Binds the port and begins to accept. `host` may be a name, an address, or `0.0.0.0` for all
    /// addresses of both families, as in Java; port 0 is any.
    ///
    /// # Errors
    /// When the host is not known, the port cannot be had, or the system has no room for a thread.
    pub fn start(
        name: &str,
        host: &str,
        port: u16,
        idle_timeout: Duration,
        clock: Clock,
        handler: Arc<dyn HttpHandler>,
    ) -> io::Result<Self> {
        let address = InetSocketAddress::new(host, port, &|host| resolve_host(host, false));
        let address = address.bind_address(false).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("unknown host {host}"))
        })?;
        let listener = Arc::new(listening_socket::listen_any_family(address, LARGEST_BACKLOG)?);
        let connections = RankedMutex::new(Rank::Leaf, "HTTP connections", Connections::default());
        let shared =
            Arc::new(Shared { name: name.to_owned(), idle_timeout, clock, handler, connections });
        let (stop, stopped) = bounded(0);
        let acceptor = {
            let (shared, listener) = (Arc::clone(&shared), Arc::clone(&listener));
            let accept = move || {
                accept(&shared, &listener, &stopped);
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
                Some(Running { stop, acceptor }),
            ),
        })
    }

    /// The address that is bound.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Closes the port and all connections and waits for the threads; a second call finds nothing
    /// to do.
    pub fn shutdown(&self) {
        let Some(Running { stop, acceptor }) = self.running.lock().take() else { return };
        drop(stop);
        if let Err(error) = listening_socket::shut_down(&self.listener) {
            debug!(target: LOG, "{}: the acceptor was not woken: {error}", self.shared.name);
        }
        zookeeper_thread::join(acceptor);
        let threads = {
            let mut connections = self.shared.connections.lock();
            connections.stopped = true;
            let mut threads = std::mem::take(&mut connections.ended);
            for (stream, thread) in connections.open.values_mut() {
                let _closed = stream.shutdown(Shutdown::Both); // it may be closed already
                threads.extend(thread.take());
            }
            threads
        };
        threads.into_iter().for_each(zookeeper_thread::join);
    }
}

/// The acceptor's thread.
fn accept(shared: &Arc<Shared>, listener: &TcpListener, stopped: &Receiver<Infallible>) {
    use crossbeam::channel::{RecvTimeoutError, TryRecvError};
    let mut acceptor = PatientAcceptor::new(LOG, Arc::clone(&shared.clock));
    while stopped.try_recv() == Err(TryRecvError::Empty) {
        let ended = std::mem::take(&mut shared.connections.lock().ended);
        ended.into_iter().for_each(zookeeper_thread::join);
        match acceptor.accept(listener) {
            Ok(None) => {}
            Ok(Some((stream, remote))) => {
                if let Err(error) = shared.open(stream, remote) {
                    debug!(target: LOG, "{}: connection of {remote}: {error}", shared.name);
                }
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

impl Shared {
    /// Has a thread serve the connection.
    fn open(self: &Arc<Self>, stream: TcpStream, remote: SocketAddr) -> io::Result<()> {
        stream.set_read_timeout(Some(self.idle_timeout))?;
        stream.set_write_timeout(Some(self.idle_timeout))?;
        stream.set_nodelay(true)?;
        let is_reserved = Descriptors::now().is_reserved(&stream);
        let most = if is_reserved { MAX_RESERVED } else { MAX_CONNECTIONS };
        let id = {
            let mut connections = self.connections.lock();
            connections.next += 1;
            let id = connections.next;
            if connections.open.len() < most {
                connections.open.insert(id, (stream.try_clone()?, None));
                Some(id)
            } else {
                None
            }
        };
        let Some(id) = id else {
            let busy = Response::error_page(Status::SERVICE_UNAVAILABLE, "too many connections");
            return busy.write(&mut &stream, self.clock.wall_ms(), true, false);
        };
        let entry = OpenConnection { shared: Arc::clone(self), id };
        let name = format!("{}-{remote}", self.name);
        let thread = zookeeper_thread::spawn(&name, Some(STACK), move || {
            entry.shared.serve(&stream, remote);
            drop(entry);
            Ok::<_, Infallible>(())
        })?;
        let mut connections = self.connections.lock();
        match connections.open.get_mut(&id) {
            Some((_, slot)) => *slot = Some(thread),
            None => connections.ended.push(thread), // it was quick
        }
        Ok(())
    }

    /// Answers requests until one side has enough.
    fn serve(&self, stream: &TcpStream, remote: SocketAddr) {
        let mut input = BufReader::new(stream);
        loop {
            match self.serve_one(&mut input, stream, remote) {
                Ok(true) => {}
                Ok(false) | Err(RequestError::Closed) => break,
                Err(RequestError::Refused { status, what }) => {
                    debug!(target: LOG, "{}: request of {remote} refused: {what}", self.name);
                    let page = Response::error_page(status, what);
                    // The client may be gone; the connection ends either way.
                    let _sent = page.write(&mut &*stream, self.clock.wall_ms(), true, false);
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

    /// Whether the connection stays.
    fn serve_one(
        &self,
        input: &mut BufReader<&TcpStream>,
        stream: &TcpStream,
        remote: SocketAddr,
    ) -> Result<bool, RequestError> {
        let head = Head::read(input, head_deadline(self.idle_timeout))?;
        let framing = head.body_framing()?;
        let expects_word = head.is_http_1_1
            && head.header("expect").is_some_and(|word| word.eq_ignore_ascii_case("100-continue"));
        let mut body = Body::new(input, framing, expects_word.then_some(stream));
        let mut request = Request { head: &head, remote, body: &mut body };
        let response = self.handler.handle(&mut request);
        let close =
            head.wants_close() || !body.drain(DRAIN_LIMIT) || self.connections.lock().stopped;
        let mut output = BufWriter::new(stream);
        response.write(&mut output, self.clock.wall_ms(), close, head.method == "HEAD")?;
        Ok(!close)
    }
}

/// A connection in the table, as long as its thread serves it, however that ends.
struct OpenConnection {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let mut connections = self.shared.connections.lock();
        if let Some((_, Some(thread))) = connections.open.remove(&self.id) {
            connections.ended.push(thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::time::SystemClock;
    use std::io::{Read, Write};

    /// Answers with what it was asked.
    struct Echo;

    impl HttpHandler for Echo {
        fn handle(&self, request: &mut Request<'_>) -> Response {
            assert_ne!(request.head.path, "/panic", "expected by the test");
            let mut text = format!("{} {}", request.head.method, request.head.path);
            if request.head.path == "/read" {
                text += " ";
                request.body.read_to_string(&mut text).unwrap();
            }
            Response::text(Status::OK, "text/plain", text)
        }
    }

    fn server() -> HttpServer {
        let idle = Duration::from_secs(30);
        HttpServer::start("Test", "127.0.0.1", 0, idle, SystemClock::shared(), Arc::new(Echo))
            .unwrap()
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

    #[test]
    fn a_port_that_is_taken_is_an_error() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let idle = Duration::from_secs(1);
        let clock = SystemClock::shared();
        let start = |host| {
            HttpServer::start("Test", host, port, idle, clock.clone(), Arc::new(Echo)).map(drop)
        };
        assert_eq!(start("127.0.0.1").unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(start("0.0.0.0").unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
