//! Number, sum, smallest and largest of values, perhaps percentiles (Java: metrics/Summary.java).

/// What is known of many values without keeping them.
pub trait Summary: Send + Sync {
    /// Takes the value in. Never waits for another thread.
    fn add(&self, value: i64) {
        self.add_n(value, 1);
    }

    /// Takes the same value in `times` times, for less than as many calls cost (no Java twin: for
    /// whoever completes a batch of requests at once).
    fn add_n(&self, value: i64, times: u32);
}
