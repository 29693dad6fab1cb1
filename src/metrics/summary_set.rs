//! Summaries by key (Java: metrics/SummarySet.java).

/// One summary per key. A key's summary is created by its first value.
pub trait SummarySet: Send + Sync {
    /// Records a value for the key.
    fn add(&self, key: &str, value: i64) {
        self.add_n(key, value, 1);
    }

    /// Records the same value `times` times (no Java twin).
    fn add_n(&self, key: &str, value: i64, times: u32);
}
