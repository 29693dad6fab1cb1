//! Ensembles for tests (no Java twin).

use std::sync::Arc;

use super::create_quorum_verifier::from_members;
use super::quorum_members::QuorumMembers;
use super::quorum_verifier::QuorumVerifier;
use crate::common::net_utils::InetSocketAddress;
use crate::ids::Sid;
use crate::server::quorum::quorum_server::QuorumServer;
use crate::server::quorum::states::LearnerType;

/// A server whose ports are derived from its id.
pub(crate) fn server(sid: i64, learner_type: LearnerType) -> QuorumServer {
    let port = u16::try_from(sid % 1000).unwrap() * 10;
    let address = InetSocketAddress::new("127.0.0.1", 1 + port, &|_| None);
    QuorumServer {
        id: Sid(sid),
        election_addresses: vec![InetSocketAddress { port: 2 + port, ..address.clone() }],
        addresses: vec![address],
        client_address: None,
        is_client_address_from_static: false,
        hostname: "127.0.0.1".into(),
        learner_type,
    }
}

/// An ensemble of these voters.
pub(crate) fn voters(sids: &[i64]) -> QuorumMembers {
    let servers = sids.iter().map(|sid| (Sid(*sid), server(*sid, LearnerType::Participant)));
    QuorumMembers { servers: servers.collect(), ..QuorumMembers::default() }
}

/// A majority verifier of these voters.
pub(crate) fn majority_of(sids: &[i64]) -> Arc<dyn QuorumVerifier> {
    from_members(voters(sids), None)
}
