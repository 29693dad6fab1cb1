//! Connecting with a timeout, interruptible (no Java twin: Socket.connect).

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use crate::common::time;

/// How often an attempt checks whether it is still wanted.
const LOOK_AROUND: Duration = Duration::from_millis(50);

/// Connects, unless it takes longer than `timeout` or `is_stopped` becomes true.
///
/// # Errors
/// When no connection is made.
pub(super) fn connect(
    address: SocketAddr,
    timeout: Duration,
    is_stopped: &dyn Fn() -> bool,
) -> io::Result<TcpStream> {
    let deadline = time::now() + timeout;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1);
    let mut stream = mio::net::TcpStream::connect(address)?;
    poll.registry().register(&mut stream, Token(0), Interest::WRITABLE)?;
    loop {
        let left = deadline.saturating_duration_since(time::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "connect timed out"));
        }
        if is_stopped() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "not wanted any more"));
        }
        match poll.poll(&mut events, Some(left.min(LOOK_AROUND))) {
            Err(problem) if problem.kind() != io::ErrorKind::Interrupted => return Err(problem),
            _ => {}
        }
        if events.is_empty() {
            continue;
        }
        if let Some(problem) = stream.take_error()? {
            return Err(problem);
        }
        if stream.peer_addr().is_ok() {
            poll.registry().deregister(&mut stream)?;
            let stream = TcpStream::from(stream);
            stream.set_nonblocking(false)?;
            return Ok(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use crate::common::test_socket::dead_socket;

    #[test]
    fn a_connection_blocks_again_once_it_is_made() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let timeout = Duration::from_secs(10);
        let mut here = connect(listener.local_addr().unwrap(), timeout, &|| false).unwrap();
        let mut there = listener.accept().unwrap().0;
        there.write_all(b"hello").unwrap();
        let mut bytes = [0; 5];
        here.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"hello");
    }

    #[test]
    fn a_closed_port_is_an_error() {
        let (_socket, address) = dead_socket();
        let problem = connect(address, Duration::from_secs(10), &|| false).unwrap_err();
        assert_eq!(problem.kind(), io::ErrorKind::ConnectionRefused);
    }
}
