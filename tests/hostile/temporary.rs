//! Temporary directories (no Java twin).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory in memory, if the system has one, so that no test waits for a disk.
const IN_MEMORY: &str = "/dev/shm";

/// A directory that is removed when this value is dropped.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let in_memory = Path::new(IN_MEMORY);
        let parent = if in_memory.is_dir() { in_memory.to_owned() } else { std::env::temp_dir() };
        let path = parent.join(format!("zk-hostile-{}-{count}", std::process::id()));
        let _left_over = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory for the test");
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes everything from the directory.
    pub fn clear(&self) {
        for entry in fs::read_dir(&self.path).unwrap() {
            let path = entry.unwrap().path();
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.unwrap();
        }
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _already_gone = fs::remove_dir_all(&self.path);
    }
}
