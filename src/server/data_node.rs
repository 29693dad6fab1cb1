//! A node of the tree (Java: server/DataNode.java).
//!
//! Differs from Java, to save memory: data and path are one piece of bytes, stored among pieces of the same length
//! ([`ByteStore`]). Fields that a node needs only after it has changed take no memory before. The children are not a
//! set of names but a chain through the nodes themselves. Nodes refer to each other by number ([`NodeId`]). The
//! owner of the nodes guards them.
//!
//! Elsewhere: serialize and deserialize are in `data_tree/serialize`; addChild and removeChild are `link` and `unlink`
//! in `node_hash_map`.

use std::borrow::Cow;
use std::ops::Deref;

use crate::data::{Stat, StatPersisted};
use crate::ids::Zxid;
use crate::zoo_defs::ZOOKEEPER_NODE_SUBTREE;

use super::byte_store::{ByteStore, Place};
use super::digest_calculator::{self, STAT_BYTES, digest_of_parts};
use super::ephemeral_type::EphemeralTypes;
use super::reference_counted_acl_cache::AclKey;

/// The number of a node: its place in the [`NodeHashMap`](super::node_hash_map::NodeHashMap). The number is reused
/// after the node is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeId(pub(super) u32);

impl NodeId {
    /// No node.
    pub(super) const NONE: Self = Self(u32::MAX);
    /// The root is always the first.
    pub(super) const ROOT: Self = Self(0);

    /// `None` instead of [`NONE`](Self::NONE).
    pub(super) const fn some(self) -> Option<Self> {
        if self.0 == Self::NONE.0 { None } else { Some(self) }
    }
}

/// Set in `path_len` when the data is null.
const NULL_DATA: u32 = 1 << 31;

/// The state of a node, its links to other nodes, and where its data and path are.
#[derive(Debug)]
pub(super) struct DataNode {
    /// Where its data and path are.
    pub(super) content: Content,
    pub(super) acl: AclKey,
    /// The digest of path, data and state that is currently included in the tree's digest.
    pub(super) digest: u32,
    pub(super) parent: NodeId,
    czxid: Zxid,
    ctime: i64,
    /// The fields that most nodes do not need. `None`: all of them are as in [`Rest::of_new_node`].
    rest: Option<Box<Rest>>,
    pub(super) next_sibling: NodeId,
    pub(super) previous_sibling: NodeId,
}

// A tree may have millions of nodes, so every byte here counts.
const _: () = assert!(size_of::<DataNode>() == 56);

/// The fields that can differ from those of a new persistent node.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rest {
    mzxid: Zxid,
    pzxid: Zxid,
    mtime: i64,
    ephemeral_owner: i64,
    version: i32,
    cversion: i32,
    aversion: i32,
    first_child: NodeId,
    child_count: u32,
}

impl Rest {
    /// The fields of a node that has not changed since it was created.
    const fn of_new_node(czxid: Zxid, ctime: i64) -> Self {
        Self {
            mzxid: czxid,
            pzxid: czxid,
            mtime: ctime,
            ephemeral_owner: 0,
            version: 0,
            cversion: 0,
            aversion: 0,
            first_child: NodeId::NONE,
            child_count: 0,
        }
    }

    const fn set_stat(&mut self, stat: &StatPersisted) {
        self.mzxid = stat.mzxid;
        self.pzxid = stat.pzxid;
        self.mtime = stat.mtime;
        self.ephemeral_owner = stat.ephemeral_owner;
        self.version = stat.version;
        self.cversion = stat.cversion;
        self.aversion = stat.aversion;
    }
}

impl DataNode {
    /// A node without neighbours.
    pub(super) fn new(content: Content, acl: AclKey, stat: &StatPersisted) -> Self {
        let mut node = Self {
            content,
            acl,
            digest: 0,
            parent: NodeId::NONE,
            czxid: Zxid::ZERO,
            ctime: 0,
            rest: None,
            next_sibling: NodeId::NONE,
            previous_sibling: NodeId::NONE,
        };
        node.set_stat(stat);
        node
    }

    /// Frees the memory of a node whose place becomes free.
    pub(super) fn release(&mut self) {
        self.content = Content::EMPTY;
        self.rest = None;
    }

    /// The length of the data; 0 for null.
    pub(super) const fn data_len(&self) -> usize {
        self.content.data_len as usize
    }

    fn rest(&self) -> Cow<'_, Rest> {
        match &self.rest {
            Some(rest) => Cow::Borrowed(rest),
            None => Cow::Owned(Rest::of_new_node(self.czxid, self.ctime)),
        }
    }

    fn rest_mut(&mut self) -> &mut Rest {
        let (czxid, ctime) = (self.czxid, self.ctime);
        self.rest.get_or_insert_with(|| Box::new(Rest::of_new_node(czxid, ctime)))
    }

    pub(super) const fn czxid(&self) -> Zxid {
        self.czxid
    }

    pub(super) fn mzxid(&self) -> Zxid {
        self.rest.as_ref().map_or(self.czxid, |rest| rest.mzxid)
    }

    pub(super) fn pzxid(&self) -> Zxid {
        self.rest.as_ref().map_or(self.czxid, |rest| rest.pzxid)
    }

    pub(super) fn cversion(&self) -> i32 {
        self.rest.as_ref().map_or(0, |rest| rest.cversion)
    }

    pub(super) fn ephemeral_owner(&self) -> i64 {
        self.rest.as_ref().map_or(0, |rest| rest.ephemeral_owner)
    }

    pub(super) fn child_count(&self) -> u32 {
        self.rest.as_ref().map_or(0, |rest| rest.child_count)
    }

    pub(super) fn first_child(&self) -> NodeId {
        self.rest.as_ref().map_or(NodeId::NONE, |rest| rest.first_child)
    }

    /// Sets the first child and the number of children.
    pub(super) fn set_children(&mut self, first_child: NodeId, child_count: u32) {
        let rest = self.rest_mut();
        rest.first_child = first_child;
        rest.child_count = child_count;
    }

    pub(super) fn set_modified(&mut self, version: i32, zxid: Zxid, time: i64) {
        let rest = self.rest_mut();
        rest.version = version;
        rest.mzxid = zxid;
        rest.mtime = time;
    }

    pub(super) fn set_children_changed(&mut self, cversion: i32, zxid: Zxid) {
        let rest = self.rest_mut();
        rest.cversion = cversion;
        rest.pzxid = zxid;
    }

    pub(super) fn set_pzxid(&mut self, zxid: Zxid) {
        self.rest_mut().pzxid = zxid;
    }

    pub(super) fn set_aversion(&mut self, aversion: i32) {
        self.rest_mut().aversion = aversion;
    }

    pub(super) fn set_stat(&mut self, stat: &StatPersisted) {
        let mut rest = self.rest().into_owned();
        self.czxid = stat.czxid;
        self.ctime = stat.ctime;
        rest.set_stat(stat);
        let is_as_new = rest == Rest::of_new_node(stat.czxid, stat.ctime);
        self.rest = (!is_as_new).then(|| Box::new(rest));
    }

    /// The state as it is kept on disk.
    pub(super) fn stat_persisted(&self) -> StatPersisted {
        let rest = self.rest();
        StatPersisted {
            czxid: self.czxid,
            mzxid: rest.mzxid,
            ctime: self.ctime,
            mtime: rest.mtime,
            version: rest.version,
            cversion: rest.cversion,
            aversion: rest.aversion,
            ephemeral_owner: rest.ephemeral_owner,
            pzxid: rest.pzxid,
        }
    }

    /// The state as a client sees it (Java: copyStat). The stored `cversion` counts created children. Clients see
    /// the number of changes, in which every deleted child counts, too.
    pub(super) fn stat(&self, types: EphemeralTypes) -> Stat {
        let rest = self.rest();
        let num_children = rest.child_count.cast_signed();
        Stat {
            czxid: self.czxid,
            mzxid: rest.mzxid,
            ctime: self.ctime,
            mtime: rest.mtime,
            version: rest.version,
            cversion: rest.cversion.wrapping_mul(2).wrapping_sub(num_children),
            aversion: rest.aversion,
            ephemeral_owner: types.client_ephemeral_owner(rest.ephemeral_owner),
            // Longer data than Java's int allows is never accepted.
            data_length: i32::try_from(self.data_len()).unwrap_or(i32::MAX),
            num_children,
            pzxid: rest.pzxid,
        }
    }
}

/// Where data and path of a node are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// The place of the data, which the path follows.
    place: Place,
    /// The length of the data, in bytes.
    data_len: u32,
    /// The length of the path, in bytes; and [`NULL_DATA`].
    path_len: u32,
}

impl Content {
    /// No path and no data, as for the root.
    const EMPTY: Self = Self { place: Place::EMPTY, data_len: 0, path_len: NULL_DATA };

    /// The content at this place.
    ///
    /// # Panics
    /// When the data or the path is two gigabytes or longer.
    #[expect(clippy::expect_used, reason = "no limit of jute lets such a path or such data in")]
    pub(super) fn new(place: Place, data_len: Option<usize>, path_len: usize) -> Self {
        let fits = |len: usize| u32::try_from(len).ok().filter(|len| len & NULL_DATA == 0);
        let null = if data_len.is_some() { 0 } else { NULL_DATA };
        Self {
            place,
            data_len: fits(data_len.unwrap_or(0)).expect("data is shorter than two gigabytes"),
            path_len: fits(path_len).expect("a path is shorter than two gigabytes") | null,
        }
    }

    pub(super) const fn place(self) -> Place {
        self.place
    }

    /// Null and empty data are different.
    pub(super) const fn is_null(self) -> bool {
        self.path_len & NULL_DATA != 0
    }

    /// The length of data and path together, in bytes.
    pub(super) const fn len(self) -> usize {
        self.data_len as usize + (self.path_len & !NULL_DATA) as usize
    }
}

/// A node with its data and path.
#[derive(Clone, Copy)]
pub(super) struct NodeRef<'a> {
    node: &'a DataNode,
    bytes: &'a ByteStore,
}

impl<'a> NodeRef<'a> {
    /// Creates a reference to a node, with the store that has its bytes.
    #[inline]
    pub(super) const fn new(node: &'a DataNode, bytes: &'a ByteStore) -> Self {
        Self { node, bytes }
    }

    #[inline]
    fn bytes(self) -> &'a [u8] {
        self.bytes.get(self.node.content.place, self.node.content.len())
    }

    /// The path's bytes; none for the root.
    #[inline]
    pub(super) fn path_bytes(self) -> &'a [u8] {
        &self.bytes()[self.node.data_len()..]
    }

    /// The path; empty for the root.
    pub(super) fn path(self) -> &'a str {
        match std::str::from_utf8(self.path_bytes()) {
            Ok(path) => path,
            Err(_) => unreachable!("a node is only ever made with text as its path"),
        }
    }

    /// The data; null and empty are different.
    pub(super) fn data(self) -> Option<&'a [u8]> {
        (!self.node.content.is_null()).then(|| &self.bytes()[..self.node.data_len()])
    }

    /// Computes the node's part of the tree's digest.
    pub(super) fn calculate_digest(self) -> u32 {
        let (data, path) = self.bytes().split_at(self.node.data_len());
        if path.starts_with(ZOOKEEPER_NODE_SUBTREE.as_bytes()) {
            return 0;
        }
        let stat: [u8; STAT_BYTES] = digest_calculator::stat_bytes(&self.node.stat_persisted());
        digest_of_parts(path, data, &stat)
    }
}

impl Deref for NodeRef<'_> {
    type Target = DataNode;

    fn deref(&self) -> &DataNode {
        self.node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_sees_changes_of_the_children_and_only_sessions_as_owners() {
        let stat = StatPersisted { cversion: 3, ephemeral_owner: 7, ..StatPersisted::default() };
        let content = Content::new(Place::EMPTY, Some(3), 2);
        let mut node = DataNode::new(content, AclKey::OPEN_UNSAFE, &stat);
        node.set_children(NodeId(9), 2);
        let types = EphemeralTypes::default();
        let stat = node.stat(types);
        assert_eq!((stat.cversion, stat.num_children, stat.data_length), (4, 2, 3));
        assert_eq!(stat.ephemeral_owner, 7);
        node.rest_mut().ephemeral_owner = i64::MIN;
        assert_eq!(node.stat(types).ephemeral_owner, 0);
        assert_eq!(node.stat_persisted().ephemeral_owner, i64::MIN);
    }

    #[test]
    fn only_what_differs_from_a_new_node_takes_memory() {
        let new = StatPersisted {
            czxid: Zxid(7),
            mzxid: Zxid(7),
            pzxid: Zxid(7),
            ctime: 70,
            mtime: 70,
            ..StatPersisted::default()
        };
        let mut node = DataNode::new(Content::EMPTY, AclKey::OPEN_UNSAFE, &new);
        assert!(node.rest.is_none());
        assert_eq!(node.stat_persisted(), new);
        let changes: [fn(&mut StatPersisted); 7] = [
            |stat| stat.mzxid = Zxid(8),
            |stat| stat.pzxid = Zxid(8),
            |stat| stat.mtime = 80,
            |stat| stat.version = 1,
            |stat| stat.cversion = 1,
            |stat| stat.aversion = 1,
            |stat| stat.ephemeral_owner = 1,
        ];
        for change in changes {
            let mut changed = new.clone();
            change(&mut changed);
            node.set_stat(&changed);
            assert_eq!(node.stat_persisted(), changed);
            node.set_stat(&new);
            assert!(node.rest.is_none());
        }
        node.set_children(NodeId(9), 1);
        node.set_stat(&new);
        assert_eq!((node.first_child(), node.child_count()), (NodeId(9), 1));
        node.set_children(NodeId::NONE, 0);
        node.set_modified(1, Zxid(8), 80);
        node.set_children_changed(2, Zxid(9));
        node.set_aversion(3);
        let expected = StatPersisted {
            mzxid: Zxid(8),
            mtime: 80,
            version: 1,
            pzxid: Zxid(9),
            cversion: 2,
            aversion: 3,
            ..new.clone()
        };
        assert_eq!(node.stat_persisted(), expected);
    }
}
