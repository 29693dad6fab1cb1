//! The records that requests, transactions and snapshots share (Java: package org.apache.zookeeper.data).

use std::io::Read;

use crate::ids::Zxid;
use crate::jute::{BinaryInputArchive, InputError, JuteField, OutputArchive, Record};

/// The scheme where it does not matter whom the id names: whoever asks.
const AUTH: &str = "auth";

/// Whom an ACL entry or a connection names.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Id {
    /// The authentication scheme.
    pub scheme: String,
    /// Whom it names within its scheme.
    pub id: String,
}

impl Record for Id {
    const NAME: &'static str = "Id";

    fn fields() -> Vec<(&'static str, String)> {
        vec![("scheme", String::jute_type()), ("id", String::jute_type())]
    }

    fn serialize<A: OutputArchive + ?Sized>(&self, archive: &mut A) {
        self.write(archive, "");
    }

    /// A scheme that is null is like one that is empty: nobody knows it, and the ACL is refused where it is to be set. Of
    /// these and of `auth` an id may be null, too, which some clients send for an empty text.
    fn deserialize<R: Read>(archive: &mut BinaryInputArchive<R>) -> Result<Self, InputError> {
        let scheme = archive.read_string("scheme")?.unwrap_or_default();
        match archive.read_string("id")? {
            Some(id) => Ok(Self { scheme, id }),
            None if scheme == AUTH || scheme.is_empty() => Ok(Self { scheme, id: String::new() }),
            None => Err(InputError::Null { tag: "id" }),
        }
    }
}

impl JuteField for Id {
    fn jute_type() -> String {
        Self::NAME.into()
    }

    fn write<A: OutputArchive + ?Sized>(&self, archive: &mut A, tag: &'static str) {
        archive.start_record(tag);
        self.scheme.write(archive, "scheme");
        self.id.write(archive, "id");
        archive.end_record(tag);
    }

    fn read<R: Read>(
        archive: &mut BinaryInputArchive<R>,
        _tag: &'static str,
    ) -> Result<Self, InputError> {
        Self::deserialize(archive)
    }
}

crate::record! {
    /// One entry of an access control list.
    pub struct ACL {
        /// Bits of [`Perms`](crate::zoo_defs::perms).
        perms: i32,
        /// Whom it names within its scheme.
        id: Id,
    }

    /// A node's state as a client sees it.
    pub struct Stat {
        /// The transaction that created the node.
        czxid: Zxid,
        /// The transaction that changed its data last.
        mzxid: Zxid,
        /// When it was created, ms since 1970 by the leader's clock.
        ctime: i64,
        /// When its data was changed last, ms since 1970 by the leader's clock.
        mtime: i64,
        /// How often the data was changed.
        version: i32,
        /// How often the children changed.
        cversion: i32,
        /// How often the ACL was changed.
        aversion: i32,
        /// The session of an ephemeral node, 0, or the marks of a container or TTL node.
        ephemeral_owner: i64,
        /// The length of the data in bytes.
        data_length: i32,
        /// How many children the node has.
        num_children: i32,
        /// The transaction that changed the children last.
        pzxid: Zxid,
    }

    /// A node's state as it is kept on disk.
    pub struct StatPersisted {
        /// The transaction that created the node.
        czxid: Zxid,
        /// The transaction that changed its data last.
        mzxid: Zxid,
        /// When it was created, ms since 1970 by the leader's clock.
        ctime: i64,
        /// When its data was changed last, ms since 1970 by the leader's clock.
        mtime: i64,
        /// How often the data was changed.
        version: i32,
        /// How often the children changed.
        cversion: i32,
        /// How often the ACL was changed.
        aversion: i32,
        /// The session of an ephemeral node, 0, or the marks of a container or TTL node.
        ephemeral_owner: i64,
        /// The transaction that changed the children last.
        pzxid: Zxid,
    }

    /// One id of a client, as `whoAmI` shows it.
    pub struct ClientInfo {
        /// The authentication scheme.
        auth_scheme: String,
        /// Whom it names, without secrets.
        user: String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jute::Limits;

    #[test]
    fn an_id_may_be_null_where_it_does_not_matter_and_nowhere_else() {
        let read = |scheme: Option<&str>| {
            let mut bytes = Vec::new();
            let mut archive = crate::jute::BinaryOutputArchive::new(&mut bytes);
            archive.write_string(scheme, "scheme");
            archive.write_string(None, "id");
            Id::deserialize(&mut BinaryInputArchive::new(&bytes[..], Limits::default()))
        };
        assert_eq!(read(Some("auth")).unwrap(), Id { scheme: "auth".into(), id: String::new() });
        assert_eq!(read(None).unwrap(), Id { scheme: String::new(), id: String::new() });
        assert!(matches!(read(Some("world")), Err(InputError::Null { tag: "id" })));
    }
}
