//! A server that answers everything and stores nothing (no Java twin).
//!
//! It shows the upper limits of the client, the kernel and the loopback device, and replaces a real server in tests.
//! It counts the writes that it has acknowledged, and returns this count as the version of the first key.
//!
//! Threads: one accepts connections and ends with [`NullServer::stop`]. Each connection has one, which ends with its
//! client.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::data::Stat;
use crate::ids::{SessionId, Zxid};
use crate::jute::Record;
use crate::proto::{ConnectResponse, ReplyHeader};
use crate::server::zookeeper_thread;
use crate::zoo_defs::OpCode;

use super::reply::next_frame_bytes;
use super::template::{LEN_BYTES, key_path, set_frame_len};

const READ_BYTES: usize = 64 * 1024;
const STACK_BYTES: usize = 256 * 1024;

/// How the server answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A reply.
    Reply { err: i32, body: Vec<u8> },
    /// A reply with the xid of another request.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests want wrong answers"))]
    WrongXid,
    /// The server closes the connection.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests want wrong answers"))]
    Close,
}

/// Selects the answer to `request`, given as the operation's code and its body. `None` selects the normal answer.
pub(crate) type Special = dyn Fn(i32, &[u8]) -> Option<Answer> + Send + Sync;

/// A running server.
pub(crate) struct NullServer {
    addr: SocketAddr,
    stopping: Arc<AtomicBool>,
    acceptor: JoinHandle<()>,
}

impl NullServer {
    /// Listens on the loopback device. Port 0 selects a free port.
    ///
    /// # Errors
    /// If the port is taken or the system has no room for a thread.
    pub(crate) fn start(port: u16, special: Box<Special>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let addr = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let state = Arc::new(State {
            special,
            value_bytes: AtomicUsize::new(0),
            writes: AtomicI64::new(0),
            sessions: AtomicI64::new(0),
        });
        let acceptor = zookeeper_thread::spawn("NullServerAcceptor", None, move || {
            accept(&listener, &stop, &state)
        })?;
        Ok(Self { addr, stopping, acceptor })
    }

    /// The address on which it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until it ends, which happens only if it can no longer accept connections.
    pub(crate) fn join(self) {
        zookeeper_thread::join(self.acceptor);
    }

    /// Stops accepting connections. The connections' threads end with their clients.
    pub(crate) fn stop(self) {
        self.stopping.store(true, Ordering::SeqCst);
        // This connection wakes the accepting thread. It fails if that thread has already ended.
        drop(TcpStream::connect(self.addr));
        self.join();
    }
}

fn accept(listener: &TcpListener, stop: &AtomicBool, state: &Arc<State>) -> io::Result<()> {
    loop {
        let (stream, from) = listener.accept()?;
        if stop.load(Ordering::SeqCst) {
            return Ok(());
        }
        let state = Arc::clone(state);
        let name = format!("NullServer-{from}");
        zookeeper_thread::spawn(&name, Some(STACK_BYTES), move || state.serve(&stream))?;
    }
}

/// The state that the connections share.
struct State {
    special: Box<Special>,
    /// The length of the value that was written last.
    value_bytes: AtomicUsize,
    writes: AtomicI64,
    sessions: AtomicI64,
}

impl State {
    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut input = vec![0; READ_BYTES];
        let mut output = Vec::with_capacity(READ_BYTES);
        let (mut have, mut in_session) = (0, false);
        loop {
            if have == input.len() {
                input.resize(have * 2, 0);
            }
            let read = stream.read(&mut input[have..])?;
            if read == 0 {
                return Ok(());
            }
            have += read;
            if !in_session && input.starts_with(b"srvr") {
                return stream.write_all(b"Zookeeper version: none\nMode: standalone\n");
            }
            let mut taken = 0;
            let mut open = true;
            while let Ok(Some(request)) = next_frame_bytes(&input[taken..have]) {
                taken += LEN_BYTES + request.len();
                if in_session {
                    open = open && self.answer(request, &mut output);
                } else {
                    in_session = true;
                    self.greet(&mut output);
                }
            }
            input.copy_within(taken..have, 0);
            have -= taken;
            stream.write_all(&output)?;
            output.clear();
            if !open {
                return Ok(());
            }
        }
    }

    fn greet(&self, output: &mut Vec<u8>) {
        let session = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let response = ConnectResponse {
            time_out: 30_000,
            session_id: SessionId(session),
            passwd: Some(vec![0; 16]),
            ..Default::default()
        };
        append_frame(&response.to_bytes(), &[], output);
    }

    /// Appends the reply. Returns false if it is the last one on the connection.
    fn answer(&self, request: &[u8], output: &mut Vec<u8>) -> bool {
        let int = |at: usize| {
            let bytes = request.get(at..).and_then(|rest| rest.first_chunk::<4>());
            bytes.map_or(0, |bytes| i32::from_be_bytes(*bytes))
        };
        let (mut xid, op) = (int(0), int(4));
        let body = request.get(8..).unwrap_or_default();
        let special = (self.special)(op, body).unwrap_or_else(|| self.usual(op, body));
        let (err, body) = match special {
            Answer::Reply { err, body } => (err, body),
            Answer::WrongXid => {
                xid += 1;
                (0, Vec::new())
            }
            Answer::Close => return false,
        };
        let zxid = Zxid(self.writes.load(Ordering::Relaxed));
        append_frame(&ReplyHeader { xid, zxid, err }.to_bytes(), &body, output);
        op != OpCode::CloseSession.code()
    }

    fn usual(&self, op: i32, body: &[u8]) -> Answer {
        let path = buffer(body);
        let body = match OpCode::try_from(op) {
            Ok(OpCode::Create) => {
                self.value_bytes.store(value_after(body, path).len(), Ordering::Relaxed);
                with_len(path.to_vec())
            }
            Ok(OpCode::SetData) => {
                self.value_bytes.store(value_after(body, path).len(), Ordering::Relaxed);
                self.writes.fetch_add(1, Ordering::Relaxed);
                Stat::default().to_bytes()
            }
            Ok(OpCode::GetData) => {
                let mut body = with_len(vec![0; self.value_bytes.load(Ordering::Relaxed)]);
                body.extend(Stat::default().to_bytes());
                body
            }
            Ok(OpCode::Exists) => {
                let is_first = path.ends_with(key_path("", 0).as_bytes());
                let writes = if is_first { self.writes.load(Ordering::Relaxed) } else { 0 };
                let version = i32::try_from(writes).unwrap_or(i32::MAX);
                Stat { version, ..Stat::default() }.to_bytes()
            }
            _ => Vec::new(),
        };
        Answer::Reply { err: 0, body }
    }
}

/// The content of the frame at the start of `bytes`; empty if it is not complete.
fn buffer(bytes: &[u8]) -> &[u8] {
    match next_frame_bytes(bytes) {
        Ok(Some(content)) => content,
        _ => &[],
    }
}

/// The value that follows the path.
fn value_after<'a>(body: &'a [u8], path: &[u8]) -> &'a [u8] {
    buffer(body.get(LEN_BYTES + path.len()..).unwrap_or_default())
}

fn with_len(content: Vec<u8>) -> Vec<u8> {
    let mut bytes = vec![0; LEN_BYTES];
    bytes.extend(content);
    set_frame_len(&mut bytes);
    bytes
}

fn append_frame(front: &[u8], rest: &[u8], output: &mut Vec<u8>) {
    let start = output.len();
    output.extend([0; LEN_BYTES]);
    output.extend_from_slice(front);
    output.extend_from_slice(rest);
    set_frame_len(&mut output[start..]);
}
