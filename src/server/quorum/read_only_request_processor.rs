//! The chain of a server that is cut off: what would change something is refused, the rest is answered (Java:
//! server/quorum/ReadOnlyRequestProcessor.java, with the processors behind it).
//!
//! Threads: `ReadOnlyRequestProcessor:N`. While it is idle, the thread that brings requests answers them (see
//! `processor_queue`). Locks: the right to answer, across the last processor.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use log::info;

use crate::keeper_exception::KeeperError;
use crate::server::processor_queue::{ProcessorQueue, Worker};
use crate::server::request::Request;
use crate::server::request_processor::{Left, RequestProcessor};
use crate::server::sync_request_processor::GroupProcessor;
use crate::server::zoo_trace::CLIENT_PING_TRACE_MASK;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::util::lock_rank::Rank;
use crate::zoo_defs::OpCode;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.ReadOnlyRequestProcessor";

/// The first processor of a read-only server.
pub(crate) struct ReadOnlyRequestProcessor {
    queued_requests: ProcessorQueue<Box<Request>, ()>,
    next: Arc<dyn GroupProcessor>,
}

impl ReadOnlyRequestProcessor {
    /// A processor before `next`, with its thread started.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub(crate) fn start(
        server: &ZooKeeperServer,
        next: Arc<dyn GroupProcessor>,
    ) -> io::Result<Arc<Self>> {
        let processor = Arc::new(Self {
            queued_requests: ProcessorQueue::new(Rank::SyncProcessor, "right to answer", 1, ()),
            next,
        });
        let this = Arc::clone(&processor);
        let name = format!("ReadOnlyRequestProcessor:{}", server.server_id());
        processor.queued_requests.start(&name, server.listener(), move || this.run())?;
        Ok(processor)
    }

    /// The thread.
    fn run(&self) -> Result<(), Infallible> {
        self.queued_requests.run(|(), group| self.answer(group))?;
        info!(target: LOG, "ReadOnlyRequestProcessor exited loop!");
        Ok(())
    }

    fn answer(&self, group: &mut Vec<Box<Request>>) -> Result<(), Infallible> {
        for request in &*group {
            request.trace(LOG, CLIENT_PING_TRACE_MASK, 'R');
        }
        for request in group.iter_mut().filter(|request| Self::is_refused(request)) {
            request.exception = Some(KeeperError::NotReadOnly);
        }
        self.next.process_group(group);
        Ok(())
    }

    fn is_refused(request: &Request) -> bool {
        match OpCode::try_from(request.op_type) {
            Ok(OpCode::CreateSession | OpCode::CloseSession) => !request.is_local_session,
            Ok(OpCode::Sync | OpCode::Check) => true,
            Ok(op) => Request::is_write(op),
            Err(_) => false,
        }
    }
}

impl RequestProcessor for ReadOnlyRequestProcessor {
    fn process_request(&self, request: Box<Request>) {
        self.queued_requests.put(request);
    }

    fn flush(&self, by: Worker) -> Left {
        let Ok(()) = self.queued_requests.work(by, |(), group| self.answer(group));
        Left::Nothing
    }

    fn shutdown(&self) {
        self.queued_requests.end(|(), left| left.clear());
        self.next.shutdown();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;

    #[test]
    fn what_changes_something_for_others_is_refused() {
        let refused = |op: OpCode, is_local_session: bool| {
            let mut request = Request::new(None, SessionId(1), 1, op.code(), None, Arc::new([]));
            request.is_local_session = is_local_session;
            ReadOnlyRequestProcessor::is_refused(&request)
        };
        for op in [OpCode::Create, OpCode::Multi, OpCode::Sync, OpCode::SetAcl, OpCode::Reconfig] {
            assert!(refused(op, false), "{op:?}");
        }
        for op in [OpCode::CreateSession, OpCode::CloseSession] {
            assert!(refused(op, false) && !refused(op, true), "{op:?}");
        }
        assert!(!refused(OpCode::GetData, false));
    }
}
