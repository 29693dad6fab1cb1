//! The bytes that a client has sent and that are not processed yet (Java: the buffers of server/NIOServerCnxn.java).
//!
//! A buffer grows only with the bytes that arrive. A connection with a thread of its own keeps its buffer. Those that a
//! selector reads borrow one from the thread while they are read, and keep only what is left: a part of a frame.
//! Threads: the connection's reader. No locks.

use std::cell::RefCell;
use std::mem;
use std::ops::Range;

use byteorder::{BigEndian, ByteOrder};

use crate::server::command::four_letter_commands;
use crate::server::memory_account::FrameRoom;

/// The size of an idle connection's input buffer, in bytes.
const RESTING_BUFFER: usize = 1 << 10;

/// The size up to which the buffer grows for throughput, in bytes. A longer frame gets a buffer of its own length.
const BUSY_BUFFER: usize = 64 << 10;

/// After this many reads in a row that fill less than a quarter of the buffer, its size is halved.
const SMALL_READS_TO_SHRINK: u32 = 64;

/// The bytes of a frame's length field.
pub(super) const LEN_FIELD: usize = 4;

thread_local! {
    /// The buffer that connections borrow while this thread reads them. Empty until it is needed.
    static SHARED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Received bytes that are not processed yet. Belongs to the connection's reader.
#[derive(Debug)]
pub struct CnxnInput {
    pub(super) buffer: Vec<u8>,
    /// The range of the unprocessed bytes.
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) initialized: bool,
    /// The buffer is the thread's, which many connections use in turn.
    is_lent: bool,
    small_reads: u32,
    /// The room for a frame that is longer than a busy connection's buffer and not complete yet.
    pub(super) room: Option<FrameRoom>,
    /// The first frame had to wait, and was counted when it arrived.
    pub(super) is_head_counted: bool,
    /// The first frame is a read that a selector must not answer itself.
    pub(super) is_head_long: bool,
}

impl Default for CnxnInput {
    fn default() -> Self {
        Self::new()
    }
}

impl CnxnInput {
    /// Creates an empty input.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            initialized: false,
            is_lent: false,
            small_reads: 0,
            room: None,
            is_head_counted: false,
            is_head_long: false,
        }
    }

    /// The space for the next bytes; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 && self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            // The buffer is full with a part of one frame, whose length was checked. It grows with the bytes that
            // have really arrived. Long frames have their buffer already.
            self.buffer.resize((self.buffer.len() * 2).max(RESTING_BUFFER), 0);
        }
        &mut self.buffer[self.end..]
    }

    /// Borrows the thread's buffer, if nothing is left of what came before. [`settle`](Self::settle) gives it back.
    pub(in crate::server) fn borrow_buffer(&mut self) {
        if self.start != self.end || self.is_lent {
            return;
        }
        (self.start, self.end) = (0, 0);
        self.is_lent = true;
        self.buffer = SHARED.take();
        self.buffer.resize(BUSY_BUFFER, 0);
    }

    /// Gives the thread's buffer back, and keeps what is left. Must be called by the thread that has lent it.
    pub(in crate::server) fn settle(&mut self) {
        if !self.is_lent {
            if self.start == self.end {
                self.buffer = Vec::new();
                (self.start, self.end) = (0, 0);
            }
            return;
        }
        let left = self.unprocessed().to_vec();
        (self.start, self.end) = (0, left.len());
        self.give_back(left);
    }

    /// Goes on with another buffer. The one before goes back to the thread if it has lent it.
    fn give_back(&mut self, buffer: Vec<u8>) {
        let before = mem::replace(&mut self.buffer, buffer);
        if mem::take(&mut self.is_lent) {
            SHARED.set(before);
        }
    }

    /// Records that `n` bytes were put into [`space`](Self::space).
    pub fn filled(&mut self, n: usize) {
        let room = self.buffer.len() - self.end;
        self.end += n;
        if n == room && self.buffer.len() < BUSY_BUFFER {
            self.small_reads = 0;
            self.buffer.resize(self.buffer.len() * 2, 0);
        } else if self.buffer.len() > RESTING_BUFFER && n < self.buffer.len() / 4 {
            self.small_reads += 1;
        } else {
            self.small_reads = 0;
        }
    }

    /// Replaces the buffer by one for a long frame, for which there is room. Its memory is not touched before it is
    /// filled.
    pub(super) fn grow(&mut self, len: usize, room: FrameRoom) {
        let mut buffer = vec![0; LEN_FIELD + len];
        let here = self.end - self.start;
        buffer[..here].copy_from_slice(&self.buffer[self.start..self.end]);
        self.give_back(buffer);
        (self.start, self.end) = (0, here);
        self.room = Some(room);
    }

    /// Whether the next frame, of this length, needs room of its own. A length that is only announced does not,
    /// because others would have to wait for it.
    pub(super) fn needs_room(&self, len: usize) -> bool {
        let is_longer = LEN_FIELD + len > BUSY_BUFFER.max(self.buffer.len());
        is_longer && self.room.is_none() && self.end - self.start >= BUSY_BUFFER
    }

    /// Frees memory after a long frame, or after a busy time.
    pub(in crate::server) fn shrink(&mut self) {
        if self.is_lent {
            return;
        }
        if self.buffer.len() > BUSY_BUFFER && self.start == self.end {
            self.buffer = vec![0; BUSY_BUFFER];
            (self.start, self.end) = (0, 0);
        }
        if self.small_reads >= SMALL_READS_TO_SHRINK && self.start == self.end {
            self.small_reads = 0;
            let len = (self.buffer.len() / 2).max(RESTING_BUFFER);
            self.buffer = vec![0; len];
            (self.start, self.end) = (0, 0);
        }
    }

    /// Whether the input begins with a four-letter word whose answer takes long to make.
    pub(in crate::server) fn begins_with_long_word(&self) -> bool {
        !self.initialized && self.next_len().is_some_and(four_letter_commands::takes_long)
    }

    /// Whether a selector has stopped at a request that a thread is to process, because others would wait for long.
    pub(in crate::server) const fn begins_with_long_request(&self) -> bool {
        self.is_head_long
    }

    /// Whether the input begins with a four-letter word.
    #[must_use]
    pub fn begins_with_word(&self) -> bool {
        !self.initialized && self.next_len().is_some_and(four_letter_commands::is_known)
    }

    fn int_at(&self, at: usize) -> Option<i32> {
        self.buffer[..self.end].get(at..)?.get(..4).map(BigEndian::read_i32)
    }

    /// The received bytes that are not processed yet, for the log.
    pub(super) fn unprocessed(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether the first frame, which has a time limit, has arrived completely.
    pub(in crate::server) const fn is_initialized(&self) -> bool {
        self.initialized
    }

    /// The next frame's length, once its length field has arrived.
    pub(super) fn next_len(&self) -> Option<i32> {
        self.int_at(self.start)
    }

    /// Takes the next frame, of this length, once it has arrived completely.
    pub(super) fn take_frame(&mut self, len: usize) -> Option<Range<usize>> {
        let from = self.start + LEN_FIELD;
        if self.end - from < len {
            return None;
        }
        self.start = from + len;
        Some(from..from + len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(input: &mut CnxnInput, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = input.space();
            let n = space.len().min(rest.len());
            space[..n].copy_from_slice(&rest[..n]);
            input.filled(n);
            rest = &rest[n..];
        }
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let frames: Vec<Vec<u8>> =
            (0..200_u8).map(|n| vec![n; usize::from(n) * 37 % 3000]).collect();
        let mut wire = Vec::new();
        for frame in &frames {
            wire.extend(u32::try_from(frame.len()).unwrap().to_be_bytes());
            wire.extend(frame);
        }
        for step in [1, 3, 1000, 50_000] {
            let mut input = CnxnInput::new();
            let mut seen = Vec::new();
            for piece in wire.chunks(step) {
                push(&mut input, piece);
                while let Some(len) = input.next_len() {
                    let Some(frame) = input.take_frame(usize::try_from(len).unwrap()) else {
                        break;
                    };
                    seen.push(input.buffer[frame].to_vec());
                }
                input.shrink();
            }
            assert!(seen == frames, "in steps of {step}");
        }
    }

    #[test]
    fn a_quiet_connection_gives_its_buffer_back() {
        let mut input = CnxnInput::new();
        let mut frame = vec![0, 0, 0x80, 0];
        frame.extend(vec![1; 0x8000]);
        push(&mut input, &frame);
        assert!(input.take_frame(0x8000).is_some());
        assert!(input.buffer.len() > 0x8000);
        for _ in 0..SMALL_READS_TO_SHRINK * 8 {
            push(&mut input, &[0, 0, 0, 0]);
            assert!(input.take_frame(0).is_some());
            input.shrink();
        }
        assert_eq!(input.buffer.len(), RESTING_BUFFER);
    }

    #[test]
    fn a_lent_buffer_goes_back_and_only_a_part_of_a_frame_stays() {
        let mut frame = vec![0, 0, 1, 0];
        frame.extend(vec![7; 256]);
        let mut inputs = [CnxnInput::new(), CnxnInput::new()];
        // Both in turn, each cut at another place.
        for round in 0..300 {
            for (at, input) in inputs.iter_mut().enumerate() {
                let cut = (round * (at + 3)) % frame.len();
                for piece in [&frame[..cut], &frame[cut..]] {
                    input.borrow_buffer();
                    push(input, piece);
                    if input.next_len().is_some()
                        && let Some(found) = input.take_frame(256)
                    {
                        assert_eq!(input.buffer[found], frame[4..]);
                    }
                    input.settle();
                    assert!(!input.is_lent);
                }
                assert_eq!((input.start, input.end, input.buffer.len()), (0, 0, 0));
            }
        }
        assert_eq!(SHARED.with_borrow(Vec::len), BUSY_BUFFER);
    }
}
