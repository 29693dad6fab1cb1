//! Java: package org.apache.zookeeper.server.util: helpers of the server.

pub mod serialize_utils;
