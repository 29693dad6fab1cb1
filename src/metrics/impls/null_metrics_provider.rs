//! A metrics provider that discards everything (Java: metrics/impl/NullMetricsProvider.java).

use std::sync::Arc;

use crate::metrics::counter::Counter;
use crate::metrics::counter_set::CounterSet;
use crate::metrics::metrics_context::{DetailLevel, MetricsContext};
use crate::metrics::metrics_provider::{DumpSink, MetricsProvider, MetricsProviderLifeCycleError};
use crate::metrics::registry::Gauges;
use crate::metrics::summary::Summary;
use crate::metrics::summary_set::SummarySet;

/// The name of the Java class.
pub(crate) const CLASS_NAME: &str = "org.apache.zookeeper.metrics.impl.NullMetricsProvider";

/// Collects and shows no metrics.
#[derive(Debug, Default)]
pub(crate) struct NullMetricsProvider;

/// A metric of every kind that discards its values.
#[derive(Debug)]
struct Forgets;

impl MetricsProvider for NullMetricsProvider {
    fn start(&self) -> Result<(), MetricsProviderLifeCycleError> {
        Ok(())
    }

    fn stop(&self) {}

    fn root_context(&self) -> &dyn MetricsContext {
        &Forgets
    }

    fn dump(&self, _sink: &mut DumpSink<'_>) {}

    fn reset_all_values(&self) {}

    fn class_name(&self) -> &'static str {
        CLASS_NAME
    }
}

impl MetricsContext for Forgets {
    fn counter(&self, _name: &str) -> Arc<dyn Counter> {
        Arc::new(Self)
    }
    fn counter_set(&self, _name: &str) -> Arc<dyn CounterSet> {
        Arc::new(Self)
    }
    fn gauges(&self) -> Option<&Gauges> {
        None
    }
    fn summary(&self, _name: &str, _detail: DetailLevel) -> Arc<dyn Summary> {
        Arc::new(Self)
    }
    fn summary_set(&self, _name: &str, _detail: DetailLevel) -> Arc<dyn SummarySet> {
        Arc::new(Self)
    }
}

impl Counter for Forgets {
    fn add(&self, _delta: i64) {}
    fn value(&self) -> i64 {
        0
    }
}

impl CounterSet for Forgets {
    fn add(&self, _key: &str, _delta: i64) {}
}

impl Summary for Forgets {
    fn add_n(&self, _value: i64, _times: u32) {}
}

impl SummarySet for Forgets {
    fn add_n(&self, _key: &str, _value: i64, _times: u32) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_dumped() {
        let provider = NullMetricsProvider;
        let context = provider.root_context();
        context.counter("c").inc();
        context.summary("s", DetailLevel::Advanced).add(1);
        context.register_gauge("g", Arc::new(|| Some(1.into())));
        provider.dump(&mut |name, value| panic!("{name} {value}"));
        assert_eq!(context.counter("c").value(), 0);
    }
}
