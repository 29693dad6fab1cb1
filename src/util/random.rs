//! Random numbers that nobody must guess but that are no secrets (no Java twin: java.util.Random).

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random number. std seeds its hash maps from the system, which is good enough to spread clients and pauses.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
