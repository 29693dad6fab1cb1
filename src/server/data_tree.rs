//! The tree of nodes and what hangs on it (Java: server/DataTree.java).
//!
//! Threads: readers share it, one writer has it alone; `ZKDatabase` holds the lock. What a read changes (watches) and
//! what readers share among themselves (places of running snapshots) has locks of its own inside.
//!
//! Organs: `process_txn` (one function a transaction type), `changes` (what transactions do to nodes), `digest`,
//! `ephemerals`, `quota`, `serialize` (snapshots), `watches`, `node_view` (reading a node), `contents` (the whole tree as
//! a value, to compare). Left to others: who may do what, sessions, the log.
//!
//! Differs from Java:
//! * Replaying over a fuzzy snapshot, a `delete` may meet a node that has children by then, of a later life of that
//!   node. Java removes the node and leaves the children behind, found by path but listed nowhere. Here they go with
//!   it; the log creates them again.
//! * Any kind of `create` that meets its node during replay raises the parent's child version as `create` does in Java:
//!   the transaction had done so when it was applied first.
//! * The reference counts of ACLs stay right when a `create` meets its node.
//! * The size of quota usage is part of the data size.

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

pub use contents::{NodeContents, TreeContents};
pub use digest::{DIGEST_LOG_INTERVAL, DIGEST_LOG_LIMIT, ZxidDigest};
pub use node_view::NodeView;
pub use process_txn::ProcessTxnResult;
pub use quota::QuotaViolation;
pub use serialize::{SnapshotCursor, TreeReplaced};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.DataTree";

/// What a node's state takes on the wire, in bytes (Java: STAT_OVERHEAD_BYTES).
pub const STAT_OVERHEAD_BYTES: usize = 6 * 8 + 5 * 4;

/// The settings of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataTreeConfig {
    /// `zookeeper.digest.enabled`: whether digests are kept, written and compared.
    pub digest_enabled: bool,
    /// `zookeeper.serializeLastProcessedZxid.enabled`: whether snapshots hold the zxid at their end.
    pub serialize_last_processed_zxid_enabled: bool,
    /// What the owner of a node can mean.
    pub ephemeral_types: EphemeralTypes,
    /// The longest buffer that is believed inside a part of a `multi`.
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
    /// From the system properties; `limits` are the connection's and the log's.
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

/// What a tree reports to.
#[derive(Clone)]
pub struct DataTreeParts {
    /// Watches on data and existence.
    pub data_watches: Arc<dyn IWatchManager>,
    /// Watches on children.
    pub child_watches: Arc<dyn IWatchManager>,
    /// Where it counts.
    pub metrics: Arc<ServerMetrics>,
    /// Where it logs what the end of a session deletes.
    pub audit: Arc<ZKAuditProvider>,
    /// For messages that do not flood the log.
    pub clock: Clock,
}

impl DataTreeParts {
    /// With these tables of watches, and nobody to report to.
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

/// The tree.
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
    /// The tree of a new server: the root and the system's own nodes.
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

    /// Becomes the tree of a new server. Watches stay; snapshots of the old tree end with [`TreeReplaced`].
    pub fn reset(&mut self) {
        self.clear();
        self.acl_cache.purge_unused();
        self.digests = digest::Digests::new(self.parts.clock.clone());
        self.last_processed_zxid = Zxid::ZERO;
        self.add_system_nodes();
    }

    /// Writes the ensemble's configuration into its node (Java: ZKDatabase.initConfigInZKDatabase). Not a transaction: every
    /// server does it by itself.
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

    /// Puts the node of the ensemble's configuration in its place, readable by everybody. One that is there is replaced,
    /// as in Java.
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

    /// Whether the path is one that nobody may delete.
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

    /// The number of nodes, the root twice (Java: getNodeCount).
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The lengths of all paths and data (Java: cachedApproximateDataSize).
    #[must_use]
    pub fn approximate_data_size(&self) -> u64 {
        self.nodes.data_size()
    }

    /// The number of different ACLs.
    #[must_use]
    pub fn acl_cache_size(&self) -> usize {
        self.acl_cache.size()
    }

    /// The newest transaction that is in the tree.
    #[must_use]
    pub const fn last_processed_zxid(&self) -> Zxid {
        self.last_processed_zxid
    }

    /// Sets [`last_processed_zxid`](Self::last_processed_zxid): after loading a snapshot, or at the start of an epoch.
    pub const fn set_last_processed_zxid(&mut self, zxid: Zxid) {
        self.last_processed_zxid = zxid;
    }

    /// A node's data and state; leaves a watch.
    ///
    /// # Errors
    /// [`KeeperError::NoNode`]; then there is no watch.
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

    /// A node's state; leaves a watch even when there is no node.
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

    /// A node and its state, whose [`children`](NodeView::children) can be listed; leaves a watch (Java: getChildren).
    ///
    /// # Errors
    /// [`KeeperError::NoNode`]; then there is no watch.
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

    /// The number of nodes below a path; 0 when it is not there.
    #[must_use]
    pub fn all_children_number(&self, path: &str) -> usize {
        match path {
            "/" => return self.nodes.len().saturating_sub(2),
            // Java's other name of the root: there it counts the first one.
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

    /// The ACL behind a key that was taken from a node of this tree, while the tree was held all the time.
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
