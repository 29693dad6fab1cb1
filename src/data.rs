//! The records that requests, transactions and snapshots share (Java: package org.apache.zookeeper.data).

use crate::ids::Zxid;

crate::record! {
    /// Whom an ACL entry or a connection names.
    pub struct Id {
        /// The authentication scheme.
        scheme: String,
        /// Whom it names within its scheme.
        id: String,
    }

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
