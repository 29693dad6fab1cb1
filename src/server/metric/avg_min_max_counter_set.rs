//! Summaries by key (Java: server/metric/AvgMinMaxCounterSet.java).

use super::avg_min_max_counter::AvgMinMaxCounter;
use super::keyed_set::KeyedSet;

/// An [`AvgMinMaxCounter`] for each key, named `<key>_<name>`.
pub(crate) type AvgMinMaxCounterSet = KeyedSet<AvgMinMaxCounter>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::summary_set::SummarySet;

    #[test]
    fn every_key_has_its_values() {
        let set = AvgMinMaxCounterSet::new("write_per_namespace");
        set.add("a", 4);
        set.add_n("b", 7, 2);
        let mut dumped = Vec::new();
        set.dump(&mut |name, value| dumped.push(format!("{name}={value}")));
        assert_eq!(
            dumped.join(" "),
            "avg_a_write_per_namespace=4.0 min_a_write_per_namespace=4 max_a_write_per_namespace=4 \
             cnt_a_write_per_namespace=1 sum_a_write_per_namespace=4 avg_b_write_per_namespace=7.0 \
             min_b_write_per_namespace=7 max_b_write_per_namespace=7 cnt_b_write_per_namespace=2 \
             sum_b_write_per_namespace=14"
        );
    }
}
