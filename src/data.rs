//! The records that requests, transactions and snapshots share (Java: package org.apache.zookeeper.data).

use std::io::Read;

use crate::ids::Zxid;
use crate::jute::{BinaryInputArchive, InputError, JuteField, OutputArchive, Record};

/// The scheme whose id has no meaning: it stands for the client that makes the request.
const AUTH: &str = "auth";

/// The identity in an ACL entry or of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Id {
    /// The authentication scheme.
    pub scheme: String,
    /// The identity within the scheme.
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

    /// A null scheme is treated like an empty one: no provider knows it, and setting such an ACL is refused. With a
    /// null or empty scheme and with `auth`, the id may be null, too. Some clients send null for an empty text.
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
        /// Permissions: bits of [`Perms`](crate::zoo_defs::perms).
        perms: i32,
        /// The identity within its scheme.
        id: Id,
    }

    /// A node's stat as a client sees it.
    pub struct Stat {
        /// The zxid of the transaction that created the node.
        czxid: Zxid,
        /// The zxid of the transaction that last changed its data.
        mzxid: Zxid,
        /// When it was created, in ms since 1970 by the leader's clock.
        ctime: i64,
        /// When its data was last changed, in ms since 1970 by the leader's clock.
        mtime: i64,
        /// How often the data was changed.
        version: i32,
        /// How often the children changed.
        cversion: i32,
        /// How often the ACL was changed.
        aversion: i32,
        /// The session of an ephemeral node, a marker value for a container or TTL node, otherwise 0.
        ephemeral_owner: i64,
        /// The length of the data in bytes.
        data_length: i32,
        /// How many children the node has.
        num_children: i32,
        /// The zxid of the transaction that last changed the children.
        pzxid: Zxid,
    }

    /// A node's stat as it is stored on disk.
    pub struct StatPersisted {
        /// The zxid of the transaction that created the node.
        czxid: Zxid,
        /// The zxid of the transaction that last changed its data.
        mzxid: Zxid,
        /// When it was created, in ms since 1970 by the leader's clock.
        ctime: i64,
        /// When its data was last changed, in ms since 1970 by the leader's clock.
        mtime: i64,
        /// How often the data was changed.
        version: i32,
        /// How often the children changed.
        cversion: i32,
        /// How often the ACL was changed.
        aversion: i32,
        /// The session of an ephemeral node, a marker value for a container or TTL node, otherwise 0.
        ephemeral_owner: i64,
        /// The zxid of the transaction that last changed the children.
        pzxid: Zxid,
    }

    /// One id of a client, as `whoAmI` shows it.
    pub struct ClientInfo {
        /// The authentication scheme.
        auth_scheme: String,
        /// The identity, without secrets.
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
