//! Java: package org.apache.zookeeper.server.quorum: the ensemble.

pub mod learner_info;
pub mod packet_output;
pub mod quorum_packet;

pub mod commit_processor;

pub mod quorum_peer;
pub mod quorum_peer_config;

pub mod quorum_peer_main;
