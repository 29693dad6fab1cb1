//! A file that appears under its name only when it is complete and on disk
//! (Java: common/AtomicFileOutputStream.java).
//!
//! All durable renames of the server use this sequence: write under a temporary name, fsync, rename, fsync the
//! directory. Java does not fsync the directory, so a power failure can undo its rename.
//! No threads, no locks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use log::warn;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.common.AtomicFileOutputStream";

/// The suffix of the name while the file is written.
pub(crate) const TMP_EXTENSION: &str = ".tmp";

/// Makes the creations, renames and deletions in a directory survive a power failure.
///
/// # Errors
/// When the directory cannot be opened or synced.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// A file under a temporary name. It is deleted if it is dropped without [`commit`](Self::commit).
#[derive(Debug)]
pub(crate) struct AtomicFileOutputStream {
    file: Option<File>,
    temporary: PathBuf,
    target: PathBuf,
    /// After how many bytes the file is synced.
    sync_every: usize,
    unsynced: usize,
}

impl AtomicFileOutputStream {
    /// Creates the temporary file `<target>.tmp`. [`commit`](Self::commit) renames it to `target`.
    ///
    /// # Errors
    /// When the temporary file cannot be created.
    pub(crate) fn create(target: &Path) -> io::Result<Self> {
        let mut temporary = target.as_os_str().to_owned();
        temporary.push(TMP_EXTENSION);
        Self::create_as(PathBuf::from(temporary), target)
    }

    /// As [`create`](Self::create), with a temporary name of the caller's choice in the directory of `target`.
    ///
    /// # Errors
    /// When the temporary file cannot be created.
    pub(crate) fn create_as(temporary: PathBuf, target: &Path) -> io::Result<Self> {
        let file = File::create(&temporary)?;
        let target = target.to_owned();
        Ok(Self { file: Some(file), temporary, target, sync_every: usize::MAX, unsynced: 0 })
    }

    /// Syncs the file each time that so many bytes were written. Of a long file, the system otherwise collects much
    /// that it writes at once later, and syncs of other files wait for that.
    pub(crate) fn sync_every(mut self, bytes: usize) -> Self {
        self.sync_every = bytes;
        self
    }

    /// Syncs the file and renames it to its target, replacing an existing file (Java: close).
    ///
    /// # Errors
    /// When the file or its directory cannot be synced, or the file cannot be renamed. If the file was not
    /// renamed, the temporary file is deleted.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        let Some(file) = self.file.as_ref() else { return Ok(()) };
        file.sync_all()?;
        fs::rename(&self.temporary, &self.target)?;
        self.file = None;
        match self.target.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => sync_directory(directory),
            _ => sync_directory(Path::new(".")),
        }
    }

    /// Deletes the temporary file and leaves an existing target as it is.
    #[cfg(test)]
    pub(crate) fn abort(self) {
        drop(self);
    }
}

impl Write for AtomicFileOutputStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else { return Ok(0) };
        let written = file.write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= self.sync_every {
            file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for AtomicFileOutputStream {
    fn drop(&mut self) {
        if self.file.take().is_some()
            && let Err(error) = fs::remove_file(&self.temporary)
        {
            warn!(target: LOG, "Unable to delete tmp file {}: {error}", self.temporary.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::persistence::test_dir::TestDir;

    #[test]
    fn a_file_appears_under_its_name_only_when_it_is_committed() {
        let dir = TestDir::new();
        let target = dir.path().join("acceptedEpoch");
        fs::write(&target, "1").unwrap();

        let mut out = AtomicFileOutputStream::create(&target).unwrap();
        out.write_all(b"22").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "1");
        out.commit().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "22");
        assert_eq!(dir.names(), ["acceptedEpoch"]);
    }

    #[test]
    fn an_aborted_file_leaves_the_old_one_and_no_temporary_one() {
        let dir = TestDir::new();
        let target = dir.path().join("acceptedEpoch");
        fs::write(&target, "1").unwrap();
        let mut out = AtomicFileOutputStream::create(&target).unwrap();
        out.write_all(b"22").unwrap();
        assert_eq!(dir.names(), ["acceptedEpoch", "acceptedEpoch.tmp"]);
        out.abort();
        assert_eq!(fs::read_to_string(&target).unwrap(), "1");
        assert_eq!(dir.names(), ["acceptedEpoch"]);
    }
}
