//! The ACLs of all nodes, each kept once (Java: server/ReferenceCountedACLCache.java).
//!
//! A node holds an [`AclKey`], the place of its ACL in this table. A snapshot holds the ACL's id, which is never
//! reused. After a snapshot is loaded, new ids start above its ids. The tree owns the cache, and its lock guards
//! both.
//!
//! Differs from Java: the key is a place and not the id, so a node's ACL is found without hashing. A node of a
//! snapshot may have an id that is missing in the snapshot's table, if its ACL was set while the snapshot was taken.
//! Such a node gets an ACL that grants nothing, until the transaction that set the ACL is replayed. Java keeps the
//! dangling id, which may be given to another ACL in the meantime.

use std::io::Read;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use log::info;

use crate::data::{ACL, Id};
use crate::jute::{BinaryInputArchive, BinaryOutputArchive, InputError, OutputArchive, Record};
use crate::zoo_defs::ids;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ReferenceCountedACLCache";

/// The id of the ACL that allows everything to everybody. It is in no table.
pub(crate) const OPEN_UNSAFE_ACL_ID: i64 = -1;

/// The place of an ACL in the cache, as a node holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AclKey(u32);

impl AclKey {
    /// Everybody may do everything.
    pub const OPEN_UNSAFE: Self = Self(u32::MAX);

    const fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
struct Entry {
    id: i64,
    acl: Arc<[ACL]>,
    /// The number of nodes that hold it. Increased before a node gets it, and 0 for a moment while a snapshot is
    /// loaded.
    usage: u64,
    /// Whether the place is free.
    free: bool,
}

/// The ACLs of all nodes, and how many nodes have each.
#[derive(Debug)]
pub(crate) struct ReferenceCountedAclCache {
    entries: Vec<Entry>,
    free: Vec<AclKey>,
    /// The places by ACL.
    keys: HashTable<AclKey>,
    hasher: DefaultHashBuilder,
    /// The highest id so far.
    acl_index: i64,
    open: Arc<[ACL]>,
    nothing: Arc<[ACL]>,
}

/// Maps the ids of a snapshot to places, while the snapshot is loaded.
#[derive(Debug, Default)]
pub(super) struct SnapshotAcls {
    keys: HashMap<i64, AclKey>,
    denied: Option<AclKey>,
}

impl Default for ReferenceCountedAclCache {
    fn default() -> Self {
        Self::new()
    }
}

impl ReferenceCountedAclCache {
    /// An empty cache.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            keys: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            acl_index: 0,
            open: ids::open_acl_unsafe().into(),
            // Not empty, because an empty ACL allows everything.
            nothing: [ACL { perms: 0, id: ids::anyone_id_unsafe() }].into(),
        }
    }

    /// The place of the ACL. Counts one more node.
    ///
    /// # Panics
    /// When there are more than four billion different ACLs.
    pub(crate) fn convert_acls(&mut self, acl: &[ACL]) -> AclKey {
        let hash = hash_acl(&self.hasher, acl);
        let found = self.keys.find(hash, |key| *self.entries[key.index()].acl == *acl).copied();
        let key = found.unwrap_or_else(|| {
            self.acl_index = self.acl_index.wrapping_add(1);
            self.insert(self.acl_index, acl.into())
        });
        self.entries[key.index()].usage += 1;
        key
    }

    /// The ACL at a place.
    #[must_use]
    pub(crate) fn acl(&self, key: AclKey) -> &Arc<[ACL]> {
        if key == AclKey::OPEN_UNSAFE { &self.open } else { &self.entries[key.index()].acl }
    }

    /// The id of the ACL at a place, as snapshots contain it.
    #[must_use]
    pub(crate) fn id(&self, key: AclKey) -> i64 {
        if key == AclKey::OPEN_UNSAFE { OPEN_UNSAFE_ACL_ID } else { self.entries[key.index()].id }
    }

    /// Counts one more node.
    pub(crate) fn add_usage(&mut self, key: AclKey) {
        if key != AclKey::OPEN_UNSAFE {
            self.entries[key.index()].usage += 1;
        }
    }

    /// Counts one node less. Removes the ACL when no node has it.
    pub(crate) fn remove_usage(&mut self, key: AclKey) {
        if key == AclKey::OPEN_UNSAFE {
            return;
        }
        let entry = &mut self.entries[key.index()];
        assert!(entry.usage > 0, "no node has ACL {}, and one gave it back", entry.id);
        entry.usage -= 1;
        if entry.usage == 0 {
            self.forget(key);
        }
    }

    /// Removes the ACLs of a snapshot that no node has.
    pub(crate) fn purge_unused(&mut self) {
        for index in 0..self.entries.len() {
            if self.entries[index].usage == 0 && !self.entries[index].free {
                self.forget(place(index));
            }
        }
    }

    /// How many different ACLs there are.
    #[must_use]
    pub(crate) fn size(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Appends the table, in the order of ids. It is the first part of a tree in a snapshot.
    pub(crate) fn serialize(&self, out: &mut Vec<u8>) {
        let mut entries: Vec<&Entry> = self.entries.iter().filter(|entry| !entry.free).collect();
        entries.sort_unstable_by_key(|entry| entry.id);
        let mut archive = BinaryOutputArchive::new(out);
        archive.start_vector(Some(entries.len()), "map");
        for entry in entries {
            archive.write_long(entry.id, "long");
            archive.start_vector(Some(entry.acl.len()), "acls");
            for acl in &*entry.acl {
                acl.serialize(&mut archive);
            }
            archive.end_vector("acls");
        }
        archive.end_vector("map");
    }

    /// Replaces the table by that of a snapshot (Java: clear, deserialize). No node has any of its ACLs yet. The result
    /// maps its ids to places.
    ///
    /// # Errors
    /// When the input ends or contains no table.
    pub(super) fn deserialize<R: Read>(
        &mut self,
        archive: &mut BinaryInputArchive<R>,
    ) -> Result<SnapshotAcls, InputError> {
        self.entries.clear();
        self.free.clear();
        self.keys.clear();
        let mut snapshot = SnapshotAcls::default();
        for _ in 0..archive.read_int()? {
            let id = archive.read_long()?;
            let acl: Vec<ACL> =
                archive.read_vector("acls")?.ok_or(InputError::Null { tag: "acls" })?;
            self.acl_index = self.acl_index.max(id);
            let key = self.insert(id, acl.into());
            snapshot.keys.insert(id, key);
        }
        Ok(snapshot)
    }

    /// The place of a snapshot's id. Counts the node that has it.
    pub(super) fn convert_id(&mut self, id: i64, snapshot: &mut SnapshotAcls) -> AclKey {
        if id == OPEN_UNSAFE_ACL_ID {
            return AclKey::OPEN_UNSAFE;
        }
        let key = match snapshot.keys.get(&id) {
            Some(key) => *key,
            None => {
                info!(target: LOG, "Ignoring acl {id} as it does not exist in the cache");
                // The id was in use, so it must not be given out again.
                self.acl_index = self.acl_index.max(id);
                *snapshot.denied.get_or_insert_with(|| {
                    self.acl_index = self.acl_index.wrapping_add(1);
                    self.insert(self.acl_index, self.nothing.clone())
                })
            }
        };
        self.entries[key.index()].usage += 1;
        key
    }

    /// How many nodes have this ACL.
    #[cfg(test)]
    pub(super) fn usage(&self, key: AclKey) -> u64 {
        self.entries[key.index()].usage
    }

    fn insert(&mut self, id: i64, acl: Arc<[ACL]>) -> AclKey {
        let hash = hash_acl(&self.hasher, &acl);
        let entry = Entry { id, acl, usage: 0, free: false };
        let key = if let Some(key) = self.free.pop() {
            self.entries[key.index()] = entry;
            key
        } else {
            self.entries.push(entry);
            place(self.entries.len() - 1)
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.keys.insert_unique(hash, key, |key| hash_acl(hasher, &entries[key.index()].acl));
        key
    }

    fn forget(&mut self, key: AclKey) {
        let entry = &mut self.entries[key.index()];
        entry.free = true;
        let acl = std::mem::replace(&mut entry.acl, self.open.clone());
        let hash = hash_acl(&self.hasher, &acl);
        if let Ok(found) = self.keys.find_entry(hash, |other| *other == key) {
            found.remove();
        }
        self.free.push(key);
    }
}

#[expect(clippy::expect_used, reason = "the memory ends long before the numbers do")]
fn place(index: usize) -> AclKey {
    let place = u32::try_from(index).ok().filter(|place| *place != AclKey::OPEN_UNSAFE.0);
    AclKey(place.expect("fewer than four billion different ACLs"))
}

fn hash_acl(hasher: &DefaultHashBuilder, acl: &[ACL]) -> u64 {
    use std::hash::{BuildHasher, Hash, Hasher};
    let mut state = hasher.build_hasher();
    for ACL { perms, id: Id { scheme, id } } in acl {
        (perms, scheme, id).hash(&mut state);
    }
    state.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jute::Limits;
    use crate::zoo_defs::perms;

    fn acl(id: &str) -> Vec<ACL> {
        vec![ACL { perms: perms::READ, id: Id { scheme: "ip".into(), id: id.into() } }]
    }

    #[test]
    fn an_acl_is_kept_once_and_as_long_as_a_node_has_it() {
        let mut cache = ReferenceCountedAclCache::new();
        let first = cache.convert_acls(&acl("1"));
        assert_eq!(cache.convert_acls(&acl("1")), first);
        let second = cache.convert_acls(&acl("2"));
        assert_eq!((cache.id(first), cache.id(second), cache.size()), (1, 2, 2));
        assert_eq!(**cache.acl(second), *acl("2"));
        cache.remove_usage(first);
        assert_eq!(cache.size(), 2);
        cache.remove_usage(first);
        assert_eq!(cache.size(), 1);
        let again = cache.convert_acls(&acl("1"));
        assert_eq!((again, cache.id(again)), (first, 3), "the place is used again, the id is not");
    }

    #[test]
    fn the_open_acl_has_an_id_of_its_own_and_is_in_no_table() {
        let mut cache = ReferenceCountedAclCache::new();
        cache.add_usage(AclKey::OPEN_UNSAFE);
        cache.remove_usage(AclKey::OPEN_UNSAFE);
        assert_eq!(cache.id(AclKey::OPEN_UNSAFE), -1);
        assert_eq!(**cache.acl(AclKey::OPEN_UNSAFE), *ids::open_acl_unsafe());
        assert_eq!(cache.size(), 0);
    }

    fn load(cache: &mut ReferenceCountedAclCache, bytes: &[u8]) -> SnapshotAcls {
        let mut archive = BinaryInputArchive::new(bytes, Limits::default());
        cache.deserialize(&mut archive).unwrap()
    }

    #[test]
    fn a_table_is_read_back_with_its_ids_and_the_next_id_is_above_them() {
        let mut cache = ReferenceCountedAclCache::new();
        for id in ["1", "2", "3"] {
            cache.convert_acls(&acl(id));
        }
        let mut bytes = Vec::new();
        cache.serialize(&mut bytes);
        assert_eq!(bytes[..12], [0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1]);

        let mut loaded = ReferenceCountedAclCache::new();
        let mut snapshot = load(&mut loaded, &bytes);
        let second = loaded.convert_id(2, &mut snapshot);
        assert_eq!(**loaded.acl(second), *acl("2"));
        loaded.purge_unused();
        assert_eq!(loaded.size(), 1);
        let new = loaded.convert_acls(&acl("1"));
        assert_eq!(loaded.id(new), 4);
    }

    #[test]
    fn a_node_whose_acl_the_snapshot_does_not_have_is_closed_to_everybody() {
        let mut cache = ReferenceCountedAclCache::new();
        let mut snapshot = load(&mut cache, &[0; 4]);
        let (one, other) = (cache.convert_id(7, &mut snapshot), cache.convert_id(9, &mut snapshot));
        assert_eq!(one, other);
        assert!(!cache.acl(one).is_empty());
        assert!(cache.acl(one).iter().all(|entry| entry.perms == 0));
        cache.remove_usage(one);
        let new = cache.convert_acls(&acl("1"));
        assert!(cache.id(new) > 9);
        assert_ne!(new, other);
    }

    #[test]
    fn a_table_with_two_ids_for_one_acl_keeps_both() {
        let mut cache = ReferenceCountedAclCache::new();
        cache.convert_acls(&acl("1"));
        let mut bytes = Vec::new();
        cache.serialize(&mut bytes);
        let entry = bytes[4..].to_vec();
        bytes.extend_from_slice(&entry);
        bytes[3] = 2;
        let second_id = 4 + entry.len() + 7;
        bytes[second_id] = 5;
        let mut snapshot = load(&mut cache, &bytes);
        let (one, five) = (cache.convert_id(1, &mut snapshot), cache.convert_id(5, &mut snapshot));
        assert_ne!(one, five);
        cache.remove_usage(one);
        assert_eq!(**cache.acl(five), *acl("1"));
        cache.remove_usage(five);
        assert_eq!(cache.size(), 0);
        assert!(cache.keys.is_empty());
    }

    #[test]
    fn a_table_that_ends_early_or_has_a_null_list_is_refused() {
        let mut cache = ReferenceCountedAclCache::new();
        for bytes in [
            &[0, 0, 0, 1][..],
            &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff],
            &[0x7f, 0xff, 0xff, 0xff],
        ] {
            let mut archive = BinaryInputArchive::new(bytes, Limits::default());
            assert!(cache.deserialize(&mut archive).is_err());
        }
    }
}
