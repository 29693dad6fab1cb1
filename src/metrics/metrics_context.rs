//! A namespace of metrics (Java: metrics/MetricsContext.java).
//!
//! Java has sub-contexts, which both of its providers answer with the root itself; they are left
//! out here.

use std::sync::Arc;

use super::counter::Counter;
use super::counter_set::CounterSet;
use super::gauge::Gauge;
use super::gauge_set::GaugeSet;
use super::summary::Summary;
use super::summary_set::SummarySet;

/// How much a summary tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailLevel {
    /// Number, sum, smallest, largest.
    Basic,
    /// Percentiles as well.
    Advanced,
}

/// Hands out metrics by name: the same one for the same name.
pub trait MetricsContext: Send + Sync {
    /// The counter of that name.
    fn counter(&self, name: &str) -> Arc<dyn Counter>;

    /// The set of counters of that name.
    fn counter_set(&self, name: &str) -> Arc<dyn CounterSet>;

    /// Has the gauge asked under that name; it takes the place of an earlier one.
    fn register_gauge(&self, name: &str, gauge: Arc<dyn Gauge>);

    /// Forgets the gauge.
    fn unregister_gauge(&self, name: &str);

    /// Has the gauges asked under that name; they take the place of earlier ones.
    fn register_gauge_set(&self, name: &str, gauge_set: Arc<dyn GaugeSet>);

    /// Forgets the gauges.
    fn unregister_gauge_set(&self, name: &str);

    /// The summary of that name.
    ///
    /// # Panics
    /// When the name was given out with the other level of detail.
    fn summary(&self, name: &str, detail: DetailLevel) -> Arc<dyn Summary>;

    /// The set of summaries of that name.
    ///
    /// # Panics
    /// As [`summary`](Self::summary).
    fn summary_set(&self, name: &str, detail: DetailLevel) -> Arc<dyn SummarySet>;
}
