//! How much of the history a server has (Java: server/quorum/StateSummary.java).

use crate::ids::{PeerEpoch, Zxid};

/// The epoch that a server has entered last, and its last transaction. The order is that of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateSummary {
    /// The epoch whose history it has.
    pub current_epoch: PeerEpoch,
    /// Its last transaction.
    pub last_zxid: Zxid,
}

impl StateSummary {
    /// Whether this one has something that the other one lacks.
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
