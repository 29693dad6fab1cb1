//! Constants of the protocol (Java: org/apache/zookeeper/ZooDefs.java).

use crate::data::{ACL, Id};

/// The node that holds the ensemble's configuration.
pub const CONFIG_NODE: &str = "/zookeeper/config";

/// The node below which the system's own nodes are.
pub const ZOOKEEPER_NODE_SUBTREE: &str = "/zookeeper/";

/// The code of a request or transaction that is not a known operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown operation code {0}")]
pub struct UnknownOpCode(
    /// The code.
    pub i32,
);

macro_rules! op_codes {
    ($( $(#[$meta:meta])* $name:ident = $code:literal, $java:literal; )*) => {
        /// The operation of a request or transaction (Java: ZooDefs.OpCode).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum OpCode { $( $(#[$meta])* $name = $code, )* }

        impl OpCode {
            /// All operations, in the order of Java's list.
            pub const ALL: &[Self] = &[$( Self::$name, )*];

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> i32 {
                self as i32
            }

            /// Java's name of the constant.
            #[must_use]
            pub const fn java_name(self) -> &'static str {
                match self { $( Self::$name => $java, )* }
            }
        }

        impl TryFrom<i32> for OpCode {
            type Error = UnknownOpCode;
            fn try_from(code: i32) -> Result<Self, UnknownOpCode> {
                match code {
                    $( $code => Ok(Self::$name), )*
                    other => Err(UnknownOpCode(other)),
                }
            }
        }
    };
}

op_codes! {
    /// Not a request: the place of watch events in Java's list.
    Notification = 0, "notification";
    /// Creates a node.
    Create = 1, "create";
    /// Deletes a node.
    Delete = 2, "delete";
    /// Checks whether a node exists.
    Exists = 3, "exists";
    /// Reads a node's data.
    GetData = 4, "getData";
    /// Writes a node's data.
    SetData = 5, "setData";
    /// Reads a node's ACL.
    GetAcl = 6, "getACL";
    /// Writes a node's ACL.
    SetAcl = 7, "setACL";
    /// Lists children.
    GetChildren = 8, "getChildren";
    /// Waits until the server has caught up with the leader.
    Sync = 9, "sync";
    /// Keeps the session alive.
    Ping = 11, "ping";
    /// Lists children, with the node's state.
    GetChildren2 = 12, "getChildren2";
    /// Checks a node's version. Only within `multi`.
    Check = 13, "check";
    /// Several writes, all or nothing.
    Multi = 14, "multi";
    /// Creates a node and returns its state.
    Create2 = 15, "create2";
    /// Changes the ensemble's membership.
    Reconfig = 16, "reconfig";
    /// Checks whether a watch exists.
    CheckWatches = 17, "checkWatches";
    /// Removes a watch.
    RemoveWatches = 18, "removeWatches";
    /// Creates a container.
    CreateContainer = 19, "createContainer";
    /// Deletes an empty container. Normally only the leader creates this request.
    DeleteContainer = 20, "deleteContainer";
    /// Creates a node with a time to live.
    CreateTtl = 21, "createTTL";
    /// Several reads, each with its own result.
    MultiRead = 22, "multiRead";
    /// Adds an id to the connection.
    Auth = 100, "auth";
    /// Sets watches again after a reconnect.
    SetWatches = 101, "setWatches";
    /// A step of the SASL exchange.
    Sasl = 102, "sasl";
    /// Lists the session's ephemeral nodes.
    GetEphemerals = 103, "getEphemerals";
    /// Counts all descendants of a node.
    GetAllChildrenNumber = 104, "getAllChildrenNumber";
    /// As `setWatches`, with persistent watches.
    SetWatches2 = 105, "setWatches2";
    /// Adds a persistent watch.
    AddWatch = 106, "addWatch";
    /// Lists the ids of the connection.
    WhoAmI = 107, "whoAmI";
    /// Opens a session. Normally only servers create this request.
    CreateSession = -10, "createSession";
    /// Ends the session.
    CloseSession = -11, "closeSession";
    /// A transaction for a refused request.
    Error = -1, "error";
}

/// Bits of an ACL entry (Java: ZooDefs.Perms).
pub mod perms {
    /// Permission to read data and list children.
    pub const READ: i32 = 1;
    /// Permission to write data.
    pub const WRITE: i32 = 1 << 1;
    /// Permission to create children.
    pub const CREATE: i32 = 1 << 2;
    /// Permission to delete children.
    pub const DELETE: i32 = 1 << 3;
    /// Permission to change the ACL.
    pub const ADMIN: i32 = 1 << 4;
    /// All permissions.
    pub const ALL: i32 = READ | WRITE | CREATE | DELETE | ADMIN;
}

/// Modes of `addWatch` (Java: ZooDefs.AddWatchModes).
pub mod add_watch_modes {
    /// Fires more than once.
    pub const PERSISTENT: i32 = 0;
    /// Fires more than once, for all descendants.
    pub const PERSISTENT_RECURSIVE: i32 = 1;
}

/// Predefined ids and ACLs (Java: ZooDefs.Ids).
pub mod ids {
    use super::{ACL, Id, perms};

    /// Everybody (Java: ANYONE_ID_UNSAFE).
    #[must_use]
    pub fn anyone_id_unsafe() -> Id {
        Id { scheme: "world".into(), id: "anyone".into() }
    }

    /// An ACL that lets everybody do everything (Java: OPEN_ACL_UNSAFE).
    #[must_use]
    pub fn open_acl_unsafe() -> Vec<ACL> {
        vec![ACL { perms: perms::ALL, id: anyone_id_unsafe() }]
    }

    /// An ACL that lets everybody read (Java: READ_ACL_UNSAFE).
    #[must_use]
    pub fn read_acl_unsafe() -> Vec<ACL> {
        vec![ACL { perms: perms::READ, id: anyone_id_unsafe() }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_leads_back_to_its_operation() {
        for op in OpCode::ALL {
            assert_eq!(OpCode::try_from(op.code()), Ok(*op));
        }
        assert_eq!(OpCode::try_from(10), Err(UnknownOpCode(10)));
    }
}
