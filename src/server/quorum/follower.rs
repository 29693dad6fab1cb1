//! A member that follows the leader and votes (Java: server/quorum/Follower.java).
//!
//! Threads: the peer's. Packets that arrive together are handled as one batch: its proposals are logged as one group,
//! and its commits are applied as one group. A follower whose disk no quorum waits for lets proposals gather
//! (`learner/log_pace.rs`). Locks: `Leaf`, for its observer master.
//!
//! Differs from Java: A proposal that leaves a gap, and a commit of something that was never proposed, end the
//! connection (Java warns), because the acknowledged history must be complete. The observer master listens before this
//! server serves, and starts with the proposals that are not committed then. Java's starts later and without them, so
//! that observers that connect at this moment may lack them for ever.
//!
//! Elsewhere: getLastQueued is `PendingTxns::last` in `follower_zookeeper_server`.

use std::sync::Arc;
use std::time::Duration;

use log::{debug, error, info, warn};

use super::follower_zookeeper_server::{FollowerZooKeeperServer, PendingTxns};
use super::learner::leader_input::LeaderInput;
use super::learner::learner_txn::{LearnerTxn, follows};
use super::learner::log_pace::LogPace;
use super::learner::{Learner, LearnerError, LearnerPeer, Synced};
use super::learner_handler::LearnerHandler;
use super::learner_zookeeper_server::FOLLOWER;
use super::observer_master::ObserverMaster;
use super::quorum_packet::{PacketType, QuorumPacket};
use super::quorum_server::QuorumServer;
use super::states::ZabState;
use crate::common::time;
use crate::ids::{Sid, Zxid};
use crate::server::exit_code::ExitCode;
use crate::server::util::serialize_utils::TxnFormat;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.Follower";

/// A follower, for one connection to one leader.
pub struct Follower {
    learner: Learner,
    /// Set while it serves observers.
    observer_master: RankedMutex<Option<Arc<ObserverMaster>>>,
}

/// A follower that serves.
struct Serving<'a> {
    learner: &'a Learner,
    leader: Sid,
    server: FollowerZooKeeperServer,
    pending: PendingTxns,
    format: TxnFormat,
    pace: LogPace,
    observers: Option<Arc<ObserverMaster>>,
}

impl Follower {
    /// A follower of the elected leader.
    #[must_use]
    pub fn new<P: LearnerPeer + 'static>(peer: &Arc<P>) -> Arc<Self> {
        let peer: Arc<dyn LearnerPeer> = Arc::clone(peer) as _;
        let observer_master = RankedMutex::new(Rank::Leaf, "observer master", None);
        Arc::new(Self { learner: Learner::new(peer, FOLLOWER), observer_master })
    }

    /// Its server, which serves once the sync with the leader is complete.
    #[must_use]
    pub fn zookeeper_server(&self) -> &Arc<ZooKeeperServer> {
        self.learner.zookeeper_server()
    }

    /// Follows the leader until the connection or the follower ends; always returns an error.
    ///
    /// # Errors
    /// The reason for the end. The caller logs it and shuts the follower down.
    pub fn follow_leader(&self) -> Result<(), LearnerError> {
        self.learner.live(|| self.follow())
    }

    fn follow(&self) -> Result<(), LearnerError> {
        let learner = &self.learner;
        let peer = learner.peer();
        peer.set_zab_state(ZabState::Discovery);
        let leader = learner.find_leader()?;
        let mut input = learner.connect_to_leader(&leader)?;
        let connected_ms = peer.clock().elapsed_ms();
        let mut synced = false;
        let ended = self.follow_connected(&leader, &mut input, &mut synced);
        let observer_master = self.observer_master.lock().take();
        if let Some(observer_master) = observer_master {
            observer_master.stop();
        }
        learner.log_disconnect(&leader, connected_ms, synced);
        ended
    }

    fn follow_connected(
        &self,
        leader: &QuorumServer,
        input: &mut LeaderInput,
        synced: &mut bool,
    ) -> Result<(), LearnerError> {
        let learner = &self.learner;
        let peer = learner.peer();
        let zxid = learner.discover(input, PacketType::FollowerInfo)?;
        let (new, accepted) = (zxid.peer_epoch(), peer.accepted_epoch());
        if new < accepted {
            error!(target: LOG, "Proposed leader epoch {new} is less than our accepted epoch {accepted}");
            return Err(LearnerError::OldEpoch { leader: new, accepted });
        }
        let start_ms = peer.clock().elapsed_ms();
        let history = learner.synchronize(leader, input, zxid)?;
        let mut serving = self.serve(history, zxid, leader.id)?;
        peer.set_zab_state(ZabState::Broadcast);
        *synced = true;
        peer.metrics().follower_sync_time.add(peer.clock().elapsed_ms() - start_ms);
        if let Some(observers) = &serving.observers {
            // Before it starts, so that it is stopped also if only a part of it starts.
            *self.observer_master.lock() = Some(Arc::clone(observers));
            observers.start().map_err(LearnerError::io("cannot start to serve observers"))?;
        }
        while learner.is_running() {
            let packet = input.read_packet(&mut || serving.finish())?;
            serving.process_packet(packet)?;
        }
        Err(LearnerError::Stopped)
    }

    /// Starts to serve, and takes over what has arrived since NEWLEADER (Java: the end of syncWithLeader).
    fn serve(
        &self,
        history: Synced,
        new_leader: Zxid,
        leader: Sid,
    ) -> Result<Serving<'_>, LearnerError> {
        let learner = &self.learner;
        let Synced { tracker, proposals, committed, last_queued } = history;
        // As in Java, acknowledge the epoch a second time here; the leader counts it once.
        learner.link().queue_ack(new_leader);
        // As in Java, a follower that cannot listen for observers does not follow.
        let port = learner.peer().settings().observer_master_port;
        let observers = port.map(|port| ObserverMaster::new(learner, port)).transpose()?;
        let server = learner.start(|| FollowerZooKeeperServer::start(learner, &tracker))?;
        // Servers that join later must get the same vote from all members.
        learner.peer().update_election_vote(new_leader.peer_epoch());
        let before = proposals.front().map_or(last_queued, |first| Zxid(first.zxid().0 - 1));
        let pending = PendingTxns::after(before);
        let pace = LogPace::new(learner.peer().is_spare(leader));
        let format = learner.txn_format();
        let mut serving = Serving { learner, leader, server, pending, format, pace, observers };
        let count = proposals.len();
        let zxids: Vec<Zxid> = proposals.iter().take(committed).map(LearnerTxn::zxid).collect();
        for txn in proposals {
            serving.log_request(txn);
        }
        info!(target: LOG, "{count} txns have been logged asynchronously");
        for zxid in zxids {
            serving.commit(zxid)?;
        }
        info!(target: LOG, "{committed} txns have been committed");
        serving.server.flush(learner);
        learner.peer().set_active_server(Some(learner.zookeeper_server()));
        Ok(serving)
    }

    /// The observers that this follower serves; `None` if it serves none by its configuration, or not yet (Java:
    /// getSyncedObserverSize and getSyncedObserversInfo).
    #[must_use]
    pub fn synced_observers(&self) -> Option<Vec<Arc<LearnerHandler>>> {
        let observer_master = self.observer_master.lock().clone();
        observer_master.map(|master| master.active_observers())
    }

    /// Resets the statistics of its observers' connections (Java: resetObserverConnectionStats).
    pub fn reset_observer_connection_stats(&self) {
        let observers = self.synced_observers().unwrap_or_default();
        observers.iter().for_each(|observer| observer.reset_observer_connection_stats());
    }

    /// Shuts the follower down and joins its threads, from any thread. A second call is harmless.
    pub fn shutdown(&self) {
        info!(target: LOG, "shutdown Follower");
        self.learner.shutdown();
    }
}

impl Serving<'_> {
    /// Ends a batch: sends and applies what has arrived. Logs the proposals, or lets them gather for the returned
    /// time.
    fn finish(&mut self) -> Option<Duration> {
        self.server.flush_committed(self.learner);
        if let Some(observers) = &self.observers {
            observers.flush_observers();
        }
        let (next, last) = (self.pending.first().map(LearnerTxn::zxid), self.pending.last());
        let wait = self.pace.wait(time::now(), next, last);
        if wait.is_none() {
            self.server.flush_log();
        }
        wait
    }

    fn process_packet(&mut self, packet: QuorumPacket) -> Result<(), LearnerError> {
        match packet.packet_type() {
            Some(PacketType::Ping) => self.ping(&packet),
            Some(PacketType::Proposal) => self.propose(&packet)?,
            Some(PacketType::Commit) => {
                self.learner.peer().metrics().learner_commit_received_count.add(1);
                self.commit(packet.zxid)?;
            }
            Some(PacketType::CommitAndActivate) => self.commit_and_activate(&packet)?,
            Some(PacketType::UpToDate) => {
                error!(target: LOG, "Received an UPTODATE message after Follower started");
            }
            Some(PacketType::Revalidate) => {
                let observers = self.observers.as_deref();
                if !observers.is_some_and(|them| them.revalidate_learner_session(&packet)) {
                    self.learner.revalidate(&packet);
                }
            }
            Some(PacketType::Sync) => self.server.sync(self.learner, self.observers.as_deref()),
            _ => warn!(
                target: LOG,
                "Unknown packet type: {} with zxid {}", packet.r#type, packet.zxid
            ),
        }
        Ok(())
    }

    fn ping(&self, packet: &QuorumPacket) {
        self.learner.ping(packet);
    }

    fn propose(&mut self, packet: &QuorumPacket) -> Result<(), LearnerError> {
        let metrics = self.learner.peer().metrics();
        metrics.learner_proposal_received_count.add(1);
        let zxid = packet.zxid;
        let data = packet.data.as_deref();
        let data = data.ok_or(LearnerError::NoData { packet_type: packet.r#type, zxid })?;
        let txn = LearnerTxn::read(data, zxid, &self.format)?;
        let (zxid, last) = (txn.zxid(), self.pending.last());
        if !follows(last, zxid) {
            warn!(target: LOG, "Got zxid {zxid} expected {}", last.next());
            return Err(LearnerError::Discontinuous { zxid, last });
        }
        if let Some(config) = txn.config() {
            self.learner.peer().propose_config(&config)?;
        }
        let latency = self.learner.peer().clock().wall_ms() - txn.header.time;
        if latency >= 0 {
            metrics.proposal_latency.add(latency);
        }
        self.log_request(txn);
        self.pace.proposed();
        Ok(())
    }

    fn log_request(&mut self, txn: LearnerTxn) {
        if let Some(observers) = &self.observers {
            observers.proposal_received(txn.zxid(), &txn.bytes);
        }
        self.server.log_request(&mut self.pending, txn);
    }

    /// Commits the next proposal, here and at the observers.
    fn commit(&mut self, zxid: Zxid) -> Result<(), LearnerError> {
        self.commit_here(zxid)?;
        self.observers.as_deref().map_or(Ok(()), |observers| observers.proposal_committed(zxid))
    }

    /// Commits the next proposal. If the leader commits a different one, this server has lost track, and the process
    /// exits.
    fn commit_here(&mut self, zxid: Zxid) -> Result<(), LearnerError> {
        let time = self.pending.first().map(|txn| txn.header.time);
        match self.server.commit(&mut self.pending, zxid) {
            Ok(None) => debug!(target: LOG, "{zxid} was committed before"),
            Ok(Some(_)) => {
                let peer = self.learner.peer();
                let latency = peer.clock().wall_ms() - time.unwrap_or(i64::MAX);
                if latency >= 0 {
                    peer.metrics().commit_propagation_latency.add(latency);
                }
            }
            Err(problem) => {
                if let LearnerError::Unmatched { pending: Some(_), .. } = problem {
                    error!(target: LOG, "{problem}");
                    self.learner.peer().request_exit(ExitCode::UnmatchedTxnCommit);
                }
                return Err(problem);
            }
        }
        Ok(())
    }

    /// Commits a reconfiguration and puts it into effect.
    fn commit_and_activate(&mut self, packet: &QuorumPacket) -> Result<(), LearnerError> {
        let zxid = packet.zxid;
        let (leader, _): (Sid, _) = super::learner::suggested_leader(packet)?;
        let next = self.pending.first().filter(|txn| txn.zxid() == zxid);
        let mut major_change = false;
        if let Some(config) = next.and_then(LearnerTxn::config) {
            let peer = self.learner.peer();
            major_change = peer.activate_config(&config, Some(leader), Some(zxid))?;
        }
        self.commit_here(zxid)?;
        if let Some(observers) = &self.observers {
            observers.inform_and_activate(zxid, leader)?;
        }
        if major_change {
            // Apply what is committed before this server takes its new role.
            self.server.flush(self.learner);
            if let Some(observers) = &self.observers {
                observers.flush_observers();
            }
            return Err(LearnerError::Reconfig);
        }
        // Whose disk is needed for a quorum may be another one now.
        self.server.flush_log();
        self.pace = LogPace::new(self.learner.peer().is_spare(self.leader));
        Ok(())
    }
}
