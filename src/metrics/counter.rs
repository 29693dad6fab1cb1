//! A value that only grows (Java: metrics/Counter.java).

/// A value that only grows, from the start of the process or the last reset.
pub trait Counter: Send + Sync {
    /// One more.
    fn inc(&self) {
        self.add(1);
    }

    /// `delta` more; not negative.
    fn add(&self, delta: i64);

    /// The value now (Java: get).
    fn value(&self) -> i64;
}
