//! Formats points in time as Java does, in this machine's time zone (no Java twin: java.util.Date and
//! SimpleDateFormat).
//!
//! As in a JVM, the time zone comes from the variable `TZ`, or else from the system.

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// The format of java.util.Date: `Thu Jan 01 00:00:00 UTC 1970`.
#[must_use]
pub(crate) fn date_string(wall_ms: i64) -> String {
    format(wall_ms, "%a %b %d %H:%M:%S %Z %Y", &TimeZone::system())
}

/// The format of logback's `%d{ISO8601}`: `1970-01-01 00:00:00,000`.
#[must_use]
pub(crate) fn iso8601(wall_ms: i64) -> String {
    let millis = wall_ms.rem_euclid(1000);
    format!("{},{millis:03}", local_time(wall_ms, "%Y-%m-%d %H:%M:%S"))
}

/// Formats with a strftime pattern, in this machine's time zone.
#[must_use]
pub(crate) fn local_time(wall_ms: i64, pattern: &str) -> String {
    format(wall_ms, pattern, &TimeZone::system())
}

/// A time outside the calendar's range (beyond the year 9999) is printed as a number of milliseconds.
fn format(wall_ms: i64, pattern: &str, zone: &TimeZone) -> String {
    let time = Timestamp::from_millisecond(wall_ms);
    time.and_then(|time| strtime::format(pattern, &time.to_zoned(zone.clone())))
        .unwrap_or_else(|_| format!("{wall_ms} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_printed_as_java_prints_it() {
        let pattern = "%a %b %d %H:%M:%S %Z %Y";
        assert_eq!(format(0, pattern, &TimeZone::UTC), "Thu Jan 01 00:00:00 UTC 1970");
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let summer = format(1_785_000_000_123, pattern, &berlin);
        assert_eq!(summer, "Sat Jul 25 19:20:00 CEST 2026");
    }

    #[test]
    fn milliseconds_follow_a_comma_and_no_number_is_too_large() {
        assert!(iso8601(5).ends_with(":00,005"), "{}", iso8601(5));
        assert!(iso8601(-1).ends_with(":59,999"), "{}", iso8601(-1));
        assert_eq!(date_string(i64::MAX), format!("{} ms", i64::MAX));
        assert_eq!(date_string(i64::MIN), format!("{} ms", i64::MIN));
    }
}
