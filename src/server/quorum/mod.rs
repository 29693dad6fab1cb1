//! Java: package org.apache.zookeeper.server.quorum: the ensemble.

pub mod election;
pub mod flexible;
pub mod multiple_addresses;
pub mod synced_learner_tracker;
pub mod vote;

pub mod learner_info;
pub mod packet_output;
pub mod quorum_packet;

pub mod commit_processor;

pub mod quorum_peer;
pub mod quorum_peer_config;

pub mod local_session_tracker;
pub mod quorum_peer_main;
pub mod quorum_zookeeper_server;
pub mod read_only_request_processor;
pub mod upgradeable_session_tracker;
