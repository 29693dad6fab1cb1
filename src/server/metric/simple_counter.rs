//! A counter (Java: server/metric/SimpleCounter.java).

use super::keyed_set::KeyedMetric;
use super::stripe::StripedLong;
use crate::metrics::counter::Counter;
use crate::metrics::metric_value::MetricValue;
use crate::metrics::metrics_provider::DumpSink;

/// A counter that many threads add to.
#[derive(Debug)]
pub(crate) struct SimpleCounter {
    name: String,
    counter: StripedLong,
}

impl SimpleCounter {
    /// Creates a counter with value 0. It is dumped under `name`.
    #[must_use]
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), counter: StripedLong::new() }
    }
}

impl KeyedMetric for SimpleCounter {
    fn with_name(name: String) -> Self {
        Self::new(name)
    }

    /// Resets the counter to 0.
    fn reset(&self) {
        self.counter.reset();
    }

    /// Passes the name and the value to `sink` (Java: values).
    fn dump(&self, sink: &mut DumpSink<'_>) {
        sink(&self.name, MetricValue::Long(self.value()));
    }
}

impl Counter for SimpleCounter {
    #[inline]
    fn add(&self, delta: i64) {
        self.counter.add(delta);
    }

    fn value(&self) -> i64 {
        self.counter.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_and_is_dumped_under_its_name() {
        let counter = SimpleCounter::new("c");
        counter.inc();
        counter.add(4);
        let mut dumped = Vec::new();
        counter.dump(&mut |name, value| dumped.push(format!("{name} {value}")));
        counter.reset();
        counter.dump(&mut |name, value| dumped.push(format!("{name} {value}")));
        assert_eq!(dumped, ["c 5", "c 0"]);
    }
}
