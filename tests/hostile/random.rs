//! Repeatable random numbers (no Java twin): the same seed gives the same numbers everywhere.

#![allow(dead_code, unreachable_pub, reason = "a module of several test crates")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]
#![allow(clippy::print_stdout, reason = "who runs a test learns how to repeat it")]

use std::hash::{BuildHasher, RandomState};

/// A generator of pseudorandom numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The sequence of that seed.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A separate sequence for each part of a test. It does not depend on how far the other parts are.
    pub fn of_part(seed: u64, part: u64) -> Self {
        let mut random = Self::new(seed ^ part.wrapping_mul(0xd6e8_feb8_6659_fd93));
        random.next();
        random
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap();
        usize::try_from(self.next().checked_rem(end).unwrap_or(0)).unwrap()
    }

    /// True with a probability of one in `times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of the elements.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// `len` random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    /// Any 32-bit integer.
    pub fn int(&mut self) -> i32 {
        let [a, b, c, d, ..] = self.next().to_le_bytes();
        i32::from_le_bytes([a, b, c, d])
    }
}

/// The value of `name=number` among the words after `--` of `cargo test`. The test harness takes such a word as one
/// more filter that matches no test. So another filter must stand beside it, or no test runs.
pub fn argument(name: &str) -> Option<u64> {
    let value = |word: String| {
        let text = word.strip_prefix(name)?.strip_prefix('=')?.to_owned();
        Some(text.parse().unwrap_or_else(|_| panic!("{word}: {text} is no number")))
    };
    std::env::args().skip(1).find_map(value)
}

/// The seed of a random test: `seed=N` from the command line, or `fixed`, or a new one. It is printed, so that a
/// failure can be repeated.
pub fn seed(test: &str, fixed: Option<u64>) -> u64 {
    let seed = argument("seed").or(fixed).unwrap_or_else(|| RandomState::new().hash_one(test));
    println!("{test}: seed={seed}");
    seed
}
