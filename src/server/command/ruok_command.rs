//! `ruok`: shows that the process is alive (Java: server/command/RuokCommand.java).

/// Appends `imok` without a line end.
pub(super) fn run(out: &mut String) {
    *out += "imok";
}
