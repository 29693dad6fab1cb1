//! Java: package org.apache.zookeeper.server.quorum.flexible: which sets of servers are a quorum.

pub mod create_quorum_verifier;
mod java_long_map_order;
pub mod quorum_hierarchical;
pub mod quorum_maj;
pub mod quorum_members;
pub mod quorum_oracle_maj;
pub mod quorum_verifier;
#[cfg(test)]
pub(crate) mod test_members;
