//! Java: package org.apache.zookeeper.server.watch: watches.

pub(crate) mod i_watch_manager;
pub(crate) mod watch_stats;
pub(crate) mod watcher_mode;
pub(crate) mod watcher_or_bit_set;

pub(crate) mod path_parent_iterator;
pub(crate) mod watch_manager;
pub(crate) mod watch_manager_optimized;
pub(crate) mod watcher_cleaner;

pub(crate) mod watch_manager_factory;

pub(crate) mod watches_path_report;
pub(crate) mod watches_report;
pub(crate) mod watches_summary;

#[cfg(test)]
mod test_watcher;

pub use watch_manager::WatchManager;
