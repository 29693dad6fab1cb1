//! Limits the memory of large requests in flight (Java: within server/ZooKeeperServer.java).
//!
//! Threads: each connection's reader. Locks: none, only one counter.

use std::sync::atomic::{AtomicI64, Ordering};

use log::{info, warn};

use crate::common::zk_config::SystemProperties;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ZooKeeperServer";

const LARGE_REQUEST_MAX_BYTES: &str = "zookeeper.largeRequestMaxBytes";
const LARGE_REQUEST_THRESHOLD: &str = "zookeeper.largeRequestThreshold";

/// Java's default of `zookeeper.largeRequestMaxBytes`, in bytes.
const DEFAULT_MAX_BYTES: i32 = 100 * 1024 * 1024;

/// The settings for large requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeRequestsConfig {
    /// The limit of all large requests in flight together, in bytes.
    pub max_bytes: i32,
    /// A request longer than this is a large one, in bytes; `None` switches the limit off.
    pub threshold: Option<i32>,
}

impl Default for LargeRequestsConfig {
    fn default() -> Self {
        Self { max_bytes: DEFAULT_MAX_BYTES, threshold: None }
    }
}

impl LargeRequestsConfig {
    /// Reads the settings `zookeeper.largeRequestMaxBytes` and `zookeeper.largeRequestThreshold`.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        let mut max_bytes = properties.number_or(LARGE_REQUEST_MAX_BYTES, DEFAULT_MAX_BYTES);
        if max_bytes <= 0 {
            warn!(
                target: LOG,
                "Invalid max bytes for all large requests {max_bytes}. It should be a positive number; \
                 {DEFAULT_MAX_BYTES} is used"
            );
            max_bytes = DEFAULT_MAX_BYTES;
        }
        info!(target: LOG, "The max bytes for all large requests are set to {max_bytes}");
        let threshold = properties.number_or::<i32>(LARGE_REQUEST_THRESHOLD, -1);
        if threshold == 0 || threshold < -1 {
            warn!(
                target: LOG,
                "Invalid large request threshold {threshold}. It should be -1 or positive. Setting to -1"
            );
        } else {
            info!(target: LOG, "The large request threshold is set to {threshold}");
        }
        Self { max_bytes, threshold: Some(threshold).filter(|threshold| *threshold > 0) }
    }
}

/// A request does not fit, and its connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Rejecting large request of {bytes} bytes: {in_flight} of {max_bytes} bytes are in flight")]
pub struct LargeRequestRejected {
    /// Its length.
    pub bytes: usize,
    /// The bytes of the other large requests.
    pub in_flight: i64,
    /// The limit of all large requests together.
    pub max_bytes: i32,
}

/// Counts the bytes of large requests.
#[derive(Debug, Default)]
pub struct LargeRequests {
    config: LargeRequestsConfig,
    in_flight: AtomicI64,
}

impl LargeRequests {
    /// Creates a count of no requests.
    #[must_use]
    pub const fn new(config: LargeRequestsConfig) -> Self {
        Self { config, in_flight: AtomicI64::new(0) }
    }

    /// The bytes of all large requests in flight (Java: getLargeRequestBytes).
    #[must_use]
    pub fn large_request_bytes(&self) -> i64 {
        // Relaxed here and below: the number guards no other data.
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The length of a large request, as the number that counts; `None` for a small one.
    fn large(&self, bytes: usize) -> Option<i64> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let threshold = i64::from(self.config.threshold?);
        (bytes > threshold).then_some(bytes)
    }

    fn rejected(&self, bytes: usize, in_flight: i64) -> LargeRequestRejected {
        LargeRequestRejected { bytes, in_flight, max_bytes: self.config.max_bytes }
    }

    /// Checks that a request of this length would fit, before memory is reserved for it (Java:
    /// checkRequestSizeWhenReceivingMessage).
    ///
    /// # Errors
    /// When it would not fit.
    pub fn check_when_receiving(&self, bytes: usize) -> Result<(), LargeRequestRejected> {
        let Some(large) = self.large(bytes) else { return Ok(()) };
        let in_flight = self.large_request_bytes();
        if in_flight.saturating_add(large) <= i64::from(self.config.max_bytes) {
            Ok(())
        } else {
            Err(self.rejected(bytes, in_flight))
        }
    }

    /// Counts a request that has arrived (Java: checkRequestSizeWhenMessageReceived). The result must be passed to
    /// [`finished`](Self::finished) when the request is done or dropped.
    ///
    /// # Errors
    /// When it does not fit; it is not counted then.
    pub fn received(&self, bytes: usize) -> Result<Option<usize>, LargeRequestRejected> {
        let Some(large) = self.large(bytes) else { return Ok(None) };
        let others = self.in_flight.fetch_add(large, Ordering::Relaxed);
        if others.saturating_add(large) > i64::from(self.config.max_bytes) {
            self.in_flight.fetch_sub(large, Ordering::Relaxed);
            return Err(self.rejected(bytes, others));
        }
        Ok(Some(bytes))
    }

    /// Stops counting a request (Java: requestFinished).
    pub fn finished(&self, received: Option<usize>) {
        if let Some(large) = received.and_then(|bytes| self.large(bytes)) {
            self.in_flight.fetch_sub(large, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_above_the_threshold_share_a_limit() {
        let requests =
            LargeRequests::new(LargeRequestsConfig { max_bytes: 100, threshold: Some(10) });
        assert_eq!(requests.received(10), Ok(None));
        let first = requests.received(60).unwrap();
        assert_eq!(requests.large_request_bytes(), 60);
        assert_eq!(requests.check_when_receiving(40), Ok(()));
        assert!(requests.check_when_receiving(41).is_err());
        let rejected = requests.received(41).unwrap_err();
        assert_eq!((rejected.in_flight, rejected.bytes), (60, 41));
        assert!(rejected.to_string().starts_with("Rejecting large request"));
        assert_eq!(requests.large_request_bytes(), 60);
        requests.finished(None);
        requests.finished(first);
        assert_eq!(requests.large_request_bytes(), 0);
    }

    #[test]
    fn there_is_no_limit_by_default_and_nonsense_is_the_default() {
        let requests = LargeRequests::default();
        assert_eq!(requests.received(usize::MAX), Ok(None));
        for (max, threshold, config) in [
            ("0", "0", LargeRequestsConfig::default()),
            ("-5", "-2", LargeRequestsConfig::default()),
            ("5", "7", LargeRequestsConfig { max_bytes: 5, threshold: Some(7) }),
        ] {
            let properties = SystemProperties::from_pairs([
                (LARGE_REQUEST_MAX_BYTES, max),
                (LARGE_REQUEST_THRESHOLD, threshold),
            ]);
            assert_eq!(LargeRequestsConfig::from_properties(&properties), config);
        }
    }
}
