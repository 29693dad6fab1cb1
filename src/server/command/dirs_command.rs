//! `dirs`: shows the sizes of the data directories (Java: server/command/DirsCommand.java).

use super::abstract_four_letter_command::CommandContext;

/// Appends the total size of the snapshots and of the transaction logs, in bytes.
pub(super) fn run(server: &dyn CommandContext, out: &mut String) {
    *out += &format!("datadir_size: {}\n", server.data_dir_size());
    *out += &format!("logdir_size: {}\n", server.log_dir_size());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::command::test_context::TestContext;

    #[test]
    fn both_sizes_have_a_line() {
        let mut out = String::new();
        run(&TestContext::default(), &mut out);
        assert_eq!(out, "datadir_size: 478\nlogdir_size: 67109358\n");
    }
}
