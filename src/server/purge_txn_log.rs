//! Deletes old snapshots and the log files that only they need (Java: server/PurgeTxnLog.java).
//!
//! No threads, no locks. It may run beside a server, because it never touches the newest files.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use log::info;

use super::exit_code::ExitCode;
use super::persistence::file_txn_snap_log::{DatadirError, FileTxnSnapLog, FileTxnSnapLogConfig};
use super::persistence::snap_shot::SnapError;
use super::persistence::txn_log::TxnLogError;
use super::persistence::util::{LOG_FILE_PREFIX, SNAPSHOT_FILE_PREFIX, zxid_from_name};
use crate::common::java_date;
use crate::common::time;
use crate::common::zk_config::SystemProperties;
use crate::ids::Zxid;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.PurgeTxnLog";

/// The smallest number of snapshots that may be kept.
pub const MIN_SNAP_RETAIN_COUNT: usize = 3;

const USAGE: &str = "\
Usage:
PurgeTxnLog dataLogDir [snapDir] -n count
\tdataLogDir -- path to the txn log directory
\tsnapDir -- path to the snapshot directory
\tcount -- the number of old snaps/logs you want to keep, value should be greater than or equal to 3
";

/// Why nothing was purged.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// The count is too small.
    #[error("count should be greater than or equal to 3")]
    Count,
    /// A directory cannot be used.
    #[error(transparent)]
    Datadir(#[from] DatadirError),
    /// The snapshots cannot be listed.
    #[error(transparent)]
    Snap(#[from] SnapError),
    /// The log files cannot be listed.
    #[error(transparent)]
    TxnLog(#[from] TxnLogError),
}

/// What happened to a file.
#[derive(Debug)]
pub enum Purged<'a> {
    /// The file is about to be deleted. The text is Java's line about it.
    Removing(&'a str),
    /// It could not be deleted.
    Failed(&'a Path),
}

/// Keeps the newest `num` snapshots that look complete, and all log files that the oldest of them needs. Deletes
/// older files. Calls `report` for each of those.
///
/// # Errors
/// When `num` is below 3, or a directory cannot be used.
pub fn purge(
    data_dir: &Path,
    snap_dir: &Path,
    num: usize,
    config: FileTxnSnapLogConfig,
    report: impl FnMut(Purged<'_>),
) -> Result<(), PurgeError> {
    if num < MIN_SNAP_RETAIN_COUNT {
        return Err(PurgeError::Count);
    }
    let txn_log = FileTxnSnapLog::new(data_dir, snap_dir, config, Arc::new(()))?;
    let snapshots = txn_log.find_n_valid_snapshots(num)?;
    match snapshots.last() {
        Some(oldest) => purge_older_snapshots(&txn_log, oldest.zxid, report),
        None => Ok(()),
    }
}

/// Deletes snapshots and log files whose zxid is lower than that of the oldest snapshot to keep. The last log file
/// that starts at or before this zxid stays, because it may contain transactions after the snapshot.
fn purge_older_snapshots(
    txn_log: &FileTxnSnapLog,
    least_zxid_to_be_retained: Zxid,
    mut report: impl FnMut(Purged<'_>),
) -> Result<(), PurgeError> {
    let retained = txn_log.snapshot_logs(least_zxid_to_be_retained)?;
    let retained: HashSet<PathBuf> = retained.into_iter().map(|file| file.path).collect();
    let mut files = older_files(txn_log.data_log_dir(), LOG_FILE_PREFIX, least_zxid_to_be_retained)
        .map_err(TxnLogError::io("list the log files in", txn_log.data_log_dir()))?;
    files.retain(|path| !retained.contains(path));
    let snapshots =
        older_files(txn_log.snap_dir(), SNAPSHOT_FILE_PREFIX, least_zxid_to_be_retained)
            .map_err(SnapError::io("list the snapshots in", txn_log.snap_dir()))?;
    files.extend(snapshots);
    for path in files {
        let line = format!("Removing file: {}\t{}", last_modified(&path), path.display());
        info!(target: LOG, "{line}");
        report(Purged::Removing(&line));
        if fs::remove_file(&path).is_err() {
            report(Purged::Failed(&path));
        }
    }
    Ok(())
}

/// As in Java, a name without a valid zxid counts as lower than all others.
fn older_files(directory: &Path, prefix: &str, least: Zxid) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_of_prefix = name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
        if is_of_prefix && zxid_from_name(name, prefix) < least {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// In the format of java.text.DateFormat for English.
fn last_modified(path: &Path) -> String {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let age = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    java_date::local_time(time::millis(age), "%b %-d, %Y, %-I:%M:%S %p")
}

/// The command: `dataLogDir [snapDir] -n count`.
pub fn main(
    args: &[String],
    properties: &SystemProperties,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let (data_dir, snap_dir, num) = match parse(args) {
        Ok(parsed) => parsed,
        Err(problem) => {
            return print(err, &problem, print(out, USAGE, ExitCode::UnexpectedError));
        }
    };
    let config = FileTxnSnapLogConfig::from_properties(properties);
    let mut code = ExitCode::ExecutionFinished;
    let purged = purge(data_dir, snap_dir, num, config, |file| match file {
        Purged::Removing(line) => code = print(out, &format!("{line}\n"), code),
        Purged::Failed(path) => {
            code = print(err, &format!("Failed to remove {}\n", path.display()), code);
        }
    });
    match purged {
        Ok(()) => code,
        Err(problem) => print(err, &format!("{problem}\n"), ExitCode::UnexpectedError),
    }
}

/// Parses directories and count. The error is the text to print before the usage.
fn parse(args: &[String]) -> Result<(&Path, &Path, usize), String> {
    let (data_dir, snap_dir, option, count) = match args {
        [data_dir, option, count] => (data_dir, data_dir, option, count),
        [data_dir, snap_dir, option, count] => (data_dir, snap_dir, option, count),
        _ => return Err(String::new()),
    };
    for path in [data_dir, snap_dir].map(Path::new) {
        if !path.exists() {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            return Err(format!("Path '{}' does not exist. \n", path.display()));
        }
    }
    let number: i32 =
        count.parse().map_err(|_| format!("'{count}' can not be parsed to integer.\n"))?;
    let number = usize::try_from(number).ok().filter(|number| *number >= MIN_SNAP_RETAIN_COUNT);
    let number = number.ok_or_else(|| format!("{}\n", PurgeError::Count))?;
    if option != "-n" {
        return Err(String::new());
    }
    Ok((Path::new(data_dir), Path::new(snap_dir), number))
}

/// Prints the text. Returns `code`, or an error's code if printing fails.
fn print(out: &mut dyn Write, text: &str, code: ExitCode) -> ExitCode {
    match out.write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::UnexpectedError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::persistence::test_dir::TestDir;

    /// Creates a directory `version-2` with these files. The snapshots look complete.
    fn dir_with(names: &[&str]) -> TestDir {
        let dir = TestDir::new();
        let version = dir.path().join("version-2");
        fs::create_dir(&version).unwrap();
        for name in names {
            fs::write(version.join(name), b"0123456789\0\0\0\x01/").unwrap();
        }
        dir
    }

    fn names(dir: &TestDir) -> Vec<String> {
        let entries = fs::read_dir(dir.path().join("version-2")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn purged(names_before: &[&str], num: usize) -> Vec<String> {
        let dir = dir_with(names_before);
        let config = FileTxnSnapLogConfig::default();
        purge(dir.path(), dir.path(), num, config, |_| ()).unwrap();
        names(&dir)
    }

    #[test]
    fn the_log_that_starts_before_the_oldest_kept_snapshot_is_kept() {
        let all = [
            "log.1",
            "log.10",
            "log.20",
            "log.30",
            "snapshot.0",
            "snapshot.15",
            "snapshot.25",
            "snapshot.35",
        ];
        assert_eq!(
            purged(&all, 3),
            ["log.10", "log.20", "log.30", "snapshot.15", "snapshot.25", "snapshot.35"]
        );
        assert_eq!(purged(&all, 4), all);
        // The log that starts with the snapshot's own zxid may continue after the snapshot.
        assert_eq!(
            purged(&["log.1", "log.15", "snapshot.15", "snapshot.25", "snapshot.35"], 3),
            ["log.15", "snapshot.15", "snapshot.25", "snapshot.35"]
        );
    }

    #[test]
    fn with_too_few_snapshots_nothing_goes_but_what_is_older_than_all() {
        assert_eq!(purged(&["log.1", "log.2", "log.3"], 3), ["log.1", "log.2", "log.3"]);
        assert_eq!(
            purged(&["log.1", "log.3", "snapshot.2", "snapshot.4"], 3),
            ["log.1", "log.3", "snapshot.2", "snapshot.4"]
        );
    }

    #[test]
    fn a_snapshot_that_is_not_whole_is_not_counted_and_goes_when_it_is_old() {
        let dir =
            dir_with(&["log.1", "log.9", "snapshot.1", "snapshot.5", "snapshot.6", "snapshot.7"]);
        let version = dir.path().join("version-2");
        fs::write(version.join("snapshot.4"), "half").unwrap();
        fs::write(version.join("snapshot.8"), "half").unwrap();
        fs::write(version.join("snapshot.9.gz"), b"\x1f\x8b").unwrap();
        fs::write(version.join("acceptedEpoch"), "1").unwrap();
        fs::write(version.join("log.nothex"), "").unwrap();
        fs::write(version.join("snapshots.1"), "").unwrap();
        let config = FileTxnSnapLogConfig::default();
        purge(dir.path(), dir.path(), 3, config, |_| ()).unwrap();
        assert_eq!(
            names(&dir),
            [
                "acceptedEpoch",
                "log.1",
                "log.9",
                "snapshot.6",
                "snapshot.7",
                "snapshot.8",
                "snapshot.9.gz",
                "snapshots.1"
            ]
        );
    }

    #[test]
    fn log_and_snapshots_may_be_apart() {
        let logs = dir_with(&["log.1", "log.2", "log.3", "log.4"]);
        let snapshots = dir_with(&["snapshot.1", "snapshot.2", "snapshot.3", "snapshot.4"]);
        let config = FileTxnSnapLogConfig::default();
        purge(logs.path(), snapshots.path(), 3, config, |_| ()).unwrap();
        assert_eq!(names(&logs), ["log.2", "log.3", "log.4"]);
        assert_eq!(names(&snapshots), ["snapshot.2", "snapshot.3", "snapshot.4"]);
    }

    fn run(args: &[&str]) -> (ExitCode, String, String) {
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = main(&args, &SystemProperties::new(), &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn the_command_names_each_file_that_it_deletes() {
        let dir = dir_with(&["snapshot.1", "snapshot.2", "snapshot.3", "snapshot.4"]);
        let (code, out, err) = run(&[dir.path().to_str().unwrap(), "-n", "3"]);
        assert_eq!((code, err.as_str()), (ExitCode::ExecutionFinished, ""));
        assert!(
            out.starts_with("Removing file: ") && out.ends_with("version-2/snapshot.1\n"),
            "{out}"
        );
    }

    #[test]
    fn wrong_arguments_get_the_usage() {
        let dir = TestDir::new();
        let path = dir.path().to_str().unwrap();
        for (args, says) in [
            (&[path, "-n"][..], ""),
            (&[path, "-n", "2"], "count should be greater than or equal to 3\n"),
            (&[path, "-n", "x"], "'x' can not be parsed to integer.\n"),
            (&[path, "-m", "3"], ""),
            (&["/no/such/dir", "-n", "3"], "Path '/no/such/dir' does not exist. \n"),
            (&[path, path, "-n", "3", "4"], ""),
        ] {
            let (code, out, err) = run(args);
            assert_eq!(
                (code, out.as_str(), err.as_str()),
                (ExitCode::UnexpectedError, USAGE, says)
            );
        }
        assert!(dir.names().is_empty());
    }
}
