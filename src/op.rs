//! One part of a `multi` or `multiRead` (Java: org/apache/zookeeper/Op.java).
//!
//! Java's subclasses are variants here. Each contains the request record that is sent on the wire.

use std::fmt;

use crate::create_mode::CreateMode;
use crate::data::ACL;
use crate::keeper_exception::KeeperError;
use crate::proto::{
    CheckVersionRequest, CreateRequest, CreateTTLRequest, DeleteRequest, GetChildrenRequest,
    GetDataRequest, SetDataRequest,
};
use crate::zoo_defs::OpCode;

/// Whether a part writes or reads; the two are never mixed (Java: Op.OpKind).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// A write in `multi`: all parts are applied, or none.
    Transaction,
    /// A read in `multiRead`: each part has its own result.
    Read,
}

/// One part, with its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Creates a node; the result is its path.
    Create(CreateRequest),
    /// Creates a node; the result is its path and stat.
    Create2(CreateRequest),
    /// Creates a container.
    CreateContainer(CreateRequest),
    /// Creates a node with a time to live.
    CreateTtl(CreateTTLRequest),
    /// Deletes a node.
    Delete(DeleteRequest),
    /// Writes a node's data.
    SetData(SetDataRequest),
    /// Checks a node's version.
    Check(CheckVersionRequest),
    /// Lists children.
    GetChildren(GetChildrenRequest),
    /// Reads a node's data.
    GetData(GetDataRequest),
}

impl Op {
    /// Whether the part creates an ephemeral node. False if its mode is invalid.
    #[must_use]
    pub fn makes_ephemeral(&self) -> bool {
        match self {
            Self::Create(request) | Self::Create2(request) => {
                CreateMode::from_flag(request.flags).is_ok_and(CreateMode::is_ephemeral)
            }
            _ => false,
        }
    }

    /// Creates a node. The mode decides which kind of part this is. The result contains a stat only for containers.
    pub fn create(
        path: impl Into<String>,
        data: Option<Vec<u8>>,
        acl: Vec<ACL>,
        mode: CreateMode,
    ) -> Self {
        let request = CreateRequest { path: path.into(), data, acl: Some(acl), flags: mode.flag() };
        Self::of_create(request, OpCode::Create)
    }

    /// Creates a node that is deleted if it has no children and is not changed for `ttl_ms`.
    ///
    /// # Errors
    /// [`KeeperError::BadArguments`] if the mode has no time to live.
    pub fn create_ttl(
        path: impl Into<String>,
        data: Option<Vec<u8>>,
        acl: Vec<ACL>,
        mode: CreateMode,
        ttl_ms: i64,
    ) -> Result<Self, KeeperError> {
        if !mode.is_ttl() {
            return Err(KeeperError::BadArguments);
        }
        Ok(Self::CreateTtl(CreateTTLRequest {
            path: path.into(),
            data,
            acl: Some(acl),
            flags: mode.flag(),
            ttl: ttl_ms,
        }))
    }

    /// Deletes a node if it has that version; -1 means any version.
    pub fn delete(path: impl Into<String>, version: i32) -> Self {
        Self::Delete(DeleteRequest { path: path.into(), version })
    }

    /// Writes the data of a node if it has that version; -1 means any version.
    pub fn set_data(path: impl Into<String>, data: Option<Vec<u8>>, version: i32) -> Self {
        Self::SetData(SetDataRequest { path: path.into(), data, version })
    }

    /// Fails unless the node has that version; -1 means any version.
    pub fn check(path: impl Into<String>, version: i32) -> Self {
        Self::Check(CheckVersionRequest { path: path.into(), version })
    }

    /// Lists a node's children. There are no watches in `multiRead`.
    pub fn get_children(path: impl Into<String>) -> Self {
        Self::GetChildren(GetChildrenRequest { path: path.into(), watch: false })
    }

    /// Reads a node's data. There are no watches in `multiRead`.
    pub fn get_data(path: impl Into<String>) -> Self {
        Self::GetData(GetDataRequest { path: path.into(), watch: false })
    }

    /// The part for a create request. If the mode is a container's, it decides, and not the code that the request was
    /// sent with (Java: Op.Create.getOpcode).
    pub(crate) fn of_create(request: CreateRequest, came_as: OpCode) -> Self {
        if CreateMode::from_flag(request.flags).is_ok_and(CreateMode::is_container) {
            return Self::CreateContainer(request);
        }
        match came_as {
            OpCode::CreateContainer => Self::CreateContainer(request),
            OpCode::Create2 => Self::Create2(request),
            _ => Self::Create(request),
        }
    }

    /// The operation's code on the wire and in the transaction (Java: getType).
    #[must_use]
    pub const fn op_code(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::Create,
            Self::Create2(_) => OpCode::Create2,
            Self::CreateContainer(_) => OpCode::CreateContainer,
            Self::CreateTtl(_) => OpCode::CreateTtl,
            Self::Delete(_) => OpCode::Delete,
            Self::SetData(_) => OpCode::SetData,
            Self::Check(_) => OpCode::Check,
            Self::GetChildren(_) => OpCode::GetChildren,
            Self::GetData(_) => OpCode::GetData,
        }
    }

    /// The node.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Create(request) | Self::Create2(request) | Self::CreateContainer(request) => {
                &request.path
            }
            Self::CreateTtl(request) => &request.path,
            Self::Delete(request) => &request.path,
            Self::SetData(request) => &request.path,
            Self::Check(request) => &request.path,
            Self::GetChildren(request) => &request.path,
            Self::GetData(request) => &request.path,
        }
    }

    /// Whether it writes or reads.
    #[must_use]
    pub const fn kind(&self) -> OpKind {
        match self {
            Self::GetChildren(_) | Self::GetData(_) => OpKind::Read,
            Self::Create(_)
            | Self::Create2(_)
            | Self::CreateContainer(_)
            | Self::CreateTtl(_)
            | Self::Delete(_)
            | Self::SetData(_)
            | Self::Check(_) => OpKind::Transaction,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.op_code().java_name(), self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_mode_wins_over_the_code_that_it_came_under() {
        let request =
            |flags| CreateRequest { path: "/a".into(), flags, ..CreateRequest::default() };
        for (flags, came_as, becomes) in [
            (0, OpCode::Create, OpCode::Create),
            (4, OpCode::Create, OpCode::CreateContainer),
            (4, OpCode::Create2, OpCode::CreateContainer),
            (3, OpCode::Create2, OpCode::Create2),
            (0, OpCode::CreateContainer, OpCode::CreateContainer),
            (9, OpCode::Create, OpCode::Create),
        ] {
            assert_eq!(
                Op::of_create(request(flags), came_as).op_code(),
                becomes,
                "flags {flags} as {came_as:?}"
            );
        }
    }

    #[test]
    fn a_time_to_live_needs_a_mode_that_has_one() {
        let op = |mode| Op::create_ttl("/a", None, vec![], mode, 5);
        assert_eq!(op(CreateMode::Persistent), Err(KeeperError::BadArguments));
        assert!(op(CreateMode::PersistentWithTtl).is_ok());
    }
}
