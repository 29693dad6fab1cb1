//! Sleeps until a time of the injected clock, or until it is stopped (no Java twin: Thread.sleep and
//! Thread.interrupt, and java.util.Timer).
//!
//! Threads: one sleeps, and any thread may stop it. Locks: `Leaf`, held briefly. A clock that jumps wakes the
//! sleeper, so that tests move the clock instead of waiting.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::common::time::{Clock, Wake};
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};

/// The wait of a thread that works periodically.
#[derive(Debug)]
pub(crate) struct Sleeper {
    clock: Clock,
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Bell {
    stopped: RankedMutex<bool>,
    rung: RankedCondvar,
}

impl Wake for Bell {
    fn wake(&self) {
        // Under the lock: otherwise a sleeper that has read the clock but does not wait yet would miss the
        // wake-up.
        let _stopped = self.stopped.lock();
        self.rung.notify_all();
    }
}

impl Sleeper {
    /// Creates a sleeper that uses this clock.
    #[must_use]
    pub(crate) fn new(clock: Clock) -> Self {
        let stopped = RankedMutex::new(Rank::Leaf, "stop of a sleeper", false);
        let bell = Arc::new(Bell { stopped, rung: RankedCondvar::new() });
        let weak: Weak<Bell> = Arc::downgrade(&bell);
        clock.wake_at_jumps(weak);
        Self { clock, bell }
    }

    /// Sleeps until the clock's elapsed time reaches `elapsed_ms`. False if the sleeper is stopped.
    #[must_use]
    pub(crate) fn sleep_until(&self, elapsed_ms: i64) -> bool {
        let mut stopped = self.bell.stopped.lock();
        while !*stopped {
            let left_ms = elapsed_ms - self.clock.elapsed_ms();
            if left_ms <= 0 {
                return true;
            }
            let left = Duration::from_millis(left_ms.unsigned_abs());
            self.bell.rung.wait_for(&mut stopped, left);
        }
        false
    }

    /// Ends the current sleep and all later ones.
    pub(crate) fn stop(&self) {
        *self.bell.stopped.lock() = true;
        self.bell.rung.notify_all();
    }

    /// Whether the sleeper is stopped.
    #[must_use]
    pub(crate) fn is_stopped(&self) -> bool {
        *self.bell.stopped.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::time::{ManualClock, TimeSource};
    use std::thread;

    #[test]
    fn a_sleeper_wakes_when_the_clock_jumps_and_not_before_its_time() {
        let clock = Arc::new(ManualClock::new(1_000));
        let sleeper = Sleeper::new(clock.clone());
        assert!(sleeper.sleep_until(1_000));
        thread::scope(|scope| {
            let woken_at = scope.spawn(|| {
                assert!(sleeper.sleep_until(1_000_000));
                clock.elapsed_ms()
            });
            clock.advance(500_000);
            clock.advance(499_000);
            assert_eq!(woken_at.join().unwrap(), 1_000_000);
        });
    }

    #[test]
    fn a_stopped_sleeper_never_sleeps_again() {
        let sleeper = Sleeper::new(Arc::new(ManualClock::new(0)));
        thread::scope(|scope| {
            let slept = scope.spawn(|| sleeper.sleep_until(1_000_000));
            sleeper.stop();
            assert!(!slept.join().unwrap());
        });
        assert!(!sleeper.sleep_until(0));
        assert!(sleeper.is_stopped());
    }
}
