//! Java: package org.apache.zookeeper.cli: the commands of the shell.
//!
//! Each command has a file with a [`CliCommand`](cli_command::CliCommand) named `COMMAND`; [`command_factory`] lists
//! them. The commands print exactly what Java prints wherever scripts may read it: results on standard output,
//! everything else on standard error. If a number cannot be parsed, the command fails; in Java, some such numbers end
//! the shell.

pub(crate) mod cli_command;
pub(crate) mod cli_exception;
pub(crate) mod command_line;
pub(crate) mod command_usage_helper;

pub mod acl_parser;
pub(crate) mod output_formatter;
pub(crate) mod stat_printer;
pub(crate) mod sub_tree;

pub(crate) mod add_auth_command;
pub(crate) mod add_watch_command;
pub(crate) mod close_command;
pub(crate) mod create_command;
pub(crate) mod del_quota_command;
pub(crate) mod delete_all_command;
pub(crate) mod delete_command;
pub(crate) mod get_acl_command;
pub(crate) mod get_all_children_number_command;
pub(crate) mod get_command;
pub(crate) mod get_config_command;
pub(crate) mod get_ephemerals_command;
pub(crate) mod list_quota_command;
pub(crate) mod ls_command;
pub(crate) mod reconfig_command;
pub(crate) mod remove_watches_command;
pub(crate) mod set_acl_command;
pub(crate) mod set_command;
pub(crate) mod set_quota_command;
pub(crate) mod stat_command;
pub(crate) mod sync_command;
pub(crate) mod version_command;
pub(crate) mod who_am_i_command;

pub(crate) mod command_factory;
