//! The settings that Java keeps in system properties (Java: org/apache/zookeeper/common/ZKConfig.java and every
//! `System.getProperty`).
//!
//! There is one such value. It is filled at start from `-Dkey=value` flags and from the keys of zoo.cfg that
//! imply `zookeeper.*` properties, and then read into typed structs. Nothing reads it later.

use std::collections::BTreeMap;
use std::str::FromStr;

use log::warn;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.common.ZKConfig";

/// Names and values, like Java's system properties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemProperties {
    values: BTreeMap<String, String>,
}

impl SystemProperties {
    /// No properties.
    #[must_use]
    pub const fn new() -> Self {
        Self { values: BTreeMap::new() }
    }

    /// Creates the properties from pairs. A later pair replaces an earlier one of the same name.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self { values: pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect() }
    }

    /// Sets a property, like `System.setProperty`.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.values.insert(key.into(), value.into());
    }

    /// The value, unchanged.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// Whether the value is `true`, ignoring case (Java: Boolean.getBoolean).
    #[must_use]
    pub fn bool(&self, key: &str) -> bool {
        self.bool_or(key, false)
    }

    /// As [`bool`](Self::bool), with a default for a missing property.
    #[must_use]
    pub fn bool_or(&self, key: &str, default: bool) -> bool {
        self.get(key).map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
    }

    /// A whole number (Java: Integer.getInteger, Long.getLong): decimal, `0x`/`#` hex or `0` octal. A value
    /// that is not a number in the range of `T` counts as missing. Unlike Java, this logs a warning.
    #[must_use]
    pub fn number<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        let text = self.get(key)?;
        let number = decode_number(text.trim()).and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            warn!(target: LOG, "property {key}={text} is not a whole number in range; its default is used");
        }
        number
    }

    /// As [`number`](Self::number), with a default.
    #[must_use]
    pub fn number_or<T: TryFrom<i64>>(&self, key: &str, default: T) -> T {
        self.number(key).unwrap_or(default)
    }

    /// A decimal fraction (Java: Double.parseDouble). A value that is not a number counts as missing, with a
    /// warning.
    #[must_use]
    pub fn fraction(&self, key: &str) -> Option<f64> {
        let text = self.get(key)?;
        let number = f64::from_str(text.trim()).ok();
        if number.is_none() {
            warn!(target: LOG, "property {key}={text} is not a number; its default is used");
        }
        number
    }

    /// All properties, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// Parses a number like Java's Long.decode; `None` if the text is not a number or does not fit.
#[must_use]
pub fn decode_number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = ["0x", "0X", "#"].iter().find_map(|prefix| digits.strip_prefix(prefix));
    let (digits, radix) = match (hex, digits.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (digits, 10),
    };
    if !digits.starts_with(|first: char| first.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -value } else { value }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_java_reads_them() {
        for (text, number) in [
            ("17", Some(17)),
            ("-0x10", Some(-16)),
            ("#ff", Some(255)),
            ("010", Some(8)),
            ("0", Some(0)),
            ("+5", Some(5)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("1k", None),
            ("--1", None),
            ("", None),
        ] {
            assert_eq!(decode_number(text), number, "{text:?}");
        }
    }

    #[test]
    fn a_number_out_of_range_counts_as_not_set() {
        let properties = SystemProperties::from_pairs([("a", "3000000000"), ("b", "TRUE")]);
        assert_eq!(properties.number_or::<i32>("a", 7), 7);
        assert_eq!(properties.number_or::<i64>("a", 7), 3_000_000_000);
        assert!(properties.bool("b"));
        assert!(!properties.bool("a"));
        assert!(properties.bool_or("c", true));
    }
}
