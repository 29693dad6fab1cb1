//! Gauges by key (Java: metrics/GaugeSet.java).

use super::metric_value::MetricValue;

/// As [`Gauge`](super::gauge::Gauge), with a value for each key.
pub trait GaugeSet: Send + Sync {
    /// The keys and their values now.
    fn values(&self) -> Vec<(String, MetricValue)>;
}

impl<F: Fn() -> Vec<(String, MetricValue)> + Send + Sync> GaugeSet for F {
    fn values(&self) -> Vec<(String, MetricValue)> {
        self()
    }
}
