//! Is told when a critical thread fails (Java: server/ZooKeeperServerListener.java).

use super::exit_code::ExitCode;

/// Is told when a thread ends without which the server cannot continue.
pub trait ZooKeeperServerListener: Send + Sync {
    /// The thread with this name has ended, and the process must end with `exit_code`.
    fn notify_stopping(&self, thread_name: &str, exit_code: ExitCode);
}
