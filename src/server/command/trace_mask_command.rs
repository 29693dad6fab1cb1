//! `gtmk`: shows the mask of traced messages (Java: server/command/TraceMaskCommand.java).

use crate::server::zoo_trace;

/// Appends the mask in decimal, without a line end.
pub(super) fn run(out: &mut String) {
    *out += &zoo_trace::text_trace_level().to_string();
}
