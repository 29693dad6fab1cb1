//! Java: package org.apache.zookeeper.server. A complete server without an ensemble, whose code never refers to
//! `quorum`.

pub mod exit_code;
pub mod large_requests;
pub mod server_config;
pub mod server_settings;
pub mod zookeeper_server_conf;
pub mod zookeeper_server_listener;

pub mod zookeeper_critical_thread;
pub mod zookeeper_thread;

pub mod server_watcher;

pub mod data_tree;

mod byte_store;
mod data_node;
pub mod digest_calculator;
pub mod ephemeral_type;
mod node_hash_map;
pub mod reference_counted_acl_cache;

pub mod util;

pub mod committed_log;

pub mod persistence;

pub mod metric;
pub mod server_metrics;

pub mod buffer_stats;
pub mod cnxn_stats;
pub mod rate_logger;
pub mod server_stats;
pub mod zoo_trace;

pub mod watch;

pub mod container_manager;

pub mod expiry_queue;
pub mod session_password;
pub mod session_tracker;
pub mod session_tracker_impl;
pub mod sessions_with_timeouts;

pub mod admin;
pub mod auth;
pub mod authentication_helper;
pub mod command;
pub mod first_bytes;
pub mod strangers;

pub mod blue_throttle;
pub mod connection_limits;
pub mod descriptor_reserve;
pub mod request_throttler;

pub mod server_role;
pub mod zookeeper_server;

pub mod memory_account;
pub mod request;
pub mod request_processor;

pub mod fair_queue;
pub mod final_request_processor;
pub mod prep_request_processor;
pub mod processor_queue;
pub mod sync_request_processor;
pub mod txn_log_proposal_iterator;

pub mod blocking_server_cnxn;
pub mod blocking_server_cnxn_factory;
pub mod server_cnxn;
pub mod server_cnxn_factory;

pub mod datadir_cleanup_manager;
pub mod purge_txn_log;
pub mod snapshot_formatter;

pub mod zk_database;
pub mod zookeeper_server_main;

pub mod quorum;
