//! Forwards the requests of a learner's clients to its leader (Java: what server/quorum/FollowerRequestProcessor.java
//! and ObserverRequestProcessor.java have in common).
//!
//! Threads: one, with the name of the Java class. While it is idle, the thread that brings a request forwards it (see
//! `processor_queue`). Requests are forwarded in the order in which they wait in the commit processor; the link keeps
//! the order of syncs. Locks: `FirstProcessor` during a step, below it the commit processor's lock, and below that the
//! lock of the link's output. For a sync, the link's own lock is held around the last two.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use log::{error, info, warn};

use super::request_shape;
use crate::keeper_exception::KeeperError;
use crate::server::processor_queue::{ProcessorQueue, Worker, add_queue_sizes};
use crate::server::quorum::commit_processor::{self, CommitProcessor};
use crate::server::quorum::leader_link::{LeaderLink, SyncAsker};
use crate::server::quorum::learner_zookeeper_server::LearnerRole;
use crate::server::request::Request;
use crate::server::server_role::ServerRole;
use crate::server::zoo_trace::CLIENT_REQUEST_TRACE_MASK;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::util::lock_rank::Rank;
use crate::zoo_defs::OpCode;

/// How often a caller forwards what was queued meanwhile, before the thread takes over. A step costs less than waking
/// the thread.
const CALLERS_ROUNDS: u32 = 8;

/// Forwards requests.
pub(in crate::server::quorum) struct RequestForwarder {
    server: std::sync::Weak<ZooKeeperServer>,
    role: Arc<LearnerRole>,
    queued_requests: ProcessorQueue<(Way, Box<Request>), ()>,
    commit_processor: Arc<CommitProcessor>,
    /// The logger of the Java class that it stands in for.
    log_target: &'static str,
}

/// How a request is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server::quorum) enum Way {
    /// The leader proposes and commits it.
    Leader,
    /// The leader answers when everything before it is committed.
    Sync,
    /// It is handled here, after the earlier requests of its session.
    Here,
}

/// How the request is handled.
pub(in crate::server::quorum) fn way_of(request: &Request) -> Way {
    if request.is_throttled {
        return Way::Here;
    }
    match OpCode::try_from(request.op_type) {
        Ok(OpCode::Sync) => Way::Sync,
        Ok(OpCode::CreateSession | OpCode::CloseSession) if request.is_local_session => Way::Here,
        Ok(OpCode::Check) => Way::Leader,
        Ok(op) if Request::is_write(op) => Way::Leader,
        _ => Way::Here,
    }
}

impl RequestForwarder {
    /// With its thread started, which has the name of the Java class that `log_target` ends with.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub(in crate::server::quorum) fn start(
        server: &Arc<ZooKeeperServer>,
        role: &Arc<LearnerRole>,
        commit_processor: &Arc<CommitProcessor>,
        log_target: &'static str,
    ) -> io::Result<Arc<Self>> {
        let forwarder = Arc::new(Self {
            server: Arc::downgrade(server),
            role: Arc::clone(role),
            queued_requests: ProcessorQueue::new(
                Rank::FirstProcessor,
                "right to forward",
                CALLERS_ROUNDS,
                (),
            ),
            commit_processor: Arc::clone(commit_processor),
            log_target,
        });
        let class = log_target.rsplit('.').next().unwrap_or(log_target);
        let name = format!("{class}:{}", server.server_id());
        let this = Arc::clone(&forwarder);
        forwarder.queued_requests.start(&name, server.listener(), move || this.run(class))?;
        Ok(forwarder)
    }

    /// The thread.
    fn run(&self, class: &str) -> Result<(), Infallible> {
        self.queued_requests.run(|(), group| {
            self.forward_all(group);
            self.flush_next(Worker::OwnThread);
            Ok::<(), Infallible>(())
        })?;
        info!(target: self.log_target, "{class} exited loop!");
        Ok(())
    }

    /// Queues a request, preceded by the request that upgrades its session, if any (Java: processRequest). What is
    /// decided here holds for the requests that come next: the end of a session that has just become global is not
    /// that of a local one.
    pub(in crate::server::quorum) fn process_request(&self, mut request: Box<Request>) {
        let Some(server) = self.server.upgrade() else { return };
        request.trace(self.log_target, CLIENT_REQUEST_TRACE_MASK, 'F');
        if way_of(&request) == Way::Leader
            && !request_shape::is_well_formed(&request, server.limits())
        {
            // Do not forward it: a Java leader would propose it with the zxid of the previous transaction, and commit
            // nothing more.
            error!(target: self.log_target, "Failed to process {request}: its body is not that of its operation");
            request.exception = Some(KeeperError::MarshallingError);
            return self.queued_requests.put((Way::Here, request));
        }
        if !server.auth_write_request(&mut request) {
            return self.queued_requests.put((Way::Here, request));
        }
        match self.role.check_upgrade_session(&request) {
            Ok(None) => {}
            Ok(Some(upgrade)) => self.queued_requests.put((way_of(&upgrade), upgrade)),
            Err(refusal) => {
                warn!(target: self.log_target, "Error creating upgrade request: {refusal}");
                request.exception = Some(refusal);
            }
        }
        self.queued_requests.put((way_of(&request), request));
    }

    fn forward_all(&self, group: &mut Vec<(Way, Box<Request>)>) {
        let Some(server) = self.server.upgrade() else { return group.clear() };
        let sizes = &server.server_metrics().learner_request_processor_queue_size;
        add_queue_sizes(&**sizes, group.len());
        for (way, request) in group.drain(..) {
            self.forward(way, request);
        }
    }

    fn forward(&self, way: Way, request: Box<Request>) {
        let link = self.role.link();
        if way == Way::Here {
            return self.commit_processor.process_request(request);
        }
        let packet = LeaderLink::request_packet(&request);
        let asker = SyncAsker::Client((request.session_id, request.cxid));
        let send = || self.commit_processor.expect_answer(request, || link.queue(&packet));
        if way == Way::Sync { link.queue_sync(asker, send) } else { send() }
    }

    /// Has the queued requests forwarded, and those done that need not be.
    pub(in crate::server::quorum) fn flush(&self, by: Worker) {
        let Ok(()) = self.queued_requests.work(by, |(), group| {
            self.forward_all(group);
            Ok::<(), Infallible>(())
        });
        self.flush_next(by);
    }

    fn flush_next(&self, by: Worker) {
        self.role.link().flush();
        self.commit_processor.flush(by);
    }

    /// Ends the thread. The remaining requests are not forwarded; their clients ask another server.
    pub(in crate::server::quorum) fn shutdown(&self) {
        self.queued_requests.end(|(), left| {
            left.drain(..).for_each(|(_, request)| commit_processor::turn_away(&request));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;

    #[test]
    fn the_leader_gets_what_changes_something_and_what_waits_for_that() {
        let way = |op: OpCode, is_local_session, is_throttled| {
            let mut request = Request::new(None, SessionId(1), 1, op.code(), None, Arc::new([]));
            request.is_local_session = is_local_session;
            request.is_throttled = is_throttled;
            way_of(&request)
        };
        for op in [OpCode::Create, OpCode::Multi, OpCode::Reconfig, OpCode::CreateSession] {
            assert_eq!(way(op, false, false), Way::Leader, "{op:?}");
            assert_eq!(way(op, false, true), Way::Here, "{op:?} that is throttled");
        }
        assert_eq!(way(OpCode::Sync, false, false), Way::Sync);
        assert_eq!(way(OpCode::CloseSession, true, false), Way::Here);
        assert_eq!(way(OpCode::Create, true, false), Way::Leader);
        assert_eq!(way(OpCode::GetData, false, false), Way::Here);
    }
}
