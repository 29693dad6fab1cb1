//! How soon the disk has a group of transactions, and so who may wait for it (no Java twin).
//!
//! Threads: whoever writes the log notes the times, everybody reads the result. Locks: none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A disk whose last fsync took longer is slow. The thread that brings a request then does not wait for it.
const SLOW: Duration = Duration::from_millis(10);

/// A disk is fast if one of four fsyncs takes no longer. A selector then waits for it: that costs its other
/// connections less than the threads would lose to each other, because each of them waits for a processor again and
/// again. The quickest fsyncs decide: the time of the others includes such waits.
const FAST: Duration = Duration::from_micros(120);

/// After a group that took longer, selectors do not wait for the disk for a while.
const STALL: Duration = Duration::from_millis(5);

/// How many groups that is.
const AFTER_STALL: u32 = 1_000;

/// How many fsyncs decide.
const WINDOW: usize = 16;

/// The last fsyncs. For the thread that writes the log.
#[derive(Debug, Default)]
pub(super) struct LastSyncs {
    times: [Duration; WINDOW],
    count: usize,
    /// How many groups selectors do not wait for because of a stall.
    after_stall: u32,
}

/// What they say. For all threads.
#[derive(Debug, Default)]
pub(super) struct DiskSpeed {
    is_slow: AtomicBool,
    is_fast: AtomicBool,
}

impl DiskSpeed {
    /// An fsync has taken that long.
    pub(super) fn note(&self, last: &mut LastSyncs, took: Duration) {
        self.is_slow.store(took > SLOW, Ordering::Relaxed);
        last.times[last.count % WINDOW] = took;
        last.count += 1;
        last.after_stall =
            if took > STALL { AFTER_STALL } else { last.after_stall.saturating_sub(1) };
        let quick = last.times.iter().filter(|time| **time <= FAST).count();
        let is_fast = last.count >= WINDOW && last.after_stall == 0 && quick >= WINDOW / 4;
        self.is_fast.store(is_fast, Ordering::Relaxed);
    }

    /// The disk is too slow for a thread that serves one connection.
    pub(super) fn is_slow(&self) -> bool {
        self.is_slow.load(Ordering::Relaxed)
    }

    /// The disk is fast enough for a thread that serves many connections.
    pub(super) fn is_fast(&self) -> bool {
        self.is_fast.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(micros: impl IntoIterator<Item = u64>) -> DiskSpeed {
        let (disk, mut last) = (DiskSpeed::default(), LastSyncs::default());
        for time in micros {
            disk.note(&mut last, Duration::from_micros(time));
        }
        disk
    }

    #[test]
    fn a_disk_is_fast_only_after_a_number_of_quick_fsyncs() {
        assert!(!after([]).is_fast());
        assert!(!after([80; 15]).is_fast());
        assert!(after([80; 16]).is_fast());
        assert!(!after([200; 100]).is_fast());
        // Most of this time is that of waiting for a processor.
        assert!(after([[80, 900, 1_500, 2_200]; 4].concat()).is_fast());
        assert!(
            !after([[80, 900, 1_500, 2_200]; 4].concat().into_iter().chain([500; 3])).is_fast()
        );
    }

    #[test]
    fn after_a_stall_no_selector_waits_for_a_while() {
        let quick = [80; 16].into_iter().chain([6_000]);
        assert!(!after(quick.clone().chain([80; 998])).is_fast());
        assert!(after(quick.chain([80; 1_000])).is_fast());
    }

    #[test]
    fn the_last_fsync_decides_whether_a_disk_is_slow() {
        assert!(!after([]).is_slow());
        assert!(after([80, 10_001]).is_slow());
        assert!(!after([10_001, 10_000]).is_slow());
    }
}
