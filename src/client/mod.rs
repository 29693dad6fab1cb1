//! Java: package org.apache.zookeeper.client: code with which clients and tools find servers and query them.

pub(crate) mod connect_string_parser;
pub mod four_letter_word_main;
pub(crate) mod host_provider;
pub(crate) mod static_host_provider;
