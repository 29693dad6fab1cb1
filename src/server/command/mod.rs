//! Java: package org.apache.zookeeper.server.command: four-letter words.
//!
//! If the first four bytes of a connection are a word ([`four_letter_commands`]), the connection lets
//! [`command_executor`] answer it and then closes. The executor uses the server through
//! [`abstract_four_letter_command::CommandContext`]. As in Java, each word has its own file, with one function
//! that appends the answer.

pub(crate) mod abstract_four_letter_command;
pub(crate) mod command_executor;
pub(crate) mod four_letter_commands;

mod cnxn_stat_reset_command;
mod conf_command;
mod cons_command;
mod digest_command;
mod dirs_command;
mod dump_command;
mod env_command;
mod isro_command;
mod monitor_command;
mod nop_command;
mod ruok_command;
mod set_trace_mask_command;
mod stat_command;
mod stat_reset_command;
mod trace_mask_command;
mod watch_command;

#[cfg(test)]
pub(crate) mod test_context;
