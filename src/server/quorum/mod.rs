//! Java: package org.apache.zookeeper.server.quorum: the ensemble.

pub mod election;
pub mod fast_leader_election;
pub mod flexible;
pub mod multiple_addresses;
pub mod quorum_cnx_manager;
pub mod synced_learner_tracker;
pub mod vote;

pub mod epochs;
pub mod quorum_server;
pub mod states;

pub mod learner_info;
pub mod packet_output;
pub mod quorum_packet;

pub mod commit_processor;

pub mod ack_request_processor;
pub mod epoch_agreement;
pub mod leader;
pub mod leader_request_processor;
pub mod leader_session_tracker;
pub mod leader_zookeeper_server;
pub mod learner_handler;
pub mod learner_master;
pub mod learner_sync_request;
pub mod learner_sync_throttler;
pub mod proposal_request_processor;
pub mod proposer;
pub mod state_summary;
pub mod to_be_applied_request_processor;

pub mod quorum_peer;
pub mod quorum_peer_config;
pub mod quorum_peer_settings;

pub mod local_session_tracker;
pub mod quorum_peer_main;
pub mod quorum_zookeeper_server;
pub mod read_only_request_processor;
pub mod read_only_zookeeper_server;
pub mod role_peer;
pub mod upgradeable_session_tracker;

pub mod follower;
mod follower_request_processor;
mod follower_zookeeper_server;
mod leader_link;
pub mod learner;
pub mod learner_session_tracker;
mod learner_zookeeper_server;
pub mod observer;
mod observer_request_processor;
mod observer_zookeeper_server;
mod send_ack_request_processor;
