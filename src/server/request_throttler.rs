//! Holds requests back while the processors have too many (Java: server/RequestThrottler.java).
//!
//! Java sends every request through this thread. Here it runs only if `request_throttle_max_requests` is set.
//! Otherwise it would have nothing to do, and requests go directly to the first processor.
//!
//! Threads: connections queue requests, and `RequestThrottler` hands them over to the first processor. Locks: its
//! own (`Rank::Leaf`) for the queue's sender and for the stall; none while a request is handed over.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, TryRecvError, bounded};
use log::{debug, info, warn};

use super::zookeeper_server_listener::ZooKeeperServerListener;
use super::{zookeeper_critical_thread, zookeeper_thread};
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.RequestThrottler";

const MAX_REQUESTS: &str = "zookeeper.request_throttle_max_requests";
const STALL_TIME: &str = "zookeeper.request_throttle_stall_time";
const DROP_STALE: &str = "zookeeper.request_throttle_drop_stale";
const SHUTDOWN_TIMEOUT: &str = "zookeeper.request_throttler.shutdownTimeout";
const THROTTLED_OP_WAIT_TIME: &str = "zookeeper.throttled_op_wait_time";
const STALE_CONNECTION_CHECK: &str = "zookeeper.request_stale_connection_check";
const STALE_LATENCY_CHECK: &str = "zookeeper.request_stale_latency_check";

/// The settings for requests that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestThrottlerConfig {
    /// How many requests may be in the processors before others must wait; 0 switches the throttler off.
    pub max_requests: usize,
    /// How long a stall lasts at most before the throttler checks again, ms.
    pub stall_time_ms: u64,
    /// Whether stale requests are dropped.
    pub drop_stale_requests: bool,
    /// How long the shutdown may take to hand over waiting requests, ms. The remaining ones are dropped.
    pub shutdown_timeout_ms: u64,
    /// A request that has waited longer than this is answered with an error, ms; 0 switches this off.
    pub throttled_op_wait_time_ms: i64,
    /// When a request is stale.
    pub staleness: RequestStaleness,
}

impl Default for RequestThrottlerConfig {
    fn default() -> Self {
        Self {
            max_requests: 0,
            stall_time_ms: 100,
            drop_stale_requests: true,
            shutdown_timeout_ms: 10_000,
            throttled_op_wait_time_ms: 0,
            staleness: RequestStaleness::default(),
        }
    }
}

impl RequestThrottlerConfig {
    /// Reads the settings `zookeeper.request_throttle_*`, `zookeeper.request_throttler.shutdownTimeout`,
    /// `zookeeper.throttled_op_wait_time` and `zookeeper.request_stale_*`.
    #[must_use]
    pub(crate) fn from_properties(properties: &SystemProperties) -> Self {
        let default = Self::default();
        let config = Self {
            max_requests: properties.number_or(MAX_REQUESTS, default.max_requests),
            stall_time_ms: properties.number_or(STALL_TIME, default.stall_time_ms),
            drop_stale_requests: properties.bool_or(DROP_STALE, default.drop_stale_requests),
            shutdown_timeout_ms: properties
                .number_or(SHUTDOWN_TIMEOUT, default.shutdown_timeout_ms),
            throttled_op_wait_time_ms: properties
                .number_or(THROTTLED_OP_WAIT_TIME, default.throttled_op_wait_time_ms),
            staleness: RequestStaleness::from_properties(properties),
        };
        info!(target: LOG, "{SHUTDOWN_TIMEOUT} = {} ms", config.shutdown_timeout_ms);
        config
    }
}

/// When nobody waits for a request's answer any more (Java: Request.isStale).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestStaleness {
    /// If its connection is closed.
    pub connection_check: bool,
    /// If it is older than its session's timeout.
    pub latency_check: bool,
}

impl Default for RequestStaleness {
    fn default() -> Self {
        Self { connection_check: true, latency_check: false }
    }
}

impl RequestStaleness {
    /// Reads the settings `zookeeper.request_stale_*`.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        Self {
            connection_check: properties.bool_or(STALE_CONNECTION_CHECK, true),
            latency_check: properties.bool_or(STALE_LATENCY_CHECK, false),
        }
    }

    /// Whether a request of this age is stale. Not meant for `closeSession` and requests without a connection.
    #[must_use]
    pub const fn is_stale(self, is_closed: bool, age_ms: i64, session_timeout_ms: i64) -> bool {
        (self.connection_check && is_closed) || (self.latency_check && age_ms > session_timeout_ms)
    }
}

/// What the throttler needs to know of a request.
pub(crate) trait ThrottledRequest: Send + 'static {
    /// Whether it must be dropped because an earlier request of its connection was dropped.
    fn must_drop(&self) -> bool;

    /// Whether nobody waits for its answer any more.
    fn is_stale(&self, staleness: RequestStaleness, now_ms: i64) -> bool;

    /// Whether it may be answered with an error because it has waited too long. All requests may, except pings and
    /// requests that open or close sessions.
    fn is_throttlable(&self) -> bool;

    /// Marks it as having waited too long (Java: setIsThrottled).
    fn set_throttled(&mut self);
}

/// Receives the throttler's requests and events. The server implements it in `zookeeper_server/throttling`.
pub(crate) trait ThrottlerTarget<R>: Send + Sync + 'static {
    /// How many requests are in the processors (Java: getInProcess).
    fn in_process(&self) -> usize;

    /// Hands a request over to the first processor.
    fn submit_request_now(&self, request: R);

    /// Makes the processors finish the requests handed over so far, because no other request follows at once.
    fn flush(&self);

    /// Drops a request and counts it as finished. Must close the connection and drop all later requests of it.
    fn drop_request(&self, request: R);

    /// Records an event for the metrics.
    fn observe(&self, event: ThrottleEvent);
}

/// Events for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThrottleEvent {
    /// `request_throttle_wait_count`.
    Wait,
    /// `request_throttle_queue_time_ms`: how long a request has waited, ms.
    QueueTime(i64),
    /// `stale_requests`.
    Stale,
    /// `stale_requests_dropped`.
    StaleDropped,
    /// `throttled_ops`.
    ThrottledOp,
}

struct Queued<R> {
    request: R,
    since_ms: i64,
}

/// The state that the thread shares with others.
struct Shared {
    config: RequestThrottlerConfig,
    clock: Clock,
    killed: AtomicBool,
    /// Whether the thread waits to be woken. Waking it takes a lock only then.
    is_stalled: AtomicBool,
    stall: RankedMutex<()>,
    woken: RankedCondvar,
    inflight: AtomicUsize,
}

impl Shared {
    /// Waits until a request leaves the processors, for at most the stall time (Java: throttleSleep).
    fn stall(&self, is_over: impl Fn() -> bool) {
        let mut guard = self.stall.lock();
        self.is_stalled.store(true, Ordering::SeqCst);
        // Checked again after the flag is set: a thread that finishes a request from now on sees the flag.
        if !is_over() {
            self.woken.wait_for(&mut guard, Duration::from_millis(self.config.stall_time_ms));
        }
        self.is_stalled.store(false, Ordering::SeqCst);
    }

    fn wake(&self) {
        if self.is_stalled.load(Ordering::SeqCst) {
            drop(self.stall.lock());
            self.woken.notify_one();
        }
    }
}

/// The throttler and its thread.
pub(crate) struct RequestThrottler<R: ThrottledRequest, T: ThrottlerTarget<R>> {
    shared: Arc<Shared>,
    target: Arc<T>,
    /// The only sender; removed at shutdown.
    submitted_requests: RankedMutex<Option<Sender<Queued<R>>>>,
    thread: RankedMutex<Option<(JoinHandle<()>, Receiver<()>)>>,
}

impl<R: ThrottledRequest, T: ThrottlerTarget<R>> fmt::Debug for RequestThrottler<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestThrottler").field("config", &self.shared.config).finish()
    }
}

impl<R: ThrottledRequest, T: ThrottlerTarget<R>> RequestThrottler<R, T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(
        config: RequestThrottlerConfig,
        clock: Clock,
        target: Arc<T>,
        listener: Arc<dyn ZooKeeperServerListener>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            config,
            clock,
            killed: AtomicBool::new(false),
            is_stalled: AtomicBool::new(false),
            stall: RankedMutex::new(Rank::Leaf, "RequestThrottler.stall", ()),
            woken: RankedCondvar::new(),
            inflight: AtomicUsize::new(0),
        });
        #[expect(
            clippy::disallowed_methods,
            reason = "bounded by globalOutstandingLimit, and by one request for each connection beyond it"
        )]
        let (sender, receiver) = crossbeam::channel::unbounded();
        let (ended, has_ended) = bounded(1);
        let worker = Worker { shared: Arc::clone(&shared), target: Arc::clone(&target), receiver };
        let handle = zookeeper_critical_thread::spawn("RequestThrottler", listener, move || {
            let _ends_with_this_thread = ended;
            worker.run();
            Ok::<(), Infallible>(())
        })?;
        Ok(Self {
            shared,
            target,
            submitted_requests: RankedMutex::new(
                Rank::Leaf,
                "RequestThrottler.submittedRequests",
                Some(sender),
            ),
            thread: RankedMutex::new(
                Rank::Leaf,
                "RequestThrottler.thread",
                Some((handle, has_ended)),
            ),
        })
    }

    /// Queues a request, or drops it if the server is shutting down.
    pub(crate) fn submit_request(&self, request: R) {
        let since_ms = self.shared.clock.elapsed_ms();
        // Under the lock, so that requests of one connection stay in order; the channel never blocks.
        let refused = match &*self.submitted_requests.lock() {
            Some(sender) => {
                self.shared.inflight.fetch_add(1, Ordering::Relaxed);
                sender.send(Queued { request, since_ms }).err().map(|error| error.0.request)
            }
            None => Some(request),
        };
        if let Some(request) = refused {
            debug!(target: LOG, "Shutdown in progress. Request cannot be processed");
            self.target.drop_request(request);
        }
    }

    /// Tells the throttler that a request has left the processors (Java: throttleWake).
    pub(crate) fn throttle_wake(&self) {
        self.shared.wake();
    }

    /// How many requests wait (Java: getInflight).
    #[must_use]
    pub(crate) fn inflight(&self) -> usize {
        self.shared.inflight.load(Ordering::Relaxed)
    }

    /// Hands over the waiting requests, drops the remaining ones if that takes too long, and ends the thread. A
    /// second call does nothing.
    pub(crate) fn shutdown(&self) {
        drop(self.submitted_requests.lock().take());
        let Some((handle, has_ended)) = self.thread.lock().take() else { return };
        info!(target: LOG, "Shutting down");
        let timeout = Duration::from_millis(self.shared.config.shutdown_timeout_ms);
        // Nothing is ever sent; the channel disconnects when the thread ends.
        if has_ended.recv_timeout(timeout).is_err_and(|error| error.is_timeout()) {
            warn!(target: LOG, "RequestThrottler has requests left after {timeout:?}");
        }
        self.shared.killed.store(true, Ordering::SeqCst);
        self.shared.wake();
        zookeeper_thread::join(handle);
    }
}

/// The thread's part.
struct Worker<R, T> {
    shared: Arc<Shared>,
    target: Arc<T>,
    receiver: Receiver<Queued<R>>,
}

impl<R: ThrottledRequest, T: ThrottlerTarget<R>> Worker<R, T> {
    fn is_killed(&self) -> bool {
        self.shared.killed.load(Ordering::SeqCst)
    }

    /// The next request; `None` if there will be no more.
    fn next(&self) -> Option<Queued<R>> {
        let queued = match self.receiver.try_recv() {
            Ok(queued) => queued,
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {
                self.target.flush();
                self.receiver.recv().ok()?
            }
        };
        self.shared.inflight.fetch_sub(1, Ordering::Relaxed);
        Some(queued)
    }

    fn run(&self) {
        while !self.is_killed() {
            let Some(queued) = self.next() else { break };
            if queued.request.must_drop() {
                self.target.drop_request(queued.request);
            } else if let Some(queued) = self.wait_for_room(queued) {
                self.hand_on(queued);
            }
        }
        self.target.flush();
        info!(target: LOG, "Draining request throttler queue");
        let mut dropped = 0_usize;
        for queued in self.receiver.try_iter() {
            self.shared.inflight.fetch_sub(1, Ordering::Relaxed);
            self.target.drop_request(queued.request);
            dropped += 1;
        }
        info!(target: LOG, "RequestThrottler shutdown. Dropped {dropped} requests");
    }

    /// Stalls until the processors have room. Returns `None` if the request was dropped.
    fn wait_for_room(&self, queued: Queued<R>) -> Option<Queued<R>> {
        let config = &self.shared.config;
        let has_room = || {
            config.max_requests == 0
                || self.target.in_process() < config.max_requests
                || self.is_killed()
        };
        let mut is_flushed = false;
        loop {
            let now_ms = self.shared.clock.elapsed_ms();
            let is_stale = queued.request.is_stale(config.staleness, now_ms);
            if self.is_killed() || (config.drop_stale_requests && is_stale) {
                self.target.drop_request(queued.request);
                if is_stale {
                    self.target.observe(ThrottleEvent::StaleDropped);
                }
                return None;
            }
            if has_room() {
                if is_stale {
                    self.target.observe(ThrottleEvent::Stale);
                }
                return Some(queued);
            }
            // Requests handed over earlier must not wait for the one that is held back here.
            if !is_flushed {
                self.target.flush();
                is_flushed = true;
            }
            self.target.observe(ThrottleEvent::Wait);
            self.shared.stall(has_room);
        }
    }

    fn hand_on(&self, Queued { mut request, since_ms }: Queued<R>) {
        let waited_ms = self.shared.clock.elapsed_ms().saturating_sub(since_ms);
        self.target.observe(ThrottleEvent::QueueTime(waited_ms));
        let limit_ms = self.shared.config.throttled_op_wait_time_ms;
        if limit_ms > 0 && waited_ms > limit_ms && request.is_throttlable() {
            request.set_throttled();
            self.target.observe(ThrottleEvent::ThrottledOp);
        }
        self.target.submit_request_now(request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::time::ManualClock;
    use crate::server::exit_code::ExitCode;

    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    struct TestRequest {
        number: u32,
        must_drop: bool,
        is_closed: Arc<AtomicBoolEq>,
        is_throttled: bool,
    }

    #[derive(Debug, Default)]
    struct AtomicBoolEq(AtomicBool);

    impl PartialEq for AtomicBoolEq {
        fn eq(&self, other: &Self) -> bool {
            self.0.load(Ordering::SeqCst) == other.0.load(Ordering::SeqCst)
        }
    }
    impl Eq for AtomicBoolEq {}

    impl ThrottledRequest for TestRequest {
        fn must_drop(&self) -> bool {
            self.must_drop
        }
        fn is_stale(&self, staleness: RequestStaleness, now_ms: i64) -> bool {
            staleness.is_stale(self.is_closed.0.load(Ordering::SeqCst), now_ms, 1_000_000)
        }
        fn is_throttlable(&self) -> bool {
            self.number != 0
        }
        fn set_throttled(&mut self) {
            self.is_throttled = true;
        }
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Done {
        HandedOn(u32, bool),
        Dropped(u32),
        Waits,
    }

    /// Counts requests handed over as in process until the test subtracts them.
    struct Target {
        done: Sender<Done>,
        in_process: AtomicUsize,
        flushed: AtomicUsize,
    }

    impl ThrottlerTarget<TestRequest> for Target {
        fn in_process(&self) -> usize {
            self.in_process.load(Ordering::SeqCst)
        }
        fn submit_request_now(&self, request: TestRequest) {
            self.in_process.fetch_add(1, Ordering::SeqCst);
            self.done.send(Done::HandedOn(request.number, request.is_throttled)).unwrap();
        }
        fn flush(&self) {
            self.flushed.fetch_add(1, Ordering::SeqCst);
        }
        fn drop_request(&self, request: TestRequest) {
            self.done.send(Done::Dropped(request.number)).unwrap();
        }
        fn observe(&self, event: ThrottleEvent) {
            if event == ThrottleEvent::Wait {
                self.done.send(Done::Waits).unwrap();
            }
        }
    }

    struct Nobody;
    impl ZooKeeperServerListener for Nobody {
        fn notify_stopping(&self, thread_name: &str, _exit_code: ExitCode) {
            panic!("{thread_name} has failed");
        }
    }

    struct Fixture {
        throttler: RequestThrottler<TestRequest, Target>,
        target: Arc<Target>,
        clock: Arc<ManualClock>,
        done: Receiver<Done>,
    }

    fn fixture(config: RequestThrottlerConfig) -> Fixture {
        let (sender, done) = bounded(100);
        let target = Arc::new(Target {
            done: sender,
            in_process: AtomicUsize::new(0),
            flushed: AtomicUsize::new(0),
        });
        let clock = Arc::new(ManualClock::new(0));
        let throttler =
            RequestThrottler::start(config, clock.clone(), target.clone(), Arc::new(Nobody));
        Fixture { throttler: throttler.unwrap(), target, clock, done }
    }

    /// With this stall time, a stall ends within the test's patience only if it is woken.
    fn one_at_a_time() -> RequestThrottlerConfig {
        RequestThrottlerConfig {
            max_requests: 1,
            stall_time_ms: 60_000,
            ..RequestThrottlerConfig::default()
        }
    }

    fn request(number: u32) -> TestRequest {
        TestRequest { number, ..TestRequest::default() }
    }

    impl Fixture {
        fn next(&self) -> Done {
            self.done.recv_timeout(Duration::from_secs(30)).expect("the throttler does something")
        }

        fn finish_one(&self) {
            self.target.in_process.fetch_sub(1, Ordering::SeqCst);
            self.throttler.throttle_wake();
        }
    }

    #[test]
    fn a_request_waits_until_another_one_has_left_and_is_flushed_meanwhile() {
        let fixture = fixture(one_at_a_time());
        fixture.throttler.submit_request(request(1));
        fixture.throttler.submit_request(request(2));
        assert_eq!(fixture.next(), Done::HandedOn(1, false));
        assert_eq!(fixture.next(), Done::Waits);
        assert!(fixture.target.flushed.load(Ordering::SeqCst) > 0);
        fixture.finish_one();
        assert_eq!(fixture.next(), Done::HandedOn(2, false));
        fixture.throttler.shutdown();
        assert_eq!(fixture.throttler.inflight(), 0);
    }

    #[test]
    fn a_request_that_has_waited_too_long_is_marked_but_pings_are_not() {
        let config = RequestThrottlerConfig { throttled_op_wait_time_ms: 50, ..one_at_a_time() };
        let fixture = fixture(config);
        for number in [1, 2, 0] {
            fixture.throttler.submit_request(request(number));
        }
        assert_eq!(fixture.next(), Done::HandedOn(1, false));
        assert_eq!(fixture.next(), Done::Waits);
        fixture.clock.advance(51);
        fixture.finish_one();
        assert_eq!(fixture.next(), Done::HandedOn(2, true));
        assert_eq!(fixture.next(), Done::Waits);
        fixture.finish_one();
        assert_eq!(fixture.next(), Done::HandedOn(0, false));
        fixture.throttler.shutdown();
    }

    #[test]
    fn a_request_that_nobody_waits_for_is_dropped_while_it_waits() {
        let fixture = fixture(RequestThrottlerConfig { stall_time_ms: 1, ..one_at_a_time() });
        let stale = request(2);
        let is_closed = Arc::clone(&stale.is_closed);
        fixture.throttler.submit_request(request(1));
        fixture.throttler.submit_request(stale);
        fixture.throttler.submit_request(TestRequest { must_drop: true, ..request(3) });
        assert_eq!(fixture.next(), Done::HandedOn(1, false));
        assert_eq!(fixture.next(), Done::Waits);
        is_closed.0.store(true, Ordering::SeqCst);
        let done = std::iter::repeat_with(|| fixture.next()).find(|done| *done != Done::Waits);
        assert_eq!(done, Some(Done::Dropped(2)));
        assert_eq!(fixture.next(), Done::Dropped(3));
        fixture.throttler.shutdown();
    }

    #[test]
    fn shutdown_drops_what_cannot_be_handed_on_in_time_and_what_comes_later() {
        let fixture = fixture(RequestThrottlerConfig { shutdown_timeout_ms: 1, ..one_at_a_time() });
        for number in [1, 2, 3] {
            fixture.throttler.submit_request(request(number));
        }
        assert_eq!(fixture.next(), Done::HandedOn(1, false));
        assert_eq!(fixture.next(), Done::Waits);
        fixture.throttler.shutdown();
        fixture.throttler.submit_request(request(4));
        let done: Vec<Done> = fixture.done.try_iter().filter(|done| *done != Done::Waits).collect();
        assert_eq!(done, [Done::Dropped(2), Done::Dropped(3), Done::Dropped(4)]);
        fixture.throttler.shutdown();
    }

    #[test]
    fn shutdown_hands_on_what_there_is_room_for() {
        let fixture = fixture(RequestThrottlerConfig { max_requests: 10, ..one_at_a_time() });
        for number in [1, 2, 3] {
            fixture.throttler.submit_request(request(number));
        }
        fixture.throttler.shutdown();
        let done: Vec<Done> = fixture.done.try_iter().collect();
        assert_eq!(done, [1, 2, 3].map(|number| Done::HandedOn(number, false)));
    }

    #[test]
    fn a_closed_connection_makes_stale_by_default_and_age_only_when_asked_for() {
        let default = RequestStaleness::default();
        assert!(default.is_stale(true, 0, 10));
        assert!(!default.is_stale(false, 11, 10));
        let by_age = RequestStaleness { connection_check: false, latency_check: true };
        assert!(!by_age.is_stale(true, 10, 10));
        assert!(by_age.is_stale(false, 11, 10));
    }

    #[test]
    fn the_throttler_is_off_by_default() {
        let config = RequestThrottlerConfig::from_properties(&SystemProperties::new());
        assert_eq!(config, RequestThrottlerConfig::default());
        assert_eq!(config.max_requests, 0);
    }
}
