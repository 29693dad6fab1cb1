//! The tree of nodes and its indexes (Java: server/DataTree.java).
//!
//! Threads: readers share the tree, and one writer has exclusive access; `ZKDatabase` holds the lock. State
//! that readers change, namely watches and the positions of running snapshots, has its own locks inside.
//!
//! The parts are: `process_txn` (one function per transaction type), `changes` (how transactions change nodes),
//! `digest`, `ephemerals`, `quota`, `serialize` (snapshots), `watches`, `node_view` (reading a node), and
//! `contents` (the whole tree as a value, for comparisons). Permission checks, sessions and the transaction log
//! are not part of the tree.
//!
//! Differences from Java:
//! * When the log is replayed over a fuzzy snapshot, a `delete` may find a node with children. The children
//!   belong to a later incarnation of that node. Java removes the node and leaves the children behind: a lookup
//!   by path finds them, but no parent lists them. Here the children are removed, too; the log creates them
//!   again.
//! * If any kind of `create` finds during replay that its node exists, it raises the parent's child version. In
//!   Java only `create` does so. The transaction raised the version when it was first applied, so replay must
//!   do the same.
//! * The reference counts of ACLs stay correct when a `create` finds that its node exists.
//! * The data size includes the data of quota usage nodes.

mod changes;
mod contents;
mod digest;
mod ephemerals;
mod node_view;
mod process_txn;
mod quota;
mod serialize;
mod watches;

use std::sync::Arc;

use log::{error, warn};

use crate::audit::zk_audit_provider::ZKAuditProvider;
use crate::common::path_trie::PathTrie;
use crate::common::path_utils::{java_length, top_namespace};
use crate::common::time::{Clock, SystemClock};
use crate::common::zk_config::SystemProperties;
use crate::data::{ACL, Stat, StatPersisted};
use crate::ids::Zxid;
use crate::jute::Limits;
use crate::keeper_exception::KeeperError;
use crate::quotas::{PROC_ZOOKEEPER, QUOTA_ZOOKEEPER};
use crate::zoo_defs::{CONFIG_NODE, ids};

use super::data_node::NodeId;
use super::ephemeral_type::EphemeralTypes;
use super::node_hash_map::NodeHashMap;
use super::reference_counted_acl_cache::{AclKey, ReferenceCountedAclCache};
use super::server_metrics::ServerMetrics;
use super::server_watcher::WatcherRef;
use super::watch::i_watch_manager::IWatchManager;

pub use contents::TreeContents;
pub(crate) use digest::ZxidDigest;
pub(crate) use node_view::NodeView;
pub(crate) use process_txn::ProcessTxnResult;
pub use serialize::SnapshotCursor;
pub(crate) use serialize::TreeReplaced;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.DataTree";

/// The size of a node's state on the wire, in bytes (Java: STAT_OVERHEAD_BYTES).
pub(crate) const STAT_OVERHEAD_BYTES: usize = 6 * 8 + 5 * 4;

/// The settings of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataTreeConfig {
    /// `zookeeper.digest.enabled`: whether digests are computed, written and compared.
    pub digest_enabled: bool,
    /// `zookeeper.serializeLastProcessedZxid.enabled`: whether snapshots contain the zxid at which they ended.
    pub serialize_last_processed_zxid_enabled: bool,
    /// How the owner field of a node is interpreted.
    pub ephemeral_types: EphemeralTypes,
    /// The longest buffer that is accepted inside an operation of a `multi`.
    pub limits: Limits,
}

impl Default for DataTreeConfig {
    fn default() -> Self {
        Self {
            digest_enabled: true,
            serialize_last_processed_zxid_enabled: true,
            ephemeral_types: EphemeralTypes::default(),
            limits: Limits::default(),
        }
    }
}

impl DataTreeConfig {
    /// Reads the system properties. `limits` are the same as for connections and the transaction log.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties, limits: Limits) -> Self {
        Self {
            digest_enabled: properties.bool_or("zookeeper.digest.enabled", true),
            serialize_last_processed_zxid_enabled: properties
                .bool_or("zookeeper.serializeLastProcessedZxid.enabled", true),
            ephemeral_types: EphemeralTypes::from_properties(properties),
            limits,
        }
    }
}

/// The objects that the tree reports to.
#[derive(Clone)]
pub struct DataTreeParts {
    /// Watches on data and existence.
    pub data_watches: Arc<dyn IWatchManager>,
    /// Watches on children.
    pub child_watches: Arc<dyn IWatchManager>,
    /// The server's metrics.
    pub metrics: Arc<ServerMetrics>,
    /// The audit log for nodes that are deleted at the end of their session.
    pub audit: Arc<ZKAuditProvider>,
    /// The clock for rate-limited log messages.
    pub clock: Clock,
}

impl DataTreeParts {
    /// Creates parts with these watch managers, without metrics and audit log.
    #[must_use]
    pub fn new(
        data_watches: Arc<dyn IWatchManager>,
        child_watches: Arc<dyn IWatchManager>,
    ) -> Self {
        Self {
            data_watches,
            child_watches,
            metrics: ServerMetrics::null(),
            audit: Arc::new(ZKAuditProvider::disabled()),
            clock: SystemClock::shared(),
        }
    }
}

/// The data tree.
pub struct DataTree {
    config: DataTreeConfig,
    parts: DataTreeParts,
    nodes: NodeHashMap,
    acl_cache: ReferenceCountedAclCache,
    ephemerals: ephemerals::Ephemerals,
    /// The paths that have a quota.
    p_trie: PathTrie,
    digests: digest::Digests,
    last_processed_zxid: Zxid,
    snapshots: Arc<serialize::RunningSnapshots>,
}

impl DataTree {
    /// Creates the tree of a new server: the root and the system's nodes.
    #[must_use]
    pub fn new(config: DataTreeConfig, parts: DataTreeParts) -> Self {
        let digests = digest::Digests::new(parts.clock.clone());
        let mut tree = Self {
            config,
            parts,
            nodes: NodeHashMap::new(config.digest_enabled),
            acl_cache: ReferenceCountedAclCache::new(),
            ephemerals: ephemerals::Ephemerals::default(),
            p_trie: PathTrie::new(),
            digests,
            last_processed_zxid: Zxid::ZERO,
            snapshots: Arc::default(),
        };
        tree.add_system_nodes();
        tree
    }

    fn add_system_nodes(&mut self) {
        let stat = StatPersisted::default();
        let open = AclKey::OPEN_UNSAFE;
        let root = self.nodes.insert(None, "", Some(Vec::new()), open, &stat);
        let proc = self.nodes.insert(Some(root), PROC_ZOOKEEPER, Some(Vec::new()), open, &stat);
        self.nodes.insert(Some(proc), QUOTA_ZOOKEEPER, Some(Vec::new()), open, &stat);
        self.add_config_node();
    }

    /// Resets to the tree of a new server. Watches stay. Running snapshots of the old tree end with
    /// [`TreeReplaced`].
    pub fn reset(&mut self) {
        self.clear();
        self.acl_cache.purge_unused();
        self.digests = digest::Digests::new(self.parts.clock.clone());
        self.last_processed_zxid = Zxid::ZERO;
        self.add_system_nodes();
    }

    /// Writes the ensemble's configuration into its node (Java: ZKDatabase.initConfigInZKDatabase). This is not
    /// a transaction; each server does it on its own.
    pub fn set_config_node(&mut self, text: &str, version: i64, time_ms: i64) {
        if self.nodes.get(CONFIG_NODE).is_none() {
            warn!(
                target: LOG,
                "configuration znode missing (should only happen during upgrade), creating the node"
            );
            self.add_config_node();
        }
        let (data, zxid) = (Some(text.as_bytes().to_vec()), Zxid(version));
        if let Err(error) = self.set_data(CONFIG_NODE, data, -1, zxid, time_ms) {
            error!(target: LOG, "configuration node missing - should not happen: {error}");
        }
    }

    /// Adds the node of the ensemble's configuration, readable by everybody. As in Java, an existing node is
    /// replaced.
    pub fn add_config_node(&mut self) {
        let Some(parent) = self.nodes.get(PROC_ZOOKEEPER) else {
            error!(target: LOG, "There's no {PROC_ZOOKEEPER} znode - this should never happen.");
            return;
        };
        if let Some(old) = self.nodes.get(CONFIG_NODE) {
            self.remove_subtree(old);
        }
        let acl = self.acl_cache.convert_acls(&ids::read_acl_unsafe());
        let stat = StatPersisted { aversion: -1, ..StatPersisted::default() };
        self.nodes.insert(Some(parent), CONFIG_NODE, Some(Vec::new()), acl, &stat);
    }

    /// Whether the path is a system node that must not be deleted.
    #[must_use]
    pub fn is_special_path(path: &str) -> bool {
        ["/", PROC_ZOOKEEPER, QUOTA_ZOOKEEPER, CONFIG_NODE].contains(&path)
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &DataTreeConfig {
        &self.config
    }

    /// The node of a path.
    #[must_use]
    #[inline]
    pub fn node(&self, path: &str) -> Option<NodeView<'_>> {
        self.nodes.get(path).map(|id| self.view(id))
    }

    #[inline]
    fn view(&self, id: NodeId) -> NodeView<'_> {
        NodeView::new(self, id)
    }

    /// All nodes, parents before children.
    pub fn all_nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        let root = self.nodes.get("/");
        std::iter::successors(root, |id| self.nodes.next(*id)).map(|id| self.view(id))
    }

    fn existing(&self, path: &str) -> Result<NodeView<'_>, KeeperError> {
        self.node(path).ok_or(KeeperError::NoNode)
    }

    /// The number of nodes. As in Java, the root counts twice (Java: getNodeCount).
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The total length of all paths and data (Java: cachedApproximateDataSize).
    #[must_use]
    pub fn approximate_data_size(&self) -> u64 {
        self.nodes.data_size()
    }

    /// The number of different ACLs.
    #[must_use]
    pub fn acl_cache_size(&self) -> usize {
        self.acl_cache.size()
    }

    /// The zxid of the last applied transaction.
    #[must_use]
    pub const fn last_processed_zxid(&self) -> Zxid {
        self.last_processed_zxid
    }

    /// Sets [`last_processed_zxid`](Self::last_processed_zxid), after a snapshot is loaded or when an epoch
    /// starts.
    pub const fn set_last_processed_zxid(&mut self, zxid: Zxid) {
        self.last_processed_zxid = zxid;
    }

    /// A node's data and state. Adds a watch.
    ///
    /// # Errors
    /// [`KeeperError::NoNode`]; no watch is added then.
    pub fn get_data(
        &self,
        path: &str,
        watcher: Option<&WatcherRef>,
    ) -> Result<(Option<&[u8]>, Stat), KeeperError> {
        let node = self.existing(path)?;
        if let Some(watcher) = watcher {
            self.parts.data_watches.add_watch(path, watcher);
        }
        let data = node.data();
        self.update_read_stat(path, data.map_or(0, <[u8]>::len));
        Ok((data, node.stat()))
    }

    /// A node's state. Adds a watch even if the node does not exist.
    ///
    /// # Errors
    /// [`KeeperError::NoNode`].
    pub fn stat_node(&self, path: &str, watcher: Option<&WatcherRef>) -> Result<Stat, KeeperError> {
        if let Some(watcher) = watcher {
            self.parts.data_watches.add_watch(path, watcher);
        }
        let stat = self.existing(path)?.stat();
        self.update_read_stat(path, 0);
        Ok(stat)
    }

    /// A node with its state; its [`children`](NodeView::children) can be listed. Adds a watch
    /// (Java: getChildren).
    ///
    /// # Errors
    /// [`KeeperError::NoNode`]; no watch is added then.
    pub fn children(
        &self,
        path: &str,
        watcher: Option<&WatcherRef>,
    ) -> Result<(NodeView<'_>, Stat), KeeperError> {
        let node = self.existing(path)?;
        if let Some(watcher) = watcher {
            self.parts.child_watches.add_watch(path, watcher);
        }
        self.update_read_stat(path, node.children_bytes());
        Ok((node, node.stat()))
    }

    /// The number of nodes below a path; 0 if the path does not exist.
    #[must_use]
    pub fn all_children_number(&self, path: &str) -> usize {
        match path {
            "/" => return self.nodes.len().saturating_sub(2),
            // The empty path is Java's second name of the root. For this name Java also counts `/`.
            "" => return self.nodes.len().saturating_sub(1),
            _ => {}
        }
        self.nodes.get(path).map_or(0, |id| self.nodes.subtree(id).count() - 1)
    }

    /// A node's ACL and state.
    ///
    /// # Errors
    /// [`KeeperError::NoNode`].
    pub fn acl(&self, path: &str) -> Result<(Arc<[ACL]>, Stat), KeeperError> {
        let node = self.existing(path)?;
        Ok((node.acl().clone(), node.stat()))
    }

    /// The ACL for a key that a node of this tree had. The caller must have held the tree since it read the
    /// key.
    #[must_use]
    pub fn acl_of(&self, key: AclKey) -> &Arc<[ACL]> {
        self.acl_cache.acl(key)
    }

    fn update_read_stat(&self, path: &str, bytes: usize) {
        if let Some(namespace) = top_namespace(path) {
            let bytes = java_length(path) + bytes + STAT_OVERHEAD_BYTES;
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            self.parts.metrics.read_per_namespace.add(namespace, bytes);
        }
    }

    fn update_write_stat(&self, path: &str, bytes: usize) {
        if let Some(namespace) = top_namespace(path) {
            let bytes = i64::try_from(java_length(path) + bytes).unwrap_or(i64::MAX);
            self.parts.metrics.write_per_namespace.add(namespace, bytes);
        }
    }
}

#[cfg(test)]
mod tests;
