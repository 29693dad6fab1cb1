//! What is in the leader's own log is acknowledged by the leader, too (Java: server/quorum/AckRequestProcessor.java).
//!
//! Differs from Java: a whole group that has come to the disk is acknowledged at once.

use std::sync::{Arc, Weak};

use super::proposer::Proposer;
use crate::common::time::Clock;
use crate::ids::Zxid;
use crate::server::request::Request;
use crate::server::server_metrics::ServerMetrics;
use crate::server::sync_request_processor::GroupProcessor;

/// The processor.
pub(crate) struct AckRequestProcessor {
    leader: Weak<dyn Proposer>,
    clock: Clock,
    metrics: Arc<ServerMetrics>,
}

impl AckRequestProcessor {
    /// Acknowledges to that leader.
    #[must_use]
    pub(crate) const fn new(
        leader: Weak<dyn Proposer>,
        clock: Clock,
        metrics: Arc<ServerMetrics>,
    ) -> Self {
        Self { leader, clock, metrics }
    }
}

impl GroupProcessor for AckRequestProcessor {
    fn process_group(&self, requests: &mut Vec<Box<Request>>) {
        let Some(leader) = self.leader.upgrade() else { return requests.clear() };
        let now_ms = self.clock.wall_ms();
        let mut zxids: Vec<Zxid> = Vec::with_capacity(requests.len());
        for request in requests.drain(..) {
            if let Some(hdr) = &request.hdr {
                if now_ms >= hdr.time {
                    self.metrics.proposal_ack_creation_latency.add(now_ms - hdr.time);
                }
                zxids.push(hdr.zxid);
            }
        }
        leader.process_own_acks(&zxids);
    }

    fn group_begins(&self) {
        if let Some(leader) = self.leader.upgrade() {
            leader.logging_begins();
        }
    }

    fn shutdown(&self) {}
}
