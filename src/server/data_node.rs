//! A node of the tree (Java: server/DataNode.java).
//!
//! Differs from Java, to be small: data and path share one allocation, the children are not a set of names but a chain
//! through the nodes themselves, and neighbours are known by number ([`NodeId`]). Its owner guards it.

use crate::data::{Stat, StatPersisted};
use crate::ids::Zxid;

use super::digest_calculator::{self, STAT_BYTES, digest_of_parts};
use super::ephemeral_type::EphemeralTypes;
use super::reference_counted_acl_cache::AclKey;

/// The number of a node: its place in the [`NodeHashMap`](super::node_hash_map::NodeHashMap). Used again when the node is
/// deleted.
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

/// Data, state and neighbours of a node. What finding it reads stands together.
#[derive(Debug)]
#[repr(C)]
pub(super) struct DataNode {
    /// The data, and behind it the path.
    bytes: Box<[u8]>,
    /// Of the path, in bytes; and [`NULL_DATA`].
    path_len: u32,
    pub(super) acl: AclKey,
    /// Of path, data and state, as it is in the tree's digest now.
    pub(super) digest: u32,
    /// Of the path.
    pub(super) hash: u32,
    czxid: Zxid,
    mzxid: Zxid,
    pzxid: Zxid,
    ctime: i64,
    mtime: i64,
    ephemeral_owner: i64,
    version: i32,
    cversion: i32,
    aversion: i32,
    pub(super) parent: NodeId,
    pub(super) first_child: NodeId,
    pub(super) next_sibling: NodeId,
    pub(super) previous_sibling: NodeId,
    pub(super) child_count: u32,
}

// A million nodes are the measure of memory: what is added here is added a million times.
const _: () = assert!(size_of::<DataNode>() == 112);

impl DataNode {
    /// A node without neighbours.
    ///
    /// # Panics
    /// When the path has two gigabytes.
    pub(super) fn new(
        path: &str,
        data: Option<Vec<u8>>,
        acl: AclKey,
        stat: &StatPersisted,
    ) -> Self {
        let (path_len, bytes) = pack(path.as_bytes(), data);
        Self {
            bytes,
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            pzxid: stat.pzxid,
            ctime: stat.ctime,
            mtime: stat.mtime,
            ephemeral_owner: stat.ephemeral_owner,
            version: stat.version,
            cversion: stat.cversion,
            aversion: stat.aversion,
            path_len,
            acl,
            digest: 0,
            hash: 0,
            parent: NodeId::NONE,
            first_child: NodeId::NONE,
            next_sibling: NodeId::NONE,
            previous_sibling: NodeId::NONE,
            child_count: 0,
        }
    }

    /// Lets go of the memory behind a node whose place is free now.
    pub(super) fn release(&mut self) {
        self.bytes = Box::default();
        self.path_len = 0;
    }

    fn path_start(&self) -> usize {
        self.bytes.len() - (self.path_len & !NULL_DATA) as usize
    }

    /// The path's bytes; none for the root.
    pub(super) fn path_bytes(&self) -> &[u8] {
        &self.bytes[self.path_start()..]
    }

    /// The path; empty for the root.
    pub(super) fn path(&self) -> &str {
        match std::str::from_utf8(self.path_bytes()) {
            Ok(path) => path,
            Err(_) => unreachable!("a node is only ever made with text as its path"),
        }
    }

    /// The data; null and empty are different.
    pub(super) fn data(&self) -> Option<&[u8]> {
        (self.path_len & NULL_DATA == 0).then(|| &self.bytes[..self.path_start()])
    }

    /// The length of the data; 0 for null.
    pub(super) fn data_len(&self) -> usize {
        self.path_start()
    }

    pub(super) fn set_data(&mut self, data: Option<Vec<u8>>) {
        (self.path_len, self.bytes) = pack(self.path_bytes(), data);
    }

    pub(super) const fn czxid(&self) -> Zxid {
        self.czxid
    }

    pub(super) const fn mzxid(&self) -> Zxid {
        self.mzxid
    }

    pub(super) const fn pzxid(&self) -> Zxid {
        self.pzxid
    }

    pub(super) const fn cversion(&self) -> i32 {
        self.cversion
    }

    pub(super) const fn ephemeral_owner(&self) -> i64 {
        self.ephemeral_owner
    }

    pub(super) const fn set_modified(&mut self, version: i32, zxid: Zxid, time: i64) {
        self.version = version;
        self.mzxid = zxid;
        self.mtime = time;
    }

    pub(super) const fn set_children_changed(&mut self, cversion: i32, zxid: Zxid) {
        self.cversion = cversion;
        self.pzxid = zxid;
    }

    pub(super) const fn set_pzxid(&mut self, zxid: Zxid) {
        self.pzxid = zxid;
    }

    pub(super) const fn set_aversion(&mut self, aversion: i32) {
        self.aversion = aversion;
    }

    pub(super) const fn set_stat(&mut self, stat: &StatPersisted) {
        self.czxid = stat.czxid;
        self.mzxid = stat.mzxid;
        self.pzxid = stat.pzxid;
        self.ctime = stat.ctime;
        self.mtime = stat.mtime;
        self.ephemeral_owner = stat.ephemeral_owner;
        self.version = stat.version;
        self.cversion = stat.cversion;
        self.aversion = stat.aversion;
    }

    /// The state as it is kept on disk.
    pub(super) const fn stat_persisted(&self) -> StatPersisted {
        StatPersisted {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.cversion,
            aversion: self.aversion,
            ephemeral_owner: self.ephemeral_owner,
            pzxid: self.pzxid,
        }
    }

    /// The state as a client sees it (Java: copyStat). `cversion` is kept as the number of creations; clients see the
    /// number of changes: every child that is gone was a change, too.
    pub(super) fn stat(&self, types: EphemeralTypes) -> Stat {
        let num_children = self.child_count.cast_signed();
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.cversion.wrapping_mul(2).wrapping_sub(num_children),
            aversion: self.aversion,
            ephemeral_owner: types.client_ephemeral_owner(self.ephemeral_owner),
            // What does not fit Java's int could not come in.
            data_length: i32::try_from(self.data_len()).unwrap_or(i32::MAX),
            num_children,
            pzxid: self.pzxid,
        }
    }

    /// The node's part in the tree's digest, computed anew.
    pub(super) fn calculate_digest(&self) -> u32 {
        if self.path_bytes().starts_with(crate::zoo_defs::ZOOKEEPER_NODE_SUBTREE.as_bytes()) {
            return 0;
        }
        let stat: [u8; STAT_BYTES] = digest_calculator::stat_bytes(&self.stat_persisted());
        digest_of_parts(self.path_bytes(), &self.bytes[..self.path_start()], &stat)
    }
}

/// Data and path in one piece. The data comes first, so that long data need not be copied.
#[expect(clippy::expect_used, reason = "no limit of jute lets such a path in")]
fn pack(path: &[u8], data: Option<Vec<u8>>) -> (u32, Box<[u8]>) {
    let path_len = u32::try_from(path.len()).ok().filter(|len| len & NULL_DATA == 0);
    let null = if data.is_some() { 0 } else { NULL_DATA };
    let mut bytes = data.unwrap_or_default();
    bytes.reserve_exact(path.len());
    bytes.extend_from_slice(path);
    (path_len.expect("a path is shorter than two gigabytes") | null, bytes.into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(path: &str, data: Option<&[u8]>) -> DataNode {
        let stat = StatPersisted { cversion: 3, ephemeral_owner: 7, ..StatPersisted::default() };
        DataNode::new(path, data.map(<[u8]>::to_vec), AclKey::OPEN_UNSAFE, &stat)
    }

    #[test]
    fn null_and_empty_data_are_different() {
        let mut node = node("/a", None);
        assert_eq!((node.path(), node.data(), node.data_len()), ("/a", None, 0));
        node.set_data(Some(Vec::new()));
        assert_eq!((node.path(), node.data()), ("/a", Some(&[][..])));
        node.set_data(Some(vec![1, 2]));
        assert_eq!((node.path(), node.data(), node.data_len()), ("/a", Some(&[1, 2][..]), 2));
        node.set_data(None);
        assert_eq!((node.path(), node.data()), ("/a", None));
    }

    #[test]
    fn a_client_sees_changes_of_the_children_and_only_sessions_as_owners() {
        let mut node = node("/a", Some(b"xyz"));
        node.child_count = 2;
        let types = EphemeralTypes::default();
        let stat = node.stat(types);
        assert_eq!((stat.cversion, stat.num_children, stat.data_length), (4, 2, 3));
        assert_eq!(stat.ephemeral_owner, 7);
        node.ephemeral_owner = i64::MIN;
        assert_eq!(node.stat(types).ephemeral_owner, 0);
        assert_eq!(node.stat_persisted().ephemeral_owner, i64::MIN);
    }
}
