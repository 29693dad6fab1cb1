//! Java: package org.apache.zookeeper.util, and general helpers that have no Java twin.

pub mod circular_blocking_queue;
pub mod listening_socket;
pub mod lock_rank;
pub mod sleeper;
