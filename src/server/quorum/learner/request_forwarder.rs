//! Forwards the requests of a learner's clients to its leader (Java: what server/quorum/FollowerRequestProcessor.java
//! and ObserverRequestProcessor.java have in common).
//!
//! Threads: none; the thread that brings a request forwards it. In Java one thread forwards the requests of all
//! clients, one after the other. Requests are forwarded in the order in which they wait in the commit processor; the
//! link keeps the order of syncs. Locks: the commit processor's lock, and under it that of the link's output. For a
//! sync, the link's own lock is held around both.

use std::sync::Arc;

use log::{error, warn};

use super::leader_link::LeaderLink;
use super::request_shape;
use crate::keeper_exception::KeeperError;
use crate::server::quorum::commit_processor::CommitProcessor;
use crate::server::quorum::learner_zookeeper_server::LearnerRole;
use crate::server::request::Request;
use crate::server::server_role::ServerRole;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::zoo_defs::OpCode;

/// Forwards requests.
pub(in crate::server::quorum) struct RequestForwarder {
    server: std::sync::Weak<ZooKeeperServer>,
    role: Arc<LearnerRole>,
    commit_processor: Arc<CommitProcessor>,
    /// The Java class that it stands in for.
    log_target: &'static str,
}

/// How a request is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The leader proposes and commits it.
    Leader,
    /// The leader answers when everything before it is committed.
    Sync,
    /// It is handled here, after the earlier requests of its session.
    Here,
}

fn way_of(request: &Request) -> Way {
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
    pub(in crate::server::quorum) fn new(
        server: &Arc<ZooKeeperServer>,
        role: &Arc<LearnerRole>,
        commit_processor: &Arc<CommitProcessor>,
        log_target: &'static str,
    ) -> Self {
        Self {
            server: Arc::downgrade(server),
            role: Arc::clone(role),
            commit_processor: Arc::clone(commit_processor),
            log_target,
        }
    }

    /// Takes a request, preceded by the request that upgrades its session, if any.
    pub(in crate::server::quorum) fn process_request(&self, mut request: Box<Request>) {
        let Some(server) = self.server.upgrade() else { return };
        if way_of(&request) == Way::Leader
            && !request_shape::is_well_formed(&request, server.limits())
        {
            // Do not forward it: a Java leader would propose it with the zxid of the previous transaction, and commit
            // nothing more.
            error!(target: self.log_target, "Failed to process {request}: its body is not that of its operation");
            request.exception = Some(KeeperError::MarshallingError);
            return self.commit_processor.process_request(request);
        }
        if !server.auth_write_request(&mut request) {
            // The refusal is answered here, in order.
            return self.commit_processor.process_request(request);
        }
        match self.role.check_upgrade_session(&server, &request) {
            Ok(None) => {}
            Ok(Some(upgrade)) => self.forward(upgrade),
            Err(refusal) => {
                warn!(target: self.log_target, "Error creating upgrade request: {refusal}");
                request.exception = Some(refusal);
            }
        }
        self.forward(request);
    }

    fn forward(&self, request: Box<Request>) {
        let (link, way) = (self.role.link(), way_of(&request));
        if way == Way::Here {
            return self.commit_processor.process_request(request);
        }
        let packet = LeaderLink::request_packet(&request);
        let key = (request.session_id, request.cxid);
        let send = || self.commit_processor.expect_answer(request, || link.queue(&packet));
        if way == Way::Sync { link.queue_sync(key, send) } else { send() }
    }

    /// Sends the requests that were taken.
    pub(in crate::server::quorum) fn flush(&self) {
        self.role.link().flush();
        self.commit_processor.flush();
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
