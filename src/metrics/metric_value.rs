//! The value of a metric as it is dumped (no Java twin: Java passes `Object` and asks what it is).

use std::fmt;

/// What a sink of a dump gets.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricValue {
    /// A whole number.
    Long(i64),
    /// A decimal fraction.
    Double(f64),
    /// Not a number: the version, the state of the server.
    Text(String),
}

impl MetricValue {
    /// The number as a fraction; a text counts as 0.
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

/// As `mntr` prints it.
impl fmt::Display for MetricValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long(number) => number.fmt(f),
            Self::Double(number) => f.write_str(&java_double(*number)),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The text of a number as Java's Double.toString writes it: at least one digit after the point,
/// and an exponent below 0.001 and from 10 million on.
#[must_use]
pub fn java_double(number: f64) -> String {
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

/// `total / count` with four decimals, the fifth rounded half up, as Java's averages are.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "Java divides doubles, too")]
pub fn average(total: i64, count: i64) -> f64 {
    if count <= 0 { 0.0 } else { round_half_up_4(total as f64 / count as f64) }
}

/// Rounds to four decimals; a tie goes away from zero (Java: BigDecimal.setScale(4, HALF_UP) of the
/// exact value).
fn round_half_up_4(number: f64) -> f64 {
    // A fraction of powers of two ends in exactly a five at the fifth decimal only when it is an
    // odd number of 32nds that is one of 1/20000ths as well; elsewhere the formatter's rounding and
    // Java's are the same.
    let in_32nds = number.abs() * 32.0;
    let is_tie = in_32nds.fract() == 0.0 && in_32nds % 2.0 == 1.0 && in_32nds < 1e15;
    let text = if is_tie {
        // x.xxxxx5 exactly: the digit above makes the formatter round it up.
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
