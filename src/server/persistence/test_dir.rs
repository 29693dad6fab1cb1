//! A directory for one test, deleted with the test (no Java twin: JUnit's `TempDir`).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// An empty directory that is deleted when it is dropped, unless the test has failed.
#[derive(Debug)]
pub(crate) struct TestDir {
    path: PathBuf,
}

/// A counter that makes the names unique.
static NEXT: AtomicU32 = AtomicU32::new(0);

impl TestDir {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("zookeeper-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        drop(fs::remove_dir_all(&path)); // left by an earlier process of the same id, or not there
        fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The sorted names of the files in the directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the test's files are left in {}", self.path.display());
        } else {
            drop(fs::remove_dir_all(&self.path));
        }
    }
}
