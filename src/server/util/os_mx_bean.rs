//! Information from the system about this process (Java: server/util/OSMXBean.java).

use std::fs;

/// The number of open file descriptors; -1 if the system does not provide it.
#[must_use]
pub(crate) fn open_file_descriptor_count() -> i64 {
    // One of the entries is the descriptor of this directory listing.
    fs::read_dir("/proc/self/fd").map_or(-1, |fds| i64::try_from(fds.count()).map_or(-1, |n| n - 1))
}

/// The limit on open file descriptors; -1 if the system does not provide it.
#[must_use]
pub(crate) fn max_file_descriptor_count() -> i64 {
    fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(soft_limit).unwrap_or(-1)
}

/// The current (soft) limit from the kernel's table of limits.
fn soft_limit(limits: &str) -> Option<i64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(i64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_opened_counts() {
        let limit = max_file_descriptor_count();
        let before = open_file_descriptor_count();
        assert!(0 < before && before <= limit, "{before} of {limit}");
        let files: Vec<_> = (0..50).map(|_| fs::File::open("/proc/self/limits").unwrap()).collect();
        // Other tests open and close files at the same time, but not fifty.
        assert!(open_file_descriptor_count() > before + 10);
        drop(files);
    }

    #[test]
    fn the_soft_limit_is_the_one_that_holds() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             100                  100                  \
                      processes\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(soft_limit(limits), Some(1024));
        assert_eq!(soft_limit("Max open files unlimited unlimited files"), Some(i64::MAX));
        assert_eq!(soft_limit(""), None);
    }
}
