//! `setData` (Java: pRequest2Txn of server/PrepRequestProcessor.java).

use super::{Prep, check_and_inc_version, txn_position};
use crate::keeper_exception::KeeperError;
use crate::proto::SetDataRequest;
use crate::server::request::Request;
use crate::server::util::serialize_utils::TxnBody;
use crate::txn::SetDataTxn;
use crate::zoo_defs::{OpCode, perms};

impl Prep<'_> {
    pub(super) fn set_data(
        &mut self,
        request: &mut Request,
        record: SetDataRequest,
    ) -> Result<(), KeeperError> {
        self.check_session(request)?;
        let SetDataRequest { path, data, version } = record;
        self.validate_path(&path, request)?;
        let node = self.record_for_path(&path)?;
        self.server.check_acl(&node.acl, perms::WRITE, &request.auth_info, &path, None)?;
        let data_len = data.as_ref().map(Vec::len);
        self.server.check_quota(self.tree, &path, node.data_len, data_len, OpCode::SetData)?;
        let current = node.stat.as_ref().map_or(0, |stat| stat.version);
        let new_version = check_and_inc_version(current, version)?;
        let (zxid, time) = txn_position(request);
        let mut node = node.duplicate(zxid);
        let stat = node.stat_mut();
        stat.version = new_version;
        stat.mtime = time;
        stat.mzxid = zxid;
        node.data_len = data_len;
        node.content_digest = self.content_digest(&path, data.as_deref());
        self.add_change_record(node);
        request.txn = Some(TxnBody::SetData(SetDataTxn { path, data, version: new_version }));
        self.set_txn_digest(request);
        Ok(())
    }
}
