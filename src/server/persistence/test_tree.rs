//! A minimal data tree for tests of the storage (no Java twin).
//!
//! It applies transactions and computes digests by the rules of Java's DataTree, but slowly. Nodes and ACLs
//! stay in the order in which they were read, so that a snapshot that is read and written again has the same
//! bytes.

use std::convert::Infallible;
use std::io::Read;

use super::snap_shot::{RestoreTarget, SnapshotDigest, SnapshotSource};
use crate::data::{ACL, StatPersisted};
use crate::ids::{SessionId, Zxid};
use crate::jute::{
    BinaryInputArchive, BinaryOutputArchive, InputError, JuteField, Limits, OutputArchive, Record,
};
use crate::keeper_exception::KeeperError;
use crate::server::util::serialize_utils::{TxnBody, deserialize_sub_txn};
use crate::txn::{TxnDigest, TxnHeader};
use crate::zoo_defs::OpCode;
use crate::zoo_defs::ids::{open_acl_unsafe, read_acl_unsafe};

/// The owner marker of a container (Java: EphemeralType.CONTAINER_EPHEMERAL_OWNER).
const CONTAINER_OWNER: i64 = i64::MIN;

/// The bits that mark the owner of a TTL node.
const TTL_MASK: i64 = 0xff << 56;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TestNode {
    pub(crate) path: String,
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) acl: i64,
    pub(crate) stat: StatPersisted,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TestTree {
    /// The nodes. The root's path is empty, as in a snapshot.
    pub(crate) nodes: Vec<TestNode>,
    pub(crate) acls: Vec<(i64, Vec<ACL>)>,
    pub(crate) last_processed: Zxid,
    pub(crate) snapshot_digest: Option<SnapshotDigest>,
    pub(crate) last_digest: Option<SnapshotDigest>,
    pub(crate) compared: usize,
    pub(crate) mismatches: Vec<Zxid>,
}

impl TestTree {
    /// The tree of a new Java server.
    pub(crate) fn new() -> Self {
        let mut tree = Self::default();
        tree.acls.push((1, read_acl_unsafe()));
        for (path, acl) in
            [("", -1), ("/zookeeper", -1), ("/zookeeper/config", 1), ("/zookeeper/quota", -1)]
        {
            let (path, data) = (path.to_owned(), Some(Vec::new()));
            let aversion = if acl == 1 { -1 } else { 0 }; // as if set by reconfig
            let stat = StatPersisted { aversion, ..StatPersisted::default() };
            tree.nodes.push(TestNode { path, data, acl, stat });
        }
        tree
    }

    pub(crate) fn node(&self, path: &str) -> Option<&TestNode> {
        self.nodes.iter().find(|node| node.path == path)
    }

    fn node_mut(&mut self, path: &str) -> Result<&mut TestNode, KeeperError> {
        self.nodes.iter_mut().find(|node| node.path == path).ok_or(KeeperError::NoNode)
    }

    pub(crate) fn children(&self, path: &str) -> Vec<&str> {
        let mut children: Vec<_> = self
            .nodes
            .iter()
            .filter_map(|node| node.path.strip_prefix(path)?.strip_prefix('/'))
            .filter(|name| !name.contains('/'))
            .collect();
        children.sort_unstable();
        children
    }

    pub(crate) fn acl(&self, path: &str) -> Vec<ACL> {
        let id = self.node(path).unwrap().acl;
        let acl = self.acls.iter().find(|(other, _)| *other == id);
        acl.map_or_else(open_acl_unsafe, |(_, acl)| acl.clone())
    }

    /// Java: DigestCalculator and AdHash.
    pub(crate) fn digest(&self) -> i64 {
        let counted = self.nodes.iter().filter(|node| !node.path.starts_with("/zookeeper/"));
        counted.fold(0, |sum, node| {
            let mut crc = crc32fast::Hasher::new();
            crc.update(node.path.as_bytes());
            crc.update(node.data.as_deref().unwrap_or_default());
            let stat = &node.stat;
            for long in [stat.czxid.0, stat.mzxid.0, stat.pzxid.0, stat.ctime, stat.mtime] {
                crc.update(&long.to_be_bytes());
            }
            for int in [stat.version, stat.cversion, stat.aversion] {
                crc.update(&int.to_be_bytes());
            }
            crc.update(&stat.ephemeral_owner.to_be_bytes());
            sum + i64::from(crc.finalize())
        })
    }

    fn acl_id(&mut self, acl: Vec<ACL>) -> i64 {
        if acl == open_acl_unsafe() {
            return -1;
        }
        if let Some((id, _)) = self.acls.iter().find(|(_, other)| *other == acl) {
            return *id;
        }
        let id = self.acls.iter().map(|(id, _)| *id).max().unwrap_or(0) + 1;
        self.acls.push((id, acl));
        id
    }

    fn apply(&mut self, header: &TxnHeader, txn: Option<TxnBody>) -> Result<(), KeeperError> {
        match txn {
            Some(TxnBody::Create(txn)) => {
                let owner = if txn.ephemeral { header.client_id.0 } else { 0 };
                self.create(header, txn.path, txn.data, txn.acl, txn.parent_c_version, owner)
            }
            Some(TxnBody::CreateContainer(txn)) => {
                let owner = CONTAINER_OWNER;
                self.create(header, txn.path, txn.data, txn.acl, txn.parent_c_version, owner)
            }
            Some(TxnBody::CreateTtl(txn)) => {
                let owner = TTL_MASK | txn.ttl;
                self.create(header, txn.path, txn.data, txn.acl, txn.parent_c_version, owner)
            }
            Some(TxnBody::Delete(txn)) => self.delete(header, &txn.path),
            Some(TxnBody::SetData(txn)) => {
                let node = self.node_mut(&txn.path)?;
                node.data = txn.data;
                node.stat.version = txn.version;
                node.stat.mzxid = header.zxid;
                node.stat.mtime = header.time;
                Ok(())
            }
            Some(TxnBody::SetAcl(txn)) => {
                let id = self.acl_id(txn.acl);
                let node = self.node_mut(&txn.path)?;
                node.acl = id;
                node.stat.aversion = txn.version;
                Ok(())
            }
            Some(TxnBody::Multi(multi)) => {
                if multi.txns.iter().any(|part| part.r#type == OpCode::Error.code()) {
                    return Err(KeeperError::RuntimeInconsistency);
                }
                for part in &multi.txns {
                    let header = TxnHeader { r#type: part.r#type, ..header.clone() };
                    let body = deserialize_sub_txn(part, Limits::default()).unwrap();
                    self.apply(&header, Some(body))?;
                }
                Ok(())
            }
            Some(TxnBody::CloseSession(txn)) => self.close_session(header, txn.paths2_delete),
            None => self.close_session(header, Vec::new()),
            Some(TxnBody::CheckVersion(_) | TxnBody::CreateSession(_) | TxnBody::Error(_)) => {
                Ok(())
            }
        }
    }

    fn create(
        &mut self,
        header: &TxnHeader,
        path: String,
        data: Option<Vec<u8>>,
        acl: Vec<ACL>,
        parent_c_version: i32,
        ephemeral_owner: i64,
    ) -> Result<(), KeeperError> {
        let exists = self.node(&path).is_some();
        let acl = self.acl_id(acl);
        let parent = self.node_mut(path.rsplit_once('/').unwrap().0)?;
        let cversion =
            if parent_c_version == -1 { parent.stat.cversion + 1 } else { parent_c_version };
        if cversion > parent.stat.cversion && (!exists || header.r#type == OpCode::Create.code()) {
            parent.stat.cversion = cversion;
            parent.stat.pzxid = header.zxid;
        }
        if exists {
            return Err(KeeperError::NodeExists);
        }
        let stat = StatPersisted {
            czxid: header.zxid,
            mzxid: header.zxid,
            ctime: header.time,
            mtime: header.time,
            ephemeral_owner,
            pzxid: header.zxid,
            ..StatPersisted::default()
        };
        self.nodes.push(TestNode { path, data, acl, stat });
        Ok(())
    }

    fn delete(&mut self, header: &TxnHeader, path: &str) -> Result<(), KeeperError> {
        let parent = self.node_mut(path.rsplit_once('/').unwrap().0)?;
        parent.stat.pzxid = parent.stat.pzxid.max(header.zxid);
        let at = self.nodes.iter().position(|node| node.path == path);
        self.nodes.remove(at.ok_or(KeeperError::NoNode)?);
        Ok(())
    }

    fn close_session(
        &mut self,
        header: &TxnHeader,
        listed: Vec<String>,
    ) -> Result<(), KeeperError> {
        let own = self.nodes.iter().filter(|node| node.stat.ephemeral_owner == header.client_id.0);
        let own: Vec<_> = own.map(|node| node.path.clone()).collect();
        for path in listed.into_iter().chain(own) {
            // A listed node may be gone already, and most of the session's own nodes were listed.
            let _gone = self.delete(header, &path);
        }
        Ok(())
    }
}

impl RestoreTarget for TestTree {
    fn deserialize<R: Read>(
        &mut self,
        archive: &mut BinaryInputArchive<R>,
    ) -> Result<(), InputError> {
        *self = Self::default();
        for _ in 0..archive.read_int()? {
            let id = archive.read_long()?;
            self.acls.push((id, archive.read_vector("acls")?.unwrap_or_default()));
        }
        loop {
            let path = String::read(archive, "path")?;
            if path == "/" {
                return Ok(());
            }
            let data = archive.read_buffer("data")?;
            let acl = archive.read_long()?;
            let stat = StatPersisted::deserialize(archive)?;
            self.nodes.push(TestNode { path, data, acl, stat });
        }
    }

    fn serialize(&self, out: &mut Vec<u8>) {
        let mut archive = BinaryOutputArchive::new(out);
        archive.write_int(i32::try_from(self.acls.len()).unwrap(), "map");
        for (id, acl) in &self.acls {
            archive.write_long(*id, "long");
            acl.write(&mut archive, "acls");
        }
        for node in &self.nodes {
            archive.write_string(Some(&node.path), "path");
            archive.write_buffer(node.data.as_deref(), "data");
            archive.write_long(node.acl, "acl");
            node.stat.serialize(&mut archive);
        }
        archive.write_string(Some("/"), "path");
    }

    fn set_snapshot_digest(&mut self, digest: Option<SnapshotDigest>, start_zxid: Zxid) {
        self.last_digest = digest.filter(|digest| digest.zxid > Zxid::ZERO);
        self.snapshot_digest = self.last_digest.filter(|digest| digest.zxid >= start_zxid);
    }

    fn snapshot_digest_zxid(&self) -> Option<Zxid> {
        self.snapshot_digest.map(|digest| digest.zxid)
    }

    fn compare_snapshot_digests(&mut self, zxid: Zxid) {
        if let Some(digest) = self.snapshot_digest.take_if(|digest| digest.zxid == zxid) {
            self.compared += 1;
            if digest.digest != self.digest() {
                self.mismatches.push(zxid);
            }
        }
    }

    fn last_processed_zxid(&self) -> Zxid {
        self.last_processed
    }

    fn set_last_processed_zxid(&mut self, zxid: Zxid) {
        self.last_processed = zxid;
    }

    fn process_txn(
        &mut self,
        header: &TxnHeader,
        txn: Option<TxnBody>,
        digest: Option<&TxnDigest>,
    ) -> i32 {
        let result = self.apply(header, txn);
        self.last_processed = self.last_processed.max(header.zxid);
        if self.snapshot_digest.is_some() {
            self.compare_snapshot_digests(header.zxid);
        } else if let Some(digest) = digest {
            self.compared += 1;
            if digest.tree_digest != self.digest() {
                self.mismatches.push(header.zxid);
            }
        }
        result.map_or_else(|error| error.code(), |()| 0)
    }
}

/// A snapshot source that returns a tree and its sessions unchanged.
pub(crate) struct TestSource<'a> {
    pub(crate) tree: &'a TestTree,
    pub(crate) sessions: Vec<(SessionId, i32)>,
}

impl SnapshotSource for TestSource<'_> {
    type Error = Infallible;

    fn begin(&mut self) -> Zxid {
        self.tree.last_processed
    }

    fn sessions(&mut self) -> Vec<(SessionId, i32)> {
        self.sessions.clone()
    }

    fn next_chunk(&mut self, out: &mut Vec<u8>, _about_bytes: usize) -> Result<bool, Infallible> {
        self.tree.serialize(out);
        Ok(false)
    }

    fn digest(&mut self) -> Option<SnapshotDigest> {
        self.tree.last_digest
    }

    fn last_processed_zxid(&mut self) -> Zxid {
        self.tree.last_processed
    }
}
