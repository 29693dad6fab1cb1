//! Copies of one number for several threads (no Java twin).
//!
//! A number that every thread adds to moves its cache line between the cores at each addition. So
//! it is kept in [`STRIPES`] lines; a thread always uses the same one, and a reader adds them up.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

/// How many copies there are. Threads that run at the same time rarely share one on few cores; on
/// many they do, which costs time and nothing else.
pub const STRIPES: usize = 4;

/// A value in a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Line<T>(pub T);

thread_local! {
    /// Only its address is of interest: it differs between threads.
    static HERE: Cell<u8> = const { Cell::new(0) };
}

/// The stripe of this thread.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "only two bits are left")]
pub fn stripe_of_this_thread() -> usize {
    // Threads' locals lie a stack's size apart: multiplying spreads that over the upper bits. A
    // thread that is ending and has no locals any more takes the first stripe.
    let address = HERE.try_with(|here| std::ptr::from_ref(here).addr()).unwrap_or(0);
    let spread = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (spread >> (64 - STRIPES.trailing_zeros())) as usize
}

const _: () = assert!(STRIPES.is_power_of_two() && STRIPES > 1);

/// A number that is added to by many threads and seldom read.
#[derive(Debug, Default)]
pub struct StripedLong {
    lines: [Line<AtomicI64>; STRIPES],
}

impl StripedLong {
    /// 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds to it.
    #[inline]
    pub fn add(&self, delta: i64) {
        // Relaxed here and below: nothing follows from a statistic's value.
        self.lines[stripe_of_this_thread()].0.fetch_add(delta, Ordering::Relaxed);
    }

    /// The sum.
    #[must_use]
    pub fn value(&self) -> i64 {
        let values = self.lines.iter().map(|line| line.0.load(Ordering::Relaxed));
        values.fold(0, i64::wrapping_add)
    }

    /// Sets it to 0. What is added meanwhile may be lost or kept.
    pub fn reset(&self) {
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
