//! What servers of an ensemble tell each other on the quorum port (Java: server/quorum/QuorumPacket.java, and the packet
//! types of Leader.java).
//!
//! Packets follow each other without a length. Reading them bounds every length; see [`read_packet`].

use std::io::{self, Read};

use thiserror::Error;

use crate::data::Id;
use crate::ids::Zxid;
use crate::jute::{BinaryInputArchive, InputError, Limits, Record};

crate::record! {
    /// A packet.
    pub struct QuorumPacket {
        /// What it is: a [`PacketType`].
        r#type: i32,
        /// The transaction that it is about, or another meaning by type.
        zxid: Zxid,
        /// What belongs to it, by type.
        data: Option<Vec<u8>>,
        /// Who asks, in a request.
        authinfo: Option<Vec<Id>>,
    }
}

impl QuorumPacket {
    /// A packet without who asks.
    #[must_use]
    pub fn new(packet_type: PacketType, zxid: Zxid, data: Option<Vec<u8>>) -> Self {
        Self { r#type: packet_type.code(), zxid, data, authinfo: None }
    }

    /// Its type; none when it is one that nobody knows.
    #[must_use]
    pub fn packet_type(&self) -> Option<PacketType> {
        PacketType::from_code(self.r#type)
    }
}

/// What a packet is. In brackets who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketType {
    /// A client's request (learner).
    Request = 1,
    /// A transaction to log (leader).
    Proposal = 2,
    /// It is on disk (follower).
    Ack = 3,
    /// A quorum has it (leader).
    Commit = 4,
    /// A sign of life (both); a learner's has the sessions that were touched.
    Ping = 5,
    /// Is this session alive? (learner), and the answer (leader).
    Revalidate = 6,
    /// All that was proposed before a `sync` is committed (leader).
    Sync = 7,
    /// A committed transaction (leader, to observers).
    Inform = 8,
    /// A quorum has this change of the ensemble (leader).
    CommitAndActivate = 9,
    /// A new epoch begins here (leader).
    NewLeader = 10,
    /// A follower comes (follower).
    FollowerInfo = 11,
    /// It may serve (leader).
    UpToDate = 12,
    /// What it lacks follows (leader).
    Diff = 13,
    /// It must cut its log here (leader).
    Trunc = 14,
    /// The whole tree follows (leader).
    Snap = 15,
    /// An observer comes (observer).
    ObserverInfo = 16,
    /// The epoch that the leader proposes (leader).
    LeaderInfo = 17,
    /// The epoch is taken (learner).
    AckEpoch = 18,
    /// A committed change of the ensemble (leader, to observers).
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

    /// Its number on the wire.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The type of that number.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|packet_type| packet_type.code() == code)
    }
}

/// Why the next packet cannot be had.
#[derive(Debug, Error)]
pub enum PacketError {
    /// The connection is broken, closed or silent for too long.
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

/// Reads one packet. A length is believed up to `limits`; nothing is reserved for one before it is checked.
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
