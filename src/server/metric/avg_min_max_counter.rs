//! Count, sum, average, minimum and maximum of values (Java: server/metric/AvgMinMaxCounter.java).
//!
//! The four numbers of a stripe share a cache line. As in Java, they are not updated together, so a concurrent
//! reader may see a count without the matching sum.

use std::sync::atomic::{AtomicI64, Ordering};

use super::keyed_set::KeyedMetric;
use super::stripe::{Line, STRIPES, stripe_of_this_thread};
use crate::metrics::metric_value::{MetricValue, average};
use crate::metrics::metrics_provider::DumpSink;
use crate::metrics::summary::Summary;

/// The values of one stripe.
#[derive(Debug)]
struct Tally {
    count: AtomicI64,
    total: AtomicI64,
    min: AtomicI64,
    max: AtomicI64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            count: AtomicI64::new(0),
            total: AtomicI64::new(0),
            min: AtomicI64::new(i64::MAX),
            max: AtomicI64::new(i64::MIN),
        }
    }
}

/// A summary without percentiles.
#[derive(Debug)]
pub(crate) struct AvgMinMaxCounter {
    name: String,
    tallies: [Line<Tally>; STRIPES],
}

// All accesses are relaxed: no other memory access depends on the value of a statistic.
impl AvgMinMaxCounter {
    /// Creates a summary without values. It is dumped under `avg_<name>` and so on.
    #[must_use]
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), tallies: Default::default() }
    }

    /// Records the value `times` times. Returns the stripe that was used, and the number of values it had
    /// before.
    #[inline]
    pub(super) fn record(&self, value: i64, times: u32) -> (usize, i64) {
        let stripe = stripe_of_this_thread();
        let tally = &self.tallies[stripe].0;
        let times = i64::from(times);
        let before = tally.count.fetch_add(times, Ordering::Relaxed);
        if value != 0 {
            tally.total.fetch_add(value.wrapping_mul(times), Ordering::Relaxed);
        }
        // A new extreme is rare. A load costs less than a read-modify-write for every value.
        if value < tally.min.load(Ordering::Relaxed) {
            tally.min.fetch_min(value, Ordering::Relaxed);
        }
        if value > tally.max.load(Ordering::Relaxed) {
            tally.max.fetch_max(value, Ordering::Relaxed);
        }
        (stripe, before)
    }

    /// The number of values in one stripe.
    pub(super) fn stripe_count(&self, stripe: usize) -> i64 {
        self.tallies[stripe].0.count.load(Ordering::Relaxed)
    }

    /// The average with four decimals; 0 without values.
    #[must_use]
    pub(crate) fn avg(&self) -> f64 {
        average(self.total(), self.count())
    }

    /// The number of values.
    #[must_use]
    pub(crate) fn count(&self) -> i64 {
        self.fold(0, |tally| &tally.count, i64::wrapping_add)
    }

    /// The sum of all values.
    #[must_use]
    pub(crate) fn total(&self) -> i64 {
        self.fold(0, |tally| &tally.total, i64::wrapping_add)
    }

    /// The largest value; 0 without values.
    #[must_use]
    pub(crate) fn max(&self) -> i64 {
        match self.fold(i64::MIN, |tally| &tally.max, i64::max) {
            i64::MIN => 0,
            max => max,
        }
    }

    /// The smallest value; 0 without values.
    #[must_use]
    pub(crate) fn min(&self) -> i64 {
        match self.fold(i64::MAX, |tally| &tally.min, i64::min) {
            i64::MAX => 0,
            min => min,
        }
    }

    fn fold(&self, start: i64, of: fn(&Tally) -> &AtomicI64, with: fn(i64, i64) -> i64) -> i64 {
        self.tallies.iter().map(|line| of(&line.0).load(Ordering::Relaxed)).fold(start, with)
    }

    /// Resets the maximum to the minimum.
    pub(crate) fn reset_max(&self) {
        let min = self.min();
        for tally in &self.tallies {
            tally.0.max.store(min, Ordering::Relaxed);
        }
    }

    /// The name under which the summary is dumped.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl KeyedMetric for AvgMinMaxCounter {
    fn with_name(name: String) -> Self {
        Self::new(name)
    }

    /// Resets all values.
    fn reset(&self) {
        for Line(tally) in &self.tallies {
            tally.count.store(0, Ordering::Relaxed);
            tally.total.store(0, Ordering::Relaxed);
            tally.min.store(i64::MAX, Ordering::Relaxed);
            tally.max.store(i64::MIN, Ordering::Relaxed);
        }
    }

    /// Passes the five values to `sink` (Java: values).
    fn dump(&self, sink: &mut DumpSink<'_>) {
        let name = &self.name;
        sink(&format!("avg_{name}"), MetricValue::Double(self.avg()));
        sink(&format!("min_{name}"), MetricValue::Long(self.min()));
        sink(&format!("max_{name}"), MetricValue::Long(self.max()));
        sink(&format!("cnt_{name}"), MetricValue::Long(self.count()));
        sink(&format!("sum_{name}"), MetricValue::Long(self.total()));
    }
}

impl Summary for AvgMinMaxCounter {
    #[inline]
    fn add_n(&self, value: i64, times: u32) {
        self.record(value, times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(counter: &AvgMinMaxCounter) -> String {
        let mut lines = Vec::new();
        counter.dump(&mut |name, value| lines.push(format!("{name}={value}")));
        lines.join(" ")
    }

    #[test]
    fn it_knows_number_sum_and_extremes() {
        let counter = AvgMinMaxCounter::new("t");
        assert_eq!(dump(&counter), "avg_t=0.0 min_t=0 max_t=0 cnt_t=0 sum_t=0");
        counter.add(5);
        counter.add_n(-1, 2);
        counter.add(0);
        assert_eq!(dump(&counter), "avg_t=0.75 min_t=-1 max_t=5 cnt_t=4 sum_t=3");
        counter.reset_max();
        assert_eq!((counter.min(), counter.max()), (-1, -1));
        counter.reset();
        assert_eq!(dump(&counter), "avg_t=0.0 min_t=0 max_t=0 cnt_t=0 sum_t=0");
    }

    #[test]
    fn all_threads_values_count() {
        let counter = AvgMinMaxCounter::new("t");
        std::thread::scope(|scope| {
            for thread in 1..=8 {
                let counter = &counter;
                scope.spawn(move || (0..1_000).for_each(|_| counter.add(thread)));
            }
        });
        assert_eq!(dump(&counter), "avg_t=4.5 min_t=1 max_t=8 cnt_t=8000 sum_t=36000");
    }
}
