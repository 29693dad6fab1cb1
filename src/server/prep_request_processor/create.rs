//! `create`, `create2`, `createTTL`, `createContainer` (Java: pRequest2TxnCreate of server/PrepRequestProcessor.java).

use std::sync::Arc;

use super::{Prep, create_mode, txn_position};
use crate::create_mode::CreateMode;
use crate::data::ACL;
use crate::keeper_exception::KeeperError;
use crate::proto::{CreateRequest, CreateTTLRequest};
use crate::server::data_tree::DataTree;
use crate::server::ephemeral_type::{CONTAINER_EPHEMERAL_OWNER, EphemeralType};
use crate::server::request::Request;
use crate::server::util::serialize_utils::TxnBody;
use crate::server::zookeeper_server::outstanding_changes::ChangeRecord;
use crate::txn::{CreateContainerTxn, CreateTTLTxn, CreateTxn};
use crate::zoo_defs::{OpCode, perms};

/// Java's TTL of a node without one.
const NO_TTL: i64 = -1;

/// The fields of all create requests.
pub(super) struct NewNode {
    path: String,
    data: Option<Vec<u8>>,
    acl: Option<Vec<ACL>>,
    flags: i32,
    ttl_ms: i64,
}

/// What Prep has determined for the new node.
struct Created {
    parent: Arc<ChangeRecord>,
    acl: Vec<ACL>,
    /// The session of an ephemeral node, or the mark of the node's kind.
    owner: i64,
    new_cversion: i32,
}

impl From<CreateRequest> for NewNode {
    fn from(record: CreateRequest) -> Self {
        Self {
            path: record.path,
            data: record.data,
            acl: record.acl,
            flags: record.flags,
            ttl_ms: NO_TTL,
        }
    }
}

impl From<CreateTTLRequest> for NewNode {
    fn from(record: CreateTTLRequest) -> Self {
        Self {
            path: record.path,
            data: record.data,
            acl: record.acl,
            flags: record.flags,
            ttl_ms: record.ttl,
        }
    }
}

impl Prep<'_> {
    pub(super) fn p_request_2_txn_create(
        &mut self,
        request: &mut Request,
        op: OpCode,
        mut node: NewNode,
    ) -> Result<(), KeeperError> {
        let mode = create_mode(node.flags)?;
        self.validate_create_request(request, op, mode, node.ttl_ms)?;
        let parent_path = self.validate_path_for_create(&node.path)?;
        let acl = self.server.fixup_acl(&request.auth_info, node.acl.take())?;
        let parent = self.record_for_path(parent_path)?;
        self.server.check_acl(
            &parent.acl,
            perms::CREATE,
            &request.auth_info,
            &node.path,
            Some(&acl),
        )?;
        let parent_stat = parent.stat.clone().unwrap_or_default();
        let parent_cversion = parent_stat.cversion;
        let mut path = std::mem::take(&mut node.path);
        if mode.is_sequential() {
            path = format!("{path}{parent_cversion:010}");
        }
        self.validate_path(&path, request)?;
        if self.record_for_path(&path).is_ok() {
            return Err(KeeperError::NodeExists);
        }
        let types = self.server.ephemeral_types();
        if types.of_or_normal(parent_stat.ephemeral_owner) == EphemeralType::Normal {
            return Err(KeeperError::NoChildrenForEphemerals);
        }
        let new_cversion = parent_cversion.wrapping_add(1);
        let data_len = node.data.as_ref().map(Vec::len);
        self.server.check_quota(self.tree, &path, None, data_len, OpCode::Create)?;

        let owner = if mode.is_container() {
            CONTAINER_EPHEMERAL_OWNER
        } else if mode.is_ttl() {
            EphemeralType::ttl_to_ephemeral_owner(node.ttl_ms)?
        } else if mode.is_ephemeral() {
            request.session_id.0
        } else {
            0
        };
        let node = NewNode { path, ..node };
        self.created(request, op, node, Created { parent, acl, owner, new_cversion });
        Ok(())
    }

    /// Adds the outstanding changes and makes the transaction.
    fn created(&mut self, request: &mut Request, op: OpCode, node: NewNode, created: Created) {
        let Created { parent, acl, owner, new_cversion } = created;
        let NewNode { path, data, flags, ttl_ms, .. } = node;
        let (zxid, time) = txn_position(request);
        // Most nodes have the same ACL as their parent, and share it.
        let record_acl =
            if *parent.acl == *acl { Arc::clone(&parent.acl) } else { acl.as_slice().into() };
        let mut parent = parent.duplicate(zxid);
        parent.child_count += 1;
        let stat = parent.stat_mut();
        stat.cversion = new_cversion;
        stat.pzxid = zxid;
        self.add_change_record(parent);
        let record = ChangeRecord {
            zxid,
            path: path.as_str().into(),
            stat: Some(DataTree::create_stat(zxid, time, owner)),
            child_count: 0,
            acl: record_acl,
            data_len: data.as_ref().map(Vec::len),
            content_digest: self.content_digest(&path, data.as_deref()),
            node_digest: 0,
            tree_digest: 0,
        };
        self.add_change_record(record);
        let parent_c_version = new_cversion;
        request.txn = Some(match op {
            OpCode::CreateContainer => {
                TxnBody::CreateContainer(CreateContainerTxn { path, data, acl, parent_c_version })
            }
            OpCode::CreateTtl => {
                let ttl = ttl_ms;
                TxnBody::CreateTtl(CreateTTLTxn { path, data, acl, parent_c_version, ttl })
            }
            _ => {
                let ephemeral = create_mode(flags).is_ok_and(CreateMode::is_ephemeral);
                TxnBody::Create(CreateTxn { path, data, acl, ephemeral, parent_c_version })
            }
        });
        self.set_txn_digest(request);
    }

    /// Java: validateCreateRequest.
    fn validate_create_request(
        &self,
        request: &Request,
        op: OpCode,
        mode: CreateMode,
        ttl_ms: i64,
    ) -> Result<(), KeeperError> {
        // Java makes a transaction of this request that no server can apply, so that all servers fail.
        if op == OpCode::CreateTtl && !mode.is_ttl() {
            return Err(KeeperError::BadArguments);
        }
        if mode.is_ttl() && !self.server.ephemeral_types().extended_types_enabled {
            return Err(KeeperError::Unimplemented);
        }
        EphemeralType::validate_ttl(mode, ttl_ms)?;
        if mode.is_ephemeral() {
            // The error that the session's own server has found, if that is another server.
            if let Some(exception) = request.exception {
                return Err(exception);
            }
            return self.server.check_global_session(request.session_id, request.owner);
        }
        self.check_session(request)
    }
}
