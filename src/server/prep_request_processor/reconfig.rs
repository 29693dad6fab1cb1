//! `reconfig` (Java: the case reconfig of pRequest2Txn in server/PrepRequestProcessor.java).
//!
//! The role makes the new configuration, and has the rules for it (`quorum/leader/next_config`). A server without an
//! ensemble has no members to change: the operation is not implemented there.

use std::sync::Arc;

use log::{error, warn};

use super::{LOG, Prep, txn_position};
use crate::keeper_exception::KeeperError;
use crate::proto::ReconfigRequest;
use crate::server::request::Request;
use crate::server::util::serialize_utils::TxnBody;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::txn::SetDataTxn;
use crate::zoo_defs::{CONFIG_NODE, OpCode, perms};

/// The node has this version after each change.
const CONFIG_VERSION: i32 = -1;

/// Looks up the hosts that `reconfig` requests name, before the locks are taken. A client that may not change the
/// ensemble must not make the server wait for names.
pub(super) fn look_up_hosts(server: &ZooKeeperServer, requests: &[Box<Request>]) {
    let code = OpCode::Reconfig.code();
    for request in requests.iter().filter(|request| request.op_type == code) {
        let acl = {
            let tree = server.zk_database().tree().read();
            tree.node(CONFIG_NODE).map(|node| Arc::clone(node.acl()))
        };
        if server.settings().reconfig_enabled
            && let Some(acl) = acl
            && let Ok(()) =
                server.check_acl(&acl, perms::WRITE, &request.auth_info, CONFIG_NODE, None)
            && let Ok(record) = request.read_request_record::<ReconfigRequest>(server.limits())
        {
            server.role().look_up_hosts(&record);
        }
    }
}

impl Prep<'_> {
    pub(super) fn reconfig(
        &mut self,
        request: &mut Request,
        record: &ReconfigRequest,
    ) -> Result<(), KeeperError> {
        if !self.server.settings().reconfig_enabled {
            error!(target: LOG, "Reconfig operation requested but reconfig feature is disabled.");
            return Err(KeeperError::ReconfigDisabled);
        }
        if self.server.access().skips_acl() {
            warn!(target: LOG, "skipACL is set, reconfig operation will skip ACL checks!");
        }
        self.check_session(request)?;
        let (zxid, time) = txn_position(request);
        let node = self.record_for_path(CONFIG_NODE);
        let is_allowed = || {
            let acl = &node.as_ref().map_err(|problem| *problem)?.acl;
            let ids = &request.auth_info;
            self.server.check_acl(acl, perms::WRITE, ids, CONFIG_NODE, None)
        };
        let data = self.server.role().next_config(record, zxid, &is_allowed)?.into_bytes();
        let mut node = node?.duplicate(zxid);
        let stat = node.stat_mut();
        stat.version = CONFIG_VERSION;
        stat.mtime = time;
        stat.mzxid = zxid;
        node.data_len = Some(data.len());
        // Nodes below /zookeeper do not count in the digest of the tree.
        self.add_change_record(node);
        request.txn = Some(TxnBody::SetData(SetDataTxn {
            path: CONFIG_NODE.into(),
            data: Some(data),
            version: CONFIG_VERSION,
        }));
        self.set_txn_digest(request);
        Ok(())
    }
}
