//! Summaries with percentiles by key (Java: server/metric/AvgMinMaxPercentileCounterSet.java).

use super::avg_min_max_percentile_counter::AvgMinMaxPercentileCounter;
use super::java_map_order::java_map_order;
use super::key_table::KeyTable;
use crate::metrics::metrics_provider::DumpSink;
use crate::metrics::summary_set::SummarySet;

/// An [`AvgMinMaxPercentileCounter`] for each key, named `<key>_<name>`.
pub struct AvgMinMaxPercentileCounterSet {
    name: String,
    counters: KeyTable<AvgMinMaxPercentileCounter>,
}

impl AvgMinMaxPercentileCounterSet {
    /// Creates a set without keys.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), counters: KeyTable::new() }
    }

    /// Resets the maximum of every key.
    pub fn reset_max(&self) {
        self.counters.entries().iter().for_each(|(_, counter)| counter.reset_max());
    }

    /// Resets the values of all keys. The keys stay.
    pub fn reset(&self) {
        self.counters.entries().iter().for_each(|(_, counter)| counter.reset());
    }

    /// Passes all values to `sink`.
    pub fn dump(&self, sink: &mut DumpSink<'_>) {
        for (_, counter) in java_map_order(self.counters.entries(), |(key, _)| key) {
            counter.dump(sink);
        }
    }
}

impl SummarySet for AvgMinMaxPercentileCounterSet {
    fn add_n(&self, key: &str, value: i64, times: u32) {
        let make = || AvgMinMaxPercentileCounter::new(format!("{key}_{}", self.name));
        self.counters.get_or_insert_with(key, make).record(value, times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_percentiles() {
        let set = AvgMinMaxPercentileCounterSet::new("t");
        for value in 0..1_000 {
            set.add("k", value);
        }
        set.add("l", 1);
        let mut dumped = Vec::new();
        set.dump(&mut |name, value| dumped.push(format!("{name}={value}")));
        assert_eq!(dumped.len(), 18);
        assert!(dumped.contains(&"p95_k_t=950".to_owned()), "{dumped:?}");
        assert!(dumped.contains(&"p999_l_t=1".to_owned()), "{dumped:?}");
        set.reset();
        dumped.clear();
        set.dump(&mut |name, value| dumped.push(format!("{name}={value}")));
        assert!(dumped.iter().all(|line| line.ends_with("=0") || line.ends_with("=0.0")));
    }
}
