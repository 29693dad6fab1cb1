//! Java: package org.apache.zookeeper.server.metric: the implementations of metrics.
//!
//! Recording never blocks. Every metric consists of a few stripes of atomics ([`stripe`]), percentiles come
//! from a sample beside them, and keys are found in an insert-only table ([`key_table`]).

pub(crate) mod java_map_order;
pub(crate) mod key_table;
pub(crate) mod keyed_set;
pub(crate) mod stripe;

pub(crate) mod simple_counter;
pub(crate) mod simple_counter_set;

pub(crate) mod avg_min_max_counter;
pub(crate) mod avg_min_max_counter_set;

pub(crate) mod reservoir;

pub(crate) mod avg_min_max_percentile_counter;
pub(crate) mod avg_min_max_percentile_counter_set;
