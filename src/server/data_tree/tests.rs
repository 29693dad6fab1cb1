//! Shared parts of the data tree's tests: a tree that gets transactions as a server's tree does.

mod digests;
mod model;
mod quotas;
mod snapshots;
mod txns;
mod watching;

use std::sync::Arc;

use crate::data::{ACL, Id};
use crate::ids::{SessionId, Zxid};
use crate::jute::{BinaryInputArchive, InputError, Limits, Record};
use crate::server::ephemeral_type::EphemeralType;
use crate::server::server_watcher::{ServerWatcher, WatcherRef};
use crate::server::util::serialize_utils::TxnBody;
use crate::server::watch::watch_manager::WatchManager;
use crate::txn::{
    CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateTTLTxn, CreateTxn, DeleteTxn,
    ErrorTxn, MultiTxn, SetACLTxn, SetDataTxn, Txn, TxnHeader,
};
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::watched_event::WatchedEvent;
use crate::watcher::EventType;
use crate::zoo_defs::{OpCode, ids, perms};

use super::*;

/// An empty tree without metrics and audit log.
fn new_tree(config: DataTreeConfig) -> DataTree {
    let watches = || Arc::new(WatchManager::new(ServerMetrics::null()));
    DataTree::new(config, DataTreeParts::new(watches(), watches()))
}

fn extended() -> DataTreeConfig {
    let ephemeral_types =
        EphemeralTypes { extended_types_enabled: true, emulate_353_ttl_nodes: false };
    DataTreeConfig { ephemeral_types, ..DataTreeConfig::default() }
}

const SESSION: SessionId = SessionId(0x1000_0000_0000_0007);

fn acl_of(id: &str) -> Vec<ACL> {
    vec![ACL { perms: perms::ALL, id: Id { scheme: "digest".into(), id: id.into() } }]
}

/// A tree with a log. All applied transactions can be replayed.
struct Server {
    tree: DataTree,
    log: Vec<(TxnHeader, Option<TxnBody>)>,
}

impl Server {
    fn new() -> Self {
        Self::with(extended())
    }

    fn with(config: DataTreeConfig) -> Self {
        Self { tree: new_tree(config), log: Vec::new() }
    }

    fn header(&self, op: OpCode, session_id: SessionId) -> TxnHeader {
        let zxid = self.tree.last_processed_zxid().next();
        let time = 1_000_000 + zxid.0;
        TxnHeader { client_id: session_id, cxid: 3, zxid, time, r#type: op.code() }
    }

    fn apply(
        &mut self,
        op: OpCode,
        session_id: SessionId,
        txn: Option<TxnBody>,
    ) -> ProcessTxnResult {
        let header = self.header(op, session_id);
        self.log.push((header.clone(), txn.clone()));
        self.tree.process_txn(&header, txn)
    }

    /// The parent's child version after a creation.
    fn parent_c_version(&self, path: &str) -> i32 {
        let (parent_path, _) = path.rsplit_once('/').unwrap();
        self.tree.node(parent_path).map_or(0, |node| node.stat_persisted().cversion) + 1
    }

    fn create_txn(&self, path: &str, data: &[u8], ephemeral: bool) -> CreateTxn {
        CreateTxn {
            path: path.into(),
            data: Some(data.to_vec()),
            acl: ids::open_acl_unsafe(),
            ephemeral,
            parent_c_version: self.parent_c_version(path),
        }
    }

    fn create(&mut self, path: &str, data: &[u8]) -> ProcessTxnResult {
        let txn = self.create_txn(path, data, false);
        self.apply(OpCode::Create, SESSION, Some(TxnBody::Create(txn)))
    }

    fn create_ephemeral(&mut self, path: &str, session_id: SessionId) -> ProcessTxnResult {
        let txn = self.create_txn(path, b"e", true);
        self.apply(OpCode::Create2, session_id, Some(TxnBody::Create(txn)))
    }

    fn create_container(&mut self, path: &str) -> ProcessTxnResult {
        let CreateTxn { path, data, acl, parent_c_version, .. } = self.create_txn(path, b"", false);
        let txn = CreateContainerTxn { path, data, acl, parent_c_version };
        self.apply(OpCode::CreateContainer, SESSION, Some(TxnBody::CreateContainer(txn)))
    }

    fn create_ttl(&mut self, path: &str, ttl: i64) -> ProcessTxnResult {
        let CreateTxn { path, data, acl, parent_c_version, .. } = self.create_txn(path, b"", false);
        let txn = CreateTTLTxn { path, data, acl, parent_c_version, ttl };
        self.apply(OpCode::CreateTtl, SESSION, Some(TxnBody::CreateTtl(txn)))
    }

    fn delete(&mut self, path: &str) -> ProcessTxnResult {
        let txn = TxnBody::Delete(DeleteTxn { path: path.into() });
        self.apply(OpCode::Delete, SESSION, Some(txn))
    }

    fn set_data(&mut self, path: &str, data: Option<&[u8]>) -> ProcessTxnResult {
        let version = self.tree.node(path).map_or(0, |node| node.stat_persisted().version) + 1;
        let data = data.map(<[u8]>::to_vec);
        let txn = TxnBody::SetData(SetDataTxn { path: path.into(), data, version });
        self.apply(OpCode::SetData, SESSION, Some(txn))
    }

    fn set_acl(&mut self, path: &str, acl: Vec<ACL>) -> ProcessTxnResult {
        let version = self.tree.node(path).map_or(0, |node| node.stat_persisted().aversion) + 1;
        let txn = TxnBody::SetAcl(SetACLTxn { path: path.into(), acl, version });
        self.apply(OpCode::SetAcl, SESSION, Some(txn))
    }

    fn close_session(&mut self, session_id: SessionId) -> ProcessTxnResult {
        let paths2_delete = self.tree.ephemerals(session_id);
        let txn = TxnBody::CloseSession(CloseSessionTxn { paths2_delete });
        self.apply(OpCode::CloseSession, session_id, Some(txn))
    }

    fn multi(&mut self, parts: Vec<(OpCode, TxnBody)>) -> ProcessTxnResult {
        let part =
            |(op, body): (OpCode, TxnBody)| Txn { r#type: op.code(), data: Some(body.to_bytes()) };
        let txns = parts.into_iter().map(part).collect();
        self.apply(OpCode::Multi, SESSION, Some(TxnBody::Multi(MultiTxn { txns })))
    }

    /// Replays the log after a zxid, as a starting server does.
    fn replay_onto(&self, tree: &mut DataTree, after: Zxid) {
        for (header, txn) in self.log.iter().filter(|(header, _)| header.zxid > after) {
            tree.process_txn(header, txn.clone());
        }
    }

    fn stat(&self, path: &str) -> Stat {
        self.tree.stat_node(path, None).unwrap()
    }
}

/// Checks the invariants that hold between transactions.
fn check_tree(tree: &DataTree) {
    let mut digest = crate::server::util::ad_hash::AdHash::new();
    let mut count = 0;
    let mut data_size = 1;
    let mut usage = std::collections::HashMap::new();
    for node in tree.all_nodes() {
        let path = node.path();
        assert_eq!(tree.node(path).map(|found| found.path()), Some(path));
        let stat = node.stat_persisted();
        let expected = crate::server::digest_calculator::calculate_digest(path, node.data(), &stat);
        if tree.config().digest_enabled {
            assert_eq!(node.digest(), expected, "digest of {path}");
        }
        digest.add_digest(node.digest().into());
        count += 1;
        let data_len = node.data().map_or(0, <[u8]>::len);
        data_size += if path == "/" { 2 * data_len } else { path.len() + data_len };
        let mut children: Vec<&str> = node.children().collect();
        assert_eq!(children.len(), node.child_count(), "children of {path}");
        children.sort_unstable();
        children.dedup();
        assert_eq!(children.len(), node.child_count(), "children of {path}");
        *usage.entry(node.acl_key()).or_insert(0_u64) += 1;
        let is_listed = |paths: Vec<String>| paths.iter().any(|listed| listed == path);
        match node.ephemeral_type() {
            EphemeralType::Void => {}
            EphemeralType::Normal => {
                assert!(is_listed(tree.ephemerals(SessionId(stat.ephemeral_owner))), "{path}");
            }
            EphemeralType::Container => assert!(is_listed(tree.containers()), "{path}"),
            EphemeralType::Ttl => assert!(is_listed(tree.ttls()), "{path}"),
        }
    }
    assert_eq!(tree.tree_digest(), digest.hash());
    assert_eq!(tree.node_count(), count + 1);
    assert_eq!(tree.approximate_data_size(), data_size as u64);
    usage.remove(&AclKey::OPEN_UNSAFE);
    assert_eq!(tree.acl_cache_size(), usage.len(), "every ACL has a node");
    for (key, nodes) in usage {
        assert_eq!(tree.acl_cache.usage(key), nodes, "nodes with an ACL");
    }
    let kinds = tree.ephemerals_count() + tree.containers().len() + tree.ttls().len();
    let marked = tree.all_nodes().filter(|node| node.ephemeral_owner() != 0).count();
    assert_eq!(kinds, marked, "no number of a node that is gone");
}

/// A tree read from a snapshot.
fn load(bytes: &[u8], config: DataTreeConfig) -> Result<DataTree, InputError> {
    let mut tree = new_tree(config);
    tree.deserialize(&mut BinaryInputArchive::new(bytes, Limits::default()))?;
    Ok(tree)
}

/// An event and its ACL.
type Told = (EventType, String, Zxid, Option<Vec<ACL>>);

/// A watcher that records events.
struct Listener {
    told: RankedMutex<Vec<Told>>,
}

impl Listener {
    fn new() -> Arc<Self> {
        Arc::new(Self { told: RankedMutex::new(Rank::Leaf, "told", Vec::new()) })
    }

    fn watcher(self: &Arc<Self>) -> WatcherRef {
        WatcherRef(Arc::clone(self) as Arc<dyn ServerWatcher>)
    }

    /// The events and paths since the last call.
    fn told(&self) -> Vec<(EventType, String)> {
        let told = std::mem::take(&mut *self.told.lock());
        told.into_iter().map(|(event_type, path, _, _)| (event_type, path)).collect()
    }
}

impl ServerWatcher for Listener {
    fn process(&self, event: &WatchedEvent<'_>, znode_acl: Option<&[ACL]>) {
        let acl = znode_acl.map(<[ACL]>::to_vec);
        self.told.lock().push((event.event_type, event.path.to_owned(), event.zxid, acl));
    }

    fn session_id(&self) -> SessionId {
        SESSION
    }

    fn is_stale(&self) -> bool {
        false
    }
}
