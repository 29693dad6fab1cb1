//! A read-only view of a node (Java: server/DataNode.java, the reading side).

use std::sync::Arc;

use crate::common::path_utils::java_length;
use crate::data::{ACL, Stat, StatPersisted};
use crate::ids::Zxid;
use crate::server::data_node::{NodeId, NodeRef};
use crate::server::ephemeral_type::EphemeralType;
use crate::server::reference_counted_acl_cache::AclKey;

use super::DataTree;

/// A node of a tree that the caller holds.
#[derive(Clone, Copy)]
pub struct NodeView<'a> {
    tree: &'a DataTree,
    node: NodeRef<'a>,
    id: NodeId,
}

impl<'a> NodeView<'a> {
    #[inline]
    pub(super) fn new(tree: &'a DataTree, id: NodeId) -> Self {
        Self { tree, node: tree.nodes.node(id), id }
    }

    /// The path; `/` for the root.
    #[must_use]
    pub fn path(&self) -> &'a str {
        if self.id == NodeId::ROOT { "/" } else { self.node.path() }
    }

    /// The data. Null and empty differ.
    #[must_use]
    #[inline]
    pub fn data(&self) -> Option<&'a [u8]> {
        self.node.data()
    }

    /// The state as a client sees it (Java: copyStat).
    #[must_use]
    #[inline]
    pub fn stat(&self) -> Stat {
        self.node.stat(self.tree.config.ephemeral_types)
    }

    /// The state as stored on disk.
    #[must_use]
    pub fn stat_persisted(&self) -> StatPersisted {
        self.node.stat_persisted()
    }

    /// The zxid of the transaction that created the node.
    #[must_use]
    pub fn czxid(&self) -> Zxid {
        self.node.czxid()
    }

    /// The zxid of the last change of the data.
    #[must_use]
    pub fn mzxid(&self) -> Zxid {
        self.node.mzxid()
    }

    /// The zxid of the last change of the children.
    #[must_use]
    pub fn pzxid(&self) -> Zxid {
        self.node.pzxid()
    }

    /// The owner field as stored: a session, 0, or the marker of a container or TTL node.
    #[must_use]
    pub fn ephemeral_owner(&self) -> i64 {
        self.node.ephemeral_owner()
    }

    /// The kind of the node. An owner with no other meaning counts as a session.
    #[must_use]
    pub fn ephemeral_type(&self) -> EphemeralType {
        self.tree.config.ephemeral_types.of_or_normal(self.node.ephemeral_owner())
    }

    /// The key of the ACL in the tree's cache. Compare keys instead of ACLs to see whether the ACL changed.
    #[must_use]
    pub fn acl_key(&self) -> AclKey {
        self.node.acl
    }

    /// The ACL.
    #[must_use]
    #[inline]
    pub fn acl(&self) -> &'a Arc<[ACL]> {
        self.tree.acl_cache.acl(self.node.acl)
    }

    /// The node's contribution to the tree's digest; 0 if digests are disabled or the node does not count.
    #[must_use]
    pub fn digest(&self) -> u32 {
        self.node.digest
    }

    /// The number of children.
    #[must_use]
    pub fn child_count(&self) -> usize {
        self.node.child_count() as usize
    }

    /// The names of the children, in no particular order.
    pub fn children(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let (tree, name_start) = (self.tree, self.node.path_bytes().len() + 1);
        tree.nodes.children(self.id).map(move |child| &tree.nodes.node(child).path()[name_start..])
    }

    /// The children, in the order of [`children`](Self::children).
    pub fn child_nodes(&self) -> impl Iterator<Item = NodeView<'a>> + use<'a> {
        let tree = self.tree;
        tree.nodes.children(self.id).map(|child| tree.view(child))
    }

    /// The total length of the children's names.
    pub(super) fn children_bytes(&self) -> usize {
        self.children().map(java_length).sum()
    }
}
