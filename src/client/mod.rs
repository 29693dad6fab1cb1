//! Java: package org.apache.zookeeper.client: what clients and tools need to find and ask servers.

pub mod connect_string_parser;
pub mod four_letter_word_main;
