//! Java: package org.apache.zookeeper.common.

pub mod config_exception;
pub mod jaas;
pub mod java_date;
pub mod net_utils;
pub mod path_trie;
pub mod path_utils;
pub mod properties;
pub mod string_utils;

#[cfg(test)]
pub(crate) mod test_socket;
pub mod time;

pub mod deadline;

pub mod atomic_file_output_stream;
pub mod atomic_file_writing_idiom;

pub mod zk_config;
