//! Starts ordinary threads (Java: server/ZooKeeperThread.java).

use std::fmt::Display;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::thread::{self, JoinHandle};

use log::error;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ZooKeeperThread";

/// Starts a thread whose failure is logged and affects nothing else.
///
/// `stack_bytes` of `None` is the platform's default.
///
/// # Errors
/// When the thread cannot be started.
pub fn spawn<E: Display>(
    name: &str,
    stack_bytes: Option<usize>,
    body: impl FnOnce() -> Result<(), E> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let mut builder = thread::Builder::new().name(name.to_owned());
    if let Some(bytes) = stack_bytes {
        builder = builder.stack_size(bytes);
    }
    builder.spawn(move || {
        let failed = match panic::catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "panic, see above".into(), // the panic hook has logged where
        };
        let current = thread::current();
        error!(target: LOG, "Exception occurred from thread {}: {failed}", current.name().unwrap_or("?"));
    })
}

/// Waits until the thread has ended. A thread never waits for itself.
pub fn join(handle: JoinHandle<()>) {
    if handle.thread().id() == thread::current().id() {
        return;
    }
    let name = handle.thread().name().unwrap_or("?").to_owned();
    if handle.join().is_err() {
        error!(target: LOG, "thread {name} has panicked outside its body");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_its_name_and_a_panic_does_not_reach_who_joins() {
        let (sender, receiver) = crossbeam::channel::bounded(1);
        let handle = spawn::<String>("NameOfThread", Some(64 * 1024), move || {
            sender.send(thread::current().name().map(str::to_owned)).unwrap();
            panic!("expected by the test");
        });
        join(handle.unwrap());
        assert_eq!(receiver.recv().unwrap().as_deref(), Some("NameOfThread"));
    }
}
