//! Logs a message once and then at most once an interval (Java: server/RateLogger.java).
//!
//! In Java it is not shared between threads. Here a lock of the lowest rank allows this.

use log::warn;

use crate::common::time::Clock;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The default interval, in ms.
const LOG_INTERVAL_MS: i64 = 100;

/// Holds back repetitions of a message.
#[derive(Debug)]
pub(crate) struct RateLogger {
    target: &'static str,
    interval_ms: i64,
    clock: Clock,
    pending: RankedMutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    message: Option<String>,
    value: Option<String>,
    since_ms: i64,
    count: u64,
}

impl RateLogger {
    /// Logs to this logger, with Java's interval of 100 ms.
    #[must_use]
    pub(crate) fn new(target: &'static str, clock: Clock) -> Self {
        Self::with_interval(target, LOG_INTERVAL_MS, clock)
    }

    /// Logs to this logger, with this interval.
    #[must_use]
    pub(crate) fn with_interval(target: &'static str, interval_ms: i64, clock: Clock) -> Self {
        let pending = RankedMutex::new(Rank::Leaf, "repeated log messages", Pending::default());
        Self { target, interval_ms, clock, pending }
    }

    /// Logs what was held back.
    pub(crate) fn flush(&self) {
        let text = self.pending.lock().take();
        self.log(text);
    }

    /// Logs the message, or counts it if it repeats the last one.
    pub(crate) fn rate_limit_log(&self, message: &str, value: Option<&str>) {
        let now_ms = self.clock.elapsed_ms();
        let texts = self.pending.lock().note(message, value, now_ms, self.interval_ms);
        texts.into_iter().for_each(|text| self.log(text));
    }

    fn log(&self, text: Option<String>) {
        if let Some(text) = text {
            warn!(target: self.target, "{text}");
        }
    }
}

impl Pending {
    /// Returns the message about the repetitions, and clears them.
    fn take(&mut self) -> Option<String> {
        let Self { message, value, count, .. } = std::mem::take(self);
        let message = message.filter(|_| count > 0)?;
        let times = if count > 1 { format!("[{count} times] ") } else { String::new() };
        let value = value.map_or(String::new(), |value| format!(" Last value:{value}"));
        Some(format!("{times}Message: {message}{value}"))
    }

    fn begin(&mut self, message: &str, value: Option<&str>, now_ms: i64) {
        *self = Self {
            message: Some(message.to_owned()),
            value: value.map(str::to_owned),
            since_ms: now_ms,
            count: 0,
        };
    }

    /// Records a message. Returns the messages to log now.
    fn note(
        &mut self,
        message: &str,
        value: Option<&str>,
        now_ms: i64,
        interval_ms: i64,
    ) -> [Option<String>; 2] {
        if self.message.as_deref() == Some(message) {
            self.count += 1;
            self.value = value.map(str::to_owned);
            if now_ms - self.since_ms < interval_ms {
                return [None, None];
            }
            let repeated = self.take();
            self.begin(message, value, now_ms);
            return [repeated, None];
        }
        let repeated = self.take();
        self.begin(message, value, now_ms);
        [repeated, Some(format!("Message:{message} Value:{}", value.unwrap_or("null")))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_counted_and_told_once_an_interval() {
        let mut pending = Pending::default();
        let mut note = |message, value, now_ms| pending.note(message, value, now_ms, 100);
        let first = Some("Message:slow Value:1".to_owned());
        assert_eq!(note("slow", Some("1"), 0), [None, first]);
        assert_eq!(note("slow", Some("2"), 50), [None, None]);
        let told = Some("[2 times] Message: slow Last value:3".to_owned());
        assert_eq!(note("slow", Some("3"), 100), [told, None]);
        assert_eq!(note("slow", None, 150), [None, None]);
        let other = Some("Message:other Value:null".to_owned());
        assert_eq!(note("other", None, 160), [Some("Message: slow".to_owned()), other]);
        assert_eq!(pending.take(), None);
    }
}
