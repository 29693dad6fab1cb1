//! A socket for tests of what happens where nobody listens (no Java twin).

use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

/// A socket that is bound and does not listen: as long as it lives, nobody else gets its address.
pub(crate) fn dead_socket() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}
