//! Java: package org.apache.zookeeper.server.metric: the implementations of metrics.
//!
//! Recording never blocks. Every metric consists of a few stripes of atomics ([`stripe`]), percentiles come
//! from a sample beside them, and keys are found in an insert-only table ([`key_table`]).

pub mod java_map_order;
pub mod key_table;
pub mod keyed_set;
pub mod stripe;

pub mod simple_counter;
pub mod simple_counter_set;

pub mod avg_min_max_counter;
pub mod avg_min_max_counter_set;

pub mod reservoir;

pub mod avg_min_max_percentile_counter;
pub mod avg_min_max_percentile_counter_set;
