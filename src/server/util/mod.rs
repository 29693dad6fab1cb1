//! Java: package org.apache.zookeeper.server.util: helpers of the server.

pub(crate) mod ad_hash;
pub(crate) mod auth_util;
pub(crate) mod os_mx_bean;
pub(crate) mod quota_metrics_utils;
pub(crate) mod rate_limiter;
pub(crate) mod request_path_metrics_collector;
pub(crate) mod serialize_utils;

pub(crate) mod bit_hash_set;
pub(crate) mod bit_map;
pub(crate) mod verifying_file_factory;
