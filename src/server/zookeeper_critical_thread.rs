//! Starts threads without which the server cannot continue (Java: server/ZooKeeperCriticalThread.java).

use std::fmt::Display;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use log::error;

use super::exit_code::ExitCode;
use super::zookeeper_server_listener::ZooKeeperServerListener;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ZooKeeperCriticalThread";

/// Starts a thread. If it fails or panics, `listener` is told, and the server ends.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn spawn<E: Display>(
    name: &str,
    listener: Arc<dyn ZooKeeperServerListener>,
    body: impl FnOnce() -> Result<(), E> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    spawn_with_stack(name, None, listener, body)
}

/// As [`spawn`], with a stack of this many bytes; `None` is the platform's default.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn spawn_with_stack<E: Display>(
    name: &str,
    stack_bytes: Option<usize>,
    listener: Arc<dyn ZooKeeperServerListener>,
    body: impl FnOnce() -> Result<(), E> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let thread_name = name.to_owned();
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
        error!(target: LOG, "Severe unrecoverable error, from thread {thread_name}: {failed}");
        listener.notify_stopping(&thread_name, ExitCode::UnexpectedError);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam::channel::{Sender, bounded};

    struct Told(Sender<(String, ExitCode)>);

    impl ZooKeeperServerListener for Told {
        fn notify_stopping(&self, thread_name: &str, exit_code: ExitCode) {
            self.0.send((thread_name.into(), exit_code)).unwrap();
        }
    }

    #[test]
    fn an_error_and_a_panic_are_told_to_the_listener_and_a_good_end_is_not() {
        let (sender, receiver) = bounded(4);
        let told: Arc<dyn ZooKeeperServerListener> = Arc::new(Told(sender));
        for (name, end) in [("good", 0), ("error", 1), ("panic", 2)] {
            let body = move || match end {
                0 => Ok(()),
                1 => Err("it broke"),
                _ => panic!("expected by the test"),
            };
            spawn(name, Arc::clone(&told), body).unwrap().join().unwrap();
        }
        let names: Vec<_> = receiver.try_iter().collect();
        assert_eq!(
            names,
            [
                ("error".to_owned(), ExitCode::UnexpectedError),
                ("panic".to_owned(), ExitCode::UnexpectedError)
            ]
        );
    }
}
