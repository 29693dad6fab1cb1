//! The servers that a client may connect to, and which of them comes next (Java: client/HostProvider.java).

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;

use super::connect_string_parser::{HostPort, InvalidConnectString};

/// The server to connect to next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHost {
    /// The server.
    pub server: HostPort,
    /// Whether all servers have been tried since the last connection. The client then waits before it connects.
    pub all_tried: bool,
}

/// The servers of a client. It may be called from several threads at once.
///
/// Java's `next` waits and resolves the name as well. Here the client waits, so that closing it ends the wait, and
/// calls [`resolve`](Self::resolve) after that.
pub trait HostProvider: Debug + Send + Sync {
    /// The number of servers, which is never 0.
    fn size(&self) -> usize;

    /// The next server. There is always one.
    fn next(&self) -> NextHost;

    /// The current addresses of a server, in the order in which the client tries them.
    ///
    /// # Errors
    /// If the host is unknown.
    fn resolve(&self, server: &HostPort) -> io::Result<Vec<SocketAddr>>;

    /// A server has accepted the session.
    fn on_connected(&self);

    /// Replaces the list of servers. `current` is the server to which the client is connected. Returns whether the
    /// client must leave it, so that the load is balanced.
    ///
    /// # Errors
    /// If the list is empty. The old list then stays.
    fn update_server_list(
        &self,
        servers: &[HostPort],
        current: Option<&HostPort>,
    ) -> Result<bool, InvalidConnectString>;
}
