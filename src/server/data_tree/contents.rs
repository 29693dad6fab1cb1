//! The whole tree as a value that can be compared (no Java twin: there tests reach into the maps).

use std::collections::{BTreeMap, BTreeSet};

use crate::data::{ACL, StatPersisted};
use crate::ids::{SessionId, Zxid};

use super::DataTree;

/// All that a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeContents {
    /// The data; null and empty are different.
    pub data: Option<Vec<u8>>,
    /// Who may do what.
    pub acl: Vec<ACL>,
    /// The state as it is kept on disk.
    pub stat: StatPersisted,
    /// The names of its children.
    pub children: BTreeSet<String>,
}

/// All that a tree is, without numbers that differ between equal trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeContents {
    /// The nodes by path; the root's is `/`.
    pub nodes: BTreeMap<String, NodeContents>,
    /// Paths of ephemeral nodes by session; only sessions that have some.
    pub ephemerals: BTreeMap<SessionId, BTreeSet<String>>,
    /// Paths of containers.
    pub containers: BTreeSet<String>,
    /// Paths of nodes that have a time to live.
    pub ttls: BTreeSet<String>,
    /// Java's number of nodes.
    pub node_count: usize,
    /// Lengths of paths and data.
    pub approximate_data_size: u64,
    /// The digest.
    pub digest: i64,
    /// The newest transaction.
    pub last_processed_zxid: Zxid,
}

impl DataTree {
    /// The whole tree as a value. Large.
    #[must_use]
    pub fn contents(&self) -> TreeContents {
        let nodes = self.all_nodes().map(|node| {
            let contents = NodeContents {
                data: node.data().map(<[u8]>::to_vec),
                acl: node.acl().to_vec(),
                stat: node.stat_persisted(),
                children: node.children().map(str::to_owned).collect(),
            };
            (node.path().to_owned(), contents)
        });
        let by_session =
            self.sessions().map(|session_id| (session_id, self.ephemerals(session_id)));
        let ephemerals = by_session.filter(|(_, paths)| !paths.is_empty());
        TreeContents {
            nodes: nodes.collect(),
            ephemerals: ephemerals
                .map(|(session_id, paths)| (session_id, paths.into_iter().collect()))
                .collect(),
            containers: self.containers().into_iter().collect(),
            ttls: self.ttls().into_iter().collect(),
            node_count: self.node_count(),
            approximate_data_size: self.approximate_data_size(),
            digest: self.tree_digest(),
            last_processed_zxid: self.last_processed_zxid(),
        }
    }
}
