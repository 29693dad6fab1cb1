//! The first processor of a leader, for its own clients: refuses what has no chance before it is proposed, if that is
//! switched on, and makes a local session a global one when it needs to be (Java:
//! server/quorum/LeaderRequestProcessor.java).
//!
//! Threads and locks: none. What learners forward enters behind it.

use std::sync::{Arc, Weak};

use log::{info, warn};

use crate::server::processor_queue::Worker;
use crate::server::request::Request;
use crate::server::request_processor::{Left, RequestProcessor};
use crate::server::util::serialize_utils::TxnBody;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::txn::ErrorTxn;
use crate::zoo_defs::OpCode;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.LeaderRequestProcessor";

/// The processor.
pub(crate) struct LeaderRequestProcessor {
    server: Weak<ZooKeeperServer>,
    next: Arc<dyn RequestProcessor>,
}

impl LeaderRequestProcessor {
    /// A processor before `next`.
    #[must_use]
    pub(crate) fn new(server: &Arc<ZooKeeperServer>, next: Arc<dyn RequestProcessor>) -> Self {
        Self { server: Arc::downgrade(server), next }
    }
}

impl RequestProcessor for LeaderRequestProcessor {
    fn process_request(&self, request: Box<Request>) {
        self.process_requests(&mut vec![request]);
    }

    fn process_requests(&self, requests: &mut Vec<Box<Request>>) {
        let Some(server) = self.server.upgrade() else { return requests.clear() };
        let checks_eagerly = server.access().is_eager_acl_check_enabled();
        if !checks_eagerly && !server.session_tracker().is_local_sessions_enabled() {
            return self.next.process_requests(requests);
        }
        let mut all = Vec::with_capacity(requests.len() + 1);
        for mut request in requests.drain(..) {
            if !server.auth_write_request(&mut request) {
                // The next processors hand it on unchanged, so that it is answered in its turn.
                all.push(request);
                continue;
            }
            match server.role().check_upgrade_session(&request) {
                Ok(upgrade) => all.extend(upgrade),
                Err(refusal) => {
                    warn!(target: LOG, "Error creating upgrade request: {refusal}");
                    if let Some(hdr) = &mut request.hdr {
                        hdr.r#type = OpCode::Error.code();
                        request.txn = Some(TxnBody::Error(ErrorTxn { err: refusal.code() }));
                    }
                    request.exception = Some(refusal);
                }
            }
            all.push(request);
        }
        self.next.process_requests(&mut all);
    }

    fn flush(&self, by: Worker) -> Left {
        self.next.flush(by)
    }

    fn shutdown(&self) {
        info!(target: LOG, "Shutting down");
        self.next.shutdown();
    }
}
