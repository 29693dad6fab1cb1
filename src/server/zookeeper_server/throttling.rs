//! Connects requests and the server to the request throttler (Java: parts of server/Request.java and
//! server/ZooKeeperServer.java).

use std::io;
use std::sync::Arc;

use super::ZooKeeperServer;
use crate::common::zk_config::SystemProperties;
use crate::server::processor_queue::Worker;
use crate::server::request::Request;
use crate::server::request_throttler::{
    RequestStaleness, RequestThrottler, RequestThrottlerConfig, ThrottleEvent, ThrottledRequest,
    ThrottlerTarget,
};
use crate::zoo_defs::OpCode;

impl ZooKeeperServer {
    /// Starts a throttler before the processors, if the settings ask for one (Java: startRequestThrottler).
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub fn start_request_throttler(
        self: &Arc<Self>,
        properties: &SystemProperties,
    ) -> io::Result<()> {
        let config = RequestThrottlerConfig::from_properties(properties);
        if config.max_requests > 0 {
            let (clock, listener) = (Arc::clone(self.clock()), self.listener());
            let throttler = RequestThrottler::start(config, clock, Arc::clone(self), listener)?;
            let is_first = self.request_throttler.set(throttler).is_ok();
            assert!(is_first, "a server has one throttler");
        }
        Ok(())
    }
}

impl Request {
    /// Whether nobody waits for its answer any more. Never true for the end of a session, nor without a connection.
    pub fn is_stale(&self, staleness: RequestStaleness, now_ms: i64) -> bool {
        let Some(cnxn) = &self.cnxn else { return false };
        if self.op_type == OpCode::CloseSession.code() {
            return false;
        }
        let is_closed = cnxn.is_stale() || cnxn.is_invalid();
        let age_ms = now_ms - self.create_time_ms;
        staleness.is_stale(is_closed, age_ms, i64::from(cnxn.session_timeout_ms()))
    }
}

impl ThrottledRequest for Box<Request> {
    fn must_drop(&self) -> bool {
        self.cnxn.as_ref().is_some_and(|cnxn| cnxn.is_invalid())
    }

    fn is_stale(&self, staleness: RequestStaleness, now_ms: i64) -> bool {
        Request::is_stale(self, staleness, now_ms)
    }

    fn is_throttlable(&self) -> bool {
        ![OpCode::Ping, OpCode::CloseSession, OpCode::CreateSession]
            .map(OpCode::code)
            .contains(&self.op_type)
    }

    fn set_throttled(&mut self) {
        self.is_throttled = true;
    }
}

impl ThrottlerTarget<Box<Request>> for ZooKeeperServer {
    fn in_process(&self) -> usize {
        usize::try_from(self.in_process()).unwrap_or_default()
    }

    fn submit_request_now(&self, request: Box<Request>) {
        self.submit_request_now(request);
    }

    fn flush(&self) {
        if let Some(first) = self.first_processor.get() {
            first.flush(Worker::Caller);
        }
    }

    fn drop_request(&self, request: Box<Request>) {
        self.request_finished(&request);
        if let Some(cnxn) = &request.cnxn {
            cnxn.set_invalid();
            cnxn.abandon_pending();
        }
        self.flush_list.flush();
    }

    fn observe(&self, event: ThrottleEvent) {
        let metrics = self.server_metrics();
        match event {
            ThrottleEvent::Wait => metrics.request_throttle_wait_count.add(1),
            ThrottleEvent::QueueTime(ms) => metrics.request_throttle_queue_time.add(ms),
            ThrottleEvent::Stale => metrics.stale_requests.add(1),
            ThrottleEvent::StaleDropped => metrics.stale_requests_dropped.add(1),
            ThrottleEvent::ThrottledOp => metrics.throttled_ops.add(1),
        }
    }
}
