//! The states and phases of a member (Java: the enums of server/quorum/QuorumPeer.java).

use std::fmt;

/// Whether a server votes (Java: QuorumPeer.LearnerType).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LearnerType {
    /// Votes.
    #[default]
    Participant = 0,
    /// Follows without voting.
    Observer = 1,
}

impl LearnerType {
    /// Parses `participant` or `observer`, in upper or lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "participant" => Some(Self::Participant),
            "observer" => Some(Self::Observer),
            _ => None,
        }
    }
}

/// The format of Java's logs: upper case.
impl fmt::Display for LearnerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Participant => "PARTICIPANT",
            Self::Observer => "OBSERVER",
        })
    }
}

/// The state of a member (Java: QuorumPeer.ServerState). Notifications carry its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Looks for a leader.
    Looking = 0,
    /// Follows a leader, and votes.
    Following = 1,
    /// Leads.
    Leading = 2,
    /// Follows a leader, and does not vote.
    Observing = 3,
}

impl ServerState {
    /// The state with that code; `None` if the code is unknown.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        match code {
            0 => Some(Self::Looking),
            1 => Some(Self::Following),
            2 => Some(Self::Leading),
            3 => Some(Self::Observing),
            _ => None,
        }
    }

    /// The code of the state.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }
}

/// The format of Java's logs: upper case.
impl fmt::Display for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Looking => "LOOKING",
            Self::Following => "FOLLOWING",
            Self::Leading => "LEADING",
            Self::Observing => "OBSERVING",
        })
    }
}

/// The phase of the protocol in which a member is (Java: QuorumPeer.ZabState).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZabState {
    /// The ensemble elects a leader.
    #[default]
    Election,
    /// The ensemble agrees on the epoch.
    Discovery,
    /// The ensemble agrees on the history.
    Synchronization,
    /// Transactions are proposed and committed.
    Broadcast,
}

impl ZabState {
    /// The name in the output of `mntr` and `zabstate`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Election => "election",
            Self::Discovery => "discovery",
            Self::Synchronization => "synchronization",
            Self::Broadcast => "broadcast",
        }
    }
}

/// How a learner takes over the leader's history (Java: QuorumPeer.SyncMode).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// No sync is in progress.
    #[default]
    None,
    /// The learner gets the transactions that it lacks.
    Diff,
    /// The learner gets a snapshot.
    Snap,
    /// The learner truncates its log.
    Trunc,
}

impl SyncMode {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Diff => "diff",
            Self::Snap => "snap",
            Self::Trunc => "trunc",
        }
    }
}

/// State, phase and sync mode together, in the format of `mntr` (Java: getDetailedPeerState).
#[must_use]
pub(crate) fn detailed_peer_state(state: ServerState, zab: ZabState, sync: SyncMode) -> String {
    let mut text = state.to_string().to_lowercase();
    if zab != ZabState::Election {
        text.push_str(" - ");
        text.push_str(zab.name());
    }
    if sync != SyncMode::None {
        text.push_str(" - ");
        text.push_str(sync.name());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_details_are_shown_when_there_are_any() {
        let detailed = detailed_peer_state;
        assert_eq!(detailed(ServerState::Looking, ZabState::Election, SyncMode::None), "looking");
        assert_eq!(
            detailed(ServerState::Following, ZabState::Synchronization, SyncMode::Diff),
            "following - synchronization - diff"
        );
        assert_eq!(
            detailed(ServerState::Leading, ZabState::Broadcast, SyncMode::None),
            "leading - broadcast"
        );
    }

    #[test]
    fn a_state_has_its_number() {
        for code in 0..4 {
            assert_eq!(ServerState::from_code(code).unwrap().code(), code);
        }
        assert_eq!(ServerState::from_code(4), None);
    }
}
