//! Who collects the metrics and shows them (Java: metrics/MetricsProvider.java,
//! metrics/MetricsProviderLifeCycleException.java).
//!
//! Java configures a provider after it has made it; here `metrics_provider_bootstrap` makes it with
//! its settings.

use super::metric_value::MetricValue;
use super::metrics_context::MetricsContext;

/// Takes what is dumped: a name without the `zk_` of `mntr`, and its value.
pub type DumpSink<'a> = dyn FnMut(&str, MetricValue) + 'a;

/// Collects metrics.
pub trait MetricsProvider: Send + Sync {
    /// Starts what it needs, a port for instance.
    ///
    /// # Errors
    /// When that cannot be had; the server does not start then.
    fn start(&self) -> Result<(), MetricsProviderLifeCycleError>;

    /// Stops it and lets go of the gauges.
    fn stop(&self);

    /// Where metrics are made and registered.
    fn root_context(&self) -> &dyn MetricsContext;

    /// Shows all values, for `mntr` and the AdminServer.
    fn dump(&self, sink: &mut DumpSink<'_>);

    /// Sets counters and summaries back (`srst`).
    fn reset_all_values(&self);

    /// Java's class name of it.
    fn class_name(&self) -> &'static str;
}

/// Why a provider does not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot boot MetricsProvider {class_name}: {reason}")]
pub struct MetricsProviderLifeCycleError {
    /// The class that zoo.cfg names.
    pub class_name: String,
    /// What is wrong, and with which setting.
    pub reason: String,
}
