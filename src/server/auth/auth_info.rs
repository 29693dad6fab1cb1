//! The ids of a connection (Java: ServerCnxn's authInfo).
//!
//! Threads: the connection's thread adds, anybody reads. Locks: its own (`Rank::Leaf`), for a few instructions. Readers get a
//! shared list that no later change touches: a request keeps the ids that were there when it came.

use std::net::IpAddr;
use std::sync::Arc;

use super::ip_authentication_provider;
use crate::data::Id;
use crate::util::lock_rank::{Rank, RankedMutex};

/// Who a client is.
#[derive(Debug)]
pub struct AuthInfo {
    ids: RankedMutex<Arc<[Id]>>,
}

impl AuthInfo {
    /// The ids that a new connection has: where it comes from.
    #[must_use]
    pub fn of_address(ip: IpAddr) -> Self {
        Self::of_ids([ip_authentication_provider::id_of(ip)])
    }

    /// These ids.
    pub fn of_ids(ids: impl IntoIterator<Item = Id>) -> Self {
        Self { ids: RankedMutex::new(Rank::Leaf, "AuthInfo", ids.into_iter().collect()) }
    }

    /// All ids, in the order in which they came.
    #[must_use]
    pub fn ids(&self) -> Arc<[Id]> {
        Arc::clone(&self.ids.lock())
    }

    /// Adds an id; one that is there already is not added again.
    pub fn add(&self, id: Id) {
        let mut ids = self.ids.lock();
        if !ids.contains(&id) {
            *ids = ids.iter().cloned().chain([id]).collect();
        }
    }

    /// Removes an id; false when it was not there.
    pub fn remove(&self, id: &Id) -> bool {
        let mut ids = self.ids.lock();
        let was_there = ids.contains(id);
        if was_there {
            *ids = ids.iter().filter(|other| *other != id).cloned().collect();
        }
        was_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(scheme: &str, id: &str) -> Id {
        Id { scheme: scheme.into(), id: id.into() }
    }

    #[test]
    fn an_id_is_there_once_and_a_request_keeps_the_ids_that_it_came_with() {
        let info = AuthInfo::of_address([127, 0, 0, 1].into());
        let of_request = info.ids();
        info.add(id("digest", "a:b"));
        info.add(id("digest", "a:b"));
        assert_eq!(*of_request, [id("ip", "127.0.0.1")]);
        assert_eq!(*info.ids(), [id("ip", "127.0.0.1"), id("digest", "a:b")]);
        assert!(info.remove(&id("ip", "127.0.0.1")));
        assert!(!info.remove(&id("ip", "127.0.0.1")));
        assert_eq!(*info.ids(), [id("digest", "a:b")]);
    }
}
