//! `gtmk`: shows the mask of traced messages (Java: server/command/TraceMaskCommand.java).

use crate::server::zoo_trace::ZooTrace;

/// Appends the mask in decimal, without a line end.
pub(super) fn run(trace: &ZooTrace, out: &mut String) {
    *out += &trace.text_trace_level().to_string();
}
