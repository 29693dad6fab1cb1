//! How transactions change nodes (Java: createNode, deleteNode, setData, setACL and setCversionPzxid of
//! server/DataTree.java).
//!
//! The order of the steps is Java's: the parent, the node, its index entries, quotas, then watches. The node's
//! watches are triggered before the parent's.

use log::debug;

use crate::common::path_utils::split_last;
use crate::data::{ACL, Stat, StatPersisted};
use crate::ids::Zxid;
use crate::keeper_exception::KeeperError;
use crate::server::data_node::NodeId;
use crate::watcher::EventType;

use super::{DataTree, LOG};

/// A node to create.
#[derive(Clone, Debug)]
pub(super) struct NewNode<'a> {
    pub(super) path: &'a str,
    pub(super) data: Option<Vec<u8>>,
    pub(super) acl: Vec<ACL>,
    /// 0, a session, or the marker of a container or TTL node.
    pub(super) ephemeral_owner: i64,
    /// The parent's child version after the creation; -1 increments the current one.
    pub(super) parent_c_version: i32,
    pub(super) zxid: Zxid,
    pub(super) time: i64,
}

/// The path under which watches are registered.
fn watched(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

impl DataTree {
    /// The state of a new node (Java: createStat).
    pub(in crate::server) fn create_stat(
        zxid: Zxid,
        time: i64,
        ephemeral_owner: i64,
    ) -> StatPersisted {
        StatPersisted {
            czxid: zxid,
            mzxid: zxid,
            ctime: time,
            mtime: time,
            version: 0,
            cversion: 0,
            aversion: 0,
            ephemeral_owner,
            pzxid: zxid,
        }
    }

    /// Java: createNode.
    pub(super) fn create_node(&mut self, new: NewNode<'_>) -> Result<NodeId, KeeperError> {
        let NewNode { path, data, acl, ephemeral_owner, parent_c_version, zxid, time } = new;
        // No server creates such a transaction. Java throws here.
        let (parent_path, name) = split_last(path).ok_or(KeeperError::NoNode)?;
        let parent = self.nodes.get(parent_path).ok_or(KeeperError::NoNode)?;
        // The ACL is registered before the node is looked up: a fuzzy snapshot may contain the node without its
        // ACL.
        let acl_key = self.acl_cache.convert_acls(&acl);
        if let Some(existing) = self.nodes.get(path) {
            self.acl_cache.remove_usage(self.nodes.node(existing).acl);
            self.nodes.set_acl(existing, acl_key);
            return Err(KeeperError::NodeExists);
        }
        self.raise_child_version(parent, parent_c_version, zxid);
        let data_len = data.as_ref().map_or(0, Vec::len);
        let stat = Self::create_stat(zxid, time, ephemeral_owner);
        let id = self.nodes.insert(Some(parent), path, data, acl_key, &stat);
        let kind = self.config.ephemeral_types.of_or_normal(ephemeral_owner);
        self.ephemerals.add(kind, ephemeral_owner, id);
        self.quota_node_created(parent_path, name);
        self.add_to_quota(path, data_len, 0, 1);
        self.update_write_stat(path, data_len);
        let watches = &self.parts;
        watches.data_watches.trigger_watch(path, EventType::NodeCreated, zxid, Some(&acl), None);
        watches.child_watches.trigger_watch(
            watched(parent_path),
            EventType::NodeChildrenChanged,
            zxid,
            Some(self.acl_cache.acl(self.nodes.node(parent).acl)),
            None,
        );
        Ok(id)
    }

    /// Java: deleteNode.
    pub(super) fn delete_node(&mut self, path: &str, zxid: Zxid) -> Result<(), KeeperError> {
        let (parent_path, name) = split_last(path).ok_or(KeeperError::NoNode)?;
        let parent = self.nodes.get(parent_path).ok_or(KeeperError::NoNode)?;
        // The pzxid is raised even if the node does not exist. A fuzzy snapshot may have written the parent
        // before the deletion and reached the node's place after it.
        if zxid > self.nodes.node(parent).pzxid() {
            self.nodes.change(parent, |parent| parent.set_pzxid(zxid));
        }
        let id =
            self.nodes.get(path).filter(|id| *id != NodeId::ROOT).ok_or(KeeperError::NoNode)?;
        let node = self.nodes.node(id);
        let (acl, data_len) = (node.acl, node.data_len());
        // The events carry the node's ACL, so it must outlive the node.
        self.acl_cache.add_usage(acl);
        self.remove_subtree(id);
        self.quota_node_deleted(parent_path, name);
        self.add_to_quota(path, 0, data_len, -1);
        self.update_write_stat(path, 0);
        let watches = &self.parts;
        let node_acl = Some(&**self.acl_cache.acl(acl));
        let told =
            watches.data_watches.trigger_watch(path, EventType::NodeDeleted, zxid, node_acl, None);
        watches.child_watches.trigger_watch(
            path,
            EventType::NodeDeleted,
            zxid,
            node_acl,
            told.as_ref(),
        );
        watches.child_watches.trigger_watch(
            watched(parent_path),
            EventType::NodeChildrenChanged,
            zxid,
            Some(self.acl_cache.acl(self.nodes.node(parent).acl)),
            None,
        );
        self.acl_cache.remove_usage(acl);
        Ok(())
    }

    /// Removes a node, its index entries and all nodes below it. A node with children is only found during
    /// replay; the children belong to a later incarnation of the node, and the log creates them again.
    pub(super) fn remove_subtree(&mut self, top: NodeId) {
        if self.nodes.node(top).child_count() > 0 {
            debug!(
                target: LOG,
                "{} is deleted while it has children: the snapshot is newer", self.nodes.node(top).path()
            );
        }
        let mut id = self.nodes.first_leaf(top);
        loop {
            let node = self.nodes.node(id);
            let (parent, acl, owner) = (node.parent, node.acl, node.ephemeral_owner());
            let kind = self.config.ephemeral_types.of_or_normal(owner);
            if id != top {
                self.forget_quota_below(id);
            }
            self.ephemerals.remove(kind, owner, id);
            self.snapshots.node_leaves(&self.nodes, id);
            self.nodes.remove(id);
            self.acl_cache.remove_usage(acl);
            if id == top {
                return;
            }
            id = self.nodes.first_leaf(parent);
        }
    }

    /// Java: setData.
    pub(super) fn set_data(
        &mut self,
        path: &str,
        data: Option<Vec<u8>>,
        version: i32,
        zxid: Zxid,
        time: i64,
    ) -> Result<Stat, KeeperError> {
        let id = self.nodes.get(path).ok_or(KeeperError::NoNode)?;
        let data_len = data.as_ref().map_or(0, Vec::len);
        let old_len = self.nodes.node(id).data_len();
        let types = self.config.ephemeral_types;
        let stat = self.nodes.change_data(id, data, |node| {
            node.set_modified(version, zxid, time);
            node.stat(types)
        });
        self.add_to_quota(path, data_len, old_len, 0);
        self.update_write_stat(path, data_len);
        let acl = self.acl_cache.acl(self.nodes.node(id).acl);
        let watches = &self.parts.data_watches;
        watches.trigger_watch(path, EventType::NodeDataChanged, zxid, Some(acl), None);
        Ok(stat)
    }

    /// Java: setACL.
    pub(super) fn set_acl(
        &mut self,
        path: &str,
        acl: &[ACL],
        version: i32,
    ) -> Result<Stat, KeeperError> {
        let id = self.nodes.get(path).ok_or(KeeperError::NoNode)?;
        let key = self.acl_cache.convert_acls(acl);
        self.acl_cache.remove_usage(self.nodes.node(id).acl);
        self.nodes.set_acl(id, key);
        let types = self.config.ephemeral_types;
        Ok(self.nodes.change(id, |node| {
            node.set_aversion(version);
            node.stat(types)
        }))
    }

    /// Raises a node's child version and its pzxid. Does nothing if the child version is already as high
    /// (Java: setCversionPzxid).
    ///
    /// # Errors
    /// [`KeeperError::NoNode`].
    pub fn set_cversion_pzxid(
        &mut self,
        path: &str,
        new_cversion: i32,
        zxid: Zxid,
    ) -> Result<(), KeeperError> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let id = self.nodes.get(path).ok_or(KeeperError::NoNode)?;
        self.raise_child_version(id, new_cversion, zxid);
        Ok(())
    }

    /// Raises the parent's child version and pzxid. During replay a creation may be older than the parent's
    /// state, which is then not lowered.
    fn raise_child_version(&mut self, parent: NodeId, cversion: i32, zxid: Zxid) {
        let old = self.nodes.node(parent).cversion();
        let cversion = if cversion == -1 { old.wrapping_add(1) } else { cversion };
        if cversion > old {
            self.nodes.change(parent, |parent| parent.set_children_changed(cversion, zxid));
        }
    }
}
