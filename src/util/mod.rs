//! Java: package org.apache.zookeeper.util, and what has no Java twin but everybody needs.

pub mod lock_rank;
pub mod sleeper;
