//! Who wants to know when a tree is not what it should be (Java: org/apache/zookeeper/DigestWatcher.java).

use crate::ids::Zxid;

/// Told when the tree's digest after a transaction differs from the one that came with it.
pub trait DigestWatcher: Send + Sync {
    /// The digests differ after this transaction. Called while the tree is held.
    fn process(&self, mismatch_zxid: Zxid);
}
