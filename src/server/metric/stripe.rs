//! A number that is split into stripes for concurrent updates (no Java twin).
//!
//! If all threads add to one number, its cache line moves between the cores at each addition. The number is
//! therefore kept in [`STRIPES`] cache lines. A thread always uses the same line, and a reader adds them up.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

/// The number of stripes. With few cores, threads that run at the same time rarely share one. With many cores
/// they do, which only costs time.
pub(crate) const STRIPES: usize = 4;

/// A value in its own cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Line<T>(pub T);

thread_local! {
    /// Only the address is used, because it differs between threads.
    static HERE: Cell<u8> = const { Cell::new(0) };
}

/// The stripe of this thread.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "only two bits are left")]
pub(crate) fn stripe_of_this_thread() -> usize {
    // Thread locals of different threads are about one stack size apart. The multiplication spreads that
    // difference to the upper bits. An ending thread without thread locals uses the first stripe.
    let address = HERE.try_with(|here| std::ptr::from_ref(here).addr()).unwrap_or(0);
    let spread = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (spread >> (64 - STRIPES.trailing_zeros())) as usize
}

const _: () = assert!(STRIPES.is_power_of_two() && STRIPES > 1);

/// A number with frequent additions from many threads and rare reads.
#[derive(Debug, Default)]
pub(crate) struct StripedLong {
    lines: [Line<AtomicI64>; STRIPES],
}

impl StripedLong {
    /// Creates the number 0.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds `delta`.
    #[inline]
    pub(crate) fn add(&self, delta: i64) {
        // Relaxed here and below: no other memory access depends on the value of a statistic.
        self.lines[stripe_of_this_thread()].0.fetch_add(delta, Ordering::Relaxed);
    }

    /// The sum of all stripes.
    #[must_use]
    pub(crate) fn value(&self) -> i64 {
        let values = self.lines.iter().map(|line| line.0.load(Ordering::Relaxed));
        values.fold(0, i64::wrapping_add)
    }

    /// Resets the number to 0. Concurrent additions may be lost or kept.
    pub(crate) fn reset(&self) {
        for line in &self.lines {
            line.0.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_threads_add_is_in_the_sum() {
        let long = StripedLong::new();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1_000).for_each(|_| long.add(3)));
            }
        });
        assert_eq!(long.value(), 24_000);
        long.reset();
        assert_eq!(long.value(), 0);
    }

    #[test]
    fn a_thread_keeps_its_stripe() {
        let first = stripe_of_this_thread();
        assert!(first < STRIPES);
        assert!((0..100).all(|_| stripe_of_this_thread() == first));
    }
}
