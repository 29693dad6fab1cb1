//! The environment of the process (Java: org/apache/zookeeper/Environment.java).
//!
//! The keys are Java's, because tools look for them. The values are the equivalents without a JVM. There is no Java
//! version, vendor, home, library path or compiler; Java itself writes `<NA>` for unknown values. The class path is
//! the path of the program. The memory is that of the machine, where Java reports its heap.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use log::info;

use crate::version;

/// The value for everything unknown.
const NOT_AVAILABLE: &str = "<NA>";

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Java's key.
    pub key: &'static str,
    /// The value.
    pub value: String,
}

/// Prints `key=value`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

/// All entries, in Java's order.
#[must_use]
pub(crate) fn list() -> Vec<Entry> {
    let not_available = || NOT_AVAILABLE.to_owned();
    let path = |path: Option<PathBuf>| {
        path.map_or_else(not_available, |path| path.to_string_lossy().into_owned())
    };
    let user = User::of_this_process();
    let memory = Memory::of_this_machine();
    let entries = [
        ("zookeeper.version", version::full_version()),
        ("host.name", kernel_value("hostname").unwrap_or_else(not_available)),
        ("java.version", not_available()),
        ("java.vendor", not_available()),
        ("java.home", not_available()),
        ("java.class.path", path(std::env::current_exe().ok())),
        ("java.library.path", not_available()),
        ("java.io.tmpdir", path(Some(std::env::temp_dir()))),
        ("java.compiler", not_available()),
        ("os.name", java_os_name(std::env::consts::OS).to_owned()),
        ("os.arch", java_arch(std::env::consts::ARCH).to_owned()),
        ("os.version", kernel_value("osrelease").unwrap_or_else(not_available)),
        ("user.name", user.as_ref().map_or_else(not_available, |user| user.name.clone())),
        ("user.home", user.map_or_else(not_available, |user| user.home)),
        ("user.dir", path(std::env::current_dir().ok())),
        ("os.memory.free", memory.free),
        ("os.memory.max", memory.max),
        ("os.memory.total", memory.total),
    ];
    entries.into_iter().map(|(key, value)| Entry { key, value }).collect()
}

/// The name of the user who runs the process (Java: the property `user.name`).
#[must_use]
pub(crate) fn user_name() -> String {
    User::of_this_process().map_or_else(|| NOT_AVAILABLE.to_owned(), |user| user.name)
}

/// The home directory of the user who runs the process (Java: the property `user.home`).
#[must_use]
pub(crate) fn user_home() -> Option<PathBuf> {
    User::of_this_process().map(|user| user.home.into())
}

/// Logs every entry after `message`, with that logger (Java: logEnv).
pub(crate) fn log_env(message: &str, target: &str) {
    for entry in list() {
        info!(target: target, "{message}{entry}");
    }
}

/// A value from `/proc/sys/kernel`.
fn kernel_value(name: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new("/proc/sys/kernel").join(name)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The system's name in Java's spelling.
fn java_os_name(os: &str) -> &str {
    match os {
        "linux" => "Linux",
        "macos" => "Mac OS X",
        "freebsd" => "FreeBSD",
        other => other,
    }
}

/// The processor's name in Java's spelling.
fn java_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "x86" => "i386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// The user who runs the process, from the system's list of users.
struct User {
    name: String,
    home: String,
}

impl User {
    fn of_this_process() -> Option<Self> {
        let uid = fs::metadata("/proc/self").ok()?.uid();
        Self::find(&fs::read_to_string("/etc/passwd").ok()?, uid)
    }

    fn find(passwd: &str, uid: u32) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields[..] {
                [name, _, id, _, _, home, ..] if id.parse() == Ok(uid) => {
                    Some(Self { name: name.to_owned(), home: home.to_owned() })
                }
                _ => None,
            }
        })
    }
}

/// Amounts of memory, each with its unit.
struct Memory {
    free: String,
    max: String,
    total: String,
}

impl Memory {
    /// Free: the memory that can be used without swapping. Total: the memory of the machine. Max: the limit of the
    /// process's cgroup, or the total.
    fn of_this_machine() -> Self {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
        Self::from(&meminfo, limit.as_deref())
    }

    fn from(meminfo: &str, limit: Option<&str>) -> Self {
        let kib_of = |key: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim_start_matches(':').split_whitespace().next()?.parse::<u64>().ok()
        };
        let text =
            |mib: Option<u64>| mib.map_or(NOT_AVAILABLE.to_owned(), |mib| format!("{mib}MB"));
        let total = kib_of("MemTotal").map(|kib| kib / 1024);
        let limit =
            limit.and_then(|bytes| bytes.trim().parse::<u64>().ok()).map(|bytes| bytes >> 20);
        Self {
            free: text(kib_of("MemAvailable").map(|kib| kib / 1024)),
            max: text(match (limit, total) {
                (Some(limit), Some(total)) => Some(limit.min(total)),
                (limit, total) => limit.or(total),
            }),
            total: text(total),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_javas_in_javas_order() {
        let keys: Vec<_> = list().into_iter().map(|entry| entry.key).collect();
        assert_eq!(
            keys.join(" "),
            "zookeeper.version host.name java.version java.vendor java.home java.class.path \
             java.library.path \
             java.io.tmpdir java.compiler os.name os.arch os.version user.name user.home user.dir \
             os.memory.free \
             os.memory.max os.memory.total"
        );
        assert!(list().iter().all(|entry| !entry.value.is_empty()));
    }

    #[test]
    fn a_user_is_found_by_his_number() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbroken\nzk:x:101:102:ZooKeeper,,,:\
                      /var/lib/zk:/bin/false\n";
        let user = User::find(passwd, 101).unwrap();
        assert_eq!((user.name.as_str(), user.home.as_str()), ("zk", "/var/lib/zk"));
        assert!(User::find(passwd, 1).is_none());
    }

    #[test]
    fn memory_is_told_in_mebibytes_and_the_smaller_limit_counts() {
        let meminfo =
            "MemTotal:       24684812 kB\nMemFree:        1 kB\nMemAvailable:    1048576 kB\n";
        let memory = Memory::from(meminfo, Some("536870912\n"));
        assert_eq!([memory.free, memory.max, memory.total], ["1024MB", "512MB", "24106MB"]);
        assert_eq!(Memory::from(meminfo, Some("max")).max, "24106MB");
        assert_eq!(Memory::from("", None).total, "<NA>");
    }
}
