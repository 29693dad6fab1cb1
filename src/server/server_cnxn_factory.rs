//! Accepts clients and owns their connections (Java: server/ServerCnxnFactory.java).

use std::net::SocketAddr;
use std::sync::Arc;

use super::server_cnxn::{DisconnectReason, ServerCnxn};
// tidy: layer: a factory knows its server, as in Java
use super::zookeeper_server::ZooKeeperServer;
use crate::ids::SessionId;

/// Accepts clients. Outlives a server: a member of an ensemble gets a new server with each role.
pub trait ServerCnxnFactory: Send + Sync {
    /// The port that clients connect to.
    fn local_port(&self) -> u16;

    /// The address that clients connect to.
    fn local_address(&self) -> SocketAddr;

    /// The limit of connections from one address; 0 is no limit.
    fn max_client_cnxns_per_host(&self) -> i32;

    /// How many clients may wait to be accepted; -1 is the platform's default.
    fn socket_listen_backlog(&self) -> i32;

    /// The server for new connections.
    fn zookeeper_server(&self) -> Option<Arc<ZooKeeperServer>>;

    /// Sets the server for new connections. Without a server, only four-letter words are answered.
    fn set_zookeeper_server(&self, server: Option<Arc<ZooKeeperServer>>);

    /// All connections.
    fn connections(&self) -> Vec<Arc<ServerCnxn>>;

    /// How many connections there are.
    fn num_alive_connections(&self) -> usize;

    /// Records the connection of a session.
    fn add_session(&self, session_id: SessionId, cnxn: &Arc<ServerCnxn>);

    /// Removes the connection. Returns false if it was not known.
    fn remove_cnxn(&self, cnxn: &Arc<ServerCnxn>) -> bool;

    /// The connection of a session.
    fn cnxn_of_session(&self, session_id: SessionId) -> Option<Arc<ServerCnxn>>;

    /// Closes the session's connection. Returns false if there is none.
    fn close_session(&self, session_id: SessionId, reason: DisconnectReason) -> bool {
        match self.cnxn_of_session(session_id) {
            Some(cnxn) => {
                cnxn.close(reason);
                true
            }
            None => false,
        }
    }

    /// Closes every connection.
    fn close_all(&self, reason: DisconnectReason) {
        for cnxn in self.connections() {
            cnxn.close(reason);
        }
    }

    /// Sets the counters of every connection to zero.
    fn reset_all_connection_stats(&self) {
        for cnxn in self.connections() {
            cnxn.stats().reset();
        }
    }

    /// Appends the connections, grouped by when they expire if they stay silent, as `dump` shows them.
    fn dump_connections(&self, out: &mut String);

    /// The answer to a four-letter word; none if it is not a command and the connection must be closed. `argument`
    /// is the mask of `stmk`.
    fn four_letter_word(&self, word: i32, argument: Option<i64>) -> Option<String>;

    /// How many bytes must follow a word before it can be answered.
    fn word_argument_bytes(&self, word: i32) -> usize;

    /// Stops accepting, closes all connections and waits for all threads.
    fn shutdown(&self);
}
