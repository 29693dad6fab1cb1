//! Java: package org.apache.zookeeper.server.quorum.flexible: which sets of servers are a quorum.

pub(crate) mod create_quorum_verifier;
pub(super) mod java_long_map_order;
pub(crate) mod quorum_hierarchical;
pub(crate) mod quorum_maj;
pub(crate) mod quorum_members;
pub(crate) mod quorum_oracle_maj;
pub(crate) mod quorum_verifier;
#[cfg(test)]
pub(crate) mod test_members;
