//! A value that is asked for when somebody looks (Java: metrics/Gauge.java).

use super::metric_value::MetricValue;

/// Asked whenever the metrics are dumped. No lock of the metrics is held meanwhile.
///
/// A closure is one. It must not keep its owner alive: it holds a `Weak`, and answers `None` when
/// that is gone.
pub trait Gauge: Send + Sync {
    /// The value now; `None` leaves the gauge out.
    fn value(&self) -> Option<MetricValue>;
}

impl<F: Fn() -> Option<MetricValue> + Send + Sync> Gauge for F {
    fn value(&self) -> Option<MetricValue> {
        self()
    }
}
