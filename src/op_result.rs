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
    /// A node was created, and its state was asked for. Containers and nodes with a time to live answer like this, too.
    Create2 {
        /// Its path, with the number of a sequential node.
        path: String,
        /// Its state.
        stat: Stat,
    },
    /// A node was deleted.
    Delete,
    /// Data were written.
    SetData {
        /// The node's state after it.
        stat: Stat,
    },
    /// The version was as expected.
    Check,
    /// The children.
    GetChildren {
        /// Their names, in no order.
        children: Vec<String>,
    },
    /// The data.
    GetData {
        /// The data; null and empty are different.
        data: Option<Vec<u8>>,
        /// The node's state.
        stat: Stat,
    },
    /// It failed, or another part did.
    Error {
        /// Code of a [`KeeperError`](crate::keeper_exception::KeeperError); 0 for parts of a failed `multi` that were
        /// not to blame.
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

    /// The error's code, 0 when there is none.
    #[must_use]
    pub const fn err(&self) -> i32 {
        match self {
            Self::Error { err } => *err,
            _ => 0,
        }
    }
}
