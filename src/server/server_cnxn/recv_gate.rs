//! Whether a connection is read (Java: enableRecv, disableRecv and the throttling of server/NIOServerCnxn.java).
//!
//! A connection is not read while its session is set up, while too many of its requests are under way or too much of
//! its output waits for the socket, while it waits for room in memory, and while a read that takes long waits for the
//! requests before it. If it has a thread of its own, the thread
//! waits here. Otherwise its selector looks here when it is woken, and from time to time.
//!
//! Locks: `Leaf`, for the gate.

use std::io;
use std::mem;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::ServerCnxn;
use crate::common::time;
use crate::server::memory_account::WaitingForRoom;
use crate::server::processor_queue::Worker;

/// How often a reader that is stopped by a limit checks whether it may go on. It is also woken.
const THROTTLE_RECHECK: Duration = Duration::from_millis(100);

/// How long a stopped reader waits for a client that has closed its side, because the client may still read answers
/// to what it has sent. It is the minimum while the session is set up, and the maximum if the connection holds
/// memory. Also how often a reader checks that waits for its session: the end of the setup wakes it. If thousands of
/// readers checked more often, they would take the processor time that the setup of sessions needs.
const HUNG_UP_GRACE: Duration = Duration::from_secs(1);

/// How often a reader that waits for room in memory checks for it. Nobody wakes the reader when there is room.
const ROOM_RECHECK: Duration = Duration::from_millis(50);

/// What is decided under the lock.
#[derive(Debug, Default)]
pub(super) struct RecvGate {
    /// The session is being set up.
    pub(super) connecting: bool,
    /// The connection is closed.
    pub(super) closed: bool,
}

/// The selector that reads a connection. Callers may hold any lock that ranks above `Leaf`.
pub(in crate::server) trait CnxnSelector: Send + Sync {
    /// Has the selector look at the connection again.
    fn look_again(&self);

    /// Has the selector continue to send when the socket accepts bytes.
    ///
    /// # Errors
    /// When the system refuses to watch the socket.
    fn await_writable(&self, fd: RawFd) -> io::Result<()>;

    /// Has the selector send what the connection has. Returns false if the caller must do it: a selector that sleeps is
    /// not woken for a few connections.
    fn flush(&self, cnxn: &Arc<ServerCnxn>, are_few: bool) -> bool;
}

/// Since when a connection is not read, and what was seen of it since.
pub(in crate::server) struct Stop {
    since: Instant,
    is_connecting: bool,
    hung_up_since: Option<Instant>,
    unsent: usize,
    waits_for_room: Option<WaitingForRoom>,
}

impl Stop {
    /// Whether it waits for room in memory.
    pub(in crate::server) const fn waits_for_room(&self) -> bool {
        self.waits_for_room.is_some()
    }
}

/// What to do with a connection that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Gate {
    /// Go on with its input.
    Open,
    /// Look again after this time, or when woken.
    Wait(Duration),
    /// Read no more: it is closed, or must be closed.
    Closed,
}

impl ServerCnxn {
    /// Has a selector read the connection. Called once, before it is read.
    pub(in crate::server) fn set_selector(&self, selector: Arc<dyn CnxnSelector>) {
        let is_first = self.selector.set(selector).is_ok();
        debug_assert!(is_first, "a connection has one selector");
    }

    /// Who does the work of idle processors for its requests.
    pub(in crate::server) fn worker(&self) -> Worker {
        if self.selector.get().is_some() { Worker::Selector } else { Worker::Caller }
    }

    /// Sends what was appended, or has the connection's selector do so. If the caller has something for few connections
    /// only, a selector that sleeps is not woken for it. The caller holds no lock.
    pub(in crate::server) fn flush_by_reader(self: &Arc<Self>, are_few: bool) {
        if !self.selector.get().is_some_and(|selector| selector.flush(self, are_few)) {
            self.flush();
        }
    }

    /// Makes a stopped reader check again whether it may go on.
    pub(super) fn wake_reader(&self) {
        if self.is_recv_stopped() {
            // Under the lock, so that a reader between its check and its wait does not miss the wake-up.
            let gate = self.recv_gate.lock();
            self.recv_wake.notify_all();
            drop(gate);
            self.wake_selector();
        }
    }

    /// Has its selector, if it has one, look at it again. It is told once until it looks.
    pub(in crate::server) fn wake_selector(&self) {
        if let Some(selector) = self.selector.get()
            && !self.is_look_queued.swap(true, Ordering::AcqRel)
        {
            selector.look_again();
        }
    }

    /// For the selector, before it looks: from now on it must be told again.
    pub(in crate::server) fn selector_looks(&self) {
        self.is_look_queued.swap(false, Ordering::AcqRel);
    }

    /// Stops reading until the session is set up.
    pub(super) fn disable_recv(&self) {
        self.recv_gate.lock().connecting = true;
        self.recv_stopped.store(true, Ordering::Release);
    }

    /// Lets the reader continue, because the session is set up.
    pub fn enable_recv(&self) {
        self.change_gate(|gate| gate.connecting = false);
    }

    /// Ends reading, because the connection is closed.
    pub(super) fn end_recv(&self) {
        self.change_gate(|gate| gate.closed = true);
    }

    fn change_gate(&self, change: impl FnOnce(&mut RecvGate)) {
        change(&mut self.recv_gate.lock());
        self.recv_wake.notify_all();
        self.wake_selector();
    }

    pub(super) fn is_recv_stopped(&self) -> bool {
        self.recv_stopped.load(Ordering::Acquire)
    }

    /// Whether the reader must stop: too much is unsent, too many requests are under way, or it waits for room in
    /// memory, or with a long read for the requests before it.
    fn is_throttled(&self) -> bool {
        self.output.is_full()
            || self.has_too_many_requests()
            || self.awaits_room()
            || self.pending.keeps_reader()
    }

    /// Whether the connection may be read, or is closed; none if it must wait.
    fn decided(&self, gate: &RecvGate) -> Option<Gate> {
        if gate.closed {
            return Some(Gate::Closed);
        }
        (self.is_ending() || !gate.connecting && !self.is_throttled()).then_some(Gate::Open)
    }

    /// Begins to wait with a connection that must not be read.
    pub(in crate::server) fn stop(&self) -> Stop {
        let for_room = self.server.as_ref().filter(|_| self.awaits_room());
        Stop {
            since: time::now(),
            is_connecting: false,
            hung_up_since: None,
            unsent: self.output.unsent(),
            waits_for_room: for_room.map(|server| server.memory().wait_for_room()),
        }
    }

    /// Whether the connection may be read again. Never blocks.
    pub(in crate::server) fn look_at_gate(&self, stop: &mut Stop) -> Gate {
        let is_connecting = match self.try_gate() {
            Ok(decided) => return decided,
            Err(is_connecting) => is_connecting,
        };
        if mem::replace(&mut stop.is_connecting, is_connecting) != is_connecting {
            stop.since = time::now();
        }
        if self.waits_in_vain(stop) {
            return Gate::Closed;
        }
        self.close_others_for_room();
        // The client's pings are not read now, but a client that takes answers is alive.
        let was_unsent = mem::replace(&mut stop.unsent, self.output.unsent());
        if stop.unsent < was_unsent
            && let Some(server) = &self.server
        {
            server.touch(self);
        }
        // The room of closed connections is for whoever has closed them.
        match self.try_gate() {
            Ok(decided) => decided,
            // Answers on this connection wake the reader. But the server may return below its limits without one.
            Err(is_connecting) => Gate::Wait(match (is_connecting, self.awaits_room()) {
                (true, _) => HUNG_UP_GRACE,
                (false, true) => ROOM_RECHECK,
                (false, false) => THROTTLE_RECHECK,
            }),
        }
    }

    /// Passes the gate if it is open. The error is whether the session is being set up.
    fn try_gate(&self) -> Result<Gate, bool> {
        let gate = self.recv_gate.lock();
        let decided = self.decided(&gate).ok_or(gate.connecting)?;
        if decided == Gate::Open {
            self.recv_stopped.store(false, Ordering::Release);
        }
        Ok(decided)
    }

    /// Whether a stopped reader should give up. It should if its server has ended, or if the setup of its session
    /// takes longer than the session's timeout. It also should if the client has closed its side, and the session is
    /// not set up or a grace period is over; this period is shorter if the connection holds memory.
    fn waits_in_vain(&self, stop: &mut Stop) -> bool {
        if self.server.as_ref().is_some_and(|server| !server.is_running()) {
            return true;
        }
        let timeout_ms = u64::try_from(self.session_timeout_ms()).unwrap_or_default();
        let timeout = Duration::from_millis(timeout_ms);
        let waited = stop.since.elapsed();
        if stop.is_connecting && waited >= timeout {
            return true;
        }
        if waited < HUNG_UP_GRACE || !self.output.is_hung_up() {
            return false;
        }
        let grace = if self.keeps_memory() { HUNG_UP_GRACE.min(timeout) } else { timeout };
        stop.is_connecting || stop.hung_up_since.get_or_insert_with(time::now).elapsed() >= grace
    }

    /// For a reader thread: waits until it may process input again. Returns false if the connection is closed or must
    /// be closed.
    pub fn wait_until_readable(&self) -> bool {
        if !self.is_recv_stopped() {
            return !self.is_stale();
        }
        let mut stop = self.stop();
        loop {
            match self.look_at_gate(&mut stop) {
                Gate::Open => return !self.is_stale(),
                Gate::Closed => return false,
                Gate::Wait(time) => {
                    let mut gate = self.recv_gate.lock();
                    // Anybody who has opened the gate since is not missed.
                    if self.decided(&gate).is_none() {
                        self.recv_wake.wait_for(&mut gate, time);
                    }
                }
            }
        }
    }
}
