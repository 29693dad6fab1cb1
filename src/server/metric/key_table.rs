//! A table from keys to metrics that is only added to (no Java twin: Java has a ConcurrentHashMap
//! here).
//!
//! A tree over the bits of the key's hash, sixteen branches a node, each of which is set once. So
//! looking a key up takes no lock and writes nothing, and a key that is not there is put in without
//! making others wait longer than one allocation takes. Keys are never removed, as in Java.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bits of the hash that one level looks at.
const BITS: u32 = 4;
const BRANCHES: usize = 1 << BITS;

type Branch<V> = OnceLock<Box<Entry<V>>>;

struct Entry<V> {
    /// The entry's place in the order of insertion.
    number: usize,
    key: Box<str>,
    value: V,
    /// Entries whose hashes are the same so far.
    below: OnceLock<Box<[Branch<V>; BRANCHES]>>,
}

/// Keys, and a value for each.
pub struct KeyTable<V> {
    hasher: RandomState,
    inserted: AtomicUsize,
    root: OnceLock<Box<[Branch<V>; BRANCHES]>>,
}

impl<V> Default for KeyTable<V> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), inserted: AtomicUsize::new(0), root: OnceLock::new() }
    }
}

fn branches<V>() -> Box<[Branch<V>; BRANCHES]> {
    Box::new([const { OnceLock::new() }; BRANCHES])
}

impl<V> KeyTable<V> {
    /// Empty, and without memory of its own until the first key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The key's value; `make` makes it when the key is new. Of two threads that bring the same new
    /// key, both get the value of one of them.
    pub fn get_or_insert_with(&self, key: &str, make: impl Fn() -> V) -> &V {
        let mut hash = self.hasher.hash_one(key);
        let mut level = self.root.get_or_init(branches);
        loop {
            #[expect(clippy::cast_possible_truncation, reason = "four bits")]
            let branch = &level[(hash as usize) % BRANCHES];
            let entry = branch.get_or_init(|| {
                // Relaxed: only the order of numbers matters, and they are read through the branch.
                let number = self.inserted.fetch_add(1, Ordering::Relaxed);
                Box::new(Entry { number, key: key.into(), value: make(), below: OnceLock::new() })
            });
            if *entry.key == *key {
                return &entry.value;
            }
            // Bits never run out: after 64 of them the same ones come again, and equal hashes form
            // a list.
            hash = hash.rotate_right(BITS);
            level = entry.below.get_or_init(branches);
        }
    }

    /// All keys and values, in the order of their insertion.
    #[must_use]
    pub fn entries(&self) -> Vec<(&str, &V)> {
        let mut found = Vec::new();
        let mut levels: Vec<&[Branch<V>; BRANCHES]> =
            self.root.get().map(AsRef::as_ref).into_iter().collect();
        while let Some(level) = levels.pop() {
            for entry in level.iter().filter_map(OnceLock::get) {
                found.push((entry.number, &*entry.key, &entry.value));
                levels.extend(entry.below.get().map(AsRef::as_ref));
            }
        }
        found.sort_unstable_by_key(|(number, ..)| *number);
        found.into_iter().map(|(_, key, value)| (key, value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_value_and_its_place() {
        let table = KeyTable::new();
        assert!(table.entries().is_empty());
        for round in 0..2 {
            for number in 0..1_000 {
                let key = format!("key{number}");
                let value = table.get_or_insert_with(&key, || AtomicUsize::new(number));
                assert_eq!(value.fetch_add(1, Ordering::Relaxed), number + round);
            }
        }
        let numbers: Vec<_> = table
            .entries()
            .iter()
            .map(|(key, _)| key.trim_start_matches("key").to_owned())
            .collect();
        assert_eq!(numbers, (0..1_000).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn threads_that_bring_the_same_keys_share_the_values() {
        let table = KeyTable::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..500 {
                        let count =
                            table.get_or_insert_with(&number.to_string(), || AtomicUsize::new(0));
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let entries = table.entries();
        assert_eq!(entries.len(), 500);
        assert!(entries.iter().all(|(_, count)| count.load(Ordering::Relaxed) == 4));
    }
}
