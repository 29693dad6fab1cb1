//! Last, smallest and largest size of something (Java: server/quorum/BufferStats.java).
//!
//! In Java this class is part of the quorum package, because the leader has one for its proposals. But every server
//! has one for its replies, and the server must not depend on the quorum, so it is here.

use std::fmt;
use std::sync::atomic::{AtomicI32, Ordering};

/// Sizes of buffers, in bytes.
#[derive(Debug)]
pub struct BufferStats {
    last: AtomicI32,
    min: AtomicI32,
    max: AtomicI32,
}

// All accesses are relaxed: no other data depends on these values. Reading before writing keeps the cache line
// shared between cores while sizes repeat.
impl BufferStats {
    /// The value before the first buffer.
    pub const INIT_VALUE: i32 = -1;

    /// Creates statistics without a buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            last: AtomicI32::new(Self::INIT_VALUE),
            min: AtomicI32::new(Self::INIT_VALUE),
            max: AtomicI32::new(Self::INIT_VALUE),
        }
    }

    /// Records the size of a buffer.
    pub fn set_last_buffer_size(&self, size: i32) {
        if self.last.load(Ordering::Relaxed) != size {
            self.last.store(size, Ordering::Relaxed);
        }
        let min = self.min.load(Ordering::Relaxed);
        if min == Self::INIT_VALUE || size < min {
            // Compared as unsigned, the initial -1 is larger than any size.
            let smaller = |min: i32| (min.cast_unsigned() > size.cast_unsigned()).then_some(size);
            // An error means that another thread has recorded a smaller size.
            let _noted = self.min.fetch_update(Ordering::Relaxed, Ordering::Relaxed, smaller);
        }
        if size > self.max.load(Ordering::Relaxed) {
            self.max.fetch_max(size, Ordering::Relaxed);
        }
    }

    /// The size of the last buffer, or -1.
    #[must_use]
    pub fn last_buffer_size(&self) -> i32 {
        self.last.load(Ordering::Relaxed)
    }

    /// The smallest size, or -1.
    #[must_use]
    pub fn min_buffer_size(&self) -> i32 {
        self.min.load(Ordering::Relaxed)
    }

    /// The largest size, or -1.
    #[must_use]
    pub fn max_buffer_size(&self) -> i32 {
        self.max.load(Ordering::Relaxed)
    }

    /// Resets all sizes.
    pub fn reset(&self) {
        self.last.store(Self::INIT_VALUE, Ordering::Relaxed);
        self.min.store(Self::INIT_VALUE, Ordering::Relaxed);
        self.max.store(Self::INIT_VALUE, Ordering::Relaxed);
    }
}

impl Default for BufferStats {
    fn default() -> Self {
        Self::new()
    }
}

/// `last/min/max`, as `srvr` shows the proposals.
impl fmt::Display for BufferStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (last, min, max) =
            (self.last_buffer_size(), self.min_buffer_size(), self.max_buffer_size());
        write!(f, "{last}/{min}/{max}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_smallest_and_largest_are_kept_until_reset() {
        let stats = BufferStats::new();
        assert_eq!(stats.to_string(), "-1/-1/-1");
        for (size, text) in [(10, "10/10/10"), (5, "5/5/10"), (15, "15/5/15"), (7, "7/5/15")] {
            stats.set_last_buffer_size(size);
            assert_eq!(stats.to_string(), text);
        }
        stats.reset();
        assert_eq!(stats.to_string(), "-1/-1/-1");
    }
}
