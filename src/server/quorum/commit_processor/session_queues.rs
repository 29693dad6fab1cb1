//! Which requests of a session may run now (Java: pendingRequests of server/quorum/CommitProcessor.java). Pure.
//!
//! Requests of one session are done in the order in which they came. One that needs a commit waits for it; one that
//! does not waits for those before it.

use std::collections::VecDeque;

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::ids::SessionId;
use crate::server::request::Request;
use crate::zoo_defs::OpCode;

/// A request in its session's queue.
enum Slot {
    /// Waits for the commit of the request of that number. Here it is, unless the commit brings it.
    Awaits { cxid: i32, since_ms: i64, request: Option<Box<Request>> },
    /// Waits for those before it.
    Ready(Box<Request>),
}

impl Slot {
    /// Whether it waits for that commit. The end of a session that its leader expires has number 0, which a client may
    /// use for something else: what is committed is of the same operation, or an error.
    fn awaits(&self, committed: &Request) -> bool {
        let Self::Awaits { cxid, request, .. } = self else { return false };
        let is_of_operation = match (request, &committed.hdr) {
            (Some(request), Some(hdr)) => {
                hdr.r#type == OpCode::Error.code() || hdr.r#type == request.op_type
            }
            _ => true,
        };
        *cxid == committed.cxid && is_of_operation
    }
}

/// The queues of all sessions that have something waiting.
#[derive(Default)]
pub(super) struct SessionQueues {
    queues: HashMap<SessionId, VecDeque<Slot>, RandomState>,
    /// The number of requests that wait for their commit.
    writes: usize,
}

/// What a commit found, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The number of sessions with a queue.
    pub(super) sessions: usize,
    /// The number of requests in the queue of the commit's session.
    pub(super) in_session: usize,
}

impl SessionQueues {
    /// A request that needs a commit, which may or may not bring the request with it, and waits since then.
    pub(super) fn expect(
        &mut self,
        session: SessionId,
        cxid: i32,
        request: Option<Box<Request>>,
        since_ms: i64,
    ) -> usize {
        let queue = self.queues.entry(session).or_default();
        queue.push_back(Slot::Awaits { cxid, since_ms, request });
        self.writes += 1;
        queue.len()
    }

    /// A request that needs none: it goes to `runnable` at once, or waits for those before it.
    pub(super) fn add(&mut self, request: Box<Request>, runnable: &mut Vec<Box<Request>>) {
        match self.queues.get_mut(&request.session_id) {
            Some(queue) => queue.push_back(Slot::Ready(request)),
            None => runnable.push(request),
        }
    }

    /// A committed request goes to `runnable`, with what waits behind it. A request of ours gets what the commit says;
    /// what is not at the head of its session's queue came through another server, or through a connection that is
    /// gone.
    pub(super) fn committed(
        &mut self,
        mut committed: Box<Request>,
        runnable: &mut Vec<Box<Request>>,
    ) -> Option<Found> {
        let sessions = self.queues.len();
        let Entry::Occupied(mut entry) = self.queues.entry(committed.session_id) else {
            runnable.push(committed);
            return None;
        };
        let queue = entry.get_mut();
        if !queue.front().is_some_and(|head| head.awaits(&committed)) {
            runnable.push(committed);
            return None;
        }
        let found = Found { sessions, in_session: queue.len() };
        self.writes -= 1;
        if let Some(Slot::Awaits { request, since_ms, .. }) = queue.pop_front() {
            if let Some(mut ours) = request {
                ours.hdr = committed.hdr.take();
                ours.txn = committed.txn.take();
                ours.txn_digest = committed.txn_digest.take();
                ours.txn_bytes = committed.txn_bytes.clone();
                ours.zxid = committed.zxid;
                ours.commit_recv_ms = committed.commit_recv_ms;
                committed = ours;
            }
            committed.commit_proc_queue_start_ms = since_ms;
        }
        runnable.push(committed);
        while let Some(Slot::Ready(_)) = queue.front()
            && let Some(Slot::Ready(next)) = queue.pop_front()
        {
            runnable.push(next);
        }
        if queue.is_empty() {
            entry.remove();
        }
        Some(found)
    }

    /// The number of requests that wait for their commit.
    pub(super) const fn writes(&self) -> usize {
        self.writes
    }

    /// How many requests wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queues.values().map(VecDeque::len).sum()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.queues.clear();
        self.writes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Zxid;
    use crate::txn::TxnHeader;
    use std::sync::Arc;

    fn request(session: i64, cxid: i32) -> Box<Request> {
        Box::new(Request::new(None, SessionId(session), cxid, 1, None, Arc::new([])))
    }

    fn commit(session: i64, cxid: i32, zxid: i64) -> Box<Request> {
        let mut request = request(session, cxid);
        request.zxid = Zxid(zxid);
        request
    }

    fn order(runnable: &mut Vec<Box<Request>>) -> Vec<(i32, i64)> {
        runnable.drain(..).map(|request| (request.cxid, request.zxid.0)).collect()
    }

    #[test]
    fn what_needs_no_commit_waits_for_those_before_it_in_its_session_alone() {
        let (mut queues, mut runnable) = (SessionQueues::default(), Vec::new());
        queues.expect(SessionId(1), 1, Some(request(1, 1)), 100);
        queues.add(request(1, 2), &mut runnable);
        queues.expect(SessionId(1), 3, None, 100);
        queues.add(request(1, 4), &mut runnable);
        queues.add(request(2, 9), &mut runnable);
        assert_eq!(order(&mut runnable), [(9, -1)]);
        assert_eq!(queues.writes(), 2);
        let found = queues.committed(commit(1, 1, 7), &mut runnable);
        assert_eq!(found, Some(Found { sessions: 1, in_session: 4 }));
        assert_eq!(runnable[0].commit_proc_queue_start_ms, 100);
        assert_eq!(order(&mut runnable), [(1, 7), (2, -1)]);
        assert_eq!(queues.len(), 2);
        queues.committed(commit(1, 3, 8), &mut runnable);
        assert_eq!(order(&mut runnable), [(3, 8), (4, -1)]);
        assert_eq!((queues.len(), queues.writes()), (0, 0));
    }

    #[test]
    fn a_commit_of_another_server_passes_those_that_wait_here() {
        let (mut queues, mut runnable) = (SessionQueues::default(), Vec::new());
        queues.expect(SessionId(1), 5, Some(request(1, 5)), 100);
        queues.committed(commit(2, 5, 7), &mut runnable);
        queues.committed(commit(1, 4, 8), &mut runnable);
        assert_eq!(order(&mut runnable), [(5, 7), (4, 8)]);
        assert_eq!(queues.len(), 1);
    }

    #[test]
    fn the_end_of_a_session_is_not_taken_for_the_answer_to_something_else() {
        let (mut queues, mut runnable) = (SessionQueues::default(), Vec::new());
        queues.expect(SessionId(1), 0, Some(request(1, 0)), 100);
        let with_type = |op: OpCode, zxid| {
            let mut commit = commit(1, 0, zxid);
            commit.hdr = Some(TxnHeader { r#type: op.code(), ..TxnHeader::default() });
            commit
        };
        queues.committed(with_type(OpCode::CloseSession, 7), &mut runnable);
        assert_eq!((order(&mut runnable), queues.len()), (vec![(0, 7)], 1));
        queues.committed(with_type(OpCode::Error, 8), &mut runnable);
        assert_eq!((order(&mut runnable), queues.len()), (vec![(0, 8)], 0));
    }
}
