//! A namespace of metrics (Java: metrics/MetricsContext.java).
//!
//! Java also has sub-contexts. Both of its providers return the root for them, so they are left out here.

use std::sync::Arc;

use super::counter::Counter;
use super::counter_set::CounterSet;
use super::gauge::Gauge;
use super::gauge_set::GaugeSet;
use super::registry::Gauges;
use super::summary::Summary;
use super::summary_set::SummarySet;

/// What a summary shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailLevel {
    /// Count, sum, minimum and maximum.
    Basic,
    /// Percentiles in addition.
    Advanced,
}

/// Returns metrics by name. The same name always returns the same metric.
pub trait MetricsContext: Send + Sync {
    /// The counter of that name.
    fn counter(&self, name: &str) -> Arc<dyn Counter>;

    /// The set of counters of that name.
    fn counter_set(&self, name: &str) -> Arc<dyn CounterSet>;

    /// The gauges; none if the provider discards them.
    fn gauges(&self) -> Option<&Gauges>;

    /// Registers a gauge under that name and replaces an earlier one.
    fn register_gauge(&self, name: &str, gauge: Arc<dyn Gauge>) {
        if let Some(gauges) = self.gauges() {
            gauges.single.put(name, gauge);
        }
    }

    /// Removes the gauge.
    fn unregister_gauge(&self, name: &str) {
        if let Some(gauges) = self.gauges() {
            gauges.single.remove(name);
        }
    }

    /// Registers a gauge set under that name and replaces an earlier one.
    fn register_gauge_set(&self, name: &str, gauge_set: Arc<dyn GaugeSet>) {
        if let Some(gauges) = self.gauges() {
            gauges.sets.put(name, gauge_set);
        }
    }

    /// Removes the gauge set.
    fn unregister_gauge_set(&self, name: &str) {
        if let Some(gauges) = self.gauges() {
            gauges.sets.remove(name);
        }
    }

    /// The summary of that name.
    ///
    /// # Panics
    /// When the name is already used with the other level of detail.
    fn summary(&self, name: &str, detail: DetailLevel) -> Arc<dyn Summary>;

    /// The set of summaries of that name.
    ///
    /// # Panics
    /// As [`summary`](Self::summary).
    fn summary_set(&self, name: &str, detail: DetailLevel) -> Arc<dyn SummarySet>;
}
