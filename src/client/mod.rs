//! Java: package org.apache.zookeeper.client: code with which clients and tools find servers and query them.

pub(crate) mod connect_string_parser;
pub mod four_letter_word_main;
