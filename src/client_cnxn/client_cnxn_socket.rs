//! Connects to a server, and assembles frames from what it sends (Java: ClientCnxnSocket.java and the reading half of
//! ClientCnxnSocketNIO.java).
//!
//! Elsewhere: frames are written by `Shared::write` in `client_cnxn`.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use byteorder::{BigEndian, ByteOrder};
use socket2::{Domain, Protocol, Socket, Type};

use super::send_thread::CnxnError;
use super::{LONGEST_FRAME, Shared};

/// Connects. Another thread that shuts down the socket of the client ends the attempt at once.
pub(super) fn connect(
    shared: &Shared,
    address: SocketAddr,
    timeout: Duration,
) -> Result<TcpStream, CnxnError> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    *shared.socket.lock() = Some(socket.try_clone()?.into());
    // Whoever asks for this later finds the socket.
    shared.check_goes_on()?;
    socket.connect_timeout(&address.into(), timeout)?;
    Ok(socket.into())
}

/// Assembles frames from the received bytes.
#[derive(Default)]
pub(super) struct FrameReader {
    bytes: Vec<u8>,
    start: usize,
}

/// The size of one read, in bytes.
const READ_SIZE: usize = 64 * 1024;

impl FrameReader {
    /// The next frame, if it has been received completely.
    pub(super) fn buffered(&mut self) -> Result<Option<Vec<u8>>, CnxnError> {
        let Some((len, rest)) = self.bytes[self.start..].split_at_checked(4) else {
            return Ok(None);
        };
        let claimed = BigEndian::read_i32(len);
        let len = usize::try_from(claimed).ok().filter(|len| *len <= LONGEST_FRAME);
        let len = len.ok_or(CnxnError::FrameLength(claimed))?;
        let Some(frame) = rest.get(..len) else { return Ok(None) };
        let frame = frame.to_vec();
        self.start += 4 + len;
        Ok(Some(frame))
    }

    /// The next frame, after at most one read; `None` if it is not complete yet.
    pub(super) fn next(&mut self, stream: &mut TcpStream) -> Result<Option<Vec<u8>>, CnxnError> {
        if let Some(frame) = self.buffered()? {
            return Ok(Some(frame));
        }
        self.bytes.drain(..self.start);
        self.start = 0;
        let filled = self.bytes.len();
        self.bytes.resize(filled + READ_SIZE, 0);
        let read = stream.read(&mut self.bytes[filled..]);
        self.bytes.truncate(filled + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(0) => Err(CnxnError::Closed),
            Ok(_) => self.buffered(),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error.into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_whole_however_they_arrive() {
        let mut frames = FrameReader::default();
        frames.bytes.extend([0, 0, 0, 2, b'a', b'b', 0, 0, 0, 0, 0, 0]);
        assert_eq!(frames.buffered().unwrap().as_deref(), Some(&b"ab"[..]));
        assert_eq!(frames.buffered().unwrap().as_deref(), Some(&b""[..]));
        assert_eq!(frames.buffered().unwrap(), None);
        frames.bytes.extend([0, 1]);
        assert_eq!(frames.buffered().unwrap(), None);
        frames.bytes.push(b'c');
        assert_eq!(frames.buffered().unwrap().as_deref(), Some(&b"c"[..]));
        frames.bytes.extend([0xff; 4]);
        assert!(matches!(frames.buffered(), Err(CnxnError::FrameLength(-1))));
    }
}
