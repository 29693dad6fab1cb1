//! Reads and writes complete transactions (Java: server/util/SerializeUtils.java).
//!
//! A transaction consists of a header, the record of its type, and since 3.6 the digest of the tree after it.
//! Older versions write no digest. A reader ignores any bytes after the parts that it knows.

use std::io;

use crate::common::zk_config::SystemProperties;
use crate::ids::Zxid;
use crate::jute::{BinaryInputArchive, BinaryOutputArchive, InputError, Limits, Record};
use crate::txn::{
    CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTTLTxn,
    CreateTxn, CreateTxnV0, DeleteTxn, ErrorTxn, MultiTxn, SetACLTxn, SetDataTxn, Txn, TxnDigest,
    TxnHeader,
};
use crate::zoo_defs::OpCode;

/// The record of a transaction. The type in the header determines the operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnBody {
    /// `createSession`.
    CreateSession(CreateSessionTxn),
    /// `closeSession` since 3.6. Before, this type has no record.
    CloseSession(CloseSessionTxn),
    /// `create` and `create2`.
    Create(CreateTxn),
    /// `createTTL`.
    CreateTtl(CreateTTLTxn),
    /// `createContainer`.
    CreateContainer(CreateContainerTxn),
    /// `delete` and `deleteContainer`.
    Delete(DeleteTxn),
    /// `setData` and `reconfig`.
    SetData(SetDataTxn),
    /// `setACL`.
    SetAcl(SetACLTxn),
    /// `check`, within `multi` only.
    CheckVersion(CheckVersionTxn),
    /// `multi`.
    Multi(MultiTxn),
    /// A request that failed.
    Error(ErrorTxn),
}

/// A transaction in the log (Java: server/TxnLogEntry.java).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnLogEntry {
    /// The session, zxid, time and type.
    pub header: TxnHeader,
    /// The record. `closeSession` may have none.
    pub txn: Option<TxnBody>,
    /// The digest of the tree after the transaction, if the writer added it.
    pub digest: Option<TxnDigest>,
}

impl TxnLogEntry {
    /// The transaction's zxid.
    #[must_use]
    pub const fn zxid(&self) -> Zxid {
        self.header.zxid
    }
}

/// The settings that affect how transactions are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxnFormat {
    /// Whether a digest follows the record (`zookeeper.digest.enabled`).
    pub digest_enabled: bool,
    /// Whether `closeSession` has a record (`zookeeper.closeSessionTxn.enabled`).
    pub close_session_txn_enabled: bool,
    /// The longest accepted buffer.
    pub limits: Limits,
}

impl Default for TxnFormat {
    fn default() -> Self {
        Self { digest_enabled: true, close_session_txn_enabled: true, limits: Limits::default() }
    }
}

impl TxnFormat {
    /// Reads Java's properties. As in Java, the extra size defaults to the size of the buffer.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        let max_buffer = properties.number_or("jute.maxbuffer", Limits::default().max_buffer);
        let extra_size = properties.number_or("zookeeper.jute.maxbuffer.extrasize", max_buffer);
        Self {
            digest_enabled: properties.bool_or("zookeeper.digest.enabled", true),
            close_session_txn_enabled: properties
                .bool_or("zookeeper.closeSessionTxn.enabled", true),
            limits: Limits::new(max_buffer, extra_size),
        }
    }
}

fn unsupported(op_type: i32) -> InputError {
    InputError::Io(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("Unsupported Txn with type={op_type}"),
    ))
}

/// Reads a transaction from its bytes (Java: deserializeTxn).
///
/// # Errors
/// When the bytes end early, a length is unreasonable, or a log cannot contain this type.
pub fn deserialize_txn(bytes: &[u8], format: &TxnFormat) -> Result<TxnLogEntry, InputError> {
    let mut archive = BinaryInputArchive::new(bytes, format.limits);
    let header = TxnHeader::deserialize(&mut archive)?;
    let body_start = *archive.input();
    let txn = match deserialize_body(header.r#type, &mut archive, format) {
        Ok(txn) => txn,
        Err(error) if error.is_end_of_input() && header.r#type == OpCode::Create.code() => {
            archive = BinaryInputArchive::new(body_start, format.limits);
            let v0 = CreateTxnV0::deserialize(&mut archive)?;
            // -1 makes the tree increment the parent's child version when the transaction is applied.
            Some(TxnBody::Create(CreateTxn {
                path: v0.path,
                data: v0.data,
                acl: v0.acl,
                ephemeral: v0.ephemeral,
                parent_c_version: -1,
            }))
        }
        // Versions before 3.6 write no record.
        Err(error) if error.is_end_of_input() && header.r#type == OpCode::CloseSession.code() => {
            None
        }
        Err(error) => return Err(error),
    };
    let digest = if format.digest_enabled {
        match TxnDigest::deserialize(&mut archive) {
            Ok(digest) => Some(digest),
            Err(error) if error.is_end_of_input() => None,
            Err(error) => return Err(error),
        }
    } else {
        None
    };
    Ok(TxnLogEntry { header, txn, digest })
}

fn deserialize_body(
    op_type: i32,
    archive: &mut BinaryInputArchive<&[u8]>,
    format: &TxnFormat,
) -> Result<Option<TxnBody>, InputError> {
    let op = OpCode::try_from(op_type).map_err(|_| unsupported(op_type))?;
    Ok(Some(match op {
        OpCode::CreateSession => TxnBody::CreateSession(CreateSessionTxn::deserialize(archive)?),
        OpCode::CloseSession if format.close_session_txn_enabled => {
            TxnBody::CloseSession(CloseSessionTxn::deserialize(archive)?)
        }
        OpCode::CloseSession => return Ok(None),
        OpCode::Create | OpCode::Create2 => TxnBody::Create(CreateTxn::deserialize(archive)?),
        OpCode::CreateTtl => TxnBody::CreateTtl(CreateTTLTxn::deserialize(archive)?),
        OpCode::CreateContainer => {
            TxnBody::CreateContainer(CreateContainerTxn::deserialize(archive)?)
        }
        OpCode::Delete | OpCode::DeleteContainer => {
            TxnBody::Delete(DeleteTxn::deserialize(archive)?)
        }
        OpCode::Reconfig | OpCode::SetData => TxnBody::SetData(SetDataTxn::deserialize(archive)?),
        OpCode::SetAcl => TxnBody::SetAcl(SetACLTxn::deserialize(archive)?),
        OpCode::Error => TxnBody::Error(ErrorTxn::deserialize(archive)?),
        OpCode::Multi => TxnBody::Multi(MultiTxn::deserialize(archive)?),
        _ => return Err(unsupported(op_type)),
    }))
}

/// Reads the record of an operation of a `multi` (Java: within DataTree.processTxn).
///
/// # Errors
/// When the bytes are not a record of the operation's type, or a `multi` cannot contain this type.
pub fn deserialize_sub_txn(part: &Txn, limits: Limits) -> Result<TxnBody, InputError> {
    let bytes = part.data.as_deref().ok_or(InputError::Null { tag: "data" })?;
    let mut input = BinaryInputArchive::new(bytes, limits);
    let archive = &mut input;
    let op = OpCode::try_from(part.r#type).map_err(|_| unsupported(part.r#type))?;
    Ok(match op {
        OpCode::Create | OpCode::Create2 => TxnBody::Create(CreateTxn::deserialize(archive)?),
        OpCode::CreateTtl => TxnBody::CreateTtl(CreateTTLTxn::deserialize(archive)?),
        OpCode::CreateContainer => {
            TxnBody::CreateContainer(CreateContainerTxn::deserialize(archive)?)
        }
        OpCode::Delete | OpCode::DeleteContainer => {
            TxnBody::Delete(DeleteTxn::deserialize(archive)?)
        }
        OpCode::SetData => TxnBody::SetData(SetDataTxn::deserialize(archive)?),
        OpCode::Error => TxnBody::Error(ErrorTxn::deserialize(archive)?),
        OpCode::Check => TxnBody::CheckVersion(CheckVersionTxn::deserialize(archive)?),
        _ => return Err(unsupported(part.r#type)),
    })
}

impl TxnBody {
    /// Writes the record to an archive.
    pub fn serialize(&self, archive: &mut BinaryOutputArchive<'_>) {
        match self {
            Self::CreateSession(txn) => txn.serialize(archive),
            Self::CloseSession(txn) => txn.serialize(archive),
            Self::Create(txn) => txn.serialize(archive),
            Self::CreateTtl(txn) => txn.serialize(archive),
            Self::CreateContainer(txn) => txn.serialize(archive),
            Self::Delete(txn) => txn.serialize(archive),
            Self::SetData(txn) => txn.serialize(archive),
            Self::SetAcl(txn) => txn.serialize(archive),
            Self::CheckVersion(txn) => txn.serialize(archive),
            Self::Multi(txn) => txn.serialize(archive),
            Self::Error(txn) => txn.serialize(archive),
        }
    }

    /// The record's bytes in a new buffer.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.serialize(&mut BinaryOutputArchive::new(&mut bytes));
        bytes
    }
}

/// Appends a transaction in the format of the log and of proposals (Java: Util.marshallTxnEntry,
/// Request.getSerializeData).
pub fn serialize_txn(
    header: &TxnHeader,
    txn: Option<&TxnBody>,
    digest: Option<&TxnDigest>,
    bytes: &mut Vec<u8>,
) {
    let mut archive = BinaryOutputArchive::new(bytes);
    header.serialize(&mut archive);
    if let Some(txn) = txn {
        txn.serialize(&mut archive);
    }
    if let Some(digest) = digest {
        digest.serialize(&mut archive);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ACL;
    use crate::ids::SessionId;

    fn header(op: OpCode) -> TxnHeader {
        TxnHeader { client_id: SessionId(5), cxid: 6, zxid: Zxid(7), time: 8, r#type: op.code() }
    }

    fn round_trip(op: OpCode, txn: Option<TxnBody>, digest: Option<TxnDigest>) {
        let entry = TxnLogEntry { header: header(op), txn, digest };
        let mut bytes = Vec::new();
        serialize_txn(&entry.header, entry.txn.as_ref(), entry.digest.as_ref(), &mut bytes);
        assert_eq!(deserialize_txn(&bytes, &TxnFormat::default()).unwrap(), entry);
    }

    #[test]
    fn a_transaction_is_read_back_with_and_without_a_digest() {
        let delete = Some(TxnBody::Delete(DeleteTxn { path: "/a".into() }));
        round_trip(OpCode::Delete, delete.clone(), None);
        round_trip(OpCode::DeleteContainer, delete, Some(TxnDigest { version: 2, tree_digest: 9 }));
        round_trip(OpCode::CloseSession, None, None);
        let close = CloseSessionTxn { paths2_delete: vec!["/e".into()] };
        round_trip(OpCode::CloseSession, Some(TxnBody::CloseSession(close)), None);
    }

    #[test]
    fn a_create_without_the_parents_version_is_an_old_one() {
        let v0 = CreateTxnV0 {
            path: "/a".into(),
            data: None,
            acl: vec![ACL::default()],
            ephemeral: true,
        };
        let mut bytes = header(OpCode::Create).to_bytes();
        bytes.extend(v0.to_bytes());
        let entry = deserialize_txn(&bytes, &TxnFormat::default()).unwrap();
        let Some(TxnBody::Create(create)) = entry.txn else { panic!("{entry:?}") };
        assert_eq!((create.parent_c_version, create.ephemeral), (-1, true));
    }

    #[test]
    fn a_lone_check_is_no_transaction() {
        let bytes = header(OpCode::Check).to_bytes();
        let error = deserialize_txn(&bytes, &TxnFormat::default()).unwrap_err();
        assert!(error.to_string().contains("Unsupported Txn with type=13"), "{error}");
    }
}
