//! An incremental hash of a set (Java: server/util/AdHash.java).
//!
//! The hash is the sum of the elements' digests modulo 2^64. Addition commutes, so two servers get the same
//! hash for the same tree, in whatever order they built it. After M. Bellare and D. Micciancio, "A New Paradigm
//! for Collision-free Hashing".

use std::fmt;

/// A sum of digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct AdHash {
    hash: u64,
}

impl AdHash {
    /// The hash of the empty set.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self { hash: 0 }
    }

    /// Adds an element.
    pub(crate) const fn add_digest(&mut self, digest: u64) {
        self.hash = self.hash.wrapping_add(digest);
    }

    /// Removes an element.
    pub(crate) const fn remove_digest(&mut self, digest: u64) {
        self.hash = self.hash.wrapping_sub(digest);
    }

    /// The hash as Java's long.
    #[must_use]
    pub(crate) const fn hash(self) -> i64 {
        self.hash.cast_signed()
    }

    /// Removes all elements.
    pub(crate) const fn clear(&mut self) {
        self.hash = 0;
    }
}

/// Prints hex digits, as in Java.
impl fmt::Display for AdHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_additions_and_removals_does_not_matter() {
        let mut one = AdHash::new();
        for digest in [u64::MAX, 7, 0xdead_beef] {
            one.add_digest(digest);
        }
        one.remove_digest(7);
        let mut other = AdHash::new();
        other.add_digest(0xdead_beef);
        other.add_digest(u64::MAX);
        assert_eq!(one, other);
        assert_eq!(one.to_string(), "deadbeee");
        one.clear();
        assert_eq!(one.hash(), 0);
    }
}
