//! Counters by key (Java: metrics/CounterSet.java).

/// One counter per key. A key's counter is created by its first value.
pub trait CounterSet: Send + Sync {
    /// Adds one to the key's counter.
    fn inc(&self, key: &str) {
        self.add(key, 1);
    }

    /// Adds `delta`, which must not be negative, to the key's counter.
    fn add(&self, key: &str, delta: i64);
}
