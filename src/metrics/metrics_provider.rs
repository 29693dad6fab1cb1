//! Collects the metrics and shows them (Java: metrics/MetricsProvider.java,
//! metrics/MetricsProviderLifeCycleException.java).
//!
//! Java creates a provider and then configures it. Here `metrics_provider_bootstrap` creates it with its
//! settings.

use super::metric_value::MetricValue;
use super::metrics_context::MetricsContext;

/// Receives dumped metrics: a name without the `zk_` prefix of `mntr`, and its value.
pub(crate) type DumpSink<'a> = dyn FnMut(&str, MetricValue) + 'a;

/// The Java class of the provider for Prometheus. It is here for those who ask whether it is configured.
pub(crate) const PROMETHEUS_CLASS_NAME: &str =
    "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

/// Collects metrics.
pub trait MetricsProvider: Send + Sync {
    /// Starts what the provider needs, such as a port.
    ///
    /// # Errors
    /// When the start fails. The server then does not start.
    fn start(&self) -> Result<(), MetricsProviderLifeCycleError>;

    /// Stops the provider and drops its gauges.
    fn stop(&self);

    /// The context in which metrics are created and registered.
    fn root_context(&self) -> &dyn MetricsContext;

    /// Passes all values to `sink`, for `mntr` and the AdminServer.
    fn dump(&self, sink: &mut DumpSink<'_>);

    /// Resets counters and summaries (`srst`).
    fn reset_all_values(&self);

    /// The name of the Java class.
    fn class_name(&self) -> &'static str;
}

/// Why a provider does not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot boot MetricsProvider {class_name}: {reason}")]
pub struct MetricsProviderLifeCycleError {
    /// The provider class that zoo.cfg names.
    pub class_name: String,
    /// What is wrong, and in which setting.
    pub reason: String,
}
