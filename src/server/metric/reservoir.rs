//! A sample of values for percentiles (Java: AvgMinMaxPercentileCounter.ResettableUniformReservoir, and the
//! snapshot of the metrics library that Java uses).
//!
//! Java keeps 4096 values: the first 4096, and after that each new value replaces a random one with the
//! probability that keeps the sample uniform. All threads share one counter there. Here every stripe keeps its
//! own sample of 1024 values in the same way, and a reader weights each value by the number of values that it
//! represents. As long as no stripe is full, every value is kept and the percentiles equal Java's. After that
//! they are as accurate as Java's. Nothing blocks: a slot is an atomic, and the random number is a hash of the
//! value's number.
//!
//! A slot has 32 bits. A larger value counts as the largest 32-bit number, which is 24 days for values in
//! milliseconds. Slots are allocated in chunks when they are first needed, so an unused metric needs no memory
//! for its sample.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use super::stripe::STRIPES;

/// The number of slots that are allocated together (1 KiB).
const CHUNK: usize = 256;

/// The sample of one stripe, with `CHUNKS` times 256 slots. The caller counts the values.
#[derive(Debug)]
pub(crate) struct Sample<const CHUNKS: usize> {
    chunks: [OnceLock<Box<[AtomicI32; CHUNK]>>; CHUNKS],
}

/// The number of chunks with which all stripes together keep 4096 values, as Java does.
pub(crate) const JAVAS_CHUNKS: usize = 4096 / CHUNK / STRIPES;

impl<const CHUNKS: usize> Default for Sample<CHUNKS> {
    fn default() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS] }
    }
}

impl<const CHUNKS: usize> Sample<CHUNKS> {
    /// The largest number of values that are kept.
    pub(crate) const SLOTS: usize = CHUNKS * CHUNK;

    /// Records a value `times` times, after `before` other values.
    #[inline]
    pub(crate) fn update(&self, value: i64, before: i64, times: u32) {
        let before = u64::try_from(before).unwrap_or(0);
        for number in before..before.saturating_add(times.into()) {
            let slots = Self::SLOTS as u64;
            let slot = if number < slots { number } else { random_below(number + 1) };
            if slot < slots {
                self.set(slot, value);
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "clamped, and below SLOTS")]
    fn set(&self, slot: u64, value: i64) {
        let slot = slot as usize;
        let chunk = self.chunks[slot / CHUNK]
            .get_or_init(|| Box::new([const { AtomicI32::new(0) }; CHUNK]));
        let value = value.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        chunk[slot % CHUNK].store(value, Ordering::Relaxed); // nothing follows from it
    }

    /// The kept values after `seen` values were recorded, each with the number of values it represents.
    #[expect(clippy::cast_precision_loss, reason = "weights need no more than 52 bits")]
    pub(crate) fn weighted_values(&self, seen: i64) -> impl Iterator<Item = (i32, f64)> + '_ {
        let kept = usize::try_from(seen).unwrap_or(0).min(Self::SLOTS);
        let weight = (seen as f64 / Self::SLOTS as f64).max(1.0);
        let chunks = self.chunks.iter().filter_map(OnceLock::get).flat_map(|chunk| chunk.iter());
        chunks.take(kept).map(move |slot| (slot.load(Ordering::Relaxed), weight))
    }
}

/// A pseudorandom number below `bound`, computed from a hash of `bound`.
const fn random_below(bound: u64) -> u64 {
    // The finalizer of splitmix64, applied to the bound's position in its sequence.
    let mut bits = bound.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    ((bits as u128 * bound as u128) >> 64) as u64
}

/// The combined samples of all stripes.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// The values with their weights, sorted.
    values: Vec<(i32, f64)>,
    total_weight: f64,
}

impl Snapshot {
    /// Creates a snapshot of values with their weights.
    pub(crate) fn of(values: impl Iterator<Item = (i32, f64)>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_unstable_by_key(|(value, _)| *value);
        let mut total_weight = 0.0;
        for (_, weight) in &values {
            total_weight += weight;
        }
        Self { values, total_weight }
    }

    /// The value below which the fraction `quantile` of all values lies, interpolated between two neighbors; 0
    /// without values.
    #[must_use]
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        let (Some((first, _)), Some((last, _))) = (self.values.first(), self.values.last()) else {
            return 0.0;
        };
        let position = quantile * (self.total_weight + 1.0);
        if position < 1.0 {
            return f64::from(*first);
        }
        if position.floor() >= self.total_weight {
            return f64::from(*last);
        }
        let lower = self.at_rank(position.floor());
        let upper = self.at_rank(position.floor() + 1.0);
        lower + position.fract() * (upper - lower)
    }

    /// The value at a rank, counted from 1, in the order of all represented values.
    fn at_rank(&self, rank: f64) -> f64 {
        let mut passed = 0.0;
        for (value, weight) in &self.values {
            passed += weight;
            if passed >= rank {
                return f64::from(*value);
            }
        }
        self.values.last().map_or(0.0, |(value, _)| f64::from(*value))
    }

    /// The smallest value that is not exceeded by the fraction `quantile` of all values; `None` without values.
    #[must_use]
    pub(crate) fn nearest(&self, quantile: f64) -> Option<f64> {
        let rank = (quantile * self.total_weight).ceil().max(1.0);
        (!self.values.is_empty()).then(|| self.at_rank(rank))
    }

    /// The quantile in Java's dump format: a whole number, rounded half up.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "within the range of the values, 32 bits")]
    pub(crate) fn rounded(&self, quantile: f64) -> i64 {
        (self.quantile(quantile) + 0.5).floor() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestSample = Sample<JAVAS_CHUNKS>;
    const SLOTS: usize = TestSample::SLOTS;

    fn sample_of(values: impl Iterator<Item = i64>) -> (TestSample, i64) {
        let sample = TestSample::default();
        let mut seen = 0;
        for value in values {
            sample.update(value, seen, 1);
            seen += 1;
        }
        (sample, seen)
    }

    #[test]
    fn quantiles_of_few_values_are_those_of_javas_library() {
        // Printed by com.codahale.metrics.UniformSnapshot 4.1.12.1 for these values.
        let cases: [(&[i64], [f64; 4]); 4] = [
            (&[], [0.0, 0.0, 0.0, 0.0]),
            (&[7], [7.0, 7.0, 7.0, 7.0]),
            (&[5, 1, 2, 3, 4], [3.0, 5.0, 5.0, 5.0]),
            (&[0, 10, 1, 9, 2, 8, 3, 7, 4, 6], [5.0, 10.0, 10.0, 10.0]),
        ];
        for (values, expected) in cases {
            let (sample, seen) = sample_of(values.iter().copied());
            let snapshot = Snapshot::of(sample.weighted_values(seen));
            let quantiles = [0.5, 0.95, 0.99, 0.999].map(|quantile| snapshot.quantile(quantile));
            assert_eq!(quantiles, expected, "{values:?}");
        }
    }

    #[test]
    fn a_long_series_is_sampled_evenly() {
        let (sample, seen) = sample_of(0..1_000_000);
        let snapshot = Snapshot::of(sample.weighted_values(seen));
        for (quantile, expected) in [(0.5, 500_000.0), (0.95, 950_000.0), (0.99, 990_000.0)] {
            let got = snapshot.quantile(quantile);
            assert!((got - expected).abs() < 50_000.0, "{quantile}: {got}");
        }
    }

    #[test]
    fn a_sample_that_stands_for_more_values_weighs_more() {
        let (many, seen_by_many) = sample_of(std::iter::repeat_n(1, SLOTS * 99));
        let (few, seen_by_few) = sample_of(std::iter::repeat_n(100, SLOTS));
        let snapshot = Snapshot::of(
            many.weighted_values(seen_by_many).chain(few.weighted_values(seen_by_few)),
        );
        assert_eq!(snapshot.rounded(0.5), 1);
        assert_eq!(snapshot.rounded(0.98), 1);
        assert_eq!(snapshot.rounded(0.995), 100);
        assert_eq!(snapshot.nearest(0.9), Some(1.0));
        assert_eq!(snapshot.nearest(0.999), Some(100.0));
        assert_eq!(Snapshot::default().nearest(0.5), None);
    }

    #[test]
    fn a_sample_without_values_has_no_memory_and_one_value_takes_one_chunk() {
        let sample = TestSample::default();
        assert!(sample.chunks.iter().all(|chunk| chunk.get().is_none()));
        sample.update(i64::MAX, 0, 3);
        assert_eq!(sample.chunks.iter().filter(|chunk| chunk.get().is_some()).count(), 1);
        let snapshot = Snapshot::of(sample.weighted_values(3));
        assert_eq!(snapshot.rounded(0.5), i64::from(i32::MAX));
    }
}
