//! Leads the ensemble through one epoch (Java: server/quorum/Leader.java).
//!
//! Threads: The peer's thread runs [`Leader::lead`]. `LearnerCnxAcceptor-ADDR` accepts learners; each learner has a
//! `LearnerHandler-ADDR` and a `Sender-ADDR`. [`Leader::shutdown`] joins all but the peer's thread. Locks: `Role` for
//! the agreement on the epoch (`epoch_agreement`), `Proposals` for everything that must keep its order
//! (`broadcast`), `Leaf` for the list of learners and for the end of the leader.
//!
//! This file holds the public interface and the phases of leading. The rules are in `epoch_agreement`, `broadcast`,
//! `proposal`, `sync_requests`, and for changes of the ensemble `next_config` and `reconfig`.
//!
//! Differs from Java: A leader answers a `sync` only when it knows that it still leads. A failed acceptor ends the leader,
//! not the process.
//!
//! Elsewhere: what a LearnerHandler calls (startForwarding, submitLearnerRequest and so on) is in
//! `leader/learner_desk`. getEpochToPropose, waitForEpochAck and waitForNewLeaderAck are in `epoch_agreement`, and
//! quitLeading is `voter_is_looking` there. In `leader/broadcast`, addForwardingFollower and addObserverLearnerHandler
//! are parts of `start_forwarding`, sendPacket, commit and inform are parts of `commit_and_inform`, and
//! commitAndActivate and informAndActivate are `activate`. getDesignatedLeader is `designated_leader` in
//! `leader/reconfig`. createServerSocket and recreateInetSocketAddr are `bind_one` in
//! `learner_master/learner_cnx_acceptor`. getProposalStats is in `leader_zookeeper_server`.

mod broadcast;
mod learner_desk;
mod next_config;
mod proposal;
mod reconfig;
mod sync_requests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use log::{debug, error, info, warn};
use thiserror::Error;

use self::broadcast::{Broadcast, SyncWaiter};
use self::reconfig::Plan;
use super::epoch_agreement::{AgreementError, EpochAgreement};
use super::epochs::EpochError;
use super::flexible::quorum_verifier::QuorumVerifier;
use super::leader_zookeeper_server::LeaderZooKeeperServer;
use super::learner_handler::LearnerHandler;
use super::learner_master::LearnerMasterSettings;
use super::learner_master::connected_learners::ConnectedLearners;
use super::learner_master::learner_cnx_acceptor::{AcceptorNames, LearnerCnxAcceptor, LearnerDesk};
use super::proposer::Proposer;
use super::quorum_server::QuorumServer;
use super::role_peer::RolePeer;
use super::state_summary::StateSummary;
use super::states::ZabState;
use super::synced_learner_tracker::SyncedLearnerTracker;
use crate::common::config_exception::ConfigError;
use crate::common::net_utils::InetSocketAddress;
use crate::common::time;
use crate::ids::{PeerEpoch, Sid, Zxid};
use crate::keeper_exception::KeeperError;
use crate::proto::ReconfigRequest;
use crate::server::admin::json_outputter::Json;
use crate::server::persistence::file_txn_snap_log::RestoreError;
use crate::server::request::Request;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};
use crate::zoo_defs::OpCode;

/// The logger's name in Java.
pub(super) const LOG: &str = "org.apache.zookeeper.server.quorum.Leader";

/// The last counter of an epoch is never used.
const LAST_COUNTER: i64 = 0xffff_ffff;

/// Java's default of `zookeeper.leader.ackLoggingFrequency`.
const ACK_LOGGING_FREQUENCY: i64 = 1000;

/// The peer that a leader belongs to.
pub trait LeaderPeer: RolePeer {
    /// The addresses that learners connect to.
    fn quorum_addresses(&self) -> Vec<InetSocketAddress>;

    /// How long the election took that this server has won.
    fn election_time_taken_ms(&self) -> i64;

    /// The current tick of the leader.
    fn tick(&self) -> i32;

    /// Sets the current tick.
    fn set_tick(&self, tick: i32);

    /// Goes on to the next tick.
    fn increment_tick(&self);

    /// The configuration in effect.
    fn quorum_verifier(&self) -> Arc<dyn QuorumVerifier>;

    /// The configuration that was proposed last.
    fn last_seen_quorum_verifier(&self) -> Option<Arc<dyn QuorumVerifier>>;

    /// Records a proposed configuration, perhaps also on disk.
    fn set_last_seen_quorum_verifier(&self, verifier: &Arc<dyn QuorumVerifier>, write: bool);

    /// The configuration in that text (Java: configFromString).
    ///
    /// # Errors
    /// When the text is not a valid configuration.
    fn config_from_string(&self, text: &str) -> Result<Arc<dyn QuorumVerifier>, ConfigError>;

    /// Puts a configuration into effect. Returns whether an election must follow.
    fn process_reconfig(
        &self,
        verifier: &Arc<dyn QuorumVerifier>,
        suggested_leader: Option<Sid>,
        zxid: Option<Zxid>,
        restart_election: bool,
    ) -> bool;

    /// All members of the configuration in effect.
    fn view(&self) -> BTreeMap<Sid, QuorumServer>;
}

/// Why a leader ends.
#[derive(Debug, Error)]
pub enum LeaderError {
    /// The acceptors cannot be bound or started.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The data cannot be loaded.
    #[error("the data cannot be loaded: {0}")]
    Load(#[from] RestoreError),
    /// An epoch cannot be read or written.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// The ensemble did not agree on the epoch.
    #[error(transparent)]
    Agreement(#[from] AgreementError),
    /// The configuration cannot be renewed.
    #[error("the configuration cannot be renewed: {0}")]
    Config(#[from] ConfigError),
}

#[derive(Default)]
struct Life {
    /// Why the leader is to end.
    gives_up: Option<String>,
    /// A thread is in [`Leader::lead`] and may be starting threads.
    is_led: bool,
    is_ending: bool,
    has_ended: bool,
}

/// A leader.
pub struct Leader {
    this: Weak<Self>,
    peer: Arc<dyn LeaderPeer>,
    zk: LeaderZooKeeperServer,
    settings: LearnerMasterSettings,
    acceptor: RankedMutex<Option<Arc<LearnerCnxAcceptor>>>,
    addresses: Vec<SocketAddr>,
    agreement: EpochAgreement,
    summary: RankedMutex<Option<StateSummary>>,
    broadcast: RankedMutex<Broadcast>,
    plan: Plan,
    learners: ConnectedLearners,
    life: RankedMutex<Life>,
    life_changed: RankedCondvar,
    leading_vote_set: RankedMutex<Option<SyncedLearnerTracker>>,
    max_time_to_wait_for_epoch_ms: i64,
    ack_logging_frequency: i64,
    /// Java: followerCounter.
    anonymous_sid: AtomicI64,
    started_ms: AtomicI64,
}

/// Notes that the leader's thread has left [`Leader::lead`], in whatever way.
struct Leaves<'a>(&'a Leader);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.life.lock().is_led = false;
        self.0.life_changed.notify_all();
    }
}

impl Leader {
    // --- learners

    /// All connected learners.
    pub fn learners(&self) -> Vec<Arc<LearnerHandler>> {
        self.learners.all()
    }

    /// The number of followers that receive proposals (Java: getForwardingFollowers).
    pub fn synced_followers(&self) -> usize {
        self.broadcast.lock().forwarding().len()
    }

    /// The number of those followers that do not vote (Java: getNonVotingFollowers).
    pub fn synced_non_voting_followers(&self) -> usize {
        let verifier = self.peer.quorum_verifier();
        let broadcast = self.broadcast.lock();
        broadcast.forwarding().iter().filter(|handler| !verifier.is_voter(handler.sid())).count()
    }

    /// The number of observers that receive commits.
    pub fn synced_observers(&self) -> usize {
        self.broadcast.lock().observing().len()
    }

    /// The observers that receive commits (Java: getObservingLearners).
    pub fn observing_learners(&self) -> Vec<Arc<LearnerHandler>> {
        self.broadcast.lock().observing().to_vec()
    }

    /// The number of syncs that wait for an answer.
    pub fn pending_syncs(&self) -> usize {
        self.broadcast.lock().pending_syncs()
    }

    /// Whether a quorum of that configuration is synced (Java: isQuorumSynced).
    pub fn is_quorum_synced(&self, verifier: &dyn QuorumVerifier) -> bool {
        let tick = self.peer.tick();
        let mut sids: BTreeSet<Sid> = BTreeSet::from([self.peer.my_id()]);
        // The caller may hold locks under which the proposals must not be locked.
        let followers = self.plan.followers();
        let synced = followers.iter().filter(|handler| handler.synced(tick));
        sids.extend(synced.map(|handler| handler.sid()));
        sids.retain(|sid| verifier.is_voter(*sid));
        verifier.contains_quorum(&sids)
    }

    /// A leader that already listens.
    ///
    /// # Errors
    /// When none of its addresses can be bound.
    pub fn new<P: LeaderPeer + 'static>(peer: &Arc<P>) -> Result<Arc<Self>, LeaderError> {
        let properties = peer.properties();
        let mut addresses = peer.quorum_addresses();
        if peer.settings().quorum_listen_on_all_ips {
            let ports: BTreeSet<u16> = addresses.iter().map(|address| address.port).collect();
            addresses = ports.into_iter().map(InetSocketAddress::any).collect();
        }
        let prefer_ipv4 = properties.bool("java.net.preferIPv4Stack");
        let names = AcceptorNames {
            log_target: LOG,
            master: "Leader",
            thread: |address| format!("LearnerCnxAcceptor-/{address}"),
        };
        let acceptor = LearnerCnxAcceptor::bind(names, &addresses, prefer_ipv4)?;
        let settings = peer.settings();
        let ticks = |count: i32| {
            u32::try_from(settings.tick_time_ms.saturating_mul(count)).unwrap_or_default()
        };
        let init_ms = ticks(settings.init_limit_ticks);
        let learner_settings =
            LearnerMasterSettings::new(properties, init_ms, ticks(settings.sync_limit_ticks));
        let agreement =
            EpochAgreement::new(peer.my_id(), Duration::from_millis(u64::from(init_ms)));
        let frequency =
            properties.number_or("zookeeper.leader.ackLoggingFrequency", ACK_LOGGING_FREQUENCY);
        info!(target: LOG, "zookeeper.leader.ackLoggingFrequency = {frequency}");
        let max_wait = properties.number_or("zookeeper.leader.maxTimeToWaitForEpoch", -1);
        Ok(Arc::new_cyclic(|this: &Weak<Self>| Self {
            this: Weak::clone(this),
            peer: Arc::clone(peer) as _,
            zk: LeaderZooKeeperServer::new(Arc::clone(peer) as _, Weak::clone(this) as _),
            settings: learner_settings,
            addresses: acceptor.local_addresses(),
            acceptor: RankedMutex::new(Rank::Leaf, "acceptor", Some(Arc::new(acceptor))),
            agreement,
            summary: RankedMutex::new(Rank::Leaf, "history of the leader", None),
            broadcast: RankedMutex::new(
                Rank::Proposals,
                "what a leader has proposed",
                Broadcast::new(peer.my_id(), peer.clock()),
            ),
            plan: Plan::new(),
            learners: ConnectedLearners::new(LOG),
            life: RankedMutex::new(Rank::Leaf, "end of the leader", Life::default()),
            life_changed: RankedCondvar::new(),
            leading_vote_set: RankedMutex::new(Rank::Leaf, "votes for the leader", None),
            max_time_to_wait_for_epoch_ms: max_wait,
            ack_logging_frequency: frequency,
            anonymous_sid: AtomicI64::new(-1),
            started_ms: AtomicI64::new(0),
        }))
    }

    /// The leader's server.
    pub const fn zookeeper_server(&self) -> &Arc<ZooKeeperServer> {
        self.zk.server()
    }

    /// The addresses that learners connect to.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How long the leader has served, in ms.
    pub fn uptime_ms(&self) -> i64 {
        match self.started_ms.load(Ordering::Acquire) {
            0 => 0,
            since_ms => self.clock_ms() - since_ms,
        }
    }

    /// Leads until it must stop (Java: lead).
    ///
    /// # Errors
    /// The reason why it could not lead. The caller then shuts it down.
    pub fn lead(&self) -> Result<(), LeaderError> {
        {
            let mut life = self.life.lock();
            if life.is_ending {
                return Err(AgreementError::Stopped.into());
            }
            life.is_led = true;
        }
        let ended = {
            let _leaves = Leaves(self);
            self.lead_until_end()
        };
        ended.map(|reason| self.shutdown(&reason))
    }

    fn lead_until_end(&self) -> Result<String, LeaderError> {
        let took_ms = self.peer.election_time_taken_ms();
        info!(target: LOG, "LEADING - LEADER ELECTION TOOK - {took_ms} MS");
        self.peer.set_zab_state(ZabState::Discovery);
        self.peer.set_tick(0);
        let last_zxid = self.zk.load_data()?;
        let summary = StateSummary { current_epoch: self.peer.current_epoch(), last_zxid };
        *self.summary.lock() = Some(summary);
        self.start_acceptor()?;

        let my_id = self.peer.my_id();
        let verifier = self.peer.quorum_verifier();
        let accepted = self.peer.accepted_epoch();
        let epoch = self.agreement.epoch_to_propose(&*verifier, &*self.peer, my_id, accepted)?;
        let start = Zxid::start_of(epoch);
        self.zk.server().set_zxid(start);
        self.establish_config(start)?;
        let verifiers = self.verifiers();
        self.broadcast.lock().begin(start, verifiers.clone());
        self.agreement.propose_new_leader(start, &verifiers);

        self.agreement.wait_for_epoch_ack(&*verifier, my_id, summary, summary)?;
        self.peer.set_current_epoch(epoch)?;
        let addresses = self.peer.quorum_addresses();
        let hosts: Vec<&str> = addresses.iter().map(|address| address.host.as_str()).collect();
        self.peer.set_leader_address_and_id(Some(hosts.join("|")), Some(my_id));
        self.peer.set_zab_state(ZabState::Synchronization);
        if let Err(problem) = self.agreement.wait_for_new_leader_ack(my_id, start) {
            self.explain_missing_followers();
            return Err(problem.into());
        }
        self.start_zk_server(start, epoch)?;
        self.peer.set_zab_state(ZabState::Broadcast);
        Ok(self.tick_until_end())
    }

    fn start_acceptor(&self) -> Result<(), LeaderError> {
        let acceptor = self.acceptor.lock().clone();
        if let (Some(acceptor), Some(this)) = (acceptor, self.this.upgrade()) {
            let desk: Arc<dyn LearnerDesk> = this;
            acceptor.start(&desk)?;
        }
        Ok(())
    }

    /// A new ensemble has configuration version 0. It gets a version that counts when NEWLEADER is acknowledged
    /// (ZOOKEEPER-1783).
    fn establish_config(&self, start: Zxid) -> Result<(), LeaderError> {
        let current = self.peer.quorum_verifier();
        let last_seen = self.peer.last_seen_quorum_verifier();
        let is_first =
            current.version() == 0 && last_seen.is_none_or(|last_seen| last_seen.version() == 0);
        if is_first && self.peer.settings().reconfig_enabled {
            let text = current.to_text();
            let without_version = text.rsplit_once("version=").map_or(&*text, |(text, _)| text);
            let renewed = format!("{without_version}version={:x}", start.0);
            let verifier = self.peer.config_from_string(&renewed)?;
            let write_to_disk = true;
            self.peer.set_last_seen_quorum_verifier(&verifier, write_to_disk);
        }
        Ok(())
    }

    /// The configurations of which each needs a quorum.
    fn verifiers(&self) -> Vec<Arc<dyn QuorumVerifier>> {
        let current = self.peer.quorum_verifier();
        let last_seen = self.peer.last_seen_quorum_verifier();
        let newer = last_seen.filter(|last_seen| last_seen.version() > current.version());
        std::iter::once(current).chain(newer).collect()
    }

    fn explain_missing_followers(&self) {
        let supporters = self.agreement.supporters();
        warn!(
            target: LOG,
            "Waiting for a quorum of followers, only synced with sids: [ {supporters} ]"
        );
        let followers = self.learners().iter().map(|handler| handler.sid()).collect();
        if self.agreement.would_be_quorum(&followers) {
            warn!(
                target: LOG,
                "Enough followers present. Perhaps the initTicks need to be increased."
            );
        }
    }

    /// Checks every other half tick whether enough followers are synced. Returns the reason to end (Java: within
    /// lead).
    fn tick_until_end(&self) -> String {
        let half_tick_ms = u64::try_from(self.peer.settings().tick_time_ms / 2).unwrap_or_default();
        let half_tick = Duration::from_millis(half_tick_ms);
        let mut skips_tick = true;
        loop {
            if let Some(reason) = self.wait_for_end(half_tick) {
                return reason;
            }
            if !skips_tick {
                self.peer.increment_tick();
            }
            if !self.peer.is_running() || !self.zk.server().is_running() {
                return "Unexpected internal error".into();
            }
            if !skips_tick && let Err(synced) = self.check_supporters() {
                return format!(
                    "Not sufficient followers synced, only synced with sids: [ {synced} ]"
                );
            }
            skips_tick = !skips_tick;
            self.ping_learners();
        }
    }

    fn wait_for_end(&self, time: Duration) -> Option<String> {
        let deadline = time::now() + time;
        let mut life = self.life.lock();
        loop {
            if life.is_ending {
                return Some("it is shut down".into());
            }
            if let Some(reason) = life.gives_up.take() {
                return Some(reason);
            }
            let left = deadline.saturating_duration_since(time::now());
            if left.is_zero() {
                return None;
            }
            let _timed_out = self.life_changed.wait_for(&mut life, left);
        }
    }

    /// Whether a quorum has shown a sign of life within syncLimit ticks. If not, returns the servers that have.
    fn check_supporters(&self) -> Result<(), String> {
        let mut synced = SyncedLearnerTracker::new();
        for verifier in self.verifiers() {
            synced.add_quorum_verifier(verifier);
        }
        synced.add_ack(self.peer.my_id());
        let tick = self.peer.tick();
        for handler in self.learners() {
            if handler.synced(tick) {
                synced.add_ack(handler.sid());
            }
        }
        if synced.has_all_quorums() {
            return Ok(());
        }
        // Ignore a dead handler that is not removed yet: with it, the leader would end without asking the oracle.
        let has_followers =
            self.broadcast.lock().forwarding().iter().any(|handler| handler.is_alive());
        if self.peer.quorum_verifier().override_quorum_decision(has_followers) {
            // The oracle now replaces the acknowledgements of the lost follower.
            self.try_to_commit();
            self.flush_all();
            return Ok(());
        }
        Err(synced.ack_sets_to_string())
    }

    fn ping_learners(&self) {
        let now_ms = self.clock_ms();
        let limit_ms = i64::from(self.settings.sync_timeout_ms);
        let receivers = {
            let broadcast = self.broadcast.lock();
            let (last_proposed, last_sync) = (broadcast.last_proposed(), broadcast.last_sync());
            let receivers = broadcast.receivers();
            for handler in receivers.iter() {
                handler.ping(last_proposed, last_sync, now_ms, limit_ms);
            }
            receivers
        };
        receivers.iter().for_each(|handler| handler.flush());
    }

    /// Asks the leader to end, for this reason. Never waits.
    fn give_up(&self, reason: &str) {
        self.life.lock().gives_up.get_or_insert_with(|| reason.to_owned());
        self.life_changed.notify_all();
    }

    /// Ends the leader and joins its threads. A second caller waits until the first is done. Must not be called by an
    /// acceptor or a learner handler, since it joins them.
    pub fn shutdown(&self, reason: &str) {
        {
            let mut life = self.life.lock();
            if life.is_ending {
                while !life.has_ended {
                    self.life_changed.wait(&mut life);
                }
                return;
            }
            life.is_ending = true;
        }
        info!(target: LOG, "Shutdown called. For the reason {reason}");
        self.life_changed.notify_all();
        self.agreement.stop();
        let acceptor = self.acceptor.lock().take();
        if let Some(acceptor) = acceptor {
            acceptor.halt();
        }
        self.wait_until_it_is_left();
        self.peer.set_active_server(None);
        self.peer.close_all_connections();
        // Stop proposing and committing. Transactions on their way to the log still get there.
        self.broadcast.lock().close();
        self.zk.shutdown();
        self.learners.close();
        self.keep_what_is_logged();
        self.life.lock().has_ended = true;
        self.life_changed.notify_all();
    }

    /// Waits until [`Leader::lead`] has returned, so that it starts nothing more.
    fn wait_until_it_is_left(&self) {
        let mut life = self.life.lock();
        while life.is_led {
            self.life_changed.wait(&mut life);
        }
    }

    /// Applies proposals that are logged but not committed, since the next election counts them (Java: within
    /// ZooKeeperServer.shutdown).
    fn keep_what_is_logged(&self) {
        let database = self.peer.database();
        if !database.is_initialized() {
            return;
        }
        if let Err(problem) = database.fast_forward_data_base() {
            error!(
                target: LOG,
                "Error updating DB, it is loaded from disk before the next election: {problem}"
            );
            database.clear();
        }
    }

    // --- broadcast

    fn process_acks_of(&self, broadcast: &mut Broadcast, sid: Sid, zxids: &[Zxid]) {
        for zxid in zxids {
            self.note_ack_latency(broadcast, sid, *zxid);
            broadcast.ack(sid, *zxid);
        }
        self.try_to_commit_of(broadcast);
    }

    /// Samples the latency of one acknowledgement in every `ack_logging_frequency` (Java: ackLoggingFrequency).
    fn note_ack_latency(&self, broadcast: &Broadcast, sid: Sid, zxid: Zxid) {
        if self.ack_logging_frequency <= 0 || zxid.0 % self.ack_logging_frequency != 0 {
            return;
        }
        if let Some(time) = broadcast.time_of(zxid) {
            let latency = self.peer.clock().wall_ms() - time;
            if latency >= 0 {
                self.peer.metrics().ack_latency.add(&sid.to_string(), latency);
            }
        }
    }

    fn try_to_commit(&self) {
        self.try_to_commit_of(&mut self.broadcast.lock());
    }

    fn try_to_commit_of(&self, broadcast: &mut Broadcast) {
        broadcast.try_to_commit(self.peer.metrics(), self.peer.clock().wall_ms(), self);
    }

    fn flush_all(&self) {
        self.flush_learners();
        self.zk.flush_commits();
    }

    /// Sets the votes that elected this leader (Java: setLeadingVoteSet).
    pub fn set_leading_vote_set(&self, votes: SyncedLearnerTracker) {
        *self.leading_vote_set.lock() = Some(votes);
    }

    /// Reports that a member is LOOKING. If it voted for this leader, and this leader has waited too long for an
    /// epoch, the leader gives up (Java: reportLookingSid).
    pub fn report_looking_sid(&self, sid: Sid) {
        let Ok(limit_ms) = u64::try_from(self.max_time_to_wait_for_epoch_ms) else { return };
        let has_voted =
            self.leading_vote_set.lock().as_ref().is_some_and(|votes| votes.is_voter_of_all(sid));
        if has_voted && self.agreement.voter_is_looking(Duration::from_millis(limit_ms)) {
            self.peer.metrics().quit_leading_due_to_disloyal_voter.add(1);
        }
    }

    /// Java: startZkServer.
    fn start_zk_server(&self, start: Zxid, epoch: PeerEpoch) -> Result<(), LeaderError> {
        info!(
            target: LOG,
            "Have quorum of supporters, sids: [{}]; starting up and setting last processed zxid: {start}",
            self.agreement.supporters()
        );
        let may_commit = self.complete_config(start);
        let verifiers = self.verifiers();
        self.started_ms.store(self.clock_ms(), Ordering::Release);
        {
            let _order = self.broadcast.lock();
            self.peer.database().tree().write().set_last_processed_zxid(start);
        }
        let commit_processor = self.zk.startup()?;
        {
            let mut broadcast = self.broadcast.lock();
            broadcast.begin_serving(verifiers, commit_processor, may_commit);
        }
        if let Some(counter) =
            self.peer.properties().number::<i64>("zookeeper.testingonly.initialZxid")
        {
            self.zk.server().set_zxid(Zxid::new(epoch.0, counter));
        }
        self.peer.update_election_vote(epoch);
        let serves = self.peer.properties().get("zookeeper.leaderServes") != Some("no");
        if serves {
            self.peer.set_active_server(Some(self.zk.server()));
        } else {
            info!(target: LOG, "zookeeper.leaderServes = no: clients are not served while this server leads");
            self.peer.set_admin_server(Some(self.zk.server()));
        }
        self.agreement.set_started();
        self.zk.close_dead_sessions();
        Ok(())
    }

    fn clock_ms(&self) -> i64 {
        self.peer.clock().elapsed_ms()
    }
}

impl Proposer for Leader {
    fn propose(&self, request: Box<Request>) -> bool {
        let zxid = request.hdr.as_ref().map_or(request.zxid, |hdr| hdr.zxid);
        let mut broadcast = self.broadcast.lock();
        if broadcast.is_closed() {
            return false;
        }
        if zxid.counter() == LAST_COUNTER {
            let reason = "zxid lower 32 bits have rolled over, forcing re-election, and therefore new epoch start";
            error!(target: LOG, "{reason}");
            broadcast.close();
            drop(broadcast);
            self.give_up(reason);
            return false;
        }
        if let Some(config) = self.plan.take(zxid)
            && request.op_type == OpCode::Reconfig.code()
            && request.exception.is_none()
        {
            let write_to_disk = true;
            self.peer.set_last_seen_quorum_verifier(&config, write_to_disk);
            broadcast.set_verifiers(self.verifiers());
        }
        let size = i32::try_from(request.txn_bytes.len()).unwrap_or(i32::MAX);
        self.zk.role().stats().set_last_buffer_size(size);
        debug!(target: LOG, "Proposing:: {request}");
        self.peer.metrics().proposal_count.add(1);
        broadcast.propose(request, zxid, self.clock_ms())
    }

    fn process_learner_sync(&self, request: &Request) {
        let mut broadcast = self.broadcast.lock();
        if let Some(handler) = broadcast.learner_of(request) {
            broadcast.sync(SyncWaiter::Learner(handler));
            self.try_to_commit_of(&mut broadcast);
        }
    }

    fn process_local_sync(&self, request: Box<Request>) {
        let mut broadcast = self.broadcast.lock();
        broadcast.sync(SyncWaiter::Local(request));
        self.try_to_commit_of(&mut broadcast);
    }

    fn process_own_acks(&self, zxids: &[Zxid]) {
        {
            let mut broadcast = self.broadcast.lock();
            broadcast.logging_ends();
            self.process_acks_of(&mut broadcast, self.peer.my_id(), zxids);
        }
        self.flush_all();
    }

    fn applied(&self, zxid: Zxid) {
        self.broadcast.lock().applied(zxid);
    }

    fn logging_begins(&self) {
        let receivers = self.broadcast.lock().logging_begins();
        receivers.iter().for_each(|handler| handler.flush());
    }

    fn flush_learners(&self) {
        let receivers = self.broadcast.lock().receivers_now();
        receivers.iter().flat_map(|all| all.iter()).for_each(|handler| handler.flush());
    }

    fn look_up_hosts(&self, request: &ReconfigRequest) {
        self.look_up_hosts_of(request);
    }

    fn next_config(
        &self,
        request: &ReconfigRequest,
        zxid: Zxid,
        is_allowed: &dyn Fn() -> Result<(), KeeperError>,
    ) -> Result<String, KeeperError> {
        self.plan_config(request, zxid, is_allowed)
    }

    fn learner_count(&self) -> usize {
        self.learners.count()
    }

    fn synced_followers(&self) -> usize {
        self.synced_followers()
    }

    fn synced_non_voting_followers(&self) -> usize {
        self.synced_non_voting_followers()
    }

    fn synced_observers(&self) -> usize {
        self.synced_observers()
    }

    fn pending_syncs(&self) -> usize {
        self.pending_syncs()
    }

    fn uptime_ms(&self) -> i64 {
        self.uptime_ms()
    }

    fn observer_infos(&self) -> Vec<Json> {
        self.observing_learners().iter().map(|observer| observer.learner_handler_info()).collect()
    }

    fn reset_observer_stats(&self) {
        self.observing_learners()
            .iter()
            .for_each(|observer| observer.reset_observer_connection_stats());
    }
}
