//! A node as it is read (Java: server/DataNode.java, the reading side).

use std::sync::Arc;

use crate::common::path_utils::java_length;
use crate::data::{ACL, Stat, StatPersisted};
use crate::ids::Zxid;
use crate::server::data_node::{NodeId, NodeRef};
use crate::server::ephemeral_type::EphemeralType;
use crate::server::reference_counted_acl_cache::AclKey;

use super::DataTree;

/// A node, as long as the tree is held.
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

    /// The data; null and empty are different.
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

    /// The state as it is kept on disk.
    #[must_use]
    pub fn stat_persisted(&self) -> StatPersisted {
        self.node.stat_persisted()
    }

    /// The transaction that created the node.
    #[must_use]
    pub fn czxid(&self) -> Zxid {
        self.node.czxid()
    }

    /// The transaction that changed its data last.
    #[must_use]
    pub fn mzxid(&self) -> Zxid {
        self.node.mzxid()
    }

    /// The transaction that changed the children last.
    #[must_use]
    pub fn pzxid(&self) -> Zxid {
        self.node.pzxid()
    }

    /// The owner as it is kept: a session, 0, or the marks of a container or TTL node.
    #[must_use]
    pub fn ephemeral_owner(&self) -> i64 {
        self.node.ephemeral_owner()
    }

    /// What kind of node it is. An owner that means nothing counts as a session.
    #[must_use]
    pub fn ephemeral_type(&self) -> EphemeralType {
        self.tree.config.ephemeral_types.of_or_normal(self.node.ephemeral_owner())
    }

    /// The ACL's place in the tree's cache: compare keys, not ACLs, to see whether it is still the same.
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

    /// The node's part in the tree's digest; 0 when digests are off or it does not count.
    #[must_use]
    pub fn digest(&self) -> u32 {
        self.node.digest
    }

    /// How many children it has.
    #[must_use]
    pub fn child_count(&self) -> usize {
        self.node.child_count() as usize
    }

    /// The names of the children, in no particular order.
    pub fn children(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let (tree, name_start) = (self.tree, self.node.path_bytes().len() + 1);
        tree.nodes.children(self.id).map(move |child| &tree.nodes.node(child).path()[name_start..])
    }

    /// The children themselves, in the order of [`children`](Self::children).
    pub fn child_nodes(&self) -> impl Iterator<Item = NodeView<'a>> + use<'a> {
        let tree = self.tree;
        tree.nodes.children(self.id).map(|child| tree.view(child))
    }

    /// The lengths of the children's names.
    pub(super) fn children_bytes(&self) -> usize {
        self.children().map(java_length).sum()
    }
}
