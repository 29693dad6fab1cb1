//! Summaries by key (Java: server/metric/AvgMinMaxCounterSet.java).

use super::avg_min_max_counter::AvgMinMaxCounter;
use super::java_map_order::java_map_order;
use super::key_table::KeyTable;
use crate::metrics::metrics_provider::DumpSink;
use crate::metrics::summary_set::SummarySet;

/// An [`AvgMinMaxCounter`] for each key, named `<key>_<name>`.
pub struct AvgMinMaxCounterSet {
    name: String,
    counters: KeyTable<AvgMinMaxCounter>,
}

impl AvgMinMaxCounterSet {
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

impl SummarySet for AvgMinMaxCounterSet {
    fn add_n(&self, key: &str, value: i64, times: u32) {
        let make = || AvgMinMaxCounter::new(format!("{key}_{}", self.name));
        self.counters.get_or_insert_with(key, make).record(value, times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_values() {
        let set = AvgMinMaxCounterSet::new("write_per_namespace");
        set.add("a", 4);
        set.add_n("b", 7, 2);
        let mut dumped = Vec::new();
        set.dump(&mut |name, value| dumped.push(format!("{name}={value}")));
        assert_eq!(
            dumped.join(" "),
            "avg_a_write_per_namespace=4.0 min_a_write_per_namespace=4 max_a_write_per_namespace=4 \
             cnt_a_write_per_namespace=1 sum_a_write_per_namespace=4 avg_b_write_per_namespace=7.0 \
             min_b_write_per_namespace=7 max_b_write_per_namespace=7 cnt_b_write_per_namespace=2 \
             sum_b_write_per_namespace=14"
        );
    }
}
