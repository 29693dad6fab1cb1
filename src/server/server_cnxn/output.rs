//! What a connection has to say and has not sent yet (Java: NIOServerCnxn.outgoingBuffers).
//!
//! Whoever completes a reply appends it; whoever ends a batch sends, and nobody waits for the socket: what it does not
//! take at once is finished by the transport's own thread. The lock is let go while the socket is asked, so that
//! appending never waits for the network. No Java twin of its own.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::util::lock_rank::{Rank, RankedMutex};

/// More than this unsent, in bytes, and the client is dropped: it does not read, and memory is for those who do.
pub const OUTPUT_LIMIT: usize = 256 << 20;

/// What a connection keeps for its next replies, in bytes.
const KEPT_CAPACITY: usize = 16 << 10;

/// Where the bytes go. Never blocks.
pub trait Transport: Send + Sync {
    /// Sends what the socket takes now and says how much that was.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing now; anything else ends the connection.
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Sees to it that `ServerCnxn::continue_sending` is called when the socket takes bytes again.
    fn finish_later(&self);

    /// Whether the client has closed its side: nothing more will come of it than what the socket has.
    fn is_hung_up(&self) -> bool {
        false
    }

    /// Ends the connection, both ways; a reader that waits for input wakes up.
    fn close(&self);
}

/// How sending has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Nothing is left, or somebody else is sending.
    All,
    /// The socket takes no more: the transport goes on later.
    Blocked,
    /// The connection is to be closed: it failed, or everything was said.
    Close,
}

#[derive(Default)]
struct State {
    /// Gone when the connection is closed: who still has that for a request keeps no descriptor.
    transport: Option<Arc<dyn Transport>>,
    /// Appended and not yet handed to the socket.
    queued: Vec<u8>,
    /// Whether somebody is sending: he will see what is appended meanwhile.
    sending: bool,
    /// What the socket did not take, and how much of it it did.
    unsent: Vec<u8>,
    unsent_from: usize,
    /// What whoever is sending has taken out, in bytes.
    in_flight: usize,
    /// Nothing is appended after the last reply.
    last_was_queued: bool,
}

impl State {
    /// What was appended and is not known to be sent, in bytes.
    const fn unsent(&self) -> usize {
        self.queued.len() + self.in_flight + self.unsent.len() - self.unsent_from
    }

    const fn is_closed(&self) -> bool {
        self.transport.is_none()
    }
}

/// The output of one connection.
pub(super) struct Output {
    state: RankedMutex<State>,
    /// What is queued or left over, to be looked at without the lock.
    unsent: AtomicUsize,
    /// The last reply is queued; likewise.
    is_ending: AtomicBool,
}

impl Output {
    pub(super) fn new(transport: Arc<dyn Transport>) -> Self {
        let state = State { transport: Some(transport), ..State::default() };
        Self {
            state: RankedMutex::new(Rank::ConnectionOutput, "connection output", state),
            unsent: AtomicUsize::new(0),
            is_ending: AtomicBool::new(false),
        }
    }

    /// Lets `write` append. False when the connection takes no more.
    pub(super) fn append(&self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.state.lock();
        if state.is_closed() || state.last_was_queued {
            return false;
        }
        write(&mut state.queued);
        if state.unsent() > OUTPUT_LIMIT {
            state.queued = Vec::new();
            state.last_was_queued = true; // the next to send closes it
            self.is_ending.store(true, Ordering::Relaxed);
        }
        self.note_unsent(&state);
        true
    }

    /// What is queued now is the last: when it is sent, the connection closes.
    pub(super) fn close_when_sent(&self) {
        self.state.lock().last_was_queued = true;
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Whether the last reply is queued. A hint, too.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    /// Takes nothing more, forgets what is left, and closes the transport, unless that has happened before.
    pub(super) fn close(&self) {
        let transport = {
            let mut state = self.state.lock();
            state.queued = Vec::new();
            state.unsent = Vec::new();
            state.unsent_from = 0;
            state.transport.take()
        };
        if let Some(transport) = transport {
            transport.close();
        }
    }

    /// Whether the client has closed its side.
    pub(super) fn is_hung_up(&self) -> bool {
        let transport = self.state.lock().transport.clone();
        transport.is_none_or(|transport| transport.is_hung_up())
    }

    /// How many bytes wait for the socket.
    pub(super) fn unsent(&self) -> usize {
        self.unsent.load(Ordering::Relaxed)
    }

    fn note_unsent(&self, state: &State) {
        // A hint for the reader, who looks again: nothing follows from it.
        self.unsent.store(state.unsent(), Ordering::Relaxed);
    }

    /// Sends what is queued, unless somebody does already.
    pub(super) fn send(&self) -> Sent {
        let transport = {
            let mut state = self.state.lock();
            let Some(transport) = state.transport.clone() else { return Sent::All };
            if mem::replace(&mut state.sending, true) {
                return Sent::All;
            }
            transport
        };
        self.drive(&*transport)
    }

    /// Goes on where the socket stopped: for the transport, after `finish_later`.
    pub(super) fn continue_sending(&self) -> Sent {
        let transport = self.state.lock().transport.clone();
        transport.map_or(Sent::All, |transport| self.drive(&*transport))
    }

    fn drive(&self, transport: &dyn Transport) -> Sent {
        let mut bytes = Vec::new();
        let mut from = 0;
        loop {
            {
                let mut state = self.state.lock();
                if state.is_closed() {
                    return Sent::All;
                }
                state.in_flight = 0;
                if from < bytes.len() {
                    // The socket is full.
                    state.unsent = bytes;
                    state.unsent_from = from;
                    self.note_unsent(&state);
                    drop(state);
                    transport.finish_later();
                    return Sent::Blocked;
                }
                if !state.unsent.is_empty() {
                    bytes = mem::take(&mut state.unsent);
                    from = mem::take(&mut state.unsent_from);
                } else if state.queued.is_empty() {
                    state.sending = false;
                    let close = state.last_was_queued;
                    if bytes.capacity() <= KEPT_CAPACITY && state.queued.capacity() == 0 {
                        bytes.clear();
                        state.queued = bytes;
                    }
                    self.note_unsent(&state);
                    return if close { Sent::Close } else { Sent::All };
                } else {
                    bytes.clear();
                    let spare = if bytes.capacity() <= KEPT_CAPACITY { bytes } else { Vec::new() };
                    bytes = mem::replace(&mut state.queued, spare);
                    from = 0;
                }
                state.in_flight = bytes.len() - from;
                self.note_unsent(&state);
            }
            while from < bytes.len() {
                match transport.send(&bytes[from..]) {
                    Ok(0) => return Sent::Close,
                    Ok(taken) => from += taken,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => return Sent::Close,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    #[derive(Default)]
    struct Wire {
        room: AtomicUsize,
        sent: Mutex<Vec<u8>>,
        later: AtomicUsize,
    }

    impl Transport for Wire {
        fn send(&self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room.load(Ordering::SeqCst));
            if taken == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room.fetch_sub(taken, Ordering::SeqCst);
            self.sent.lock().extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }
        fn finish_later(&self) {
            self.later.fetch_add(1, Ordering::SeqCst);
        }
        fn close(&self) {}
    }

    fn output() -> (Output, Arc<Wire>) {
        let wire = Arc::new(Wire::default());
        (Output::new(Arc::clone(&wire) as _), wire)
    }

    #[test]
    fn who_has_the_output_of_a_closed_connection_has_no_socket() {
        let (output, wire) = output();
        output.append(|bytes| bytes.extend(b"never sent"));
        assert_eq!((output.send(), Arc::strong_count(&wire)), (Sent::Blocked, 2));
        output.close();
        assert_eq!(Arc::strong_count(&wire), 1);
        assert!(output.is_hung_up() && !output.append(|bytes| bytes.push(0)));
        assert_eq!((output.send(), output.continue_sending()), (Sent::All, Sent::All));
    }

    #[test]
    fn what_the_socket_does_not_take_is_sent_later_and_in_order() {
        let (output, wire) = output();
        wire.room.store(3, Ordering::SeqCst);
        assert!(output.append(|bytes| bytes.extend(b"abcde")));
        assert_eq!(output.send(), Sent::Blocked);
        assert_eq!(wire.later.load(Ordering::SeqCst), 1);
        assert!(output.append(|bytes| bytes.extend(b"fgh")));
        assert_eq!(output.unsent(), 5);
        assert_eq!(output.send(), Sent::All, "only the transport may go on");
        assert_eq!(&*wire.sent.lock(), b"abc");
        wire.room.store(100, Ordering::SeqCst);
        assert_eq!(output.continue_sending(), Sent::All);
        assert_eq!(&*wire.sent.lock(), b"abcdefgh");
        assert_eq!(output.unsent(), 0);
    }

    #[test]
    fn after_the_last_reply_nothing_is_taken_and_the_connection_closes() {
        let (output, wire) = output();
        wire.room.store(100, Ordering::SeqCst);
        output.append(|bytes| bytes.extend(b"bye"));
        output.close_when_sent();
        assert!(!output.append(|bytes| bytes.extend(b"more")));
        assert_eq!(output.send(), Sent::Close);
        assert_eq!(&*wire.sent.lock(), b"bye");
    }

    #[test]
    fn a_client_that_never_reads_is_dropped_at_the_limit() {
        let (output, _wire) = output();
        let piece = vec![0; 64 << 20];
        for _ in 0..5 {
            output.append(|bytes| bytes.extend(&piece));
        }
        assert!(!output.append(|bytes| bytes.push(0)));
        assert_eq!(output.send(), Sent::Close);
    }
}
