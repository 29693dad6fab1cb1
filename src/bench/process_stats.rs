//! CPU time and memory of a process and of those that it started, from Linux's `/proc` (no Java twin).
//!
//! On other systems this directory does not exist. All values are unknown there, and reports leave them out.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The directory in which the kernel shows its processes.
#[derive(Clone, Debug)]
pub(crate) struct ProcessStats {
    proc: PathBuf,
    ticks_per_second: u64,
}

/// The CPU times in `/proc/PID/stat`, in clock ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    pid: u32,
    parent: u32,
    /// User and system time of the process itself and of its children that have ended.
    ticks: u64,
}

/// Memory of a process tree, in bytes, and its threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident memory now (VmRSS).
    pub(crate) resident: u64,
    /// The number of threads. The kernel keeps a stack for each, which the memory of the process does not include.
    pub(crate) threads: u64,
}

impl Default for ProcessStats {
    fn default() -> Self {
        Self { proc: "/proc".into(), ticks_per_second: rustix::param::clock_ticks_per_second() }
    }
}

impl ProcessStats {
    /// The CPU time that the processes and their descendants have used. `None` if one of them has ended, if `pids` is
    /// empty, or if the system has no `/proc`.
    #[must_use]
    pub(crate) fn cpu_of_trees(&self, pids: &[u32]) -> Option<Duration> {
        let ticks = trees(pids, &self.all_stats())?.iter().map(|stat| stat.ticks).sum::<u64>();
        Some(self.duration(ticks))
    }

    /// The memory of the processes and their descendants. `None` in the same cases as
    /// [`cpu_of_trees`](Self::cpu_of_trees).
    #[must_use]
    pub(crate) fn memory_of_trees(&self, pids: &[u32]) -> Option<Memory> {
        let mut sum = Memory::default();
        for stat in trees(pids, &self.all_stats())? {
            let path = self.proc.join(stat.pid.to_string()).join("status");
            let memory = fs::read_to_string(path).ok().and_then(|status| parse_memory(&status));
            let memory = memory.unwrap_or_default(); // ended in between
            sum.resident += memory.resident;
            sum.threads += memory.threads;
        }
        Some(sum)
    }

    /// The process and its descendants. Only the process if the system has no `/proc`; empty if the process has
    /// ended.
    pub(crate) fn pids_of_tree(&self, pid: u32) -> Vec<u32> {
        let stats = self.all_stats();
        if stats.is_empty() {
            return vec![pid];
        }
        tree(pid, &stats).unwrap_or_default().iter().map(|stat| stat.pid).collect()
    }

    /// The CPU time that this process has used. `None` if the system has no `/proc`.
    #[must_use]
    pub(crate) fn own_cpu(&self) -> Option<Duration> {
        let stat = fs::read_to_string(self.proc.join("self/stat")).ok()?;
        parse_stat(&stat).map(|stat| self.duration(stat.ticks))
    }

    /// The CPU time that the whole machine has used, including interrupts and a hypervisor's share. `None` if the
    /// system has no `/proc`.
    pub(crate) fn machine_cpu(&self) -> Option<Duration> {
        let stat = fs::read_to_string(self.proc.join("stat")).ok()?;
        parse_machine(&stat).map(|ticks| self.duration(ticks))
    }

    fn duration(&self, ticks: u64) -> Duration {
        Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / self.ticks_per_second.max(1)))
    }

    fn all_stats(&self) -> Vec<Stat> {
        let Ok(entries) = fs::read_dir(&self.proc) else { return Vec::new() };
        entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
            .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
            .filter_map(|stat| parse_stat(&stat))
            .collect()
    }
}

/// The processes and their descendants; `None` if one process does not exist. No process may be a descendant of
/// another.
fn trees(roots: &[u32], stats: &[Stat]) -> Option<Vec<Stat>> {
    let mut members = Vec::new();
    for root in roots {
        members.extend(tree(*root, stats)?);
    }
    (!roots.is_empty()).then_some(members)
}

/// The process and its descendants; `None` if the process does not exist.
fn tree(root: u32, stats: &[Stat]) -> Option<Vec<Stat>> {
    let mut members = vec![*stats.iter().find(|stat| stat.pid == root)?];
    let mut at = 0;
    while let Some(parent) = members.get(at).map(|stat| stat.pid) {
        members.extend(stats.iter().filter(|stat| stat.parent == parent && stat.pid != parent));
        at += 1;
    }
    Some(members)
}

/// Fields 1, 4 and 14 to 17 of `/proc/PID/stat`. The name in field 2 may hold blanks and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let (front, rest) = text.rsplit_once(')')?;
    let pid = front.split_once(' ')?.0.parse().ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect(); // from field 3 on
    let parent = fields.get(1)?.parse().ok()?;
    let mut ticks = 0_u64;
    for field in fields.get(11..15)? {
        ticks = ticks.saturating_add(field.parse::<i64>().ok()?.unsigned_abs());
    }
    Some(Stat { pid, parent, ticks })
}

/// The first line of `/proc/stat` without the idle time in columns 4 and 5, and without the guests' time, which other
/// columns include.
fn parse_machine(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks = line.split_ascii_whitespace().map(str::parse::<u64>);
    let ticks = ticks.collect::<Result<Vec<u64>, _>>().ok()?;
    let idle: u64 = ticks.get(3..5)?.iter().sum();
    Some(ticks.iter().take(8).sum::<u64>().saturating_sub(idle))
}

/// VmRSS and Threads of `/proc/PID/status`; `None` for a kernel thread or a process that has ended.
fn parse_memory(status: &str) -> Option<Memory> {
    let value_of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes: u64 = value_of("VmRSS:")?.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    let threads = value_of("Threads:")?.trim().parse().ok()?;
    Some(Memory { resident: kibibytes * 1024, threads })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_blanks_and_parentheses() {
        let text =
            "4711 (a) b (c d) S 12 4711 4711 0 -1 4194560 100 200 0 0 7 5 3 1 20 0 9 0 100 1 2";
        assert_eq!(parse_stat(text), Some(Stat { pid: 4711, parent: 12, ticks: 16 }));
        for broken in ["", "4711 (a", "4711 (a) S 12 1 2", "x (a) S 12 1 1 0 1 1 1 1 1 1 1 1 1 1"] {
            assert_eq!(parse_stat(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_tree_holds_descendants_and_nobody_else() {
        let stat = |pid, parent| Stat { pid, parent, ticks: 1 };
        let stats = [stat(1, 0), stat(5, 1), stat(7, 5), stat(6, 5), stat(9, 7), stat(8, 1)];
        let mut pids: Vec<u32> = tree(5, &stats).unwrap().iter().map(|stat| stat.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [5, 6, 7, 9]);
        assert_eq!(tree(4, &stats), None);

        assert_eq!(trees(&[7, 8], &stats).map(|members| members.len()), Some(3));
        assert_eq!((trees(&[7, 4], &stats), trees(&[], &stats)), (None, None));
    }

    #[test]
    fn the_machine_is_busy_with_all_but_idle_time() {
        let stat = "cpu  10 20 30 1000 500 1 2 4 100 100\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(parse_machine(stat), Some(67));
        assert_eq!(parse_machine("intr 5"), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmPeak:\t  99 kB\nVmRSS:\t   1024 kB\nThreads:\t7\n";
        assert_eq!(parse_memory(status), Some(Memory { resident: 1024 * 1024, threads: 7 }));
        assert_eq!(parse_memory("Name:\tkthreadd\nThreads:\t1\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_a_missing_one_has_none() {
        let stats = ProcessStats::default();
        let memory = stats.memory_of_trees(&[std::process::id()]).unwrap();
        assert!(memory.resident > 0 && memory.threads > 0);
        assert!(stats.own_cpu().is_some() && stats.machine_cpu().is_some());
        assert_eq!(stats.cpu_of_trees(&[u32::MAX]), None);
    }
}
