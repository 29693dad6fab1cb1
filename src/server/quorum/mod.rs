//! Java: package org.apache.zookeeper.server.quorum: the ensemble.

pub(crate) mod election;
pub(crate) mod fast_leader_election;
pub(crate) mod flexible;
pub(crate) mod multiple_addresses;
pub(crate) mod quorum_cnx_manager;
pub(crate) mod synced_learner_tracker;
pub(crate) mod vote;

pub(crate) mod epochs;
pub(crate) mod quorum_server;
pub(crate) mod states;

pub mod learner_info;
pub(crate) mod packet_output;
pub mod quorum_packet;

pub(crate) mod commit_processor;

pub(crate) mod ack_request_processor;
pub(crate) mod epoch_agreement;
pub(crate) mod leader;
pub(crate) mod leader_request_processor;
pub(crate) mod leader_session_tracker;
pub(crate) mod leader_zookeeper_server;
pub(crate) mod learner_handler;
pub(crate) mod learner_master;
pub(crate) mod learner_sync_request;
pub(crate) mod learner_sync_throttler;
pub(crate) mod proposal_request_processor;
pub(crate) mod proposer;
pub(crate) mod state_summary;
pub(crate) mod to_be_applied_request_processor;

pub(crate) mod quorum_peer;
pub(crate) mod quorum_peer_config;
pub(crate) mod quorum_peer_settings;

pub(crate) mod local_session_tracker;
pub mod quorum_peer_main;
pub(crate) mod quorum_zookeeper_server;
pub(crate) mod read_only_request_processor;
pub(crate) mod read_only_zookeeper_server;
pub(crate) mod role_peer;
pub(crate) mod upgradeable_session_tracker;

pub(crate) mod follower;
mod follower_request_processor;
mod follower_zookeeper_server;
mod leader_link;
pub(crate) mod learner;
pub(crate) mod learner_session_tracker;
mod learner_zookeeper_server;
pub(crate) mod observer;
mod observer_master;
mod observer_request_processor;
mod observer_zookeeper_server;
mod send_ack_request_processor;
