//! Summaries by key (Java: metrics/SummarySet.java).

/// A summary for each key; a key comes to be with its first value.
pub trait SummarySet: Send + Sync {
    /// Takes the value in for the key.
    fn add(&self, key: &str, value: i64) {
        self.add_n(key, value, 1);
    }

    /// Takes the same value in `times` times (no Java twin).
    fn add_n(&self, key: &str, value: i64, times: u32);
}
