//! Changes that Prep has made and that are not applied yet (Java: outstandingChanges, ChangeRecord and
//! PrecalculatedDigest of server/ZooKeeperServer.java).
//!
//! Prep must check a request against the state that all earlier requests will have produced. Pure: the server has
//! the lock. Differs from Java: the root has one record (Java keeps "" and "/" apart), and instead of a node's data
//! a record has only what the digest needs of it.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::{HashMap, HashSet};

use crate::data::{ACL, StatPersisted};
use crate::ids::{SessionId, Zxid};
use crate::server::data_tree::DataTree;
use crate::server::digest_calculator;

/// The state of a node after a change.
#[derive(Clone, Debug)]
pub struct ChangeRecord {
    /// The zxid of the change; [`Zxid::NONE`] if no change of the node is outstanding.
    pub zxid: Zxid,
    /// The node's path.
    pub path: Arc<str>,
    /// Its state; none if the change deletes the node.
    pub stat: Option<StatPersisted>,
    /// How many children it will have.
    pub child_count: i32,
    /// Its ACL.
    pub acl: Arc<[ACL]>,
    /// The length of its data in bytes; none for null.
    pub data_len: Option<usize>,
    /// The part of its digest that depends on path and data.
    pub content_digest: u32,
    /// Its digest.
    pub node_digest: u32,
    /// The tree's digest after the change.
    pub tree_digest: i64,
}

impl ChangeRecord {
    /// A copy for another change of the node (Java: duplicate).
    #[must_use]
    pub fn duplicate(&self, zxid: Zxid) -> Self {
        Self { zxid, ..self.clone() }
    }

    /// The node's state.
    ///
    /// # Panics
    /// Never: records that are found have one.
    pub fn stat_mut(&mut self) -> &mut StatPersisted {
        self.stat.get_or_insert_default()
    }
}

/// All changes that are not applied yet, in order.
#[derive(Debug, Default)]
pub struct OutstandingChanges {
    changes: VecDeque<Arc<ChangeRecord>>,
    for_path: HashMap<Arc<str>, Arc<ChangeRecord>, RandomState>,
    /// The buffer in which Prep serializes a transaction, kept here so that its memory is reused.
    pub txn_bytes: Vec<u8>,
}

impl OutstandingChanges {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The state of the node after all outstanding changes (Java: getRecordForPath); none if it will not exist.
    #[must_use]
    pub fn record_for_path(
        &self,
        tree: &DataTree,
        path: &str,
        digest_enabled: bool,
    ) -> Option<Arc<ChangeRecord>> {
        let path = if path.is_empty() { "/" } else { path };
        if let Some(record) = self.for_path.get(path) {
            return record.stat.is_some().then(|| Arc::clone(record));
        }
        let node = tree.node(path)?;
        let stat = node.stat_persisted();
        let mut record = ChangeRecord {
            zxid: Zxid::NONE,
            path: path.into(),
            child_count: i32::try_from(node.child_count()).unwrap_or(i32::MAX),
            acl: Arc::clone(node.acl()),
            data_len: node.data().map(<[u8]>::len),
            content_digest: 0,
            node_digest: 0,
            tree_digest: 0,
            stat: None,
        };
        if digest_enabled {
            record.content_digest = digest_calculator::content_digest(path, node.data());
            record.node_digest = digest_calculator::with_state(path, record.content_digest, &stat);
        }
        record.stat = Some(stat);
        Some(Arc::new(record))
    }

    /// Adds a change (Java: addChangeRecord).
    pub fn add(&mut self, record: ChangeRecord) {
        let record = Arc::new(record);
        self.for_path.insert(Arc::clone(&record.path), Arc::clone(&record));
        self.changes.push_back(record);
    }

    /// The tree's digest after all outstanding changes (Java: getCurrentTreeDigest).
    #[must_use]
    pub fn current_tree_digest(&self, tree: &DataTree) -> i64 {
        self.changes.back().map_or_else(|| tree.tree_digest(), |last| last.tree_digest)
    }

    /// Removes all changes up to `zxid`, which are applied. Returns how many records were removed.
    pub fn applied(&mut self, zxid: Zxid) -> usize {
        let mut removed = 0;
        while self.changes.front().is_some_and(|record| record.zxid <= zxid)
            && let Some(record) = self.changes.pop_front()
        {
            if self.for_path.get(&record.path).is_some_and(|last| Arc::ptr_eq(last, &record)) {
                self.for_path.remove(&record.path);
            }
            removed += 1;
        }
        removed
    }

    /// The last changes of these paths, which [`rollback_pending_changes`](Self::rollback_pending_changes) restores
    /// (Java: getPendingChanges).
    #[must_use]
    pub fn pending_changes<'a>(
        &self,
        paths: impl Iterator<Item = &'a str>,
    ) -> Vec<Arc<ChangeRecord>> {
        paths.filter_map(|path| self.for_path.get(path).cloned()).collect()
    }

    /// Removes all changes of a failed multi, and restores earlier ones (Java: rollbackPendingChanges).
    pub fn rollback_pending_changes(&mut self, zxid: Zxid, pending: Vec<Arc<ChangeRecord>>) {
        self.remove_last(zxid);
        let Some(first) = self.changes.front().map(|record| record.zxid) else { return };
        for record in pending {
            if record.zxid >= first {
                self.for_path.insert(Arc::clone(&record.path), record);
            }
        }
    }

    /// Removes all changes of the last transaction, and restores earlier ones. It reads all outstanding changes, so it
    /// is only for rare cases.
    pub fn take_back(&mut self, zxid: Zxid) {
        let paths = self.remove_last(zxid);
        for record in self.changes.iter().filter(|record| paths.contains(&record.path)) {
            self.for_path.insert(Arc::clone(&record.path), Arc::clone(record));
        }
    }

    /// Removes all changes of the last transaction; returns their paths.
    fn remove_last(&mut self, zxid: Zxid) -> HashSet<Arc<str>, RandomState> {
        let mut paths = HashSet::default();
        while self.changes.back().is_some_and(|record| record.zxid == zxid)
            && let Some(record) = self.changes.pop_back()
        {
            self.for_path.remove(&record.path);
            paths.insert(Arc::clone(&record.path));
        }
        paths
    }

    /// Corrects a list of a session's ephemerals, taken from the tree, by the outstanding changes (Java: within
    /// pRequest2Txn, closeSession).
    pub fn correct_ephemerals(&self, session_id: SessionId, ephemerals: &mut Vec<String>) {
        if self.changes.is_empty() {
            return;
        }
        let mut paths: std::collections::BTreeSet<String> = ephemerals.drain(..).collect();
        for record in &self.changes {
            match &record.stat {
                None => {
                    paths.remove(&*record.path);
                }
                Some(stat) if stat.ephemeral_owner == session_id.0 => {
                    paths.insert(record.path.to_string());
                }
                Some(_) => {}
            }
        }
        ephemerals.extend(paths);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(zxid: i64, path: &str, exists: bool) -> ChangeRecord {
        ChangeRecord {
            zxid: Zxid(zxid),
            path: path.into(),
            stat: exists.then(StatPersisted::default),
            child_count: 0,
            acl: Arc::new([]),
            data_len: None,
            content_digest: 0,
            node_digest: 0,
            tree_digest: zxid,
        }
    }

    fn zxid_of(changes: &OutstandingChanges, path: &str) -> Option<i64> {
        changes.for_path.get(path).map(|record| record.zxid.0)
    }

    #[test]
    fn a_path_is_forgotten_when_its_last_change_is_applied() {
        let mut changes = OutstandingChanges::default();
        for (zxid, path) in [(1, "/a"), (1, "/b"), (2, "/a")] {
            changes.add(record(zxid, path, true));
        }
        assert_eq!(changes.applied(Zxid(1)), 2);
        assert_eq!((zxid_of(&changes, "/a"), zxid_of(&changes, "/b")), (Some(2), None));
        assert_eq!(changes.applied(Zxid(2)), 1);
        assert!(changes.is_empty() && changes.for_path.is_empty());
    }

    #[test]
    fn a_failed_multi_leaves_the_changes_before_it() {
        let mut changes = OutstandingChanges::default();
        changes.add(record(1, "/applied", true));
        changes.add(record(2, "/a", true));
        let pending = changes.pending_changes(["/a", "/b", "/applied"].into_iter());
        changes.add(record(3, "/a", false));
        changes.add(record(3, "/b", true));
        changes.applied(Zxid(1));
        changes.rollback_pending_changes(Zxid(3), pending);
        assert_eq!(zxid_of(&changes, "/a"), Some(2));
        assert_eq!(zxid_of(&changes, "/b"), None);
        assert_eq!(zxid_of(&changes, "/applied"), None, "it was applied meanwhile");
        assert_eq!(changes.len(), 1);
    }

    #[test]
    fn what_is_taken_back_leaves_what_was_before_it() {
        let mut changes = OutstandingChanges::default();
        for (zxid, path) in [(1, "/a"), (1, "/b"), (2, "/a"), (3, "/a"), (3, "/c"), (3, "/a")] {
            changes.add(record(zxid, path, true));
        }
        changes.take_back(Zxid(3));
        assert_eq!(changes.len(), 3);
        let found = ["/a", "/b", "/c"].map(|path| zxid_of(&changes, path));
        assert_eq!(found, [Some(2), Some(1), None]);
        changes.take_back(Zxid(7));
        assert_eq!(changes.len(), 3);
    }

    #[test]
    fn a_sessions_ephemerals_include_those_that_are_not_applied_yet() {
        let mut changes = OutstandingChanges::default();
        let mut created = record(1, "/new", true);
        created.stat_mut().ephemeral_owner = 7;
        changes.add(created);
        changes.add(record(2, "/gone", false));
        let mut ephemerals = vec!["/gone".to_owned(), "/kept".to_owned()];
        changes.correct_ephemerals(SessionId(7), &mut ephemerals);
        assert_eq!(ephemerals, ["/kept", "/new"]);
    }
}
