//! A server whose messages are scripted, byte for byte.

#![allow(clippy::unwrap_used, reason = "a helper of tests")]
#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use zookeeper_server::internals::server::quorum::states::ServerState;
use zookeeper_server::internals::server::quorum::vote::Vote;

use crate::common::{DEADLINE, wait_for};

/// One connection to the server under test.
pub(crate) struct Scripted {
    stream: TcpStream,
}

/// A notification of 3.4.6 to 3.4.14.
pub(crate) fn notification_3_4(state: ServerState, vote: &Vote, round: i64) -> Vec<u8> {
    let mut bytes = state.code().to_be_bytes().to_vec();
    for long in [vote.id.0, vote.zxid.0, round, vote.peer_epoch.0] {
        bytes.extend_from_slice(&long.to_be_bytes());
    }
    bytes.extend_from_slice(&1_i32.to_be_bytes());
    bytes
}

fn open(port: u16) -> TcpStream {
    wait_for(DEADLINE, || TcpStream::connect(("127.0.0.1", port)).ok()).expect("it listens")
}

impl Scripted {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { stream }
    }

    /// Connects as a server of 3.4 does, which sends only its id.
    pub(crate) fn connect_as_3_4(port: u16, sid: i64) -> Self {
        let mut stream = open(port);
        stream.write_all(&sid.to_be_bytes()).unwrap();
        Self::new(stream)
    }

    /// Connects as a server of 3.5 with a smaller id, which sends its id and address. The server under test closes
    /// this connection.
    pub(crate) fn greet_as_3_5(port: u16, sid: i64, own_port: u16) {
        let mut stream = open(port);
        let address = format!("127.0.0.1:{own_port}");
        let length = i32::try_from(address.len()).unwrap();
        stream.write_all(&(-65536_i64).to_be_bytes()).unwrap();
        stream.write_all(&sid.to_be_bytes()).unwrap();
        stream.write_all(&length.to_be_bytes()).unwrap();
        stream.write_all(address.as_bytes()).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it hangs up");
    }

    /// Waits until the server under test connects.
    pub(crate) fn accept(listener: &TcpListener) -> Self {
        listener.set_nonblocking(true).unwrap();
        let stream = wait_for(DEADLINE, || listener.accept().ok()).expect("it calls").0;
        stream.set_nonblocking(false).unwrap();
        Self::new(stream)
    }

    fn long(&mut self) -> i64 {
        let mut bytes = [0; 8];
        self.stream.read_exact(&mut bytes).unwrap();
        i64::from_be_bytes(bytes)
    }

    fn block(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).unwrap();
        let mut bytes = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The version and id of the server under test. Its address is skipped.
    pub(crate) fn receive_greeting(&mut self) -> (i64, i64) {
        let greeting = (self.long(), self.long());
        self.block();
        greeting
    }

    /// The next message.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        self.block()
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, message: &[u8]) {
        let length = i32::try_from(message.len()).unwrap();
        self.stream.write_all(&[&length.to_be_bytes()[..], message].concat()).unwrap();
    }

    /// Whether the server under test has closed the connection. It must not send anything meanwhile.
    pub(crate) fn is_gone(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let read = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        match read {
            Ok(bytes) => bytes == 0,
            Err(problem) => problem.kind() != ErrorKind::WouldBlock,
        }
    }
}
