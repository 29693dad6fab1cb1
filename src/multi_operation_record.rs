//! The request of `multi` and `multiRead` (Java: org/apache/zookeeper/MultiOperationRecord.java; in 3.4
//! MultiTransactionRecord).
//!
//! Its encoding is written by hand: a header before each part and a header that ends the list, but no count. Decoding
//! reserves no more memory than the input needs.

use std::io::{self, Read};

use crate::create_mode::CreateMode;
use crate::jute::{BinaryInputArchive, InputError, OutputArchive, Record};
use crate::op::{Op, OpKind};
use crate::proto::{
    CheckVersionRequest, CreateRequest, CreateTTLRequest, DeleteRequest, GetChildrenRequest,
    GetDataRequest, MultiHeader, SetDataRequest,
};
use crate::zoo_defs::OpCode;

/// The header that ends a list of parts or results.
pub(crate) const END_HEADER: MultiHeader = MultiHeader { r#type: -1, done: true, err: -1 };

/// The parts of a `multi` or `multiRead`. All are of the same kind.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MultiOperationRecord {
    ops: Vec<Op>,
}

/// The error for reads and writes in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reads and writes cannot be parts of one multi request")]
pub struct MixedKinds;

impl MultiOperationRecord {
    /// Creates a request from these parts.
    ///
    /// # Errors
    /// If some of the parts read and others write.
    pub fn new(ops: Vec<Op>) -> Result<Self, MixedKinds> {
        match ops.split_first() {
            Some((first, rest)) if rest.iter().any(|op| op.kind() != first.kind()) => {
                Err(MixedKinds)
            }
            _ => Ok(Self { ops }),
        }
    }

    /// The parts, in order.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The parts, in order, mutable so that their data can be taken.
    #[must_use]
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }

    /// Whether the parts write or read; `None` if there are no parts.
    #[must_use]
    pub fn op_kind(&self) -> Option<OpKind> {
        self.ops.first().map(Op::kind)
    }

    /// The code of the request: `multiRead` for reads, otherwise `multi`.
    #[must_use]
    pub fn op_code(&self) -> OpCode {
        match self.op_kind() {
            Some(OpKind::Read) => OpCode::MultiRead,
            Some(OpKind::Transaction) | None => OpCode::Multi,
        }
    }
}

fn invalid(what: impl Into<String>) -> InputError {
    InputError::Io(io::Error::new(io::ErrorKind::InvalidData, what.into()))
}

/// Decodes a create that was sent with the code `came_as`
/// (Java: within MultiOperationRecord.deserialize, and CreateOptions).
fn read_create<R: Read>(
    came_as: OpCode,
    archive: &mut BinaryInputArchive<R>,
) -> Result<Op, InputError> {
    let request = CreateRequest::deserialize(archive)?;
    let mode = CreateMode::from_flag(request.flags)
        .map_err(|_| invalid(format!("invalid flag {} for create mode", request.flags)))?;
    if request.acl.is_none() {
        return Err(InputError::Null { tag: "acl" });
    }
    // This request has no field for a time to live.
    if mode.is_ttl() {
        return Err(invalid(format!("create mode {mode:?} without a time to live")));
    }
    Ok(Op::of_create(request, came_as))
}

/// Decodes a create with a time to live. If its mode has no time to live, it becomes a plain create with the same
/// flag. Processing later refuses a flag that is not a valid mode.
fn read_create_ttl<R: Read>(archive: &mut BinaryInputArchive<R>) -> Result<Op, InputError> {
    let request = CreateTTLRequest::deserialize(archive)?;
    if CreateMode::from_flag(request.flags).is_ok_and(CreateMode::is_ttl) {
        return Ok(Op::CreateTtl(request));
    }
    let CreateTTLRequest { path, data, acl, flags, ttl: _ } = request;
    Ok(Op::of_create(CreateRequest { path, data, acl, flags }, OpCode::Create))
}

fn read_op<R: Read>(op_type: i32, archive: &mut BinaryInputArchive<R>) -> Result<Op, InputError> {
    let op_code = OpCode::try_from(op_type)
        .map_err(|_| invalid(format!("Invalid type of op {op_type} in a multi request")))?;
    Ok(match op_code {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
            read_create(op_code, archive)?
        }
        OpCode::CreateTtl => read_create_ttl(archive)?,
        OpCode::Delete => Op::Delete(DeleteRequest::deserialize(archive)?),
        OpCode::SetData => Op::SetData(SetDataRequest::deserialize(archive)?),
        OpCode::Check => Op::Check(CheckVersionRequest::deserialize(archive)?),
        // The watch flag is ignored: there are no watches in `multiRead`.
        OpCode::GetChildren => Op::get_children(GetChildrenRequest::deserialize(archive)?.path),
        OpCode::GetData => Op::get_data(GetDataRequest::deserialize(archive)?.path),
        _ => return Err(invalid(format!("Invalid type of op {op_type} in a multi request"))),
    })
}

impl Record for MultiOperationRecord {
    const NAME: &'static str = "MultiOperationRecord";

    /// Empty: it has parts, not fields.
    fn fields() -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn serialize<A: OutputArchive + ?Sized>(&self, archive: &mut A) {
        for op in &self.ops {
            MultiHeader { r#type: op.op_code().code(), done: false, err: -1 }.serialize(archive);
            match op {
                Op::Create(request) | Op::Create2(request) | Op::CreateContainer(request) => {
                    request.serialize(archive);
                }
                Op::CreateTtl(request) => request.serialize(archive),
                Op::Delete(request) => request.serialize(archive),
                Op::SetData(request) => request.serialize(archive),
                Op::Check(request) => request.serialize(archive),
                Op::GetChildren(request) => request.serialize(archive),
                Op::GetData(request) => request.serialize(archive),
            }
        }
        END_HEADER.serialize(archive);
    }

    fn deserialize<R: Read>(archive: &mut BinaryInputArchive<R>) -> Result<Self, InputError> {
        let mut ops: Vec<Op> = Vec::new();
        loop {
            let header = MultiHeader::deserialize(archive)?;
            if header.done {
                return Ok(Self { ops });
            }
            let op = read_op(header.r#type, archive)?;
            if ops.first().is_some_and(|first| first.kind() != op.kind()) {
                return Err(invalid("Mixing different kind of ops"));
            }
            ops.push(op);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jute::{BinaryOutputArchive, JuteField, Limits};
    use crate::zoo_defs::ids;

    fn decode(bytes: &[u8]) -> Result<MultiOperationRecord, InputError> {
        MultiOperationRecord::deserialize(&mut BinaryInputArchive::new(bytes, Limits::default()))
    }

    fn part<T: JuteField>(bytes: &mut Vec<u8>, op: OpCode, request: &T) {
        let mut archive = BinaryOutputArchive::new(bytes);
        MultiHeader { r#type: op.code(), done: false, err: -1 }.serialize(&mut archive);
        request.write(&mut archive, "");
    }

    fn one<T: JuteField>(op: OpCode, request: &T) -> Result<MultiOperationRecord, InputError> {
        let mut bytes = Vec::new();
        part(&mut bytes, op, request);
        END_HEADER.serialize(&mut BinaryOutputArchive::new(&mut bytes));
        decode(&bytes)
    }

    fn create(flags: i32) -> CreateRequest {
        CreateRequest {
            path: "/a".into(),
            data: Some(vec![1]),
            acl: Some(ids::open_acl_unsafe()),
            flags,
        }
    }

    #[test]
    fn a_request_of_every_kind_of_write_is_read_back() {
        let acl = ids::open_acl_unsafe;
        let record = MultiOperationRecord::new(vec![
            Op::create("/a", None, acl(), CreateMode::EphemeralSequential),
            Op::Create2(create(0)),
            Op::create("/c", Some(vec![]), acl(), CreateMode::Container),
            Op::create_ttl("/t", None, acl(), CreateMode::PersistentWithTtl, 7).unwrap(),
            Op::delete("/d", -1),
            Op::set_data("/s", Some(b"x".to_vec()), 3),
            Op::check("/k", 4),
        ])
        .unwrap();
        assert_eq!(decode(&record.to_bytes()).unwrap(), record);
        assert_eq!(record.op_code(), OpCode::Multi);
    }

    #[test]
    fn the_bytes_are_headers_requests_and_an_end() {
        let record = MultiOperationRecord::new(vec![Op::check("/a", 5)]).unwrap();
        assert_eq!(
            record.to_bytes(),
            [
                0, 0, 0, 13, 0, 0xff, 0xff, 0xff, 0xff, // header
                0, 0, 0, 2, b'/', b'a', 0, 0, 0, 5, // request
                0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff // end
            ]
        );
        assert_eq!(MultiOperationRecord::default().to_bytes().len(), 9);
        assert_eq!(decode(&MultiOperationRecord::default().to_bytes()).unwrap().op_kind(), None);
    }

    #[test]
    fn watches_in_a_multi_read_are_ignored() {
        let read =
            one(OpCode::GetData, &GetDataRequest { path: "/a".into(), watch: true }).unwrap();
        assert_eq!(read.ops(), [Op::get_data("/a")]);
        assert_eq!(read.op_code(), OpCode::MultiRead);
    }

    #[test]
    fn reads_and_writes_do_not_mix() {
        let ops = vec![Op::get_data("/a"), Op::delete("/a", -1)];
        assert_eq!(MultiOperationRecord::new(ops.clone()), Err(MixedKinds));
        let error = decode(&MultiOperationRecord { ops }.to_bytes()).unwrap_err();
        assert!(error.to_string().contains("Mixing different kind of ops"), "{error}");
    }

    #[test]
    fn a_create_with_a_flag_that_is_no_mode_or_needs_a_ttl_cannot_be_decoded() {
        for op in [OpCode::Create, OpCode::Create2, OpCode::CreateContainer] {
            for flags in [-1, 5, 6, 7] {
                assert!(one(op, &create(flags)).is_err(), "flags {flags} as {op:?}");
            }
            assert!(one(op, &CreateRequest { acl: None, ..create(0) }).is_err());
        }
    }

    #[test]
    fn a_create_ttl_with_another_mode_becomes_a_plain_create() {
        for (flags, becomes) in [
            (0, OpCode::Create),
            (4, OpCode::CreateContainer),
            (5, OpCode::CreateTtl),
            (6, OpCode::CreateTtl),
            (77, OpCode::Create),
        ] {
            let request =
                CreateTTLRequest { path: "/a".into(), data: None, acl: None, flags, ttl: 1 };
            let record = one(OpCode::CreateTtl, &request).unwrap();
            assert_eq!(record.ops()[0].op_code(), becomes, "flags {flags}");
        }
    }

    #[test]
    fn other_operations_are_no_parts() {
        for op in [OpCode::Exists, OpCode::SetAcl, OpCode::Multi, OpCode::Error] {
            assert!(one(op, &GetDataRequest::default()).is_err(), "{op:?}");
        }
    }

    #[test]
    fn a_request_without_its_end_is_an_early_end() {
        let bytes = MultiOperationRecord::new(vec![Op::delete("/a", 1)]).unwrap().to_bytes();
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).unwrap_err().is_end_of_input(), "at {len}");
        }
    }
}
