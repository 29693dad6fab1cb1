//! A disabled AdminServer (Java: server/admin/DummyAdminServer.java).

use std::sync::Weak;

use super::admin_context::AdminContext;
use super::admin_server::{AdminServer, AdminServerError};

/// An AdminServer that does nothing.
#[derive(Debug)]
pub struct DummyAdminServer;

impl AdminServer for DummyAdminServer {
    fn start(&self) -> Result<(), AdminServerError> {
        Ok(())
    }

    fn shutdown(&self) {}

    fn set_zookeeper_server(&self, _server: Option<Weak<dyn AdminContext>>) {}
}
