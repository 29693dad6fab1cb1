//! All commands that need a client (Java: cli/CommandFactory.java).

use super::cli_command::CliCommand;
use super::{
    add_auth_command, add_watch_command, close_command, create_command, del_quota_command,
    delete_all_command, delete_command, get_acl_command, get_all_children_number_command,
    get_command, get_config_command, get_ephemerals_command, list_quota_command, ls_command,
    reconfig_command, remove_watches_command, set_acl_command, set_command, set_quota_command,
    stat_command, sync_command, version_command, who_am_i_command,
};

/// All commands, in Java's order.
pub const COMMANDS: &[CliCommand] = &[
    close_command::COMMAND,
    create_command::COMMAND,
    delete_command::COMMAND,
    delete_all_command::COMMAND,
    set_command::COMMAND,
    get_command::COMMAND,
    ls_command::COMMAND,
    get_acl_command::COMMAND,
    set_acl_command::COMMAND,
    stat_command::COMMAND,
    sync_command::COMMAND,
    set_quota_command::COMMAND,
    list_quota_command::COMMAND,
    del_quota_command::COMMAND,
    add_auth_command::COMMAND,
    reconfig_command::COMMAND,
    get_config_command::COMMAND,
    remove_watches_command::COMMAND,
    get_ephemerals_command::COMMAND,
    get_all_children_number_command::COMMAND,
    version_command::COMMAND,
    add_watch_command::COMMAND,
    who_am_i_command::COMMAND,
];

/// The command with that name.
#[must_use]
pub(crate) fn find(cmd_str: &str) -> Option<&'static CliCommand> {
    COMMANDS.iter().find(|command| command.cmd_str == cmd_str)
}
