//! Java: package org.apache.zookeeper.metrics.impl.

pub(crate) mod default_metrics_provider;
pub(crate) mod metrics_provider_bootstrap;
pub(crate) mod null_metrics_provider;
