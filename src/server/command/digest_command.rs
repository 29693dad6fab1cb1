//! `hash`: shows the digests of the data tree (Java: server/command/DigestCommand.java).

use super::abstract_four_letter_command::{CommandContext, ZK_NOT_SERVING};

/// Appends a line for each recorded digest. As in Java, the text for a server that is not running has no line
/// end.
pub(super) fn run(server: Option<&dyn CommandContext>, out: &mut String) {
    let Some(server) = server else {
        *out += ZK_NOT_SERVING;
        return;
    };
    for entry in server.digest_log() {
        *out += &format!("{:x}: {}\n", entry.zxid, entry.digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::command::test_context::TestContext;

    #[test]
    fn zxids_are_hexadecimal_and_digests_decimal() {
        let mut out = String::new();
        run(Some(&TestContext::default()), &mut out);
        assert_eq!(out, "80: 1371985504\n100: -7\n");
    }
}
