//! The value of a metric in a dump (no Java twin: Java passes `Object` and asks what it is).

use std::fmt;

/// A value that a dump passes to its sink.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricValue {
    /// A whole number.
    Long(i64),
    /// A decimal fraction.
    Double(f64),
    /// A text, such as the version or the state of the server.
    Text(String),
}

impl MetricValue {
    /// The value as a fraction; a text counts as 0.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "as Java's Number.doubleValue")]
    pub const fn as_double(&self) -> f64 {
        match self {
            Self::Long(number) => *number as f64,
            Self::Double(number) => *number,
            Self::Text(_) => 0.0,
        }
    }
}

impl From<i64> for MetricValue {
    fn from(number: i64) -> Self {
        Self::Long(number)
    }
}

impl From<f64> for MetricValue {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl From<String> for MetricValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// The format of `mntr`.
impl fmt::Display for MetricValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long(number) => number.fmt(f),
            Self::Double(number) => f.write_str(&java_double(*number)),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Formats a number like Java's Double.toString: at least one digit after the point, and an exponent for values
/// below 0.001 and from 10 million on.
#[must_use]
pub(crate) fn java_double(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    let magnitude = number.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{number:?}");
    }
    let scientific = format!("{number:e}");
    match scientific.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => format!("{digits}E{exponent}"),
        Some((digits, exponent)) => format!("{digits}.0E{exponent}"),
        None => scientific,
    }
}

/// `total / count` with four decimals, rounded half up like Java's averages.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "Java divides doubles, too")]
pub(crate) fn average(total: i64, count: i64) -> f64 {
    if count <= 0 { 0.0 } else { round_half_up_4(total as f64 / count as f64) }
}

/// Rounds to four decimals. A tie is rounded away from zero (Java: BigDecimal.setScale(4, HALF_UP) of the exact
/// value).
fn round_half_up_4(number: f64) -> f64 {
    // A tie is an odd multiple of 1/20000. A binary fraction is one exactly if it is an odd multiple of 1/32.
    // Only for ties does the formatter round differently from Java.
    let in_32nds = number.abs() * 32.0;
    let is_tie = in_32nds.fract() == 0.0 && in_32nds % 2.0 == 1.0 && in_32nds < 1e15;
    let text = if is_tie {
        // The exact value ends in a 5 at the fifth decimal; the added 1e-5 makes the formatter round up.
        format!("{:.4}", number + number.signum() * 1e-5)
    } else {
        format!("{number:.4}")
    };
    text.parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_java_writes_them() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.3714, "1.3714"),
            (12.0, "12.0"),
            (0.001, "0.001"),
            (0.0009, "9.0E-4"),
            (1e-4, "1.0E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (12_345_678.5, "1.23456785E7"),
            (-2.5e10, "-2.5E10"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(java_double(number), text);
        }
    }

    #[test]
    fn an_average_has_four_decimals_and_a_tie_is_rounded_up() {
        for (total, count, expected) in [
            (0, 0, 0.0),
            (5, 0, 0.0),
            (48, 35, 1.3714),
            (41, 26, 1.5769),
            (1, 32, 0.0313),
            (3, 32, 0.0938),
            (-1, 32, -0.0313),
            (9, 32, 0.2813),
            (100_001, 32, 3125.0313),
            (1, 3, 0.3333),
            (2, 3, 0.6667),
            (1, 64, 0.0156),
            (7, 7, 1.0),
        ] {
            assert!((average(total, count) - expected).abs() < 1e-12, "{total}/{count}");
        }
    }
}
