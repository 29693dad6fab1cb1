//! How recent a server's history is (Java: server/quorum/StateSummary.java).

use crate::ids::{PeerEpoch, Zxid};

/// The last epoch that a server has entered, and its last transaction. Field order defines the ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateSummary {
    /// The server's current epoch.
    pub current_epoch: PeerEpoch,
    /// The zxid of its last transaction.
    pub last_zxid: Zxid,
}

impl StateSummary {
    /// Whether this history has a transaction that the other one lacks.
    #[must_use]
    pub fn is_more_recent_than(&self, other: &Self) -> bool {
        self > other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_counts_before_the_zxid() {
        let summary =
            |epoch, zxid| StateSummary { current_epoch: PeerEpoch(epoch), last_zxid: Zxid(zxid) };
        assert!(summary(2, 1).is_more_recent_than(&summary(1, 9)));
        assert!(summary(1, 9).is_more_recent_than(&summary(1, 8)));
        assert!(!summary(1, 9).is_more_recent_than(&summary(1, 9)));
        assert!(!summary(1, 9).is_more_recent_than(&summary(2, 1)));
    }
}
