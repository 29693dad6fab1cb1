//! The data tree in snapshots (Java: serialize, serializeNodes, serializeNodeData and deserialize of
//! server/DataTree.java).
//!
//! A snapshot is written in pieces while transactions are applied, so it is fuzzy: a node may be older or newer
//! than its neighbor. Replaying the log from the zxid at which the snapshot began repairs this under three
//! conditions:
//! * Every node in the snapshot comes after its parent. [`SnapshotCursor`] therefore walks from parents to
//!   children.
//! * A child that was created after its parent was written must not be in the snapshot. Otherwise the parent's
//!   child version would stay wrong. New children are therefore added at the front of the list of children, and
//!   the walk goes towards its end.
//! * The walk must survive the deletion of its next node. The tree therefore knows the positions of all running
//!   snapshots and moves them on.
//!
//! ACLs come first. A node that is written later may have an ACL that did not exist at that time. Replay sets
//! it. Java has the same rule; `ReferenceCountedAclCache` describes what happens until then.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use crate::data::StatPersisted;
use crate::jute::{
    BinaryInputArchive, BinaryOutputArchive, InputError, Limits, OutputArchive, Record, decode_text,
};
use crate::server::data_node::NodeId;
use crate::server::node_hash_map::NodeHashMap;
use crate::server::reference_counted_acl_cache::{AclKey, SnapshotAcls};
use crate::util::lock_rank::{Rank, RankedMutex};

use super::DataTree;

/// The path that marks the end of the nodes.
const END_OF_NODES: &str = "/";

/// Another tree was loaded during the snapshot, so the bytes written so far are useless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tree was replaced while its snapshot was taken")]
pub struct TreeReplaced;

/// The positions of the running snapshots of a tree.
#[derive(Debug)]
pub(super) struct RunningSnapshots {
    /// False if no snapshot is running. Every deletion checks this first.
    some: AtomicBool,
    /// The next node of each snapshot. Only two kinds of threads change a position: a thread that holds the
    /// tree exclusively, and the snapshot's own thread, which holds it shared.
    places: RankedMutex<Vec<Weak<AtomicU32>>>,
}

impl Default for RunningSnapshots {
    fn default() -> Self {
        Self {
            some: AtomicBool::new(false),
            places: RankedMutex::new(Rank::DataTreeParts, "places of snapshots", Vec::new()),
        }
    }
}

impl RunningSnapshots {
    fn register(&self, place: &Arc<AtomicU32>) {
        self.places.lock().push(Arc::downgrade(place));
        self.some.store(true, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn is_any_running(&self) -> bool {
        self.some.load(Ordering::Relaxed)
    }

    /// Moves every snapshot whose next node is this one to the following node. The node must have no children.
    #[inline]
    pub(super) fn node_leaves(&self, nodes: &NodeHashMap, id: NodeId) {
        if self.some.load(Ordering::Relaxed) {
            self.move_on(nodes, id);
        }
    }

    fn move_on(&self, nodes: &NodeHashMap, id: NodeId) {
        let mut places = self.places.lock();
        places.retain(|place| {
            let Some(place) = place.upgrade() else { return false };
            if place.load(Ordering::Relaxed) == id.0 {
                let next = nodes.next_after(id).unwrap_or(NodeId::NONE);
                place.store(next.0, Ordering::Relaxed);
            }
            true
        });
        self.some.store(!places.is_empty(), Ordering::Relaxed);
    }
}

/// A running snapshot of a tree's ACLs and nodes (Java: serialize).
#[derive(Debug)]
pub struct SnapshotCursor {
    tree: Arc<RunningSnapshots>,
    place: Arc<AtomicU32>,
    acls_written: bool,
    end_written: bool,
}

impl SnapshotCursor {
    /// Starts a snapshot. It must be named after the current `last_processed_zxid` of the tree or an earlier
    /// one.
    #[must_use]
    pub fn new(tree: &DataTree) -> Self {
        let place = Arc::new(AtomicU32::new(NodeId::ROOT.0));
        tree.snapshots.register(&place);
        Self { tree: tree.snapshots.clone(), place, acls_written: false, end_written: false }
    }

    /// Appends the next piece: first the ACLs, then nodes of about `about_bytes`. False after the last piece.
    /// The tree may change between two calls, but not during a call.
    ///
    /// # Errors
    /// When the tree was replaced since the snapshot started.
    pub fn next_chunk(
        &mut self,
        tree: &DataTree,
        out: &mut Vec<u8>,
        about_bytes: usize,
    ) -> Result<bool, TreeReplaced> {
        if !Arc::ptr_eq(&self.tree, &tree.snapshots) {
            return Err(TreeReplaced);
        }
        if self.end_written {
            return Ok(false);
        }
        if !self.acls_written {
            tree.serialize_acls(out);
            self.acls_written = true;
            return Ok(true);
        }
        let enough = out.len().saturating_add(about_bytes);
        let mut next = NodeId(self.place.load(Ordering::Relaxed)).some();
        while let Some(id) = next.filter(|_| out.len() < enough) {
            tree.serialize_node(id, out);
            next = tree.nodes.next(id);
        }
        self.place.store(next.unwrap_or(NodeId::NONE).0, Ordering::Relaxed);
        if next.is_none() {
            BinaryOutputArchive::new(out).write_string(Some(END_OF_NODES), "path");
            self.end_written = true;
        }
        Ok(!self.end_written)
    }
}

impl DataTree {
    /// Appends the table of ACLs.
    pub fn serialize_acls(&self, out: &mut Vec<u8>) {
        self.acl_cache.serialize(out);
    }

    /// Appends the whole tree at once, while nobody changes it (Java: serialize).
    pub fn serialize(&self, out: &mut Vec<u8>) {
        self.serialize_acls(out);
        let first = self.nodes.get("/");
        let all = std::iter::successors(first, |id| self.nodes.next(*id));
        all.for_each(|id| self.serialize_node(id, out));
        BinaryOutputArchive::new(out).write_string(Some(END_OF_NODES), "path");
    }

    fn serialize_node(&self, id: NodeId, out: &mut Vec<u8>) {
        let node = self.nodes.node(id);
        let mut archive = BinaryOutputArchive::new(out);
        archive.write_string(Some(node.path()), "path");
        archive.write_buffer(node.data(), "data");
        archive.write_long(self.acl_cache.id(node.acl), "acl");
        node.stat_persisted().serialize(&mut archive);
    }

    /// Replaces the tree by one from the input (Java: deserialize). Watches stay. Running snapshots of the old
    /// tree end with [`TreeReplaced`].
    ///
    /// # Errors
    /// When the input is not a valid tree: it ends early, a node comes before its parent or has an invalid
    /// owner, or there is no root. The tree is then empty, without a root, and another one can be read.
    pub fn deserialize<R: Read>(
        &mut self,
        archive: &mut BinaryInputArchive<R>,
    ) -> Result<(), InputError> {
        self.clear();
        let result = self.deserialize_nodes(archive);
        if result.is_err() {
            self.clear();
            return result;
        }
        self.setup_quota();
        self.acl_cache.purge_unused();
        result
    }

    pub(super) fn clear(&mut self) {
        self.snapshots = Arc::default();
        self.nodes.clear();
        self.ephemerals.clear();
        self.p_trie.clear();
    }

    fn deserialize_nodes<R: Read>(
        &mut self,
        archive: &mut BinaryInputArchive<R>,
    ) -> Result<(), InputError> {
        let mut loading = Loading {
            acls: self.acl_cache.deserialize(archive)?,
            previous: None,
            is_indexed: false,
        };
        let mut bytes = Vec::new();
        loop {
            if !archive.read_buffer_into("path", &mut bytes, 0)? {
                return Err(InputError::Null { tag: "path" });
            }
            let path = decode_text(&bytes);
            if path == END_OF_NODES {
                break;
            }
            let id = self.deserialize_node(&path, &mut loading, archive)?;
            loading.previous = Some(id);
        }
        if loading.previous.is_none() {
            return Err(invalid("Invalid Datatree, it has no root".to_owned()));
        }
        self.index_loaded(&mut loading);
        Ok(())
    }

    fn deserialize_node<R: Read>(
        &mut self,
        path: &str,
        loading: &mut Loading,
        archive: &mut BinaryInputArchive<R>,
    ) -> Result<NodeId, InputError> {
        let data = archive.read_buffer_with_room("data", path.len())?;
        let acl_id = archive.read_long()?;
        let stat = read_stat(archive)?;
        let owner = stat.ephemeral_owner;
        let kind = self.config.ephemeral_types.of(owner);
        let kind = kind.map_err(|problem| invalid(format!("{problem} of {path}")))?;
        let parent = match path.rfind('/') {
            Some(end) => Some(self.parent_of(&path[..end], loading).ok_or_else(|| {
                let parent_path = &path[..end];
                invalid(format!(
                    "Invalid Datatree, unable to find parent {parent_path} of path {path}"
                ))
            })?),
            None if path.is_empty() => None,
            None => return Err(invalid(format!("Invalid Datatree, {path} is no path"))),
        };
        let acl = self.acl_cache.convert_id(acl_id, &mut loading.acls);
        let twice =
            if loading.is_indexed || parent.is_none() { self.nodes.get(path) } else { None };
        if let Some(twice) = twice {
            self.replace(twice, data, acl, &stat);
            return Ok(twice);
        }
        let id = if loading.is_indexed {
            self.nodes.insert(parent, path, data, acl, &stat)
        } else {
            self.nodes.insert_unindexed(parent, path, data, acl, &stat)
        };
        self.ephemerals.add(kind, owner, id);
        Ok(id)
    }

    /// Overwrites a node with a later one of the same path. As in Java, the later one wins.
    fn replace(&mut self, id: NodeId, data: Option<Vec<u8>>, acl: AclKey, stat: &StatPersisted) {
        let types = self.config.ephemeral_types;
        let node = self.nodes.node(id);
        let (old_acl, old_owner) = (node.acl, node.ephemeral_owner());
        self.ephemerals.remove(types.of_or_normal(old_owner), old_owner, id);
        self.acl_cache.remove_usage(old_acl);
        self.nodes.set_acl(id, acl);
        self.nodes.change_data(id, data, |node| {
            node.set_stat(stat);
        });
        let owner = stat.ephemeral_owner;
        self.ephemerals.add(types.of_or_normal(owner), owner, id);
    }

    /// Builds the path index of the nodes loaded so far.
    fn index_loaded(&mut self, loading: &mut Loading) {
        if std::mem::replace(&mut loading.is_indexed, true) {
            return;
        }
        for (there, later) in self.nodes.index_all() {
            let node = self.nodes.node(later);
            let (data, acl, stat) =
                (node.data().map(<[u8]>::to_vec), node.acl, node.stat_persisted());
            let owner = stat.ephemeral_owner;
            let kind = self.config.ephemeral_types.of_or_normal(owner);
            self.ephemerals.remove(kind, owner, later);
            self.nodes.merge(there, later);
            self.replace(there, data, acl, &stat);
            if loading.previous == Some(later) {
                loading.previous = Some(there);
            }
        }
    }

    /// Finds the parent. In the order of snapshots it is the previous node or one of its ancestors. Only
    /// otherwise is it looked up by path.
    fn parent_of(&mut self, parent_path: &str, loading: &mut Loading) -> Option<NodeId> {
        let mut candidate = loading.previous;
        while let Some(id) = candidate {
            let node = self.nodes.node(id);
            let candidate_path = node.path_bytes();
            if candidate_path.len() <= parent_path.len() {
                if candidate_path == parent_path.as_bytes() {
                    return Some(id);
                }
                break;
            }
            candidate = node.parent.some();
        }
        self.index_loaded(loading);
        self.nodes.get(parent_path)
    }
}

/// The state of loading a tree.
struct Loading {
    acls: SnapshotAcls,
    /// The previously read node.
    previous: Option<NodeId>,
    /// Whether the path index exists. While the nodes arrive in the order of snapshots, it is not needed until
    /// the end.
    is_indexed: bool,
}

/// Reads all fields of a state at once, because most of the loading time is spent here.
fn read_stat<R: Read>(archive: &mut BinaryInputArchive<R>) -> Result<StatPersisted, InputError> {
    let bytes: [u8; 60] = archive.array("the state of a node")?;
    let mut stat = BinaryInputArchive::new(&bytes[..], Limits::default());
    StatPersisted::deserialize(&mut stat)
}

fn invalid(problem: String) -> InputError {
    InputError::Io(io::Error::new(io::ErrorKind::InvalidData, problem))
}
