//! `reconfig` (Java: pRequest2Txn of server/PrepRequestProcessor.java).
//!
//! A server without an ensemble answers as Java does: disabled, or not implemented. A leader does not change its
//! ensemble at run time. It answers that this is disabled, whatever `reconfigEnabled` says.

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
        if self.server.role().ensemble().is_some() {
            error!(
                target: LOG,
                "Reconfig operation requested: this leader does not change its ensemble while it runs. Change the \
                 server lines of all members, and start them again one by one."
            );
            return Err(KeeperError::ReconfigDisabled);
        }
        Err(KeeperError::Unimplemented)
    }
}
