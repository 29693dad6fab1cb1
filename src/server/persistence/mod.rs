//! Java: package org.apache.zookeeper.server.persistence: transaction log and snapshots.

pub mod file_header;
pub mod util;

pub mod txn_log;

pub mod file_padding;
pub mod file_txn_log;

#[cfg(test)]
pub(crate) mod test_dir;
