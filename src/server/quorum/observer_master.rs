//! A follower's part for observers: it brings them up to date, informs them of what is committed, and passes on what
//! they ask (Java: server/quorum/ObserverMaster.java).
//!
//! Threads: `ObserverMaster` accepts observers, `ObserverMaster-pinger` pings them (in Java, the only thread of an
//! unnamed pool), and each has a `LearnerHandler-ADDR` and a `Sender-ADDR`, as on a leader. The peer's thread brings
//! proposals and commits. [`ObserverMaster::stop`] joins all but the peer's. Locks: `Proposals`, for everything that
//! must keep its order: what is committed, the list of receivers, and the questions to the leader. Packets are only
//! queued under it. `Leaf`, for the list of connections.
//!
//! Differs from Java: The requests of observers do not wait in this server's `CommitProcessor`, since nothing here
//! needs them. They are not checked against ACLs here, which their observer does (in Java, a refusal ends the process
//! of the follower, because there is no connection to answer to). An observer whose history is ahead of the tree here
//! is brought up to date when the tree has caught up, and is truncated only if that takes longer than half a tick. An
//! observer that is still being brought up to date is disconnected at the end, too.
//!
//! Elsewhere: the queues and their limit are in `observer_master/retained_packets`; run is `learner_cnx_acceptor`.

mod retained_packets;

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use byteorder::{BigEndian, ByteOrder};
use log::{debug, error, info};

use self::retained_packets::{Mismatch, RetainedPackets};
use super::epoch_agreement::AgreementError;
use super::leader_link::{LeaderLink, SyncAsker};
use super::learner::request_forwarder::{Way, way_of};
use super::learner::request_shape;
use super::learner::{Learner, LearnerError, LearnerPeer};
use super::learner_handler::LearnerHandler;
use super::learner_master::connected_learners::ConnectedLearners;
use super::learner_master::learner_cnx_acceptor::{AcceptorNames, LearnerCnxAcceptor, LearnerDesk};
use super::learner_master::{LearnerMaster, LearnerMasterSettings};
use super::learner_zookeeper_server::LearnerRole;
use super::quorum_packet::{PacketType, QuorumPacket};
use super::state_summary::StateSummary;
use crate::common::net_utils::InetSocketAddress;
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::ids::{PeerEpoch, SessionId, Sid, Zxid};
use crate::jute::Limits;
use crate::server::first_bytes::HttpPorts;
use crate::server::request::Request;
use crate::server::server_metrics::ServerMetrics;
use crate::server::session_tracker::{Owner, SessionTracker};
use crate::server::zk_database::ZKDatabase;
use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::util::sleeper::Sleeper;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.ObserverMaster";

/// How much of what was committed is kept for observers that connect, in bytes.
const SIZE_LIMIT: &str = "zookeeper.observerMaster.sizeLimit";

/// Java's default of [`SIZE_LIMIT`].
const DEFAULT_SIZE_LIMIT: i32 = 32 << 20;

/// Whether requests of observers that do not wait in the `CommitProcessor` are counted. Here none waits.
const SKIP_LEARNER_REQUESTS: &str = "zookeeper.follower.skipLearnerRequestToNextProcessor";

/// How often the tree is looked at while it is behind an observer, in ms.
const LOOK_AGAIN_MS: i64 = 5;

/// A question whether a session is alive, on its way to the leader.
struct Revalidation {
    session_id: SessionId,
    timeout_ms: i32,
    handler: Arc<LearnerHandler>,
}

/// What must keep its order.
struct Traffic {
    packets: RetainedPackets,
    /// The observers that receive commits (Java: activeObservers).
    observing: Vec<Arc<LearnerHandler>>,
    /// The same, to be flushed without the lock.
    receivers: Arc<[Arc<LearnerHandler>]>,
    /// The leader answers in the order of the questions.
    pending_revalidations: VecDeque<Revalidation>,
    /// A buffer for a packet that is serialized once and queued for all observers.
    packet: Vec<u8>,
}

impl Traffic {
    fn new(packets: RetainedPackets) -> Self {
        Self {
            packets,
            observing: Vec::new(),
            receivers: Arc::new([]),
            pending_revalidations: VecDeque::new(),
            packet: Vec::new(),
        }
    }

    fn update_receivers(&mut self) {
        self.receivers = self.observing.iter().cloned().collect();
    }

    /// Commits the next proposal and queues it for all observers.
    fn commit(&mut self, zxid: Zxid, activates: Option<Sid>) -> Result<(), Mismatch> {
        let Some(committed) = self.packets.committed(zxid, activates)? else {
            debug!(target: LOG, "ignore missing proposal packet for {zxid}");
            return Ok(());
        };
        if !self.observing.is_empty() {
            committed.write(&mut self.packet);
            for handler in &self.observing {
                handler.queue_bytes(zxid, &self.packet);
            }
        }
        Ok(())
    }
}

/// The observer master of a follower, for one connection to one leader.
pub(super) struct ObserverMaster {
    this: Weak<Self>,
    peer: Arc<dyn LearnerPeer>,
    link: Arc<LeaderLink>,
    role: Arc<LearnerRole>,
    http_ports: HttpPorts,
    settings: LearnerMasterSettings,
    acceptor: LearnerCnxAcceptor,
    learners: ConnectedLearners,
    traffic: RankedMutex<Traffic>,
    counts_skipped: bool,
    /// Java: followerCounter.
    anonymous_sid: AtomicI64,
    /// The pinger, and observers that wait for the tree, sleep here.
    sleeper: Sleeper,
    pinger: RankedMutex<Option<JoinHandle<()>>>,
}

impl ObserverMaster {
    /// A master that listens at that port, for a follower that has just taken over its leader's history.
    ///
    /// # Errors
    /// When no address can be bound.
    pub(super) fn new(learner: &Learner, port: u16) -> Result<Arc<Self>, LearnerError> {
        let peer = learner.peer();
        let (settings, properties) = (peer.settings(), peer.properties());
        let acceptor = bind(&**peer, port)?;
        let ticks_ms = |ticks| u32::try_from(settings.ticks_ms(ticks)).unwrap_or_default();
        let learner_settings = LearnerMasterSettings::new(
            properties,
            ticks_ms(settings.init_limit_ticks),
            ticks_ms(settings.sync_limit_ticks),
        );
        let last_processed = peer.database().last_processed_zxid();
        let traffic = Traffic::new(RetainedPackets::new(size_limit(properties), last_processed));
        Ok(Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            peer: Arc::clone(peer),
            link: Arc::clone(learner.link()),
            role: Arc::clone(learner.role()),
            http_ports: learner.zookeeper_server().settings().http_ports,
            settings: learner_settings,
            acceptor,
            learners: ConnectedLearners::new(LOG),
            traffic: RankedMutex::new(Rank::Proposals, "what observers receive", traffic),
            counts_skipped: properties.bool(SKIP_LEARNER_REQUESTS),
            anonymous_sid: AtomicI64::new(-1),
            sleeper: Sleeper::new(Arc::clone(peer.clock())),
            pinger: RankedMutex::new(Rank::Leaf, "pinger of observers", None),
        }))
    }

    /// Accepts observers from now on.
    ///
    /// # Errors
    /// When a thread cannot be started; [`stop`](Self::stop) ends those that have started.
    pub(super) fn start(self: &Arc<Self>) -> io::Result<()> {
        info!(target: LOG, "Starting ObserverMaster");
        let desk: Arc<dyn LearnerDesk> = Arc::clone(self) as _;
        self.acceptor.start(&desk)?;
        let this = Arc::clone(self);
        let pinger = zookeeper_thread::spawn("ObserverMaster-pinger", None, move || {
            this.ping_until_end();
            Ok::<(), io::Error>(())
        })?;
        *self.pinger.lock() = Some(pinger);
        Ok(())
    }

    /// Disconnects all observers and joins the threads. Must not be called by one of them.
    pub(super) fn stop(&self) {
        self.sleeper.stop();
        self.acceptor.halt();
        self.learners.close();
        let pinger = self.pinger.lock().take();
        if let Some(pinger) = pinger {
            zookeeper_thread::join(pinger);
        }
    }

    fn ping_until_end(&self) {
        let half_tick_ms = i64::from(self.peer.settings().tick_time_ms / 2).max(1);
        let limit_ms = i64::from(self.settings.sync_timeout_ms);
        let mut next_ms = self.clock().elapsed_ms() + half_tick_ms;
        while self.sleeper.sleep_until(next_ms) {
            next_ms += half_tick_ms;
            let now_ms = self.clock().elapsed_ms();
            let receivers = {
                let traffic = self.traffic.lock();
                let last = traffic.packets.last_committed();
                traffic
                    .observing
                    .iter()
                    .for_each(|handler| handler.ping(last, 0, now_ms, limit_ms));
                Arc::clone(&traffic.receivers)
            };
            receivers.iter().for_each(|handler| handler.flush());
        }
    }

    // --- what the leader sends

    /// The leader has proposed a transaction.
    pub(super) fn proposal_received(&self, zxid: Zxid, txn: &Arc<[u8]>) {
        let start_ms = self.clock().elapsed_ms();
        self.traffic.lock().packets.proposed(zxid, Arc::clone(txn));
        let took_ms = self.clock().elapsed_ms() - start_ms;
        self.peer.metrics().om_proposal_process_time.add(took_ms);
    }

    /// The leader has committed a proposal. The caller flushes.
    ///
    /// # Errors
    /// When the next proposal is an earlier one.
    pub(super) fn proposal_committed(&self, zxid: Zxid) -> Result<(), LearnerError> {
        let start_ms = self.clock().elapsed_ms();
        self.commit(zxid, None)?;
        let took_ms = self.clock().elapsed_ms() - start_ms;
        self.peer.metrics().om_commit_process_time.add(took_ms);
        Ok(())
    }

    /// The leader has committed a reconfiguration. The caller flushes.
    ///
    /// # Errors
    /// When the next proposal is an earlier one.
    pub(super) fn inform_and_activate(&self, zxid: Zxid, leader: Sid) -> Result<(), LearnerError> {
        self.commit(zxid, Some(leader))
    }

    fn commit(&self, zxid: Zxid, activates: Option<Sid>) -> Result<(), LearnerError> {
        self.traffic.lock().commit(zxid, activates).map_err(|Mismatch { pending }| {
            error!(
                target: LOG,
                "Unexpected proposal packet on commit ack, expected zxid {zxid} got zxid {pending}"
            );
            LearnerError::Unmatched { zxid, pending: Some(pending) }
        })
    }

    /// Sends what is queued for observers.
    pub(super) fn flush_observers(&self) {
        let receivers = Arc::clone(&self.traffic.lock().receivers);
        receivers.iter().for_each(|handler| handler.flush());
    }

    /// The leader has answered the `sync` of an observer's client. The caller flushes.
    pub(super) fn answer_sync(&self, owner: Owner) {
        let traffic = self.traffic.lock();
        if let Some(handler) = traffic.observing.iter().find(|handler| handler.owner() == owner) {
            handler.queue_packet(&QuorumPacket::new(PacketType::Sync, Zxid::ZERO, None));
        }
    }

    /// Passes on the leader's answer whether a session is alive; false if no observer has asked (Java:
    /// revalidateLearnerSession). The caller flushes.
    pub(super) fn revalidate_learner_session(&self, answer: &QuorumPacket) -> bool {
        let Some((id, rest)) = answer.data.as_deref().unwrap_or_default().split_at_checked(8)
        else {
            return false;
        };
        let session_id = SessionId(BigEndian::read_i64(id));
        let asked = {
            let mut traffic = self.traffic.lock();
            let pending = &mut traffic.pending_revalidations;
            if pending.front().is_none_or(|asked| asked.session_id != session_id) {
                return false;
            }
            pending.pop_front()
        };
        let Some(asked) = asked else { return false };
        asked.handler.queue_packet(answer);
        if rest.first().is_some_and(|valid| *valid != 0) {
            self.touch(session_id, asked.timeout_ms);
        }
        true
    }

    // --- statistics

    /// The observers that receive commits (Java: getNumActiveObservers, getActiveObservers).
    pub(super) fn active_observers(&self) -> Vec<Arc<LearnerHandler>> {
        self.traffic.lock().observing.clone()
    }

    // --- what observers send

    /// A Java leader commits nothing more after a request that it cannot decode, so it is not passed on. Nobody would
    /// answer the client, so its observer is disconnected, and the client with it. Observers of this program refuse such
    /// requests themselves.
    fn refuse(&self, request: &Request) {
        error!(
            target: LOG,
            "{request}: its body is not that of its operation: the observer that has sent it is disconnected"
        );
        let learners = self.learners.all();
        learners
            .iter()
            .filter(|handler| handler.owner() == request.owner)
            .for_each(|handler| handler.close_socket());
    }

    fn submit(&self, request: &Request) {
        match way_of(request) {
            Way::Leader if !request_shape::is_well_formed(request, self.peer.limits()) => {
                return self.refuse(request);
            }
            Way::Leader => self.link.queue(&LeaderLink::request_packet(request)),
            Way::Sync => {
                let packet = LeaderLink::request_packet(request);
                let asker = SyncAsker::Learner(request.owner);
                self.link.queue_sync(asker, || self.link.queue(&packet));
            }
            Way::Here => debug!(target: LOG, "no request for a leader: {request}"),
        }
        if self.counts_skipped {
            self.peer.metrics().skip_learner_request_to_next_processor_count.add(1);
        }
    }
}

/// Listens at that port of this member's addresses, or of all addresses.
fn bind(peer: &dyn LearnerPeer, port: u16) -> Result<LearnerCnxAcceptor, LearnerError> {
    let addresses = if peer.settings().quorum_listen_on_all_ips {
        vec![InetSocketAddress::any(port)]
    } else {
        at_port(&peer.quorum_addresses(), port)
    };
    let names = AcceptorNames {
        log_target: LOG,
        master: "ObserverMaster",
        thread: |_| "ObserverMaster".to_owned(),
    };
    let prefer_ipv4 = peer.properties().bool("java.net.preferIPv4Stack");
    LearnerCnxAcceptor::bind(names, &addresses, prefer_ipv4)
        .map_err(LearnerError::io("cannot listen at observerMasterPort"))
}

/// The same hosts with another port.
fn at_port(addresses: &[InetSocketAddress], port: u16) -> Vec<InetSocketAddress> {
    let mut hosts: Vec<InetSocketAddress> = Vec::new();
    for address in addresses {
        let address = InetSocketAddress { port, ..address.clone() };
        if !hosts.contains(&address) {
            hosts.push(address);
        }
    }
    hosts
}

fn size_limit(properties: &SystemProperties) -> usize {
    // As in Java, nothing is kept with a limit of zero or less.
    usize::try_from(properties.number_or::<i32>(SIZE_LIMIT, DEFAULT_SIZE_LIMIT)).unwrap_or_default()
}

impl LearnerDesk for ObserverMaster {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let Some(this) = self.this.upgrade() else { return Ok(()) };
        let (verifier, _) = self.peer.verifiers();
        let is_member = |sid: Sid| verifier.is_member(sid);
        self.learners.serve(stream, &is_member, self.peer.metrics(), this)
    }

    /// Ends the connection to the leader, so that this server follows it anew with a new master.
    fn acceptor_failed(&self, address: SocketAddr, problem: &io::Error) {
        error!(target: LOG, "Exception while accepting observers at /{address}: {problem}");
        self.link.close();
    }
}

impl LearnerMaster for ObserverMaster {
    fn learner_settings(&self) -> &LearnerMasterSettings {
        &self.settings
    }

    fn http_ports(&self) -> HttpPorts {
        self.http_ports
    }

    fn clock(&self) -> &Clock {
        self.peer.clock()
    }

    fn metrics(&self) -> &ServerMetrics {
        self.peer.metrics()
    }

    fn limits(&self) -> Limits {
        self.peer.limits()
    }

    fn database(&self) -> &Arc<ZKDatabase> {
        self.peer.database()
    }

    fn current_tick(&self) -> i32 {
        self.peer.tick()
    }

    fn tick_of_ack_deadline(&self, is_initial: bool) -> i32 {
        let settings = self.peer.settings();
        let initial = if is_initial { settings.init_limit_ticks } else { 0 };
        self.peer.tick().saturating_add(initial).saturating_add(settings.sync_limit_ticks)
    }

    fn hosts_only_observers(&self) -> bool {
        true
    }

    fn add_learner_handler(&self, handler: &Arc<LearnerHandler>) {
        self.learners.add(handler);
    }

    fn remove_learner_handler(&self, handler: &Arc<LearnerHandler>) {
        {
            let mut traffic = self.traffic.lock();
            traffic.observing.retain(|other| !Arc::ptr_eq(other, handler));
            traffic.update_receivers();
        }
        self.learners.remove(handler);
    }

    fn quorum_verifier_version(&self) -> i64 {
        self.peer.config_version()
    }

    fn quorum_verifier_text(&self) -> String {
        let (current, last_seen) = self.peer.verifiers();
        last_seen.unwrap_or(current).to_text()
    }

    fn peer_info(&self, sid: Sid) -> String {
        let (current, _) = self.peer.verifiers();
        current.members().servers.get(&sid).map_or_else(String::new, ToString::to_string)
    }

    fn is_member(&self, sid: Sid) -> bool {
        let (current, last_seen) = self.peer.verifiers();
        current.is_member(sid) || last_seen.is_some_and(|next| next.is_member(sid))
    }

    fn has_room_for(&self, handler: &LearnerHandler) -> bool {
        self.learners.has_room_for(handler, self.is_member(handler.sid()))
    }

    fn get_and_decrement_follower_counter(&self) -> Sid {
        Sid(self.anonymous_sid.fetch_sub(1, Ordering::Relaxed))
    }

    /// The epoch of this follower: there is nothing to agree on.
    fn epoch_to_propose(
        &self,
        _sid: Sid,
        _last_accepted: PeerEpoch,
    ) -> Result<PeerEpoch, AgreementError> {
        Ok(self.peer.current_epoch())
    }

    /// Waits until the tree here has what the observer has, at most half a tick. An observer that comes from another
    /// master may be a little ahead.
    fn wait_for_epoch_ack(&self, _sid: Sid, summary: StateSummary) -> Result<(), AgreementError> {
        let database = self.peer.database();
        let clock = self.peer.clock();
        let half_tick_ms = i64::from(self.peer.settings().tick_time_ms / 2);
        let deadline_ms = clock.elapsed_ms() + half_tick_ms;
        let is_of_this_epoch = summary.last_zxid.peer_epoch() == self.peer.current_epoch();
        while is_of_this_epoch && database.last_processed_zxid() < summary.last_zxid {
            let now_ms = clock.elapsed_ms();
            if now_ms >= deadline_ms {
                break;
            }
            if !self.sleeper.sleep_until(now_ms + LOOK_AGAIN_MS) {
                return Err(AgreementError::Stopped);
            }
        }
        Ok(())
    }

    fn wait_for_new_leader_ack(&self, _sid: Sid, _zxid: Zxid) -> Result<(), AgreementError> {
        Ok(())
    }

    fn wait_for_startup(&self) -> Result<(), AgreementError> {
        Ok(())
    }

    fn start_forwarding(
        &self,
        handler: &Arc<LearnerHandler>,
        queue: &mut dyn FnMut() -> Option<Zxid>,
    ) -> bool {
        let mut traffic = self.traffic.lock();
        let Some(last_seen) = queue() else { return false };
        let Traffic { packets, observing, packet, .. } = &mut *traffic;
        let missing = match packets.after(last_seen) {
            Ok(missing) => missing,
            Err(too_far) => {
                error!(
                    target: LOG,
                    "LearnerHandler is too far behind ({last_seen} < {}), disconnecting {} at /{}",
                    too_far.evicted,
                    handler.sid(),
                    handler.remote_address()
                );
                handler.close_socket();
                return true;
            }
        };
        let mut count = 0;
        for committed in missing {
            committed.write(packet);
            handler.queue_bytes(committed.zxid, packet);
            count += 1;
        }
        info!(
            target: LOG,
            "finished syncing observer from retained commit queue: sid {}, sync position {last_seen}, queue tail {}, num \
             packets used {count}",
            handler.sid(),
            packets.last_committed()
        );
        observing.push(Arc::clone(handler));
        traffic.update_receivers();
        true
    }

    fn learner_is_up_to_date(&self, handler: &Arc<LearnerHandler>) {
        // Under the lock, as the pinger: a PING is expected to be answered if it is queued after UPTODATE.
        let _order = self.traffic.lock();
        handler.queue_packet(&QuorumPacket::new(PacketType::UpToDate, Zxid::NONE, None));
        handler.begin_to_expect_pings();
    }

    /// An observer acknowledges only what it takes over: NEWLEADER and UPTODATE.
    fn process_acks(&self, handler: &LearnerHandler, zxids: &[Zxid]) {
        if let Some(zxid) = zxids.iter().find(|zxid| zxid.counter() != 0) {
            error!(
                target: LOG,
                "Observers shouldn't send ACKS ack = {zxid}: disconnecting {} at /{}",
                handler.sid(),
                handler.remote_address()
            );
            handler.close_socket();
        }
    }

    fn process_ping(&self, handler: &LearnerHandler) {
        handler.ping_answered();
    }

    /// The leader learns of it with the answer to its next PING.
    fn touch(&self, session_id: SessionId, timeout_ms: i32) {
        if let Some(tracker) = self.role.tracker() {
            // The result does not matter: a session that is gone was closed meanwhile.
            let _lives = tracker.touch_session(session_id, timeout_ms);
        }
    }

    /// Asks the leader.
    fn revalidate_session(
        &self,
        handler: &Arc<LearnerHandler>,
        question: &QuorumPacket,
        session_id: SessionId,
        timeout_ms: i32,
    ) -> Option<bool> {
        // Under one lock: the answers come in the order of the questions.
        let mut traffic = self.traffic.lock();
        let handler = Arc::clone(handler);
        traffic.pending_revalidations.push_back(Revalidation { session_id, timeout_ms, handler });
        self.link.queue(question);
        None
    }

    fn submit_learner_requests(&self, requests: &mut Vec<Box<Request>>) {
        requests.drain(..).for_each(|request| self.submit(&request));
    }

    /// Sends what is queued for the leader. What is queued for observers is flushed by whoever queues it.
    fn flush(&self) {
        self.link.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_listens_once_at_each_address_of_its_member() {
        let address = |host: &str, port| InetSocketAddress::new(host, port, &|_| None);
        let quorum = [("10.0.0.1", 2888), ("10.0.0.2", 2888), ("10.0.0.1", 2889)];
        let quorum = quorum.map(|(host, port)| address(host, port));
        let expected = [address("10.0.0.1", 2191), address("10.0.0.2", 2191)];
        assert_eq!(at_port(&quorum, 2191), expected);
    }

    #[test]
    fn a_limit_of_zero_or_less_keeps_nothing() {
        let limit = |text: &str| size_limit(&SystemProperties::from_pairs([(SIZE_LIMIT, text)]));
        assert_eq!([limit("5000"), limit("0"), limit("-1")], [5_000, 0, 0]);
        assert_eq!(size_limit(&SystemProperties::new()), 32 << 20);
        assert_eq!(limit("much"), 32 << 20, "as with Java's Integer.getInteger");
    }
}
