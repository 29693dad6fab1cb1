//! `listquota path` (Java: cli/ListQuotaCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::cli_exception::CliError;
use super::command_line::NO_OPTIONS;
use crate::keeper_exception::KeeperError;
use crate::quotas;
use crate::stats_track::StatsTrack;
use crate::zookeeper::ZooKeeper;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new("listquota", "path", NO_OPTIONS, exec);

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 2)?;
    let path = &line.args[1];
    let limit_path = quotas::limit_path(path);
    context.err_line(&format!("absolute path is {limit_path}"));
    let (limits, usage) = match read_both(context.zk, path, &limit_path) {
        Ok(both) => both,
        Err(error) => return told_missing(context, path, Err(error)),
    };
    context.out_line(&format!("Output quota for {path} {limits}"));
    context.out_line(&format!("Output stat for {path} {usage}"));
    Ok(())
}

fn read_both(
    zk: &ZooKeeper,
    path: &str,
    limit_path: &str,
) -> Result<(StatsTrack, StatsTrack), CliError> {
    Ok((read_stats(zk, limit_path)?, read_stats(zk, &quotas::stat_path(path))?))
}

/// The content of a quota's node.
///
/// # Errors
/// If the node cannot be read, or its content is invalid.
pub(crate) fn read_stats(zk: &ZooKeeper, node: &str) -> Result<StatsTrack, CliError> {
    let (data, _) = zk.get_data(node, false)?;
    StatsTrack::from_data(data.as_deref())
        .map_err(|error| CliError::new(format!("{node}: {error}")))
}

/// If the quota does not exist, prints a message and does not fail.
///
/// # Errors
/// Any other error.
pub(crate) fn told_missing(
    context: &mut Context<'_>,
    path: &str,
    result: Result<(), CliError>,
) -> Result<(), CliError> {
    let missing = |error: &CliError| error.keeper_error == Some(KeeperError::NoNode);
    match result {
        Err(error) if missing(&error) => {
            context.err_line(&format!("quota for {path} does not exist."));
            Ok(())
        }
        result => result,
    }
}
