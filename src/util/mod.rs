//! Java: package org.apache.zookeeper.util, and general helpers that have no Java twin.

pub(crate) mod circular_blocking_queue;
pub(crate) mod listening_socket;
pub(crate) mod lock_rank;
pub(crate) mod random;
pub(crate) mod sleeper;
pub(crate) mod thread_name;
