//! Prints a node's stat, one field on each line (Java: cli/StatPrinter.java).

use super::cli_command::Context;
use crate::common::java_date::date_string;
use crate::data::Stat;

/// Prints the stat.
pub(crate) fn print(context: &mut Context<'_>, stat: &Stat) {
    for line in [
        format!("cZxid = {}", stat.czxid),
        format!("ctime = {}", date_string(stat.ctime)),
        format!("mZxid = {}", stat.mzxid),
        format!("mtime = {}", date_string(stat.mtime)),
        format!("pZxid = {}", stat.pzxid),
        format!("cversion = {}", stat.cversion),
        format!("dataVersion = {}", stat.version),
        format!("aclVersion = {}", stat.aversion),
        format!("ephemeralOwner = {:#x}", stat.ephemeral_owner),
        format!("dataLength = {}", stat.data_length),
        format!("numChildren = {}", stat.num_children),
    ] {
        context.out_line(&line);
    }
}
