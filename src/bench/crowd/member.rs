//! One client of a crowd: its session and its connection (no Java twin).

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use crate::common::time;
use crate::ids::{SessionId, Zxid};
use crate::proto::ConnectRequest;

use super::super::error::BenchError;
use super::super::reply::next_frame_bytes;
use super::super::session::session_frame;
use super::super::template::LEN_BYTES;

/// The size of one read. All answers are short.
const READ_BYTES: usize = 4096;

/// The session of a client that asks for a new one.
pub(super) const NO_SESSION: SessionId = SessionId(0);

/// The session timeout that a client asks for, ms.
const SESSION_TIMEOUT_MS: i32 = 30_000;

/// The longest pause of a client that has lost its server, ms.
const MAX_PAUSE_MS: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The client waits before its next attempt.
    Pausing,
    Connecting,
    /// The client has asked for its session.
    Greeting,
    /// The client has its session and sets its watches.
    Watching,
    Served,
}

/// One client.
pub(super) struct Member {
    pub(super) number: usize,
    pub(super) stream: Option<TcpStream>,
    pub(super) state: State,
    /// The start of the current attempt or of the next one. If the client is served, the time of its last request.
    pub(super) since: Instant,
    pub(super) attempts: usize,
    pub(super) session_id: SessionId,
    pub(super) passwd: Vec<u8>,
    pub(super) last_zxid: Zxid,
    pub(super) input: Vec<u8>,
    pub(super) served_at: Option<Instant>,
    /// The client got its session on this connection before the measurement.
    pub(super) is_old: bool,
}

impl Member {
    pub(super) fn new(number: usize, last_zxid: Zxid) -> Self {
        Self {
            number,
            stream: None,
            state: State::Pausing,
            since: time::now(),
            attempts: 0,
            session_id: NO_SESSION,
            passwd: vec![0; 16],
            last_zxid,
            input: Vec::new(),
            served_at: None,
            is_old: false,
        }
    }

    /// Random enough, and the same in every run.
    pub(super) fn pause(&self) -> Duration {
        let random = self.number as u64 * 7_919 + self.attempts as u64 * 104_729;
        Duration::from_millis(random % MAX_PAUSE_MS)
    }

    /// Whether the connection is open now.
    pub(super) fn is_connected(&self) -> io::Result<bool> {
        let Some(stream) = &self.stream else { return Ok(false) };
        if let Some(problem) = stream.take_error()? {
            return Err(problem);
        }
        match stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks for a new session, or for the one that the client has.
    pub(super) fn greet(&mut self) -> io::Result<()> {
        if let Some(stream) = &self.stream {
            stream.set_nodelay(true)?;
        }
        let request = ConnectRequest {
            time_out: SESSION_TIMEOUT_MS,
            last_zxid_seen: self.last_zxid,
            session_id: self.session_id,
            passwd: Some(self.passwd.clone()),
            ..ConnectRequest::default()
        };
        self.state = State::Greeting;
        self.send(&session_frame(&request))
    }

    /// A write never blocks: everything that is sent here fits into the socket's buffer.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Some(stream) => stream.write_all(bytes),
            None => Ok(()),
        }
    }

    /// Reads everything that has arrived. Returns whether the connection is still open.
    pub(super) fn receive(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return true };
        let mut bytes = [0; READ_BYTES];
        loop {
            match stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(read) => self.input.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// Takes the next complete answer from the input, without its length.
    pub(super) fn take_answer(&mut self) -> Result<Option<Vec<u8>>, BenchError> {
        let answer = next_frame_bytes(&self.input)?.map(<[u8]>::to_vec);
        if let Some(answer) = &answer {
            self.input.drain(..LEN_BYTES + answer.len());
        }
        Ok(answer)
    }
}
