//! A value that is computed when the metrics are dumped (Java: metrics/Gauge.java).

use super::metric_value::MetricValue;

/// A value that is asked for whenever the metrics are dumped. The metrics hold no lock while they ask.
///
/// A closure is a gauge. It must not keep its owner alive: it holds a `Weak` and returns `None` when the owner
/// is gone.
pub trait Gauge: Send + Sync {
    /// The current value; `None` leaves the gauge out of the dump.
    fn value(&self) -> Option<MetricValue>;
}

impl<F: Fn() -> Option<MetricValue> + Send + Sync> Gauge for F {
    fn value(&self) -> Option<MetricValue> {
        self()
    }
}
