//! The records of the transaction log (Java: package org.apache.zookeeper.txn), in the order of zookeeper.jute.
//!
//! How a transaction is read and written as a whole, with its optional tail, is
//! `server::util::serialize_utils`.

use crate::data::ACL;
use crate::ids::{SessionId, Zxid};

crate::record! {
    /// The tree's digest after a transaction.
    pub struct TxnDigest {
        /// How often the data was changed.
        version: i32,
        /// Digest of the tree after the transaction.
        tree_digest: i64,
    }

    /// What every transaction starts with.
    pub struct TxnHeader {
        /// The session that asked for it.
        client_id: SessionId,
        /// The session's number of the request.
        cxid: i32,
        /// The transaction.
        zxid: Zxid,
        /// When the leader made it, ms since 1970 by its clock.
        time: i64,
        /// The operation's code.
        r#type: i32,
    }

    /// `create` as written before 3.4: without the parent's version.
    pub struct CreateTxnV0 {
        /// The node.
        path: String,
        /// The data; null and empty are different.
        data: Option<Vec<u8>>,
        /// Who may do what.
        acl: Vec<ACL>,
        /// Whether the node goes with the session.
        ephemeral: bool,
    }

    /// Does `create`.
    pub struct CreateTxn {
        /// The node.
        path: String,
        /// The data; null and empty are different.
        data: Option<Vec<u8>>,
        /// Who may do what.
        acl: Vec<ACL>,
        /// Whether the node goes with the session.
        ephemeral: bool,
        /// The parent's child version after it.
        parent_c_version: i32,
    }

    /// Does `createTTL`.
    pub struct CreateTTLTxn {
        /// The node.
        path: String,
        /// The data; null and empty are different.
        data: Option<Vec<u8>>,
        /// Who may do what.
        acl: Vec<ACL>,
        /// The parent's child version after it.
        parent_c_version: i32,
        /// How long the node may stay unused, ms.
        ttl: i64,
    }

    /// Does `createContainer`.
    pub struct CreateContainerTxn {
        /// The node.
        path: String,
        /// The data; null and empty are different.
        data: Option<Vec<u8>>,
        /// Who may do what.
        acl: Vec<ACL>,
        /// The parent's child version after it.
        parent_c_version: i32,
    }

    /// Does `delete`.
    pub struct DeleteTxn {
        /// The node.
        path: String,
    }

    /// Does `setData`.
    pub struct SetDataTxn {
        /// The node.
        path: String,
        /// The data; null and empty are different.
        data: Option<Vec<u8>>,
        /// How often the data was changed.
        version: i32,
    }

    /// Does `checkVersion`.
    pub struct CheckVersionTxn {
        /// The node.
        path: String,
        /// How often the data was changed.
        version: i32,
    }

    /// Does `setACL`.
    pub struct SetACLTxn {
        /// The node.
        path: String,
        /// Who may do what.
        acl: Vec<ACL>,
        /// How often the data was changed.
        version: i32,
    }

    /// Does `setMaxChildren`.
    pub struct SetMaxChildrenTxn {
        /// The node.
        path: String,
        /// The limit.
        max: i32,
    }

    /// Does `createSession`.
    pub struct CreateSessionTxn {
        /// Session timeout, ms.
        time_out: i32,
    }

    /// Does `closeSession`.
    pub struct CloseSessionTxn {
        /// The session's ephemeral nodes.
        paths2_delete: Vec<String>,
    }

    /// A request that failed after it had taken a zxid.
    pub struct ErrorTxn {
        /// Code of a [`KeeperError`](crate::keeper_exception::KeeperError), 0 when there is none.
        err: i32,
    }

    /// A part of a `multi`: its type and the bytes of its own record.
    pub struct Txn {
        /// The operation's code.
        r#type: i32,
        /// The data; null and empty are different.
        data: Option<Vec<u8>>,
    }

    /// All or nothing.
    pub struct MultiTxn {
        /// The parts, in order.
        txns: Vec<Txn>,
    }
}
