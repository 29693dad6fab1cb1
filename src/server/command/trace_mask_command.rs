//! `gtmk`: which messages are traced (Java: server/command/TraceMaskCommand.java).

use crate::server::zoo_trace::ZooTrace;

/// Appends the mask in decimal, without an end of line.
pub(super) fn run(trace: &ZooTrace, out: &mut String) {
    *out += &trace.text_trace_level().to_string();
}
