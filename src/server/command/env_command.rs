//! `envi`: shows the environment (Java: server/command/EnvCommand.java).

use crate::environment;

/// Appends a line for each entry.
pub(super) fn run(out: &mut String) {
    *out += "Environment:\n";
    for entry in environment::list() {
        *out += &format!("{entry}\n");
    }
}
