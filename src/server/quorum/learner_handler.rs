//! The side of a leader, or of an observer master, of the connection to one learner (Java:
//! server/quorum/LearnerHandler.java).
//!
//! Threads: `LearnerHandler-ADDR` reads packets and, until the learner is up to date, waits for the other servers
//! (`conversation`). Queued packets are sent through a [`PacketOutput`] with its `Sender-ADDR`. Locks: `Leaf`, for
//! the record of what was sent and answered.
//!
//! Differs from Java: A packet for many learners is serialized once. There are no marker packets and no message
//! tracker.
//!
//! Elsewhere: sendPackets, startSendingPackets and packetSize are in `packet_output`.

mod conversation;
pub(super) mod old_learners;
mod sync_limit_check;
mod sync_plan;

use std::collections::VecDeque;
use std::fmt::Display;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use log::{debug, info, warn};

use self::conversation::Conversation;
pub(super) use self::conversation::{write_inform, write_inform_and_activate, write_proposal};
use self::sync_limit_check::SyncLimitCheck;
use super::learner_master::LearnerMaster;
use super::packet_output::PacketOutput;
use super::quorum_packet::{PacketType, QuorumPacket, read_packet};
use crate::common::time::Clock;
use crate::ids::{Sid, Zxid};
use crate::jute::Limits;
use crate::server::admin::json_outputter::Json;
use crate::server::descriptor_reserve::Descriptors;
use crate::server::server_metrics::ServerMetrics;
use crate::server::session_tracker::Owner;
use crate::server::zoo_trace::{self, SERVER_PACKET_TRACE_MASK};
use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.LearnerHandler";

/// The record of what a learner was sent and has answered.
#[derive(Default)]
struct Progress {
    limit: SyncLimitCheck,
    /// The learner answers PINGs from now on, since UPTODATE is queued.
    answers_pings: bool,
    /// The unanswered PINGs, each with the number of the latest sync at the time when it was sent.
    pings: VecDeque<u64>,
    /// The number in the latest PING that the learner has answered.
    confirmed_sync: u64,
}

/// The claim of a joining learner to its connection, lowest first. It decides who leaves when too many are joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// It has not identified itself, or is not a member and has not accepted the epoch.
    Stranger,
    /// It is not a member, and is being brought up to date.
    StrangerOnItsWay,
    /// It has identified itself as a member, and has not accepted the epoch.
    Member,
}

/// One learner.
pub struct LearnerHandler {
    number: u32,
    remote: SocketAddr,
    stream: TcpStream,
    output: Arc<PacketOutput>,
    /// Set when the learner has identified itself.
    sid: OnceLock<Sid>,
    is_observer: AtomicBool,
    /// The learner has accepted the epoch; discovery is over.
    has_greeted: AtomicBool,
    /// The learner may serve.
    is_up_to_date: AtomicBool,
    /// The learner runs a version before 3.5.
    is_old: AtomicBool,
    is_alive: AtomicBool,
    /// The output is started and sends what is queued.
    is_sending: AtomicBool,
    tick_of_next_ack_deadline: AtomicI32,
    progress: RankedMutex<Progress>,
    /// When the first unflushed packet was queued, in ms; 0 if there is none.
    queued_since_ms: AtomicI64,
    /// The number of packets queued since the last flush.
    queued_since_flush: AtomicU32,
    metrics: Arc<ServerMetrics>,
    clock: Clock,
    stats: Stats,
}

/// The figures that `observers` of the AdminServer shows. They are independent of each other.
#[derive(Default)]
struct Stats {
    established_ms: AtomicI64,
    packets_received: AtomicI64,
    requests_received: AtomicI64,
    /// The zxid of the last queued packet that has one; -1 before that.
    last_zxid: AtomicI64,
    /// The number of packets sent before the last reset of the statistics.
    sent_before: AtomicU64,
}

impl LearnerHandler {
    /// The learner's id; 0, as in Java, until it has identified itself.
    #[must_use]
    pub fn sid(&self) -> Sid {
        self.sid.get().copied().unwrap_or(Sid(0))
    }

    /// The learner's claim to its connection. `None` means that it stays in any case: it is up to date, or is a
    /// member that is being brought up to date.
    #[must_use]
    pub fn claim(&self, is_member: &dyn Fn(Sid) -> bool) -> Option<Claim> {
        if self.is_up_to_date.load(Ordering::Acquire) {
            return None;
        }
        let is_member = self.sid.get().is_some_and(|sid| is_member(*sid));
        match (is_member, self.has_greeted.load(Ordering::Acquire)) {
            (false, false) => Some(Claim::Stranger),
            (false, true) => Some(Claim::StrangerOnItsWay),
            (true, false) => Some(Claim::Member),
            (true, true) => None,
        }
    }

    /// Whether it is connected and has not identified itself.
    #[must_use]
    pub fn is_greeting(&self) -> bool {
        self.sid.get().is_none() && self.is_alive.load(Ordering::Acquire)
    }

    /// Whether its socket uses one of the last file descriptors of this process.
    #[must_use]
    pub fn has_reserved_descriptor(&self) -> bool {
        Descriptors::now().is_reserved(&self.stream)
    }

    /// The address that it connects from.
    #[must_use]
    pub const fn remote_address(&self) -> SocketAddr {
        self.remote
    }

    /// The statistics of the learner (Java: getLearnerHandlerInfo).
    #[must_use]
    pub fn learner_handler_info(&self) -> Json {
        let (waiting, bytes, left) = self.output.counts();
        let sent = left.saturating_sub(self.stats.sent_before.load(Ordering::Relaxed));
        let number = |counter: &AtomicI64| Json::Long(counter.load(Ordering::Relaxed));
        Json::object([
            ("remote_socket_address", format!("/{}", self.remote).into()),
            ("sid", self.sid().0.into()),
            ("established", number(&self.stats.established_ms)),
            ("queued_packets", waiting.into()),
            ("queued_packets_size", bytes.into()),
            ("packets_received", number(&self.stats.packets_received)),
            ("packets_sent", i64::try_from(sent).unwrap_or(i64::MAX).into()),
            ("requests", number(&self.stats.requests_received)),
            ("last_zxid", number(&self.stats.last_zxid)),
        ])
    }

    /// A learner that has connected but not identified itself. `number` is unique within the life of the leader.
    ///
    /// # Errors
    /// When the connection has ended already.
    pub fn new(
        number: u32,
        stream: TcpStream,
        metrics: &Arc<ServerMetrics>,
        clock: &Clock,
    ) -> io::Result<Arc<Self>> {
        let remote = stream.peer_addr()?;
        let output = PacketOutput::new(stream.try_clone()?);
        Ok(Arc::new(Self {
            number,
            remote,
            stream,
            output,
            sid: OnceLock::new(),
            is_observer: AtomicBool::new(false),
            has_greeted: AtomicBool::new(false),
            is_up_to_date: AtomicBool::new(false),
            is_old: AtomicBool::new(false),
            is_alive: AtomicBool::new(true),
            is_sending: AtomicBool::new(false),
            tick_of_next_ack_deadline: AtomicI32::new(0),
            progress: RankedMutex::new(Rank::Leaf, "progress of a learner", Progress::default()),
            queued_since_ms: AtomicI64::new(0),
            queued_since_flush: AtomicU32::new(0),
            metrics: Arc::clone(metrics),
            clock: Arc::clone(clock),
            stats: Stats { last_zxid: AtomicI64::new(-1), ..Stats::default() },
        }))
    }

    /// Whether it has identified itself as an observer (Java: getLearnerType).
    #[must_use]
    pub fn is_observer(&self) -> bool {
        self.is_observer.load(Ordering::Acquire)
    }

    /// Whether it runs a version before 3.5, which cannot read some transactions.
    #[must_use]
    pub fn is_before_3_5(&self) -> bool {
        self.is_old.load(Ordering::Acquire)
    }

    /// The learner as the owner of its clients' sessions.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        Owner::learner(self.number)
    }

    /// Sends what is queued. Never blocks. The caller holds no lock that ranks above the output's, such as the
    /// leader's.
    pub fn flush(&self) {
        let since_ms = self.queued_since_ms.swap(0, Ordering::Relaxed);
        if since_ms != 0 {
            let sid = self.sid().to_string();
            self.note_sizes(&sid);
            let waited_ms = self.clock.elapsed_ms() - since_ms;
            self.metrics.learner_handler_qp_time.add(&sid, waited_ms);
        }
        self.output.flush();
    }

    /// Records for each packet sent now how many remain queued behind it (Java: LEARNER_HANDLER_QP_SIZE in
    /// sendPackets).
    fn note_sizes(&self, sid: &str) {
        let leaving = self.queued_since_flush.swap(0, Ordering::Relaxed);
        let waiting = i64::try_from(self.output.queued_packets()).unwrap_or(i64::MAX);
        let sizes = &self.metrics.learner_handler_qp_size;
        let last = (waiting - i64::from(leaving)).max(0);
        if leaving > 0 {
            sizes.add(sid, last);
        }
        if leaving > 1 {
            let first = last + i64::from(leaving) - 1;
            sizes.add(sid, first);
            // Packets between the first and the last count as their average, so the cost does not depend on their
            // number.
            if leaving > 2 {
                sizes.add_n(sid, i64::midpoint(first, last), leaving - 2);
            }
        }
    }

    /// The body of the handler's thread: talks to the learner until either side ends the connection.
    fn run(self: &Arc<Self>, master: &dyn LearnerMaster) {
        let ended = Conversation::new(self, master).run();
        self.say_goodbye(ended);
        self.shut_socket();
        master.remove_learner_handler(self);
        self.output.close();
    }

    /// Logs a single line for a connection that has not identified itself as a learner.
    fn say_goodbye<E: Display>(&self, ended: Result<(), E>) {
        let remote = self.remote;
        match (self.sid.get(), ended) {
            (None, Err(end)) => {
                warn!(target: LOG, "the connection from /{remote} ends before it was taken for a learner's: {end}");
                return;
            }
            (Some(sid), Err(end)) => {
                warn!(target: LOG, "the connection of learner sid {sid} at /{remote} ends: {end}");
            }
            (_, Ok(())) => {}
        }
        warn!(target: LOG, "******* GOODBYE /{remote} ********");
    }

    /// The name of the handler's thread.
    #[must_use]
    pub fn thread_name(&self) -> String {
        format!("LearnerHandler-/{}", self.remote)
    }

    /// Closes the socket, which ends the conversation. Never waits.
    pub fn close_socket(&self) {
        info!(target: LOG, "Synchronously closing socket to learner {}.", self.sid());
        self.shut_socket();
    }

    /// Java: closeSockSync.
    fn shut_socket(&self) {
        let is_first = self.is_alive.swap(false, Ordering::AcqRel);
        let start_ms = self.clock.elapsed_ms();
        if let Err(error) = self.stream.shutdown(Shutdown::Both) {
            debug!(target: LOG, "Ignoring error closing connection to learner: {error}");
        }
        if is_first {
            self.metrics.socket_closing_time.add(self.clock.elapsed_ms() - start_ms);
        }
    }

    /// Registers the learner with its master and starts its thread. The thread may begin late. If it registered
    /// itself, as in Java, more learners could be accepted meanwhile than may be joining.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        self: &Arc<Self>,
        master: Arc<dyn LearnerMaster>,
    ) -> io::Result<std::thread::JoinHandle<()>> {
        self.stats.established_ms.store(master.clock().wall_ms(), Ordering::Relaxed);
        let is_initial = true;
        self.touch(master.tick_of_ack_deadline(is_initial));
        master.add_learner_handler(self);
        let (this, its_master) = (Arc::clone(self), Arc::clone(&master));
        let started = zookeeper_thread::spawn(&self.thread_name(), None, move || {
            this.run(&*its_master);
            Ok::<(), io::Error>(())
        });
        if started.is_err() {
            master.remove_learner_handler(self);
        }
        started
    }

    /// Queues a PING, twice a tick. A learner that has not acknowledged a proposal within `limit_ms`, or that does not
    /// read what it is sent, is disconnected: its queue would grow without limit. `last_sync` is the number of the
    /// latest sync. The caller holds the leader's lock, and flushes later.
    pub fn ping(&self, last_proposed: Zxid, last_sync: u64, now_ms: i64, limit_ms: i64) {
        if !self.is_sending.load(Ordering::Acquire) {
            return; // it is not as far yet
        }
        if !self.progress.lock().limit.check(now_ms, limit_ms) {
            warn!(target: LOG, "Closing connection to peer due to transaction timeout.");
            return self.close_socket();
        }
        let limit = Duration::from_millis(u64::try_from(limit_ms).unwrap_or_default());
        if self.output.is_behind(limit) {
            let (packets, bytes, _) = self.output.counts();
            warn!(
                target: LOG,
                "Closing connection to learner {} at /{}: it does not read what it is sent; {packets} packets of {bytes} \
                 bytes wait for it",
                self.sid(),
                self.remote
            );
            return self.close_socket();
        }
        self.queue_ping(last_proposed, last_sync);
    }

    fn queue_ping(&self, last_proposed: Zxid, last_sync: u64) {
        let mut progress = self.progress.lock();
        if progress.answers_pings {
            progress.pings.push_back(last_sync);
        }
        drop(progress);
        self.queue_packet(&QuorumPacket::new(PacketType::Ping, last_proposed, None));
    }

    /// Makes sure that a PING sent after that sync is on its way. If an earlier PING is unanswered, the new one is
    /// sent when the answer comes. The caller holds the leader's lock, so PINGs are queued in the order of their
    /// numbers.
    pub fn ping_for_sync(&self, last_proposed: Zxid, last_sync: u64) {
        let is_wanted = {
            let progress = self.progress.lock();
            let is_idle = progress.pings.is_empty();
            progress.answers_pings && is_idle && progress.confirmed_sync < last_sync
        };
        if is_wanted {
            self.queue_ping(last_proposed, last_sync);
        }
    }

    /// Records the answer to a PING; returns the number of the last sync that is confirmed by it.
    pub fn ping_answered(&self) -> u64 {
        let mut progress = self.progress.lock();
        if let Some(number) = progress.pings.pop_front() {
            progress.confirmed_sync = progress.confirmed_sync.max(number);
        }
        progress.confirmed_sync
    }

    /// The number of the last sync that had come in before the latest answered PING was sent.
    #[must_use]
    pub fn confirmed_sync(&self) -> u64 {
        self.progress.lock().confirmed_sync
    }

    /// From now on the learner answers PINGs. Learners ignore PINGs that arrive before UPTODATE.
    pub fn begin_to_expect_pings(&self) {
        self.progress.lock().answers_pings = true;
    }

    /// Whether its connection is alive. A learner whose connection has ended is removed from the leader's lists soon.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.is_alive.load(Ordering::Acquire)
    }

    /// Queues a packet; the caller flushes.
    pub fn queue_packet(&self, packet: &QuorumPacket) {
        packet.trace(LOG, 'o');
        self.note_zxid(packet.zxid);
        self.note_queued();
        self.output.queue(packet);
    }

    /// Queues a serialized packet: a transaction, or its commit.
    pub fn queue_bytes(&self, zxid: Zxid, bytes: &[u8]) {
        if zoo_trace::is_trace_enabled(LOG, SERVER_PACKET_TRACE_MASK)
            && let Ok(packet) = read_packet(bytes, Limits::default())
        {
            packet.trace(LOG, 'o');
        }
        self.note_zxid(zxid);
        self.note_queued();
        self.output.queue_bytes(bytes);
    }

    fn note_queued(&self) {
        self.queued_since_flush.fetch_add(1, Ordering::Relaxed);
        if self.queued_since_ms.load(Ordering::Relaxed) == 0 {
            self.queued_since_ms.store(self.clock.elapsed_ms().max(1), Ordering::Relaxed);
        }
    }

    fn note_zxid(&self, zxid: Zxid) {
        if zxid.0 > 0 {
            self.stats.last_zxid.store(zxid.0, Ordering::Relaxed);
        }
    }

    fn note_received(&self, is_request: bool) {
        self.stats.packets_received.fetch_add(1, Ordering::Relaxed);
        self.stats.requests_received.fetch_add(i64::from(is_request), Ordering::Relaxed);
    }

    /// Queues a proposal, and starts to wait for its acknowledgement.
    pub fn queue_proposal(&self, zxid: Zxid, bytes: &[u8], now_ms: i64) {
        self.progress.lock().limit.update_proposal(zxid, now_ms);
        self.queue_bytes(zxid, bytes);
    }

    /// Whether it is connected and has shown a sign of life in time.
    #[must_use]
    pub fn synced(&self, current_tick: i32) -> bool {
        self.is_alive() && current_tick <= self.tick_of_next_ack_deadline.load(Ordering::Acquire)
    }

    fn touch(&self, deadline_tick: i32) {
        self.tick_of_next_ack_deadline.store(deadline_tick, Ordering::Release);
    }

    /// Resets the statistics (Java: resetObserverConnectionStats).
    pub fn reset_observer_connection_stats(&self) {
        let (_, _, left) = self.output.counts();
        self.stats.sent_before.store(left, Ordering::Relaxed);
        self.stats.packets_received.store(0, Ordering::Relaxed);
        self.stats.requests_received.store(0, Ordering::Relaxed);
        self.stats.last_zxid.store(-1, Ordering::Relaxed);
    }

    /// The number of packets in the queue.
    #[must_use]
    pub fn queued_packets(&self) -> usize {
        self.output.queued_packets()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::time::SystemClock;
    use std::net::TcpListener;

    fn handler() -> (Arc<LearnerHandler>, TcpStream) {
        handler_with(&ServerMetrics::null())
    }

    fn handler_with(metrics: &Arc<ServerMetrics>) -> (Arc<LearnerHandler>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let clock = SystemClock::shared();
        let stream = listener.accept().unwrap().0;
        (LearnerHandler::new(1, stream, metrics, &clock).unwrap(), there)
    }

    #[test]
    fn a_packet_that_leaves_alone_leaves_none_behind() {
        let metrics = ServerMetrics::with_default_provider();
        let (handler, _there) = handler_with(&metrics);
        handler.output.start("Sender-test").unwrap();
        let ping = QuorumPacket::new(PacketType::Ping, Zxid(7), None);
        let sizes = || {
            let mut sizes = Vec::new();
            metrics.metrics_provider().dump(&mut |name, value| {
                if name.ends_with("_0_learner_handler_qp_size") {
                    sizes.push(format!("{} {value}", &name[..3]));
                }
            });
            sizes.join(", ")
        };
        for _ in 0..3 {
            handler.queue_packet(&ping);
            handler.flush();
        }
        assert_eq!(sizes(), "avg 0.0, min 0, max 0, cnt 3, sum 0");
        (0..5).for_each(|_| handler.queue_packet(&ping));
        handler.flush();
        // 4, 3, 2, 1 and 0 packets remain behind them.
        assert_eq!(sizes(), "avg 1.25, min 0, max 4, cnt 8, sum 10");
        handler.output.close();
    }

    #[test]
    fn a_sync_is_confirmed_by_a_ping_that_was_sent_after_it() {
        let (handler, _there) = handler();
        handler.begin_to_expect_pings();
        handler.ping_for_sync(Zxid(7), 1);
        handler.ping_for_sync(Zxid(7), 2);
        assert_eq!(handler.queued_packets(), 1, "the second waits for the answer to the first");
        assert_eq!(handler.ping_answered(), 1);
        handler.ping_for_sync(Zxid(7), 2);
        assert_eq!(handler.queued_packets(), 2);
        assert_eq!(handler.ping_answered(), 2);
        handler.ping_for_sync(Zxid(7), 2);
        assert_eq!(handler.queued_packets(), 2, "nothing is open");
        assert_eq!(handler.ping_answered(), 2, "an answer to nothing confirms nothing");
    }

    #[test]
    fn what_is_sent_before_uptodate_is_not_answered() {
        let (handler, _there) = handler();
        handler.queue_ping(Zxid(7), 5);
        handler.begin_to_expect_pings();
        handler.queue_ping(Zxid(7), 6);
        assert_eq!(handler.ping_answered(), 6);
    }

    #[test]
    fn who_has_not_said_who_it_is_goes_first_and_who_is_up_to_date_stays() {
        let (handler, _there) = handler();
        let claim = |handler: &LearnerHandler| handler.claim(&|sid| sid == Sid(3));
        assert_eq!(claim(&handler), Some(Claim::Stranger));
        handler.sid.get_or_init(|| Sid(3));
        assert_eq!(claim(&handler), Some(Claim::Member));
        handler.has_greeted.store(true, Ordering::Release);
        assert_eq!(claim(&handler), None);
        assert_eq!(handler.claim(&|_| false), Some(Claim::StrangerOnItsWay));
        handler.is_up_to_date.store(true, Ordering::Release);
        assert_eq!(handler.claim(&|_| false), None);
        assert!(
            Claim::Stranger < Claim::StrangerOnItsWay && Claim::StrangerOnItsWay < Claim::Member
        );
    }

    #[test]
    fn it_is_synced_as_long_as_its_deadline_is_not_over_and_it_is_connected() {
        let (handler, _there) = handler();
        handler.touch(5);
        assert!(handler.synced(5));
        assert!(!handler.synced(6));
        handler.close_socket();
        assert!(!handler.synced(5));
    }
}
