//! The decoders of the group `quorum` in tests/hostile/decoders.rs (no Java twin).

#![no_main]

#[path = "../../tests/hostile/decoders.rs"]
mod decoders;

libfuzzer_sys::fuzz_target!(|input: &[u8]| decoders::fuzz_group("quorum", input));
