//! A listener for digest mismatches (Java: org/apache/zookeeper/DigestWatcher.java).

use crate::ids::Zxid;

/// Is called when the tree's digest after a transaction differs from the digest that came with the transaction.
pub trait DigestWatcher: Send + Sync {
    /// The digests differ after this transaction. The caller holds the tree's lock.
    fn process(&self, mismatch_zxid: Zxid);
}
