//! The resources of a server's process (no Java twin).

#![allow(dead_code, unreachable_pub, reason = "a module of several test crates")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::fs;

/// A value from `/proc/PID/status`, such as `VmRSS` in KiB or `Threads`.
#[track_caller]
fn status(pid: u32, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let value = value.and_then(|value| value.split_whitespace().next());
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {key} in {text}"))
}

/// The resident memory of the process, in bytes.
#[track_caller]
pub fn resident_bytes(pid: u32) -> u64 {
    status(pid, "VmRSS") * 1024
}

/// The number of its threads.
#[track_caller]
pub fn threads(pid: u32) -> u64 {
    status(pid, "Threads")
}

/// The number of its open files and sockets.
pub fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs").count()
}

/// The memory, threads and open files of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub resident_bytes: u64,
    pub threads: u64,
    pub open_files: usize,
}

impl Taken {
    /// The resources that the process uses now.
    #[track_caller]
    pub fn by(pid: u32) -> Self {
        Self {
            resident_bytes: resident_bytes(pid),
            threads: threads(pid),
            open_files: open_files(pid),
        }
    }
}
