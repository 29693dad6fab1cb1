//! Java: package org.apache.zookeeper.server.persistence: transaction log and snapshots.

pub(crate) mod file_header;
pub(crate) mod util;

pub(crate) mod txn_log;

pub(crate) mod file_padding;
pub(crate) mod file_txn_log;

pub(crate) mod snap_shot;
pub(crate) mod snap_stream;
pub(crate) mod snapshot_info;

pub(crate) mod file_snap;

pub(crate) mod file_txn_snap_log;

pub mod txn_log_toolkit;

#[cfg(test)]
pub(crate) mod test_dir;
#[cfg(test)]
pub(crate) mod test_tree;
