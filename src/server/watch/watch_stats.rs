//! The modes of one watcher on one path (Java: server/watch/WatchStats.java).

use super::watcher_mode::WatcherMode;

/// A set of [`WatcherMode`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WatchStats(u8);

impl WatchStats {
    /// The empty set: no watch.
    pub(crate) const NONE: Self = Self(0);

    /// The number of bits of a set.
    pub(crate) const BITS: u32 = 3;

    /// The set as a number of [`BITS`](Self::BITS) bits.
    pub(crate) const fn to_bits(self) -> u8 {
        self.0
    }

    /// The set that [`to_bits`](Self::to_bits) has made this number of. Higher bits are ignored.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits & 0b111)
    }

    const fn flag(mode: WatcherMode) -> u8 {
        match mode {
            WatcherMode::Standard => 1,
            WatcherMode::Persistent => 2,
            WatcherMode::PersistentRecursive => 4,
        }
    }

    /// This set with `mode` added.
    #[must_use]
    pub(crate) const fn add_mode(self, mode: WatcherMode) -> Self {
        Self(self.0 | Self::flag(mode))
    }

    /// This set without `mode`.
    #[must_use]
    pub(crate) const fn remove_mode(self, mode: WatcherMode) -> Self {
        Self(self.0 & !Self::flag(mode))
    }

    /// Whether the set contains `mode`.
    #[must_use]
    pub(crate) const fn has_mode(self, mode: WatcherMode) -> bool {
        self.0 & Self::flag(mode) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_comes_and_goes_without_touching_the_others() {
        for set in 0..8 {
            for mode in WatcherMode::ALL {
                let stats = WatchStats(set);
                assert_eq!(WatchStats::from_bits(stats.to_bits() | 1 << WatchStats::BITS), stats);
                assert!(stats.add_mode(mode).has_mode(mode));
                assert!(!stats.remove_mode(mode).has_mode(mode));
                for other in WatcherMode::ALL.into_iter().filter(|other| *other != mode) {
                    assert_eq!(stats.add_mode(mode).has_mode(other), stats.has_mode(other));
                    assert_eq!(stats.remove_mode(mode).has_mode(other), stats.has_mode(other));
                }
            }
        }
        assert_eq!(
            WatchStats::NONE.add_mode(WatcherMode::Persistent).remove_mode(WatcherMode::Persistent),
            WatchStats::NONE
        );
    }
}
