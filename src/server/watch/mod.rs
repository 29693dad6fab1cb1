//! Java: package org.apache.zookeeper.server.watch: watches.

pub mod i_watch_manager;
pub mod watch_stats;
pub mod watcher_mode;
pub mod watcher_or_bit_set;

pub mod watches_path_report;
pub mod watches_report;
pub mod watches_summary;

pub use i_watch_manager::IWatchManager;
pub use watcher_mode::WatcherMode;
pub use watcher_or_bit_set::WatcherOrBitSet;
