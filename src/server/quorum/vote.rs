//! The leader that a server votes for or follows (Java: server/quorum/Vote.java).

use std::fmt;

use super::states::ServerState;
use crate::ids::{PeerEpoch, Sid, Zxid};

/// The round of a vote outside any election.
pub(crate) const NO_ROUND: i64 = -1;

/// A vote, together with the state of the server that cast it.
#[derive(Clone, Copy, Debug)]
pub struct Vote {
    /// The format version of the notification that carried the vote; 0 is the oldest format.
    pub version: i32,
    /// The proposed leader.
    pub id: Sid,
    /// The last zxid of the proposed leader.
    pub zxid: Zxid,
    /// The election round in which the vote was cast (Java: electionEpoch).
    pub election_epoch: i64,
    /// The peer epoch of the proposed leader.
    pub peer_epoch: PeerEpoch,
    /// The state of the server that cast the vote.
    pub state: ServerState,
}

impl Vote {
    /// A vote outside any round.
    #[must_use]
    pub const fn new(id: Sid, zxid: Zxid, peer_epoch: PeerEpoch) -> Self {
        Self::in_round(id, zxid, NO_ROUND, peer_epoch)
    }

    /// A vote outside any round for a leader whose epoch is unknown.
    #[must_use]
    pub const fn of_leader(id: Sid, zxid: Zxid) -> Self {
        Self::new(id, zxid, PeerEpoch(-1))
    }

    /// A vote in an election round.
    #[must_use]
    pub const fn in_round(id: Sid, zxid: Zxid, election_epoch: i64, peer_epoch: PeerEpoch) -> Self {
        Self { version: 0, id, zxid, election_epoch, peer_epoch, state: ServerState::Looking }
    }

    /// Whether two votes agree (Java: equals). This is not an equivalence relation. If one of the two voters is
    /// LOOKING, all fields must match. Between settled voters, zxid and round do not matter, because they depend on
    /// when a server joined. If exactly one of the two votes has the oldest format, not even the epoch matters
    /// (ZOOKEEPER-1732, -1805).
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        if self.id != other.id {
            return false;
        }
        if self.state == ServerState::Looking || other.state == ServerState::Looking {
            return self.zxid == other.zxid
                && self.election_epoch == other.election_epoch
                && self.peer_epoch == other.peer_epoch;
        }
        (self.version > 0) != (other.version > 0) || self.peer_epoch == other.peer_epoch
    }
}

/// The format of Java's logs: `(id, zxid, epoch)`, with zxid and epoch in hexadecimal.
impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {:x}, {:x})", self.id, self.zxid, self.peer_epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(version: i32, zxid: i64, round: i64, epoch: i64) -> Vote {
        let vote = Vote::in_round(Sid(2), Zxid(zxid), round, PeerEpoch(epoch));
        Vote { version, state: ServerState::Following, ..vote }
    }

    #[test]
    fn while_one_of_two_votes_is_of_an_election_all_of_them_must_be_equal() {
        let vote = Vote::in_round(Sid(2), Zxid(7), 3, PeerEpoch(1));
        assert!(vote.agrees_with(&vote));
        assert!(vote.agrees_with(&settled(2, 7, 3, 1)));
        assert!(!vote.agrees_with(&Vote { id: Sid(1), ..vote }));
        assert!(!vote.agrees_with(&Vote { zxid: Zxid(8), ..vote }));
        assert!(!vote.agrees_with(&settled(2, 7, 4, 1)));
        assert!(!settled(0, 7, 3, 2).agrees_with(&vote));
    }

    #[test]
    fn of_settled_votes_zxid_and_round_do_not_count() {
        assert!(settled(2, 7, 3, 1).agrees_with(&settled(1, 8, 4, 1)));
        assert!(!settled(2, 7, 3, 1).agrees_with(&settled(1, 7, 3, 2)));
        assert!(!settled(0, 7, 3, 1).agrees_with(&settled(0, 7, 3, 2)));
        let other = Vote { id: Sid(3), ..settled(2, 7, 3, 1) };
        assert!(!settled(2, 7, 3, 1).agrees_with(&other));
    }

    #[test]
    fn between_the_oldest_format_and_a_newer_one_only_the_leader_counts() {
        assert!(settled(0, 7, 3, 1).agrees_with(&settled(1, 8, 4, 2)));
        assert!(settled(2, 7, 3, 1).agrees_with(&settled(0, 8, 4, 2)));
    }

    #[test]
    fn it_is_shown_as_in_javas_logs() {
        let vote = Vote::new(Sid(11), Zxid(-1), PeerEpoch(0x1f));
        assert_eq!(vote.to_string(), "(11, ffffffffffffffff, 1f)");
    }
}
