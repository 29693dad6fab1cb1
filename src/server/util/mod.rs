//! Java: package org.apache.zookeeper.server.util: helpers of the server.

pub mod ad_hash;
pub mod auth_util;
pub mod os_mx_bean;
pub mod quota_metrics_utils;
pub mod rate_limiter;
pub mod request_path_metrics_collector;
pub mod serialize_utils;

pub mod bit_hash_set;
pub mod bit_map;
pub mod verifying_file_factory;
