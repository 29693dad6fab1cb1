//! Java: package org.apache.zookeeper.metrics.prometheus.

pub(crate) mod prometheus_metrics_provider;
