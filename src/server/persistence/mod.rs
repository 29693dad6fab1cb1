//! Java: package org.apache.zookeeper.server.persistence: transaction log and snapshots.

pub mod file_header;
pub mod util;

pub mod txn_log;

pub mod file_padding;
pub mod file_txn_log;

pub mod snap_shot;
pub mod snap_stream;
pub mod snapshot_info;

pub mod file_snap;

pub mod file_txn_snap_log;

pub mod txn_log_toolkit;

#[cfg(test)]
pub(crate) mod test_dir;
#[cfg(test)]
pub(crate) mod test_tree;
