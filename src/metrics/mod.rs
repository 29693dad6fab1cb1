//! Java: package org.apache.zookeeper.metrics: metrics and the providers that collect them.

pub mod metric_value;

pub mod counter;
pub mod counter_set;
pub mod gauge;
pub mod gauge_set;
pub mod summary;
pub mod summary_set;

pub mod registry;

pub mod metrics_context;
pub mod metrics_provider;

pub mod impls;

pub mod prometheus;
