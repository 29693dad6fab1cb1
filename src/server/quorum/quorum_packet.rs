//! The packets on the quorum port (Java: server/quorum/QuorumPacket.java, and the packet types of Leader.java).
//!
//! Packets have no length prefix. [`read_packet`] limits every length within them.

use std::io::{self, Read};

use thiserror::Error;

use crate::data::Id;
use crate::ids::Zxid;
use crate::jute::{BinaryInputArchive, InputError, Limits, Record};
use crate::server::zoo_trace::{self, SERVER_PACKET_TRACE_MASK, SERVER_PING_TRACE_MASK};

crate::record! {
    /// A packet.
    pub struct QuorumPacket {
        /// The packet type: a [`PacketType`].
        r#type: i32,
        /// The zxid of a transaction, or another meaning by type.
        zxid: Zxid,
        /// The payload, by type.
        data: Option<Vec<u8>>,
        /// The authentication info of the client, in a request.
        authinfo: Option<Vec<Id>>,
    }
}

impl QuorumPacket {
    /// A packet without authentication info.
    #[must_use]
    pub fn new(packet_type: PacketType, zxid: Zxid, data: Option<Vec<u8>>) -> Self {
        Self { r#type: packet_type.code(), zxid, data, authinfo: None }
    }

    /// The packet type; `None` if it is unknown.
    #[must_use]
    pub fn packet_type(&self) -> Option<PacketType> {
        PacketType::from_code(self.r#type)
    }
}

/// The type of a packet, with its sender in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketType {
    /// A client's request (learner).
    Request = 1,
    /// A transaction to log (leader).
    Proposal = 2,
    /// The transaction is on disk (follower).
    Ack = 3,
    /// The proposal is committed (leader).
    Commit = 4,
    /// A sign of life (both); a learner's lists the sessions that were touched.
    Ping = 5,
    /// Asks whether a session is alive (learner), and answers (leader).
    Revalidate = 6,
    /// Everything proposed before a `sync` is committed (leader).
    Sync = 7,
    /// A committed transaction (leader, to observers).
    Inform = 8,
    /// A reconfiguration is committed (leader).
    CommitAndActivate = 9,
    /// A new epoch begins here (leader).
    NewLeader = 10,
    /// A follower introduces itself (follower).
    FollowerInfo = 11,
    /// The learner may serve (leader).
    UpToDate = 12,
    /// The transactions that the learner lacks follow (leader).
    Diff = 13,
    /// The learner must truncate its log (leader).
    Trunc = 14,
    /// The whole tree follows (leader).
    Snap = 15,
    /// An observer introduces itself (observer).
    ObserverInfo = 16,
    /// The epoch that the leader proposes (leader).
    LeaderInfo = 17,
    /// The epoch is accepted (learner).
    AckEpoch = 18,
    /// A committed reconfiguration (leader, to observers).
    InformAndActivate = 19,
}

impl PacketType {
    const ALL: [Self; 19] = [
        Self::Request,
        Self::Proposal,
        Self::Ack,
        Self::Commit,
        Self::Ping,
        Self::Revalidate,
        Self::Sync,
        Self::Inform,
        Self::CommitAndActivate,
        Self::NewLeader,
        Self::FollowerInfo,
        Self::UpToDate,
        Self::Diff,
        Self::Trunc,
        Self::Snap,
        Self::ObserverInfo,
        Self::LeaderInfo,
        Self::AckEpoch,
        Self::InformAndActivate,
    ];

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The type with that code.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|packet_type| packet_type.code() == code)
    }
}

impl QuorumPacket {
    /// Writes the packet to the log as one that comes in (`i`) or goes out (`o`), if the log traces packets (Java:
    /// ZooTrace.logQuorumPacket, LearnerHandler.packetToString).
    pub fn trace(&self, target: &str, direction: char) {
        let is_ping = self.packet_type() == Some(PacketType::Ping);
        let kind = if is_ping { SERVER_PING_TRACE_MASK } else { SERVER_PACKET_TRACE_MASK };
        if zoo_trace::is_trace_enabled(target, kind) {
            let name = match self.packet_type() {
                Some(packet_type) => format!("{packet_type:?}").to_uppercase(),
                None => format!("UNKNOWN{}", self.r#type),
            };
            let message = format_args!("{direction} {name} {:x}", self.zxid.0);
            zoo_trace::log_trace_message(target, kind, message);
        }
    }
}

/// Why the next packet cannot be read.
#[derive(Debug, Error)]
pub enum PacketError {
    /// The connection has failed, was closed, or was silent for too long.
    #[error("the connection has failed: {0}")]
    Io(#[from] io::Error),
    /// The other side does not speak this protocol.
    #[error("the packet cannot be read: {0}")]
    Malformed(InputError),
}

impl From<InputError> for PacketError {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Io(error) => Self::Io(error),
            other => Self::Malformed(other),
        }
    }
}

/// Reads one packet. A length is accepted up to `limits`, and memory is allocated only after the check.
///
/// # Errors
/// [`PacketError`].
pub fn read_packet<R: Read>(input: R, limits: Limits) -> Result<QuorumPacket, PacketError> {
    Ok(QuorumPacket::deserialize(&mut BinaryInputArchive::new(input, limits))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_packet_has_twenty_bytes() {
        let packet = QuorumPacket::new(PacketType::Ping, Zxid(0x1_0000_0002), None);
        let bytes = packet.to_bytes();
        let expected = [0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 255, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(bytes, expected);
        assert_eq!(read_packet(&bytes[..], Limits::default()).unwrap(), packet);
    }

    #[test]
    fn every_code_is_its_own() {
        for packet_type in PacketType::ALL {
            assert_eq!(PacketType::from_code(packet_type.code()), Some(packet_type));
        }
        assert_eq!((PacketType::from_code(0), PacketType::from_code(20)), (None, None));
    }

    #[test]
    fn a_length_that_is_only_claimed_is_refused() {
        let mut bytes = QuorumPacket::new(PacketType::Request, Zxid::NONE, None).to_bytes();
        bytes[12..16].copy_from_slice(&i32::MAX.to_be_bytes());
        let error = read_packet(&bytes[..], Limits::default()).unwrap_err();
        assert!(matches!(error, PacketError::Malformed(_)), "{error}");
    }
}
