//! The records of the client protocol (Java: package org.apache.zookeeper.proto), in the order of zookeeper.jute.
//!
//! Fields where null means something are `Option`; a null elsewhere is an error of whoever sent it. The trailing
//! `readOnly` of [`ConnectRequest`] and [`ConnectResponse`] is optional on the wire: who reads or writes them sees to it.

use crate::data::{ACL, ClientInfo, Stat};
use crate::ids::{SessionId, Zxid};

crate::record! {
    /// Asks for `connect`.
    pub struct ConnectRequest {
        /// Version of the protocol, 0 for clients.
        protocol_version: i32,
        /// The last transaction whose effect the client has seen.
        last_zxid_seen: Zxid,
        /// Session timeout, ms.
        time_out: i32,
        /// The session; 0 asks for a new one.
        session_id: SessionId,
        /// The session's password, 16 bytes.
        passwd: Option<Vec<u8>>,
        /// Asks for, or tells of, a read-only server.
        read_only: bool,
    }

    /// Answers `connect`.
    pub struct ConnectResponse {
        /// Version of the protocol, 0 for clients.
        protocol_version: i32,
        /// Session timeout, ms.
        time_out: i32,
        /// The session; 0 asks for a new one.
        session_id: SessionId,
        /// The session's password, 16 bytes.
        passwd: Option<Vec<u8>>,
        /// Asks for, or tells of, a read-only server.
        read_only: bool,
    }

    /// Asks for watches again after a reconnect.
    pub struct SetWatches {
        /// The last transaction that the client has seen.
        relative_zxid: Zxid,
        /// Paths with a data watch.
        data_watches: Vec<String>,
        /// Paths with a watch on a missing node.
        exist_watches: Vec<String>,
        /// Paths with a child watch.
        child_watches: Vec<String>,
    }

    /// As [`SetWatches`], with persistent watches.
    pub struct SetWatches2 {
        /// The last transaction that the client has seen.
        relative_zxid: Zxid,
        /// Paths with a data watch.
        data_watches: Vec<String>,
        /// Paths with a watch on a missing node.
        exist_watches: Vec<String>,
        /// Paths with a child watch.
        child_watches: Vec<String>,
        /// Paths with a persistent watch.
        persistent_watches: Vec<String>,
        /// Paths with a persistent recursive watch.
        persistent_recursive_watches: Vec<String>,
    }

    /// What every request starts with.
    pub struct RequestHeader {
        /// The client's number of the request; negative ones are special.
        xid: i32,
        /// The operation's code.
        r#type: i32,
    }

    /// What every part of a `multi` starts with.
    pub struct MultiHeader {
        /// The operation's code.
        r#type: i32,
        /// Whether this header ends the list.
        done: bool,
        /// Code of a [`KeeperError`](crate::keeper_exception::KeeperError), 0 when there is none.
        err: i32,
    }

    /// Adds an id to the connection.
    pub struct AuthPacket {
        /// The operation's code.
        r#type: i32,
        /// The authentication scheme.
        scheme: String,
        /// The credentials.
        auth: Option<Vec<u8>>,
    }

    /// What every reply and notification starts with.
    pub struct ReplyHeader {
        /// The client's number of the request; negative ones are special.
        xid: i32,
        /// The transaction.
        zxid: Zxid,
        /// Code of a [`KeeperError`](crate::keeper_exception::KeeperError), 0 when there is none.
        err: i32,
    }

    /// Asks for `getData`.
    pub struct GetDataRequest {
        /// The node.
        path: String,
        /// Whether to leave a watch.
        watch: bool,
    }

    /// Asks for `setData`.
    pub struct SetDataRequest {
        /// The node.
        path: String,
        /// The data; null and empty are different.
        data: Option<Vec<u8>>,
        /// How often the data was changed.
        version: i32,
    }

    /// Asks for `reconfig`.
    pub struct ReconfigRequest {
        /// Servers to add, comma separated.
        joining_servers: Option<String>,
        /// Ids of servers to remove, comma separated.
        leaving_servers: Option<String>,
        /// The whole new membership.
        new_members: Option<String>,
        /// The configuration version that must be in force, or -1.
        cur_config_id: i64,
    }

    /// Answers `setData`.
    pub struct SetDataResponse {
        /// The node's state.
        stat: Stat,
    }

    /// Asks for `getSASL`.
    pub struct GetSASLRequest {
        /// A step of the SASL exchange.
        token: Option<Vec<u8>>,
    }

    /// Asks for `setSASL`.
    pub struct SetSASLRequest {
        /// A step of the SASL exchange.
        token: Option<Vec<u8>>,
    }

    /// Answers `setSASL`.
    pub struct SetSASLResponse {
        /// A step of the SASL exchange.
        token: Option<Vec<u8>>,
    }

    /// Asks for `create`.
    pub struct CreateRequest {
        /// The node.
        path: String,
        /// The data; null and empty are different.
        data: Option<Vec<u8>>,
        /// Who may do what.
        acl: Option<Vec<ACL>>,
        /// Code of a [`CreateMode`](crate::create_mode::CreateMode).
        flags: i32,
    }

    /// Asks for `createTTL`.
    pub struct CreateTTLRequest {
        /// The node.
        path: String,
        /// The data; null and empty are different.
        data: Option<Vec<u8>>,
        /// Who may do what.
        acl: Option<Vec<ACL>>,
        /// Code of a [`CreateMode`](crate::create_mode::CreateMode).
        flags: i32,
        /// How long the node may stay unused, ms.
        ttl: i64,
    }

    /// Asks for `delete`.
    pub struct DeleteRequest {
        /// The node.
        path: String,
        /// How often the data was changed.
        version: i32,
    }

    /// Asks for `getChildren`.
    pub struct GetChildrenRequest {
        /// The node.
        path: String,
        /// Whether to leave a watch.
        watch: bool,
    }

    /// Asks for `getAllChildrenNumber`.
    pub struct GetAllChildrenNumberRequest {
        /// The node.
        path: String,
    }

    /// Asks for `getChildren2`.
    pub struct GetChildren2Request {
        /// The node.
        path: String,
        /// Whether to leave a watch.
        watch: bool,
    }

    /// Asks for `checkVersion`.
    pub struct CheckVersionRequest {
        /// The node.
        path: String,
        /// How often the data was changed.
        version: i32,
    }

    /// Asks for `getMaxChildren`.
    pub struct GetMaxChildrenRequest {
        /// The node.
        path: String,
    }

    /// Answers `getMaxChildren`.
    pub struct GetMaxChildrenResponse {
        /// The limit.
        max: i32,
    }

    /// Asks for `setMaxChildren`.
    pub struct SetMaxChildrenRequest {
        /// The node.
        path: String,
        /// The limit.
        max: i32,
    }

    /// Asks for `sync`.
    pub struct SyncRequest {
        /// The node.
        path: String,
    }

    /// Answers `sync`.
    pub struct SyncResponse {
        /// The node.
        path: String,
    }

    /// Asks for `getACL`.
    pub struct GetACLRequest {
        /// The node.
        path: String,
    }

    /// Asks for `setACL`.
    pub struct SetACLRequest {
        /// The node.
        path: String,
        /// Who may do what.
        acl: Option<Vec<ACL>>,
        /// How often the data was changed.
        version: i32,
    }

    /// Answers `setACL`.
    pub struct SetACLResponse {
        /// The node's state.
        stat: Stat,
    }

    /// Asks for `addWatch`.
    pub struct AddWatchRequest {
        /// The node.
        path: String,
        /// Code of the watch's mode.
        mode: i32,
    }

    /// What a watch has seen.
    pub struct WatcherEvent {
        /// The operation's code.
        r#type: i32,
        /// Code of the client's state.
        state: i32,
        /// The node.
        path: String,
    }

    /// Answers `error`.
    pub struct ErrorResponse {
        /// Code of a [`KeeperError`](crate::keeper_exception::KeeperError), 0 when there is none.
        err: i32,
    }

    /// Answers `create`.
    pub struct CreateResponse {
        /// The node.
        path: String,
    }

    /// Answers `create2`.
    pub struct Create2Response {
        /// The node.
        path: String,
        /// The node's state.
        stat: Stat,
    }

    /// Asks for `exists`.
    pub struct ExistsRequest {
        /// The node.
        path: String,
        /// Whether to leave a watch.
        watch: bool,
    }

    /// Answers `exists`.
    pub struct ExistsResponse {
        /// The node's state.
        stat: Stat,
    }

    /// Answers `getData`.
    pub struct GetDataResponse {
        /// The data; null and empty are different.
        data: Option<Vec<u8>>,
        /// The node's state.
        stat: Stat,
    }

    /// Answers `getChildren`.
    pub struct GetChildrenResponse {
        /// Names of the children, in no order.
        children: Vec<String>,
    }

    /// Answers `getAllChildrenNumber`.
    pub struct GetAllChildrenNumberResponse {
        /// How many descendants.
        total_number: i32,
    }

    /// Answers `getChildren2`.
    pub struct GetChildren2Response {
        /// Names of the children, in no order.
        children: Vec<String>,
        /// The node's state.
        stat: Stat,
    }

    /// Answers `getACL`.
    pub struct GetACLResponse {
        /// Who may do what.
        acl: Vec<ACL>,
        /// The node's state.
        stat: Stat,
    }

    /// Asks for `checkWatches`.
    pub struct CheckWatchesRequest {
        /// The node.
        path: String,
        /// The operation's code.
        r#type: i32,
    }

    /// Asks for `removeWatches`.
    pub struct RemoveWatchesRequest {
        /// The node.
        path: String,
        /// The operation's code.
        r#type: i32,
    }

    /// Asks for `getEphemerals`.
    pub struct GetEphemeralsRequest {
        /// Where to look.
        prefix_path: Option<String>,
    }

    /// Answers `getEphemerals`.
    pub struct GetEphemeralsResponse {
        /// Paths of ephemeral nodes.
        ephemerals: Vec<String>,
    }

    /// Answers `whoAmI`.
    pub struct WhoAmIResponse {
        /// Who the client is, one entry for each of its ids.
        client_info: Vec<ClientInfo>,
    }
}
