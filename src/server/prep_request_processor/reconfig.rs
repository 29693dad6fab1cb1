//! `reconfig` (Java: pRequest2Txn of server/PrepRequestProcessor.java).
//!
//! A server without an ensemble answers as Java's does: disabled, or not implemented.

use log::error;

use super::{LOG, Prep};
use crate::keeper_exception::KeeperError;
use crate::proto::ReconfigRequest;
use crate::server::request::Request;

impl Prep<'_> {
    pub(super) fn reconfig(
        &self,
        request: &Request,
        _record: &ReconfigRequest,
    ) -> Result<(), KeeperError> {
        if !self.server.settings().reconfig_enabled {
            error!(target: LOG, "Reconfig operation requested but reconfig feature is disabled.");
            return Err(KeeperError::ReconfigDisabled);
        }
        self.check_session(request)?;
        Err(KeeperError::Unimplemented)
    }
}
