//! Proposes transactions to the followers and has them logged here (Java: server/quorum/ProposalRequestProcessor.java).
//!
//! Threads: none of its own. Locks: comes under the outstanding changes; takes the leader's. Proposals are sent before
//! the local log is written, so that followers write theirs at the same time.
//!
//! Differs from Java: what learners ask for goes to the commit processor only when it is committed. It never waits for
//! anything there. So `zookeeper.forward_learner_requests_to_commit_processor_disabled` changes only whether such
//! requests are counted.

use std::sync::{Arc, Weak};

use log::{error, info};

use super::commit_processor::CommitProcessor;
use super::learner_sync_request::is_learner_sync;
use super::proposer::Proposer;
use crate::common::zk_config::SystemProperties;
use crate::server::processor_queue::Worker;
use crate::server::request::Request;
use crate::server::request_processor::{Left, RequestProcessor};
use crate::server::server_metrics::ServerMetrics;
use crate::server::sync_request_processor::SyncRequestProcessor;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::zoo_defs::OpCode;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.ProposalRequestProcessor";

const FORWARD_LEARNER_REQUESTS_TO_COMMIT_PROCESSOR_DISABLED: &str =
    "zookeeper.forward_learner_requests_to_commit_processor_disabled";

/// The processor.
pub(crate) struct ProposalRequestProcessor {
    leader: Weak<dyn Proposer>,
    commit_processor: Arc<CommitProcessor>,
    sync_processor: Arc<SyncRequestProcessor>,
    /// Counts the requests of learners, if an operator wants Java not to forward them.
    not_forwarded: Option<Arc<ServerMetrics>>,
}

impl ProposalRequestProcessor {
    /// A processor before those two.
    pub(crate) fn new(
        server: &ZooKeeperServer,
        properties: &SystemProperties,
        leader: Weak<dyn Proposer>,
        commit_processor: Arc<CommitProcessor>,
        sync_processor: Arc<SyncRequestProcessor>,
    ) -> Self {
        let is_disabled = properties.bool(FORWARD_LEARNER_REQUESTS_TO_COMMIT_PROCESSOR_DISABLED);
        info!(target: LOG, "{FORWARD_LEARNER_REQUESTS_TO_COMMIT_PROCESSOR_DISABLED} = {is_disabled}");
        let not_forwarded = is_disabled.then(|| Arc::clone(server.shared_metrics()));
        Self { leader, commit_processor, sync_processor, not_forwarded }
    }

    fn process(&self, leader: &dyn Proposer, request: Box<Request>) {
        if is_learner_sync(&request) {
            return leader.process_learner_sync(&request);
        }
        let is_local = request.cnxn.is_some();
        if request.owner.is_learner()
            && let Some(metrics) = &self.not_forwarded
        {
            metrics.requests_not_forwarded_to_commit_processor.add(1);
        }
        if request.op_type == OpCode::Sync.code() && !request.is_throttled {
            self.commit_processor.expect(request.session_id, request.cxid);
            return leader.process_local_sync(request);
        }
        let Some(hdr) = request.hdr.clone() else {
            // Refused before it became a transaction, or of a local session.
            if is_local || request.is_local_session {
                self.commit_processor.process_request(request);
            }
            return;
        };
        if request.is_throttled {
            error!(target: LOG, "Throttled request send as proposal: {request}.");
            return;
        }
        let mut logged = Box::new(Request::new(
            None,
            request.session_id,
            request.cxid,
            request.op_type,
            None,
            Arc::clone(&request.auth_info),
        ));
        logged.hdr = Some(hdr);
        logged.zxid = request.zxid;
        logged.txn_bytes = Arc::clone(&request.txn_bytes);
        if is_local {
            self.commit_processor.expect(request.session_id, request.cxid);
        }
        if leader.propose(request) {
            self.sync_processor.process_request(logged);
        }
    }
}

impl RequestProcessor for ProposalRequestProcessor {
    fn process_request(&self, request: Box<Request>) {
        if let Some(leader) = self.leader.upgrade() {
            self.process(&*leader, request);
        }
    }

    fn process_requests(&self, requests: &mut Vec<Box<Request>>) {
        let Some(leader) = self.leader.upgrade() else { return requests.clear() };
        for request in requests.drain(..) {
            self.process(&*leader, request);
        }
    }

    fn flush(&self, by: Worker) -> Left {
        if let Some(leader) = self.leader.upgrade() {
            leader.flush_learners();
        }
        // Its group is acknowledged and, if that is enough, committed on the way.
        let left = self.sync_processor.flush(by);
        self.commit_processor.flush(by);
        left
    }

    fn shutdown(&self) {
        info!(target: LOG, "Shutting down");
        // The log first: its acknowledgements may commit something, which finds the commit processor there.
        self.sync_processor.shutdown();
        self.commit_processor.shutdown();
    }
}
