//! Refuses writes before the leader sees them (Java: authWriteRequest of server/ZooKeeperServer.java).
//!
//! Threads: none. Locks: the tree's, for reading, if the check is enabled.
//!
//! Differs from Java: the refusal is answered in the request's turn. In Java it overtakes the answers to earlier
//! requests, and clients take that for a broken connection.

use std::sync::Arc;

use super::ZooKeeperServer;
use super::access::AclSource;
use crate::data::ACL;
use crate::server::data_tree::DataTree;
use crate::server::request::Request;
use crate::zoo_defs::OpCode;

impl ZooKeeperServer {
    /// Whether the request may be allowed according to the ACLs on this server. Otherwise, marks the request as
    /// refused.
    pub fn auth_write_request(&self, request: &mut Request) -> bool {
        let access = self.access();
        if !access.is_eager_acl_check_enabled() {
            return true;
        }
        let (Ok(op), Some(payload)) = (OpCode::try_from(request.op_type), &request.payload) else {
            return true;
        };
        let checked = {
            let tree = self.zk_database().tree().read();
            let acls = TreeAcls(&tree);
            access.check_eagerly(op, payload, self.limits(), &request.auth_info, &acls)
        };
        let Err(refusal) = checked else { return true };
        request.exception = Some(refusal);
        request.is_refused_eagerly = true;
        false
    }
}

struct TreeAcls<'a>(&'a DataTree);

impl AclSource for TreeAcls<'_> {
    fn acl_of(&self, path: &str) -> Option<Arc<[ACL]>> {
        self.0.node(path).map(|node| Arc::clone(node.acl()))
    }

    fn is_special_path(&self, path: &str) -> bool {
        DataTree::is_special_path(path)
    }
}
