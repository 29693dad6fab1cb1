//! Java: package org.apache.zookeeper.metrics: metrics and the providers that collect them.

pub(crate) mod metric_value;

pub(crate) mod counter;
pub(crate) mod counter_set;
pub(crate) mod gauge;
pub(crate) mod gauge_set;
pub(crate) mod summary;
pub(crate) mod summary_set;

pub(crate) mod registry;

pub(crate) mod metrics_context;
pub(crate) mod metrics_provider;

pub(crate) mod impls;

pub(crate) mod prometheus;
