//! Limits the server's memory that one connection holds (no Java twin).
//!
//! A reader stops while the waiting requests of its connection, or those of all connections, exceed their limit. A
//! long frame or a long answer waits until there is room for it. A reader that waits closes connections that hold
//! memory and make no progress: those whose clients do not read, or have sent only a part of a long frame.
//! Threads: the connection's reader waits; the thread that applies transactions cuts connections off. Locks: the
//! output, for short operations.

use std::sync::atomic::Ordering;
use std::time::Duration;

use log::{debug, warn};

use super::input::InputState;
use super::{LOG, ServerCnxn};
use crate::server::memory_account::{FrameRoom, RequestAccount, SMALL_ANSWER};
// tidy: layer: a connection knows its server, as in Java
use crate::server::zookeeper_server::ZooKeeperServer;

impl ServerCnxn {
    /// Its requests that wait or are being processed.
    #[must_use]
    pub const fn held(&self) -> &RequestAccount {
        &self.held
    }

    /// How many of its reads wait for an earlier request.
    pub(in crate::server) fn parked_reads(&self) -> i64 {
        i64::try_from(self.pending.parked()).unwrap_or(i64::MAX)
    }

    /// Called when a request of this connection no longer counts.
    pub(in crate::server) fn request_was_let_go(&self) {
        if self.is_recv_stopped() && !self.has_too_many_requests() {
            self.wake_reader();
        }
    }

    /// Whether its waiting requests exceed a limit.
    pub(super) fn has_too_many_requests(&self) -> bool {
        self.server().is_some_and(|server| server.should_throttle(&self.held))
    }

    /// Called when there is a next request. Returns whether the reader stops before it, because too many requests
    /// wait.
    pub(super) fn stops_before_next(&self, server: &ZooKeeperServer) -> bool {
        let stops = server.should_throttle(&self.held);
        if stops {
            self.recv_stopped.store(true, Ordering::Release);
        }
        stops
    }

    /// Stops the reader until an answer of this length has room.
    pub(super) fn await_answer_room(&self, bytes: usize) -> InputState {
        self.awaited_answer.store(bytes, Ordering::Relaxed);
        self.recv_stopped.store(true, Ordering::Release);
        InputState::Stopped
    }

    /// Reserves room for the rest of a long frame, or stops the reader until there is room.
    pub(super) fn frame_room(
        &self,
        server: &ZooKeeperServer,
        bytes: usize,
    ) -> Result<FrameRoom, InputState> {
        let Some(room) = server.memory().frame_room(bytes) else {
            self.awaited_frame.store(bytes, Ordering::Relaxed);
            self.recv_stopped.store(true, Ordering::Release);
            return Err(InputState::Stopped);
        };
        self.half_frame_since_ms.store(server.clock().elapsed_ms(), Ordering::Relaxed);
        self.half_frame.store(bytes, Ordering::Relaxed);
        Ok(room)
    }

    /// Records that the long frame is complete.
    pub(super) fn frame_is_whole(&self) {
        self.half_frame.store(0, Ordering::Relaxed);
    }

    /// Whether the reader waits for room and there is none yet. For the reader.
    pub(super) fn awaits_room(&self) -> bool {
        let answer = self.awaited_answer.load(Ordering::Relaxed);
        let frame = self.awaited_frame.load(Ordering::Relaxed);
        if answer == 0 && frame == 0 {
            return false;
        }
        let Some(server) = self.server() else { return false };
        let memory = server.memory();
        if memory.has_answer_room(answer) && memory.has_frame_room(frame) {
            self.awaited_answer.store(0, Ordering::Relaxed);
            self.awaited_frame.store(0, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Whether it holds memory that others could use.
    pub(super) fn keeps_memory(&self) -> bool {
        self.held.bytes() > SMALL_ANSWER || self.output.is_full() || self.awaits_room()
    }

    /// For a reader that waits for room: closes connections that hold memory and make no progress. The caller must
    /// hold no lock.
    pub(super) fn close_others_for_room(&self) {
        if let (Some(server), true) = (self.server(), self.awaits_room()) {
            server.close_stalled();
        }
    }

    /// For how much longer than allowed it has held memory without progress: its socket takes almost nothing, or a
    /// long frame is incomplete. A long frame is allowed the same time again for each MiB of its length.
    pub(in crate::server) fn stands_still_for(
        &self,
        now_ms: i64,
        time_to_move: Duration,
    ) -> Option<Duration> {
        let unread = self.output.stands_still_for().and_then(|time| time.checked_sub(time_to_move));
        let half_frame = self.half_frame.load(Ordering::Relaxed);
        if half_frame == 0 {
            return unread;
        }
        let since_ms = self.half_frame_since_ms.load(Ordering::Relaxed);
        let time = Duration::from_millis(u64::try_from(now_ms - since_ms).unwrap_or_default());
        let mib = u32::try_from(half_frame >> 20).unwrap_or(u32::MAX);
        let unsent = time.checked_sub(time_to_move.saturating_mul(mib.saturating_add(1)));
        unread.max(unsent)
    }

    /// Whether an answer can be appended for a request that had to wait. If the server has no more room, a client
    /// that does not read its answers is cut off. The caller holds the tree's lock.
    pub(in crate::server) fn has_room_for_parked(&self) -> bool {
        if self.output.is_over_pause() {
            self.cut_off(0);
            return false;
        }
        true
    }

    /// Ends the connection and its requests, because an answer has no room and cannot wait. The client connects
    /// again.
    pub(in crate::server) fn cut_off(&self, bytes: usize) {
        warn!(
            target: LOG,
            "Closing {self}: the answers that it has asked for behind a write, of which the next has {bytes} bytes, have no \
             room in memory beside those that clients have not read"
        );
        self.output.cut();
        self.pending.abandon();
        self.queue_flush();
        debug!(target: LOG, "{self} keeps {} bytes of requests", self.held.bytes());
    }
}
