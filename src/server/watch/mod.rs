//! Java: package org.apache.zookeeper.server.watch: watches.

pub mod i_watch_manager;
pub mod watch_stats;
pub mod watcher_mode;
pub mod watcher_or_bit_set;

pub mod path_parent_iterator;
pub mod watch_manager;
pub mod watch_manager_optimized;
pub mod watcher_cleaner;

pub mod watch_manager_factory;

pub mod watches_path_report;
pub mod watches_report;
pub mod watches_summary;

#[cfg(test)]
mod test_watcher;

pub use i_watch_manager::IWatchManager;
pub use watch_manager::WatchManager;
pub use watch_manager_factory::{WatchManagerConfig, WatchManagerError, create_watch_manager};
pub use watch_manager_optimized::WatchManagerOptimized;
pub use watcher_mode::WatcherMode;
pub use watcher_or_bit_set::WatcherOrBitSet;
