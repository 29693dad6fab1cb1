//! Java: package org.apache.zookeeper.metrics.impl.

pub mod default_metrics_provider;
pub mod metrics_provider_bootstrap;
pub mod null_metrics_provider;
