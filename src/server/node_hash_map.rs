//! All nodes, found by path (Java: server/NodeHashMap.java, server/NodeHashMapImpl.java).
//!
//! Keeps the tree's digest and the approximate size of its data up to date with every change. Its owner guards it.
//!
//! Differs from Java, for memory and speed:
//! * Nodes are stored in chunks that never move, and have numbers. The place of a deleted node is reused.
//! * The [index](path_index) has only numbers. A lookup compares the path with the node's own.
//! * The children of a node are a chain, newest first. So a walk along the chain never meets a child that is created
//!   during the walk. Snapshots depend on this.
//! * The root is not in the index: `/` and the empty path lead to it. [`NodeHashMap::len`] counts it twice, as Java
//!   does.

mod path_index;

use std::hash::{BuildHasher, RandomState};

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

use crate::common::path_utils::java_length;
use crate::data::StatPersisted;

use super::byte_store::ByteStore;
use super::data_node::{Content, DataNode, NodeId, NodeRef};
use super::reference_counted_acl_cache::AclKey;
use super::util::ad_hash::AdHash;

use path_index::PathIndex;

/// Nodes per chunk. An empty tree takes one chunk, 28 KiB.
const CHUNK: usize = 512;
const CHUNK_BITS: u32 = CHUNK.trailing_zeros();
const _: () = assert!(CHUNK.is_power_of_two());

/// The nodes, their index and the sums over all of them.
pub(super) struct NodeHashMap {
    chunks: Vec<Vec<DataNode>>,
    /// Data and paths.
    bytes: ByteStore,
    /// The first free place. `next_sibling` links it to the next one.
    free: NodeId,
    /// The number of nodes. The root counts once.
    count: usize,
    index: PathIndex,
    hasher: SeedableRandomState,
    digest_enabled: bool,
    digest: AdHash,
    data_size: u64,
}

impl NodeHashMap {
    /// Creates a map without nodes, even without a root.
    pub(super) fn new(digest_enabled: bool) -> Self {
        // Clients choose the paths, so they must not be able to guess the seed.
        let seed = RandomState::new().hash_one(CHUNK);
        Self {
            chunks: Vec::new(),
            bytes: ByteStore::new(),
            free: NodeId::NONE,
            count: 0,
            index: PathIndex::new(),
            hasher: SeedableRandomState::with_seed(seed, SharedSeed::global_random()),
            digest_enabled,
            digest: AdHash::new(),
            data_size: 0,
        }
    }

    /// Removes all nodes.
    pub(super) fn clear(&mut self) {
        self.chunks = Vec::new();
        self.bytes = ByteStore::new();
        self.free = NodeId::NONE;
        self.count = 0;
        self.index = PathIndex::new();
        self.digest.clear();
        self.data_size = 0;
    }

    /// The number of nodes, the root twice (Java: size).
    pub(super) fn len(&self) -> usize {
        self.count + usize::from(self.count > 0)
    }

    /// The sum of the nodes' digests.
    pub(super) fn digest(&self) -> i64 {
        self.digest.hash()
    }

    /// The lengths of all paths, in Java's characters, and of all data, in bytes (Java: DataTree.nodeDataSize). The
    /// root counts twice, once as `/`.
    pub(super) fn data_size(&self) -> u64 {
        let root = if self.count > 0 { 1 + self.node(NodeId::ROOT).data_len() } else { 0 };
        self.data_size + root as u64
    }

    /// The node of a path.
    #[inline]
    pub(super) fn get(&self, path: &str) -> Option<NodeId> {
        if path.is_empty() || path == "/" {
            return (self.count > 0).then_some(NodeId::ROOT);
        }
        let hash = self.hash_of(path.as_bytes());
        self.index.find(hash, |id| self.node(id).path_bytes() == path.as_bytes())
    }

    /// The node with this number, which must be in use.
    #[inline]
    pub(super) fn node(&self, id: NodeId) -> NodeRef<'_> {
        NodeRef::new(node_in(&self.chunks, id), &self.bytes)
    }

    #[inline]
    fn node_mut(&mut self, id: NodeId) -> &mut DataNode {
        &mut self.chunks[id.0 as usize >> CHUNK_BITS][id.0 as usize & (CHUNK - 1)]
    }

    /// Adds a node that does not exist yet: as the root if there is no parent, otherwise as the parent's first
    /// child.
    pub(super) fn insert(
        &mut self,
        parent: Option<NodeId>,
        path: &str,
        data: Option<Vec<u8>>,
        acl: AclKey,
        stat: &StatPersisted,
    ) -> NodeId {
        debug_assert!(self.get(path).is_none(), "{path} is there already");
        let id = self.insert_unindexed(parent, path, data, acl, stat);
        if id != NodeId::ROOT {
            self.index.insert(self.hash_of(path.as_bytes()), id);
        }
        id
    }

    /// As [`insert`](Self::insert), but the node is found only after [`index_all`](Self::index_all).
    pub(super) fn insert_unindexed(
        &mut self,
        parent: Option<NodeId>,
        path: &str,
        data: Option<Vec<u8>>,
        acl: AclKey,
        stat: &StatPersisted,
    ) -> NodeId {
        let data_len = data.as_ref().map(Vec::len);
        let place = self.bytes.insert(data.unwrap_or_default(), path.as_bytes());
        let content = Content::new(place, data_len, path.len());
        let mut node = DataNode::new(content, acl, stat);
        if self.digest_enabled {
            node.digest = NodeRef::new(&node, &self.bytes).calculate_digest();
            self.digest.add_digest(node.digest.into());
        }
        self.data_size += node_size(NodeRef::new(&node, &self.bytes));
        self.count += 1;
        let id = self.place(node);
        match parent {
            None => assert!(id == NodeId::ROOT, "the root is the first node"),
            Some(parent) => self.link(parent, id),
        }
        id
    }

    /// Adds to the index all nodes that were inserted unindexed. If two nodes have the same path, the later one is
    /// not added; such pairs are returned.
    pub(super) fn index_all(&mut self) -> Vec<(NodeId, NodeId)> {
        let Self { chunks, bytes, index, hasher, .. } = self;
        let numbers = (0..).map(NodeId);
        let nodes = chunks.iter().flatten().map(|node| NodeRef::new(node, bytes));
        let hashes = nodes.map(|node| hash_of(hasher, node.path_bytes())).zip(numbers);
        let path = |id: NodeId| NodeRef::new(node_in(chunks, id), bytes).path_bytes();
        index.extend(hashes.skip(1), |there, id| path(there) == path(id))
    }

    /// Removes the later of two nodes with the same path, which is not in the index. The other node gets its
    /// children.
    pub(super) fn merge(&mut self, there: NodeId, later: NodeId) {
        while let Some(child) = self.node(later).first_child().some() {
            self.unlink(child);
            self.node_mut(child).next_sibling = NodeId::NONE;
            self.node_mut(child).previous_sibling = NodeId::NONE;
            self.link(there, child);
        }
        self.remove_unindexed(later);
    }

    /// Removes a node that has no children.
    pub(super) fn remove(&mut self, id: NodeId) {
        self.index.remove(self.hash_of(self.node(id).path_bytes()), id);
        self.remove_unindexed(id);
    }

    fn remove_unindexed(&mut self, id: NodeId) {
        assert!(id != NodeId::ROOT, "the root is never removed");
        self.unlink(id);
        let node = self.node(id);
        assert!(node.child_count() == 0, "children go before their parent");
        let (digest, size, content) = (node.digest, node_size(node), node.content);
        self.digest.remove_digest(digest.into());
        self.data_size -= size;
        self.count -= 1;
        self.bytes.remove(content.place(), content.len());
        let free = self.free;
        let node = self.node_mut(id);
        node.release();
        node.next_sibling = free;
        self.free = id;
    }

    /// Changes a node and updates its digest (Java: preChange and postChange around the change).
    pub(super) fn change<T>(&mut self, id: NodeId, change: impl FnOnce(&mut DataNode) -> T) -> T {
        let result = change(self.node_mut(id));
        if self.digest_enabled {
            let new_digest = self.node(id).calculate_digest();
            let old_digest = std::mem::replace(&mut self.node_mut(id).digest, new_digest);
            self.digest.remove_digest(old_digest.into());
            self.digest.add_digest(new_digest.into());
        }
        result
    }

    /// Replaces a node's data, and [changes](Self::change) the node.
    pub(super) fn change_data<T>(
        &mut self,
        id: NodeId,
        data: Option<Vec<u8>>,
        change: impl FnOnce(&mut DataNode) -> T,
    ) -> T {
        let node = self.node(id);
        let (old, old_len) = (node.content, node.data_len());
        let (data_len, path_len) = (data.as_ref().map(Vec::len), old.len() - old_len);
        let data = data.unwrap_or_default();
        self.data_size = self.data_size + data.len() as u64 - old_len as u64;
        let place = if data.len() == old_len {
            self.bytes.get_mut(old.place(), old.len())[..old_len].copy_from_slice(&data);
            old.place()
        } else {
            let path = self.node(id).path_bytes().to_vec();
            self.bytes.remove(old.place(), old.len());
            self.bytes.insert(data, &path)
        };
        self.node_mut(id).content = Content::new(place, data_len, path_len);
        self.change(id, change)
    }

    /// Replaces a node's ACL, which is not part of its digest.
    pub(super) fn set_acl(&mut self, id: NodeId, acl: AclKey) {
        self.node_mut(id).acl = acl;
    }

    /// The numbers of a node's children, newest first.
    pub(super) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let first = self.node(id).first_child().some();
        std::iter::successors(first, |child| self.node(*child).next_sibling.some())
    }

    /// The node after a node and all its descendants, in the order parents before children; `None` at the end.
    pub(super) fn next_after(&self, mut id: NodeId) -> Option<NodeId> {
        loop {
            let node = self.node(id);
            if let Some(next) = node.next_sibling.some() {
                return Some(next);
            }
            id = node.parent.some()?;
        }
    }

    /// The next node in the order parents before children: the first child, if there is one.
    pub(super) fn next(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).first_child().some().or_else(|| self.next_after(id))
    }

    /// A node and all its descendants, parents before children.
    pub(super) fn subtree(&self, top: NodeId) -> impl Iterator<Item = NodeId> {
        let end = self.next_after(top);
        std::iter::successors(Some(top), move |id| self.next(*id).filter(|next| Some(*next) != end))
    }

    /// The leaf that is reached by always taking the first child. The removal of a subtree starts here.
    pub(super) fn first_leaf(&self, mut id: NodeId) -> NodeId {
        while let Some(child) = self.node(id).first_child().some() {
            id = child;
        }
        id
    }

    fn place(&mut self, node: DataNode) -> NodeId {
        if let Some(id) = self.free.some() {
            self.free = self.node(id).next_sibling;
            *self.node_mut(id) = node;
            return id;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunk_number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[chunk_number];
        let number = (chunk_number << CHUNK_BITS) + chunk.len();
        chunk.push(node);
        #[expect(clippy::expect_used, reason = "four billion nodes need half a terabyte")]
        let number = u32::try_from(number).expect("fewer than four billion nodes");
        assert!(NodeId(number) != NodeId::NONE, "fewer than four billion nodes");
        NodeId(number)
    }

    fn link(&mut self, parent: NodeId, child: NodeId) {
        let parent_node = self.node_mut(parent);
        let first = parent_node.first_child();
        parent_node.set_children(child, parent_node.child_count() + 1);
        let child_node = self.node_mut(child);
        child_node.parent = parent;
        child_node.next_sibling = first;
        if let Some(first) = first.some() {
            self.node_mut(first).previous_sibling = child;
        }
    }

    fn unlink(&mut self, child: NodeId) {
        let node = self.node(child);
        let (parent, previous, next) = (node.parent, node.previous_sibling, node.next_sibling);
        let parent = self.node_mut(parent);
        let first = if previous.some().is_some() { parent.first_child() } else { next };
        parent.set_children(first, parent.child_count() - 1);
        if let Some(previous) = previous.some() {
            self.node_mut(previous).next_sibling = next;
        }
        if let Some(next) = next.some() {
            self.node_mut(next).previous_sibling = previous;
        }
    }

    #[inline]
    fn hash_of(&self, path: &[u8]) -> u32 {
        hash_of(&self.hasher, path)
    }
}

#[inline]
fn hash_of(hasher: &SeedableRandomState, path: &[u8]) -> u32 {
    let hash = hasher.hash_one(path);
    #[expect(clippy::cast_possible_truncation, reason = "both halves go in")]
    let folded = (hash ^ (hash >> 32)) as u32;
    folded
}

#[inline]
fn node_in(chunks: &[Vec<DataNode>], id: NodeId) -> &DataNode {
    &chunks[id.0 as usize >> CHUNK_BITS][id.0 as usize & (CHUNK - 1)]
}

/// Java: DataTree.getNodeSize.
fn node_size(node: NodeRef<'_>) -> u64 {
    let path_len = if node.path_bytes().is_ascii() {
        node.path_bytes().len()
    } else {
        java_length(node.path())
    };
    (path_len + node.data_len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_data_are_different() {
        let (mut nodes, acl) = (NodeHashMap::new(true), AclKey::OPEN_UNSAFE);
        let stat = StatPersisted { cversion: 3, ephemeral_owner: 7, ..StatPersisted::default() };
        let root = nodes.insert(None, "", None, acl, &stat);
        let id = nodes.insert(Some(root), "/a", None, acl, &stat);
        let node = nodes.node(id);
        assert_eq!((node.path(), node.data(), node.data_len()), ("/a", None, 0));
        nodes.change_data(id, Some(Vec::new()), |_| ());
        let node = nodes.node(id);
        assert_eq!((node.path(), node.data()), ("/a", Some(&[][..])));
        nodes.change_data(id, Some(vec![1, 2]), |_| ());
        let node = nodes.node(id);
        assert_eq!((node.path(), node.data(), node.data_len()), ("/a", Some(&[1, 2][..]), 2));
        nodes.change_data(id, None, |_| ());
        let node = nodes.node(id);
        assert_eq!((node.path(), node.data()), ("/a", None));
        assert_eq!(nodes.digest(), {
            let digests = [root, id].map(|id| i64::from(nodes.node(id).calculate_digest()));
            digests.iter().sum::<i64>()
        });
    }
}
