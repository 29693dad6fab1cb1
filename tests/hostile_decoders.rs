//! Passes malformed bytes of every kind to everything that reads bytes from outside. Nothing may panic, hang, or
//! reserve much more memory than the input is long. Data on disk are loaded as far as they were acknowledged, or are
//! refused.
//!
//! The long tests print their seed. `cargo test --test hostile_decoders -- --ignored decoder seed=N seconds=N`
//! repeats them. `fuzz/` runs the same decoders under a fuzzer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]
#![allow(clippy::print_stdout, reason = "figures of a run, shown when it fails")]

#[path = "hostile/allocations.rs"]
mod allocations;
#[path = "hostile/decoders.rs"]
mod decoders;
#[path = "hostile/frames.rs"]
mod frames;
#[path = "hostile/mutation.rs"]
mod mutation;
#[path = "hostile/prefixes.rs"]
mod prefixes;
#[path = "hostile/random.rs"]
mod random;
#[path = "hostile/seeds.rs"]
mod seeds;

use std::fmt::Write;
use std::panic;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use allocations::largest_during;
use decoders::{DECODERS, Decoder, GROUPS};
use mutation::mutate;
use random::{Random, argument};
use zookeeper_server::internals::common::time;

/// How much a decoder may reserve at once per byte of its input. The elements of vectors are larger in memory than on
/// the wire, and vectors grow by doubling.
const BYTES_FOR_A_BYTE: usize = 64;

/// How much a decoder may reserve at once for any input, for buffers.
const FIXED_BYTES: usize = 1 << 20;

/// How much a decoder may reserve at once for decompressed data: the longest buffer that it accepts, and the same
/// again while that buffer grows.
const DECOMPRESSED_BYTES: usize = 8 << 20;

/// The time limit for one input. The slowest input takes less than a hundredth of it.
const TOO_LONG: Duration = Duration::from_secs(20);

/// Seeds up to this length, in bytes, are truncated at every byte.
const SMALL: usize = 150;

/// The number of changed inputs for each decoder in the short test.
const FEW: usize = 150;

/// The time for each decoder in the long test, in seconds.
const LONG_SECONDS: u64 = 2;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The number of panics in threads of this process, once [`count_panics`] has installed its hook.
static PANICS: AtomicU64 = AtomicU64::new(0);

fn count_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // Only panics of servers count. The names of test threads contain `::`.
        if thread::current().name().is_none_or(|name| !name.contains("::")) {
            PANICS.fetch_add(1, Ordering::Relaxed);
        }
        print(info);
    }));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

struct Trial {
    name: &'static str,
    decoder: Decoder,
    seed: u64,
    runs: u64,
    largest: usize,
}

impl Trial {
    fn run(&mut self, bytes: &[u8]) {
        let panics = PANICS.load(Ordering::Relaxed);
        let start = time::now();
        let (result, largest) = largest_during(|| panic::catch_unwind(|| (self.decoder)(bytes)));
        let name = self.name;
        let input = || format!("{name}, seed {}, run {}: {}", self.seed, self.runs, hex(bytes));
        assert!(result.is_ok(), "it panics: {}", input());
        assert!(PANICS.load(Ordering::Relaxed) == panics, "another thread panics: {}", input());
        assert!(start.elapsed() < TOO_LONG, "it takes {:?}: {}", start.elapsed(), input());
        let mut limit = bytes.len() * BYTES_FOR_A_BYTE + FIXED_BYTES;
        if ["snapshot_gz", "snapshot_snappy", "data_directory", "sealed_data_directory"]
            .contains(&name)
        {
            limit += DECOMPRESSED_BYTES;
        }
        assert!(largest <= limit, "{largest} bytes reserved at once: {}", input());
        self.largest = self.largest.max(largest);
        self.runs += 1;
    }
}

/// Runs each decoder with its seeds, with truncated seeds, and with changed seeds until `enough` returns true.
fn try_all(seed: u64, part: u64, mut enough: impl FnMut(u64, Duration) -> bool) {
    for (number, (name, decoder)) in (1..).zip(DECODERS) {
        let seeds = seeds::seeds(name, root());
        // The first call may allocate what later inputs share. That must not count against an input.
        decoder(&[]);
        let mut trial = Trial { name, decoder: *decoder, seed, runs: 0, largest: 0 };
        for good in &seeds {
            trial.run(good);
            let step = if good.len() <= SMALL { 1 } else { (good.len() / SMALL * 5).max(1) };
            for cut in (0..good.len()).step_by(step) {
                trial.run(&good[..cut]);
            }
        }
        let cuts = trial.runs;
        let mut random = Random::of_part(seed, part.wrapping_add(number));
        let start = time::now();
        while !enough(trial.runs - cuts, start.elapsed()) {
            let mut bytes = random.pick(&seeds).clone();
            for _ in 0..=random.below(4) {
                mutate(&mut random, &mut bytes, &seeds);
            }
            trial.run(&bytes);
        }
        println!(
            "{name}: {cuts} seeds and cuts, {} changed in {:?}; at most {} bytes at once",
            trial.runs - cuts,
            start.elapsed(),
            trial.largest
        );
    }
    decoders::finish();
}

#[test]
fn a_small_block_of_snappy_that_claims_to_be_large_reserves_nothing() {
    let magic_and_versions = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
    let sixteen_mib = [0x80, 0x80, 0x80, 0x08];
    let stream = [&magic_and_versions[..], &[0, 0, 0, 5], &sixteen_mib, &[0]].concat();
    decoders::snapshot_snappy(&[]);
    let ((), largest) = largest_during(|| decoders::snapshot_snappy(&stream));
    assert!(largest < FIXED_BYTES, "{largest} bytes for a stream of {}", stream.len());
}

#[test]
fn every_decoder_is_fuzzed_once() {
    let mut fuzzed: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
    fuzzed.sort_unstable();
    let mut known: Vec<&str> = DECODERS.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(fuzzed, known);
    for (group, _) in GROUPS {
        let target = root().join(format!("fuzz/fuzz_targets/{group}.rs"));
        let text = std::fs::read_to_string(&target).unwrap();
        assert!(text.contains(&format!("fuzz_group(\"{group}\"")), "{}", target.display());
    }
}

#[test]
fn no_decoder_panics_hangs_or_reserves_much_for_little() {
    count_panics();
    let few = u64::try_from(FEW).unwrap();
    try_all(random::seed("decoders", Some(1)), 0, |runs, _| runs >= few);
}

#[test]
#[ignore = "long: a minute of random input; for any time with seconds=N for each decoder"]
fn no_decoder_panics_hangs_or_reserves_much_for_little_for_a_minute() {
    count_panics();
    let seconds = Duration::from_secs(argument("seconds").unwrap_or(LONG_SECONDS));
    try_all(random::seed("decoders", Some(2)), 0, |_, elapsed| elapsed >= seconds);
}
