//! `isro`: shows whether the server is read-only (Java: server/command/IsroCommand.java).

use super::abstract_four_letter_command::CommandContext;

/// Appends `rw` or `ro`, or `null` if the server is not running, without a line end.
pub(super) fn run(server: Option<&dyn CommandContext>, out: &mut String) {
    *out += match server {
        None => "null",
        Some(server) if server.is_read_only() => "ro",
        Some(_) => "rw",
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::command::test_context::TestContext;

    #[test]
    fn the_answer_tells_what_the_server_takes() {
        let answer = |server: Option<&dyn CommandContext>| {
            let mut out = String::new();
            run(server, &mut out);
            out
        };
        let read_only = TestContext { read_only: true, ..TestContext::default() };
        assert_eq!(answer(None), "null");
        assert_eq!(answer(Some(&read_only)), "ro");
        assert_eq!(answer(Some(&TestContext::default())), "rw");
    }
}
