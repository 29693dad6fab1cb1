//! The server as seen by the container manager (Java: parts of server/ContainerManager.java that ask ZKDatabase and
//! the first processor).

use std::sync::Arc;

use super::ZooKeeperServer;
use crate::delete_container_request::DeleteContainerRequest;
use crate::ids::SessionId;
use crate::jute::Record;
use crate::server::container_manager::{ContainerCandidate, ContainerHost};
use crate::server::ephemeral_type::EphemeralType;
use crate::server::request::Request;
use crate::zoo_defs::OpCode;

impl ContainerHost for ZooKeeperServer {
    fn containers(&self) -> Vec<String> {
        self.zk_database().tree().read().containers()
    }

    fn ttls(&self) -> Vec<String> {
        self.zk_database().tree().read().ttls()
    }

    fn candidate(&self, path: &str) -> Option<ContainerCandidate> {
        let tree = self.zk_database().tree().read();
        let node = tree.node(path)?;
        let stat = node.stat_persisted();
        let is_ttl = node.ephemeral_type() == EphemeralType::Ttl;
        Some(ContainerCandidate {
            has_children: node.child_count() > 0,
            cversion: stat.cversion,
            mtime_ms: stat.mtime,
            ttl_ms: is_ttl.then(|| EphemeralType::ttl_ms(stat.ephemeral_owner)),
        })
    }

    fn delete_container(&self, path: &str) -> Result<(), String> {
        if !self.is_running() {
            return Err("the server is shutting down".into());
        }
        let payload = DeleteContainerRequest { path: path.to_owned() }.to_bytes();
        let mut request = Request::new(
            None,
            SessionId(0),
            0,
            OpCode::DeleteContainer.code(),
            Some(payload.into_boxed_slice()),
            Arc::new([]),
        );
        request.create_time_ms = self.clock().elapsed_ms();
        self.submit_request(request);
        Ok(())
    }
}
