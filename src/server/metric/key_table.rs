//! An insert-only table from keys to metrics (no Java twin: Java has a ConcurrentHashMap here).
//!
//! The table is a tree over the bits of the key's hash. Each node has sixteen branches, and each branch is set
//! only once. A lookup therefore takes no lock and writes nothing, and an insertion delays other threads by at
//! most one allocation. As in Java, keys are never removed.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of hash bits per level.
const BITS: u32 = 4;
const BRANCHES: usize = 1 << BITS;

type Branch<V> = OnceLock<Box<Entry<V>>>;

struct Entry<V> {
    /// The entry's position in insertion order.
    number: usize,
    key: Box<str>,
    value: V,
    /// Entries whose hash has the same bits up to this level.
    below: OnceLock<Box<[Branch<V>; BRANCHES]>>,
}

/// A table of keys with a value each.
pub(crate) struct KeyTable<V> {
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
    /// Creates an empty table, which allocates no memory before its first key.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The key's value. `make` creates the value of a new key. If two threads insert the same key at the same
    /// time, both get the same value.
    pub(crate) fn get_or_insert_with(&self, key: &str, make: impl Fn() -> V) -> &V {
        let mut hash = self.hasher.hash_one(key);
        let mut level = self.root.get_or_init(branches);
        loop {
            #[expect(clippy::cast_possible_truncation, reason = "four bits")]
            let branch = &level[(hash as usize) % BRANCHES];
            let entry = branch.get_or_init(|| {
                // Relaxed: only the order of the numbers matters, and readers see them through the branch.
                let number = self.inserted.fetch_add(1, Ordering::Relaxed);
                Box::new(Entry { number, key: key.into(), value: make(), below: OnceLock::new() })
            });
            if *entry.key == *key {
                return &entry.value;
            }
            // The bits never run out: after 64 bits the hash repeats, so entries with equal hashes form a list.
            hash = hash.rotate_right(BITS);
            level = entry.below.get_or_init(branches);
        }
    }

    /// All keys and values, in insertion order.
    #[must_use]
    pub(crate) fn entries(&self) -> Vec<(&str, &V)> {
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
