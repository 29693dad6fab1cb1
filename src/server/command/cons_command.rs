//! `cons`: shows the connections (Java: server/command/ConsCommand.java).

use super::abstract_four_letter_command::CommandContext;

/// Appends a line for each connection and an empty line.
pub(super) fn run(server: &dyn CommandContext, secure: bool, out: &mut String) {
    server.for_each_connection(secure, &mut |connection| {
        connection.dump(out, false);
        out.push('\n');
    });
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::command::test_context::TestContext;

    #[test]
    fn connections_have_their_lines_and_an_empty_one_follows() {
        let mut out = String::new();
        run(&TestContext::default(), false, &mut out);
        assert_eq!(
            out,
            " /127.0.0.1:47252[1](queued=0,recved=0,sent=0,sid=0x1000017f7680000,lop=GETD,\
             est=1795249911047,\
             to=30000,lcxid=0x1c,lzxid=0x1a,lresp=1631818,llat=1,minlat=1,avglat=1,maxlat=1)\n \
             /127.0.0.1:47270[0](queued=0,recved=1,sent=0)\n\n"
        );
        out.clear();
        run(&TestContext::default(), true, &mut out);
        assert_eq!(out, "\n");
    }
}
