//! A metric for each key (no Java twin: what Java's SimpleCounterSet, AvgMinMaxCounterSet and
//! AvgMinMaxPercentileCounterSet have in common).

use super::java_map_order::java_map_order;
use super::key_table::KeyTable;
use crate::metrics::counter::Counter;
use crate::metrics::counter_set::CounterSet;
use crate::metrics::metrics_provider::DumpSink;
use crate::metrics::summary::Summary;
use crate::metrics::summary_set::SummarySet;

/// A metric that can be one of a set.
pub(crate) trait KeyedMetric: Send + Sync + Sized {
    /// Creates the metric.
    fn with_name(name: String) -> Self;

    /// Resets its value.
    fn reset(&self);

    /// Passes its names and values to `sink`.
    fn dump(&self, sink: &mut DumpSink<'_>);
}

/// A metric for each key, named `<key>_<name>`.
pub(crate) struct KeyedSet<M> {
    name: String,
    metrics: KeyTable<M>,
}

impl<M: KeyedMetric> KeyedSet<M> {
    /// Creates a set without keys.
    #[must_use]
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), metrics: KeyTable::new() }
    }

    /// The metric of that key. It is created if it does not exist.
    fn metric(&self, key: &str) -> &M {
        self.metrics.get_or_insert_with(key, || M::with_name(format!("{key}_{}", self.name)))
    }

    /// Resets the values of all keys. The keys stay.
    pub(crate) fn reset(&self) {
        self.metrics.entries().iter().for_each(|(_, metric)| metric.reset());
    }

    /// Passes all names and values to `sink`.
    pub(crate) fn dump(&self, sink: &mut DumpSink<'_>) {
        for (_, metric) in java_map_order(self.metrics.entries(), |(key, _)| key) {
            metric.dump(sink);
        }
    }
}

impl<M: KeyedMetric + Counter> CounterSet for KeyedSet<M> {
    fn add(&self, key: &str, delta: i64) {
        self.metric(key).add(delta);
    }
}

impl<M: KeyedMetric + Summary> SummarySet for KeyedSet<M> {
    fn add_n(&self, key: &str, value: i64, times: u32) {
        self.metric(key).add_n(value, times);
    }
}
