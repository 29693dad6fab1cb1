//! Applies what is committed, then notes that it is (Java: Leader.ToBeAppliedRequestProcessor).
//!
//! A learner that comes between the commit and the tree gets the transaction from the list of those that are to be
//! applied: it leaves that list only when the committed log has it.

use std::sync::{Arc, Weak};

use log::info;

use super::proposer::Proposer;
use crate::server::final_request_processor::FinalRequestProcessor;
use crate::server::request::Request;
use crate::server::sync_request_processor::GroupProcessor;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.Leader";

/// The processor.
pub(crate) struct ToBeAppliedRequestProcessor {
    next: Arc<FinalRequestProcessor>,
    leader: Weak<dyn Proposer>,
}

impl ToBeAppliedRequestProcessor {
    /// A processor before the last one.
    #[must_use]
    pub(crate) const fn new(next: Arc<FinalRequestProcessor>, leader: Weak<dyn Proposer>) -> Self {
        Self { next, leader }
    }
}

impl GroupProcessor for ToBeAppliedRequestProcessor {
    fn process_group(&self, requests: &mut Vec<Box<Request>>) {
        let last = requests.iter().rev().find_map(|request| Some(request.hdr.as_ref()?.zxid));
        self.next.process_group(requests);
        if let (Some(zxid), Some(leader)) = (last, self.leader.upgrade()) {
            leader.applied(zxid);
        }
    }

    fn shutdown(&self) {
        info!(target: LOG, "Shutting down");
        self.next.shutdown();
    }
}
