//! `stmk`: sets the mask of traced messages (Java: server/command/SetTraceMaskCommand.java; the change itself
//! is in NIOServerCnxn there).

use crate::server::zoo_trace;

/// Sets the mask and appends it in decimal, without a line end.
pub(super) fn run(mask: i64, out: &mut String) {
    zoo_trace::set_text_trace_level(mask);
    *out += &mask.to_string();
}
