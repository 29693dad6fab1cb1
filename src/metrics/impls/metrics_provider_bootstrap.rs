//! Creates and starts the metrics provider that zoo.cfg names
//! (Java: metrics/impl/MetricsProviderBootstrap.java).
//!
//! Java loads any class of that name. Here the names of Java's own providers select their counterparts, and any
//! other name is an error that lists the accepted names. As in Java, a server whose provider cannot be created
//! does not start.

use std::collections::BTreeMap;
use std::sync::Arc;

use log::error;

use super::default_metrics_provider::{self, DefaultMetricsProvider};
use super::null_metrics_provider::{self, NullMetricsProvider};
use crate::metrics::metrics_provider::{MetricsProvider, MetricsProviderLifeCycleError};
use crate::metrics::prometheus::prometheus_metrics_provider::{
    self, PrometheusConfig, PrometheusMetricsProvider,
};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.metrics.impl.MetricsProviderBootstrap";

/// Creates the provider for a Java class name and starts it. `configuration` holds the `metricsProvider.*`
/// settings of zoo.cfg without that prefix.
///
/// # Errors
/// When there is no such provider, one of its settings is wrong, or it does not start. The error is logged
/// here, as in Java.
pub(crate) fn start_metrics_provider(
    class_name: &str,
    configuration: &BTreeMap<String, String>,
) -> Result<Arc<dyn MetricsProvider>, MetricsProviderLifeCycleError> {
    let started = make(class_name, configuration).and_then(|provider| {
        provider.start()?;
        Ok(provider)
    });
    if let Err(reason) = &started {
        error!(target: LOG, "Cannot boot MetricsProvider {class_name}: {}", reason.reason);
    }
    started
}

fn make(
    class_name: &str,
    configuration: &BTreeMap<String, String>,
) -> Result<Arc<dyn MetricsProvider>, MetricsProviderLifeCycleError> {
    match class_name {
        default_metrics_provider::CLASS_NAME => Ok(Arc::new(DefaultMetricsProvider::new())),
        null_metrics_provider::CLASS_NAME => Ok(Arc::new(NullMetricsProvider)),
        prometheus_metrics_provider::CLASS_NAME => {
            let config = PrometheusConfig::from_properties(configuration)?;
            Ok(Arc::new(PrometheusMetricsProvider::new(config)))
        }
        _ => Err(MetricsProviderLifeCycleError {
            class_name: class_name.to_owned(),
            reason: format!(
                "no such provider; metricsProvider.className may be {}, {} or {}",
                default_metrics_provider::CLASS_NAME,
                prometheus_metrics_provider::CLASS_NAME,
                null_metrics_provider::CLASS_NAME
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_class_names_choose_the_providers() {
        let configuration = BTreeMap::from([("httpPort".to_owned(), "0".to_owned())]);
        for class_name in [
            default_metrics_provider::CLASS_NAME,
            null_metrics_provider::CLASS_NAME,
            prometheus_metrics_provider::CLASS_NAME,
        ] {
            let provider = start_metrics_provider(class_name, &configuration).unwrap();
            assert_eq!(provider.class_name(), class_name);
            provider.stop();
        }
    }

    #[test]
    fn an_unknown_class_is_an_error_that_names_the_known_ones() {
        let error = start_metrics_provider("com.example.Metrics", &BTreeMap::new()).err().unwrap();
        let text = error.to_string();
        assert!(
            text.starts_with("cannot boot MetricsProvider com.example.Metrics: no such provider")
        );
        assert!(text.contains(default_metrics_provider::CLASS_NAME), "{text}");
    }
}
