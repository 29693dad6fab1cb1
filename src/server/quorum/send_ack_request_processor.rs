//! `SendAckRequestProcessor`: tells the leader what is on this follower's disk (Java:
//! server/quorum/SendAckRequestProcessor.java).
//!
//! Threads: whoever writes the log. A whole group is acknowledged at once. Locks: the link's, for a moment.

use std::sync::Arc;

use super::leader_link::LeaderLink;
use crate::common::time::Clock;
use crate::server::request::Request;
use crate::server::server_metrics::ServerMetrics;
use crate::server::sync_request_processor::GroupProcessor;

/// The last processor of a follower's log.
pub(super) struct SendAckRequestProcessor {
    link: Arc<LeaderLink>,
    clock: Clock,
    metrics: Arc<ServerMetrics>,
}

impl SendAckRequestProcessor {
    pub(super) const fn new(
        link: Arc<LeaderLink>,
        clock: Clock,
        metrics: Arc<ServerMetrics>,
    ) -> Self {
        Self { link, clock, metrics }
    }
}

impl GroupProcessor for SendAckRequestProcessor {
    /// Java: processRequest for each request, and then flush.
    fn process_group(&self, requests: &mut Vec<Box<Request>>) {
        let now_ms = self.clock.wall_ms();
        for hdr in requests.iter().filter_map(|request| request.hdr.as_ref()) {
            // The leader's clock may be ahead.
            if now_ms >= hdr.time {
                self.metrics.proposal_ack_creation_latency.add(now_ms - hdr.time);
            }
            self.link.queue_ack(hdr.zxid);
        }
        requests.clear();
        self.link.flush();
    }

    /// Nothing is behind it.
    fn shutdown(&self) {}
}
