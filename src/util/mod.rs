//! Java: package org.apache.zookeeper.util, and what has no Java twin but everybody needs.

pub mod circular_blocking_queue;
pub mod listening_socket;
pub mod lock_rank;
pub mod sleeper;
