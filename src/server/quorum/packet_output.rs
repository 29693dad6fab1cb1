//! What one server has to say to another one on the quorum port (no Java twin of its own: LearnerHandler.queuedPackets with
//! its Sender thread, and LearnerSender).
//!
//! Whoever queues a packet goes on at once. Whoever ends a batch sends what is queued, as far as the socket takes it without
//! waiting; what is left is the sender thread's (`Sender-ADDR`, `LearnerSender`), which sleeps while the other side keeps up.
//! Bytes leave in the order in which they were queued.
//!
//! Locks: `PacketOutput`, for a moment; never while the socket is asked. Bounds: a learner's queue grows while it does not
//! read, until its leader gives it up after syncLimit ticks; what a learner queues is bounded by its clients'
//! globalOutstandingLimit.

use std::io::{self, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use log::{debug, warn};
use socket2::SockRef;

use super::quorum_packet::QuorumPacket;
use crate::jute::{BinaryOutputArchive, Record};
use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.LearnerHandler";

/// `MSG_DONTWAIT | MSG_NOSIGNAL` of Linux.
const SEND_FLAGS: i32 = 0x40 | 0x4000;

/// A buffer that has grown beyond this is not kept, in bytes.
const KEPT_CAPACITY: usize = 256 * 1024;

#[derive(Default)]
struct State {
    queued: Vec<u8>,
    /// Packets that were queued and not handed to the socket yet (Java: queuedPackets.size).
    packets: usize,
    /// All that were ever queued.
    count: u64,
    /// Nothing is sent before this is set: what comes first is written by somebody else.
    started: bool,
    /// Somebody sends: he will see what is queued meanwhile.
    sending: bool,
    /// What the sender thread is to send before what is queued.
    left: Vec<u8>,
    /// The sender thread sends, or is to.
    handed_over: bool,
    closed: bool,
}

/// The output of one connection.
pub struct PacketOutput {
    stream: TcpStream,
    state: RankedMutex<State>,
    wake: RankedCondvar,
    thread: RankedMutex<Option<JoinHandle<()>>>,
}

impl PacketOutput {
    /// An output that queues until it is [started](Self::start).
    #[must_use]
    pub fn new(stream: TcpStream) -> Arc<Self> {
        Arc::new(Self {
            stream,
            state: RankedMutex::new(Rank::PacketOutput, "packets to send", State::default()),
            wake: RankedCondvar::new(),
            thread: RankedMutex::new(Rank::Leaf, "sender thread", None),
        })
    }

    /// Begins to send, with a thread of this name for what the socket does not take at once.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub fn start(self: &Arc<Self>, thread_name: &str) -> io::Result<()> {
        let this = Arc::clone(self);
        let thread = zookeeper_thread::spawn(thread_name, None, move || {
            this.run();
            Ok::<(), io::Error>(())
        })?;
        *self.thread.lock() = Some(thread);
        self.state.lock().started = true;
        self.flush();
        Ok(())
    }

    /// Queues a packet; the caller flushes when its batch is at its end.
    pub fn queue(&self, packet: &QuorumPacket) {
        self.queue_with(|bytes| packet.serialize(&mut BinaryOutputArchive::new(bytes)));
    }

    /// Queues a packet that was serialized before, as one that many learners get.
    pub fn queue_bytes(&self, packet: &[u8]) {
        self.queue_with(|bytes| bytes.extend_from_slice(packet));
    }

    fn queue_with(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        if !state.closed {
            write(&mut state.queued);
            state.packets += 1;
            state.count += 1;
        }
    }

    /// How many packets wait.
    #[must_use]
    pub fn queued_packets(&self) -> usize {
        self.state.lock().packets
    }

    /// How many packets wait, how many bytes these have, and how many packets have left.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, u64) {
        let state = self.state.lock();
        let waiting = u64::try_from(state.packets).unwrap_or(u64::MAX);
        (state.packets, state.queued.len(), state.count.saturating_sub(waiting))
    }

    /// Sends what is queued, as far as the socket takes it now. Never waits. No lock of a higher rank may be needed by whoever
    /// waits for this.
    pub fn flush(&self) {
        let mut bytes = Vec::new();
        loop {
            {
                let mut state = self.state.lock();
                let is_mine = state.sending && !bytes.is_empty();
                if state.closed || !state.started || state.handed_over || state.sending && !is_mine
                {
                    return;
                }
                keep(&mut bytes);
                if state.queued.is_empty() {
                    state.sending = false;
                    if state.queued.capacity() == 0 {
                        state.queued = bytes;
                    }
                    return;
                }
                state.sending = true;
                take_queued(&mut state, &mut bytes);
            }
            let mut sent = 0;
            while sent < bytes.len() {
                match SockRef::from(&self.stream).send_with_flags(&bytes[sent..], SEND_FLAGS) {
                    Ok(0) => return self.fail("the other side takes nothing more"),
                    Ok(taken) => sent += taken,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        bytes.drain(..sent);
                        return self.hand_over(bytes);
                    }
                    Err(error) => return self.fail(&error.to_string()),
                }
            }
        }
    }

    fn hand_over(&self, left: Vec<u8>) {
        let mut state = self.state.lock();
        state.left = left;
        state.sending = false;
        state.handed_over = true;
        self.wake.notify_one();
    }

    /// The sender thread: waits for the socket.
    fn run(&self) {
        let mut bytes = Vec::new();
        loop {
            {
                let mut state = self.state.lock();
                while !state.closed && !state.handed_over {
                    self.wake.wait(&mut state);
                }
                if state.closed {
                    return;
                }
                keep(&mut bytes);
                if !state.left.is_empty() {
                    bytes = mem::take(&mut state.left);
                } else if state.queued.is_empty() {
                    state.handed_over = false;
                    continue;
                } else {
                    take_queued(&mut state, &mut bytes);
                }
            }
            if let Err(error) = (&self.stream).write_all(&bytes) {
                return self.fail(&error.to_string());
            }
        }
    }

    fn fail(&self, why: &str) {
        let was_closed = mem::replace(&mut self.state.lock().closed, true);
        if !was_closed {
            warn!(target: LOG, "cannot send to {}: {why}", self.peer());
        }
        // Whoever reads from it notices.
        self.shut_down_socket();
    }

    fn peer(&self) -> String {
        self.stream
            .peer_addr()
            .map_or_else(|_| "a server that is gone".into(), |peer| peer.to_string())
    }

    fn shut_down_socket(&self) {
        if let Err(error) = self.stream.shutdown(Shutdown::Both) {
            debug!(target: LOG, "ignoring error during shutdown of a socket: {error}");
        }
    }

    /// Ends it: what is queued is forgotten, the socket is closed, the thread is joined. Called by whoever owns it.
    pub fn close(&self) {
        {
            let mut state = self.state.lock();
            state.closed = true;
            state.queued = Vec::new();
            state.left = Vec::new();
            self.wake.notify_one();
        }
        self.shut_down_socket();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            zookeeper_thread::join(thread);
        }
    }
}

/// Exchanges what is queued for an empty buffer.
fn take_queued(state: &mut State, bytes: &mut Vec<u8>) {
    mem::swap(bytes, &mut state.queued);
    state.packets = 0;
}

/// Empties a buffer, and lets it go when it has grown large.
fn keep(bytes: &mut Vec<u8>) {
    if bytes.capacity() > KEPT_CAPACITY {
        *bytes = Vec::new();
    }
    bytes.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Zxid;
    use crate::jute::Limits;
    use crate::server::quorum::quorum_packet::{PacketType, read_packet};
    use std::io::BufReader;
    use std::net::TcpListener;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (here, listener.accept().unwrap().0)
    }

    fn packet(n: i64, data: usize) -> QuorumPacket {
        QuorumPacket::new(PacketType::Proposal, Zxid(n), Some(vec![7; data]))
    }

    #[test]
    fn packets_arrive_in_order_also_when_the_socket_is_full() {
        const PACKETS: i64 = 400;
        let (here, there) = pair();
        let output = PacketOutput::new(here);
        output.queue(&packet(0, 10));
        output.flush();
        assert_eq!(output.queued_packets(), 1, "nothing is sent before the start");
        output.start("Sender-test").unwrap();
        for n in 1..PACKETS {
            // More than a socket takes while nobody reads.
            output.queue_bytes(&packet(n, 50_000).to_bytes());
            output.flush();
        }
        let mut input = BufReader::new(there);
        for n in 0..PACKETS {
            assert_eq!(read_packet(&mut input, Limits::default()).unwrap().zxid, Zxid(n));
        }
        output.close();
    }

    #[test]
    fn a_peer_that_is_gone_ends_it_and_close_waits_for_the_thread() {
        let (here, there) = pair();
        let output = PacketOutput::new(here);
        output.start("Sender-test").unwrap();
        drop(there);
        while !output.state.lock().closed {
            output.queue(&packet(1, 100_000));
            output.flush();
        }
        output.close();
        assert!(output.thread.lock().is_none());
        output.queue(&packet(2, 1));
        assert!(output.state.lock().queued.is_empty());
    }
}
