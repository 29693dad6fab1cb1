//! The server of a follower (Java: server/quorum/FollowerZooKeeperServer.java).
//!
//! `FollowerRequestProcessor` > `CommitProcessor` > `FinalRequestProcessor`, plus `SyncRequestProcessor` >
//! `SendAckRequestProcessor` for the leader's proposals. Threads: those of its processors; proposals and commits
//! arrive on the peer's thread. Locks: none of its own.
//!
//! Elsewhere: processObserverRequest is `submit_learner_requests` in `observer_master`.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use log::warn;

use super::commit_processor::CommitProcessor;
use super::follower_request_processor::FollowerRequestProcessor;
use super::leader_link::SyncAsker;
use super::learner::learner_txn::{LearnerTxn, sync_request};
use super::learner::{Learner, LearnerError};
use super::learner_session_tracker::LearnerSessionTracker;
use super::observer_master::ObserverMaster;
use super::send_ack_request_processor::SendAckRequestProcessor;
use crate::ids::Zxid;
use crate::server::final_request_processor::FinalRequestProcessor;
use crate::server::processor_queue::Worker;
use crate::server::request::Request;
use crate::server::request_processor::RequestProcessor;
use crate::server::sync_request_processor::SyncRequestProcessor;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.FollowerZooKeeperServer";

/// The uncommitted proposals, in order (Java: pendingTxns). Pure data.
#[derive(Default)]
pub(super) struct PendingTxns {
    txns: VecDeque<LearnerTxn>,
    last: Zxid,
}

impl PendingTxns {
    /// No proposals yet, after that transaction.
    pub(super) const fn after(last: Zxid) -> Self {
        Self { txns: VecDeque::new(), last }
    }

    /// The last proposal.
    pub(super) const fn last(&self) -> Zxid {
        self.last
    }

    /// The next proposal to be committed.
    pub(super) fn first(&self) -> Option<&LearnerTxn> {
        self.txns.front()
    }

    fn push(&mut self, txn: LearnerTxn) {
        self.last = txn.zxid();
        self.txns.push_back(txn);
    }

    /// Takes the next proposal, which must have that zxid. `None` when nothing is pending and the zxid was proposed
    /// before: it is committed already.
    ///
    /// # Errors
    /// When the next proposal is a different one, or the zxid was never proposed.
    fn take(&mut self, zxid: Zxid) -> Result<Option<LearnerTxn>, LearnerError> {
        let pending = self.first().map(LearnerTxn::zxid);
        match pending {
            Some(pending) if pending == zxid => Ok(self.txns.pop_front()),
            None if zxid <= self.last => Ok(None),
            _ => Err(LearnerError::Unmatched { zxid, pending }),
        }
    }
}

/// The server of a follower.
pub(super) struct FollowerZooKeeperServer {
    commit_processor: Arc<CommitProcessor>,
    sync_processor: Arc<SyncRequestProcessor>,
}

impl FollowerZooKeeperServer {
    /// Starts to serve (Java: setupRequestProcessors, startup).
    ///
    /// # Errors
    /// When a thread cannot be started; then no thread is left running.
    pub(super) fn start(
        learner: &Learner,
        tracker: &Arc<LearnerSessionTracker>,
    ) -> io::Result<Self> {
        let (server, role) = (learner.zookeeper_server(), learner.role());
        let final_processor = Arc::new(FinalRequestProcessor::new(server));
        let commit_processor = CommitProcessor::start(server, final_processor)?;
        let send_ack = Arc::new(SendAckRequestProcessor::new(
            Arc::clone(learner.link()),
            Arc::clone(server.clock()),
            Arc::clone(server.shared_metrics()),
        ));
        let log = server.zk_database().appender(server.settings().snap);
        let sync_processor = SyncRequestProcessor::start(server, log, Some(send_ack))
            .inspect_err(|_| commit_processor.shutdown())?;
        let first =
            FollowerRequestProcessor::start(server, role, &commit_processor, &sync_processor)
                .inspect_err(|_| {
                    sync_processor.shutdown();
                    commit_processor.shutdown();
                })?;
        role.startup(server, tracker, Arc::clone(&first) as _).inspect_err(|_| first.shutdown())?;
        Ok(Self { commit_processor, sync_processor })
    }

    /// Queues a proposal to be logged and acknowledged (Java: logRequest). The caller flushes.
    pub(super) fn log_request(&self, pending: &mut PendingTxns, txn: LearnerTxn) {
        self.sync_processor.process_request(txn.log_request());
        pending.push(txn);
    }

    /// Commits and applies the next proposal. The caller flushes.
    ///
    /// # Errors
    /// When the next proposal is a different one.
    pub(super) fn commit(
        &self,
        pending: &mut PendingTxns,
        zxid: Zxid,
    ) -> Result<Option<Zxid>, LearnerError> {
        let Some(txn) = pending.take(zxid)? else {
            warn!(target: LOG, "Committing {zxid} without seeing txn");
            return Ok(None);
        };
        let request: Box<Request> = txn.commit_request();
        self.commit_processor.commit(request);
        Ok(Some(zxid))
    }

    /// The leader has committed everything before the `sync` of a client, or of an observer's client. The caller
    /// flushes.
    pub(super) fn sync(&self, learner: &Learner, observers: Option<&ObserverMaster>) {
        match learner.link().take_sync() {
            Some(SyncAsker::Client((session_id, cxid))) => {
                self.commit_processor.commit(sync_request(session_id, cxid));
            }
            Some(SyncAsker::Learner(owner)) => {
                if let Some(observers) = observers {
                    observers.answer_sync(owner);
                }
            }
            None => {}
        }
    }

    /// Sends, applies, logs and acknowledges what has been collected. Commits come before the disk, since clients
    /// wait for them.
    pub(super) fn flush(&self, learner: &Learner) {
        self.flush_committed(learner);
        self.flush_log();
    }

    /// Sends and applies what has been collected.
    pub(super) fn flush_committed(&self, learner: &Learner) {
        learner.link().flush();
        self.commit_processor.flush(Worker::Caller);
    }

    /// Logs and acknowledges what has been collected.
    pub(super) fn flush_log(&self) {
        self.sync_processor.flush(Worker::Caller);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;
    use crate::txn::TxnHeader;

    fn txn(zxid: i64) -> LearnerTxn {
        let header =
            TxnHeader { client_id: SessionId(1), cxid: 1, zxid: Zxid(zxid), time: 0, r#type: -11 };
        LearnerTxn { header, txn: None, digest: None, bytes: Arc::default() }
    }

    #[test]
    fn proposals_are_committed_in_their_order_alone() {
        let mut pending = PendingTxns::after(Zxid(4));
        pending.push(txn(5));
        pending.push(txn(6));
        let error = pending.take(Zxid(6)).unwrap_err();
        assert!(matches!(error, LearnerError::Unmatched { pending: Some(Zxid(5)), .. }), "{error}");
        assert_eq!(pending.take(Zxid(5)).unwrap().unwrap().zxid(), Zxid(5));
        assert_eq!(pending.take(Zxid(6)).unwrap().unwrap().zxid(), Zxid(6));
        assert!(pending.take(Zxid(6)).unwrap().is_none(), "committed already");
        assert!(pending.take(Zxid(7)).is_err(), "never proposed");
    }
}
