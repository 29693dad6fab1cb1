//! Finds elements that have shown no sign of life for too long (Java: server/ExpiryQueue.java).
//!
//! Used for sessions. Time is divided into intervals. Elements that expire within one interval expire together at
//! its end.
//!
//! Threads: any thread may touch; one polls. Locks: `Leaf`, for the table of elements by time. Each element has its
//! expiry time in an atomic, and stays filed under an earlier time until that time comes. Then
//! [`poll`](ExpiryQueue::poll) files it again. A touch therefore reads the clock and, once per interval, stores a
//! value. It takes the lock only to make an element expire earlier.
//!
//! Differs from Java: if an element is touched while it is polled, either it has expired and the touch says so, or
//! it has not expired. Intervals that all elements have left are not in the dump.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use hashbrown::HashMap;

use crate::common::java_date::date_string;
use crate::common::time::Clock;
use crate::util::lock_rank::{Rank, RankedMutex};

/// Instead of a time: the element is in no queue.
const NOT_QUEUED: i64 = i64::MIN;
/// Instead of a time: the element was polled and is not removed yet.
const EXPIRED: i64 = i64::MIN + 1;

/// The expiry time of an element. It is part of the element, which is in at most one queue.
#[derive(Debug)]
pub(crate) struct Expiry {
    /// The end of an interval, or one of the two values above.
    expires_at_ms: AtomicI64,
    /// The time under which the element is filed: never later than its expiry, except while it is being filed.
    /// Written under the lock.
    filed_at_ms: AtomicI64,
}

impl Expiry {
    /// For an element that is in no queue.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self { expires_at_ms: AtomicI64::new(NOT_QUEUED), filed_at_ms: AtomicI64::new(NOT_QUEUED) }
    }

    /// The expiry time, if the element is in a queue and has not expired.
    fn expires_at_ms(&self) -> Option<i64> {
        Some(self.expires_at_ms.load(SeqCst)).filter(|time| *time > EXPIRED)
    }
}

impl Default for Expiry {
    fn default() -> Self {
        Self::new()
    }
}

/// An element of an [`ExpiryQueue`].
pub(crate) trait Expiring {
    /// The expiry time of the element.
    fn expiry(&self) -> &Expiry;
}

/// Shared elements, by the time at which they expire.
pub(crate) struct ExpiryQueue<E> {
    clock: Clock,
    expiration_interval_ms: i64,
    /// When to poll next.
    next_expiration_ms: AtomicI64,
    filed: RankedMutex<Filed<E>>,
}

/// An element's address in memory, in place of Java's identity hash.
type Address = usize;

struct Filed<E> {
    by_time: BTreeMap<i64, HashMap<Address, Arc<E>>>,
    /// The number of elements in `by_time`, and of those that were polled and are not removed yet (Java: size of
    /// elemMap).
    elements: usize,
}

fn address<E>(element: &Arc<E>) -> Address {
    Arc::as_ptr(element).addr()
}

impl<E: Expiring> Filed<E> {
    /// Files the element under its expiry time, which may change at any moment.
    fn file(&mut self, element: Arc<E>) {
        let expiry = element.expiry();
        let Some(mut time) = expiry.expires_at_ms() else { return };
        loop {
            expiry.filed_at_ms.store(time, SeqCst);
            // A touch stores an earlier expiry time before it reads where the element is filed. Here it is the other
            // way round, so at least one of the two sees the other's change.
            match expiry.expires_at_ms() {
                Some(earlier) if earlier < time => time = earlier,
                _ => break,
            }
        }
        self.by_time.entry(time).or_default().insert(address(&element), element);
    }

    fn take(&mut self, element: &Arc<E>) -> Option<Arc<E>> {
        let filed_at_ms = element.expiry().filed_at_ms.load(SeqCst);
        self.by_time.get_mut(&filed_at_ms)?.remove(&address(element))
    }
}

impl<E: Expiring> ExpiryQueue<E> {
    /// Creates an empty queue. The first interval ends at the next multiple of its length. An interval is at least 1
    /// ms long; Java divides by 0 if it is set to 0.
    #[must_use]
    pub(crate) fn new(expiration_interval_ms: i32, clock: Clock) -> Self {
        let filed = Filed { by_time: BTreeMap::new(), elements: 0 };
        let queue = Self {
            clock,
            expiration_interval_ms: expiration_interval_ms.max(1).into(),
            next_expiration_ms: AtomicI64::new(0),
            filed: RankedMutex::new(Rank::Leaf, "expiry queue", filed),
        };
        let first = queue.round_to_next_interval(queue.clock.elapsed_ms());
        queue.next_expiration_ms.store(first, SeqCst);
        queue
    }

    const fn round_to_next_interval(&self, time_ms: i64) -> i64 {
        (time_ms / self.expiration_interval_ms + 1) * self.expiration_interval_ms
    }

    /// Makes an element of the queue expire `timeout_ms` from now. Returns false if the element is not in the queue
    /// or has expired. Takes the lock only to make an element expire earlier.
    pub(crate) fn touch(&self, element: &Arc<E>, timeout_ms: i32) -> bool {
        self.set_expiry(element, timeout_ms).is_some()
    }

    /// As [`touch`](Self::touch). Returns the new expiry time, and whether it has changed.
    fn set_expiry(&self, element: &Arc<E>, timeout_ms: i32) -> Option<(i64, bool)> {
        let expiry = element.expiry();
        let until_ms = self.clock.elapsed_ms() + i64::from(timeout_ms);
        let mut old = expiry.expires_at_ms.load(SeqCst);
        let new = loop {
            if old <= EXPIRED {
                return None;
            }
            // The usual case, without a division.
            if until_ms < old && until_ms >= old - self.expiration_interval_ms {
                return Some((old, false));
            }
            let new = self.round_to_next_interval(until_ms);
            match expiry.expires_at_ms.compare_exchange_weak(old, new, SeqCst, SeqCst) {
                Ok(_) => break new,
                Err(now) => old = now,
            }
        };
        if new < expiry.filed_at_ms.load(SeqCst) {
            let mut filed = self.filed.lock();
            if let Some(element) = filed.take(element) {
                filed.file(element);
            }
        }
        Some((new, new != old))
    }

    /// As [`touch`](Self::touch), but adds an element that is not in the queue. Returns the new expiry time if it
    /// has changed.
    pub(crate) fn update(&self, element: &Arc<E>, timeout_ms: i32) -> Option<i64> {
        let expiry = element.expiry();
        loop {
            if let Some((time, changed)) = self.set_expiry(element, timeout_ms) {
                return changed.then_some(time);
            }
            let mut filed = self.filed.lock();
            let old = expiry.expires_at_ms.load(SeqCst);
            if old > EXPIRED {
                continue; // another thread has added it
            }
            let until_ms = self.clock.elapsed_ms() + i64::from(timeout_ms);
            let new = self.round_to_next_interval(until_ms);
            expiry.filed_at_ms.store(new, SeqCst);
            expiry.expires_at_ms.store(new, SeqCst);
            filed.elements += usize::from(old == NOT_QUEUED);
            filed.file(Arc::clone(element));
            return Some(new);
        }
    }

    /// Removes the element. Returns its expiry time if it was in the queue and had not expired.
    pub(crate) fn remove(&self, element: &Arc<E>) -> Option<i64> {
        let mut filed = self.filed.lock();
        let old = element.expiry().expires_at_ms.swap(NOT_QUEUED, SeqCst);
        if old == NOT_QUEUED {
            return None;
        }
        filed.elements -= 1;
        filed.take(element).map(|_| old)
    }

    /// When to poll next, in elapsed time.
    pub(crate) fn next_expiration_ms(&self) -> i64 {
        self.next_expiration_ms.load(SeqCst)
    }

    /// How long until then; 0 when it is over (Java: getWaitTime).
    #[cfg(test)]
    pub(crate) fn wait_time_ms(&self) -> i64 {
        (self.next_expiration_ms() - self.clock.elapsed_ms()).max(0)
    }

    /// Takes out the elements that expire with the next interval, if it is over. To be called until
    /// [`wait_time_ms`](Self::wait_time_ms) is positive; each call handles one interval.
    pub(crate) fn poll(&self) -> Vec<Arc<E>> {
        let due_ms = self.next_expiration_ms();
        let next_ms = due_ms + self.expiration_interval_ms;
        if self.clock.elapsed_ms() < due_ms
            || self.next_expiration_ms.compare_exchange(due_ms, next_ms, SeqCst, SeqCst).is_err()
        {
            return Vec::new();
        }
        let mut expired = Vec::new();
        let mut filed = self.filed.lock();
        let later = filed.by_time.split_off(&next_ms);
        let due = std::mem::replace(&mut filed.by_time, later);
        for element in due.into_values().flat_map(HashMap::into_values) {
            if self.expires(&element, due_ms) {
                expired.push(element);
            } else {
                filed.file(element);
            }
        }
        expired
    }

    /// Marks the element as expired, unless a touch has set a later time.
    fn expires(&self, element: &Arc<E>, due_ms: i64) -> bool {
        let expires_at_ms = &element.expiry().expires_at_ms;
        let mut time = expires_at_ms.load(SeqCst);
        while time <= due_ms {
            match expires_at_ms.compare_exchange_weak(time, EXPIRED, SeqCst, SeqCst) {
                Ok(_) => return true,
                Err(now) => time = now,
            }
        }
        false
    }

    /// The number of elements. Expired elements count until they are removed.
    pub(crate) fn len(&self) -> usize {
        self.filed.lock().elements
    }

    /// The elements by expiry time (Java: getExpiryMap).
    pub(crate) fn expiry_map(&self) -> BTreeMap<i64, Vec<Arc<E>>> {
        let mut map: BTreeMap<i64, Vec<Arc<E>>> = BTreeMap::new();
        let filed = self.filed.lock();
        for element in filed.by_time.values().flat_map(HashMap::values) {
            if let Some(time) = element.expiry().expires_at_ms() {
                map.entry(time).or_default().push(Arc::clone(element));
            }
        }
        map
    }

    /// Appends `Sets (times)/(elements):` and the elements by time (Java: dump).
    pub(crate) fn dump(&self, out: &mut String)
    where
        E: Display,
    {
        let sets = self.expiry_map();
        let written = self.write_sets(out, &sets);
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }

    fn write_sets(&self, out: &mut String, sets: &BTreeMap<i64, Vec<Arc<E>>>) -> fmt::Result
    where
        E: Display,
    {
        let wall_minus_elapsed_ms = self.clock.wall_ms() - self.clock.elapsed_ms();
        writeln!(out, "Sets ({})/({}):", sets.len(), self.len())?;
        for (time, elements) in sets {
            let date = date_string(time.saturating_add(wall_minus_elapsed_ms));
            writeln!(out, "{} expire at {date}:", elements.len())?;
            for element in elements {
                writeln!(out, "\t{element}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
