//! Sessions that open, create an ephemeral node, and end (no Java twin).

#![allow(dead_code, unreachable_pub, reason = "a module of a test crate")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::io::{self, Read, Write};
use std::net::TcpStream;

use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::ids::SessionId;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::proto::{
    ConnectRequest, ConnectResponse, CreateRequest, ReplyHeader, RequestHeader,
};
use zookeeper_server::zoo_defs::{OpCode, ids};

use super::common::{Client, DEADLINE, decode};

/// A session timeout that is longer than any test, ms.
const TIMEOUT_MS: i32 = 40_000;

/// The progress of a guest, according to the answers it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    /// The node may exist or not.
    Coming,
    /// The node exists.
    There,
    /// The node may exist or not.
    Leaving,
    /// The node does not exist.
    Gone,
}

#[derive(Debug)]
struct Guest {
    path: String,
    session: SessionId,
    passwd: Vec<u8>,
    stay: Stay,
}

/// All guests of a server.
#[derive(Debug)]
pub struct Guests {
    port: u16,
    count: u32,
    guests: Vec<Guest>,
}

impl Guests {
    pub const fn new(port: u16) -> Self {
        Self { port, count: 0, guests: Vec::new() }
    }

    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Runs guests one after the other until the connection is lost.
    pub fn run(&mut self) {
        while self.receive().is_ok() {}
    }

    fn receive(&mut self) -> io::Result<()> {
        self.count += 1;
        let (mut cnxn, session, passwd) = Connection::open(self.port, SessionId(0), vec![0; 16])?;
        let path = format!("/guest{}", self.count);
        self.guests.push(Guest { path: path.clone(), session, passwd, stay: Stay::Coming });
        let guest = self.guests.last_mut().unwrap();
        let flags = CreateMode::Ephemeral.flag();
        let acl = Some(ids::open_acl_unsafe());
        cnxn.ask(1, OpCode::Create, &CreateRequest { path, data: None, acl, flags }.to_bytes())?;
        guest.stay = Stay::There;
        if self.count.is_multiple_of(3) {
            // Disconnects without closing the session, so the session lives on.
            return Ok(());
        }
        guest.stay = Stay::Leaving;
        cnxn.ask(2, OpCode::CloseSession, &[])?;
        guest.stay = Stay::Gone;
        Ok(())
    }

    /// Checks after a crash that the nodes of present guests exist, and those of guests that left do not. Then closes
    /// the sessions of all guests whose nodes exist.
    pub fn check(&mut self, client: &Client) {
        let names = client.get_children("/", false).unwrap();
        for guest in std::mem::take(&mut self.guests) {
            let is_there = names.iter().any(|name| name == &guest.path[1..]);
            match guest.stay {
                Stay::There => assert!(is_there, "gone: {guest:?}"),
                Stay::Gone => assert!(!is_there, "still there: {guest:?}"),
                Stay::Coming | Stay::Leaving => {}
            }
            if is_there {
                let owner = client.exists(&guest.path, false).unwrap().unwrap().ephemeral_owner;
                assert_eq!(owner, guest.session.0, "{guest:?}");
                let (mut cnxn, session, _) =
                    Connection::open(self.port, guest.session, guest.passwd).unwrap();
                assert_eq!(session, guest.session, "the session is still there");
                cnxn.ask(1, OpCode::CloseSession, &[]).unwrap();
            }
        }
        let left = client.get_children("/", false).unwrap();
        assert!(!left.iter().any(|name| name.starts_with("guest")), "{left:?}");
    }
}

/// A connection that may be lost at any time.
struct Connection {
    stream: TcpStream,
}

impl Connection {
    fn open(
        port: u16,
        session_id: SessionId,
        passwd: Vec<u8>,
    ) -> io::Result<(Self, SessionId, Vec<u8>)> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        let mut cnxn = Self { stream };
        let request = ConnectRequest {
            time_out: TIMEOUT_MS,
            session_id,
            passwd: Some(passwd),
            ..ConnectRequest::default()
        };
        cnxn.send(&request.to_bytes())?;
        let response: ConnectResponse = decode(&cnxn.receive()?).0;
        Ok((cnxn, response.session_id, response.passwd.unwrap_or_default()))
    }

    fn send(&mut self, body: &[u8]) -> io::Result<()> {
        let len = i32::try_from(body.len()).unwrap().to_be_bytes();
        self.stream.write_all(&[&len[..], body].concat())
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len)?;
        let mut body = vec![0; usize::try_from(i32::from_be_bytes(len)).unwrap()];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    /// Sends a request and waits for its answer, which must not be an error.
    fn ask(&mut self, xid: i32, op: OpCode, payload: &[u8]) -> io::Result<()> {
        let header = RequestHeader { xid, r#type: op.code() }.to_bytes();
        self.send(&[&header, payload].concat())?;
        let reply: ReplyHeader = decode(&self.receive()?).0;
        assert_eq!((reply.xid, reply.err), (xid, 0), "{op:?}");
        Ok(())
    }
}
