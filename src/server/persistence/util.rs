//! Names of log files and snapshots, and listings of them (Java: server/persistence/Util.java).
//!
//! Java's methods for URIs of storage backends (makeURIString, makeFileLoggerURL, getFormatConversionPolicy) have no
//! callers and are left out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::ids::Zxid;

/// The prefix of log file names, which a dot follows (Java: FileTxnLog.LOG_FILE_PREFIX).
pub(crate) const LOG_FILE_PREFIX: &str = "log";

/// The prefix of snapshot names, which a dot follows (Java: FileSnap.SNAPSHOT_FILE_PREFIX).
pub(crate) const SNAPSHOT_FILE_PREFIX: &str = "snapshot";

/// A log file or snapshot with the zxid in its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// The zxid in the name.
    pub zxid: Zxid,
    /// The path of the file.
    pub path: PathBuf,
}

/// The name of the log file that starts with the transaction `zxid`.
#[must_use]
pub(crate) fn make_log_name(zxid: Zxid) -> String {
    format!("{LOG_FILE_PREFIX}.{:x}", zxid.0)
}

/// The name of a snapshot that began when `zxid` was the last applied transaction. `extension` is empty, `.gz`
/// or `.snappy`.
#[must_use]
pub(crate) fn make_snapshot_name(zxid: Zxid, extension: &str) -> String {
    format!("{SNAPSHOT_FILE_PREFIX}.{:x}{extension}", zxid.0)
}

/// The zxid in a file name with this prefix; [`Zxid::NONE`] for any other name.
#[must_use]
pub fn zxid_from_name(name: &str, prefix: &str) -> Zxid {
    let mut parts = name.split('.');
    if parts.next() != Some(prefix) {
        return Zxid::NONE;
    }
    let number = parts.next().and_then(|hex| i64::from_str_radix(hex, 16).ok());
    number.map_or(Zxid::NONE, Zxid)
}

/// Whether this is the name of a log file.
#[must_use]
pub fn is_log_file_name(name: &str) -> bool {
    name.strip_prefix(LOG_FILE_PREFIX).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether this is the name of a snapshot.
#[must_use]
pub fn is_snapshot_file_name(name: &str) -> bool {
    name.strip_prefix(SNAPSHOT_FILE_PREFIX).is_some_and(|rest| rest.starts_with('.'))
}

/// The files with this prefix, sorted by zxid and then by name. Other files are skipped. A directory that does
/// not exist counts as empty (Java: sortDataDir).
///
/// # Errors
/// When the directory cannot be read.
pub(crate) fn sorted_data_dir(directory: &Path, prefix: &str) -> io::Result<Vec<NamedFile>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        // The storage never creates a name that is not valid UTF-8.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let zxid = zxid_from_name(&name, prefix);
        if zxid >= Zxid::ZERO {
            files.push(NamedFile { zxid, path: entry.path() });
        }
    }
    files.sort_by(|a, b| a.zxid.cmp(&b.zxid).then_with(|| a.path.cmp(&b.path)));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::persistence::test_dir::TestDir;

    #[test]
    fn names_hold_the_zxid_in_bare_lower_case_hex() {
        assert_eq!(make_log_name(Zxid(0x1_0000_000a)), "log.10000000a");
        assert_eq!(make_snapshot_name(Zxid::ZERO, ""), "snapshot.0");
        assert_eq!(make_snapshot_name(Zxid(0x1f), ".gz"), "snapshot.1f.gz");
        assert_eq!(make_log_name(Zxid(-1)), "log.ffffffffffffffff");
    }

    #[test]
    fn the_zxid_is_the_second_part_of_a_name_and_what_follows_does_not_matter() {
        for (name, zxid) in [
            ("log.1f", 0x1f),
            ("log.1F.chopped", 0x1f),
            ("log.0", 0),
            ("log.", -1),
            ("log", -1),
            ("log..1", -1),
            ("log.xyz", -1),
            ("logs.1", -1),
            ("log.ffffffffffffffff", -1),
            ("log.7fffffffffffffff", i64::MAX),
            ("snapshot.5", -1),
        ] {
            assert_eq!(zxid_from_name(name, LOG_FILE_PREFIX), Zxid(zxid), "{name}");
        }
        assert_eq!(zxid_from_name("snapshot.5.snappy", SNAPSHOT_FILE_PREFIX), Zxid(5));
        assert_eq!(zxid_from_name("tmp-snapshot.5", SNAPSHOT_FILE_PREFIX), Zxid::NONE);
    }

    #[test]
    fn files_are_sorted_by_zxid_and_not_by_name() {
        let dir = TestDir::new();
        for name in ["log.10", "log.9", "log.a", "snapshot.1", "log.x", "currentEpoch"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let files = sorted_data_dir(dir.path(), LOG_FILE_PREFIX).unwrap();
        assert_eq!(files.iter().map(|file| file.zxid.0).collect::<Vec<_>>(), [9, 10, 16]);
        assert!(sorted_data_dir(&dir.path().join("none"), LOG_FILE_PREFIX).unwrap().is_empty());
        assert!(is_log_file_name("log.x") && !is_log_file_name("logs.1"));
        assert!(is_snapshot_file_name("snapshot.") && !is_snapshot_file_name("tmp-snapshot.1"));
    }
}
