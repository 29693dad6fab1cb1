//! Metrics by name (no Java twin: the maps that both of Java's metrics providers have).
//!
//! Locks: one per table of names. It is held while a metric is created or the table is copied, but never while
//! a gauge is asked, because a gauge may take the lock of the data tree.

use std::sync::Arc;

use super::gauge::Gauge;
use super::gauge_set::GaugeSet;
use crate::server::metric::java_map_order::java_map_order;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The metrics of one kind by name, in registration order.
pub(crate) struct Registry<T: ?Sized> {
    entries: RankedMutex<Vec<(String, Arc<T>)>>,
}

impl<T: ?Sized> Registry<T> {
    pub(crate) const fn new() -> Self {
        Self { entries: RankedMutex::new(Rank::Metrics, "metrics by name", Vec::new()) }
    }

    /// The metric of that name. It is created if it does not exist.
    pub(crate) fn get_or_insert_with(&self, name: &str, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let mut entries = self.entries.lock();
        if let Some((_, metric)) = entries.iter().find(|(other, _)| other == name) {
            return Arc::clone(metric);
        }
        let metric = make();
        entries.push((name.to_owned(), Arc::clone(&metric)));
        metric
    }

    /// Registers the metric and replaces an earlier one of the same name.
    pub(crate) fn put(&self, name: &str, metric: Arc<T>) {
        let mut entries = self.entries.lock();
        match entries.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => *old = metric,
            None => entries.push((name.to_owned(), metric)),
        }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.entries.lock().iter().any(|(other, _)| other == name)
    }

    pub(crate) fn remove(&self, name: &str) {
        self.entries.lock().retain(|(other, _)| other != name);
    }

    pub(crate) fn clear(&self) {
        self.entries.lock().clear();
    }

    /// All metrics, in the order in which Java dumps them.
    pub(crate) fn all(&self) -> Vec<(String, Arc<T>)> {
        let entries = self.entries.lock().clone();
        java_map_order(entries, |(name, _)| name)
    }
}

/// The gauges and the gauge sets of a provider. Their values belong to those who registered them.
pub struct Gauges {
    pub(crate) single: Registry<dyn Gauge>,
    pub(crate) sets: Registry<dyn GaugeSet>,
}

impl Gauges {
    pub(crate) const fn new() -> Self {
        Self { single: Registry::new(), sets: Registry::new() }
    }

    pub(crate) fn clear(&self) {
        self.single.clear();
        self.sets.clear();
    }
}

/// Panics if the name already has a metric at the other level of detail.
pub(crate) fn assert_free<T: ?Sized>(other_level: &Registry<T>, name: &str) {
    assert!(!other_level.contains(name), "{name} is registered with another level of detail");
}
