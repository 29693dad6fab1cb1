//! The input from the leader (no Java twin: a BufferedInputStream there).
//!
//! Before it waits for more input, it lets the learner finish what has arrived, so that packets that arrive together
//! are one batch for the log, the tree and the socket. Threads: the peer's. Locks: none.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::jute::Limits;
use crate::server::quorum::quorum_packet::{PacketError, QuorumPacket, read_packet};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.Learner";

/// The size of one read, in bytes.
const BUFFER: usize = 64 * 1024;

/// The reading half of the connection to the leader.
pub(in crate::server::quorum) struct LeaderInput {
    stream: TcpStream,
    limits: Limits,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl LeaderInput {
    /// An input that reads from that connection.
    pub(super) fn new(stream: TcpStream, limits: Limits) -> Self {
        Self { stream, limits, buffer: vec![0; BUFFER].into(), start: 0, end: 0 }
    }

    /// Sets how long the leader may be silent.
    ///
    /// # Errors
    /// When the system refuses the timeout.
    pub(super) fn set_timeout(&self, timeout_ms: i64) -> io::Result<()> {
        // A timeout of zero would mean for ever.
        let timeout_ms = u64::try_from(timeout_ms).unwrap_or(1).max(1);
        self.stream.set_read_timeout(Some(Duration::from_millis(timeout_ms)))
    }

    /// Reads the next packet. Calls `finish` before it waits for the leader; `finish` returns how soon it wants to be
    /// called again if nothing arrives.
    ///
    /// # Errors
    /// When the connection ends, fails or is silent for too long, or when a packet is malformed.
    pub(in crate::server::quorum) fn read_packet(
        &mut self,
        finish: &mut dyn FnMut() -> Option<Duration>,
    ) -> Result<QuorumPacket, PacketError> {
        let limits = self.limits;
        let packet = read_packet(Finishing { input: self, finish: Some(finish) }, limits)?;
        packet.trace(LOG, 'i');
        Ok(packet)
    }

    /// The raw bytes, for a snapshot.
    pub(super) fn bytes(&mut self) -> impl Read + '_ {
        Finishing { input: self, finish: None }
    }
}

struct Finishing<'a> {
    input: &'a mut LeaderInput,
    finish: Option<&'a mut dyn FnMut() -> Option<Duration>>,
}

/// Whether input arrives within that time.
fn comes_within(stream: &TcpStream, time: Duration) -> io::Result<bool> {
    let time = Timespec::try_from(time).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&time)) {
        Err(Errno::INTR) => Ok(false),
        other => Ok(other? > 0),
    }
}

impl Read for Finishing<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let LeaderInput { stream, buffer, start, end, .. } = &mut *self.input;
        if start == end {
            while let Some(time) = self.finish.as_mut().and_then(|finish| finish()) {
                if comes_within(stream, time)? {
                    break;
                }
            }
            (*start, *end) = (0, 0);
            *end = loop {
                match stream.read(buffer) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        return Err(io::Error::new(ErrorKind::TimedOut, "Read timed out"));
                    }
                    other => break other?,
                }
            };
        }
        let n = out.len().min(*end - *start);
        out[..n].copy_from_slice(&buffer[*start..*start + n]);
        *start += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Zxid;
    use crate::jute::Record;
    use crate::server::quorum::quorum_packet::PacketType;
    use std::cell::Cell;
    use std::io::Write;
    use std::net::TcpListener;

    fn pair() -> (LeaderInput, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (LeaderInput::new(here, Limits::default()), listener.accept().unwrap().0)
    }

    #[test]
    fn a_batch_is_finished_before_the_leader_is_waited_for() {
        let (mut input, mut there) = pair();
        let packets: Vec<_> =
            (0..3).map(|n| QuorumPacket::new(PacketType::Commit, Zxid(n), None)).collect();
        let bytes: Vec<u8> = packets.iter().flat_map(Record::to_bytes).collect();
        there.write_all(&bytes).unwrap();
        drop(there);
        let waits = Cell::new(0);
        let mut finish = || {
            waits.set(waits.get() + 1);
            None
        };
        for packet in &packets {
            assert_eq!(&input.read_packet(&mut finish).unwrap(), packet);
        }
        assert_eq!(waits.get(), 1, "all three came at once");
        assert!(input.read_packet(&mut finish).is_err());
        assert_eq!(waits.get(), 2);
    }

    #[test]
    fn a_batch_that_is_not_finished_is_asked_about_again_until_more_comes() {
        let (mut input, mut there) = pair();
        let packet = QuorumPacket::new(PacketType::Commit, Zxid(1), None);
        let asked = Cell::new(0);
        let mut finish = || {
            asked.set(asked.get() + 1);
            // The packet arrives during the third wait.
            if asked.get() == 3 {
                there.write_all(&packet.to_bytes()).unwrap();
                return Some(Duration::from_secs(60));
            }
            Some(Duration::from_micros(10))
        };
        assert_eq!(input.read_packet(&mut finish).unwrap(), packet);
        assert_eq!(asked.get(), 3);
        drop(there);
        assert!(input.read_packet(&mut || Some(Duration::from_secs(60))).is_err(), "it has ended");
    }

    #[test]
    fn a_leader_that_is_silent_for_too_long_is_given_up() {
        let (mut input, _there) = pair();
        input.set_timeout(5).unwrap();
        let error = input.read_packet(&mut || None).unwrap_err();
        assert!(error.to_string().contains("Read timed out"), "{error}");
    }
}
