//! Latencies of many operations in little memory (no Java twin).

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency that the histogram distinguishes, in ns. Longer ones count as this one.
const LONGEST_NS: u64 = 120_000_000_000;

/// Two digits mean a precision of 1 %. A busy machine varies more than that, and the histogram fits into the
/// first-level cache.
const SIGNIFICANT_DIGITS: u8 = 2;

/// The percentiles that reports show.
pub(crate) const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

/// A histogram of latencies. Merging the histograms of several threads loses nothing.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    histogram: Histogram<u64>,
}

impl Latencies {
    /// No operation yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "both arguments are constants within the crate's limits"
        )]
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, SIGNIFICANT_DIGITS)
            .expect("the bounds are ordered and the digits are between 0 and 5");
        Self { histogram }
    }

    /// Records an operation that took `ns`.
    #[inline]
    pub(crate) fn record(&mut self, ns: u64) {
        self.histogram.saturating_record(ns);
    }

    /// Adds the latencies of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        #[expect(clippy::expect_used, reason = "all histograms have the same constant bounds")]
        self.histogram.add(&other.histogram).expect("the bounds are equal");
    }

    /// The number of operations.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that `percent` of the operations do not exceed; zero if there was none.
    #[must_use]
    pub(crate) fn percentile(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_percentile(percent))
    }

    /// The longest latency.
    #[must_use]
    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.histogram.max())
    }

    /// The average latency; zero if there was none.
    #[must_use]
    pub(crate) fn mean(&self) -> Duration {
        Duration::from_secs_f64((self.histogram.mean() / 1e9).max(0.0))
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

/// Converts to microseconds with a fraction, the unit of reports.
#[must_use]
pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::new();
        values.into_iter().for_each(|ns| latencies.record(ns));
        latencies
    }

    #[test]
    fn merged_histograms_answer_as_one_that_saw_everything() {
        let mut merged = of((1..=500).map(|i| i * 1000));
        merged.merge(&of((501..=1000).map(|i| i * 1000)));
        let whole = of((1..=1000).map(|i| i * 1000));
        assert_eq!(merged.count(), 1000);
        for percent in PERCENTILES {
            assert_eq!(merged.percentile(percent), whole.percentile(percent), "{percent} %");
        }
        let p50 = micros(merged.percentile(50.0));
        assert!((495.0..=505.0).contains(&p50), "{p50}");
        assert_eq!(merged.max(), whole.max());
    }

    #[test]
    fn a_latency_beyond_the_range_counts_as_the_longest() {
        let latencies = of([5, u64::MAX]);
        assert_eq!(latencies.count(), 2);
        assert!(latencies.max() >= Duration::from_nanos(LONGEST_NS));
    }

    #[test]
    fn nothing_measured_is_zero_and_not_a_failure() {
        let latencies = Latencies::new();
        assert_eq!((latencies.count(), latencies.percentile(99.0)), (0, Duration::ZERO));
        assert_eq!((latencies.mean(), latencies.max()), (Duration::ZERO, Duration::ZERO));
    }
}
