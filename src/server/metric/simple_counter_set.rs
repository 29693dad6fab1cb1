//! Counters by key (Java: server/metric/SimpleCounterSet.java).

use super::keyed_set::KeyedSet;
use super::simple_counter::SimpleCounter;

/// A [`SimpleCounter`] for each key, named `<key>_<name>`.
pub(crate) type SimpleCounterSet = KeyedSet<SimpleCounter>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::counter_set::CounterSet;

    #[test]
    fn every_key_has_its_counter() {
        let set = SimpleCounterSet::new("count");
        set.inc("key2");
        set.add("key1", 7);
        set.inc("key2");
        let dump = || {
            let mut dumped = Vec::new();
            set.dump(&mut |name, value| dumped.push(format!("{name} {value}")));
            dumped
        };
        assert_eq!(dump(), ["key1_count 7", "key2_count 2"]);
        set.reset();
        assert_eq!(dump(), ["key1_count 0", "key2_count 0"]);
    }
}
