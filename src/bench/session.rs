//! A blocking session for set-up and for the scenarios (no Java twin: Java's client is far more).
//!
//! A session sends no pings by itself and reconnects only on request. Code that keeps a session for a long time must
//! send pings.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::ids::{SessionId, Zxid};
use crate::jute::{BinaryInputArchive, Limits, Record};
use crate::proto::{ConnectRequest, ConnectResponse, RequestHeader, SyncRequest};
use crate::zoo_defs::OpCode;

use super::error::BenchError;
use super::reply::{EVENT_XID, Frame, PING_XID, next_frame, next_frame_bytes};
use super::template::{LEN_BYTES, frame, set_frame_len};

/// How long a server may take for one answer. A healthy server needs far less.
pub(crate) const STALL: Duration = Duration::from_secs(60);

/// How many sessions are opened at the same time. The server can write them to its log together. The number is below
/// Java's backlog of 50 connections: when the backlog is full, connecting takes a second.
const OPENING_AT_ONCE: usize = 32;

/// The size of one read. Replies of the set-up and the scenarios are short, and thousands of sessions have a buffer.
const READ_BYTES: usize = 4096;

/// The length of a session's password in bytes.
const PASSWORD_BYTES: usize = 16;

/// An open session.
#[derive(Debug)]
pub(crate) struct Session {
    stream: TcpStream,
    id: SessionId,
    password: Vec<u8>,
    time_out_ms: i32,
    last_zxid: Zxid,
    next_xid: i32,
    /// Bytes that were read and not yet returned: `buffer[start..]`.
    buffer: Vec<u8>,
    start: usize,
}

/// A reply that owns its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) xid: i32,
    pub(crate) err: i32,
    pub(crate) body: Vec<u8>,
}

impl Session {
    /// Opens a session and waits for the server's answer.
    ///
    /// # Errors
    /// If nobody answers, or the server grants no session.
    pub(crate) fn connect(addr: SocketAddr, time_out_ms: i32) -> Result<Self, BenchError> {
        let mut session = Self::begin(addr, time_out_ms)?;
        session.finish(addr)?;
        Ok(session)
    }

    /// Opens `count` sessions, many at a time. They are assigned to the servers in turns.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), for the first session that fails.
    pub(crate) fn connect_many(
        addrs: &[SocketAddr],
        time_out_ms: i32,
        count: usize,
    ) -> Result<Vec<Self>, BenchError> {
        let mut sessions = Vec::with_capacity(count);
        while sessions.len() < count {
            let done = sessions.len();
            let servers = || addrs.iter().cycle().skip(done % addrs.len());
            for addr in servers().take(OPENING_AT_ONCE.min(count - done)) {
                sessions.push(Self::begin(*addr, time_out_ms)?);
            }
            for (session, addr) in sessions[done..].iter_mut().zip(servers()) {
                session.finish(*addr)?;
            }
        }
        Ok(sessions)
    }

    /// Connects and sends the request for a session.
    fn begin(addr: SocketAddr, time_out_ms: i32) -> Result<Self, BenchError> {
        let request = ConnectRequest {
            time_out: time_out_ms,
            passwd: Some(vec![0; PASSWORD_BYTES]),
            ..Default::default()
        };
        Ok(Self {
            stream: ask_for_session(addr, &request)?,
            id: SessionId::default(),
            password: Vec::new(),
            time_out_ms,
            last_zxid: Zxid::default(),
            next_xid: 1,
            buffer: Vec::new(),
            start: 0,
        })
    }

    /// Continues the session on another connection. Whether a request without an answer was applied remains unknown.
    /// No answer may take longer than `patience`.
    ///
    /// # Errors
    /// [`BenchError::Connect`] if nobody answers or the server does not serve now; [`BenchError::SessionLost`] if the
    /// session has ended.
    pub(crate) fn resume(
        &mut self,
        addr: SocketAddr,
        patience: Duration,
    ) -> Result<(), BenchError> {
        let lost = self.id;
        let request = ConnectRequest {
            last_zxid_seen: self.last_zxid,
            time_out: self.time_out_ms,
            session_id: lost,
            passwd: Some(self.password.clone()),
            ..Default::default()
        };
        self.stream = ask_for_session(addr, &request)?;
        self.set_patience(patience)?;
        self.buffer.clear();
        self.start = 0;
        let answered = self.take_session(addr)?;
        if answered.session_id != lost {
            return Err(BenchError::SessionLost { id: lost, addr });
        }
        Ok(())
    }

    /// Sets how long an answer may take.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn set_patience(&self, patience: Duration) -> Result<(), BenchError> {
        let set = self.stream.set_read_timeout(Some(patience));
        set.map_err(BenchError::io("limit the time of a read"))
    }

    /// Waits until the server has opened the requested session.
    fn finish(&mut self, addr: SocketAddr) -> Result<(), BenchError> {
        let response = self.take_session(addr)?;
        self.id = response.session_id;
        self.password = response.passwd.unwrap_or_default();
        if self.id == SessionId::default() {
            return Err(BenchError::Connect { addr, why: "the server gave no session".into() });
        }
        Ok(())
    }

    /// Waits for the answer to the ConnectRequest.
    fn take_session(&mut self, addr: SocketAddr) -> Result<ConnectResponse, BenchError> {
        let why = |why: String| BenchError::Connect { addr, why };
        loop {
            let content = next_frame_bytes(&self.buffer[self.start..])?;
            if let Some(content) = content {
                let mut archive = BinaryInputArchive::new(content, Limits::default());
                // A server of 3.3 omits the last byte. No such server is measured.
                let response = ConnectResponse::deserialize(&mut archive)
                    .map_err(|error| why(error.to_string()))?;
                self.start += LEN_BYTES + content.len();
                return Ok(response);
            }
            self.read_more().map_err(|error| why(error.to_string()))?;
        }
    }

    /// Returns when the server has applied everything that was acknowledged anywhere before.
    ///
    /// # Errors
    /// If the connection fails or the server refuses.
    pub(crate) fn sync(&mut self) -> Result<(), BenchError> {
        let request = SyncRequest { path: "/".into() };
        self.demand(OpCode::Sync, &request, "/", &[]).map(drop)
    }

    /// Sends a request and waits for its reply. Drops watch events that arrive in between.
    ///
    /// # Errors
    /// If the connection fails or the reply belongs to another request.
    pub(crate) fn call<R: Record>(&mut self, op: OpCode, request: &R) -> Result<Reply, BenchError> {
        let xid = self.send(op, request)?;
        loop {
            let reply = self.receive()?;
            match reply.xid {
                EVENT_XID | PING_XID => {}
                found if found == xid => return Ok(reply),
                found => {
                    return Err(BenchError::Protocol(format!("xid {found} where {xid} belongs")));
                }
            }
        }
    }

    /// As [`call`](Self::call), but a reply with an error is returned as an error, except for the tolerated ones.
    ///
    /// # Errors
    /// Also if the server refuses.
    pub(crate) fn demand<R: Record>(
        &mut self,
        op: OpCode,
        request: &R,
        what: &str,
        tolerated: &[i32],
    ) -> Result<Reply, BenchError> {
        let reply = self.call(op, request)?;
        if reply.err == 0 || tolerated.contains(&reply.err) {
            return Ok(reply);
        }
        Err(BenchError::Refused { what: format!("{} of {what}", op.java_name()), code: reply.err })
    }

    /// Sends a request and returns its xid.
    ///
    /// # Errors
    /// If the connection fails.
    pub(crate) fn send<R: Record>(&mut self, op: OpCode, request: &R) -> Result<i32, BenchError> {
        let xid = self.next_xid;
        self.next_xid = if xid == i32::MAX { 1 } else { xid + 1 };
        self.write(&frame(xid, op, request))?;
        Ok(xid)
    }

    /// Sends a ping. Its answer has the xid [`PING_XID`].
    ///
    /// # Errors
    /// If the connection fails.
    pub(crate) fn ping(&mut self) -> Result<(), BenchError> {
        self.write(&bare_frame(PING_XID, OpCode::Ping))
    }

    /// Asks the server to close the session. [`finish_close`](Self::finish_close) waits for the answer.
    ///
    /// # Errors
    /// If the connection fails.
    pub(crate) fn begin_close(&mut self) -> Result<(), BenchError> {
        let xid = self.next_xid;
        self.write(&bare_frame(xid, OpCode::CloseSession))
    }

    /// Waits until the server has closed the session.
    pub(crate) fn finish_close(mut self) {
        // The server closes the connection after the reply, or without a reply. Both end the loop.
        while self.receive().is_ok() {}
    }

    /// The next reply, ping answer or watch event.
    ///
    /// # Errors
    /// If the connection fails or the server has closed it.
    pub(crate) fn receive(&mut self) -> Result<Reply, BenchError> {
        loop {
            if let Some((frame, taken)) = next_frame(&self.buffer[self.start..])? {
                let Frame { xid, zxid, err, body, .. } = frame;
                let reply = Reply { xid, err, body: body.to_vec() };
                self.start += taken;
                self.last_zxid = self.last_zxid.max(Zxid(zxid));
                return Ok(reply);
            }
            self.read_more().map_err(BenchError::io("read from the server"))?;
        }
    }

    /// The socket, for a measurement that reads and writes it directly. All received bytes must have been returned
    /// before.
    pub(crate) fn stream(&self) -> &TcpStream {
        debug_assert_eq!(self.start, self.buffer.len());
        &self.stream
    }

    /// The xid of the next request.
    pub(crate) fn next_xid(&self) -> i32 {
        self.next_xid
    }

    /// Sets the next xid, after another user of the connection has sent requests.
    pub(crate) fn set_next_xid(&mut self, xid: i32) {
        self.next_xid = xid;
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        self.stream.write_all(bytes).map_err(BenchError::io("write to the server"))
    }

    fn read_more(&mut self) -> std::io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let len = self.buffer.len();
        self.buffer.resize(len + READ_BYTES, 0);
        let read = self.stream.read(&mut self.buffer[len..]);
        self.buffer.truncate(len + read.as_ref().map_or(0, |read| *read));
        // Thousands of sessions wait with an empty buffer, so they release its memory.
        if self.buffer.capacity() > READ_BYTES {
            self.buffer.shrink_to(self.buffer.len());
        }
        match read {
            Ok(0) => Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            // The read was interrupted, for example because the process was stopped and continued.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Connects and sends the ConnectRequest for a new session or for an existing one.
fn ask_for_session(addr: SocketAddr, request: &ConnectRequest) -> Result<TcpStream, BenchError> {
    let refused = |error: std::io::Error| BenchError::Connect { addr, why: error.to_string() };
    let mut stream = TcpStream::connect_timeout(&addr, STALL).map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    stream.set_read_timeout(Some(STALL)).map_err(refused)?;
    stream.set_write_timeout(Some(STALL)).map_err(refused)?;
    stream.write_all(&session_frame(request)).map_err(refused)?;
    Ok(stream)
}

/// The request for a session as it is sent over the wire. It has no header.
pub(crate) fn session_frame(request: &ConnectRequest) -> Vec<u8> {
    let mut bytes = vec![0; LEN_BYTES];
    bytes.extend(request.to_bytes());
    set_frame_len(&mut bytes);
    bytes
}

/// Closes the sessions and waits until the server has closed all of them.
pub(crate) fn close_all(sessions: Vec<Session>) {
    let mut closing = Vec::with_capacity(sessions.len());
    for mut session in sessions {
        if session.begin_close().is_ok() {
            closing.push(session);
        }
    }
    closing.into_iter().for_each(Session::finish_close);
}

/// A request without a body.
pub(crate) fn bare_frame(xid: i32, op: OpCode) -> Vec<u8> {
    let mut bytes = vec![0; LEN_BYTES];
    bytes.extend(RequestHeader { xid, r#type: op.code() }.to_bytes());
    set_frame_len(&mut bytes);
    bytes
}
