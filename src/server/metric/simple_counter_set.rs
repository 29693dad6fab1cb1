//! Counters by key (Java: server/metric/SimpleCounterSet.java).

use super::java_map_order::java_map_order;
use super::key_table::KeyTable;
use super::simple_counter::SimpleCounter;
use crate::metrics::counter::Counter;
use crate::metrics::counter_set::CounterSet;
use crate::metrics::metrics_provider::DumpSink;

/// A [`SimpleCounter`] for each key, named `<key>_<name>`.
pub struct SimpleCounterSet {
    name: String,
    counters: KeyTable<SimpleCounter>,
}

impl SimpleCounterSet {
    /// Creates a set without keys.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), counters: KeyTable::new() }
    }

    /// Resets all counters to 0.
    pub fn reset(&self) {
        for (_, counter) in self.counters.entries() {
            counter.reset();
        }
    }

    /// Passes all names and values to `sink`.
    pub fn dump(&self, sink: &mut DumpSink<'_>) {
        for (_, counter) in java_map_order(self.counters.entries(), |(key, _)| key) {
            counter.dump(sink);
        }
    }
}

impl CounterSet for SimpleCounterSet {
    fn add(&self, key: &str, delta: i64) {
        let make = || SimpleCounter::new(format!("{key}_{}", self.name));
        self.counters.get_or_insert_with(key, make).add(delta);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_counter() {
        let set = SimpleCounterSet::new("count");
        set.inc("key2");
        set.add("key1", 7);
        set.inc("key2");
        let dump = || {
            let mut dumped = Vec::new();
            set.dump(&mut |name, value| dumped.push(format!("{name} {value}")));
            dumped
        };
        assert_eq!(dump(), ["key1_count 7", "key2_count 2"]);
        set.reset();
        assert_eq!(dump(), ["key1_count 0", "key2_count 0"]);
    }
}
