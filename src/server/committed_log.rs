//! The most recently committed transactions, for learners that lack only some of them (Java: committedLog,
//! minCommittedLog, maxCommittedLog and addCommittedProposal of server/ZKDatabase.java).
//!
//! Pure: the database has the lock. The log has no gap, except before the start of an epoch: a learner that received
//! a gap would pass it on.

use std::collections::VecDeque;
use std::sync::Arc;

use log::{info, warn};
use thiserror::Error;

use crate::common::zk_config::SystemProperties;
use crate::ids::Zxid;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ZKDatabase";

/// Java's default of `zookeeper.commitLogCount`, and the smallest accepted value.
const DEFAULT_COMMIT_LOG_COUNT: i32 = 500;

/// A committed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedProposal {
    /// Its zxid.
    pub zxid: Zxid,
    /// Header, record and digest, as in the transaction log and in proposals.
    pub bytes: Arc<[u8]>,
}

/// The transaction does not follow the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("Committed proposal cached out of order: {zxid} is not the next proposal of {last}")]
pub struct OutOfOrder {
    /// The transaction.
    pub zxid: Zxid,
    /// The last transaction in the log.
    pub last: Zxid,
}

/// The log.
#[derive(Debug)]
pub struct CommittedLog {
    limit: usize,
    proposals: VecDeque<CommittedProposal>,
}

impl CommittedLog {
    /// Creates an empty log that keeps `zookeeper.commitLogCount` transactions.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        let mut count =
            properties.number_or::<i32>("zookeeper.commitLogCount", DEFAULT_COMMIT_LOG_COUNT);
        if count < DEFAULT_COMMIT_LOG_COUNT {
            warn!(
                target: LOG,
                "The configured commitLogCount {count} is less than the recommended {DEFAULT_COMMIT_LOG_COUNT}, going \
                 to use the recommended one"
            );
            count = DEFAULT_COMMIT_LOG_COUNT;
        }
        info!(target: LOG, "zookeeper.commitLogCount={count}");
        Self { limit: usize::try_from(count).unwrap_or_default(), proposals: VecDeque::new() }
    }

    /// How many transactions the log keeps.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// The first transaction; none when it is empty (Java: 0).
    #[must_use]
    pub fn min(&self) -> Option<Zxid> {
        self.proposals.front().map(|proposal| proposal.zxid)
    }

    /// The last transaction; none when it is empty (Java: 0).
    #[must_use]
    pub fn max(&self) -> Option<Zxid> {
        self.proposals.back().map(|proposal| proposal.zxid)
    }

    /// All transactions, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &CommittedProposal> + DoubleEndedIterator {
        self.proposals.iter()
    }

    /// Adds a transaction. A transaction that is not newer than the last one is ignored; this happens when the
    /// history is read again.
    ///
    /// # Errors
    /// [`OutOfOrder`] when a transaction of the same epoch is missing before it.
    pub fn add(&mut self, proposal: CommittedProposal) -> Result<(), OutOfOrder> {
        let zxid = proposal.zxid;
        if let Some(last) = self.max() {
            if zxid <= last {
                return Ok(());
            }
            if zxid != last.next() && zxid.epoch() <= last.epoch() {
                return Err(OutOfOrder { zxid, last });
            }
        }
        self.proposals.push_back(proposal);
        if self.proposals.len() > self.limit {
            self.proposals.pop_front();
        }
        Ok(())
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.proposals.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> CommittedLog {
        CommittedLog::from_properties(&SystemProperties::new())
    }

    fn proposal(zxid: Zxid) -> CommittedProposal {
        CommittedProposal { zxid, bytes: Arc::new([]) }
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let mut log = log();
        assert_eq!((log.min(), log.max()), (None, None));
        (1..=501).for_each(|n| log.add(proposal(Zxid::new(1, n))).unwrap());
        assert_eq!((log.min(), log.max()), (Some(Zxid::new(1, 2)), Some(Zxid::new(1, 501))));
        assert_eq!(log.iter().len(), 500);
        log.clear();
        assert_eq!(log.min(), None);
    }

    #[test]
    fn a_hole_is_refused_inside_an_epoch_alone() {
        let mut log = log();
        log.add(proposal(Zxid::new(1, 7))).unwrap();
        let hole = log.add(proposal(Zxid::new(1, 9))).unwrap_err();
        assert_eq!(hole, OutOfOrder { zxid: Zxid::new(1, 9), last: Zxid::new(1, 7) });
        log.add(proposal(Zxid::new(1, 7))).unwrap();
        log.add(proposal(Zxid::new(1, 8))).unwrap();
        log.add(proposal(Zxid::new(3, 5))).unwrap();
        assert_eq!((log.max(), log.iter().len()), (Some(Zxid::new(3, 5)), 3));
    }

    #[test]
    fn fewer_than_javas_default_are_not_taken() {
        let few = SystemProperties::from_pairs([("zookeeper.commitLogCount", "3")]);
        assert_eq!(CommittedLog::from_properties(&few).limit, 500);
        let many = SystemProperties::from_pairs([("zookeeper.commitLogCount", "700")]);
        assert_eq!(CommittedLog::from_properties(&many).limit, 700);
    }
}
