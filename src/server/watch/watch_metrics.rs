//! What watches count (no Java twin: there the managers reach into the one ServerMetrics).

use crate::watcher::EventType;

/// Where the managers and the cleaner count. Recording must not block.
pub trait WatchMetrics: Send + Sync {
    /// A change was told to that many watchers (Java: node_created_watch_count, node_deleted_watch_count,
    /// node_changed_watch_count, node_children_watch_count).
    fn watches_fired(&self, event_type: EventType, watchers: usize);
    /// Somebody waited that long because too many dead watchers were not cleaned up yet (Java:
    /// add_dead_watcher_stall_time).
    fn add_dead_watcher_stalled(&self, stall_time_ms: i64);
    /// A dead watcher waits to be cleaned up (Java: dead_watchers_queued).
    fn dead_watcher_queued(&self);
    /// That many are cleaned up, which took so long (Java: dead_watchers_cleared, dead_watchers_cleaner_latency).
    fn dead_watchers_cleared(&self, watchers: usize, latency_ms: i64);
}

/// Counts nothing.
impl WatchMetrics for () {
    fn watches_fired(&self, _: EventType, _: usize) {}
    fn add_dead_watcher_stalled(&self, _: i64) {}
    fn dead_watcher_queued(&self) {}
    fn dead_watchers_cleared(&self, _: usize, _: i64) {}
}
