//! The ephemeral nodes of each session, and the containers and TTL nodes (Java: the sets of
//! server/DataTree.java).
//!
//! The sets hold node numbers, not paths. As in Java, a session stays in the table after its last ephemeral
//! node is deleted, until it is closed; `dump` shows it.

use hashbrown::{HashMap, HashSet};

use crate::ids::SessionId;
use crate::server::data_node::NodeId;
use crate::server::ephemeral_type::EphemeralType;

use super::DataTree;

type NodeSet = HashSet<NodeId>;

/// The nodes that are not persistent nodes without a time to live.
#[derive(Debug, Default)]
pub(super) struct Ephemerals {
    by_session: HashMap<SessionId, NodeSet>,
    containers: NodeSet,
    ttls: NodeSet,
}

impl Ephemerals {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn add(&mut self, kind: EphemeralType, ephemeral_owner: i64, id: NodeId) {
        match kind {
            EphemeralType::Void => {}
            EphemeralType::Container => {
                self.containers.insert(id);
            }
            EphemeralType::Ttl => {
                self.ttls.insert(id);
            }
            EphemeralType::Normal => {
                self.by_session.entry(SessionId(ephemeral_owner)).or_default().insert(id);
            }
        }
    }

    pub(super) fn remove(&mut self, kind: EphemeralType, ephemeral_owner: i64, id: NodeId) {
        match kind {
            EphemeralType::Void => {}
            EphemeralType::Container => {
                self.containers.remove(&id);
            }
            EphemeralType::Ttl => {
                self.ttls.remove(&id);
            }
            EphemeralType::Normal => {
                if let Some(nodes) = self.by_session.get_mut(&SessionId(ephemeral_owner)) {
                    nodes.remove(&id);
                }
            }
        }
    }

    /// Removes and returns the nodes of a session that ends.
    pub(super) fn take(&mut self, session_id: SessionId) -> Option<impl Iterator<Item = NodeId>> {
        self.by_session.remove(&session_id).map(IntoIterator::into_iter)
    }
}

impl DataTree {
    /// The paths of a session's ephemeral nodes (Java: getEphemerals).
    #[must_use]
    pub fn ephemerals(&self, session_id: SessionId) -> Vec<String> {
        self.ephemerals.by_session.get(&session_id).map_or_else(Vec::new, |set| self.paths(set))
    }

    /// As [`ephemerals`](Self::ephemerals), without copying the paths.
    pub fn ephemeral_paths(&self, session_id: SessionId) -> impl Iterator<Item = &str> {
        let ids = self.ephemerals.by_session.get(&session_id).into_iter().flatten();
        ids.map(|id| self.nodes.node(*id).path())
    }

    /// The number of ephemeral nodes.
    #[must_use]
    pub fn ephemerals_count(&self) -> usize {
        self.ephemerals.by_session.values().map(HashSet::len).sum()
    }

    /// The sessions that have or had ephemeral nodes (Java: getSessions).
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.ephemerals.by_session.keys().copied()
    }

    /// The paths of all containers.
    #[must_use]
    pub fn containers(&self) -> Vec<String> {
        self.paths(&self.ephemerals.containers)
    }

    /// The paths of all nodes with a time to live.
    #[must_use]
    pub fn ttls(&self) -> Vec<String> {
        self.paths(&self.ephemerals.ttls)
    }

    fn paths(&self, set: &NodeSet) -> Vec<String> {
        set.iter().map(|id| self.nodes.node(*id).path().to_owned()).collect()
    }
}
