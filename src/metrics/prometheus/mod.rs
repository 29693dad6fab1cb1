//! Java: package org.apache.zookeeper.metrics.prometheus.

pub mod prometheus_metrics_provider;
