//! Java: package org.apache.zookeeper.cli: the commands of the shell.
//!
//! Each command has a file with a [`CliCommand`](cli_command::CliCommand) named `COMMAND`; [`command_factory`] lists
//! them. The commands print exactly what Java prints wherever scripts may read it: results on standard output,
//! everything else on standard error. If a number cannot be parsed, the command fails; in Java, some such numbers end
//! the shell.

pub mod cli_command;
pub mod cli_exception;
pub mod command_line;
pub mod command_usage_helper;

pub mod acl_parser;
pub mod output_formatter;
pub mod stat_printer;
pub mod sub_tree;

pub mod add_auth_command;
pub mod add_watch_command;
pub mod close_command;
pub mod create_command;
pub mod del_quota_command;
pub mod delete_all_command;
pub mod delete_command;
pub mod get_acl_command;
pub mod get_all_children_number_command;
pub mod get_command;
pub mod get_config_command;
pub mod get_ephemerals_command;
pub mod list_quota_command;
pub mod ls_command;
pub mod reconfig_command;
pub mod remove_watches_command;
pub mod set_acl_command;
pub mod set_command;
pub mod set_quota_command;
pub mod stat_command;
pub mod sync_command;
pub mod version_command;
pub mod who_am_i_command;

pub mod command_factory;
