//! Who brings learners up to date and keeps them so (Java: server/quorum/LearnerMaster.java): a leader.
//!
//! What a [`LearnerHandler`] asks of it.

use std::sync::Arc;

use log::info;

use super::leader::epoch::AgreementError;
use super::learner_handler::LearnerHandler;
use super::learner_sync_throttler::{LearnerSyncThrottler, SyncType};
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

/// Where Java's defaults are.
const MAX_CONCURRENT_SNAP_SYNCS: (&str, i32) = ("zookeeper.leader.maxConcurrentSnapSyncs", 10);
const MAX_CONCURRENT_DIFF_SYNCS: (&str, i32) = ("zookeeper.leader.maxConcurrentDiffSyncs", 100);

/// How long a learner may take for each part of its greeting, ms; as a rule initLimit ticks.
const LEARNER_GREETING_TIMEOUT: &str = "zookeeper.leader.learnerGreetingTimeout";

/// What is set once for all learners of a master.
pub struct LearnerMasterSettings {
    /// How many may get snapshots at once.
    pub snap_throttler: Arc<LearnerSyncThrottler>,
    /// How many may get transactions at once.
    pub diff_throttler: Arc<LearnerSyncThrottler>,
    /// Whether each gets a snapshot whatever it has (`zookeeper.forceSnapshotSync`).
    pub is_snap_forced: bool,
    /// Whether small packets go out at once (`leader.nodelay`).
    pub is_nodelay: bool,
    /// How long one may take to say who it is, and then to take the epoch, ms
    /// (`zookeeper.leader.learnerGreetingTimeout`; not in Java).
    pub greeting_timeout_ms: u32,
    /// How long one may take to come up to date, ms.
    pub init_timeout_ms: u32,
    /// How long one may be silent, ms.
    pub sync_timeout_ms: u32,
}

impl LearnerMasterSettings {
    /// The settings; the two times are by the ticks of the ensemble.
    #[must_use]
    pub fn new(properties: &SystemProperties, init_timeout_ms: u32, sync_timeout_ms: u32) -> Self {
        let throttler = |kind, (key, default): (&str, i32)| {
            let limit = properties.number_or::<i32>(key, default);
            info!(target: LOG, "{key} = {limit}");
            LearnerSyncThrottler::new(kind, limit)
        };
        Self {
            snap_throttler: throttler(SyncType::Snap, MAX_CONCURRENT_SNAP_SYNCS),
            diff_throttler: throttler(SyncType::Diff, MAX_CONCURRENT_DIFF_SYNCS),
            is_snap_forced: properties.bool("zookeeper.forceSnapshotSync"),
            is_nodelay: properties.bool_or("leader.nodelay", true),
            greeting_timeout_ms: properties.number_or(LEARNER_GREETING_TIMEOUT, init_timeout_ms),
            init_timeout_ms,
            sync_timeout_ms,
        }
    }
}

/// A master.
pub trait LearnerMaster: Send + Sync {
    /// The settings.
    fn learner_settings(&self) -> &LearnerMasterSettings;

    /// Where HTTP is spoken.
    fn http_ports(&self) -> HttpPorts;

    /// The clock.
    fn clock(&self) -> &Clock;

    /// Metrics.
    fn metrics(&self) -> &ServerMetrics;

    /// The longest lengths that are believed.
    fn limits(&self) -> Limits;

    /// The tree and its files.
    fn database(&self) -> &Arc<ZKDatabase>;

    /// The ticks until now.
    fn current_tick(&self) -> i32;

    /// Until which tick a learner must have shown a sign of life: one that has just come, or one that has just shown one.
    fn tick_of_ack_deadline(&self, is_initial: bool) -> i32;

    /// Begins to count a learner.
    fn add_learner_handler(&self, handler: &Arc<LearnerHandler>);

    /// Forgets a learner.
    fn remove_learner_handler(&self, handler: &Arc<LearnerHandler>);

    /// The version of the configuration.
    fn quorum_verifier_version(&self) -> i64;

    /// The text of the configuration for NEWLEADER.
    fn quorum_verifier_text(&self) -> String;

    /// What the configuration says of a server; empty when nothing.
    fn peer_info(&self, sid: Sid) -> String;

    /// Whether a learner that has said who it is may stay: not when the last descriptors are needed for members.
    fn has_room_for(&self, handler: &LearnerHandler) -> bool;

    /// An id for a learner that has not said its own (Java: getAndDecrementFollowerCounter).
    fn next_anonymous_sid(&self) -> Sid;

    /// Waits for the epoch that is to come.
    ///
    /// # Errors
    /// When there is none in time.
    fn epoch_to_propose(
        &self,
        sid: Sid,
        last_accepted: PeerEpoch,
    ) -> Result<PeerEpoch, AgreementError>;

    /// A learner has taken the epoch; waits until enough have.
    ///
    /// # Errors
    /// When there are not enough in time, or when this one has more history than the master.
    fn wait_for_epoch_ack(&self, sid: Sid, summary: StateSummary) -> Result<(), AgreementError>;

    /// A learner has the history; waits until enough have.
    ///
    /// # Errors
    /// When there are not enough in time.
    fn wait_for_new_leader_ack(&self, sid: Sid, zxid: Zxid) -> Result<(), AgreementError>;

    /// Waits until it serves.
    ///
    /// # Errors
    /// When it ends before.
    fn wait_for_startup(&self) -> Result<(), AgreementError>;

    /// Sends a learner all that comes from now on. While nothing can be proposed or committed, `queue` queues what it lacks up
    /// to now and says which transaction is the last of it; none when it cannot yet: then nothing has happened, and this is
    /// false (Java: startForwarding).
    fn start_forwarding(
        &self,
        handler: &Arc<LearnerHandler>,
        queue: &mut dyn FnMut() -> Option<Zxid>,
    ) -> bool;

    /// UPTODATE is queued for the learner: from here on it answers what it is sent.
    fn learner_is_up_to_date(&self, handler: &Arc<LearnerHandler>);

    /// A learner has these on disk, in this order.
    fn process_acks(&self, handler: &LearnerHandler, zxids: &[Zxid]);

    /// A learner has answered a PING.
    fn process_ping(&self, handler: &LearnerHandler);

    /// A session has shown a sign of life at a learner.
    fn touch(&self, session_id: SessionId, timeout_ms: i32);

    /// Whether a client may go on with its session at that learner, which owns it then.
    fn revalidate_session(
        &self,
        handler: &LearnerHandler,
        session_id: SessionId,
        timeout_ms: i32,
    ) -> bool;

    /// What a learner's clients ask for, in order.
    fn submit_learner_requests(&self, requests: &mut Vec<Box<Request>>);

    /// Sends and applies what the calls before have brought about. No lock is held.
    fn flush(&self);
}
