//! The paths of quotas in the tree (Java: org/apache/zookeeper/Quotas.java).

/// The node below which the system's own nodes are (Java: procZookeeper).
pub const PROC_ZOOKEEPER: &str = "/zookeeper";

/// The root of the quota tree, which has a node for every path with a quota (Java: quotaZookeeper).
pub const QUOTA_ZOOKEEPER: &str = "/zookeeper/quota";

/// The name of the node that holds a path's limits (Java: limitNode).
pub const LIMIT_NODE: &str = "zookeeper_limits";

/// The name of the node that holds a path's usage (Java: statNode).
pub const STAT_NODE: &str = "zookeeper_stats";

/// The node for a path in the quota tree.
#[must_use]
pub fn quota_path(path: &str) -> String {
    format!("{QUOTA_ZOOKEEPER}{path}")
}

/// The node with a path's limits.
#[must_use]
pub fn limit_path(path: &str) -> String {
    format!("{QUOTA_ZOOKEEPER}{path}/{LIMIT_NODE}")
}

/// The node with a path's usage.
#[must_use]
pub fn stat_path(path: &str) -> String {
    format!("{QUOTA_ZOOKEEPER}{path}/{STAT_NODE}")
}

/// The path that a node of the quota tree stands for. As in Java, this only removes a prefix of fixed length without
/// checking it. The result is empty if the path is too short.
#[must_use]
pub fn trim_quota_path(quota_path: &str) -> &str {
    quota_path.get(QUOTA_ZOOKEEPER.len()..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_its_quota_nodes_lead_to_each_other() {
        assert_eq!(stat_path("/a/b"), "/zookeeper/quota/a/b/zookeeper_stats");
        assert_eq!(limit_path("/a"), "/zookeeper/quota/a/zookeeper_limits");
        assert_eq!(trim_quota_path(&quota_path("/a/b")), "/a/b");
        assert_eq!(trim_quota_path("/zookeeper"), "");
    }
}
