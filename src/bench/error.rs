//! What can go wrong while measuring (no Java twin).

use std::io;
use std::net::SocketAddr;

use crate::ids::SessionId;
use crate::keeper_exception::KeeperError;

/// Why a measurement did not come about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The command line asks for something that cannot be.
    #[error("{0}")]
    Arguments(String),
    /// Nobody answers there, or nobody who speaks the protocol.
    #[error("cannot open a session with {addr}: {why}")]
    Connect {
        /// The server.
        addr: SocketAddr,
        /// What happened.
        why: String,
    },
    /// The system refused something.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried, and on what.
        action: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A reply that the protocol does not allow at that place: what follows it cannot be trusted.
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
    /// A session that should have outlived its connection.
    #[error("{addr} does not know session {id} any more")]
    SessionLost {
        /// The session.
        id: SessionId,
        /// The server.
        addr: SocketAddr,
    },
    /// A server that this program started does not serve.
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
    /// Wraps the system's answer to `action`, for `map_err`.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}

/// The code in words, when it is a known one.
pub(crate) fn refusal(code: i32) -> String {
    KeeperError::try_from(code)
        .map_or_else(|unknown| unknown.to_string(), |error| error.to_string())
}
