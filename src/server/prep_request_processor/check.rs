//! `check`, within `multi` (Java: pRequest2Txn of server/PrepRequestProcessor.java).

use super::{Prep, check_and_inc_version};
use crate::keeper_exception::KeeperError;
use crate::proto::CheckVersionRequest;
use crate::server::request::Request;
use crate::server::util::serialize_utils::TxnBody;
use crate::txn::CheckVersionTxn;
use crate::zoo_defs::perms;

impl Prep<'_> {
    pub(super) fn check(
        &mut self,
        request: &mut Request,
        record: CheckVersionRequest,
    ) -> Result<(), KeeperError> {
        self.check_session(request)?;
        let CheckVersionRequest { path, version } = record;
        self.validate_path(&path, request)?;
        let node = self.record_without_digest(&path)?;
        self.server.check_acl(&node.acl, perms::READ, &request.auth_info, &path, None)?;
        let current = node.stat.as_ref().map_or(0, |stat| stat.version);
        let version = check_and_inc_version(current, version)?;
        request.txn = Some(TxnBody::CheckVersion(CheckVersionTxn { path, version }));
        Ok(())
    }
}
