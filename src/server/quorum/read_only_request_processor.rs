//! The chain of a server that is cut off: what would change something is refused, the rest is answered (Java:
//! server/quorum/ReadOnlyRequestProcessor.java, with the processors behind it).
//!
//! Threads: none of its own. Locks: the right to answer, across the last processor; below it the queue, for a moment.

use std::mem;
use std::sync::Arc;

use crate::keeper_exception::KeeperError;
use crate::server::request::Request;
use crate::server::request_processor::RequestProcessor;
use crate::server::sync_request_processor::GroupProcessor;
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::zoo_defs::OpCode;

/// The first processor of a read-only server.
pub struct ReadOnlyRequestProcessor {
    queue: RankedMutex<Vec<Box<Request>>>,
    next: Arc<dyn GroupProcessor>,
    answering: RankedMutex<()>,
}

impl ReadOnlyRequestProcessor {
    /// A processor before `next`.
    #[must_use]
    pub fn new(next: Arc<dyn GroupProcessor>) -> Self {
        Self {
            queue: RankedMutex::new(Rank::CommitQueue, "requests to answer", Vec::new()),
            next,
            answering: RankedMutex::new(Rank::SyncProcessor, "right to answer", ()),
        }
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
    fn process_request(&self, mut request: Box<Request>) {
        if Self::is_refused(&request) {
            request.exception = Some(KeeperError::NotReadOnly);
        }
        self.queue.lock().push(request);
    }

    fn flush(&self) {
        // Who takes requests out answers them before anybody takes the next.
        let _right = self.answering.lock();
        let mut group = mem::take(&mut *self.queue.lock());
        if !group.is_empty() {
            self.next.process_group(&mut group);
        }
    }

    fn shutdown(&self) {
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
