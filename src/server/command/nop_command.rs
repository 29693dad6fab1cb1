//! The answer to a word that is not enabled (Java: server/command/NopCommand.java).

/// Appends the reason why the word is not executed.
pub(super) fn run(name: &str, out: &mut String) {
    *out += name;
    *out += " is not executed because it is not in the whitelist.\n";
}
