//! Assigns numbers to values (Java: server/util/BitMap.java).
//!
//! Locks: none; the owner does the locking. Java's class locks inside. Here the owner has a read-write lock, so
//! that it can keep the map unchanged across several steps.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// A two-way map between values and numbers. A new value gets the smallest free number.
#[derive(Debug)]
pub(crate) struct BitMap<T> {
    value_to_bit: HashMap<T, u32>,
    bit_to_value: Vec<Option<T>>,
    freed: BTreeSet<u32>,
}

impl<T: Clone + Eq + Hash> BitMap<T> {
    /// Creates an empty map.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { value_to_bit: HashMap::new(), bit_to_value: Vec::new(), freed: BTreeSet::new() }
    }

    /// The number of the value. A new value gets a new number.
    ///
    /// # Panics
    /// With more than 2^32 values.
    #[expect(clippy::expect_used, reason = "2^32 values do not fit into memory")]
    pub(crate) fn add(&mut self, value: &T) -> u32 {
        if let Some(bit) = self.bit(value) {
            return bit;
        }
        let bit = self.freed.pop_first().unwrap_or_else(|| {
            self.bit_to_value.push(None);
            u32::try_from(self.bit_to_value.len() - 1).expect("fewer than 2^32 values")
        });
        self.bit_to_value[bit as usize] = Some(value.clone());
        self.value_to_bit.insert(value.clone(), bit);
        bit
    }

    /// The value with this number.
    #[must_use]
    pub(crate) fn value(&self, bit: u32) -> Option<&T> {
        self.bit_to_value.get(bit as usize)?.as_ref()
    }

    /// The number of the value (Java: getBit).
    #[must_use]
    pub(crate) fn bit(&self, value: &T) -> Option<u32> {
        self.value_to_bit.get(value).copied()
    }

    /// Removes the value and returns its number; `None` if it has none.
    #[cfg(test)]
    pub(crate) fn remove(&mut self, value: &T) -> Option<u32> {
        let bit = self.value_to_bit.remove(value)?;
        self.bit_to_value[bit as usize] = None;
        self.freed.insert(bit);
        Some(bit)
    }

    /// Removes the value with this number and returns it.
    pub(crate) fn remove_bit(&mut self, bit: u32) -> Option<T> {
        let value = self.bit_to_value.get_mut(bit as usize)?.take()?;
        self.value_to_bit.remove(&value);
        self.freed.insert(bit);
        Some(value)
    }

    /// The number of values.
    #[must_use]
    pub(crate) fn size(&self) -> usize {
        self.value_to_bit.len()
    }
}

impl<T: Clone + Eq + Hash> Default for BitMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_free_number_is_given_out_again() {
        let mut map = BitMap::new();
        for (bit, value) in ["a", "b", "c"].iter().enumerate() {
            assert_eq!(map.add(value) as usize, bit);
            assert_eq!(map.add(value) as usize, bit);
        }
        assert_eq!(map.remove(&"b"), Some(1));
        assert_eq!(map.remove(&"b"), None);
        assert_eq!(map.remove_bit(0), Some("a"));
        assert_eq!(map.remove_bit(0), None);
        assert_eq!(map.remove_bit(7), None);
        assert_eq!((map.size(), map.value(1), map.value(2)), (1, None, Some(&"c")));

        assert_eq!((map.add(&"d"), map.add(&"e"), map.add(&"f")), (0, 1, 3));
        assert_eq!((map.bit(&"e"), map.bit(&"a")), (Some(1), None));
    }
}
