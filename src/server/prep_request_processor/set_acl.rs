//! `setACL` (Java: pRequest2Txn of server/PrepRequestProcessor.java).

use super::{Prep, check_and_inc_version, txn_position};
use crate::keeper_exception::KeeperError;
use crate::proto::SetACLRequest;
use crate::server::request::Request;
use crate::server::util::serialize_utils::TxnBody;
use crate::txn::SetACLTxn;
use crate::zoo_defs::perms;

impl Prep<'_> {
    pub(super) fn set_acl(
        &mut self,
        request: &mut Request,
        record: SetACLRequest,
    ) -> Result<(), KeeperError> {
        self.check_session(request)?;
        let SetACLRequest { path, acl, version } = record;
        self.validate_path(&path, request)?;
        let acl = self.server.fixup_acl(&request.auth_info, acl)?;
        let node = self.record_for_path(&path)?;
        self.server.check_acl(&node.acl, perms::ADMIN, &request.auth_info, &path, Some(&acl))?;
        let current = node.stat.as_ref().map_or(0, |stat| stat.aversion);
        let new_version = check_and_inc_version(current, version)?;
        let (zxid, _) = txn_position(request);
        let mut node = node.duplicate(zxid);
        node.stat_mut().aversion = new_version;
        // Java leaves the old ACL in the record, so it checks later requests against the ACL that is being replaced.
        // A client that has just lost its permission could pass. Here the new ACL counts from now on.
        node.acl = acl.as_slice().into();
        self.add_change_record(node);
        request.txn = Some(TxnBody::SetAcl(SetACLTxn { path, acl, version: new_version }));
        self.set_txn_digest(request);
        Ok(())
    }
}
