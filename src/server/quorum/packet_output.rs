//! The output from one server to another on the quorum port (no Java twin of its own: LearnerHandler.queuedPackets
//! with its Sender thread, and LearnerSender).
//!
//! Queueing a packet never blocks. The thread that ends a batch sends the queued packets, as far as the socket takes
//! them without blocking. It hands the rest over to the sender thread (`Sender-ADDR`, `LearnerSender`), which sleeps
//! while the other side keeps up. Bytes leave in the order in which they were queued.
//!
//! Locks: `PacketOutput`, held briefly and never while the socket is used. Bounds: The queue for a learner that does
//! not read grows until the leader disconnects it after syncLimit ticks: a follower because it does not acknowledge,
//! any learner because of [`PacketOutput::is_behind`]. What a learner queues is bounded by the globalOutstandingLimit
//! of its clients.

use std::io::{self, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use log::{debug, warn};
use socket2::SockRef;

use super::quorum_packet::QuorumPacket;
use crate::common::time;
use crate::jute::{BinaryOutputArchive, Record};
use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.LearnerHandler";

/// `MSG_DONTWAIT | MSG_NOSIGNAL` of Linux.
const SEND_FLAGS: i32 = 0x40 | 0x4000;

/// A buffer with a larger capacity is not kept, in bytes.
const KEPT_CAPACITY: usize = 256 * 1024;

/// The sender thread writes pieces of this size, so that it sees whether the socket still takes bytes.
const PIECE: usize = 64 * 1024;

/// How much may be queued for a peer that is late, in bytes.
const MAX_BEHIND: usize = 64 << 20;

/// How far the sender thread is.
struct HandedOver {
    /// When the sender thread took its current batch.
    since: Instant,
    /// When the socket last took a piece.
    moved: Instant,
}

#[derive(Default)]
struct State {
    queued: Vec<u8>,
    /// Packets that are queued and not yet taken for sending (Java: queuedPackets.size).
    packets: usize,
    /// The number of packets ever queued.
    count: u64,
    /// Nothing is sent before this is set; until then the owner may write to the socket directly.
    started: bool,
    /// A thread is sending; it also sends what is queued meanwhile.
    sending: bool,
    /// The bytes that the sender thread sends before the queued ones.
    left: Vec<u8>,
    /// Set while the sender thread is sending, or is about to.
    handed_over: Option<HandedOver>,
    closed: bool,
}

impl State {
    /// The sender thread starts to send a batch.
    fn hand_over(&mut self) {
        let now = time::now();
        self.handed_over = Some(HandedOver { since: now, moved: now });
    }
}

/// The output of one connection.
pub(crate) struct PacketOutput {
    stream: TcpStream,
    state: RankedMutex<State>,
    wake: RankedCondvar,
    thread: RankedMutex<Option<JoinHandle<()>>>,
}

impl PacketOutput {
    /// An output that queues until it is [started](Self::start).
    #[must_use]
    pub(crate) fn new(stream: TcpStream) -> Arc<Self> {
        Arc::new(Self {
            stream,
            state: RankedMutex::new(Rank::PacketOutput, "packets to send", State::default()),
            wake: RankedCondvar::new(),
            thread: RankedMutex::new(Rank::Leaf, "sender thread", None),
        })
    }

    /// Starts to send. A thread of this name sends what the socket does not take at once.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(self: &Arc<Self>, thread_name: &str) -> io::Result<()> {
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

    /// Queues a packet; the caller flushes at the end of its batch.
    pub(crate) fn queue(&self, packet: &QuorumPacket) {
        self.queue_with(|bytes| packet.serialize(&mut BinaryOutputArchive::new(bytes)));
    }

    /// Queues a serialized packet, such as one that goes to many learners.
    pub(crate) fn queue_bytes(&self, packet: &[u8]) {
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

    /// The number of packets in the queue.
    #[must_use]
    pub(crate) fn queued_packets(&self) -> usize {
        self.state.lock().packets
    }

    /// The number of packets in the queue, their bytes, and the number of packets sent.
    #[must_use]
    pub(crate) fn counts(&self) -> (usize, usize, u64) {
        let state = self.state.lock();
        let waiting = u64::try_from(state.packets).unwrap_or(u64::MAX);
        (state.packets, state.queued.len(), state.count.saturating_sub(waiting))
    }

    /// Whether the peer does not keep up: its socket has taken nothing for `limit`, or the sender thread has needed
    /// longer than `limit` for one batch while more than 64 MiB is queued.
    #[must_use]
    pub(crate) fn is_behind(&self, limit: Duration) -> bool {
        let state = self.state.lock();
        state.handed_over.as_ref().is_some_and(|sender| {
            sender.moved.elapsed() >= limit
                || sender.since.elapsed() >= limit && state.queued.len() > MAX_BEHIND
        })
    }

    /// Sends what is queued, as far as the socket takes it now. Never blocks. The caller should not hold a lock of a
    /// higher rank.
    pub(crate) fn flush(&self) {
        let mut bytes = Vec::new();
        loop {
            {
                let mut state = self.state.lock();
                let is_mine = state.sending && !bytes.is_empty();
                if state.closed
                    || !state.started
                    || state.handed_over.is_some()
                    || state.sending && !is_mine
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
        state.hand_over();
        self.wake.notify_one();
    }

    /// The body of the sender thread, which may block on the socket.
    fn run(&self) {
        let mut bytes = Vec::new();
        loop {
            {
                let mut state = self.state.lock();
                while !state.closed && state.handed_over.is_none() {
                    self.wake.wait(&mut state);
                }
                if state.closed {
                    return;
                }
                keep(&mut bytes);
                if !state.left.is_empty() {
                    bytes = mem::take(&mut state.left);
                } else if state.queued.is_empty() {
                    state.handed_over = None;
                    continue;
                } else {
                    take_queued(&mut state, &mut bytes);
                    state.hand_over();
                }
            }
            for piece in bytes.chunks(PIECE) {
                if let Err(error) = (&self.stream).write_all(piece) {
                    return self.fail(&error.to_string());
                }
                if let Some(sender) = &mut self.state.lock().handed_over {
                    sender.moved = time::now();
                }
            }
        }
    }

    fn fail(&self, why: &str) {
        let was_closed = mem::replace(&mut self.state.lock().closed, true);
        if !was_closed {
            warn!(target: LOG, "cannot send to {}: {why}", self.peer());
        }
        // The thread that reads from the socket notices this.
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

    /// Closes the socket, discards what is queued, and joins the thread. Called by the owner.
    pub(crate) fn close(&self) {
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

/// Swaps the queued bytes for an empty buffer.
fn take_queued(state: &mut State, bytes: &mut Vec<u8>) {
    mem::swap(bytes, &mut state.queued);
    state.packets = 0;
}

/// Empties a buffer, and frees it if it has grown large.
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
            // More than the socket buffers hold while nobody reads.
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
    fn who_does_not_read_is_behind_and_who_reads_again_is_not() {
        let (here, mut there) = pair();
        let output = PacketOutput::new(here);
        output.start("Sender-test").unwrap();
        let limit = Duration::from_millis(50);
        output.queue(&packet(1, 10));
        output.flush();
        assert!(!output.is_behind(Duration::ZERO), "the socket took it");
        for n in 0..200 {
            output.queue_bytes(&packet(n, 100_000).to_bytes());
            output.flush();
        }
        assert!(!output.is_behind(Duration::from_secs(60)));
        let deadline = time::now() + Duration::from_secs(30);
        while !output.is_behind(limit) {
            assert!(time::now() < deadline, "it takes nothing, and nobody notices");
            std::thread::yield_now();
        }
        std::io::copy(&mut std::io::Read::take(&mut there, 20_000_000), &mut std::io::sink())
            .unwrap();
        while output.is_behind(Duration::ZERO) {
            assert!(time::now() < deadline, "it has read nearly all, and is behind still");
            std::thread::yield_now();
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
