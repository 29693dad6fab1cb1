//! The whole tree as a comparable value (no Java twin: there tests reach into the maps).

use std::collections::{BTreeMap, BTreeSet};

use crate::data::{ACL, StatPersisted};
use crate::ids::{SessionId, Zxid};

use super::DataTree;

/// The contents of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeContents {
    /// The data. Null and empty differ.
    pub data: Option<Vec<u8>>,
    /// The ACL.
    pub acl: Vec<ACL>,
    /// The state as stored on disk.
    pub stat: StatPersisted,
    /// The names of its children.
    pub children: BTreeSet<String>,
}

/// The contents of a tree, without internal numbers that can differ between equal trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeContents {
    /// The nodes by path. The path of the root is `/`.
    pub nodes: BTreeMap<String, NodeContents>,
    /// The paths of ephemeral nodes by session, for sessions that have some.
    pub ephemerals: BTreeMap<SessionId, BTreeSet<String>>,
    /// The paths of containers.
    pub containers: BTreeSet<String>,
    /// The paths of nodes with a time to live.
    pub ttls: BTreeSet<String>,
    /// The number of nodes as Java counts them.
    pub node_count: usize,
    /// The total length of paths and data.
    pub approximate_data_size: u64,
    /// The digest of the tree.
    pub digest: i64,
    /// The zxid of the last applied transaction.
    pub last_processed_zxid: Zxid,
}

impl DataTree {
    /// Copies the whole tree into a value, which can be large.
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
