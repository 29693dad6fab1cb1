//! `delquota [-n|-b|-N|-B] path` (Java: cli/DelQuotaCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::cli_exception::CliError;
use super::command_line::{Choice, CommandLine, CommandOption, CommandOptions};
use super::list_quota_command::{read_stats, told_missing};
use crate::client_cnxn::ClientError;
use crate::quotas;
use crate::zookeeper::ZooKeeper;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "delquota",
    "[-n|-b|-N|-B] path",
    CommandOptions {
        options: &[
            CommandOption::flag("n", "num soft quota"),
            CommandOption::flag("b", "bytes soft quota"),
            CommandOption::flag("N", "num hard quota"),
            CommandOption::flag("B", "bytes hard quota"),
        ],
        choice: Choice::AtMostOne,
    },
    exec,
);

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 2)?;
    let path = &line.args[1];
    let limit_path = quotas::limit_path(path);
    if context.zk.exists(&limit_path, false)?.is_none() {
        context.out_line(&format!("Quota does not exist for {path}"));
        return Ok(());
    }
    let result = if ["n", "b", "N", "B"].iter().any(|name| line.has_option(name)) {
        delete_one(context.zk, &limit_path, &line)
    } else {
        delete_all(context.zk, path).map_err(CliError::from)
    };
    told_missing(context, path, result)
}

/// Removes one limit. The quota's nodes remain.
fn delete_one(zk: &ZooKeeper, limit_path: &str, line: &CommandLine) -> Result<(), CliError> {
    let mut limits = read_stats(zk, limit_path)?;
    if line.has_option("n") {
        limits.set_count(-1);
    }
    if line.has_option("b") {
        limits.set_bytes(-1);
    }
    if line.has_option("N") {
        limits.set_count_hard_limit(-1);
    }
    if line.has_option("B") {
        limits.set_byte_hard_limit(-1);
    }
    zk.set_data(limit_path, Some(&limits.stats_bytes()), -1)?;
    Ok(())
}

/// Removes the quota's nodes, and their ancestors in the quota tree that have no other children
/// (Java: trimProcQuotas).
fn delete_all(zk: &ZooKeeper, path: &str) -> Result<(), ClientError> {
    let mut quota_path = quotas::quota_path(path);
    for child in zk.get_children(&quota_path, false)? {
        zk.delete(&format!("{quota_path}/{child}"), -1)?;
    }
    while quota_path != quotas::QUOTA_ZOOKEEPER && zk.get_children(&quota_path, false)?.is_empty() {
        zk.delete(&quota_path, -1)?;
        let Some((parent, _)) = quota_path.rsplit_once('/') else { break };
        quota_path = parent.to_owned();
    }
    Ok(())
}
