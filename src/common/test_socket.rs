//! A socket for tests that connect to an address where nobody listens (no Java twin).

use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

/// A bound socket that does not listen. While it lives, no other socket can get its address.
pub(crate) fn dead_socket() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}
