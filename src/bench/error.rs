//! The errors of a measurement (no Java twin).

use std::io;
use std::net::SocketAddr;

use crate::ids::SessionId;
use crate::keeper_exception::KeeperError;

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The command line is invalid.
    #[error("{0}")]
    Arguments(String),
    /// Nobody answers at the address, or not in the ZooKeeper protocol.
    #[error("cannot open a session with {addr}: {why}")]
    Connect {
        /// The server.
        addr: SocketAddr,
        /// What happened.
        why: String,
    },
    /// The operating system refused something.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried, and on what.
        action: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A reply violates the protocol. Everything after it is unreliable.
    #[error("unexpected reply: {0}")]
    Protocol(String),
    /// The server refused a request that the measurement depends on.
    #[error("{what} is refused: {}", refusal(*.code))]
    Refused {
        /// The operation and its path.
        what: String,
        /// The code in the reply's header.
        code: i32,
    },
    /// The session is gone, although it should have outlived its connection.
    #[error("{addr} does not know session {id} any more")]
    SessionLost {
        /// The session.
        id: SessionId,
        /// The server.
        addr: SocketAddr,
    },
    /// A server that this program has started does not serve.
    #[error("server {label}: {why}; the end of its log:\n{log}")]
    Server {
        /// Its name on the command line.
        label: String,
        /// What happened.
        why: String,
        /// The last lines of its log.
        log: String,
    },
}

impl BenchError {
    /// Returns a function for `map_err` that wraps the system's error during `action`.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}

/// The error code in words, if it is a known one.
pub(crate) fn refusal(code: i32) -> String {
    KeeperError::try_from(code)
        .map_or_else(|unknown| unknown.to_string(), |error| error.to_string())
}
