//! A stage of the way that requests go (Java: server/RequestProcessor.java, with java.io.Flushable).

use super::request::Request;

/// A stage. Requests must reach the next one in the order in which they came.
pub trait RequestProcessor: Send + Sync {
    /// Takes a request. May be called while the outstanding changes are locked: it queues or computes, and leaves disk and
    /// sockets to [`flush`](Self::flush) or to a thread of its own.
    fn process_request(&self, request: Box<Request>);

    /// Takes several, in order, and leaves the vector empty: one lock for all of them, where a stage has one.
    fn process_requests(&self, requests: &mut Vec<Box<Request>>) {
        for request in requests.drain(..) {
            self.process_request(request);
        }
    }

    /// Does what the requests taken so far need of disk and sockets, or sees to it that a thread does. No lock is held.
    fn flush(&self);

    /// Ends the stage, then those after it; requests that it still holds are brought to an end first. A second call finds
    /// nothing to do.
    fn shutdown(&self);
}
