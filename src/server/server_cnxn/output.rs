//! The output of a connection that is not sent yet (Java: NIOServerCnxn.outgoingBuffers).
//!
//! The thread that completes a reply appends it, and the thread that ends a batch sends. Nobody waits for the
//! socket: what it does not take at once is sent later by the transport's own thread. The lock is released during
//! socket calls, so that appending never waits for the network. No Java twin of its own.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::time;
use crate::server::memory_account::{MemoryAccounts, SMALL_ANSWER};
use crate::util::lock_rank::{Rank, RankedMutex};

/// A client with more unsent bytes than this is disconnected: it does not read, and the memory is for clients that
/// do.
pub(crate) const OUTPUT_LIMIT: usize = 256 << 20;

/// The memory that a connection keeps for its next replies, in bytes. If it keeps more, its memory counts with the
/// server.
const KEPT_CAPACITY: usize = SMALL_ANSWER;

/// A reader stops while more than this waits for the socket, in bytes: a client that does not read must not send
/// requests.
const UNSENT_PAUSE: usize = 1 << 20;

/// A socket that takes fewer bytes than this in a second makes no progress, if others need the memory.
const TAKEN_IN_TIME: usize = 64 << 10;

/// A connection that holds much memory must take at least this fraction of it in a second.
const PART_TAKEN_IN_TIME: usize = 16;

/// The way to the client. Never blocks.
pub trait Transport: Send + Sync {
    /// Sends what the socket takes now, and returns how much that was.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing now; anything else ends the connection.
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;

    /// How many bytes a thread may send before it is the turn of other connections.
    fn sent_at_once(&self) -> usize {
        usize::MAX
    }

    /// Arranges that `ServerCnxn::continue_sending` is called when the socket accepts bytes again.
    fn finish_later(&self);

    /// Whether the other side has closed the connection, even while nobody reads.
    fn is_hung_up(&self) -> bool {
        false
    }

    /// Ends the connection in both directions. A reader that waits for input wakes up.
    fn close(&self);

    /// Ends the connection and frees the descriptor, because a newcomer needs it. Otherwise the reader frees it, which may
    /// take a moment.
    fn close_at_once(&self) {
        self.close();
    }
}

/// The result of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Nothing is left, or another thread is sending.
    All,
    /// The socket takes no more. The transport continues later.
    Blocked,
    /// The connection must be closed: it failed, or everything is sent.
    Close,
}

#[derive(Default)]
struct State {
    /// Removed when the connection is closed, so that requests that still refer to the connection keep no descriptor
    /// open.
    transport: Option<Arc<dyn Transport>>,
    /// Appended bytes that are not handed to the socket yet.
    queued: Vec<u8>,
    /// Whether a thread is sending. It will also send what is appended in the meantime.
    sending: bool,
    /// Bytes that the socket did not take completely, and how many of them it did take.
    unsent: Vec<u8>,
    unsent_from: usize,
    /// The number of bytes that the sending thread has taken out, and the memory that these occupy.
    in_flight: usize,
    in_flight_capacity: usize,
    /// How much of all this counts with the server, in bytes.
    counted: usize,
    /// Since when the socket has been full, and what it has taken since, in bytes.
    full_since: Option<Instant>,
    taken: usize,
    /// The last reply is queued, and nothing more is accepted.
    last_was_queued: bool,
}

impl State {
    /// The appended bytes that are not known to be sent.
    const fn unsent(&self) -> usize {
        self.queued.len() + self.in_flight + self.unsent.len() - self.unsent_from
    }

    const fn is_closed(&self) -> bool {
        self.transport.is_none()
    }

    /// The memory of the output, in bytes.
    const fn kept(&self) -> usize {
        self.queued.capacity() + self.in_flight_capacity + self.unsent.capacity()
    }

    /// Drops what is queued and accepts nothing more. The next send closes the connection.
    fn cut(&mut self) {
        self.queued = Vec::new();
        self.last_was_queued = true;
    }

    /// Called when the socket is full. It has taken `taken` bytes since the last call.
    fn note_full(&mut self, taken: usize) {
        self.taken += taken;
        let enough = TAKEN_IN_TIME.max(self.counted / PART_TAKEN_IN_TIME);
        if self.full_since.is_none() || self.taken >= enough {
            self.full_since = Some(time::now());
            self.taken = 0;
        }
    }
}

/// The output of one connection.
pub(super) struct Output {
    state: RankedMutex<State>,
    /// The number of unsent bytes, for reading without the lock.
    unsent: AtomicUsize,
    /// Whether the last reply is queued, for reading without the lock.
    is_ending: AtomicBool,
    /// The server's accounts, if there is a server.
    accounts: Option<Arc<MemoryAccounts>>,
}

impl Output {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        accounts: Option<Arc<MemoryAccounts>>,
    ) -> Self {
        let state = State { transport: Some(transport), ..State::default() };
        Self {
            state: RankedMutex::new(Rank::ConnectionOutput, "connection output", state),
            unsent: AtomicUsize::new(0),
            is_ending: AtomicBool::new(false),
            accounts,
        }
    }

    /// Appends what `write` writes. Returns false if the connection accepts no more.
    pub(super) fn append(&self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.append_up_to(OUTPUT_LIMIT, write)
    }

    /// The same for output that the client has not just asked for: if the server has no room for more, a client that
    /// does not read is cut off.
    pub(super) fn append_event(&self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let limit = if self.is_over_pause() { UNSENT_PAUSE } else { OUTPUT_LIMIT };
        self.append_up_to(limit, write)
    }

    fn append_up_to(&self, limit: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.state.lock();
        if state.is_closed() || state.last_was_queued {
            return false;
        }
        write(&mut state.queued);
        if state.unsent() > limit {
            state.cut();
            self.is_ending.store(true, Ordering::Relaxed);
        }
        self.note_unsent(&mut state);
        true
    }

    /// Appends finished answers. Long ones are not copied if nothing is queued before them.
    pub(super) fn append_answers(&self, answers: &mut Vec<u8>) -> bool {
        self.append(|queued| {
            if queued.is_empty() && answers.len() > KEPT_CAPACITY {
                mem::swap(queued, answers);
            } else {
                queued.extend_from_slice(answers);
            }
        })
    }

    /// Drops what is queued and accepts nothing more. The next send closes the connection.
    pub(super) fn cut(&self) {
        let mut state = self.state.lock();
        state.cut();
        self.is_ending.store(true, Ordering::Relaxed);
        self.note_unsent(&mut state);
    }

    /// Makes what is queued now the last output. When it is sent, the connection closes.
    pub(super) fn close_when_sent(&self) {
        self.state.lock().last_was_queued = true;
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Whether the last reply is queued. Only a hint, too.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    /// Accepts nothing more, drops what is left, and closes the transport, unless this has happened before.
    pub(super) fn close(&self) {
        if let Some(transport) = self.take_transport() {
            transport.close();
        }
    }

    /// The same, for a connection that makes room for a newcomer.
    pub(super) fn close_at_once(&self) {
        if let Some(transport) = self.take_transport() {
            transport.close_at_once();
        }
    }

    fn take_transport(&self) -> Option<Arc<dyn Transport>> {
        let mut state = self.state.lock();
        state.queued = Vec::new();
        state.unsent = Vec::new();
        state.unsent_from = 0;
        self.note_unsent(&mut state);
        state.transport.take()
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

    /// Whether more waits for the socket than a reader may leave there. The limit is lower if the server has no more
    /// room.
    pub(super) fn is_full(&self) -> bool {
        let unsent = self.unsent();
        unsent > SMALL_ANSWER && (unsent > UNSENT_PAUSE || self.are_answers_full())
    }

    /// Whether it has more than its share of unsent bytes while the server has no more room.
    pub(super) fn is_over_pause(&self) -> bool {
        self.unsent() > UNSENT_PAUSE && self.are_answers_full()
    }

    fn are_answers_full(&self) -> bool {
        self.accounts.as_ref().is_some_and(|accounts| accounts.are_answers_full())
    }

    /// For how long its socket has taken almost nothing of what waits for it.
    pub(super) fn stands_still_for(&self) -> Option<Duration> {
        let state = self.state.lock();
        let since = state.full_since.filter(|_| state.counted > 0)?;
        Some(time::now().saturating_duration_since(since))
    }

    fn note_unsent(&self, state: &mut State) {
        // A hint for the reader, which checks again. No other data depends on it.
        self.unsent.store(state.unsent(), Ordering::Relaxed);
        let kept = state.kept();
        let counts = if kept > KEPT_CAPACITY { kept } else { 0 };
        if counts != state.counted
            && let Some(accounts) = &self.accounts
        {
            accounts.change_answers(state.counted, counts);
            state.counted = counts;
        }
    }

    /// Sends what is queued, unless another thread is sending.
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

    /// Continues where the socket stopped. For the transport, after `finish_later`.
    pub(super) fn continue_sending(&self) -> Sent {
        let transport = self.state.lock().transport.clone();
        transport.map_or(Sent::All, |transport| self.drive(&*transport))
    }

    fn drive(&self, transport: &dyn Transport) -> Sent {
        let at_once = transport.sent_at_once();
        let mut bytes = Vec::new();
        let mut from = 0;
        let mut taken = 0;
        loop {
            {
                let mut state = self.state.lock();
                state.in_flight = 0;
                state.in_flight_capacity = 0;
                if state.is_closed() {
                    self.note_unsent(&mut state);
                    return Sent::All;
                }
                if from < bytes.len() {
                    if taken >= at_once {
                        // The socket may take more, but it is the turn of others.
                        (state.full_since, state.taken) = (Some(time::now()), 0);
                    } else {
                        state.note_full(taken);
                    }
                    state.unsent = bytes;
                    state.unsent_from = from;
                    self.note_unsent(&mut state);
                    drop(state);
                    transport.finish_later();
                    return Sent::Blocked;
                }
                if !state.unsent.is_empty() {
                    bytes = mem::take(&mut state.unsent);
                    from = mem::take(&mut state.unsent_from);
                } else if state.queued.is_empty() {
                    state.sending = false;
                    state.full_since = None;
                    let close = state.last_was_queued;
                    if bytes.capacity() <= KEPT_CAPACITY && state.queued.capacity() == 0 {
                        bytes.clear();
                        state.queued = bytes;
                    }
                    self.note_unsent(&mut state);
                    return if close { Sent::Close } else { Sent::All };
                } else {
                    bytes.clear();
                    let spare = if bytes.capacity() <= KEPT_CAPACITY { bytes } else { Vec::new() };
                    bytes = mem::replace(&mut state.queued, spare);
                    from = 0;
                }
                state.in_flight = bytes.len() - from;
                state.in_flight_capacity = bytes.capacity();
                self.note_unsent(&mut state);
            }
            let start = from;
            while from < bytes.len() && taken + from - start < at_once {
                let end = bytes.len().min(from.saturating_add(at_once));
                match transport.send(&bytes[from..end]) {
                    Ok(0) => return self.failed(),
                    Ok(taken) => from += taken,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => return self.failed(),
                }
            }
            taken += from - start;
        }
    }

    /// The socket has failed: the bytes taken out for it are lost.
    fn failed(&self) -> Sent {
        let mut state = self.state.lock();
        (state.in_flight, state.in_flight_capacity) = (0, 0);
        self.note_unsent(&mut state);
        Sent::Close
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(accounts) = &self.accounts {
            accounts.change_answers(self.state.get_mut().counted, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::memory_account::MemoryLimits;
    use parking_lot::Mutex;

    #[derive(Default)]
    struct Wire {
        at_once: Option<usize>,
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
        fn sent_at_once(&self) -> usize {
            self.at_once.unwrap_or(usize::MAX)
        }
        fn finish_later(&self) {
            self.later.fetch_add(1, Ordering::SeqCst);
        }
        fn close(&self) {}
    }

    fn output() -> (Output, Arc<Wire>) {
        let wire = Arc::new(Wire::default());
        (Output::new(Arc::clone(&wire) as _, None), wire)
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
    fn a_connection_that_takes_everything_leaves_the_thread_to_others_in_between() {
        let wire = Arc::new(Wire { at_once: Some(4), ..Wire::default() });
        let output = Output::new(Arc::clone(&wire) as _, None);
        wire.room.store(100, Ordering::SeqCst);
        output.append(|bytes| bytes.extend(b"abcdefghij"));
        assert_eq!((output.send(), wire.sent.lock().len()), (Sent::Blocked, 4));
        output.append(|bytes| bytes.extend(b"kl"));
        assert_eq!((output.continue_sending(), wire.sent.lock().len()), (Sent::Blocked, 8));
        assert_eq!(output.continue_sending(), Sent::All);
        assert_eq!(&*wire.sent.lock(), b"abcdefghijkl");
        assert_eq!(wire.later.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn who_keeps_much_must_take_much() {
        let mut state = State { counted: 16 << 20, ..State::default() };
        state.note_full(0);
        let since = state.full_since.unwrap();
        state.note_full(TAKEN_IN_TIME);
        assert_eq!(state.full_since, Some(since), "a sixteenth of it is a megabyte");
        state.note_full(1 << 20);
        assert!(state.full_since.unwrap() > since && state.taken == 0);
        state.counted = 1 << 20;
        let since = state.full_since.unwrap();
        state.note_full(TAKEN_IN_TIME);
        assert!(state.full_since.unwrap() > since);
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

    fn counted(answer_bytes: usize) -> (Output, Arc<Wire>, Arc<MemoryAccounts>) {
        let limits = MemoryLimits { answer_bytes, ..MemoryLimits::default() };
        let accounts = Arc::new(MemoryAccounts::new(limits));
        let wire = Arc::new(Wire::default());
        (Output::new(Arc::clone(&wire) as _, Some(Arc::clone(&accounts))), wire, accounts)
    }

    #[test]
    fn what_is_kept_counts_from_some_length_on_until_it_is_sent_or_gone() {
        let (output, wire, accounts) = counted(1 << 20);
        output.append(|bytes| bytes.resize(10_000, 1));
        assert_eq!(output.send(), Sent::Blocked);
        assert_eq!(accounts.answer_bytes(), 0, "small things are not counted");
        assert_eq!(output.stands_still_for(), None, "nobody needs what does not count");
        output.append_answers(&mut vec![2; 100_000]);
        assert!((110_000..200_000).contains(&accounts.answer_bytes()));
        assert!(output.stands_still_for().is_some());
        wire.room.store(200_000, Ordering::SeqCst);
        assert_eq!(output.continue_sending(), Sent::All);
        assert_eq!((accounts.answer_bytes(), output.stands_still_for()), (0, None));

        output.append_answers(&mut vec![3; 100_000]);
        assert!(accounts.answer_bytes() >= 100_000);
        output.close();
        assert_eq!(accounts.answer_bytes(), 0);
        let (output, _wire, accounts) = counted(1 << 20);
        output.append_answers(&mut vec![3; 100_000]);
        drop(output);
        assert_eq!(accounts.answer_bytes(), 0);
    }

    #[test]
    fn a_socket_that_takes_enough_does_not_stand_still() {
        let (output, wire, _accounts) = counted(1 << 20);
        output.append_answers(&mut vec![2; 500_000]);
        assert_eq!(output.send(), Sent::Blocked);
        let since = |output: &Output| output.state.lock().full_since.unwrap();
        let first = since(&output);
        wire.room.store(TAKEN_IN_TIME - 1, Ordering::SeqCst);
        assert_eq!(output.continue_sending(), Sent::Blocked);
        assert_eq!(since(&output), first, "too little");
        wire.room.store(1, Ordering::SeqCst);
        assert_eq!(output.continue_sending(), Sent::Blocked);
        assert!(since(&output) > first);
    }

    #[test]
    fn where_there_is_no_more_room_events_cut_off_who_does_not_read() {
        let (output, _wire, accounts) = counted(8 << 20);
        let event =
            |output: &Output| output.append_event(|bytes| bytes.resize(bytes.len() + 1000, 0));
        output.append_answers(&mut vec![2; UNSENT_PAUSE + 1]);
        assert!(event(&output) && event(&output), "there is room");
        assert!(output.is_full());
        accounts.change_answers(0, 8 << 20);
        assert!(output.is_over_pause());
        assert!(event(&output), "it is taken, and the last");
        assert!(!event(&output));
        assert_eq!(output.unsent(), 0);
        assert_eq!(output.send(), Sent::Close);

        let (output, _wire, accounts) = counted(1000);
        accounts.change_answers(0, 2000);
        output.append_answers(&mut vec![2; SMALL_ANSWER + 1]);
        assert!(output.is_full(), "a reader stops earlier");
        assert!(event(&output) && event(&output), "but is not cut off");
    }
}
