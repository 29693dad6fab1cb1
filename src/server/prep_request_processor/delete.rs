//! `delete` and `deleteContainer` (Java: pRequest2Txn of server/PrepRequestProcessor.java).

use std::sync::Arc;

use super::{Prep, check_and_inc_version, txn_position};
use crate::ids::SessionId;
use crate::keeper_exception::KeeperError;
use crate::proto::DeleteRequest;
use crate::server::ephemeral_type::EphemeralType;
use crate::server::request::Request;
use crate::server::util::serialize_utils::TxnBody;
use crate::server::zookeeper_server::outstanding_changes::ChangeRecord;
use crate::txn::DeleteTxn;
use crate::zoo_defs::perms;

impl Prep<'_> {
    pub(super) fn delete(
        &mut self,
        request: &mut Request,
        record: &DeleteRequest,
    ) -> Result<(), KeeperError> {
        self.check_session(request)?;
        let path = &record.path;
        let parent = self.record_for_path(self.get_parent_path_and_validate(path)?)?;
        self.server.check_acl(&parent.acl, perms::DELETE, &request.auth_info, path, None)?;
        let node = self.record_for_path(path)?;
        let version = node.stat.as_ref().map_or(0, |stat| stat.version);
        check_and_inc_version(version, record.version)?;
        if node.child_count > 0 {
            return Err(KeeperError::NotEmpty);
        }
        self.removed(request, &parent, path);
        Ok(())
    }

    /// Handles a request of the container manager. It deletes only a node without children whose kind may be deleted
    /// automatically. If a client sends it, the client needs the same permission as for `delete` (Java: none).
    pub(super) fn delete_container(
        &mut self,
        request: &mut Request,
        path: &str,
    ) -> Result<(), KeeperError> {
        let parent_path = self.get_parent_path_and_validate(path)?;
        let node = self.record_for_path(path)?;
        if node.child_count > 0 {
            return Err(KeeperError::NotEmpty);
        }
        let owner = node.stat.as_ref().map_or(0, |stat| stat.ephemeral_owner);
        if self.server.ephemeral_types().of_or_normal(owner) == EphemeralType::Normal {
            return Err(KeeperError::BadVersion);
        }
        let parent = self.record_for_path(parent_path)?;
        if request.session_id != SessionId(0) {
            self.server.check_acl(&parent.acl, perms::DELETE, &request.auth_info, path, None)?;
        }
        self.removed(request, &parent, path);
        Ok(())
    }

    fn removed(&mut self, request: &mut Request, parent: &Arc<ChangeRecord>, path: &str) {
        request.txn = Some(TxnBody::Delete(DeleteTxn { path: path.to_owned() }));
        let (zxid, _) = txn_position(request);
        let mut parent = parent.duplicate(zxid);
        parent.child_count -= 1;
        parent.stat_mut().pzxid = zxid;
        self.add_change_record(parent);
        self.add_removal(zxid, path, -1);
        self.set_txn_digest(request);
    }
}
