//! Counts and limits the memory of waiting requests and answers (no Java twin: Java's heap is the limit, and a full
//! heap ends the server).
//!
//! There are two accounts. One counts waiting requests and partly received frames. The other counts answers that are
//! being made, or that the socket has not taken yet. Small amounts are not counted one by one: the server's account
//! includes a connection's requests only in whole chunks, because an account that all readers change for each
//! request costs a tenth of their time.
//! Threads: any. Locks: one for long reports (`Rank::Server`). Each account is one atomic. It guards no other data,
//! so all accesses are relaxed.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use log::info;

// tidy: layer: the memory of a request counts for its connection, too
use super::server_cnxn::ServerCnxn;
// tidy: layer: the name of Java's logger
use super::zookeeper_server::LOG;
use crate::common::zk_config::SystemProperties;
use crate::jute::Limits;
use crate::util::lock_rank::{Rank, RankedMutex};

const REQUEST_BYTES: &str = "zookeeper.globalOutstandingBytesLimit";
const CNXN_REQUEST_BYTES: &str = "zookeeper.connectionOutstandingBytesLimit";
const ANSWER_BYTES: &str = "zookeeper.globalUnsentBytesLimit";
const RESPONSE_BYTES: &str = "zookeeper.maxResponseBytes";

/// An answer, or a connection's unsent bytes, is counted from this length on, in bytes.
pub(crate) const SMALL_ANSWER: usize = 16 << 10;

/// The size of the chunks in which the server's account includes a connection's requests, in bytes.
const CHUNK: i64 = 8 << 10;

/// How often the server looks for connections that hold memory and make no progress, in ms.
const LOOK_FOR_STALLED_MS: i64 = 50;

/// How long a connection may hold memory that others need without making progress. The time is shorter if many
/// readers wait for memory, so that the last of them gets its turn soon.
const TIME_TO_MOVE: Duration = Duration::from_secs(1);
const LEAST_TIME_TO_MOVE: Duration = Duration::from_millis(100);
const WAITING_FOR_ALL_TIME: usize = 8;

/// The limits of clients' waiting data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// The limit of all waiting requests and partly received frames, in bytes.
    pub request_bytes: usize,
    /// The limit of one connection's waiting requests, in bytes.
    pub cnxn_request_bytes: usize,
    /// The limit of all answers that are being made or are not sent yet, in bytes.
    pub answer_bytes: usize,
    /// The longest answer, in bytes.
    pub response_bytes: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self {
            request_bytes: 128 << 20,
            cnxn_request_bytes: 16 << 20,
            answer_bytes: 128 << 20,
            response_bytes: 64 << 20,
        }
    }
}

impl MemoryLimits {
    /// Reads the settings `zookeeper.globalOutstandingBytesLimit`, `zookeeper.connectionOutstandingBytesLimit`,
    /// `zookeeper.globalUnsentBytesLimit` and `zookeeper.maxResponseBytes`. The longest answer is never shorter than
    /// `jute.maxbuffer`.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties, jute: Limits) -> Self {
        let default = Self::default();
        let bytes = |key: &str, default: usize| {
            let set: i64 = properties.number_or(key, i64::try_from(default).unwrap_or(i64::MAX));
            usize::try_from(set).ok().filter(|bytes| *bytes > 0).unwrap_or(default)
        };
        let response_bytes = bytes(RESPONSE_BYTES, default.response_bytes).max(jute.max_buffer);
        let limits = Self {
            request_bytes: bytes(REQUEST_BYTES, default.request_bytes),
            cnxn_request_bytes: bytes(CNXN_REQUEST_BYTES, default.cnxn_request_bytes),
            // The longest answer must fit beside small ones.
            answer_bytes: bytes(ANSWER_BYTES, default.answer_bytes)
                .max(response_bytes.saturating_mul(2)),
            response_bytes,
        };
        info!(
            target: LOG,
            "{REQUEST_BYTES} = {}, {CNXN_REQUEST_BYTES} = {}, {ANSWER_BYTES} = {}, {RESPONSE_BYTES} = {}",
            limits.request_bytes,
            limits.cnxn_request_bytes,
            limits.answer_bytes,
            limits.response_bytes
        );
        limits
    }
}

/// The bytes of one connection's requests.
#[derive(Debug, Default)]
pub struct RequestAccount(AtomicI64);

impl RequestAccount {
    /// Adds `by` bytes, which may be negative. Returns the resulting change of the server's account.
    fn change(&self, by: i64) -> i64 {
        let was = self.0.fetch_add(by, Ordering::Relaxed);
        chunks(was + by) - chunks(was)
    }

    /// The number of bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        usize::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }
}

/// The part of a connection's bytes that the server's account includes.
const fn chunks(bytes: i64) -> i64 {
    bytes - bytes % CHUNK
}

/// The accounts of a server.
#[derive(Debug)]
pub struct MemoryAccounts {
    limits: MemoryLimits,
    /// In bytes. Below 0 for a moment if a subtraction overtakes the addition before it.
    requests: AtomicI64,
    answers: AtomicUsize,
    /// Held while a long report is made, so that only one is made at a time.
    reports: RankedMutex<()>,
    looked_for_stalled_ms: AtomicI64,
    /// The number of readers that wait for room.
    waiting: AtomicUsize,
}

impl MemoryAccounts {
    /// Creates empty accounts.
    #[must_use]
    pub fn new(limits: MemoryLimits) -> Self {
        Self {
            limits,
            requests: AtomicI64::new(0),
            answers: AtomicUsize::new(0),
            reports: RankedMutex::new(Rank::Server, "long reports", ()),
            looked_for_stalled_ms: AtomicI64::new(i64::MIN),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Makes a report that may be long, such as one of all watches, while no other one is being made. So many
    /// callers at once need as much memory as one, and each report is counted before the next is made. Returns
    /// `None` if the answers exceed their limit. The caller must hold no lock.
    pub fn make_report<T>(&self, make: impl FnOnce() -> T) -> Option<T> {
        let _alone = self.reports.lock();
        (!self.are_answers_full()).then(make)
    }

    /// Counts a finished report until it is sent.
    #[must_use]
    pub fn report_room(self: &Arc<Self>, bytes: usize) -> ReportRoom {
        self.change_answers(0, bytes);
        ReportRoom { accounts: Arc::clone(self), bytes }
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &MemoryLimits {
        &self.limits
    }

    /// The bytes of waiting requests and partly received frames.
    #[must_use]
    pub fn request_bytes(&self) -> usize {
        usize::try_from(self.requests.load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn change_requests(&self, by: i64) {
        if by != 0 {
            self.requests.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Whether requests exceed their limit.
    #[must_use]
    pub fn are_requests_full(&self) -> bool {
        self.request_bytes() > self.limits.request_bytes
    }

    /// Whether a frame of this length would fit now. A single frame always fits.
    #[must_use]
    pub fn has_frame_room(&self, bytes: usize) -> bool {
        let used = self.request_bytes();
        used == 0 || used.saturating_add(bytes) <= self.limits.request_bytes
    }

    /// Reserves room for a partly received frame; `None` if it does not fit.
    #[must_use]
    pub fn frame_room(self: &Arc<Self>, bytes: usize) -> Option<FrameRoom> {
        let charge = i64::try_from(bytes).ok()?;
        self.change_requests(charge);
        let room = FrameRoom { accounts: Arc::clone(self), charge };
        let others = self.request_bytes().saturating_sub(bytes);
        (others == 0 || others + bytes <= self.limits.request_bytes).then_some(room)
    }

    /// The bytes of all answers.
    #[must_use]
    pub fn answer_bytes(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// Whether answers exceed their limit.
    #[must_use]
    pub fn are_answers_full(&self) -> bool {
        self.answer_bytes() > self.limits.answer_bytes
    }

    /// Whether an answer of this length would fit now. A single answer always fits.
    #[must_use]
    pub fn has_answer_room(&self, bytes: usize) -> bool {
        let used = self.answer_bytes();
        used == 0 || used.saturating_add(bytes) <= self.limits.answer_bytes
    }

    /// Changes the bytes that a connection holds for its socket from `was` to `is`.
    pub fn change_answers(&self, was: usize, is: usize) {
        if is > was {
            self.answers.fetch_add(is - was, Ordering::Relaxed);
        } else if is < was {
            self.answers.fetch_sub(was - is, Ordering::Relaxed);
        }
    }

    /// Counts a reader that waits for room, until the result is dropped.
    pub fn wait_for_room(self: &Arc<Self>) -> WaitingForRoom {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        WaitingForRoom(Arc::clone(self))
    }

    /// How many readers wait for room.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How long a connection may hold memory without making progress while others wait for it.
    #[must_use]
    pub fn time_to_move(&self) -> Duration {
        let share = u32::try_from(self.waiting() / WAITING_FOR_ALL_TIME).unwrap_or(u32::MAX);
        (TIME_TO_MOVE / share.max(1)).max(LEAST_TIME_TO_MOVE)
    }

    /// Whether it is time to look for connections without progress. True for only one of several callers.
    pub fn is_time_to_look_for_stalled(&self, now_ms: i64) -> bool {
        let last_ms = self.looked_for_stalled_ms.load(Ordering::Relaxed);
        now_ms >= last_ms.saturating_add(LOOK_FOR_STALLED_MS)
            && self
                .looked_for_stalled_ms
                .compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// Counts a waiting reader as long as it lives.
#[derive(Debug)]
pub struct WaitingForRoom(Arc<MemoryAccounts>);

impl Drop for WaitingForRoom {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Room for answers that are being made. It is given back when the output counts the answers, or when it is dropped.
#[derive(Debug)]
pub(crate) struct AnswerRoom<'a> {
    accounts: &'a MemoryAccounts,
    bytes: Cell<usize>,
    /// The part of these bytes that is for the next long answer.
    prepared: Cell<usize>,
}

impl<'a> AnswerRoom<'a> {
    /// Creates an empty reservation.
    #[must_use]
    pub(crate) const fn new(accounts: &'a MemoryAccounts) -> Self {
        Self { accounts, bytes: Cell::new(0), prepared: Cell::new(0) }
    }

    /// Reserves this many more bytes for the next long answer, and returns memory for it that the system has provided.
    /// `None` if the bytes do not fit.
    pub(crate) fn prepare(&self, bytes: usize) -> Option<Vec<u8>> {
        if !self.take(bytes) {
            return None;
        }
        self.prepared.set(bytes);
        let mut memory = Vec::with_capacity(bytes);
        // The system provides a page when it is written to.
        memory.resize(bytes, u8::MAX);
        memory.clear();
        Some(memory)
    }

    /// Whether a long answer of this many bytes was prepared. The next one was not, then.
    pub(crate) fn use_prepared(&self, bytes: usize) -> bool {
        self.prepared.take() >= bytes
    }

    /// Reserves this many more bytes. Returns false if they do not fit.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let others = self.accounts.answers.fetch_add(bytes, Ordering::Relaxed);
        if others == 0 || others.saturating_add(bytes) <= self.accounts.limits.answer_bytes {
            self.bytes.set(self.bytes.get() + bytes);
            return true;
        }
        self.accounts.answers.fetch_sub(bytes, Ordering::Relaxed);
        false
    }

    /// Gives all bytes back.
    pub(crate) fn give_back(&self) {
        self.prepared.set(0);
        self.accounts.change_answers(self.bytes.take(), 0);
    }
}

impl Drop for AnswerRoom<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Counts a report that is being sent, as long as it lives.
#[derive(Debug)]
pub struct ReportRoom {
    accounts: Arc<MemoryAccounts>,
    bytes: usize,
}

impl Drop for ReportRoom {
    fn drop(&mut self) {
        self.accounts.change_answers(self.bytes, 0);
    }
}

/// Room for a partly received frame.
#[derive(Debug)]
pub struct FrameRoom {
    accounts: Arc<MemoryAccounts>,
    charge: i64,
}

impl Drop for FrameRoom {
    fn drop(&mut self) {
        self.accounts.change_requests(-self.charge);
    }
}

/// What a request that waits or is being processed counts, for the server and for its connection.
#[derive(Debug)]
pub struct HeldRequest {
    bytes: i64,
    /// Whether it counts as in process (Java: incInProcess).
    in_process: bool,
}

impl HeldRequest {
    /// Counts a request of the connection with `bytes` bytes, which include its overhead. It counts until it is
    /// [let go](Self::let_go).
    #[must_use]
    pub fn new(cnxn: &ServerCnxn, bytes: usize) -> Self {
        // No frame is that long.
        let bytes = i64::try_from(bytes).unwrap_or(0);
        let by = cnxn.held().change(bytes);
        if let Some(server) = cnxn.server() {
            server.memory().change_requests(by);
        }
        Self { bytes, in_process: false }
    }

    /// Marks the request as being in the processors.
    pub const fn set_in_process(&mut self) {
        self.in_process = true;
    }

    /// Stops counting the request of this connection.
    pub fn let_go(self, cnxn: &ServerCnxn) {
        let by = cnxn.held().change(-self.bytes);
        if let Some(server) = cnxn.server() {
            server.memory().change_requests(by);
            if self.in_process {
                server.dec_in_process();
            }
        }
        cnxn.request_was_let_go();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Arc<MemoryAccounts> {
        Arc::new(MemoryAccounts::new(MemoryLimits {
            request_bytes: 1000,
            cnxn_request_bytes: 500,
            answer_bytes: 1000,
            response_bytes: 400,
        }))
    }

    #[test]
    fn what_is_counted_is_counted_no_more_when_it_is_gone() {
        let account = RequestAccount::default();
        for bytes in [0, 7, 1 << 30] {
            account.change(bytes);
        }
        assert_eq!(account.bytes(), (1 << 30) + 7);
        account.change(-7);
        assert_eq!(account.bytes(), 1 << 30);
        account.change(-(1 << 30));
        assert!(account.is_empty());
    }

    #[test]
    fn the_server_knows_whole_chunks_and_forgets_all_of_them() {
        let account = RequestAccount::default();
        let sizes = [100, 8000, 92, 1, 20_000, 3, 8191, 8193];
        let mut known = 0;
        for bytes in sizes {
            known += account.change(bytes);
            let bytes = i64::try_from(account.bytes()).unwrap();
            assert!(known <= bytes && bytes - known < CHUNK);
        }
        for bytes in sizes {
            known += account.change(-bytes);
        }
        assert!(known == 0 && account.is_empty());
    }

    #[test]
    fn frames_share_the_room_of_requests_and_one_always_fits() {
        let accounts = accounts();
        let first = accounts.frame_room(5000);
        assert!(first.is_some(), "one always fits");
        assert!(accounts.frame_room(1).is_none() && !accounts.has_frame_room(1));
        assert!(accounts.are_requests_full());
        drop(first);
        let half = accounts.frame_room(600);
        assert!(half.is_some() && accounts.frame_room(600).is_none());
        assert!(accounts.has_frame_room(400) && !accounts.has_frame_room(401));
        drop(half);
        assert_eq!(accounts.request_bytes(), 0, "what was refused does not count");
    }

    #[test]
    fn what_is_prepared_is_for_the_next_long_answer_alone() {
        let accounts = accounts();
        let room = AnswerRoom::new(&accounts);
        assert!(room.take(100));
        let memory = room.prepare(600).unwrap();
        assert!(memory.is_empty() && memory.capacity() >= 600);
        assert_eq!(accounts.answer_bytes(), 700);
        assert!(room.use_prepared(600) && !room.use_prepared(1), "once");
        assert!(room.prepare(301).is_none() && room.prepare(300).is_some());
        assert!(!room.use_prepared(301), "the answer has grown");
        assert!(!room.use_prepared(1), "and what was prepared is too short for it");
        room.give_back();
        assert_eq!(accounts.answer_bytes(), 0);
    }

    #[test]
    fn room_for_answers_is_given_back() {
        let accounts = accounts();
        let first = AnswerRoom::new(&accounts);
        assert!(first.take(600) && first.take(300));
        let second = AnswerRoom::new(&accounts);
        assert!(!second.take(101) && second.take(100));
        assert_eq!(accounts.answer_bytes(), 1000);
        drop(first);
        second.give_back();
        assert_eq!(accounts.answer_bytes(), 0);
        assert!(second.take(9999), "one always fits");
        drop(second);
        accounts.change_answers(0, 1200);
        assert!(accounts.are_answers_full());
        accounts.change_answers(1200, 0);
        assert_eq!(accounts.answer_bytes(), 0);
    }

    #[test]
    fn one_of_those_who_ask_looks_for_stalled_connections() {
        let accounts = accounts();
        assert!(accounts.is_time_to_look_for_stalled(5));
        assert!(!accounts.is_time_to_look_for_stalled(54));
        assert!(accounts.is_time_to_look_for_stalled(55));
    }

    #[test]
    fn the_more_wait_the_less_time_has_who_stands_still() {
        let accounts = accounts();
        let mut waiting = Vec::new();
        let mut times = [1, 15, 16, 200].map(|count| {
            waiting.resize_with(count, || accounts.wait_for_room());
            accounts.time_to_move().as_millis()
        });
        assert_eq!(times, [1000, 1000, 500, 100]);
        waiting.clear();
        times[0] = accounts.time_to_move().as_millis();
        assert_eq!(times[0], 1000);
    }

    #[test]
    fn the_longest_answer_follows_jute_maxbuffer_and_has_room() {
        let limits = |pairs: &[(&str, &str)], max_buffer| {
            let properties = SystemProperties::from_pairs(pairs.iter().copied());
            MemoryLimits::from_properties(&properties, Limits::new(max_buffer, 0))
        };
        assert_eq!(limits(&[], 1 << 20), MemoryLimits::default());
        assert_eq!(
            limits(&[(REQUEST_BYTES, "-1"), (ANSWER_BYTES, "x")], 1),
            MemoryLimits::default()
        );
        let raised = limits(&[], 200 << 20);
        assert_eq!((raised.response_bytes, raised.answer_bytes), (200 << 20, 400 << 20));
        let set = limits(&[(RESPONSE_BYTES, "1000"), (ANSWER_BYTES, "5000")], 100);
        assert_eq!((set.response_bytes, set.answer_bytes), (1000, 5000));
    }
}
