//! A server of an ensemble (Java: server/quorum/QuorumPeer.java). So far only what its
//! configuration is made of; the peer itself comes with the ensemble.

pub mod quorum_server;
pub mod states;

pub use self::states::{LearnerType, ServerState, SyncMode, ZabState};
