//! Quotas as metrics, summed by the first name of their paths (Java: server/util/QuotaMetricsUtils.java).
//!
//! `quota_values` is getQuotaLimitOrUsage with the methods that it calls. An unreadable quota node is left out; in Java
//! it makes the whole dump fail.

use std::collections::BTreeMap;

use crate::common::path_utils::top_namespace;
use crate::quotas::{LIMIT_NODE, QUOTA_ZOOKEEPER, STAT_NODE, trim_quota_path};
use crate::server::data_tree::{DataTree, NodeView};
use crate::stats_track::StatsTrack;

/// A value of the quotas, summed up by the first path element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuotaMetric {
    /// The allowed number of nodes.
    CountLimit,
    /// The allowed number of bytes.
    BytesLimit,
    /// The actual number of nodes.
    CountUsage,
    /// The actual number of bytes.
    BytesUsage,
}

impl QuotaMetric {
    /// All of them, in the order in which Java registers them.
    pub(crate) const ALL: [Self; 4] =
        [Self::CountLimit, Self::BytesLimit, Self::CountUsage, Self::BytesUsage];

    /// The name of the metric (Java: the constants of QuotaMetricsUtils).
    #[must_use]
    pub(crate) const fn metric_name(self) -> &'static str {
        match self {
            Self::CountLimit => "quota_count_limit_per_namespace",
            Self::BytesLimit => "quota_bytes_limit_per_namespace",
            Self::CountUsage => "quota_count_usage_per_namespace",
            Self::BytesUsage => "quota_bytes_usage_per_namespace",
        }
    }
}

/// The values of one metric, by namespace.
#[must_use]
pub(crate) fn quota_values(tree: &DataTree, metric: QuotaMetric) -> Vec<(String, i64)> {
    let wanted = match metric {
        QuotaMetric::CountLimit | QuotaMetric::BytesLimit => LIMIT_NODE,
        QuotaMetric::CountUsage | QuotaMetric::BytesUsage => STAT_NODE,
    };
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    let mut nodes: Vec<NodeView<'_>> = tree.node(QUOTA_ZOOKEEPER).into_iter().collect();
    while let Some(node) = nodes.pop() {
        let before = nodes.len();
        nodes.extend(node.child_nodes());
        let is_leaf = nodes.len() == before;
        let is_wanted = node.path().rsplit('/').next() == Some(wanted);
        if !is_leaf || !is_wanted {
            continue;
        }
        let Some(namespace) = top_namespace(trim_quota_path(node.path())) else { continue };
        let Some(Ok(stats)) = node.data().map(|data| StatsTrack::from_data(Some(data))) else {
            continue;
        };
        let value = match metric {
            QuotaMetric::CountLimit => quota_limit(stats.count_hard_limit(), stats.count()),
            QuotaMetric::BytesLimit => quota_limit(stats.byte_hard_limit(), stats.bytes()),
            QuotaMetric::CountUsage => stats.count(),
            QuotaMetric::BytesUsage => stats.bytes(),
        };
        let sum = sums.entry(namespace.to_owned()).or_default();
        *sum = sum.wrapping_add(value);
    }
    sums.into_iter().collect()
}

/// A hard limit takes precedence over a soft one.
const fn quota_limit(hard_limit: i64, limit: i64) -> i64 {
    if hard_limit > -1 { hard_limit } else { limit }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::{SessionId, Zxid};
    use crate::server::data_tree::{DataTreeConfig, DataTreeParts};
    use crate::server::server_metrics::ServerMetrics;
    use crate::server::util::serialize_utils::TxnBody;
    use crate::server::watch::watch_manager::WatchManager;
    use crate::txn::{CreateTxn, TxnHeader};
    use crate::zoo_defs::{OpCode, ids};

    fn tree_with(nodes: &[(&str, &str)]) -> DataTree {
        let watches = || Arc::new(WatchManager::new(ServerMetrics::null()));
        let parts = DataTreeParts::new(watches(), watches());
        let mut tree = DataTree::new(DataTreeConfig::default(), parts);
        for (path, data) in nodes {
            let zxid = Zxid(tree.last_processed_zxid().0 + 1);
            let r#type = OpCode::Create.code();
            let header = TxnHeader { client_id: SessionId(1), cxid: 1, zxid, time: 1, r#type };
            let txn = CreateTxn {
                path: (*path).into(),
                data: Some(data.as_bytes().to_vec()),
                acl: ids::open_acl_unsafe(),
                ephemeral: false,
                parent_c_version: -1,
            };
            assert_eq!(tree.process_txn(&header, Some(TxnBody::Create(txn))).err, 0, "{path}");
        }
        tree
    }

    #[test]
    fn limits_and_usage_of_a_namespace_are_summed_up_and_hard_limits_count_first() {
        let tree = tree_with(&[
            ("/ns1", ""),
            ("/ns1/a", "1234567"),
            ("/ns1/b", "x"),
            ("/zookeeper/quota/ns1", ""),
            ("/zookeeper/quota/ns1/a", ""),
            (
                "/zookeeper/quota/ns1/a/zookeeper_limits",
                "count=10,bytes=20=;byteHardLimit=-1;countHardLimit=15",
            ),
            ("/zookeeper/quota/ns1/a/zookeeper_stats", "count=0,bytes=0"),
            ("/zookeeper/quota/ns1/b", ""),
            ("/zookeeper/quota/ns1/b/zookeeper_limits", "count=1,bytes=2"),
            ("/zookeeper/quota/ns1/b/zookeeper_stats", "count=0,bytes=0"),
            ("/zookeeper/quota/ns2", ""),
            ("/zookeeper/quota/ns2/zookeeper_limits", "count=-1,bytes=5"),
            ("/zookeeper/quota/broken", ""),
            ("/zookeeper/quota/broken/zookeeper_limits", "no quota"),
        ]);
        let values = |metric| {
            let values = quota_values(&tree, metric).into_iter();
            values.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(values(QuotaMetric::CountLimit), "ns1=16 ns2=-1");
        assert_eq!(values(QuotaMetric::BytesLimit), "ns1=22 ns2=5");
        assert_eq!(values(QuotaMetric::CountUsage), "ns1=2");
        assert_eq!(values(QuotaMetric::BytesUsage), "ns1=8");
    }
}
