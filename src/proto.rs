//! The records of the client protocol (Java: package org.apache.zookeeper.proto), in the order of zookeeper.jute.
//!
//! Fields whose null has a meaning are `Option`; a null in another field is an error of the sender. The trailing
//! `readOnly` of [`ConnectRequest`] and [`ConnectResponse`] is optional on the wire; the code that reads or writes
//! these records handles that.

use crate::data::{ACL, ClientInfo, Stat};
use crate::ids::{SessionId, Zxid};

crate::record! {
    /// Asks for `connect`.
    pub struct ConnectRequest {
        /// Version of the protocol, 0 for clients.
        protocol_version: i32,
        /// The zxid of the last transaction that the client has seen.
        last_zxid_seen: Zxid,
        /// Session timeout, ms.
        time_out: i32,
        /// The session id; 0 asks for a new session.
        session_id: SessionId,
        /// The session's password, 16 bytes.
        passwd: Option<Vec<u8>>,
        /// Whether the client accepts a read-only server.
        read_only: bool,
    }

    /// Answers `connect`.
    pub struct ConnectResponse {
        /// Version of the protocol, always 0.
        protocol_version: i32,
        /// Session timeout, ms.
        time_out: i32,
        /// The session id; 0 if the session has expired.
        session_id: SessionId,
        /// The session's password, 16 bytes.
        passwd: Option<Vec<u8>>,
        /// Whether the server is read-only.
        read_only: bool,
    }

    /// Sets watches again after a reconnect.
    pub struct SetWatches {
        /// The zxid of the last transaction that the client has seen.
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
        /// The zxid of the last transaction that the client has seen.
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

    /// The header of every request.
    pub struct RequestHeader {
        /// The client's number for the request. Negative numbers have special meanings.
        xid: i32,
        /// The operation's code.
        r#type: i32,
    }

    /// The header of every part of a `multi`.
    pub struct MultiHeader {
        /// The operation's code.
        r#type: i32,
        /// Whether this header ends the list.
        done: bool,
        /// Code of a [`KeeperError`](crate::keeper_exception::KeeperError); 0 if there is no error.
        err: i32,
    }

    /// Adds an id to the connection.
    pub struct AuthPacket {
        /// Unused; clients send 0.
        r#type: i32,
        /// The authentication scheme.
        scheme: String,
        /// The credentials.
        auth: Option<Vec<u8>>,
    }

    /// The header of every reply and notification.
    pub struct ReplyHeader {
        /// The client's number for the request. Negative numbers have special meanings.
        xid: i32,
        /// The zxid of the request's transaction, or of the last applied transaction.
        zxid: Zxid,
        /// Code of a [`KeeperError`](crate::keeper_exception::KeeperError); 0 if there is no error.
        err: i32,
    }

    /// Asks for `getData`.
    pub struct GetDataRequest {
        /// The node.
        path: String,
        /// Whether to set a watch.
        watch: bool,
    }

    /// Asks for `setData`.
    pub struct SetDataRequest {
        /// The node.
        path: String,
        /// The data. Null and empty are different.
        data: Option<Vec<u8>>,
        /// The version that the data must have, or -1 for any.
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
        /// The version that the current configuration must have, or -1 for any.
        cur_config_id: i64,
    }

    /// Answers `setData`.
    pub struct SetDataResponse {
        /// The node's stat.
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
        /// The data. Null and empty are different.
        data: Option<Vec<u8>>,
        /// The access control list.
        acl: Option<Vec<ACL>>,
        /// Code of a [`CreateMode`](crate::create_mode::CreateMode).
        flags: i32,
    }

    /// Asks for `createTTL`.
    pub struct CreateTTLRequest {
        /// The node.
        path: String,
        /// The data. Null and empty are different.
        data: Option<Vec<u8>>,
        /// The access control list.
        acl: Option<Vec<ACL>>,
        /// Code of a [`CreateMode`](crate::create_mode::CreateMode).
        flags: i32,
        /// The node's time to live, in ms.
        ttl: i64,
    }

    /// Asks for `delete`.
    pub struct DeleteRequest {
        /// The node.
        path: String,
        /// The version that the data must have, or -1 for any.
        version: i32,
    }

    /// Asks for `getChildren`.
    pub struct GetChildrenRequest {
        /// The node.
        path: String,
        /// Whether to set a watch.
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
        /// Whether to set a watch.
        watch: bool,
    }

    /// Asks for `checkVersion`.
    pub struct CheckVersionRequest {
        /// The node.
        path: String,
        /// The version that the data must have, or -1 for any.
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
        /// The access control list.
        acl: Option<Vec<ACL>>,
        /// The version that the ACL must have, or -1 for any.
        version: i32,
    }

    /// Answers `setACL`.
    pub struct SetACLResponse {
        /// The node's stat.
        stat: Stat,
    }

    /// Asks for `addWatch`.
    pub struct AddWatchRequest {
        /// The node.
        path: String,
        /// Code of the watch's [mode](crate::add_watch_mode::AddWatchMode).
        mode: i32,
    }

    /// The event of a watch.
    pub struct WatcherEvent {
        /// Code of the event's type.
        r#type: i32,
        /// Code of the client's state.
        state: i32,
        /// The node.
        path: String,
    }

    /// Answers `error`.
    pub struct ErrorResponse {
        /// Code of a [`KeeperError`](crate::keeper_exception::KeeperError); 0 if there is no error.
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
        /// The node's stat.
        stat: Stat,
    }

    /// Asks for `exists`.
    pub struct ExistsRequest {
        /// The node.
        path: String,
        /// Whether to set a watch.
        watch: bool,
    }

    /// Answers `exists`.
    pub struct ExistsResponse {
        /// The node's stat.
        stat: Stat,
    }

    /// Answers `getData`.
    pub struct GetDataResponse {
        /// The data. Null and empty are different.
        data: Option<Vec<u8>>,
        /// The node's stat.
        stat: Stat,
    }

    /// Answers `getChildren`.
    pub struct GetChildrenResponse {
        /// Names of the children, in no particular order.
        children: Vec<String>,
    }

    /// Answers `getAllChildrenNumber`.
    pub struct GetAllChildrenNumberResponse {
        /// The number of descendants.
        total_number: i32,
    }

    /// Answers `getChildren2`.
    pub struct GetChildren2Response {
        /// Names of the children, in no particular order.
        children: Vec<String>,
        /// The node's stat.
        stat: Stat,
    }

    /// Answers `getACL`.
    pub struct GetACLResponse {
        /// The access control list.
        acl: Vec<ACL>,
        /// The node's stat.
        stat: Stat,
    }

    /// Asks for `checkWatches`.
    pub struct CheckWatchesRequest {
        /// The node.
        path: String,
        /// Code of the watcher's type.
        r#type: i32,
    }

    /// Asks for `removeWatches`.
    pub struct RemoveWatchesRequest {
        /// The node.
        path: String,
        /// Code of the watcher's type.
        r#type: i32,
    }

    /// Asks for `getEphemerals`.
    pub struct GetEphemeralsRequest {
        /// The prefix of the paths to list.
        prefix_path: Option<String>,
    }

    /// Answers `getEphemerals`.
    pub struct GetEphemeralsResponse {
        /// Paths of ephemeral nodes.
        ephemerals: Vec<String>,
    }

    /// Answers `whoAmI`.
    pub struct WhoAmIResponse {
        /// The ids of the client, one entry for each.
        client_info: Vec<ClientInfo>,
    }
}
