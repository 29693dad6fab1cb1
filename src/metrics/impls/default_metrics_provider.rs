//! The metrics provider behind `mntr` (Java: metrics/impl/DefaultMetricsProvider.java).
//!
//! Locks: those of its `registry`.

use std::sync::Arc;

use crate::metrics::counter::Counter;
use crate::metrics::counter_set::CounterSet;
use crate::metrics::metrics_context::{DetailLevel, MetricsContext};
use crate::metrics::metrics_provider::{DumpSink, MetricsProvider, MetricsProviderLifeCycleError};
use crate::metrics::registry::{Gauges, Registry, assert_free};
use crate::metrics::summary::Summary;
use crate::metrics::summary_set::SummarySet;
use crate::server::metric::avg_min_max_counter::AvgMinMaxCounter;
use crate::server::metric::avg_min_max_counter_set::AvgMinMaxCounterSet;
use crate::server::metric::avg_min_max_percentile_counter::AvgMinMaxPercentileCounter;
use crate::server::metric::avg_min_max_percentile_counter_set::AvgMinMaxPercentileCounterSet;
use crate::server::metric::java_map_order::java_map_order;
use crate::server::metric::keyed_set::KeyedMetric;
use crate::server::metric::simple_counter::SimpleCounter;
use crate::server::metric::simple_counter_set::SimpleCounterSet;

/// The name of the Java class, the default of `metricsProvider.className`.
pub(crate) const CLASS_NAME: &str = "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider";

/// Keeps every metric in memory. `mntr` and the AdminServer show them.
pub struct DefaultMetricsProvider {
    root: DefaultMetricsContext,
}

struct DefaultMetricsContext {
    gauges: Gauges,
    counters: Registry<SimpleCounter>,
    counter_sets: Registry<SimpleCounterSet>,
    basic_summaries: Registry<AvgMinMaxCounter>,
    summaries: Registry<AvgMinMaxPercentileCounter>,
    basic_summary_sets: Registry<AvgMinMaxCounterSet>,
    summary_sets: Registry<AvgMinMaxPercentileCounterSet>,
}

impl DefaultMetricsProvider {
    /// A provider without metrics.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            root: DefaultMetricsContext {
                gauges: Gauges::new(),
                counters: Registry::new(),
                counter_sets: Registry::new(),
                basic_summaries: Registry::new(),
                summaries: Registry::new(),
                basic_summary_sets: Registry::new(),
                summary_sets: Registry::new(),
            },
        }
    }
}

impl Default for DefaultMetricsProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl MetricsProvider for DefaultMetricsProvider {
    fn start(&self) -> Result<(), MetricsProviderLifeCycleError> {
        Ok(())
    }

    fn stop(&self) {
        self.root.gauges.clear();
    }

    fn root_context(&self) -> &dyn MetricsContext {
        &self.root
    }

    fn dump(&self, sink: &mut DumpSink<'_>) {
        self.root.dump(sink);
    }

    fn reset_all_values(&self) {
        self.root.reset();
    }

    fn class_name(&self) -> &'static str {
        CLASS_NAME
    }
}

impl MetricsContext for DefaultMetricsContext {
    fn counter(&self, name: &str) -> Arc<dyn Counter> {
        self.counters.get_or_insert_with(name, || Arc::new(SimpleCounter::new(name)))
    }

    fn counter_set(&self, name: &str) -> Arc<dyn CounterSet> {
        self.counter_sets.get_or_insert_with(name, || Arc::new(SimpleCounterSet::new(name)))
    }

    fn gauges(&self) -> Option<&Gauges> {
        Some(&self.gauges)
    }

    fn summary(&self, name: &str, detail: DetailLevel) -> Arc<dyn Summary> {
        match detail {
            DetailLevel::Basic => {
                assert_free(&self.summaries, name);
                let make = || Arc::new(AvgMinMaxCounter::new(name));
                self.basic_summaries.get_or_insert_with(name, make)
            }
            DetailLevel::Advanced => {
                assert_free(&self.basic_summaries, name);
                let make = || Arc::new(AvgMinMaxPercentileCounter::new(name));
                self.summaries.get_or_insert_with(name, make)
            }
        }
    }

    fn summary_set(&self, name: &str, detail: DetailLevel) -> Arc<dyn SummarySet> {
        match detail {
            DetailLevel::Basic => {
                assert_free(&self.summary_sets, name);
                let make = || Arc::new(AvgMinMaxCounterSet::new(name));
                self.basic_summary_sets.get_or_insert_with(name, make)
            }
            DetailLevel::Advanced => {
                assert_free(&self.basic_summary_sets, name);
                let make = || Arc::new(AvgMinMaxPercentileCounterSet::new(name));
                self.summary_sets.get_or_insert_with(name, make)
            }
        }
    }
}

impl DefaultMetricsContext {
    fn dump(&self, sink: &mut DumpSink<'_>) {
        for (name, gauge) in self.gauges.single.all() {
            if let Some(value) = gauge.value() {
                sink(&name, value);
            }
        }
        for (name, gauge_set) in self.gauges.sets.all() {
            for (key, value) in java_map_order(gauge_set.values(), |(key, _)| key) {
                sink(&format!("{key}_{name}"), value);
            }
        }
        self.counters.all().iter().for_each(|(_, metric)| metric.dump(sink));
        self.counter_sets.all().iter().for_each(|(_, metric)| metric.dump(sink));
        self.basic_summaries.all().iter().for_each(|(_, metric)| metric.dump(sink));
        self.summaries.all().iter().for_each(|(_, metric)| metric.dump(sink));
        self.basic_summary_sets.all().iter().for_each(|(_, metric)| metric.dump(sink));
        self.summary_sets.all().iter().for_each(|(_, metric)| metric.dump(sink));
    }

    /// Gauges are not reset: their values belong to their owners.
    fn reset(&self) {
        self.counters.all().iter().for_each(|(_, metric)| metric.reset());
        self.counter_sets.all().iter().for_each(|(_, metric)| metric.reset());
        self.basic_summaries.all().iter().for_each(|(_, metric)| metric.reset());
        self.summaries.all().iter().for_each(|(_, metric)| metric.reset());
        self.basic_summary_sets.all().iter().for_each(|(_, metric)| metric.reset());
        self.summary_sets.all().iter().for_each(|(_, metric)| metric.reset());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::metric_value::MetricValue;

    fn dump(provider: &DefaultMetricsProvider) -> Vec<String> {
        let mut lines = Vec::new();
        provider.dump(&mut |name, value| lines.push(format!("{name}={value}")));
        lines
    }

    #[test]
    fn one_name_is_one_metric() {
        let provider = DefaultMetricsProvider::new();
        let context = provider.root_context();
        context.counter("c").add(2);
        context.counter("c").inc();
        context.counter_set("cs").add("k", 5);
        context.summary("s", DetailLevel::Basic).add(4);
        context.summary("s", DetailLevel::Basic).add(5);
        context.summary_set("ss", DetailLevel::Basic).add("k", 9);
        assert_eq!(
            dump(&provider).join(" "),
            "c=3 k_cs=5 avg_s=4.5 min_s=4 max_s=5 cnt_s=2 sum_s=9 avg_k_ss=9.0 min_k_ss=9 \
             max_k_ss=9 cnt_k_ss=1 \
             sum_k_ss=9"
        );
        provider.reset_all_values();
        assert!(dump(&provider).iter().all(|line| line.ends_with("=0") || line.ends_with("=0.0")));
    }

    #[test]
    fn gauges_are_asked_at_each_dump_until_they_are_unregistered() {
        let provider = DefaultMetricsProvider::new();
        let context = provider.root_context();
        context.register_gauge("gone", Arc::new(|| None));
        context.register_gauge("g", Arc::new(|| Some(MetricValue::Long(1))));
        context.register_gauge("g", Arc::new(|| Some(MetricValue::Double(2.0))));
        context.register_gauge_set("gs", Arc::new(|| vec![("k".to_owned(), MetricValue::Long(3))]));
        assert_eq!(dump(&provider), ["g=2.0", "k_gs=3"]);
        context.unregister_gauge("g");
        assert_eq!(dump(&provider), ["k_gs=3"]);
        provider.stop();
        assert!(dump(&provider).is_empty());
    }

    #[test]
    #[should_panic(expected = "s is registered with another level of detail")]
    fn one_name_cannot_have_two_levels_of_detail() {
        let provider = DefaultMetricsProvider::new();
        provider.root_context().summary("s", DetailLevel::Basic);
        provider.root_context().summary("s", DetailLevel::Advanced);
    }
}
