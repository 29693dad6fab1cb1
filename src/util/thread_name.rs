//! The name of a thread, which may change while the thread runs (no Java twin: Thread.getName and Thread.setName).

use std::cell::RefCell;
use std::sync::Arc;
use std::thread;

use parking_lot::RwLock;

thread_local! {
    static OWN_NAME: RefCell<Option<ThreadName>> = const { RefCell::new(None) };
}

/// The name of a thread that may get another one while it runs (Java: Thread.setName). The system keeps the name with
/// which the thread has started; the log shows this one.
// The lock has no rank: it is taken by whoever logs, under any other lock, and under it nothing is called but `show`
// of `with_current_name`, which takes no lock of ours.
#[derive(Clone, Debug)]
pub(crate) struct ThreadName(Arc<RwLock<String>>);

impl ThreadName {
    pub(crate) fn new(name: String) -> Self {
        Self(Arc::new(RwLock::new(name)))
    }

    /// The calling thread has this name from now on.
    pub(crate) fn assume(&self) {
        OWN_NAME.with_borrow_mut(|own| *own = Some(self.clone()));
    }

    /// Renames the thread that has assumed this name.
    pub(crate) fn set(&self, name: String) {
        *self.0.write() = name;
    }
}

/// Passes the name of the calling thread on.
pub(crate) fn with_current_name<T>(show: impl FnOnce(&str) -> T) -> T {
    // There is none if the thread ends, and its locals are gone.
    let own = OWN_NAME.try_with(|own| own.borrow().clone()).ok().flatten();
    match own {
        Some(own) => show(&own.0.read()),
        None => show(thread::current().name().unwrap_or("?")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::zookeeper_thread;

    #[test]
    fn a_thread_can_be_renamed_by_another_one() {
        let name = ThreadName::new("first".to_owned());
        let own = name.clone();
        let (go_on, renamed) = crossbeam::channel::bounded::<()>(0);
        let (sender, names) = crossbeam::channel::bounded(3);
        let handle = zookeeper_thread::spawn::<String>("of the system", None, move || {
            let tell = || sender.send(with_current_name(str::to_owned)).map_err(|e| e.to_string());
            tell()?;
            own.assume();
            tell()?;
            renamed.recv().map_err(|error| error.to_string())?;
            tell()
        });
        assert_eq!([names.recv().unwrap(), names.recv().unwrap()], ["of the system", "first"]);
        name.set("second".to_owned());
        go_on.send(()).unwrap();
        assert_eq!(names.recv().unwrap(), "second");
        zookeeper_thread::join(handle.unwrap());
    }
}
