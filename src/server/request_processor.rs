//! A processor of the chain that requests go through (Java: server/RequestProcessor.java, with java.io.Flushable).

use super::processor_queue::Worker;
use super::request::Request;

/// What a flush has left to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// Transactions that are not written to the log. A [`Worker::ReturningSelector`] must flush again soon, as
    /// [`Worker::Caller`].
    Log,
}

/// A processor. Requests must reach the next one in the order in which they came.
pub trait RequestProcessor: Send + Sync {
    /// Takes a request. A processor that is a thread queues it. Locks may be held: disk and sockets are left to
    /// [`flush`](Self::flush).
    fn process_request(&self, request: Box<Request>);

    /// Takes several, in order, and leaves the vector empty.
    fn process_requests(&self, requests: &mut Vec<Box<Request>>) {
        for request in requests.drain(..) {
            self.process_request(request);
        }
    }

    /// Has the requests that were taken so far worked on, here and in the processors behind: by the caller's thread
    /// where a processor is idle, or by the processors' own. No lock may be held.
    fn flush(&self, by: Worker) -> Left;

    /// Ends the processor, then those behind it. Requests that it still holds are brought to an end first. A second
    /// call finds nothing to do.
    fn shutdown(&self);
}
