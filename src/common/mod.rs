//! Java: package org.apache.zookeeper.common.

pub(crate) mod config_exception;
pub(crate) mod jaas;
pub(crate) mod java_date;
pub(crate) mod net_utils;
pub(crate) mod path_trie;
pub mod path_utils;
pub(crate) mod properties;
pub(crate) mod string_utils;

#[cfg(test)]
pub(crate) mod test_socket;
pub mod time;

pub(crate) mod deadline;

pub(crate) mod atomic_file_output_stream;
pub(crate) mod atomic_file_writing_idiom;

pub(crate) mod zk_config;
