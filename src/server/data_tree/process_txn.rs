//! Applies transactions, with one function per type (Java: processTxn of server/DataTree.java).
//!
//! Applying a transaction never fails. An error is recorded in the result and otherwise ignored, because a
//! replay over a fuzzy snapshot finds nodes that already exist and misses nodes that are already deleted.

use log::{debug, error, warn};

use crate::audit::audit_event::AuditResult;
use crate::common::path_utils::split_last;
use crate::data::Stat;
use crate::ids::{SessionId, Zxid};
use crate::keeper_exception::KeeperError;
use crate::server::ephemeral_type::{CONTAINER_EPHEMERAL_OWNER, EphemeralType};
use crate::server::util::serialize_utils::{TxnBody, deserialize_sub_txn};
use crate::txn::{
    CloseSessionTxn, CreateContainerTxn, CreateTTLTxn, CreateTxn, ErrorTxn, MultiTxn, SetACLTxn,
    SetDataTxn, Txn, TxnDigest, TxnHeader,
};
use crate::zoo_defs::OpCode;

use super::changes::NewNode;
use super::{DataTree, LOG};

/// The result of a transaction or of one operation of a `multi`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessTxnResult {
    /// The session that sent the request.
    pub client_id: SessionId,
    /// The client's number of the request.
    pub cxid: i32,
    /// The zxid of the transaction.
    pub zxid: Zxid,
    /// The code of a [`KeeperError`], 0 for success.
    pub err: i32,
    /// The operation's code.
    pub r#type: i32,
    /// The node of the operation.
    pub path: Option<String>,
    /// The node's state after the operation, if the reply contains it.
    pub stat: Option<Stat>,
    /// The results of the operations of a `multi`.
    pub multi_result: Option<Vec<ProcessTxnResult>>,
}

impl ProcessTxnResult {
    fn of(header: &TxnHeader) -> Self {
        Self {
            client_id: header.client_id,
            cxid: header.cxid,
            zxid: header.zxid,
            r#type: header.r#type,
            ..Self::default()
        }
    }

    fn set(&mut self, result: Result<Option<Stat>, KeeperError>) {
        match result {
            Ok(stat) => self.stat = stat,
            Err(error) => self.err = error.code(),
        }
    }
}

impl DataTree {
    /// Applies a transaction and compares the tree with the digest that came with it.
    pub fn process_txn_with_digest(
        &mut self,
        header: &TxnHeader,
        txn: Option<TxnBody>,
        digest: Option<&TxnDigest>,
    ) -> ProcessTxnResult {
        let result = self.process_txn(header, txn);
        self.compare_digest(header, digest);
        result
    }

    /// Applies a transaction. The last processed zxid changes only after the whole transaction is applied: a
    /// snapshot must never be named after a transaction that it contains only in part.
    pub fn process_txn(&mut self, header: &TxnHeader, txn: Option<TxnBody>) -> ProcessTxnResult {
        let result = self.apply(header, txn);
        self.last_processed_zxid = self.last_processed_zxid.max(header.zxid);
        self.digest_after(header.zxid);
        result
    }

    /// Applies a transaction or one operation of a `multi`.
    fn apply(&mut self, header: &TxnHeader, txn: Option<TxnBody>) -> ProcessTxnResult {
        let mut result = ProcessTxnResult::of(header);
        match txn {
            Some(TxnBody::Create(txn)) => self.apply_create(header, txn, &mut result),
            Some(TxnBody::CreateTtl(txn)) => self.apply_create_ttl(header, txn, &mut result),
            Some(TxnBody::CreateContainer(txn)) => {
                self.apply_create_container(header, txn, &mut result);
            }
            Some(TxnBody::Delete(txn)) => {
                result.set(self.delete_node(&txn.path, header.zxid).map(|()| None));
                result.path = Some(txn.path);
            }
            Some(TxnBody::SetData(txn)) => self.apply_set_data(header, txn, &mut result),
            Some(TxnBody::SetAcl(SetACLTxn { path, acl, version })) => {
                result.set(self.set_acl(&path, &acl, version).map(Some));
                result.path = Some(path);
            }
            Some(TxnBody::CheckVersion(txn)) => result.path = Some(txn.path),
            Some(TxnBody::Error(txn)) => result.err = txn.err,
            Some(TxnBody::Multi(txn)) => self.apply_multi(header, txn, &mut result),
            Some(TxnBody::CloseSession(CloseSessionTxn { paths2_delete })) => {
                self.kill_session(header.client_id, header.zxid, Some(&paths2_delete));
            }
            // A new session has no nodes in the tree.
            Some(TxnBody::CreateSession(_)) => {}
            None => {
                if header.r#type == OpCode::CloseSession.code() {
                    self.kill_session(header.client_id, header.zxid, None);
                }
            }
        }
        if result.err != 0 {
            debug!(
                target: LOG,
                "Ignoring processTxn failure hdr: {} : error: {}", header.r#type, result.err
            );
        }
        result
    }

    fn apply_create(&mut self, header: &TxnHeader, txn: CreateTxn, result: &mut ProcessTxnResult) {
        let CreateTxn { path, data, acl, ephemeral, parent_c_version } = txn;
        let ephemeral_owner = if ephemeral { header.client_id.0 } else { 0 };
        let (zxid, time) = (header.zxid, header.time);
        let new = NewNode { path: &path, data, acl, ephemeral_owner, parent_c_version, zxid, time };
        self.create(new, result);
        if header.r#type == OpCode::Create.code() {
            result.stat = None;
        }
        result.path = Some(path);
    }

    fn apply_create_ttl(
        &mut self,
        header: &TxnHeader,
        txn: CreateTTLTxn,
        result: &mut ProcessTxnResult,
    ) {
        let CreateTTLTxn { path, data, acl, parent_c_version, ttl } = txn;
        let (zxid, time) = (header.zxid, header.time);
        match EphemeralType::ttl_to_ephemeral_owner(ttl) {
            Ok(ephemeral_owner) => self.create(
                NewNode { path: &path, data, acl, ephemeral_owner, parent_c_version, zxid, time },
                result,
            ),
            Err(error) => {
                // No server creates such a transaction.
                error!(target: LOG, "{path} cannot be created with a ttl of {ttl} ms (zxid {zxid})");
                result.set(Err(error));
            }
        }
        result.path = Some(path);
    }

    fn apply_create_container(
        &mut self,
        header: &TxnHeader,
        txn: CreateContainerTxn,
        result: &mut ProcessTxnResult,
    ) {
        let CreateContainerTxn { path, data, acl, parent_c_version } = txn;
        let (ephemeral_owner, zxid, time) = (CONTAINER_EPHEMERAL_OWNER, header.zxid, header.time);
        self.create(
            NewNode { path: &path, data, acl, ephemeral_owner, parent_c_version, zxid, time },
            result,
        );
        result.path = Some(path);
    }

    /// Creates a node. If the node exists, this is a replay over a snapshot that wrote the node after the
    /// creation. The parent may have been written before it, so its child version is raised here.
    fn create(&mut self, new: NewNode<'_>, result: &mut ProcessTxnResult) {
        let (path, parent_c_version, zxid) = (new.path, new.parent_c_version, new.zxid);
        let created = self.create_node(new);
        if created == Err(KeeperError::NodeExists) {
            debug!(target: LOG, "Adjusting parent cversion for Txn: {} path: {path}", result.r#type);
            let parent_path = split_last(path).map_or("", |(parent_path, _)| parent_path);
            if let Err(error) = self.set_cversion_pzxid(parent_path, parent_c_version, zxid) {
                error!(target: LOG, "Failed to set parent cversion for: {parent_path}: {error}");
                return result.set(Err(error));
            }
        }
        let types = self.config.ephemeral_types;
        result.set(created.map(|id| Some(self.nodes.node(id).stat(types))));
    }

    fn apply_set_data(
        &mut self,
        header: &TxnHeader,
        txn: SetDataTxn,
        result: &mut ProcessTxnResult,
    ) {
        let SetDataTxn { path, data, version } = txn;
        result.set(self.set_data(&path, data, version, header.zxid, header.time).map(Some));
        result.path = Some(path);
    }

    /// Applies all operations, or none if one of them is an error.
    fn apply_multi(&mut self, header: &TxnHeader, txn: MultiTxn, result: &mut ProcessTxnResult) {
        let error = OpCode::Error.code();
        let failed = txn.txns.iter().any(|part| part.r#type == error);
        let mut after_error = false;
        let mut results = Vec::with_capacity(txn.txns.len());
        for part in txn.txns {
            after_error |= part.r#type == error;
            let body = if failed && part.r#type != error {
                let err = if after_error { KeeperError::RuntimeInconsistency.code() } else { 0 };
                TxnBody::Error(ErrorTxn { err })
            } else {
                match deserialize_sub_txn(&part, self.config.limits) {
                    Ok(body) => body,
                    Err(problem) => {
                        // As in Java, the operations applied so far stay, so that all servers have the same
                        // state.
                        warn!(
                            target: LOG,
                            "part {} of the multi {} cannot be read, it and the rest are ignored: \
                             {problem}",
                            results.len(),
                            header.zxid
                        );
                        break;
                    }
                }
            };
            let Txn { r#type, .. } = part;
            let sub_header =
                TxnHeader { r#type: if failed { error } else { r#type }, ..header.clone() };
            let sub_result = self.apply(&sub_header, Some(body));
            if result.err == 0 {
                result.err = sub_result.err;
            }
            results.push(sub_result);
        }
        result.multi_result = Some(results);
    }

    /// Deletes the ephemeral nodes of a session: first those in the transaction, then any others that this
    /// server knows (Java: killSession).
    pub(in crate::server) fn kill_session(
        &mut self,
        session_id: SessionId,
        zxid: Zxid,
        paths_in_txn: Option<&[String]>,
    ) {
        let local = self.ephemerals.take(session_id);
        let mut local: Vec<String> = local.map_or_else(Vec::new, |nodes| {
            nodes.map(|id| self.nodes.node(id).path().to_owned()).collect()
        });
        local.sort_unstable();
        if let Some(paths) = paths_in_txn {
            self.delete_nodes(session_id, zxid, paths);
            if !local.is_empty() {
                let mut listed: Vec<&str> = paths.iter().map(String::as_str).collect();
                listed.sort_unstable();
                local.retain(|path| listed.binary_search(&path.as_str()).is_err());
            }
            if !local.is_empty() {
                warn!(
                    target: LOG,
                    "Unexpected extra paths under session {local:?} which are not in txn {zxid}"
                );
            }
        }
        self.delete_nodes(session_id, zxid, &local);
    }

    fn delete_nodes(&mut self, session_id: SessionId, zxid: Zxid, paths: &[String]) {
        for path in paths {
            let deleted = self.delete_node(path, zxid).is_ok();
            if deleted {
                debug!(target: LOG, "Deleting ephemeral node {path} for session {session_id}");
            } else {
                warn!(
                    target: LOG,
                    "Ignoring NoNodeException for path {path} while removing ephemeral for dead \
                     session {session_id}"
                );
            }
            if self.parts.audit.is_audit_enabled() {
                let result = if deleted { AuditResult::Success } else { AuditResult::Failure };
                self.parts.audit.log_ephemeral_deletion(path, session_id, result);
            }
        }
    }
}
