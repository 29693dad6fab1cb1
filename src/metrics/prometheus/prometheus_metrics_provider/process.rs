//! Metrics of the process (Java: StandardExports of Prometheus's client library).
//!
//! The other collectors that `exportJvmInfo` enables in Java are about the JVM: memory pools, garbage
//! collection, classes. They have no counterpart here.

use std::fs;

use super::family::{Family, Kind};
use super::prometheus_summary::as_double;
use crate::server::util::os_mx_bean;

/// The metrics that every Prometheus client exports. Values that the system does not provide are left out.
pub(super) fn families() -> Vec<Family> {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let boot = fs::read_to_string("/proc/stat").ok().as_deref().and_then(boot_time_s);
    let stat = stat.as_deref().and_then(Stat::parse);
    let ticks = as_double(i64::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100));
    let page = as_double(i64::try_from(rustix::param::page_size()).unwrap_or(4096));
    let gauge = |name, help, value| Family::of_one(name, Kind::Gauge, value).with_help(help);
    let mut families = Vec::new();
    if let Some(stat) = &stat {
        let cpu_s = as_double(stat.cpu_ticks) / ticks;
        let family = Family::of_one("process_cpu_seconds_total", Kind::Counter, cpu_s);
        families.push(family.with_help("Total user and system CPU time spent in seconds."));
        if let Some(boot_s) = boot {
            let start_s = as_double(boot_s) + as_double(stat.start_ticks) / ticks;
            let help = "Start time of the process since unix epoch in seconds.";
            families.push(gauge("process_start_time_seconds", help, start_s));
        }
    }
    let open_fds = as_double(os_mx_bean::open_file_descriptor_count());
    families.push(gauge("process_open_fds", "Number of open file descriptors.", open_fds));
    let max_fds = as_double(os_mx_bean::max_file_descriptor_count());
    let help = "Maximum number of open file descriptors.";
    families.push(gauge("process_max_fds", help, max_fds));
    if let Some(stat) = &stat {
        let virtual_bytes = as_double(stat.virtual_bytes);
        let help = "Virtual memory size in bytes.";
        families.push(gauge("process_virtual_memory_bytes", help, virtual_bytes));
        let resident_bytes = as_double(stat.resident_pages) * page;
        let help = "Resident memory size in bytes.";
        families.push(gauge("process_resident_memory_bytes", help, resident_bytes));
    }
    families
}

/// Some fields of `/proc/self/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// CPU time in user mode and in the kernel.
    cpu_ticks: i64,
    /// The start time, counted from boot.
    start_ticks: i64,
    virtual_bytes: i64,
    resident_pages: i64,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The second field is a name in parentheses, which may contain any character.
        let after_name = &line[line.rfind(')')? + 1..];
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        // Fields are numbered from 1 as in the kernel's manual. The first field after the name is number 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<i64>().ok();
        Some(Self {
            cpu_ticks: field(14)?.wrapping_add(field(15)?),
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// The boot time, in seconds since 1970.
fn boot_time_s(stat: &str) -> Option<i64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_is_read_behind_the_name() {
        let line = "4711 (zoo) keeper) S 1 2 3 4 5 6 7 8 9 10 120 25 14 15 \
                    16 17 18 19 5000 1048576 300 22";
        let stat = Stat {
            cpu_ticks: 145,
            start_ticks: 5000,
            virtual_bytes: 1_048_576,
            resident_pages: 300,
        };
        assert_eq!(Stat::parse(line), Some(stat));
        assert_eq!(Stat::parse("4711 (x) S 1"), None);
        assert_eq!(boot_time_s("cpu 1 2\nbtime 1795252000\nprocesses 7\n"), Some(1_795_252_000));
    }

    #[test]
    fn this_process_has_run_and_uses_memory() {
        let mut values = Vec::new();
        for family in families() {
            family.dump(&mut |name, value| values.push((name.to_owned(), value.as_double())));
        }
        let names: Vec<_> = values.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "process_cpu_seconds_total",
                "process_start_time_seconds",
                "process_open_fds",
                "process_max_fds",
                "process_virtual_memory_bytes",
                "process_resident_memory_bytes"
            ]
        );
        assert!(values[1..].iter().all(|(_, value)| *value > 0.0), "{values:?}");
    }
}
