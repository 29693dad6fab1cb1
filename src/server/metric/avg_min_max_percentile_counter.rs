//! A summary with percentiles (Java: server/metric/AvgMinMaxPercentileCounter.java).

use super::avg_min_max_counter::AvgMinMaxCounter;
use super::keyed_set::KeyedMetric;
use super::reservoir::{JAVAS_CHUNKS, Sample, Snapshot};
use super::stripe::STRIPES;
use crate::metrics::metric_value::MetricValue;
use crate::metrics::metrics_provider::DumpSink;
use crate::metrics::summary::Summary;

/// A summary with percentiles: an [`AvgMinMaxCounter`] and a sample for each of its stripes.
#[derive(Debug)]
pub(crate) struct AvgMinMaxPercentileCounter {
    counter: AvgMinMaxCounter,
    samples: [Sample<JAVAS_CHUNKS>; STRIPES],
}

impl AvgMinMaxPercentileCounter {
    /// Creates a summary without values. It is dumped under `avg_<name>` and so on.
    #[must_use]
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { counter: AvgMinMaxCounter::new(name), samples: Default::default() }
    }

    /// Records the value `times` times.
    #[inline]
    pub(super) fn record(&self, value: i64, times: u32) {
        let (stripe, before) = self.counter.record(value, times);
        self.samples[stripe].update(value, before, times);
    }

    /// Records a value (Java: addDataPoint).
    #[inline]
    #[cfg(test)]
    pub(crate) fn add_data_point(&self, value: i64) {
        self.record(value, 1);
    }

    /// The percentiles of the values so far.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::of(
            self.samples.iter().enumerate().flat_map(|(stripe, sample)| {
                sample.weighted_values(self.counter.stripe_count(stripe))
            }),
        )
    }
}

impl KeyedMetric for AvgMinMaxPercentileCounter {
    fn with_name(name: String) -> Self {
        Self::new(name)
    }

    /// Resets all values. The sample needs no reset, because the number of values determines which of its slots
    /// are used.
    fn reset(&self) {
        self.counter.reset();
    }

    /// Passes the nine values to `sink` (Java: values).
    fn dump(&self, sink: &mut DumpSink<'_>) {
        self.counter.dump(sink);
        let snapshot = self.snapshot();
        let percentiles = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];
        for (prefix, quantile) in percentiles {
            let name = format!("{prefix}_{}", self.counter.name());
            sink(&name, MetricValue::Long(snapshot.rounded(quantile)));
        }
    }
}

impl Summary for AvgMinMaxPercentileCounter {
    #[inline]
    fn add_n(&self, value: i64, times: u32) {
        self.record(value, times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(counter: &AvgMinMaxPercentileCounter) -> String {
        let mut lines = Vec::new();
        counter.dump(&mut |name, value| lines.push(format!("{name}={value}")));
        lines.join(" ")
    }

    #[test]
    fn percentiles_of_a_thousand_values_are_javas() {
        // The expected values are those of Java's unit test for this class.
        let counter = AvgMinMaxPercentileCounter::new("test");
        for value in 0..1_000 {
            counter.add_data_point(value);
        }
        assert_eq!(
            dump(&counter),
            "avg_test=499.5 min_test=0 max_test=999 cnt_test=1000 sum_test=499500 p50_test=500 \
             p95_test=950 \
             p99_test=990 p999_test=999"
        );
        counter.reset();
        assert_eq!(
            dump(&counter),
            "avg_test=0.0 min_test=0 max_test=0 cnt_test=0 sum_test=0 p50_test=0 p95_test=0 \
             p99_test=0 p999_test=0"
        );
    }

    #[test]
    fn a_value_taken_in_many_times_counts_as_often() {
        let counter = AvgMinMaxPercentileCounter::new("t");
        counter.add_n(3, 90);
        counter.add_n(50, 10);
        let snapshot = counter.snapshot();
        assert_eq!((snapshot.rounded(0.5), snapshot.rounded(0.95)), (3, 50));
        assert_eq!(counter.counter.count(), 100);
    }
}
