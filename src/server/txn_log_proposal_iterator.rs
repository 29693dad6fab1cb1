//! Transactions of the log on disk, for a learner that lacks them (Java: server/TxnLogProposalIterator.java, and
//! getProposalsFromTxnLog of server/ZKDatabase.java).
//!
//! Reads without a lock, while others append. Differs from Java: if a transaction cannot be read, the whole attempt
//! fails. Java sends what it has read before.

use log::{info, warn};

use super::committed_log::CommittedProposal;
use super::persistence::file_txn_log::FileTxnIterator;
use super::persistence::txn_log::TxnLogError;
use super::zk_database::ZKDatabase;
use crate::ids::Zxid;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ZKDatabase";

/// Points to a transaction of the log.
pub(crate) struct TxnLogProposalIterator {
    log: FileTxnIterator,
}

impl TxnLogProposalIterator {
    /// Starts at `start`, or before it. Returns none if the log does not reach back so far, or if more than
    /// `size_limit` bytes must be read; 0 is no limit.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn open(
        database: &ZKDatabase,
        start: Zxid,
        size_limit: u64,
    ) -> Result<Option<Self>, TxnLogError> {
        let log = database.snap_log().read_txn_log(start, false)?;
        if log.header().is_none_or(|header| header.zxid > start) {
            warn!(target: LOG, "Unable to find proposals from txnlog for zxid: {start}");
            return Ok(None);
        }
        let size = log.storage_size();
        if size_limit > 0 && size > size_limit {
            info!(target: LOG, "Txnlog size: {size} exceeds sizeLimit: {size_limit}");
            return Ok(None);
        }
        Ok(Some(Self { log }))
    }

    /// The zxid of the current transaction; none after the last one (Java: hasNext).
    #[must_use]
    pub(crate) fn zxid(&self) -> Option<Zxid> {
        self.log.header().map(|header| header.zxid)
    }

    /// The current transaction, as in the log.
    #[must_use]
    pub(crate) fn proposal(&self) -> CommittedProposal {
        CommittedProposal {
            zxid: self.zxid().unwrap_or(Zxid::NONE),
            bytes: self.log.bytes().into(),
        }
    }

    /// Moves to the next transaction. Returns false if there is none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn advance(&mut self) -> Result<bool, TxnLogError> {
        self.log.advance()
    }
}
