//! The result of one part of a `multi` or `multiRead` (Java: org/apache/zookeeper/OpResult.java).

use crate::data::Stat;

/// One part's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// A node was created.
    Create {
        /// Its path, with the number of a sequential node.
        path: String,
    },
    /// A node was created, and the result contains its stat. Containers and nodes with a time to live have this
    /// result, too.
    Create2 {
        /// Its path, with the number of a sequential node.
        path: String,
        /// Its stat.
        stat: Stat,
    },
    /// A node was deleted.
    Delete,
    /// Data were written.
    SetData {
        /// The node's stat after the write.
        stat: Stat,
    },
    /// The version was as expected.
    Check,
    /// The children.
    GetChildren {
        /// Their names, in no particular order.
        children: Vec<String>,
    },
    /// The data.
    GetData {
        /// The data. Null and empty are different.
        data: Option<Vec<u8>>,
        /// The node's stat.
        stat: Stat,
    },
    /// The part failed, or another part of the same `multi` did.
    Error {
        /// Code of a [`KeeperError`](crate::keeper_exception::KeeperError). In a failed `multi`, 0 for the parts
        /// before the failed one.
        err: i32,
    },
}

impl OpResult {
    /// The type in the part's header: that of the response, -1 for errors (Java: getType).
    #[must_use]
    pub const fn type_code(&self) -> i32 {
        use crate::zoo_defs::OpCode;
        match self {
            Self::Create { .. } => OpCode::Create.code(),
            Self::Create2 { .. } => OpCode::Create2.code(),
            Self::Delete => OpCode::Delete.code(),
            Self::SetData { .. } => OpCode::SetData.code(),
            Self::Check => OpCode::Check.code(),
            Self::GetChildren { .. } => OpCode::GetChildren.code(),
            Self::GetData { .. } => OpCode::GetData.code(),
            Self::Error { .. } => OpCode::Error.code(),
        }
    }

    /// The error code; 0 if there is none.
    #[must_use]
    pub const fn err(&self) -> i32 {
        match self {
            Self::Error { err } => *err,
            _ => 0,
        }
    }
}
