//! The two epochs that a member must never forget (Java: currentEpoch, acceptedEpoch and loadDataBase of
//! server/quorum/QuorumPeer.java).
//!
//! `acceptedEpoch` is the newest epoch that this member has promised to follow. `currentEpoch` is the epoch that it
//! has entered; the history up to the start of that epoch is on its disk. Each epoch has its own file beside the
//! snapshots. The file is replaced atomically, and is on disk when a setter returns. Locks: none. Only the peer's
//! thread and the leader's handlers set the epochs.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use log::info;
use thiserror::Error;

use crate::common::atomic_file_writing_idiom::write_atomically;
use crate::ids::{PeerEpoch, Zxid};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.QuorumPeer";

/// The file of the current epoch.
pub(crate) const CURRENT_EPOCH_FILENAME: &str = "currentEpoch";

/// The file of the accepted epoch.
pub(crate) const ACCEPTED_EPOCH_FILENAME: &str = "acceptedEpoch";

/// The extension of a new file that is about to replace the old one.
const TMP_EXTENSION: &str = ".tmp";

/// Why the epochs of a member are unusable.
#[derive(Debug, Error)]
pub enum EpochError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file does not hold a number.
    #[error("Found {found:?} in {}; it must hold one decimal number", path.display())]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// Its content.
        found: String,
    },
    /// The data are newer than the epoch, so one of them was restored from another time.
    #[error(
        "The current epoch, {current}, is older than the last zxid, {last}: {} and the data do not belong together; put \
         back those that do, or delete this server's data and let it sync from the leader",
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The epoch in the file.
        current: PeerEpoch,
        /// The last zxid.
        last: Zxid,
    },
    /// The two files contradict each other.
    #[error("The accepted epoch, {accepted} is less than the current epoch, {current} ({})", dir.display())]
    Contradiction {
        /// The directory of the files.
        dir: PathBuf,
        /// The accepted epoch.
        accepted: PeerEpoch,
        /// The current epoch.
        current: PeerEpoch,
    },
}

/// Makes promises durable (no Java twin: Leader asks QuorumPeer itself).
pub trait Promises: Send + Sync {
    /// Promises durably not to follow an older epoch.
    ///
    /// # Errors
    /// When the promise cannot be written.
    fn set_accepted_epoch(&self, epoch: PeerEpoch) -> Result<(), EpochError>;
}

/// The epochs of this member.
#[derive(Debug)]
pub(crate) struct Epochs {
    dir: PathBuf,
    current: AtomicI64,
    accepted: AtomicI64,
}

impl Epochs {
    /// The epochs in that directory (`version-2` of the snapshots). They are not read before [`load`](Self::load).
    #[must_use]
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.into(), current: AtomicI64::new(-1), accepted: AtomicI64::new(-1) }
    }

    /// Reads both epochs and checks them against the last zxid in the tree. A missing file, as after an upgrade from
    /// 3.3, is created from that zxid.
    ///
    /// # Errors
    /// When a file cannot be read or written, or contradicts the other or the data.
    pub(crate) fn load(&self, last_processed: Zxid) -> Result<(), EpochError> {
        let epoch_of_zxid = last_processed.peer_epoch();
        let mut current = self.read_or_create(CURRENT_EPOCH_FILENAME, epoch_of_zxid)?;
        if epoch_of_zxid > current {
            // The process ended after it wrote the new file, before it replaced the old one.
            let path = self.dir.join(CURRENT_EPOCH_FILENAME);
            current = match self.read(&format!("{CURRENT_EPOCH_FILENAME}{TMP_EXTENSION}"))? {
                Some(waiting) if waiting >= epoch_of_zxid => waiting,
                _ => return Err(EpochError::Older { path, current, last: last_processed }),
            };
            info!(
                target: LOG,
                "{}{TMP_EXTENSION} found. Setting current epoch to {current}.", path.display()
            );
            self.write(CURRENT_EPOCH_FILENAME, current)?;
        }
        let accepted = self.read_or_create(ACCEPTED_EPOCH_FILENAME, epoch_of_zxid)?;
        if accepted < current {
            return Err(EpochError::Contradiction { dir: self.dir.clone(), accepted, current });
        }
        self.current.store(current.0, Ordering::Release);
        self.accepted.store(accepted.0, Ordering::Release);
        Ok(())
    }

    /// The current epoch.
    #[must_use]
    pub(crate) fn current(&self) -> PeerEpoch {
        PeerEpoch(self.current.load(Ordering::Acquire))
    }

    /// The accepted epoch.
    #[must_use]
    pub(crate) fn accepted(&self) -> PeerEpoch {
        PeerEpoch(self.accepted.load(Ordering::Acquire))
    }

    /// Sets the current epoch. The history up to its start must be on disk.
    ///
    /// # Errors
    /// When it cannot be written to disk; the epoch then stays as it was.
    pub(crate) fn set_current(&self, epoch: PeerEpoch) -> Result<(), EpochError> {
        self.write(CURRENT_EPOCH_FILENAME, epoch)?;
        self.current.store(epoch.0, Ordering::Release);
        Ok(())
    }

    /// Promises to follow no older epoch.
    ///
    /// # Errors
    /// When it cannot be written to disk; nothing is promised then.
    pub(crate) fn set_accepted(&self, epoch: PeerEpoch) -> Result<(), EpochError> {
        self.write(ACCEPTED_EPOCH_FILENAME, epoch)?;
        self.accepted.store(epoch.0, Ordering::Release);
        Ok(())
    }

    fn read_or_create(&self, name: &str, default: PeerEpoch) -> Result<PeerEpoch, EpochError> {
        if let Some(epoch) = self.read(name)? {
            return Ok(epoch);
        }
        info!(
            target: LOG,
            "{name} not found! Creating with a reasonable default of {default}. This should only happen when you are \
             upgrading your installation"
        );
        self.write(name, default)?;
        Ok(default)
    }

    fn read(&self, name: &str) -> Result<Option<PeerEpoch>, EpochError> {
        let path = self.dir.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(EpochError::Io { path, source }),
        };
        let text = String::from_utf8_lossy(&bytes);
        let line = text.split(['\n', '\r']).next().unwrap_or_default();
        match line.parse() {
            Ok(epoch) => Ok(Some(PeerEpoch(epoch))),
            Err(_) => Err(EpochError::NotANumber { path, found: line.chars().take(40).collect() }),
        }
    }

    fn write(&self, name: &str, epoch: PeerEpoch) -> Result<(), EpochError> {
        let path = self.dir.join(name);
        write_atomically(&path, |out| write!(out, "{epoch}"))
            .map_err(|source| EpochError::Io { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::persistence::test_dir::TestDir;

    fn epochs(files: &[(&str, &str)], last: Zxid) -> (TestDir, Result<Epochs, EpochError>) {
        let dir = TestDir::new();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let epochs = Epochs::new(dir.path());
        let loaded = epochs.load(last);
        (dir, loaded.map(|()| epochs))
    }

    #[test]
    fn what_is_missing_is_the_epoch_of_the_last_transaction() {
        let (dir, loaded) = epochs(&[], Zxid::new(4, 7));
        let loaded = loaded.unwrap();
        assert_eq!((loaded.current(), loaded.accepted()), (PeerEpoch(4), PeerEpoch(4)));
        assert_eq!(fs::read_to_string(dir.path().join("currentEpoch")).unwrap(), "4");
        loaded.set_accepted(PeerEpoch(6)).unwrap();
        let again = Epochs::new(dir.path());
        again.load(Zxid::new(4, 7)).unwrap();
        assert_eq!((again.current(), again.accepted()), (PeerEpoch(4), PeerEpoch(6)));
    }

    #[test]
    fn an_epoch_that_was_not_put_in_its_place_counts_when_the_data_are_of_it() {
        let files = [("currentEpoch", "3"), ("currentEpoch.tmp", "4"), ("acceptedEpoch", "4")];
        let (dir, loaded) = epochs(&files, Zxid::new(4, 0));
        assert_eq!(loaded.unwrap().current(), PeerEpoch(4));
        assert_eq!(fs::read_to_string(dir.path().join("currentEpoch")).unwrap(), "4");
        let (_dir, loaded) = epochs(&files, Zxid::new(3, 9));
        assert_eq!(loaded.unwrap().current(), PeerEpoch(3));
    }

    #[test]
    fn files_that_contradict_the_data_or_each_other_are_refused() {
        for (files, last, words) in [
            (&[("currentEpoch", "3"), ("acceptedEpoch", "3")][..], 4, "older than the last zxid"),
            (&[("currentEpoch", "3"), ("acceptedEpoch", "2")], 3, "less than the current epoch"),
            (&[("currentEpoch", "three")], 3, "Found \"three\" in"),
            (&[("currentEpoch", "")], 3, "Found \"\" in"),
        ] {
            let (_dir, loaded) = epochs(files, Zxid::new(last, 1));
            let error = loaded.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
