//! Limits how often something may happen per interval (Java: server/util/RateLimiter.java).
//!
//! Threads: any. Locks: none. As in Java, two threads at the end of an interval may both start the next one.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use crate::common::time::Clock;

/// A counter of the remaining permissions, which is reset for each interval.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    rate: u32,
    interval_ms: i64,
    clock: Clock,
    last_reset_ms: AtomicI64,
    remaining: AtomicU32,
}

impl RateLimiter {
    /// Creates a limiter that allows `rate` times per `interval_ms`.
    #[must_use]
    pub(crate) fn new(rate: u32, interval_ms: i64, clock: Clock) -> Self {
        let last_reset_ms = AtomicI64::new(clock.elapsed_ms());
        Self { rate, interval_ms, clock, last_reset_ms, remaining: AtomicU32::new(rate) }
    }

    /// Uses one permission. False if none is left in this interval.
    #[must_use]
    pub(crate) fn allow(&self) -> bool {
        let now_ms = self.clock.elapsed_ms();
        // Relaxed: the numbers guard no other data.
        if now_ms > self.last_reset_ms.load(Ordering::Relaxed).saturating_add(self.interval_ms) {
            self.remaining.store(self.rate, Ordering::Relaxed);
            self.last_reset_ms.store(now_ms, Ordering::Relaxed);
        }
        let one_less = |left: u32| left.checked_sub(1);
        self.remaining.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::common::time::ManualClock;

    #[test]
    fn what_is_over_the_rate_waits_for_the_next_interval() {
        let clock = Arc::new(ManualClock::new(1_000));
        let limiter = RateLimiter::new(2, 500, clock.clone());
        assert_eq!([limiter.allow(), limiter.allow(), limiter.allow()], [true, true, false]);
        clock.advance(500);
        assert!(!limiter.allow(), "the interval has not passed");
        clock.advance(1);
        assert_eq!([limiter.allow(), limiter.allow(), limiter.allow()], [true, true, false]);
    }
}
