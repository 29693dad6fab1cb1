//! What a member does and how far it is (Java: the enums of server/quorum/QuorumPeer.java).

use std::fmt;

/// What a server does in its ensemble (Java: QuorumPeer.LearnerType).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LearnerType {
    /// Votes.
    #[default]
    Participant = 0,
    /// Follows without a vote.
    Observer = 1,
}

impl LearnerType {
    /// `participant` or `observer`, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "participant" => Some(Self::Participant),
            "observer" => Some(Self::Observer),
            _ => None,
        }
    }
}

/// As in the logs: upper case.
impl fmt::Display for LearnerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Participant => "PARTICIPANT",
            Self::Observer => "OBSERVER",
        })
    }
}

/// What a member does (Java: QuorumPeer.ServerState). Its number is what notifications carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Looks for a leader.
    Looking = 0,
    /// Follows one, with a vote.
    Following = 1,
    /// Leads.
    Leading = 2,
    /// Follows one, without a vote.
    Observing = 3,
}

impl ServerState {
    /// The state of that number; none when it is one that nobody knows.
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

    /// Its number.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// As `mntr` shows it (Java: QuorumStats.Provider).
    #[must_use]
    pub const fn stats_name(self) -> &'static str {
        match self {
            Self::Looking => "leaderelection",
            Self::Following => "following",
            Self::Leading => "leading",
            Self::Observing => "observing",
        }
    }
}

/// As in the logs: upper case.
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

/// How far a member is on its way into an epoch (Java: QuorumPeer.ZabState).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZabState {
    /// Who leads?
    #[default]
    Election,
    /// Which epoch?
    Discovery,
    /// Which history?
    Synchronization,
    /// On.
    Broadcast,
}

impl ZabState {
    /// As `mntr` and `zabstate` show it.
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

/// How a learner gets the leader's history (Java: QuorumPeer.SyncMode).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// It is not getting it.
    #[default]
    None,
    /// What it lacks.
    Diff,
    /// Everything.
    Snap,
    /// It has too much.
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

/// The three together, as `mntr` shows them (Java: getDetailedPeerState).
#[must_use]
pub fn detailed_peer_state(state: ServerState, zab: ZabState, sync: SyncMode) -> String {
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
