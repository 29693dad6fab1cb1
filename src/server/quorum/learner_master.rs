//! The server that brings learners up to date: a leader, or an observer master (Java:
//! server/quorum/LearnerMaster.java).
//!
//! This is the interface that a [`LearnerHandler`] uses. The parts of this module are what both masters have in common:
//! the acceptor and the list of connected learners.

pub(super) mod connected_learners;
pub(super) mod learner_cnx_acceptor;

use std::sync::Arc;

use log::info;

use super::epoch_agreement::AgreementError;
use super::learner_handler::LearnerHandler;
use super::learner_sync_throttler::{LearnerSyncThrottler, SyncType};
use super::quorum_packet::QuorumPacket;
use super::state_summary::StateSummary;
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::ids::{PeerEpoch, SessionId, Sid, Zxid};
use crate::jute::Limits;
use crate::server::first_bytes::HttpPorts;
use crate::server::request::Request;
use crate::server::server_metrics::ServerMetrics;
use crate::server::zk_database::ZKDatabase;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.LearnerMaster";

/// The time limit for each part of a learner's greeting, in ms; by default initLimit ticks.
const LEARNER_GREETING_TIMEOUT: &str = "zookeeper.leader.learnerGreetingTimeout";

/// The settings for all learners of a master.
pub struct LearnerMasterSettings {
    /// Limits how many learners get a snapshot at once.
    pub snap_throttler: Arc<LearnerSyncThrottler>,
    /// Limits how many learners get transactions at once.
    pub diff_throttler: Arc<LearnerSyncThrottler>,
    /// Limits how many servers that are not in the configuration get either at once.
    pub non_member_throttler: Arc<LearnerSyncThrottler>,
    /// Whether each learner gets a snapshot, whatever it has (`zookeeper.forceSnapshotSync`).
    pub is_snap_forced: bool,
    /// Whether small packets are sent at once (`leader.nodelay`).
    pub is_nodelay: bool,
    /// The time limit for a learner to identify itself, and then to accept the epoch, in ms
    /// (`zookeeper.leader.learnerGreetingTimeout`; not in Java).
    pub greeting_timeout_ms: u32,
    /// The time limit for bringing a learner up to date, in ms.
    pub init_timeout_ms: u32,
    /// How long a learner may be silent, in ms.
    pub sync_timeout_ms: u32,
}

impl LearnerMasterSettings {
    /// Reads the settings; the two timeouts depend on the ticks of the ensemble.
    #[must_use]
    pub fn new(properties: &SystemProperties, init_timeout_ms: u32, sync_timeout_ms: u32) -> Self {
        let throttler = |kind: SyncType| {
            let key = kind.setting();
            let limit = properties.number_or::<i32>(key, kind.default_limit());
            info!(target: LOG, "{key} = {limit}");
            LearnerSyncThrottler::new(kind, limit)
        };
        Self {
            snap_throttler: throttler(SyncType::Snap),
            diff_throttler: throttler(SyncType::Diff),
            non_member_throttler: throttler(SyncType::OfNonMember),
            is_snap_forced: properties.bool("zookeeper.forceSnapshotSync"),
            is_nodelay: properties.bool_or("leader.nodelay", true),
            greeting_timeout_ms: properties.number_or(LEARNER_GREETING_TIMEOUT, init_timeout_ms),
            init_timeout_ms,
            sync_timeout_ms,
        }
    }
}

/// The master of a learner handler.
pub trait LearnerMaster: Send + Sync {
    /// The settings.
    fn learner_settings(&self) -> &LearnerMasterSettings;

    /// The ports that speak HTTP.
    fn http_ports(&self) -> HttpPorts;

    /// The clock.
    fn clock(&self) -> &Clock;

    /// The metrics.
    fn metrics(&self) -> &ServerMetrics;

    /// The limits for lengths in received data.
    fn limits(&self) -> Limits;

    /// The tree and its files.
    fn database(&self) -> &Arc<ZKDatabase>;

    /// The number of ticks until now.
    fn current_tick(&self) -> i32;

    /// The tick by which a learner must show its next sign of life: a learner that has just connected, or one that
    /// has just shown a sign of life.
    fn tick_of_ack_deadline(&self, is_initial: bool) -> i32;

    /// Whether it brings only observers up to date.
    fn hosts_only_observers(&self) -> bool {
        false
    }

    /// Adds a connected learner.
    fn add_learner_handler(&self, handler: &Arc<LearnerHandler>);

    /// Removes a learner.
    fn remove_learner_handler(&self, handler: &Arc<LearnerHandler>);

    /// The version of the configuration.
    fn quorum_verifier_version(&self) -> i64;

    /// The text of the configuration for NEWLEADER.
    fn quorum_verifier_text(&self) -> String;

    /// What the configuration says about a server; empty if it says nothing.
    fn peer_info(&self, sid: Sid) -> String;

    /// Whether the current or the next configuration has a server of this id.
    fn is_member(&self, sid: Sid) -> bool;

    /// Whether a learner that has identified itself may stay. It may not if members need the last file descriptors.
    fn has_room_for(&self, handler: &LearnerHandler) -> bool;

    /// An id for a learner that did not send its own (Java: getAndDecrementFollowerCounter).
    fn get_and_decrement_follower_counter(&self) -> Sid;

    /// Waits for the new epoch.
    ///
    /// # Errors
    /// When there is no agreement in time.
    fn epoch_to_propose(
        &self,
        sid: Sid,
        last_accepted: PeerEpoch,
    ) -> Result<PeerEpoch, AgreementError>;

    /// Records that a learner has accepted the epoch, and waits until a quorum has.
    ///
    /// # Errors
    /// When there is no quorum in time, or when the learner has more history than the master.
    fn wait_for_epoch_ack(&self, sid: Sid, summary: StateSummary) -> Result<(), AgreementError>;

    /// Records that a learner has the history, and waits until a quorum has.
    ///
    /// # Errors
    /// When there is no quorum in time.
    fn wait_for_new_leader_ack(&self, sid: Sid, zxid: Zxid) -> Result<(), AgreementError>;

    /// Waits until the master serves.
    ///
    /// # Errors
    /// When the master ends first.
    fn wait_for_startup(&self) -> Result<(), AgreementError>;

    /// Sends a learner everything from now on. While nothing can be proposed or committed, it calls `queue`, which
    /// queues what the learner lacks up to now and returns the last zxid of that. If `queue` returns `None`, it
    /// cannot do that yet: nothing changes, and the result is false (Java: startForwarding).
    fn start_forwarding(
        &self,
        handler: &Arc<LearnerHandler>,
        queue: &mut dyn FnMut() -> Option<Zxid>,
    ) -> bool;

    /// Queues UPTODATE for the learner. From here on the learner answers PINGs.
    fn learner_is_up_to_date(&self, handler: &Arc<LearnerHandler>);

    /// A learner has these transactions on disk, in this order.
    fn process_acks(&self, handler: &LearnerHandler, zxids: &[Zxid]);

    /// A learner has answered a PING.
    fn process_ping(&self, handler: &LearnerHandler);

    /// A learner reports a sign of life of a session.
    fn touch(&self, session_id: SessionId, timeout_ms: i32);

    /// Whether a client may resume its session at that learner, which then owns the session. `None` if another server
    /// is asked; the master sends its answer to the learner later. `question` is the learner's packet.
    fn revalidate_session(
        &self,
        handler: &Arc<LearnerHandler>,
        question: &QuorumPacket,
        session_id: SessionId,
        timeout_ms: i32,
    ) -> Option<bool>;

    /// Submits the requests of a learner's clients, in order.
    fn submit_learner_requests(&self, requests: &mut Vec<Box<Request>>);

    /// Sends and applies the results of the previous calls. The caller holds no lock.
    fn flush(&self);
}
