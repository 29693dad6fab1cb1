//! `setquota -n|-b|-N|-B val path` (Java: cli/SetQuotaCommand.java).

use super::cli_command::{CliCommand, CliResult, Context};
use super::cli_exception::CliError;
use super::command_line::{Choice, CommandLine, CommandOption, CommandOptions};
use super::list_quota_command::read_stats;
use super::sub_tree;
use crate::client_cnxn::ClientError;
use crate::create_mode::CreateMode;
use crate::keeper_exception::KeeperError;
use crate::quotas::{self, LIMIT_NODE, QUOTA_ZOOKEEPER};
use crate::stats_track::StatsTrack;
use crate::zoo_defs::ids;
use crate::zookeeper::ZooKeeper;

/// The command.
pub(crate) const COMMAND: CliCommand = CliCommand::new(
    "setquota",
    "-n|-b|-N|-B val path",
    CommandOptions {
        options: &[
            CommandOption::value("n", "num soft quota"),
            CommandOption::value("b", "bytes soft quota"),
            CommandOption::value("N", "num hard quota"),
            CommandOption::value("B", "bytes hard quota"),
        ],
        choice: Choice::One,
    },
    exec,
);

fn exec(command: &CliCommand, context: &mut Context<'_>, words: Vec<String>) -> CliResult {
    let line = command.parse(&words, 2)?;
    let path = &line.args[1];
    // An invalid call prints a message and does not fail, as in Java.
    if path.starts_with(QUOTA_ZOOKEEPER) {
        context.err_line(&format!("cannot set a quota under the path: {QUOTA_ZOOKEEPER}"));
        return Ok(());
    }
    let quota = match quota_of(&line) {
        Ok(quota) => quota,
        Err(message) => {
            context.err_line(message);
            return Ok(());
        }
    };
    create_quota(context, path, &quota)
}

/// The limit that the call sets; -1 for the others.
fn quota_of(line: &CommandLine) -> Result<StatsTrack, &'static str> {
    const NO_NUMBER: &str = "NumberFormatException happens when parsing the option value";
    let count = |text: &str| match text.parse::<i32>() {
        Ok(count) if count > 0 => Ok(i64::from(count)),
        Ok(_) => Err("the num quota must be greater than zero"),
        Err(_) => Err(NO_NUMBER),
    };
    let bytes = |text: &str| match text.parse::<i64>() {
        Ok(bytes) if bytes >= 0 => Ok(bytes),
        Ok(_) => Err("the bytes quota must be greater than or equal to zero"),
        Err(_) => Err(NO_NUMBER),
    };
    let mut quota = StatsTrack::new();
    quota.set_count(line.option_value("n").map_or(Ok(-1), count)?);
    quota.set_bytes(line.option_value("b").map_or(Ok(-1), bytes)?);
    quota.set_count_hard_limit(line.option_value("N").map_or(Ok(-1), count)?);
    quota.set_byte_hard_limit(line.option_value("B").map_or(Ok(-1), bytes)?);
    Ok(quota)
}

/// Creates the quota's nodes, or changes one limit in them (Java: createQuota).
fn create_quota(context: &mut Context<'_>, path: &str, quota: &StatsTrack) -> Result<(), CliError> {
    let zk = context.zk;
    if zk.exists(path, false)?.is_none() {
        return Err(CliError::new(format!("{path} does not exist.")));
    }
    refuse_quota_below(zk, path)?;
    refuse_quota_above(zk, path)?;
    let mut node = QUOTA_ZOOKEEPER.to_owned();
    for name in path.split('/').skip(1) {
        node = format!("{node}/{name}");
        create_unless_there(zk, &node)?;
    }
    let (limit_node, stat_node) = (quotas::limit_path(path), quotas::stat_path(path));
    if zk.exists(&limit_node, false)?.is_none() {
        let mut usage = StatsTrack::new();
        usage.set_count(0);
        usage.set_bytes(0);
        for (node, stats) in [(&limit_node, quota), (&stat_node, &usage)] {
            let (data, acl) = (stats.stats_bytes(), ids::open_acl_unsafe());
            zk.create(node, Some(&data), acl, CreateMode::Persistent)?;
        }
        let limits = read_stats(zk, &limit_node)?;
        let usage = read_stats(zk, &stat_node)?;
        warn_if_less(context, &limits, &usage);
    } else {
        let mut limits = read_stats(zk, &limit_node)?;
        replace_limits(&mut limits, quota);
        let usage = read_stats(zk, &stat_node)?;
        warn_if_less(context, &limits, &usage);
        zk.set_data(&limit_node, Some(&limits.stats_bytes()), -1)?;
    }
    Ok(())
}

fn replace_limits(limits: &mut StatsTrack, quota: &StatsTrack) {
    if quota.count() > -1 {
        limits.set_count(quota.count());
    }
    if quota.bytes() > -1 {
        limits.set_bytes(quota.bytes());
    }
    if quota.count_hard_limit() > -1 {
        limits.set_count_hard_limit(quota.count_hard_limit());
    }
    if quota.byte_hard_limit() > -1 {
        limits.set_byte_hard_limit(quota.byte_hard_limit());
    }
}

fn create_unless_there(zk: &ZooKeeper, node: &str) -> Result<(), ClientError> {
    if zk.exists(node, false)?.is_some() {
        return Ok(());
    }
    match zk.create(node, None, ids::open_acl_unsafe(), CreateMode::Persistent) {
        Err(error) if error.keeper_error() != Some(KeeperError::NodeExists) => Err(error),
        _ => Ok(()),
    }
}

/// Java: checkQuota.
fn warn_if_less(context: &mut Context<'_>, limits: &StatsTrack, usage: &StatsTrack) {
    let is_less = |limit: i64, used: i64| limit > -1 && limit < used;
    let (count, bytes) = (usage.count(), usage.bytes());
    if is_less(limits.count(), count) || is_less(limits.count_hard_limit(), count) {
        context.out_line(&format!(
            "[Warning]: the count quota you create is less than the existing count:{count}"
        ));
    }
    if is_less(limits.bytes(), bytes) || is_less(limits.byte_hard_limit(), bytes) {
        context.out_line(&format!(
            "[Warning]: the bytes quota you create is less than the existing bytes:{bytes}"
        ));
    }
}

/// Quotas cannot be nested (Java: checkIfChildQuota).
fn refuse_quota_below(zk: &ZooKeeper, path: &str) -> Result<(), CliError> {
    let own_node = quotas::quota_path(path);
    let result = sub_tree::visit_dfs(zk, &own_node, false, &mut |node| {
        if node != own_node && node.ends_with(&format!("/{LIMIT_NODE}")) {
            let parent = node.rsplit_once('/').map_or(node, |(parent, _)| parent);
            if parent != own_node {
                let child = quotas::trim_quota_path(parent);
                return Err(CliError::new(format!("{path} has a child {child} which has a quota")));
            }
        }
        Ok(())
    });
    match result {
        Err(error) if error.keeper_error == Some(KeeperError::NoNode) => Ok(()),
        result => result,
    }
}

/// Java: checkIfParentQuota.
fn refuse_quota_above(zk: &ZooKeeper, path: &str) -> Result<(), CliError> {
    let names: Vec<&str> = path.split('/').skip(1).collect();
    let mut node = QUOTA_ZOOKEEPER.to_owned();
    for name in names.iter().take(names.len().saturating_sub(1)) {
        node = format!("{node}/{name}");
        let children = match zk.get_children(&node, false) {
            Ok(children) => children,
            Err(error) if error.keeper_error() == Some(KeeperError::NoNode) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if children.iter().any(|child| child == LIMIT_NODE) {
            let parent = quotas::trim_quota_path(&node);
            return Err(CliError::new(format!("{path} has a parent {parent} which has a quota")));
        }
    }
    Ok(())
}
