//! The leader, as the processors and the role of its server see it (no Java twin: they have the Leader itself).

use crate::ids::Zxid;
use crate::keeper_exception::KeeperError;
use crate::proto::ReconfigRequest;
use crate::server::admin::json_outputter::Json;
use crate::server::request::Request;

/// What the server of a leader needs of the leader.
pub(crate) trait Proposer: Send + Sync {
    /// Proposes a transaction (Java: propose). Returns false when it is not proposed, because the leader is ending or
    /// the epoch has no zxids left. Called with the outstanding changes locked, so that zxids come in order.
    fn propose(&self, request: Box<Request>) -> bool;

    /// Handles a learner's sync, in order with the learner's other requests.
    fn process_learner_sync(&self, request: &Request);

    /// Handles a sync of one of the leader's own clients.
    fn process_local_sync(&self, request: Box<Request>);

    /// The leader's own log has these transactions on disk (Java: processAck by AckRequestProcessor).
    fn process_own_acks(&self, zxids: &[Zxid]);

    /// The tree has all transactions up to `zxid`.
    fn applied(&self, zxid: Zxid);

    /// Called before a group is written to the leader's own log: sends queued proposals, so that followers log them
    /// meanwhile.
    fn logging_begins(&self);

    /// Sends the packets that are queued for learners, unless it pays to hold them back for a moment.
    fn flush_learners(&self);

    /// Looks up the hosts that a `reconfig` request names. This may take seconds.
    fn look_up_hosts(&self, request: &ReconfigRequest);

    /// Makes the configuration that the request asks for, to be proposed with that zxid. `is_allowed` is checked last.
    /// Called with the outstanding changes and the tree locked.
    ///
    /// # Errors
    /// The answer to the client.
    fn next_config(
        &self,
        request: &ReconfigRequest,
        zxid: Zxid,
        is_allowed: &dyn Fn() -> Result<(), KeeperError>,
    ) -> Result<String, KeeperError>;

    /// The number of connected learners.
    fn learner_count(&self) -> usize;

    /// The number of followers that receive proposals.
    fn synced_followers(&self) -> usize;

    /// The number of those followers that do not vote.
    fn synced_non_voting_followers(&self) -> usize;

    /// The number of observers that receive commits.
    fn synced_observers(&self) -> usize;

    /// The number of syncs that wait for an answer.
    fn pending_syncs(&self) -> usize;

    /// How long the leader has served, in ms.
    fn uptime_ms(&self) -> i64;

    /// What the AdminServer shows of each observer.
    fn observer_infos(&self) -> Vec<Json>;

    /// Sets the statistics of the connections of observers to zero.
    fn reset_observer_stats(&self);
}
