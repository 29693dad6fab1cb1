//! The ids of a connection (Java: ServerCnxn's authInfo).
//!
//! Threads: the connection's thread adds ids, and any thread reads them. Locks: its own (`Rank::Leaf`), held
//! briefly. Readers get a shared list that later changes do not affect, so a request keeps the ids that the
//! connection had when the request arrived.

use std::net::IpAddr;
use std::sync::Arc;

use super::ip_authentication_provider;
use crate::data::Id;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The ids of a client.
#[derive(Debug)]
pub(crate) struct AuthInfo {
    ids: RankedMutex<Arc<[Id]>>,
}

impl AuthInfo {
    /// The ids of a new connection: its address.
    #[must_use]
    pub(crate) fn of_address(ip: IpAddr) -> Self {
        Self::of_ids([ip_authentication_provider::id_of(ip)])
    }

    /// Creates the value with these ids.
    pub(crate) fn of_ids(ids: impl IntoIterator<Item = Id>) -> Self {
        Self { ids: RankedMutex::new(Rank::Leaf, "AuthInfo", ids.into_iter().collect()) }
    }

    /// The length of all ids together, in bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.ids.lock().iter().map(|id| id.scheme.len() + id.id.len()).sum()
    }

    /// All ids, in the order in which they were added.
    #[must_use]
    pub(crate) fn ids(&self) -> Arc<[Id]> {
        Arc::clone(&self.ids.lock())
    }

    /// Adds an id, unless the connection already has it.
    pub(crate) fn add(&self, id: Id) {
        let mut ids = self.ids.lock();
        if !ids.contains(&id) {
            *ids = ids.iter().cloned().chain([id]).collect();
        }
    }

    /// Removes an id; false if the connection does not have it.
    pub(crate) fn remove(&self, id: &Id) -> bool {
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
