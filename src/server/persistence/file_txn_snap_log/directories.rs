//! Checks of the directories before anything is read (Java: the constructor of FileTxnSnapLog).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::server::persistence::util::{is_log_file_name, is_snapshot_file_name};

/// A file that is created to test whether a directory is writable. Java asks the system, which std cannot.
const PROBE: &str = "tmp-probe";

/// Why the directories cannot be used (Java: FileTxnSnapLog.DatadirException and its two subclasses).
#[derive(Debug, thiserror::Error)]
pub enum DatadirError {
    /// The directory does not exist and must not be created.
    #[error(
        "Missing {kind} directory {}, automatic data directory creation is disabled (zookeeper.datadir.autocreate is \
         false). Please create this directory manually",
        path.display()
    )]
    Missing {
        /// "data" or "snap".
        kind: &'static str,
        /// The directory.
        path: PathBuf,
    },
    /// The directory cannot be created.
    #[error("Unable to create {kind} directory {}: {source}", path.display())]
    Uncreatable {
        /// "data" or "snap".
        kind: &'static str,
        /// The directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The directory is not writable.
    #[error("Cannot write to {kind} directory {}: {source}", path.display())]
    Unwritable {
        /// "data" or "snap".
        kind: &'static str,
        /// The directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The directory cannot be listed.
    #[error("Cannot read {kind} directory {}: {source}", path.display())]
    Unreadable {
        /// "data" or "snap".
        kind: &'static str,
        /// The directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The log directory contains snapshots (Java: LogDirContentCheckException).
    #[error(
        "Log directory has snapshot files. Check if dataLogDir and dataDir configuration is correct: found {}",
        file.display()
    )]
    LogDirContent {
        /// One of the snapshots.
        file: PathBuf,
    },
    /// The snapshot directory contains log files (Java: SnapDirContentCheckException).
    #[error(
        "Snapshot directory has log files. Check if dataLogDir and dataDir configuration is correct: found {}",
        file.display()
    )]
    SnapDirContent {
        /// One of the log files.
        file: PathBuf,
    },
}

/// Creates the directories if that is allowed, and checks them.
pub(super) fn prepare(
    data_dir: &Path,
    snap_dir: &Path,
    autocreate: bool,
) -> Result<(), DatadirError> {
    for (kind, path) in [("data", data_dir), ("snap", snap_dir)] {
        let path_buf = || path.to_owned();
        if !path.exists() {
            if !autocreate {
                return Err(DatadirError::Missing { kind, path: path_buf() });
            }
            fs::create_dir_all(path).map_err(|source| DatadirError::Uncreatable {
                kind,
                path: path_buf(),
                source,
            })?;
        }
        probe(path).map_err(|source| DatadirError::Unwritable {
            kind,
            path: path_buf(),
            source,
        })?;
    }
    if data_dir != snap_dir {
        if let Some(file) = find("data", data_dir, is_snapshot_file_name)? {
            return Err(DatadirError::LogDirContent { file });
        }
        if let Some(file) = find("snap", snap_dir, is_log_file_name)? {
            return Err(DatadirError::SnapDirContent { file });
        }
    }
    Ok(())
}

fn probe(directory: &Path) -> io::Result<()> {
    let path = directory.join(PROBE);
    File::create(&path)?;
    match fs::remove_file(&path) {
        // Another process deleted the file, because it tests the directory at the same time.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn find(
    kind: &'static str,
    directory: &Path,
    is_wanted: fn(&str) -> bool,
) -> Result<Option<PathBuf>, DatadirError> {
    let unreadable = |source| DatadirError::Unreadable { kind, path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_name().to_str().is_some_and(is_wanted) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::persistence::test_dir::TestDir;

    #[test]
    fn missing_directories_are_made_unless_that_is_forbidden() {
        let dir = TestDir::new();
        let (data, snap) = (dir.path().join("log/version-2"), dir.path().join("snap/version-2"));
        let error = prepare(&data, &snap, false).unwrap_err().to_string();
        assert!(
            error.contains("Missing data directory") && error.contains("autocreate"),
            "{error}"
        );
        prepare(&data, &snap, true).unwrap();
        prepare(&data, &snap, false).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let below_file = dir.path().join("file/version-2");
        assert!(matches!(
            prepare(&data, &below_file, true),
            Err(DatadirError::Uncreatable { kind: "snap", .. })
        ));
    }

    #[test]
    fn a_log_among_the_snapshots_or_the_other_way_round_is_refused_unless_they_share() {
        let dir = TestDir::new();
        let (data, snap) = (dir.path().join("log"), dir.path().join("snap"));
        prepare(&data, &snap, true).unwrap();
        fs::write(snap.join("log.1"), "").unwrap();
        assert!(matches!(
            prepare(&data, &snap, true),
            Err(DatadirError::SnapDirContent { file }) if file.ends_with("log.1")
        ));
        fs::write(data.join("snapshot.0"), "").unwrap();
        assert!(matches!(prepare(&data, &snap, true), Err(DatadirError::LogDirContent { .. })));
        prepare(&snap, &snap, true).unwrap();
        assert_eq!(fs::read_dir(&snap).unwrap().count(), 1, "nothing is left behind");
    }
}
