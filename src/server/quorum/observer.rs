//! A member that follows the leader and does not vote (Java: server/quorum/Observer.java).
//!
//! Threads: the peer's. Packets that arrive together are handled as one batch. Locks: none of its own.
//!
//! With `observerMasterPort`, it follows a voter that serves observers, else the leader.
//!
//! Differs from Java: A transaction that leaves a gap ends the connection, before its configuration takes effect.
//!
//! Elsewhere: which observer master is next, and setLearnerMaster, are in `quorum_peer/observer_masters`.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use log::{error, info, warn};

use super::learner::leader_input::LeaderInput;
use super::learner::learner_txn::{LearnerTxn, follows};
use super::learner::{Learner, LearnerError, LearnerPeer, Synced, address_text, suggested_leader};
use super::learner_zookeeper_server::OBSERVER;
use super::observer_zookeeper_server::ObserverZooKeeperServer;
use super::quorum_packet::{PacketType, QuorumPacket};
use super::quorum_server::QuorumServer;
use super::states::ZabState;
use crate::ids::Zxid;
use crate::server::util::serialize_utils::TxnFormat;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::util::sleeper::Sleeper;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.Observer";

/// Java's default of `zookeeper.observer.election.DelayMs`.
const ELECTION_DELAY_MS: i64 = 200;

/// An observer, for one connection to one leader.
pub struct Observer {
    learner: Learner,
    election_delay_ms: i64,
    reconnect_delay_ms: i64,
}

/// An observer that serves.
struct Serving<'a> {
    learner: &'a Learner,
    server: ObserverZooKeeperServer,
    last: Zxid,
    format: TxnFormat,
}

impl Observer {
    /// An observer of the elected leader.
    #[must_use]
    pub fn new<P: LearnerPeer + 'static>(peer: &Arc<P>) -> Arc<Self> {
        let peer: Arc<dyn LearnerPeer> = Arc::clone(peer) as _;
        let election_delay_ms =
            peer.properties().number_or("zookeeper.observer.election.DelayMs", ELECTION_DELAY_MS);
        let reconnect_delay_ms =
            peer.properties().number_or("zookeeper.observer.reconnectDelayMs", 0);
        info!(target: LOG, "zookeeper.observer.reconnectDelayMs = {reconnect_delay_ms}");
        Arc::new(Self {
            learner: Learner::new(peer, OBSERVER),
            election_delay_ms,
            reconnect_delay_ms,
        })
    }

    /// Its server, which serves once the sync with the leader is complete.
    #[must_use]
    pub fn zookeeper_server(&self) -> &Arc<ZooKeeperServer> {
        self.learner.zookeeper_server()
    }

    /// Follows the leader until the connection or the observer ends; always returns an error.
    ///
    /// # Errors
    /// The reason for the end. The caller logs it and shuts the observer down.
    pub fn observe_leader(&self) -> Result<(), LearnerError> {
        self.learner.live(|| self.observe())
    }

    fn observe(&self) -> Result<(), LearnerError> {
        let learner = &self.learner;
        let peer = learner.peer();
        peer.set_zab_state(ZabState::Discovery);
        let master = self.find_learner_master()?;
        info!(target: LOG, "Observing new leader sid={} addr={}", master.id, address_text(&master));
        peer.set_current_learner_master(Some(&master));
        let ended = self.observe_master(&master);
        peer.set_current_learner_master(None);
        ended
    }

    fn observe_master(&self, master: &QuorumServer) -> Result<(), LearnerError> {
        let learner = &self.learner;
        let mut input = learner.connect_to_leader(master)?;
        let connected_ms = learner.peer().clock().elapsed_ms();
        let mut synced = false;
        let ended = self.observe_connected(master, &mut input, &mut synced);
        learner.log_disconnect(master, connected_ms, synced);
        ended
    }

    /// The server to follow: the observer master that an operator has asked for, or the next one in turn, or the leader
    /// if there are no observer masters. After a round over all of them, and before the leader, it waits for a random
    /// time.
    fn find_learner_master(&self) -> Result<QuorumServer, LearnerError> {
        let learner = &self.learner;
        if let Some(requested) = learner.peer().requested_learner_master() {
            return Ok(requested);
        }
        let (master, waits) = match learner.peer().next_observer_master() {
            Some(next) => (next.server, next.begins_round),
            None => (learner.find_leader()?, true),
        };
        if waits
            && let Some(delay_ms) = random_delay(self.reconnect_delay_ms)
            && !learner.sleep(delay_ms)
        {
            return Err(LearnerError::Stopped);
        }
        Ok(master)
    }

    fn observe_connected(
        &self,
        leader: &QuorumServer,
        input: &mut LeaderInput,
        synced: &mut bool,
    ) -> Result<(), LearnerError> {
        let learner = &self.learner;
        let peer = learner.peer();
        let zxid = learner.discover(input, PacketType::ObserverInfo)?;
        let start_ms = peer.clock().elapsed_ms();
        let history = learner.synchronize(leader, input, zxid)?;
        let mut serving = self.serve(history, zxid)?;
        peer.set_zab_state(ZabState::Broadcast);
        *synced = true;
        peer.metrics().observer_sync_time.add(peer.clock().elapsed_ms() - start_ms);
        while learner.is_running() {
            if peer.is_learner_master_requested() {
                return Err(LearnerError::OtherMaster);
            }
            let packet = input.read_packet(&mut || {
                serving.server.flush(learner);
                None
            })?;
            serving.process_packet(&packet)?;
        }
        Err(LearnerError::Stopped)
    }

    /// Starts to serve, and takes over what has arrived since NEWLEADER (Java: the end of syncWithLeader).
    fn serve(&self, history: Synced, new_leader: Zxid) -> Result<Serving<'_>, LearnerError> {
        let learner = &self.learner;
        let Synced { tracker, proposals, committed, last_queued } = history;
        learner.link().queue_ack(new_leader);
        let server = learner.start(|| ObserverZooKeeperServer::start(learner, &tracker))?;
        learner.peer().update_election_vote(new_leader.peer_epoch());
        // An old leader may have sent uncommitted proposals; it sends these transactions again when they are
        // committed.
        let last = match proposals.get(committed) {
            Some(not_committed) => Zxid(not_committed.zxid().0 - 1),
            None => last_queued,
        };
        for txn in proposals.into_iter().take(committed) {
            server.commit_request(txn);
        }
        info!(target: LOG, "{committed} txns have been committed");
        server.flush(learner);
        learner.peer().set_active_server(Some(learner.zookeeper_server()));
        Ok(Serving { learner, server, last, format: learner.txn_format() })
    }

    /// Shuts the observer down and joins its threads, from any thread. A second call is harmless.
    pub fn shutdown(&self) {
        info!(target: LOG, "shutdown Observer");
        self.learner.shutdown();
    }

    /// Waits for a short random time before the next election, so that not all observers ask the members at once
    /// (Java: waitForObserverElectionDelay).
    pub fn wait_for_observer_election_delay(&self) {
        let Some(delay_ms) = random_delay(self.election_delay_ms) else { return };
        let clock = self.learner.peer().clock();
        // A shutdown does not interrupt this wait, which is short.
        let _over = Sleeper::new(Arc::clone(clock)).sleep_until(clock.elapsed_ms() + delay_ms);
    }
}

/// A random part of the limit; `None` if the limit is zero (Java: waitForReconnectDelayHelper).
fn random_delay(limit_ms: i64) -> Option<i64> {
    let limit = u64::try_from(limit_ms).ok()?;
    let delay = RandomState::new().hash_one(0).checked_rem(limit)?;
    info!(target: LOG, "Waiting for {delay} ms before reconnecting with the leader");
    i64::try_from(delay).ok()
}

impl Serving<'_> {
    fn process_packet(&mut self, packet: &QuorumPacket) -> Result<(), LearnerError> {
        match packet.packet_type() {
            Some(PacketType::Ping) => self.learner.ping(packet),
            Some(PacketType::Proposal) => warn!(target: LOG, "Ignoring proposal"),
            Some(PacketType::Commit) => warn!(target: LOG, "Ignoring commit"),
            Some(PacketType::UpToDate) => {
                error!(target: LOG, "Received an UPTODATE message after Observer started");
            }
            Some(PacketType::Revalidate) => self.learner.revalidate(packet),
            Some(PacketType::Sync) => self.server.sync(self.learner),
            Some(PacketType::Inform) => {
                let data = packet.data.as_deref().unwrap_or_default();
                let txn = LearnerTxn::read(data, packet.zxid, &self.format)?;
                self.commit(txn)?;
            }
            Some(PacketType::InformAndActivate) => self.inform_and_activate(packet)?,
            _ => warn!(
                target: LOG,
                "Unknown packet type: {} with zxid {}", packet.r#type, packet.zxid
            ),
        }
        Ok(())
    }

    /// Refuses a transaction that leaves a gap.
    fn check_follows(&self, zxid: Zxid) -> Result<(), LearnerError> {
        let last = self.last;
        if follows(last, zxid) {
            return Ok(());
        }
        warn!(target: LOG, "Got zxid {zxid} expected {}", last.next());
        Err(LearnerError::Discontinuous { zxid, last })
    }

    fn commit(&mut self, txn: LearnerTxn) -> Result<(), LearnerError> {
        let peer = self.learner.peer();
        peer.metrics().learner_commit_received_count.add(1);
        let zxid = txn.zxid();
        self.check_follows(zxid)?;
        let latency = peer.clock().wall_ms() - txn.header.time;
        if latency >= 0 {
            peer.metrics().commit_propagation_latency.add(latency);
        }
        self.last = zxid;
        self.server.commit_request(txn);
        Ok(())
    }

    fn inform_and_activate(&mut self, packet: &QuorumPacket) -> Result<(), LearnerError> {
        let (leader, data) = suggested_leader(packet)?;
        let txn = LearnerTxn::read(data, packet.zxid, &self.format)?;
        // Before the configuration takes effect.
        self.check_follows(txn.zxid())?;
        let mut major_change = false;
        if let Some(config) = txn.config() {
            let peer = self.learner.peer();
            major_change = peer.activate_config(&config, Some(leader), Some(packet.zxid))?;
        }
        self.commit(txn)?;
        if major_change {
            // Apply what is committed before this server takes its new role.
            self.server.flush(self.learner);
            return Err(LearnerError::Reconfig);
        }
        Ok(())
    }
}
