//! Listening sockets for clients and for servers (no Java twin: what java.net.ServerSocket and
//! ServerSocketChannel do).

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// The largest backlog. The system limits it to `net.core.somaxconn`. Java's 50 is too small when all clients
/// or scrapers reconnect at once: the system silently drops the connections beyond it, and their clients retry
/// only after 1, 3, 7 and more seconds.
pub(crate) const LARGEST_BACKLOG: i32 = i32::MAX;

/// Listens at an address. As in Java, an IPv6 wildcard address accepts IPv4 connections as well.
///
/// # Errors
/// When the address cannot be bound.
pub(crate) fn listen(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// As [`listen`], but uses the IPv4 wildcard address in place of the IPv6 one if the system has no IPv6.
///
/// # Errors
/// When the address cannot be bound.
pub(crate) fn listen_any_family(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    match listen(address, backlog) {
        Err(error)
            if address.is_ipv6()
                && address.ip().is_unspecified()
                && error.kind() != io::ErrorKind::AddrInUse =>
        {
            listen(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()), backlog)
        }
        listening => listening,
    }
}

/// Stops accepting. A thread that waits in `accept` wakes up with an error.
///
/// # Errors
/// When the system call fails.
pub(crate) fn shut_down(listener: &TcpListener) -> io::Result<()> {
    SockRef::from(listener).shutdown(Shutdown::Both)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::thread;

    #[test]
    fn the_system_alone_bounds_how_many_wait() {
        let listener = listen(([127, 0, 0, 1], 0).into(), LARGEST_BACKLOG).unwrap();
        let address = listener.local_addr().unwrap();
        let deadline = std::time::Duration::from_millis(900);
        // With Java's backlog of 50, the connections after the 51st are not answered.
        let waiting: Vec<_> =
            (0..100).map(|_| TcpStream::connect_timeout(&address, deadline).unwrap()).collect();
        assert_eq!(waiting.len(), 100);
    }

    #[test]
    fn what_is_accepted_has_the_options_of_its_port() {
        let listener = listen(([127, 0, 0, 1], 0).into(), LARGEST_BACKLOG).unwrap();
        for wanted in [true, false] {
            let options = SockRef::from(&listener);
            options.set_tcp_nodelay(wanted).unwrap();
            options.set_keepalive(wanted).unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            let accepted = SockRef::from(&accepted);
            assert_eq!(accepted.tcp_nodelay().unwrap(), wanted);
            assert_eq!(accepted.keepalive().unwrap(), wanted);
        }
    }

    #[test]
    fn who_sleeps_in_accept_is_woken() {
        let listener = listen(([127, 0, 0, 1], 0).into(), LARGEST_BACKLOG).unwrap();
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| listener.accept().is_err());
            // Either of the two threads may be first.
            shut_down(&listener).unwrap();
            assert!(sleeper.join().unwrap());
        });
    }
}
