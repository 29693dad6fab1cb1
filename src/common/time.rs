//! The clock (Java: org/apache/zookeeper/common/Time.java).
//!
//! Only this file asks the system for the time. Logic that depends on time gets a [`Clock`], so that tests can
//! move the time.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::util::lock_rank::{Rank, RankedMutex};

/// A monotonic clock with an arbitrary start, and the wall clock.
pub trait TimeSource: Send + Sync + std::fmt::Debug {
    /// Milliseconds of the monotonic clock (Java: Time.currentElapsedTime).
    fn elapsed_ms(&self) -> i64;
    /// Milliseconds since 1970 (Java: Time.currentWallTime).
    fn wall_ms(&self) -> i64;
    /// Registers a sleeper that is woken whenever the time jumps. The system clock never jumps.
    fn wake_at_jumps(&self, _sleeper: Weak<dyn Wake>) {}
}

/// A thread that sleeps until some time of a [`TimeSource`].
pub trait Wake: Send + Sync {
    /// Makes the sleeper look at the clock again.
    fn wake(&self);
}

/// A shared [`TimeSource`].
pub type Clock = Arc<dyn TimeSource>;

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// A clock whose elapsed time is the same for all processes of this machine, like Java's System.nanoTime.
    /// Monitoring tools can therefore compare the times in `cons` and `dump` with their own.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// The same clock, behind an `Arc`.
    #[must_use]
    pub fn shared() -> Clock {
        Arc::new(Self::new())
    }
}

impl TimeSource for SystemClock {
    fn elapsed_ms(&self) -> i64 {
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
    }

    fn wall_ms(&self) -> i64 {
        wall_ms()
    }
}

/// A clock for tests, which stands still until it is told to move.
pub struct ManualClock {
    now_ms: AtomicI64,
    sleepers: RankedMutex<Vec<Weak<dyn Wake>>>,
}

impl ManualClock {
    /// A clock whose elapsed and wall time are both `now_ms`.
    #[must_use]
    pub const fn new(now_ms: i64) -> Self {
        let sleepers = RankedMutex::new(Rank::Leaf, "sleepers of a clock", Vec::new());
        Self { now_ms: AtomicI64::new(now_ms), sleepers }
    }

    /// Moves the clock forward by `ms` and wakes the sleepers.
    pub fn advance(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
        let mut awake = Vec::new();
        self.sleepers.lock().retain(|sleeper| {
            awake.extend(sleeper.upgrade());
            sleeper.strong_count() > 0
        });
        for sleeper in awake {
            sleeper.wake();
        }
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new(0)
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManualClock at {} ms", self.elapsed_ms())
    }
}

impl TimeSource for ManualClock {
    fn elapsed_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn wall_ms(&self) -> i64 {
        self.elapsed_ms()
    }

    fn wake_at_jumps(&self, sleeper: Weak<dyn Wake>) {
        self.sleepers.lock().push(sleeper);
    }
}

/// The current instant, for measuring durations that no test needs to control.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
pub fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
fn wall_ms() -> i64 {
    // A clock before 1970 counts as 1970, so that no caller sees a negative time.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// Whole milliseconds, at most Java's largest long.
#[must_use]
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_time_never_goes_back() {
        let clock = SystemClock::new();
        let first = clock.elapsed_ms();
        assert!(clock.elapsed_ms() >= first);
        assert!(clock.wall_ms() > 1_600_000_000_000);
    }

    #[test]
    fn two_clocks_show_the_same_elapsed_time() {
        let (one, other) = (SystemClock::new(), SystemClock::new());
        let before = one.elapsed_ms();
        let between = other.elapsed_ms();
        assert!((before..=one.elapsed_ms()).contains(&between));
    }
}
