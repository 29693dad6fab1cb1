//! Summaries with percentiles by key (Java: server/metric/AvgMinMaxPercentileCounterSet.java).

use super::avg_min_max_percentile_counter::AvgMinMaxPercentileCounter;
use super::keyed_set::KeyedSet;

/// An [`AvgMinMaxPercentileCounter`] for each key, named `<key>_<name>`.
pub(crate) type AvgMinMaxPercentileCounterSet = KeyedSet<AvgMinMaxPercentileCounter>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::summary_set::SummarySet;

    #[test]
    fn every_key_has_its_percentiles() {
        let set = AvgMinMaxPercentileCounterSet::new("t");
        for value in 0..1_000 {
            set.add("k", value);
        }
        set.add("l", 1);
        let mut dumped = Vec::new();
        set.dump(&mut |name, value| dumped.push(format!("{name}={value}")));
        assert_eq!(dumped.len(), 18);
        assert!(dumped.contains(&"p95_k_t=950".to_owned()), "{dumped:?}");
        assert!(dumped.contains(&"p999_l_t=1".to_owned()), "{dumped:?}");
        set.reset();
        dumped.clear();
        set.dump(&mut |name, value| dumped.push(format!("{name}={value}")));
        assert!(dumped.iter().all(|line| line.ends_with("=0") || line.ends_with("=0.0")));
    }
}
