//! A compact set of small numbers (Java: server/util/BitHashSet.java).
//!
//! Locks: none; the owner does the locking. In Java every set has a bit set as long as its largest number, and
//! beside it a hash set of its first elements. Here a set is a sorted list until a bit set needs no more memory
//! than the list. A single watcher with a large number therefore costs four bytes instead of kilobytes.

use std::slice;

/// Java's default for the number of elements that are kept as a list (`zookeeper.bitHashCacheSize`).
pub(crate) const DEFAULT_CACHE_SIZE: usize = 10;

/// The number of bits in a word of the bit set.
const WORD_BITS: u32 = u64::BITS;
/// The number of bits in an element of the list.
const ELEMENT_BITS: usize = 32;

/// A set of `u32`.
#[derive(Clone, Debug)]
pub(crate) struct BitHashSet {
    elements: Elements,
    cache_size: u32,
}

#[derive(Clone, Debug)]
enum Elements {
    /// Sorted in ascending order.
    List(Vec<u32>),
    Bits {
        words: Vec<u64>,
        count: usize,
    },
}

const fn word_and_bit(element: u32) -> (usize, u64) {
    ((element / WORD_BITS) as usize, 1 << (element % WORD_BITS))
}

impl BitHashSet {
    /// Creates an empty set that keeps at least `cache_size` elements as a list.
    #[must_use]
    pub(crate) fn new(cache_size: usize) -> Self {
        Self {
            elements: Elements::List(Vec::new()),
            cache_size: u32::try_from(cache_size).unwrap_or(u32::MAX),
        }
    }

    /// Adds an element; false if the set already contains it.
    pub(crate) fn add(&mut self, element: u32) -> bool {
        match &mut self.elements {
            Elements::List(list) => {
                let Err(at) = list.binary_search(&element) else { return false };
                list.insert(at, element);
                self.shrink_to_bits();
            }
            Elements::Bits { words, count } => {
                let (word, bit) = word_and_bit(element);
                if word >= words.len() {
                    words.resize(word + 1, 0);
                }
                if words[word] & bit != 0 {
                    return false;
                }
                words[word] |= bit;
                *count += 1;
            }
        }
        true
    }

    /// Converts the list to a bit set if that needs no more memory.
    fn shrink_to_bits(&mut self) {
        let Elements::List(list) = &self.elements else { return };
        let Some(&largest) = list.last() else { return };
        if list.len() <= self.cache_size as usize || list.len() * ELEMENT_BITS < largest as usize {
            return;
        }
        let mut words = vec![0; word_and_bit(largest).0 + 1];
        for &element in list {
            let (word, bit) = word_and_bit(element);
            words[word] |= bit;
        }
        self.elements = Elements::Bits { words, count: list.len() };
    }

    /// Removes an element; false if the set does not contain it.
    pub(crate) fn remove(&mut self, element: u32) -> bool {
        match &mut self.elements {
            Elements::List(list) => {
                let Ok(at) = list.binary_search(&element) else { return false };
                list.remove(at);
            }
            Elements::Bits { words, count } => {
                let (word, bit) = word_and_bit(element);
                match words.get_mut(word) {
                    Some(word) if *word & bit != 0 => *word &= !bit,
                    _ => return false,
                }
                *count -= 1;
            }
        }
        true
    }

    /// Removes all elements of `others` from this set. Returns how many were removed.
    pub(crate) fn remove_set(&mut self, others: &Self) -> usize {
        let before = self.size();
        match (&mut self.elements, &others.elements) {
            (Elements::Bits { words, count }, Elements::Bits { words: other_words, .. }) => {
                for (word, other) in words.iter_mut().zip(other_words) {
                    *word &= !other;
                }
                *count = words.iter().map(|word| word.count_ones() as usize).sum();
            }
            (Elements::Bits { .. }, Elements::List(list)) => {
                for &element in list {
                    self.remove(element);
                }
            }
            (Elements::List(list), _) => list.retain(|element| !others.contains(*element)),
        }
        before - self.size()
    }

    /// Whether the set contains the element.
    #[must_use]
    pub(crate) fn contains(&self, element: u32) -> bool {
        match &self.elements {
            Elements::List(list) => list.binary_search(&element).is_ok(),
            Elements::Bits { words, .. } => {
                let (word, bit) = word_and_bit(element);
                words.get(word).is_some_and(|word| word & bit != 0)
            }
        }
    }

    /// The number of elements.
    #[must_use]
    pub(crate) const fn size(&self) -> usize {
        match &self.elements {
            Elements::List(list) => list.len(),
            Elements::Bits { count, .. } => *count,
        }
    }

    /// Whether the set is empty.
    #[must_use]
    pub(crate) const fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// All elements in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let (list, words): (&[u32], &[u64]) = match &self.elements {
            Elements::List(list) => (list, &[]),
            Elements::Bits { words, .. } => (&[], words),
        };
        list.iter().copied().chain(SetBits { words: words.iter(), word: 0, base: 0, next_base: 0 })
    }
}

/// An iterator over the positions of set bits.
struct SetBits<'a> {
    words: slice::Iter<'a, u64>,
    word: u64,
    base: u32,
    next_base: u32,
}

impl Iterator for SetBits<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.word == 0 {
            self.word = *self.words.next()?;
            self.base = self.next_base;
            self.next_base += WORD_BITS;
        }
        let bit = self.word.trailing_zeros();
        self.word &= self.word - 1;
        Some(self.base + bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn is_list(set: &BitHashSet) -> bool {
        matches!(set.elements, Elements::List(_))
    }

    #[test]
    fn few_elements_stay_a_list_and_many_dense_ones_become_bits() {
        let mut set = BitHashSet::new(3);
        for element in 0..3 {
            assert!(set.add(element));
            assert!(is_list(&set));
        }
        assert!(set.add(3));
        assert!(!is_list(&set));
        assert!(!set.add(2));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn sparse_elements_stay_a_list() {
        let mut set = BitHashSet::new(3);
        for element in 1..=20 {
            set.add(element * 1_000_000);
        }
        assert!(is_list(&set));
        assert_eq!(set.size(), 20);
    }

    /// Runs random operations on the set and on a `BTreeSet`, and compares the results.
    fn agrees_with_a_plain_set(seed: u64) {
        let mut random = seed;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            u32::try_from(random % below).unwrap()
        };
        let range = u64::from(next(2000)) + 2;
        let mut set = BitHashSet::new(next(12) as usize);
        let mut plain = BTreeSet::new();
        for _ in 0..400 {
            let element = next(range);
            match next(10) {
                0..6 => assert_eq!(set.add(element), plain.insert(element)),
                6..9 => assert_eq!(set.remove(element), plain.remove(&element)),
                _ => {
                    let mut others = BitHashSet::new(next(12) as usize);
                    for _ in 0..next(40) {
                        others.add(next(range));
                    }
                    let before = plain.len();
                    plain.retain(|element| !others.contains(*element));
                    assert_eq!(set.remove_set(&others), before - plain.len());
                }
            }
            assert_eq!(set.contains(element), plain.contains(&element));
            assert_eq!(set.size(), plain.len());
        }
        assert!(set.iter().eq(plain.iter().copied()), "seed {seed}");
    }

    #[test]
    fn it_is_a_set() {
        for seed in 1..300 {
            agrees_with_a_plain_set(seed);
        }
    }
}
