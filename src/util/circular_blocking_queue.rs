//! A queue that never blocks a producer (Java: util/CircularBlockingQueue.java).
//!
//! When the queue is full, a new element replaces the oldest one. Unlike Java's, it can be closed, which wakes
//! all waiting threads.

use std::collections::VecDeque;
use std::time::Duration;

use crate::common::time;
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};

struct State<T> {
    elements: VecDeque<T>,
    is_closed: bool,
    dropped: u64,
}

/// A queue with a limited number of elements.
pub(crate) struct CircularBlockingQueue<T> {
    max_len: usize,
    state: RankedMutex<State<T>>,
    not_empty: RankedCondvar,
}

impl<T> CircularBlockingQueue<T> {
    /// Creates an empty queue for at most `max_len` elements, but at least one.
    #[must_use]
    pub(crate) fn new(max_len: usize) -> Self {
        let state = State { elements: VecDeque::new(), is_closed: false, dropped: 0 };
        Self {
            max_len: max_len.max(1),
            state: RankedMutex::new(Rank::Leaf, "circular queue", state),
            not_empty: RankedCondvar::new(),
        }
    }

    /// Appends an element. A closed queue discards it.
    pub(crate) fn offer(&self, element: T) {
        let mut state = self.state.lock();
        if state.is_closed {
            return;
        }
        if state.elements.len() == self.max_len {
            state.elements.pop_front();
            state.dropped += 1;
        }
        state.elements.push_back(element);
        self.not_empty.notify_one();
    }

    /// Removes the first element and waits for one if necessary. `None` after the timeout or when the queue is
    /// closed.
    pub(crate) fn poll(&self, timeout: Duration) -> Option<T> {
        let deadline = time::now() + timeout;
        let mut state = self.state.lock();
        loop {
            if let Some(element) = state.elements.pop_front() {
                return Some(element);
            }
            let left = deadline.saturating_duration_since(time::now());
            if state.is_closed || left.is_zero() {
                return None;
            }
            self.not_empty.wait_for(&mut state, left);
        }
    }

    /// Removes the first element and waits for one until the queue is closed.
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(element) = state.elements.pop_front() {
                return Some(element);
            }
            if state.is_closed {
                return None;
            }
            self.not_empty.wait(&mut state);
        }
    }

    /// Removes all elements.
    pub(crate) fn clear(&self) {
        self.state.lock().elements.clear();
    }

    /// Closes the queue: removes all elements, discards later ones, and wakes all waiting threads.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.elements.clear();
        self.not_empty.notify_all();
    }

    /// Whether the queue is closed.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    /// The number of elements that newer ones have replaced (Java: getDroppedCount).
    #[must_use]
    #[cfg(test)]
    pub(crate) fn dropped_count(&self) -> u64 {
        self.state.lock().dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const NO_TIME: Duration = Duration::ZERO;

    #[test]
    fn a_full_queue_lets_the_oldest_go() {
        let queue = CircularBlockingQueue::new(2);
        for number in 1..=3 {
            queue.offer(number);
        }
        assert_eq!(queue.dropped_count(), 1);
        assert_eq!(
            (queue.poll(NO_TIME), queue.take(), queue.poll(NO_TIME)),
            (Some(2), Some(3), None)
        );
        queue.offer(4);
        queue.clear();
        assert_eq!(queue.poll(NO_TIME), None);
    }

    #[test]
    fn who_waits_is_woken_by_an_element_and_by_the_end() {
        let queue = CircularBlockingQueue::new(1);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| (queue.take(), queue.take()));
            queue.offer(7);
            while !queue.state.lock().elements.is_empty() {
                thread::yield_now();
            }
            queue.close();
            assert_eq!(waiting.join().unwrap(), (Some(7), None));
        });
        queue.offer(8);
        assert_eq!(queue.poll(Duration::from_secs(60)), None);
        assert!(queue.is_closed());
    }
}
