//! The interface of the HTTP admin server (Java: server/admin/AdminServer.java).

use std::sync::Weak;

use super::admin_context::AdminContext;

/// Why an AdminServer cannot start (Java: AdminServerException).
///
/// As in Java, a standalone server then exits with code 4. A member of an ensemble logs the error and
/// continues.
#[derive(Debug, thiserror::Error)]
pub enum AdminServerError {
    /// The port cannot be opened.
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
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A setting is wrong or asks for a feature that is not supported.
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

/// Serves admin commands.
pub trait AdminServer: Send + Sync {
    /// Starts to answer requests.
    ///
    /// # Errors
    /// When the port cannot be opened.
    fn start(&self) -> Result<(), AdminServerError>;

    /// Stops, and waits for the threads to end.
    fn shutdown(&self);

    /// Sets the server that commands operate on; `None` while there is no server. The reference does not keep
    /// it alive.
    fn set_zookeeper_server(&self, server: Option<Weak<dyn AdminContext>>);
}
