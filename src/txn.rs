//! The records of the transaction log (Java: package org.apache.zookeeper.txn), in the order of zookeeper.jute.
//!
//! `server::util::serialize_utils` reads and writes a whole transaction, with its optional tail.

use crate::data::ACL;
use crate::ids::{SessionId, Zxid};

crate::record! {
    /// The tree's digest after a transaction.
    pub struct TxnDigest {
        /// Version of the digest's algorithm.
        version: i32,
        /// Digest of the tree after the transaction.
        tree_digest: i64,
    }

    /// The header of every transaction.
    pub struct TxnHeader {
        /// The session that made the request.
        client_id: SessionId,
        /// The session's number for the request.
        cxid: i32,
        /// The zxid of the transaction.
        zxid: Zxid,
        /// When the leader created it, in ms since 1970 by the leader's clock.
        time: i64,
        /// The operation's code.
        r#type: i32,
    }

    /// `create` as written before 3.4, without the parent's version.
    pub struct CreateTxnV0 {
        /// The node.
        path: String,
        /// The data. Null and empty are different.
        data: Option<Vec<u8>>,
        /// The access control list.
        acl: Vec<ACL>,
        /// Whether the node is ephemeral.
        ephemeral: bool,
    }

    /// The transaction of `create`.
    pub struct CreateTxn {
        /// The node.
        path: String,
        /// The data. Null and empty are different.
        data: Option<Vec<u8>>,
        /// The access control list.
        acl: Vec<ACL>,
        /// Whether the node is ephemeral.
        ephemeral: bool,
        /// The parent's child version after the transaction.
        parent_c_version: i32,
    }

    /// The transaction of `createTTL`.
    pub struct CreateTTLTxn {
        /// The node.
        path: String,
        /// The data. Null and empty are different.
        data: Option<Vec<u8>>,
        /// The access control list.
        acl: Vec<ACL>,
        /// The parent's child version after the transaction.
        parent_c_version: i32,
        /// The node's time to live, in ms.
        ttl: i64,
    }

    /// The transaction of `createContainer`.
    pub struct CreateContainerTxn {
        /// The node.
        path: String,
        /// The data. Null and empty are different.
        data: Option<Vec<u8>>,
        /// The access control list.
        acl: Vec<ACL>,
        /// The parent's child version after the transaction.
        parent_c_version: i32,
    }

    /// The transaction of `delete`.
    pub struct DeleteTxn {
        /// The node.
        path: String,
    }

    /// The transaction of `setData`.
    pub struct SetDataTxn {
        /// The node.
        path: String,
        /// The data. Null and empty are different.
        data: Option<Vec<u8>>,
        /// The new version of the data.
        version: i32,
    }

    /// The transaction of `checkVersion`.
    pub struct CheckVersionTxn {
        /// The node.
        path: String,
        /// The version that the data must have, or -1 for any.
        version: i32,
    }

    /// The transaction of `setACL`.
    pub struct SetACLTxn {
        /// The node.
        path: String,
        /// The access control list.
        acl: Vec<ACL>,
        /// The new version of the ACL.
        version: i32,
    }

    /// The transaction of `setMaxChildren`.
    pub struct SetMaxChildrenTxn {
        /// The node.
        path: String,
        /// The limit.
        max: i32,
    }

    /// The transaction of `createSession`.
    pub struct CreateSessionTxn {
        /// Session timeout, ms.
        time_out: i32,
    }

    /// The transaction of `closeSession`.
    pub struct CloseSessionTxn {
        /// The session's ephemeral nodes.
        paths2_delete: Vec<String>,
    }

    /// A request that was refused after it had taken a zxid.
    pub struct ErrorTxn {
        /// Code of a [`KeeperError`](crate::keeper_exception::KeeperError).
        err: i32,
    }

    /// A part of a `multi`: its type and the bytes of its own record.
    pub struct Txn {
        /// The operation's code.
        r#type: i32,
        /// The bytes of the part's record.
        data: Option<Vec<u8>>,
    }

    /// The transaction of `multi`: all parts are applied, or none.
    pub struct MultiTxn {
        /// The parts, in order.
        txns: Vec<Txn>,
    }
}
