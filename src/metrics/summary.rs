//! Count, sum, minimum and maximum of values, and optionally percentiles (Java: metrics/Summary.java).

/// Statistics of many values, which are not kept individually.
pub trait Summary: Send + Sync {
    /// Records a value. Never blocks on another thread.
    fn add(&self, value: i64) {
        self.add_n(value, 1);
    }

    /// Records the same value `times` times, at less cost than `times` calls (no Java twin: used by code that
    /// completes a batch of requests at once).
    fn add_n(&self, value: i64, times: u32);
}
