//! What runs commands over HTTP (Java: server/admin/AdminServer.java).

use std::sync::Weak;

use super::command::AdminContext;

/// Why an AdminServer cannot start (Java: AdminServerException).
///
/// A server without an ensemble does not start then, with exit code 4; a member of an ensemble logs
/// it and goes on. So it is in Java, too.
#[derive(Debug, thiserror::Error)]
pub enum AdminServerError {
    /// The port cannot be had.
    #[error(
        "Problem starting AdminServer on address {address}, port {port} and command URL \
         {command_url}: {source}"
    )]
    Start {
        /// `admin.serverAddress`.
        address: String,
        /// `admin.serverPort`.
        port: u16,
        /// `admin.commandURL`.
        command_url: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A setting is wrong, or asks for what is not here.
    #[error("{key}={value}: {problem}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Runs commands.
pub trait AdminServer: Send + Sync {
    /// Begins to answer.
    ///
    /// # Errors
    /// When the port cannot be had.
    fn start(&self) -> Result<(), AdminServerError>;

    /// Stops, and waits for its threads.
    fn shutdown(&self);

    /// The server that commands are about; none while there is none. It is not kept alive.
    fn set_zookeeper_server(&self, server: Option<Weak<dyn AdminContext>>);
}
