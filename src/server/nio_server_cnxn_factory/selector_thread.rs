//! `SelectorThread`: waits for many connections at once, and reads those that have something (Java:
//! NIOServerCnxnFactory.SelectorThread, with the work of IOWorkRequest and ConnectionExpirerThread).
//!
//! In each round, the thread processes what all ready connections have sent. It hands their requests over to the
//! processors as one group, at the end of the round, and does the work of idle processors, except that of the log: a
//! thread that reads for many clients must not wait for the disk. It also sends what the processors' threads have
//! appended to its connections, so that the thread of the log can begin with the next group. With
//! `nio.numWorkerThreads`, a worker reads and processes instead, one connection at a time, and gives it back.
//!
//! Differs from Java: Events are edge-triggered, so that the interest in a socket changes only when the socket is full.
//! The selector closes a silent connection at the exact time, not at the end of an interval.
//!
//! Threads: `NIOServerCxnFactory.SelectorThread-N`. Locks: `Leaf`, held briefly, for the inbox.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::mem;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

use super::LOG;
use super::reader_threads::ReaderThreads;
use crate::common::time;
use crate::server::cnxn_socket::CnxnSocket;
use crate::server::nio_server_cnxn::{NIOServerCnxn, Next};
use crate::server::processor_queue::Worker;
use crate::server::request::Request;
use crate::server::request_processor::Left;
use crate::server::server_cnxn::{CnxnSelector, DisconnectReason, ServerCnxn};
use crate::server::worker_service::{WorkRequest, WorkerService};
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::zoo_defs::OpCode;

/// The token of the waker.
const WAKE: Token = Token(usize::MAX);

/// The number of events to handle in one round.
const EVENTS: usize = 256;

/// The requests after which they are submitted before the end of the round, so that they count against the limits.
const REQUESTS_AT_ONCE: usize = 1_000;

/// If the `multi`s of a group are longer together, a selector does not prepare them, in bytes: they may have hundreds of
/// operations.
const LONG_MULTI: usize = 16 << 10;

/// If a selector has more connections, or if they have sent more requests, it leaves the log to its thread: they are
/// enough for both to be busy.
const MANY: usize = 200;

/// If a group of requests is longer, a selector leaves it to the log's thread, in bytes.
const MANY_BYTES: usize = 128 << 10;

/// How long a selector may look for more requests before it writes those that it has.
const LOOK_AGAIN: Duration = Duration::from_micros(150);

thread_local! {
    /// Whether this thread is a selector, or does the work of one.
    static IS_SELECTOR: Cell<bool> = const { Cell::new(false) };
}

/// What other threads have for the selector.
#[derive(Default)]
struct Inbox {
    accepted: Vec<Box<NIOServerCnxn>>,
    /// Connections that come back from a worker.
    done: Vec<(usize, Box<NIOServerCnxn>, Next)>,
    /// Connections to look at again.
    again: Vec<Token>,
    /// Connections that have something to send.
    to_flush: Vec<Arc<ServerCnxn>>,
    /// The selector will look into the inbox without being woken again.
    is_woken: bool,
    /// The selector has ended.
    is_closed: bool,
}

/// One selector.
pub(in crate::server) struct SelectorThread {
    /// Until the thread takes it.
    poll: RankedMutex<Option<Poll>>,
    registry: Registry,
    waker: Waker,
    inbox: RankedMutex<Inbox>,
    /// None if the selector does the work itself.
    workers: Option<Arc<WorkerService>>,
    /// The threads of other connections.
    readers: Arc<ReaderThreads>,
    stopped: AtomicBool,
    /// It waits for events. Only a hint.
    is_asleep: AtomicBool,
}

impl SelectorThread {
    pub(super) fn new(
        workers: Option<Arc<WorkerService>>,
        readers: Arc<ReaderThreads>,
    ) -> io::Result<Arc<Self>> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = Waker::new(&registry, WAKE)?;
        Ok(Arc::new(Self {
            poll: RankedMutex::new(Rank::Leaf, "poll of a selector", Some(poll)),
            registry,
            waker,
            inbox: RankedMutex::new(Rank::Leaf, "inbox of a selector", Inbox::default()),
            workers,
            readers,
            stopped: AtomicBool::new(false),
            is_asleep: AtomicBool::new(false),
        }))
    }

    /// Puts something into the inbox, and wakes the selector. Returns false if the selector has ended.
    fn put(&self, put: impl FnOnce(&mut Inbox)) -> bool {
        let was_woken = {
            let mut inbox = self.inbox.lock();
            if inbox.is_closed {
                return false;
            }
            put(&mut inbox);
            mem::replace(&mut inbox.is_woken, true)
        };
        if !was_woken && let Err(error) = self.waker.wake() {
            warn!(target: LOG, "a selector was not woken: {error}");
            self.inbox.lock().is_woken = false;
        }
        true
    }

    /// A new connection (Java: addAcceptedConnection).
    pub(super) fn add_accepted_connection(&self, nio: NIOServerCnxn) {
        let cnxn = Arc::clone(&nio.cnxn);
        if !self.put(|inbox| inbox.accepted.push(Box::new(nio))) {
            cnxn.close(DisconnectReason::ServerShutdown);
        }
    }

    /// Ends the thread. The workers must have ended.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.put(|_| {});
    }

    /// The body of the thread.
    pub(super) fn run(self: &Arc<Self>) -> io::Result<()> {
        let Some(mut poll) = self.poll.lock().take() else { return Ok(()) };
        IS_SELECTOR.set(true);
        let mut events = Events::with_capacity(EVENTS);
        let mut rounds = Rounds::new();
        while !self.stopped.load(Ordering::Acquire) {
            self.select(&mut poll, &mut events, &mut rounds)?;
            self.process_inbox(&mut rounds);
            rounds.close_expired(self);
            let server = rounds.submit();
            rounds.write_log();
            self.give_way(server.as_ref());
        }
        rounds.unwritten.take().inspect(Unwritten::write);
        let closed = Inbox { is_closed: true, ..Inbox::default() };
        let left = mem::replace(&mut *self.inbox.lock(), closed);
        let slots = mem::take(&mut rounds.slots);
        let at_home = slots.into_all().filter_map(|slot| slot.nio);
        let returned = left.done.into_iter().map(|(_, nio, _)| nio);
        for mut nio in at_home.chain(returned).chain(left.accepted) {
            nio.cnxn.close(DisconnectReason::ServerShutdown);
            rounds.answering.extend(nio.take_thread());
        }
        rounds.answering.into_iter().for_each(zookeeper_thread::join);
        info!(target: LOG, "selector thread exitted run method");
        Ok(())
    }

    /// Waits for events, and processes what the ready connections have.
    fn select(
        self: &Arc<Self>,
        poll: &mut Poll,
        events: &mut Events,
        rounds: &mut Rounds,
    ) -> io::Result<()> {
        let wait = rounds.time_to_wait();
        self.is_asleep.store(wait != Some(Duration::ZERO), Ordering::Relaxed);
        let polled = poll.poll(events, wait);
        self.is_asleep.store(false, Ordering::Relaxed);
        if let Err(error) = polled
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error);
        }
        let ready = mem::take(&mut rounds.ready);
        rounds.is_idle = events.is_empty() && ready.is_empty();
        rounds.began = time::now();
        for event in events.iter().filter(|event| event.token() != WAKE) {
            let Token(at) = event.token();
            if event.is_writable() {
                rounds.continue_sending(at);
            }
            if event.is_read_closed() || event.is_error() {
                rounds.note_read_closed(at);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                rounds.do_io(self, at);
            }
        }
        for at in ready {
            if rounds.slots.get(at).is_some_and(|slot| mem::take(&mut slot.is_ready)) {
                rounds.do_io(self, at);
            }
        }
        Ok(())
    }

    /// While requests are being processed, lets a thread run that waits for this processor. A selector with many clients
    /// is never idle, and would keep the processor for its whole time slice, some milliseconds. The thread of the log would
    /// lose that time whenever the disk has woken it. Connections with threads would take the processor for their time
    /// slices, so there is no way to give then.
    fn give_way(&self, server: Option<&Arc<ZooKeeperServer>>) {
        let is_busy = server.is_some_and(|server| server.in_process() > 0);
        if is_busy && self.readers.are_none() {
            thread::yield_now();
        }
    }

    /// Does what other threads have asked for, and registers new connections (Java: processAcceptedConnections,
    /// processInterestOpsUpdateRequests).
    fn process_inbox(self: &Arc<Self>, rounds: &mut Rounds) {
        let inbox = mem::take(&mut *self.inbox.lock());
        inbox.to_flush.iter().for_each(|cnxn| cnxn.flush());
        inbox.done.into_iter().for_each(|(at, nio, next)| rounds.take_back(self, at, nio, next));
        inbox.again.into_iter().for_each(|Token(at)| rounds.do_io(self, at));
        for nio in inbox.accepted {
            let token = Token(rounds.slots.next());
            let registered = nio.socket.open(|socket| {
                self.registry.register(&mut SourceFd(&socket.fd()), token, Interest::READABLE)
            });
            match registered {
                Ok(()) => {
                    // After that, because others may send to a connection that had a thread before, and find the socket
                    // full.
                    let selector = Arc::clone(self);
                    nio.set_selector(Arc::new(SelectorHandle { selector, token }));
                    rounds.add(nio);
                }
                Err(error) => {
                    warn!(target: LOG, "cannot wait for the socket of {}: {error}", nio.cnxn);
                    nio.cnxn.close(DisconnectReason::IoException);
                }
            }
        }
    }
}

/// A connection's way to its selector.
struct SelectorHandle {
    selector: Arc<SelectorThread>,
    token: Token,
}

impl CnxnSelector for SelectorHandle {
    fn look_again(&self) {
        self.selector.put(|inbox| inbox.again.push(self.token));
    }

    fn await_writable(&self, fd: RawFd) -> io::Result<()> {
        // Registers anew, so that there is an event even if the socket accepts bytes already.
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.selector.registry.reregister(&mut SourceFd(&fd), self.token, interest)
    }

    fn flush(&self, cnxn: &Arc<ServerCnxn>, are_few: bool) -> bool {
        // A selector sends by itself what its own round has produced.
        if IS_SELECTOR.get() || are_few && self.selector.is_asleep.load(Ordering::Relaxed) {
            return false;
        }
        self.selector.put(|inbox| inbox.to_flush.push(Arc::clone(cnxn)))
    }
}

/// Reads and processes one connection (Java: NIOServerCnxnFactory.IOWorkRequest).
struct IOWorkRequest {
    selector: Arc<SelectorThread>,
    at: usize,
    nio: Box<NIOServerCnxn>,
}

impl IOWorkRequest {
    fn give_back(self, next: Next) {
        let Self { selector, at, nio } = self;
        let cnxn = Arc::clone(&nio.cnxn);
        if !selector.put(|inbox| inbox.done.push((at, nio, next))) {
            cnxn.close(DisconnectReason::ServerShutdown);
        }
    }
}

impl WorkRequest for IOWorkRequest {
    fn do_work(mut self: Box<Self>) {
        IS_SELECTOR.set(true);
        let mut requests = Vec::new();
        let next = self.nio.do_io(&mut requests);
        if let Some(server) = self.nio.cnxn.server() {
            let by = worker_for(&requests, Worker::Selector);
            submit(server, requests, by);
        }
        self.give_back(next);
    }

    fn cleanup(self: Box<Self>) {
        self.nio.cnxn.close(DisconnectReason::CleanUp);
        self.give_back(Next::Closed);
    }
}

/// A connection of the selector.
struct Slot {
    cnxn: Arc<ServerCnxn>,
    socket: Arc<CnxnSocket>,
    /// None while a worker has it.
    nio: Option<Box<NIOServerCnxn>>,
    /// It was to be looked at while a worker had it.
    is_missed: bool,
    /// The client has closed its side while a worker had it.
    was_read_closed: bool,
    /// When the connection is closed unless something comes.
    expires: Option<Instant>,
    /// When the selector looks at it, as in `Rounds::timers`.
    timer: Option<Instant>,
    /// It is in `Rounds::ready`.
    is_ready: bool,
}

/// The connections of a selector. The token of a connection is its index.
#[derive(Default)]
struct Slots {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
}

impl Slots {
    /// The index that the next connection gets.
    fn next(&self) -> usize {
        self.free.last().copied().unwrap_or(self.slots.len())
    }

    fn add(&mut self, slot: Slot) -> usize {
        let at = self.next();
        if self.free.pop().is_some() {
            self.slots[at] = Some(slot);
        } else {
            self.slots.push(Some(slot));
        }
        at
    }

    fn get(&mut self, at: usize) -> Option<&mut Slot> {
        self.slots.get_mut(at)?.as_mut()
    }

    fn remove(&mut self, at: usize) -> Option<Slot> {
        let removed = self.slots.get_mut(at)?.take()?;
        self.free.push(at);
        Some(removed)
    }

    fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn into_all(self) -> impl Iterator<Item = Slot> {
        self.slots.into_iter().flatten()
    }
}

/// Transactions of this selector's clients that are not in the log yet.
struct Unwritten {
    server: Arc<ZooKeeperServer>,
    /// When the round began that brought the first of them.
    since: Instant,
}

impl Unwritten {
    fn write(&self) {
        self.server.write_log();
    }
}

/// What the thread keeps from round to round.
struct Rounds {
    slots: Slots,
    /// Connections that have more, for the next round.
    ready: Vec<usize>,
    /// When to look at which connection, whether or not an event comes.
    timers: BTreeSet<(Instant, usize)>,
    /// The threads that answer words of connections that have ended meanwhile.
    answering: Vec<JoinHandle<()>>,
    /// The requests of this round, all for this server.
    requests: Vec<Box<Request>>,
    server: Option<Arc<ZooKeeperServer>>,
    unwritten: Option<Unwritten>,
    /// When this round began.
    began: Instant,
    /// This round had no connection to look at.
    is_idle: bool,
}

impl Rounds {
    fn new() -> Self {
        Self {
            slots: Slots::default(),
            ready: Vec::new(),
            timers: BTreeSet::new(),
            answering: Vec::new(),
            requests: Vec::new(),
            server: None,
            unwritten: None,
            began: time::now(),
            is_idle: true,
        }
    }

    fn time_to_wait(&self) -> Option<Duration> {
        if !self.ready.is_empty() || self.unwritten.is_some() {
            return Some(Duration::ZERO);
        }
        let (first, _) = self.timers.first()?;
        Some(first.saturating_duration_since(time::now()))
    }

    fn add(&mut self, nio: Box<NIOServerCnxn>) {
        let expires = after(nio.timeout());
        let at = self.slots.add(Slot {
            cnxn: Arc::clone(&nio.cnxn),
            socket: Arc::clone(&nio.socket),
            nio: Some(nio),
            is_missed: false,
            was_read_closed: false,
            expires,
            timer: None,
            is_ready: false,
        });
        self.look_before(at, expires);
    }

    /// Sees to it that the selector looks at the connection at this time or before.
    fn look_before(&mut self, at: usize, when: Option<Instant>) {
        let (Some(when), Some(slot)) = (when, self.slots.get(at)) else { return };
        if let Some(timer) = slot.timer {
            if timer <= when {
                return;
            }
            self.timers.remove(&(timer, at));
        }
        slot.timer = Some(when);
        self.timers.insert((when, at));
    }

    fn note_read_closed(&mut self, at: usize) {
        match self.slots.get(at) {
            Some(Slot { nio: Some(nio), .. }) => nio.note_read_closed(),
            Some(slot) => slot.was_read_closed = true,
            None => {}
        }
    }

    fn continue_sending(&mut self, at: usize) {
        if let Some(slot) = self.slots.get(at)
            && slot.socket.take_full()
        {
            slot.cnxn.continue_sending();
        }
    }

    /// Reads and processes the connection, or has a worker do it (Java: handleIO).
    fn do_io(&mut self, selector: &Arc<SelectorThread>, at: usize) {
        let Some(slot) = self.slots.get(at) else { return };
        if let Some(workers) = &selector.workers {
            match slot.nio.take() {
                Some(nio) => {
                    let selector = Arc::clone(selector);
                    let ip = nio.cnxn.remote_socket_address().ip();
                    workers.schedule(ip, Box::new(IOWorkRequest { selector, at, nio }));
                }
                None => slot.is_missed = true,
            }
            return;
        }
        let Some(nio) = &mut slot.nio else { return };
        // A connection keeps the server that it came to, also when the next one runs already.
        match (nio.cnxn.server(), &self.server) {
            (Some(of_cnxn), Some(of_group)) if !Arc::ptr_eq(of_cnxn, of_group) => {
                self.submit();
                return self.do_io(selector, at);
            }
            (Some(of_cnxn), None) => self.server = Some(Arc::clone(of_cnxn)),
            _ => {}
        }
        let next = nio.do_io(&mut self.requests);
        self.follow(at, next);
        if self.requests.len() >= REQUESTS_AT_ONCE {
            self.submit();
        }
    }

    /// A worker has read and processed the connection.
    fn take_back(
        &mut self,
        selector: &Arc<SelectorThread>,
        at: usize,
        mut nio: Box<NIOServerCnxn>,
        next: Next,
    ) {
        // A connection keeps its place while a worker has it.
        let Some(slot) = self.slots.get(at) else { return };
        if mem::take(&mut slot.was_read_closed) {
            nio.note_read_closed();
        }
        slot.nio = Some(nio);
        let is_missed = mem::take(&mut slot.is_missed);
        self.follow(at, next);
        if is_missed {
            self.do_io(selector, at);
        } else {
            self.close_if_expired(at, time::now());
        }
    }

    /// Does what follows when the connection was processed.
    fn follow(&mut self, at: usize, next: Next) {
        let Some(slot) = self.slots.get(at) else { return };
        let Some(nio) = &mut slot.nio else { return };
        if nio.has_received() {
            slot.expires = after(nio.timeout());
        }
        match next {
            Next::Wait => {
                let expires = slot.expires;
                self.look_before(at, expires);
            }
            Next::WaitFor(wait) => {
                let when = after(Some(wait));
                // The client's bytes are not read, so it cannot show that it is alive.
                if nio.has_greeted() || !nio.is_stopped() {
                    slot.expires = after(nio.timeout().map(|timeout| wait + timeout));
                }
                self.look_before(at, when);
            }
            Next::Again => {
                if !mem::replace(&mut slot.is_ready, true) {
                    self.ready.push(at);
                }
            }
            Next::Closed => self.remove(at),
        }
    }

    /// Looks at the connections whose time has come, and closes those from which nothing has come in time. What has come
    /// is read first.
    fn close_expired(&mut self, selector: &Arc<SelectorThread>) {
        let now = time::now();
        let mut for_room = false;
        while let Some(&(when, at)) = self.timers.first()
            && when <= now
        {
            self.timers.remove(&(when, at));
            let Some(slot) = self.slots.get(at) else { continue };
            slot.timer = None;
            // A worker gives it back soon.
            let Some(nio) = &slot.nio else { continue };
            if nio.waits_for_room() {
                for_room = true;
                continue;
            }
            let expires = slot.expires;
            if nio.is_reading() && expires.is_none_or(|expires| expires > now) {
                self.look_before(at, expires);
                continue;
            }
            self.look(selector, at, now);
        }
        if for_room {
            self.look_for_room(selector, now);
        }
    }

    /// Does what the connection waits for, and closes it if nothing has come in time.
    fn look(&mut self, selector: &Arc<SelectorThread>, at: usize, now: Instant) {
        self.do_io(selector, at);
        self.close_if_expired(at, now);
    }

    /// Closes the connection if nothing has come in time, unless a worker has it.
    fn close_if_expired(&mut self, at: usize, now: Instant) {
        if let Some(slot) = self.slots.get(at)
            && slot.nio.is_some()
            && slot.expires.is_some_and(|expires| expires <= now)
        {
            let reason = slot.cnxn.expired();
            slot.cnxn.close(reason);
            self.remove(at);
        }
    }

    /// Looks at all connections that wait for room in memory: first at those whose clients have taken everything so far,
    /// and most answers. Among equals, the order is random. In the order of arrival, a client that reads would have to
    /// wait until all before it that do not read have had their time.
    fn look_for_room(&mut self, selector: &Arc<SelectorThread>, now: Instant) {
        let order = RandomState::new();
        let waiting = |(at, slot): (usize, &Option<Slot>)| {
            let nio = slot.as_ref()?.nio.as_ref().filter(|nio| nio.waits_for_room())?;
            let answers = nio.cnxn.stats().packets_sent().max(1).ilog2();
            Some(((nio.cnxn.unsent() > 0, Reverse(answers), order.hash_one(at)), at))
        };
        let mut waiting: Vec<_> = self.slots.slots.iter().enumerate().filter_map(waiting).collect();
        waiting.sort_unstable();
        for (_, at) in waiting {
            // So that the next look is again one at all of them.
            if let Some(timer) = self.slots.get(at).and_then(|slot| slot.timer.take()) {
                self.timers.remove(&(timer, at));
            }
            self.look(selector, at, now);
        }
    }

    fn remove(&mut self, at: usize) {
        let Some(slot) = self.slots.remove(at) else { return };
        if let Some(timer) = slot.timer {
            self.timers.remove(&(timer, at));
        }
        // The thread may need a while, and nobody waits for its answer.
        self.answering.retain(|thread| !thread.is_finished());
        self.answering.extend(slot.nio.and_then(|mut nio| nio.take_thread()));
    }

    /// Submits the requests of this round. Returns their server.
    fn submit(&mut self) -> Option<Arc<ZooKeeperServer>> {
        let server = self.server.take()?;
        let requests = mem::take(&mut self.requests);
        let are_many = self.slots.count() > MANY;
        let few = if are_many { Worker::Selector } else { Worker::ReturningSelector };
        let by = worker_for(&requests, few);
        if submit(&server, requests, by) == Left::Log {
            // There may be one of a server of which no connection has anything more to say.
            let is_other = |old: &mut Unwritten| !Arc::ptr_eq(&old.server, &server);
            self.unwritten.take_if(is_other).inspect(Unwritten::write);
            self.unwritten.get_or_insert_with(|| Unwritten {
                server: Arc::clone(&server),
                since: self.began,
            });
        }
        Some(server)
    }

    /// Writes what the rounds have left unwritten, unless it is better to look at the connections once more.
    fn write_log(&mut self) {
        let is_time = |unwritten: &mut Unwritten| {
            self.is_idle || time::now().duration_since(unwritten.since) >= LOOK_AGAIN
        };
        self.unwritten.take_if(is_time).inspect(Unwritten::write);
    }
}

/// Sends the answers to the reads of this round, hands the other requests over to the processors, and sends what these
/// have answered. The reads come first, because the processors may wait for the disk.
fn submit(server: &Arc<ZooKeeperServer>, requests: Vec<Box<Request>>, by: Worker) -> Left {
    server.flush_list().flush();
    if requests.is_empty() {
        return Left::Nothing;
    }
    let left = server.submit_requests(requests, by);
    server.flush_list().flush();
    left
}

/// Who does the work for these requests: the processors' own threads if it takes long, such as a `multi` of thousands of
/// operations, or the end of a session that may have thousands of nodes. If they are long or many, the log's thread writes
/// them.
/// In the other cases, `few` does the work.
fn worker_for(requests: &[Box<Request>], few: Worker) -> Worker {
    let (mut bytes, mut bytes_of_multis) = (0, 0);
    for request in requests {
        let length = request.payload.as_ref().map_or(0, |payload| payload.len());
        bytes += length;
        if request.op_type == OpCode::Multi.code() {
            bytes_of_multis += length;
        }
        if bytes_of_multis > LONG_MULTI || request.op_type == OpCode::CloseSession.code() {
            return Worker::OwnThread;
        }
    }
    if bytes > MANY_BYTES || requests.len() > MANY { Worker::Selector } else { few }
}

/// The time after a wait; none without a wait.
fn after(wait: Option<Duration>) -> Option<Instant> {
    time::now().checked_add(wait?)
}
