//! Creates the watch manager that the settings name (Java: server/watch/WatchManagerFactory.java).
//!
//! Java loads any class of that name. Here there are two managers, under Java's full names or without the
//! package.

use std::io;
use std::sync::Arc;

use log::info;

use crate::common::zk_config::SystemProperties;
use crate::server::server_metrics::ServerMetrics;
use crate::server::util::bit_hash_set::DEFAULT_CACHE_SIZE;

use super::i_watch_manager::IWatchManager;
use super::watch_manager::WatchManager;
use super::watch_manager_optimized::WatchManagerOptimized;
use super::watcher_cleaner::WatcherCleanerConfig;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.watch.WatchManagerFactory";

/// The property that names the manager.
pub(crate) const ZOOKEEPER_WATCH_MANAGER_NAME: &str = "zookeeper.watchManagerName";

/// Java's package, an optional prefix of the name.
const PACKAGE: &str = "org.apache.zookeeper.server.watch.";

/// The selected watch manager and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchManagerConfig {
    /// The class (`zookeeper.watchManagerName`).
    pub watch_manager_name: String,
    /// The minimum number of watchers of a path that are kept as a list (`zookeeper.bitHashCacheSize`; only for
    /// `WatchManagerOptimized`).
    pub bit_hash_cache_size: usize,
    /// How closed watchers are cleaned up (only for `WatchManagerOptimized`).
    pub cleaner: WatcherCleanerConfig,
}

impl WatchManagerConfig {
    /// Reads the properties. [`create_watch_manager`] checks the name.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        let name = properties.get(ZOOKEEPER_WATCH_MANAGER_NAME);
        let default_size = i32::try_from(DEFAULT_CACHE_SIZE).unwrap_or(i32::MAX);
        let size = properties.number_or::<i32>("zookeeper.bitHashCacheSize", default_size);
        Self {
            watch_manager_name: name
                .map_or_else(|| format!("{PACKAGE}WatchManager"), str::to_owned),
            bit_hash_cache_size: usize::try_from(size).unwrap_or(0),
            cleaner: WatcherCleanerConfig::from_properties(properties),
        }
    }
}

impl Default for WatchManagerConfig {
    fn default() -> Self {
        Self::from_properties(&SystemProperties::new())
    }
}

/// Why a watch manager cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum WatchManagerError {
    /// The name is unknown.
    #[error(
        "Couldn't instantiate {name}: {ZOOKEEPER_WATCH_MANAGER_NAME} must be {PACKAGE}WatchManager (the default) or \
         {PACKAGE}WatchManagerOptimized, the package may be left out"
    )]
    UnknownName {
        /// The name in the setting.
        name: String,
    },
    /// The manager's threads cannot be started.
    #[error("Couldn't instantiate {name}: no thread for its watcher cleaner")]
    NoThread {
        /// The name in the setting.
        name: String,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Creates a watch manager (Java: createWatchManager). The caller must shut it down.
///
/// # Errors
/// When the name is unknown, or the manager's threads cannot be started.
pub(crate) fn create_watch_manager(
    config: &WatchManagerConfig,
    metrics: &Arc<ServerMetrics>,
) -> Result<Arc<dyn IWatchManager>, WatchManagerError> {
    let name = &config.watch_manager_name;
    let metrics = Arc::clone(metrics);
    let manager: Arc<dyn IWatchManager> = match name.strip_prefix(PACKAGE).unwrap_or(name) {
        "WatchManager" => Arc::new(WatchManager::new(metrics)),
        "WatchManagerOptimized" => {
            let manager =
                WatchManagerOptimized::start(config.cleaner, config.bit_hash_cache_size, metrics)
                    .map_err(|source| WatchManagerError::NoThread { name: name.clone(), source })?;
            Arc::new(manager)
        }
        _ => return Err(WatchManagerError::UnknownName { name: name.clone() }),
    };
    info!(target: LOG, "Using {name} as watch manager");
    Ok(manager)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::watch::test_watcher::TestWatcher;
    use crate::server::watch::watcher_mode::WatcherMode;

    fn create(name: Option<&str>) -> Result<Arc<dyn IWatchManager>, WatchManagerError> {
        let pairs = name.map(|name| (ZOOKEEPER_WATCH_MANAGER_NAME, name));
        let properties = SystemProperties::from_pairs(pairs);
        create_watch_manager(
            &WatchManagerConfig::from_properties(&properties),
            &ServerMetrics::null(),
        )
    }

    #[test]
    fn java_s_names_and_short_ones_make_the_manager_that_they_name() {
        let watcher = TestWatcher::new(1).as_ref();
        for (name, persistent) in [
            (None, true),
            (Some("WatchManager"), true),
            (Some("org.apache.zookeeper.server.watch.WatchManager"), true),
            (Some("WatchManagerOptimized"), false),
            (Some("org.apache.zookeeper.server.watch.WatchManagerOptimized"), false),
        ] {
            let manager = create(name).unwrap();
            let added = manager.add_watch_mode("/a", &watcher, WatcherMode::Persistent);
            assert_eq!(added.is_ok(), persistent, "{name:?}");
            manager.shutdown();
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_names_that_exist() {
        let error = create(Some("com.example.Mine")).err().unwrap().to_string();
        assert!(error.contains("com.example.Mine"), "{error}");
        assert!(error.contains("server.watch.WatchManagerOptimized"), "{error}");
    }
}
