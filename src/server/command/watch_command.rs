//! `wchs`, `wchc` and `wchp`: show watches as numbers, by session, or by path
//! (Java: server/command/WatchCommand.java).

use super::abstract_four_letter_command::CommandContext;
use super::four_letter_commands::{WCHP, WCHS};

/// Appends the watches and a line end.
pub(super) fn run(server: &dyn CommandContext, command: i32, out: &mut String) {
    if command == WCHS {
        server.dump_watches_summary(out);
    } else {
        server.dump_watches(command == WCHP, out);
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::four_letter_commands::WCHC;
    use super::*;
    use crate::server::command::test_context::TestContext;

    #[test]
    fn each_word_shows_its_view_of_the_watches() {
        for (command, text) in [
            (WCHS, "0 connections watching 0 paths\nTotal watches:0\n"),
            (WCHC, "by session\n\n"),
            (WCHP, "by path\n\n"),
        ] {
            let mut out = String::new();
            run(&TestContext::default(), command, &mut out);
            assert_eq!(out, text);
        }
    }
}
