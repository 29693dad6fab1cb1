//! Selects the kinds of messages that are traced (Java: server/ZooTrace.java).
//!
//! A value shared by the parts that trace; Java has one per process. The messages themselves go through the logger,
//! at TRACE.

use std::sync::atomic::{AtomicI64, Ordering};

use log::{Level, info, log_enabled};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ZooTrace";

/// Requests of clients.
pub const CLIENT_REQUEST_TRACE_MASK: i64 = 1 << 1;
/// Without effect.
pub const CLIENT_DATA_PACKET_TRACE_MASK: i64 = 1 << 2;
/// Pings of clients.
pub const CLIENT_PING_TRACE_MASK: i64 = 1 << 3;
/// Packets between servers.
pub const SERVER_PACKET_TRACE_MASK: i64 = 1 << 4;
/// Sessions.
pub const SESSION_TRACE_MASK: i64 = 1 << 5;
/// Watch events.
pub const EVENT_DELIVERY_TRACE_MASK: i64 = 1 << 6;
/// Pings between servers.
pub const SERVER_PING_TRACE_MASK: i64 = 1 << 7;
/// Warnings.
pub const WARNING_TRACE_MASK: i64 = 1 << 8;
/// Without effect.
pub const JMX_TRACE_MASK: i64 = 1 << 9;

/// The kinds of messages that are traced, as a mask.
#[derive(Debug)]
pub struct ZooTrace {
    mask: AtomicI64,
}

impl Default for ZooTrace {
    fn default() -> Self {
        Self {
            mask: AtomicI64::new(
                CLIENT_REQUEST_TRACE_MASK
                    | SERVER_PACKET_TRACE_MASK
                    | SESSION_TRACE_MASK
                    | WARNING_TRACE_MASK,
            ),
        }
    }
}

impl ZooTrace {
    /// The mask (Java: getTextTraceLevel).
    #[must_use]
    pub fn text_trace_level(&self) -> i64 {
        self.mask.load(Ordering::Relaxed) // no other data depends on it
    }

    /// Changes the mask (Java: setTextTraceLevel).
    pub fn set_text_trace_level(&self, mask: i64) {
        self.mask.store(mask, Ordering::Relaxed);
        info!(target: LOG, "Set text trace mask to 0x{mask:x}");
    }

    /// Whether this logger traces messages of this kind.
    #[must_use]
    pub fn is_trace_enabled(&self, target: &str, mask: i64) -> bool {
        log_enabled!(target: target, Level::Trace) && self.text_trace_level() & mask != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_javas_until_it_is_changed() {
        let trace = ZooTrace::default();
        assert_eq!(trace.text_trace_level(), 306);
        trace.set_text_trace_level(-1);
        assert_eq!(trace.text_trace_level(), -1);
    }
}
