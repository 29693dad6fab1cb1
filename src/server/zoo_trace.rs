//! Selects the kinds of messages that are traced (Java: server/ZooTrace.java).
//!
//! A message is written to the log at TRACE if its logger has this level and its kind is in the mask. The mask belongs
//! to the log: there is one for the process, as in Java. `gtmk` shows it, `stmk` sets it.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use log::{Level, info, log_enabled, trace};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ZooTrace";

/// Requests of clients.
pub(crate) const CLIENT_REQUEST_TRACE_MASK: i64 = 1 << 1;
/// Pings of clients.
pub(crate) const CLIENT_PING_TRACE_MASK: i64 = 1 << 3;
/// Packets between servers.
pub(crate) const SERVER_PACKET_TRACE_MASK: i64 = 1 << 4;
/// Sessions.
pub(crate) const SESSION_TRACE_MASK: i64 = 1 << 5;
/// Watch events.
pub(crate) const EVENT_DELIVERY_TRACE_MASK: i64 = 1 << 6;
/// Pings between servers.
pub(crate) const SERVER_PING_TRACE_MASK: i64 = 1 << 7;
/// Warnings.
pub(crate) const WARNING_TRACE_MASK: i64 = 1 << 8;

/// The mask before anybody changes it.
const DEFAULT: i64 =
    CLIENT_REQUEST_TRACE_MASK | SERVER_PACKET_TRACE_MASK | SESSION_TRACE_MASK | WARNING_TRACE_MASK;

static TRACE_MASK: AtomicI64 = AtomicI64::new(DEFAULT);

/// The mask (Java: getTextTraceLevel).
#[must_use]
pub(crate) fn text_trace_level() -> i64 {
    TRACE_MASK.load(Ordering::Relaxed) // no other data depends on it
}

/// Changes the mask (Java: setTextTraceLevel).
pub(crate) fn set_text_trace_level(mask: i64) {
    TRACE_MASK.store(mask, Ordering::Relaxed);
    info!(target: LOG, "Set text trace mask to 0x{mask:x}");
}

/// Whether this logger writes messages of one of these kinds.
#[must_use]
pub(crate) fn is_trace_enabled(target: &str, mask: i64) -> bool {
    log_enabled!(target: target, Level::Trace) && text_trace_level() & mask != 0
}

/// Writes a message of this kind.
pub(crate) fn log_trace_message(target: &str, mask: i64, message: fmt::Arguments<'_>) {
    if is_trace_enabled(target, mask) {
        trace!(target: target, "{message}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Nothing here changes the mask: tests of other modules, which run at the same time, look at it.
    #[test]
    fn the_mask_is_javas_until_it_is_changed() {
        assert_eq!((DEFAULT, text_trace_level()), (306, 306));
    }
}
