//! Usage and limits of subtrees (Java: the quota methods of server/DataTree.java, and
//! ZooKeeperServer.checkQuota).
//!
//! Each server counts the usage itself when it applies transactions. The usage is part of no transaction and of
//! no digest.
//!
//! Unlike in Java, applying a transaction only logs an unreadable quota node or a limit without a path, and
//! ignores it. In Java an exception ends the thread that applies transactions, and with it the server.

use log::{debug, error, warn};

use crate::quotas::{
    LIMIT_NODE, PROC_ZOOKEEPER, QUOTA_ZOOKEEPER, STAT_NODE, limit_path, stat_path, trim_quota_path,
};
use crate::server::data_node::NodeId;
use crate::stats_track::{InvalidStats, StatsTrack};

use super::{DataTree, LOG};

/// A limit that a change would exceed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaViolation {
    /// The log message, as in Java.
    pub message: String,
    /// Whether the change must be refused. Otherwise it is only logged.
    pub hard: bool,
}

impl DataTree {
    /// The nearest path at or above the given one that has a quota. The root never has one.
    #[must_use]
    pub fn max_prefix_with_quota(&self, path: &str) -> Option<String> {
        if self.p_trie.is_empty() {
            return None;
        }
        Some(self.p_trie.find_max_prefix(path)).filter(|prefix| prefix != "/")
    }

    /// The limits that a change of the path would exceed: first the number of nodes, then the bytes. No limit
    /// is checked after a hard one is exceeded (Java: checkQuota, which this leaves to the server's
    /// `enforceQuota`).
    ///
    /// # Errors
    /// When a relevant quota node is unreadable. Java then refuses the change.
    pub fn quota_violations(
        &self,
        path: &str,
        bytes_diff: i64,
        count_diff: i64,
    ) -> Result<Vec<QuotaViolation>, InvalidStats> {
        let mut violations = Vec::new();
        let Some(prefix) = self.max_prefix_with_quota(path) else { return Ok(violations) };
        debug!(
            target: LOG,
            "checkQuota: lastPrefix={prefix}, bytesDiff={bytes_diff}, countDiff={count_diff}"
        );
        let limits = self.readable_stats(&limit_path(&prefix), "Missing limit node for quota")?;
        let Some(limits) = limits else { return Ok(violations) };
        let limit = |soft: i64, hard: i64| if hard > -1 { (hard, true) } else { (soft, false) };
        let (count_limit, count_is_hard) = limit(limits.count(), limits.count_hard_limit());
        let (byte_limit, byte_is_hard) = limit(limits.bytes(), limits.byte_hard_limit());
        let check_count = count_diff != 0 && count_limit > -1;
        let check_bytes = bytes_diff != 0 && byte_limit > -1;
        if !check_count && !check_bytes {
            return Ok(violations);
        }
        let usage = self.readable_stats(&stat_path(&prefix), "Missing node for stat")?;
        let Some(usage) = usage else { return Ok(violations) };
        let mut check = |what: &str, kind: &str, new: i64, limit: i64, hard: bool| {
            if new > limit {
                let word = if hard { "hard" } else { "soft" };
                let message = format!(
                    "Quota exceeded: {prefix} [current {what}={new}, {word}{kind}Limit={limit}]"
                );
                violations.push(QuotaViolation { message, hard });
                return hard;
            }
            false
        };
        let new_count = usage.count().wrapping_add(count_diff);
        if check_count && check("count", "Count", new_count, count_limit, count_is_hard) {
            return Ok(violations);
        }
        if check_bytes {
            let new_bytes = usage.bytes().wrapping_add(bytes_diff);
            check("bytes", "Byte", new_bytes, byte_limit, byte_is_hard);
        }
        Ok(violations)
    }

    fn readable_stats(
        &self,
        path: &str,
        missing: &str,
    ) -> Result<Option<StatsTrack>, InvalidStats> {
        let Some(id) = self.nodes.get(path) else {
            error!(target: LOG, "{missing} {path}");
            return Ok(None);
        };
        let Some(data) = self.nodes.node(id).data() else {
            return Err(InvalidStats("null".into()));
        };
        StatsTrack::from_data(Some(data)).map(Some)
    }

    fn quota_stats(&self, path: &str, missing: &str) -> Option<StatsTrack> {
        self.readable_stats(path, missing).unwrap_or_else(|invalid| {
            error!(target: LOG, "{path}: {invalid}; the quota is ignored");
            None
        })
    }

    /// Adds a change to the usage of the quota above the path, if there is one (Java: updateQuotaStat).
    pub(super) fn add_to_quota(&mut self, path: &str, new_len: usize, old_len: usize, nodes: i64) {
        let Some(prefix) = self.max_prefix_with_quota(path) else { return };
        let stat_path = stat_path(&prefix);
        let Some(mut stats) = self.quota_stats(&stat_path, "Missing node for stat") else { return };
        let length = |len: usize| i64::try_from(len).unwrap_or(i64::MAX);
        stats.set_count(stats.count().wrapping_add(nodes));
        stats.set_bytes(stats.bytes().wrapping_add(length(new_len) - length(old_len)));
        self.write_quota_stats(&stat_path, &stats);
    }

    fn write_quota_stats(&mut self, stat_path: &str, stats: &StatsTrack) {
        if let Some(id) = self.nodes.get(stat_path) {
            self.nodes.change_data(id, Some(stats.stats_bytes()), |_| ());
        } else {
            warn!(target: LOG, "Missing quota stat node {stat_path}");
        }
    }

    /// Activates a new limit, or computes the first value of a new usage node.
    pub(super) fn quota_node_created(&mut self, parent_path: &str, name: &str) {
        if !parent_path.starts_with(QUOTA_ZOOKEEPER) {
            return;
        }
        let path = trim_quota_path(parent_path);
        if name == LIMIT_NODE {
            self.p_trie.add_path(path);
        } else if name == STAT_NODE {
            self.update_quota_for_path(path);
        }
    }

    /// Deactivates a deleted limit.
    pub(super) fn quota_node_deleted(&mut self, parent_path: &str, name: &str) {
        if name == LIMIT_NODE && parent_path.starts_with(PROC_ZOOKEEPER) {
            self.p_trie.delete_path(trim_quota_path(parent_path));
        }
    }

    /// Does the quota part of [`delete_node`](Self::delete_node) for a node that is removed with one above it.
    pub(super) fn forget_quota_below(&mut self, id: NodeId) {
        if self.p_trie.is_empty() {
            return;
        }
        let node = self.nodes.node(id);
        let (path, data_len) = (node.path().to_owned(), node.data_len());
        if let Some((parent_path, name)) = path.rsplit_once('/') {
            self.quota_node_deleted(parent_path, name);
        }
        self.add_to_quota(&path, 0, data_len, -1);
    }

    /// Recomputes the usage of a subtree (Java: updateQuotaForPath).
    fn update_quota_for_path(&mut self, path: &str) {
        let (mut count, mut bytes) = (0_i64, 0_usize);
        if let Some(top) = self.nodes.get(path) {
            for id in self.nodes.subtree(top) {
                count += 1;
                bytes += self.nodes.node(id).data_len();
            }
        }
        let mut stats = StatsTrack::new();
        stats.set_bytes(i64::try_from(bytes).unwrap_or(i64::MAX));
        stats.set_count(count);
        self.write_quota_stats(&stat_path(path), &stats);
    }

    /// Finds all limits of a newly loaded tree and recomputes their usage.
    pub(super) fn setup_quota(&mut self) {
        let Some(top) = self.nodes.get(QUOTA_ZOOKEEPER) else { return };
        let ending = format!("/{LIMIT_NODE}");
        let leaves = self.nodes.subtree(top).map(|id| self.nodes.node(id));
        let limited: Vec<String> = leaves
            .filter(|node| node.child_count() == 0 && node.path().ends_with(&ending))
            .filter_map(|node| {
                trim_quota_path(node.path()).split(&ending).next().map(str::to_owned)
            })
            .collect();
        for path in limited {
            if path.is_empty() {
                warn!(target: LOG, "{QUOTA_ZOOKEEPER}{ending} limits no path; it is ignored");
                continue;
            }
            self.update_quota_for_path(&path);
            self.p_trie.add_path(&path);
        }
    }
}
