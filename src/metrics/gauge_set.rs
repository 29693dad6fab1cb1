//! Gauges by key (Java: metrics/GaugeSet.java).

use super::metric_value::MetricValue;

/// As [`Gauge`](super::gauge::Gauge), with one value per key.
pub trait GaugeSet: Send + Sync {
    /// The current keys and values.
    fn values(&self) -> Vec<(String, MetricValue)>;
}

impl<F: Fn() -> Vec<(String, MetricValue)> + Send + Sync> GaugeSet for F {
    fn values(&self) -> Vec<(String, MetricValue)> {
        self()
    }
}
