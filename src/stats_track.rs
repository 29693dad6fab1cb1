//! The text in the nodes of a quota (Java: org/apache/zookeeper/StatsTrack.java).
//!
//! `count=4,bytes=5=;byteHardLimit=10;countHardLimit=10`: count comes first and bytes second, because parsers up to
//! 3.4.3 read only these positions. The odd `=` makes those parsers ignore the rest. Differs from Java: an invalid
//! text gives an error value, and not an exception that ends the thread.

use std::collections::BTreeMap;
use std::fmt;

const COUNT: &str = "count";
const COUNT_HARD_LIMIT: &str = "countHardLimit";
const BYTES: &str = "bytes";
const BYTE_HARD_LIMIT: &str = "byteHardLimit";

/// Java's number for a missing value.
const NONE: i64 = -1;

/// A text that contains no valid limits or usage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no list of key=number")]
pub struct InvalidStats(
    /// The text.
    pub String,
);

/// The limits or the usage of a path. A missing value is -1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsTrack {
    stats: BTreeMap<String, i64>,
}

impl StatsTrack {
    /// No limits and no usage.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses the data of a quota's node. No data means no limits.
    ///
    /// # Errors
    /// If the data is not a list of keys and numbers.
    pub fn from_data(data: Option<&[u8]>) -> Result<Self, InvalidStats> {
        Self::from_text(&String::from_utf8_lossy(data.unwrap_or_default()))
    }

    /// Parses the text of a quota's node.
    ///
    /// # Errors
    /// If the text is not a list of keys and numbers.
    pub fn from_text(text: &str) -> Result<Self, InvalidStats> {
        let invalid = || InvalidStats(text.to_owned());
        let mut stats = BTreeMap::new();
        if text.is_empty() {
            return Ok(Self { stats });
        }
        // Java's split leaves out empty pieces at the end, and treats a run of separators as one.
        let pairs = text.trim_end_matches([',', ';']);
        for (at, pair) in pairs.split([',', ';']).enumerate() {
            if at > 0 && pair.is_empty() {
                continue;
            }
            let mut parts = pair.trim_end_matches('=').split('=');
            let (key, value) =
                (parts.next().ok_or_else(invalid)?, parts.next().ok_or_else(invalid)?);
            let number =
                if value.is_empty() { NONE } else { value.parse().map_err(|_| invalid())? };
            stats.insert(key.to_owned(), number);
        }
        Ok(Self { stats })
    }

    fn value(&self, key: &str) -> i64 {
        self.stats.get(key).copied().unwrap_or(NONE)
    }

    fn set_value(&mut self, key: &str, value: i64) {
        match self.stats.get_mut(key) {
            Some(old) => *old = value,
            None => {
                self.stats.insert(key.to_owned(), value);
            }
        }
    }

    /// The number of nodes: the usage, or the soft limit.
    #[must_use]
    pub fn count(&self) -> i64 {
        self.value(COUNT)
    }

    /// Sets [`count`](Self::count).
    pub fn set_count(&mut self, count: i64) {
        self.set_value(COUNT, count);
    }

    /// The hard limit for the number of nodes.
    #[must_use]
    pub fn count_hard_limit(&self) -> i64 {
        self.value(COUNT_HARD_LIMIT)
    }

    /// Sets [`count_hard_limit`](Self::count_hard_limit).
    pub fn set_count_hard_limit(&mut self, count: i64) {
        self.set_value(COUNT_HARD_LIMIT, count);
    }

    /// The bytes of data: the usage, or the soft limit.
    #[must_use]
    pub fn bytes(&self) -> i64 {
        self.value(BYTES)
    }

    /// Sets [`bytes`](Self::bytes).
    pub fn set_bytes(&mut self, bytes: i64) {
        self.set_value(BYTES, bytes);
    }

    /// The hard limit for the bytes of data.
    #[must_use]
    pub fn byte_hard_limit(&self) -> i64 {
        self.value(BYTE_HARD_LIMIT)
    }

    /// Sets [`byte_hard_limit`](Self::byte_hard_limit).
    pub fn set_byte_hard_limit(&mut self, bytes: i64) {
        self.set_value(BYTE_HARD_LIMIT, bytes);
    }

    /// The text as a node's data (Java: getStatsBytes).
    #[must_use]
    pub fn stats_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl fmt::Display for StatsTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{COUNT}={},{BYTES}={}", self.count(), self.bytes())?;
        let mut separator = "=;";
        for (key, value) in &self.stats {
            if key != COUNT && key != BYTES {
                write!(f, "{separator}{key}={value}")?;
                separator = ";";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_in_the_form_that_old_parsers_can_read() {
        let mut track = StatsTrack::new();
        assert_eq!(track.to_string(), "count=-1,bytes=-1");
        track.set_count(4);
        track.set_bytes(5);
        assert_eq!(track.to_string(), "count=4,bytes=5");
        track.set_count_hard_limit(10);
        assert_eq!(track.to_string(), "count=4,bytes=5=;countHardLimit=10");
        track.set_byte_hard_limit(20);
        assert_eq!(track.to_string(), "count=4,bytes=5=;byteHardLimit=20;countHardLimit=10");
        assert_eq!(StatsTrack::from_text(&track.to_string()).unwrap(), track);
    }

    #[test]
    fn both_separators_and_empty_values_are_read() {
        let track = StatsTrack::from_text("bytes=5=;;countHardLimit==3,;count=4;other=7,").unwrap();
        assert_eq!((track.count(), track.bytes(), track.count_hard_limit()), (4, 5, -1));
        assert_eq!(track.byte_hard_limit(), -1);
        assert_eq!(track.to_string(), "count=4,bytes=5=;countHardLimit=-1;other=7");
        assert_eq!(StatsTrack::from_data(None).unwrap(), StatsTrack::new());
    }

    #[test]
    fn what_is_no_list_of_numbers_is_an_error() {
        for text in
            ["count", "count=", "count=x", "count=9223372036854775808", ",count=1", "foo,count=1"]
        {
            assert_eq!(StatsTrack::from_text(text), Err(InvalidStats(text.into())), "{text}");
        }
        assert!(StatsTrack::from_data(Some(b"\xff")).is_err());
    }
}
