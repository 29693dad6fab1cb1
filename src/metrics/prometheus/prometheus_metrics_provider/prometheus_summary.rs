//! A summary of the last ten minutes (Java: PrometheusMetricsProvider.PrometheusSummary and
//! PrometheusLabelledSummary, and the quantiles of Prometheus's client library).
//!
//! Java feeds every value to five quantile streams. Every two minutes it restarts one of them, and it shows the
//! oldest. Here a value goes only into the sample of the current two-minute window, and the last five samples
//! are shown together. That covers the same ten minutes with a fifth of the work, and recording never blocks,
//! so Java's queue and threads are not needed.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use super::family::{Family, Kind, Sample as Exported};
use crate::metrics::metrics_context::DetailLevel;
use crate::metrics::summary::Summary;
use crate::metrics::summary_set::SummarySet;
use crate::server::metric::key_table::KeyTable;
use crate::server::metric::reservoir::{Sample, Snapshot};
use crate::server::metric::stripe::{Line, STRIPES, stripe_of_this_thread};

/// The number of windows that are shown together.
const WINDOWS: usize = 5;

/// The length of a window in seconds: five windows are ten minutes.
pub(super) const WINDOW_S: u64 = 120;

/// One stripe's values in one window. At most 256 of them are kept.
#[derive(Debug, Default)]
struct StripeWindow {
    count: AtomicI64,
    sample: Sample<1>,
}

/// The values of one stripe.
#[derive(Debug, Default)]
struct Stripe {
    count: AtomicI64,
    sum: AtomicI64,
    windows: [StripeWindow; WINDOWS],
}

/// Count, sum and quantiles.
#[derive(Debug)]
pub(super) struct PrometheusSummary {
    stripes: [Line<Stripe>; STRIPES],
    current: AtomicUsize,
}

// All accesses are relaxed: no other memory access depends on the value of a statistic.
impl PrometheusSummary {
    pub(super) fn new() -> Self {
        Self { stripes: Default::default(), current: AtomicUsize::new(0) }
    }

    /// Starts the next window and discards the oldest.
    pub(super) fn rotate(&self) {
        let next = (self.current.load(Ordering::Relaxed) + 1) % WINDOWS;
        for Line(stripe) in &self.stripes {
            stripe.windows[next].count.store(0, Ordering::Relaxed);
        }
        self.current.store(next, Ordering::Relaxed);
    }

    fn snapshot(&self) -> Snapshot {
        let windows = self.stripes.iter().flat_map(|Line(stripe)| &stripe.windows);
        Snapshot::of(
            windows.flat_map(|window| {
                window.sample.weighted_values(window.count.load(Ordering::Relaxed))
            }),
        )
    }

    fn total(&self, of: fn(&Stripe) -> &AtomicI64) -> f64 {
        let values = self.stripes.iter().map(|Line(stripe)| of(stripe).load(Ordering::Relaxed));
        as_double(values.fold(0, i64::wrapping_add))
    }

    /// Appends the values, each with `labels`.
    fn export(
        &self,
        name: &str,
        detail: DetailLevel,
        labels: &[(&'static str, String)],
        out: &mut Vec<Exported>,
    ) {
        let snapshot = self.snapshot();
        let quantiles: &[(&str, f64)] = match detail {
            DetailLevel::Basic => &[("0.5", 0.5)],
            DetailLevel::Advanced => &[("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99)],
        };
        for (text, quantile) in quantiles {
            let mut labels = labels.to_vec();
            labels.push(("quantile", (*text).to_owned()));
            let value = snapshot.nearest(*quantile).unwrap_or(f64::NAN);
            out.push(Exported::new(name.to_owned(), labels, value));
        }
        let count = self.total(|stripe| &stripe.count);
        out.push(Exported::new(format!("{name}_count"), labels.to_vec(), count));
        let sum = self.total(|stripe| &stripe.sum);
        out.push(Exported::new(format!("{name}_sum"), labels.to_vec(), sum));
    }

    /// The metric as a family.
    pub(super) fn family(&self, name: &str, detail: DetailLevel) -> Family {
        let mut samples = Vec::new();
        self.export(name, detail, &[], &mut samples);
        Family::new(name.to_owned(), Kind::Summary, samples)
    }
}

impl Summary for PrometheusSummary {
    fn add_n(&self, value: i64, times: u32) {
        let stripe = &self.stripes[stripe_of_this_thread()].0;
        let times_wide = i64::from(times);
        stripe.count.fetch_add(times_wide, Ordering::Relaxed);
        stripe.sum.fetch_add(value.wrapping_mul(times_wide), Ordering::Relaxed);
        let window = &stripe.windows[self.current.load(Ordering::Relaxed)];
        let before = window.count.fetch_add(times_wide, Ordering::Relaxed);
        window.sample.update(value, before, times);
    }
}

/// One summary per key.
pub(super) struct PrometheusLabelledSummary {
    summaries: KeyTable<PrometheusSummary>,
}

impl PrometheusLabelledSummary {
    pub(super) fn new() -> Self {
        Self { summaries: KeyTable::new() }
    }

    pub(super) fn rotate(&self) {
        self.summaries.entries().iter().for_each(|(_, summary)| summary.rotate());
    }

    /// The metric as a family, with the keys as labels.
    pub(super) fn family(&self, name: &str, detail: DetailLevel) -> Family {
        let mut samples = Vec::new();
        for (key, summary) in self.summaries.entries() {
            summary.export(name, detail, &[("key", key.to_owned())], &mut samples);
        }
        Family::new(name.to_owned(), Kind::Summary, samples)
    }
}

impl SummarySet for PrometheusLabelledSummary {
    fn add_n(&self, key: &str, value: i64, times: u32) {
        self.summaries.get_or_insert_with(key, PrometheusSummary::new).add_n(value, times);
    }
}

/// Prometheus has only floating-point values.
#[expect(clippy::cast_precision_loss, reason = "as in Java")]
pub(super) const fn as_double(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(family: &Family) -> String {
        let mut text = String::new();
        family.write(&mut text, &[]);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn quantiles_forget_after_ten_minutes_and_the_sum_does_not() {
        let summary = PrometheusSummary::new();
        let shown = |summary: &PrometheusSummary| text(&summary.family("t", DetailLevel::Advanced));
        assert_eq!(
            shown(&summary),
            "t{quantile=\"0.5\",} NaN t{quantile=\"0.9\",} NaN t{quantile=\"0.99\",} NaN \
             t_count 0.0 t_sum 0.0"
        );
        summary.add_n(1, 90);
        summary.rotate();
        summary.add_n(7, 10);
        assert_eq!(
            shown(&summary),
            "t{quantile=\"0.5\",} 1.0 t{quantile=\"0.9\",} 1.0 t{quantile=\"0.99\",} 7.0 \
             t_count 100.0 t_sum 160.0"
        );
        (0..4).for_each(|_| summary.rotate());
        assert_eq!(
            shown(&summary),
            "t{quantile=\"0.5\",} 7.0 t{quantile=\"0.9\",} 7.0 t{quantile=\"0.99\",} 7.0 \
             t_count 100.0 t_sum 160.0"
        );
        summary.rotate();
        assert!(shown(&summary).starts_with("t{quantile=\"0.5\",} NaN"));
    }

    #[test]
    fn every_key_is_a_label() {
        let set = PrometheusLabelledSummary::new();
        set.add("b", 3);
        set.add("a", 4);
        assert_eq!(
            text(&set.family("w", DetailLevel::Basic)),
            "w{key=\"b\",quantile=\"0.5\",} 3.0 w_count{key=\"b\",} 1.0 w_sum{key=\"b\",} 3.0 \
             w{key=\"a\",quantile=\"0.5\",} 4.0 w_count{key=\"a\",} 1.0 w_sum{key=\"a\",} 4.0"
        );
    }
}
