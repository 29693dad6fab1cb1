//! Counters by key (Java: metrics/CounterSet.java).

/// A counter for each key; a key comes to be with its first value.
pub trait CounterSet: Send + Sync {
    /// One more for the key.
    fn inc(&self, key: &str) {
        self.add(key, 1);
    }

    /// `delta` more for the key; not negative.
    fn add(&self, key: &str, delta: i64);
}
