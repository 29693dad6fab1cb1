//! `ruok`: the process is alive (Java: server/command/RuokCommand.java).

/// Appends `imok`, without an end of line.
pub(super) fn run(out: &mut String) {
    *out += "imok";
}
