//! Who is told when a critical thread fails (Java: server/ZooKeeperServerListener.java).

use super::exit_code::ExitCode;

/// Told that a thread without which the server must not go on has ended.
pub trait ZooKeeperServerListener: Send + Sync {
    /// The thread of that name has ended and the process must end with `exit_code`.
    fn notify_stopping(&self, thread_name: &str, exit_code: ExitCode);
}
