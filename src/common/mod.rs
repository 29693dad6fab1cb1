//! Java: package org.apache.zookeeper.common.

pub mod time;

pub mod zk_config;
