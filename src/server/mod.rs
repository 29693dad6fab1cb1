//! Java: package org.apache.zookeeper.server. A complete server without an ensemble, whose code never refers to
//! `quorum`.

pub(crate) mod exit_code;
pub(crate) mod large_requests;
pub(crate) mod server_config;
pub(crate) mod server_settings;
pub(crate) mod zookeeper_server_conf;
pub(crate) mod zookeeper_server_listener;

pub(crate) mod zookeeper_critical_thread;
pub mod zookeeper_thread;

pub(crate) mod server_watcher;

pub(crate) mod data_tree;

mod byte_store;
mod data_node;
pub(crate) mod digest_calculator;
pub(crate) mod ephemeral_type;
mod node_hash_map;
pub(crate) mod reference_counted_acl_cache;

pub(crate) mod util;

pub(crate) mod committed_log;

pub(crate) mod persistence;

pub(crate) mod metric;
pub(crate) mod server_metrics;

pub(crate) mod buffer_stats;
pub(crate) mod cnxn_stats;
pub(crate) mod rate_logger;
pub(crate) mod server_stats;
pub(crate) mod zoo_trace;

pub(crate) mod watch;

pub(crate) mod container_manager;

pub(crate) mod expiry_queue;
pub(crate) mod session_password;
pub(crate) mod session_tracker;
pub(crate) mod session_tracker_impl;
pub(crate) mod sessions_with_timeouts;

pub(crate) mod admin;
pub(crate) mod auth;
pub(crate) mod authentication_helper;
pub(crate) mod command;
pub(crate) mod first_bytes;
pub(crate) mod strangers;

pub(crate) mod blue_throttle;
pub(crate) mod connection_limits;
pub(crate) mod descriptor_reserve;
mod disk_speed;
pub(crate) mod request_throttler;

pub(crate) mod server_role;
pub(crate) mod zookeeper_server;

pub(crate) mod memory_account;
pub(crate) mod request;
pub(crate) mod request_processor;

pub(crate) mod fair_queue;
pub(crate) mod final_request_processor;
pub(crate) mod prep_request_processor;
pub(crate) mod processor_queue;
pub(crate) mod sync_request_processor;
pub(crate) mod txn_log_proposal_iterator;

pub(crate) mod blocking_server_cnxn;
mod client_socket;
mod cnxn_socket;
pub(crate) mod nio_server_cnxn;
pub(crate) mod nio_server_cnxn_factory;
pub(crate) mod server_cnxn;
pub(crate) mod server_cnxn_factory;
mod worker_service;

pub(crate) mod datadir_cleanup_manager;
pub mod purge_txn_log;
pub mod snapshot_formatter;

pub(crate) mod zk_database;
pub(crate) mod zookeeper_server_main;

pub(crate) mod quorum;
