//! `FinalRequestProcessor`: applies transactions and answers requests (Java: server/FinalRequestProcessor.java).
//!
//! Threads: none of its own. Without an ensemble, the thread that has written a group of transactions to disk
//! applies it here; in an ensemble, the commit processor does. A connection's reader answers the reads of a session
//! that has no write under way. Differs from Java: a group is applied under one exclusive lock of the tree, and
//! reads never wait for the log of another session.
//! Locks: the tree. Replies are queued under this lock and sent after it is released.
//!
//! `reads` and `multi_read` contain the reads, `replies` the writing of answers.
//!
//! Elsewhere: closeSession is `close_cnxn_of_session` of `zookeeper_server`.

mod multi_read;
mod reads;
mod replies;

use std::sync::Arc;

use log::{debug, error};

pub(crate) use self::reads::{NotAnswered, Reads, may_take_long};
use super::committed_log::CommittedProposal;
use super::data_tree::{DataTree, ProcessTxnResult};
use super::exit_code::ExitCode;
use super::request::Request;
use super::server_cnxn::{DisconnectReason, ServerCnxn};
use super::sync_request_processor::GroupProcessor;
use super::zoo_trace::SERVER_PING_TRACE_MASK;
use super::zookeeper_server::ZooKeeperServer;
use crate::ids::{SessionId, Zxid};
use crate::keeper_exception::KeeperError;
use crate::server::util::serialize_utils::TxnBody;
use crate::zoo_defs::OpCode;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.FinalRequestProcessor";

/// The xid of pings.
const PING_XID: i32 = -2;

/// The last processor of every chain.
pub(crate) struct FinalRequestProcessor {
    server: std::sync::Weak<ZooKeeperServer>,
}

/// What must wait until the tree's lock is released.
#[derive(Default)]
struct Afterwards {
    /// Sessions that were closed by a request without a connection to this server: their connections are closed.
    ended_sessions: Vec<SessionId>,
    /// The last transaction that was applied.
    applied: Option<Zxid>,
    /// Connections whose session has just been created.
    connected: Vec<Arc<ServerCnxn>>,
}

impl FinalRequestProcessor {
    /// The processor of a server.
    #[must_use]
    pub(crate) fn new(server: &Arc<ZooKeeperServer>) -> Self {
        Self { server: Arc::downgrade(server) }
    }
}

/// A group of requests that is being applied, and what it works on.
struct Group<'a> {
    server: &'a Arc<ZooKeeperServer>,
    tree: &'a mut DataTree,
    afterwards: &'a mut Afterwards,
}

impl Group<'_> {
    /// Applies the request's transaction to the tree (Java: applyRequest, with ZooKeeperServer.processTxn).
    fn apply_request(&mut self, request: &mut Request) -> ProcessTxnResult {
        self.server.process_txn_for_session_events(request);
        let result = match (&request.hdr, request.txn.take()) {
            (Some(hdr), txn) => {
                // The audit log and the answer need this error later.
                let error = match &txn {
                    Some(TxnBody::Error(error)) => Some(error.clone()),
                    _ => None,
                };
                let digest = request.txn_digest.as_ref();
                let result = self.tree.process_txn_with_digest(hdr, txn, digest);
                self.afterwards.applied = Some(hdr.zxid);
                request.txn = error.map(TxnBody::Error);
                result
            }
            (None, _) => ProcessTxnResult::default(),
        };
        if request.op_type == OpCode::CloseSession.code() && request.cnxn.is_none() {
            self.afterwards.ended_sessions.push(request.session_id);
        }
        if let Some(hdr) = &request.hdr {
            let latency = self.server.clock().wall_ms() - hdr.time;
            if latency >= 0 {
                self.server.server_metrics().propagation_latency.add(latency);
            }
        }
        result
    }

    /// Adds a transaction to the committed log, if there is one (Java: addCommittedProposal). Returns false if a
    /// transaction before it is missing: it must not be applied then, and the server stops.
    fn keep_for_learners(&self, request: &Request) -> bool {
        let (Some(log), Some(hdr)) = (self.server.zk_database().committed_log(), &request.hdr)
        else {
            return true;
        };
        let bytes = Arc::clone(&request.txn_bytes);
        let added = log.write().add(CommittedProposal { zxid: hdr.zxid, bytes });
        if let Err(hole) = &added {
            error!(target: LOG, "Severe unrecoverable error, exiting: {hole}");
            self.server.listener().notify_stopping("CommitProcessor", ExitCode::UnexpectedError);
        }
        added.is_ok()
    }

    /// Applies and answers a request, and answers the reads of its session that waited for it (Java: processRequest).
    fn process_request(&mut self, mut request: Box<Request>) {
        if !self.keep_for_learners(&request) {
            return;
        }
        request.trace(LOG, SERVER_PING_TRACE_MASK, 'E');
        let result = (!request.is_throttled).then(|| self.apply_request(&mut request));
        let Some(cnxn) = request.cnxn.clone() else { return };
        self.server.request_finished(&request);
        self.reply(&cnxn, &request, result);
        let mut next = cnxn.pipeline_done();
        // The request no longer counts when its answer is sent, and a read no longer counts when the next answer is
        // made.
        drop(request);
        while let Some(read) = next {
            reads::answer_parked(self.server, self.tree, &cnxn, &read);
            next = cnxn.read_done();
        }
        cnxn.queue_flush();
    }

    /// The error that answers the request, if the request was refused before it got here.
    fn refusal(request: &Request) -> Option<KeeperError> {
        if let Some(hdr) = &request.hdr
            && hdr.r#type == OpCode::Error.code()
        {
            return Some(request.exception.unwrap_or_else(|| match &request.txn {
                Some(TxnBody::Error(error)) => {
                    KeeperError::try_from(error.err).unwrap_or(KeeperError::SystemError)
                }
                _ => KeeperError::SystemError,
            }));
        }
        match request.exception {
            Some(KeeperError::SessionMoved) => Some(KeeperError::SessionMoved),
            // A multi has its errors in its parts, unless it never became a transaction, as on a read-only server.
            Some(exception) if request.op_type != OpCode::Multi.code() || request.hdr.is_none() => {
                Some(exception)
            }
            _ if request.is_throttled => Some(KeeperError::ThrottledOp),
            _ => None,
        }
    }

    fn reply(
        &mut self,
        cnxn: &Arc<ServerCnxn>,
        request: &Request,
        result: Option<ProcessTxnResult>,
    ) {
        let last_zxid = self.tree.last_processed_zxid();
        replies::note_if_stale(self.server, request);
        replies::audit(self.server, cnxn, request, result.as_ref());
        let (operation, answer) = match Self::refusal(request) {
            Some(refusal) => ("NA", Err(refusal)),
            None => {
                let result = result.unwrap_or_default();
                self.answer(cnxn, request, &result, last_zxid)
            }
        };
        match answer {
            Ok(Some(body)) => self.send(cnxn, request, operation, last_zxid, 0, &body),
            Ok(None) => {}
            Err(KeeperError::SessionMoved) => return cnxn.send_close_session(),
            // Without statistics: Java's read-only server answers before the processor that counts.
            Err(refusal @ KeeperError::NotReadOnly) => {
                cnxn.append_reply(request.cxid, last_zxid, refusal.code(), |_| {});
            }
            Err(refusal) => {
                let zxid = if request.is_refused_eagerly { Zxid(0) } else { last_zxid };
                self.send(cnxn, request, operation, zxid, refusal.code(), &[]);
            }
        }
        if request.op_type == OpCode::CloseSession.code() {
            cnxn.send_close_session();
        }
    }

    /// The operation's short name and the body of its answer; `Ok(None)` if another function makes the answer.
    fn answer(
        &mut self,
        cnxn: &Arc<ServerCnxn>,
        request: &Request,
        result: &ProcessTxnResult,
        last_zxid: Zxid,
    ) -> (&'static str, Result<Option<Vec<u8>>, KeeperError>) {
        let Ok(op) = OpCode::try_from(request.op_type) else {
            return ("NA", Ok(Some(Vec::new())));
        };
        match op {
            OpCode::CreateSession => {
                replies::update_stats(self.server, cnxn, request, "SESS", last_zxid);
                self.afterwards.connected.push(Arc::clone(cnxn));
                ("SESS", Ok(None))
            }
            _ if Request::is_write(op) => {
                let (name, body) = replies::write_body(self.server, op, result);
                if let Some(path) = &result.path {
                    self.server.path_stats().register_request(op, path);
                }
                match body {
                    // The tree has refused a transaction that Prep accepted. The client is told; a failed multi
                    // tells it in its parts.
                    Ok(_) if result.err != 0 && op != OpCode::Multi => {
                        error!(target: LOG, "{request} failed when it was applied: {}", result.err);
                        let refusal = KeeperError::try_from(result.err);
                        (name, Err(refusal.unwrap_or(KeeperError::SystemError)))
                    }
                    Ok(body) => (name, Ok(Some(body))),
                    Err(refusal) => (name, Err(refusal)),
                }
            }
            _ => {
                reads::answer_parked(self.server, self.tree, cnxn, request);
                ("NA", Ok(None))
            }
        }
    }

    fn send(
        &self,
        cnxn: &Arc<ServerCnxn>,
        request: &Request,
        operation: &'static str,
        last_zxid: Zxid,
        err: i32,
        body: &[u8],
    ) {
        replies::update_stats(self.server, cnxn, request, operation, last_zxid);
        let len = cnxn.append_reply(request.cxid, last_zxid, err, |bytes| {
            bytes.extend_from_slice(body);
        });
        self.server.server_metrics().response_bytes.add(i64::try_from(len).unwrap_or(i64::MAX));
    }
}

impl GroupProcessor for FinalRequestProcessor {
    fn process_group(&self, requests: &mut Vec<Box<Request>>) {
        let Some(server) = self.server.upgrade() else { return requests.clear() };
        let mut afterwards = Afterwards::default();
        {
            let mut tree = server.zk_database().tree().write();
            let mut group = Group { server: &server, tree: &mut tree, afterwards: &mut afterwards };
            for request in requests.drain(..) {
                group.process_request(request);
            }
        }
        if let Some(zxid) = afterwards.applied {
            // Only after the changes are in the tree: in between, Prep finds a change in both places, never in
            // neither.
            let removed = server.outstanding_changes().lock().applied(zxid);
            let removed = i64::try_from(removed).unwrap_or(i64::MAX);
            server.server_metrics().outstanding_changes_removed.add(removed);
        }
        for session_id in afterwards.ended_sessions {
            server.close_cnxn_of_session(session_id, DisconnectReason::ClientClosedSession);
        }
        for cnxn in afterwards.connected {
            server.finish_session_init(&cnxn, true);
        }
        server.flush_list().flush();
    }

    fn shutdown(&self) {
        debug!(target: LOG, "shutdown of request processor complete");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::txn::TxnHeader;

    #[test]
    fn a_multi_is_refused_as_a_whole_only_when_there_is_no_transaction() {
        let op = OpCode::Multi.code();
        let mut request = Request::new(None, SessionId(1), 1, op, None, Arc::new([]));
        assert_eq!(Group::refusal(&request), None);
        request.exception = Some(KeeperError::NotReadOnly);
        assert_eq!(Group::refusal(&request), Some(KeeperError::NotReadOnly));
        request.hdr = Some(TxnHeader { r#type: op, ..TxnHeader::default() });
        assert_eq!(Group::refusal(&request), None);
    }
}
