//! A value that only grows (Java: metrics/Counter.java).

/// A value that only grows, counted from the start of the process or the last reset.
pub trait Counter: Send + Sync {
    /// Adds one.
    fn inc(&self) {
        self.add(1);
    }

    /// Adds `delta`, which must not be negative.
    fn add(&self, delta: i64);

    /// The current value (Java: get).
    fn value(&self) -> i64;
}
